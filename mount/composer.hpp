// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mount/container_config.hpp"
#include "mount/sandbox_spec.hpp"
#include "store/layout.hpp"

namespace pwstore {

/// What kind of run a spec is for.
enum class RunKind : uint8_t {
    user = 1,  ///< own uid, root read-only, home writable
    root = 2,  ///< uid 0, root an overlay or copy, changes become a delta or are dropped
};

/// The host as the composer sees it: variables and identity that permission modules may pass on.
struct HostContext {
    uint32_t uid = 0;
    uint32_t gid = 0;
    std::vector<EnvironmentVariable> environment;  ///< the caller's
    bool terminal = false;
    static HostContext current();
    /// The caller's value of a variable.
    [[nodiscard]] std::optional<std::string> variable(std::string_view name) const;
};

/// What the composer was asked for.
struct ComposeRequest {
    ContainerName container;
    uint64_t generation = 0;
    ContainerConfig config;
    RunKind kind = RunKind::user;
    RootMount root;
    std::vector<Volume> extra_volumes;  ///< of the command line (`--here`); absolute
    std::string working_directory;      ///< inside; empty = where the caller stands, else the home
    bool without_configured_volumes = false;
};

/// A variable that is the caller's if it has it, looked up again at each launch.
struct PassedVariable {
    std::string name;
    std::optional<std::string> otherwise;  ///< its value if the caller has none; nullopt: it is left out
    bool operator==(const PassedVariable&) const = default;
};

struct Composition {
    SandboxSpec spec;
    std::vector<std::string> warnings;  ///< about skipped modules and weakened isolation, for the user
    std::vector<PassedVariable> passed_variables;
    std::vector<std::string>
        expected_variables;  ///< those of them that the configuration asks for: say so when unset
    bool host_dependent =
        false;  ///< made from devices or sockets that were there now: compose again at each launch
};

/// Configuration → spec. Pure but for looking at the host paths it exposes. The store guard (guard.hpp) has
/// been applied.
/// @throws Error (usage, refused) naming module and path
[[nodiscard]] Composition compose(const Layout& layout, const ComposeRequest& request,
                                  const HostContext& host);

/// What a root shell has of the configuration (permissions net and env): `environment`, `network`, and in
/// `mounts` what is bound for them. The rest of the spec is the script sandbox's.
/// @param request of kind root, with the path of the root that is being changed
/// @throws Error (usage)
[[nodiscard]] Composition compose_root_shell(const Layout& layout, const ComposeRequest& request,
                                             const HostContext& host);

/// The warning about an expected variable that the caller does not have.
[[nodiscard]] std::string missing_variable_warning(const std::string& name);

/// `spec` in words, one line per exposed thing with the rule that asked for it (for `explain`).
[[nodiscard]] std::vector<std::string> explain(const SandboxSpec& spec);

}  // namespace pwstore
