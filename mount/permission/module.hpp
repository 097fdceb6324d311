// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mount/composer.hpp"

namespace pwstore::permission {

/// What a module found when it looked at the host, before anything of it is exposed.
struct Check {
    enum class Verdict {
        pass,
        skip,  ///< leave the module out, with a warning
        abort  ///< do not launch
    };
    Verdict verdict = Verdict::pass;
    std::string reason;

    static Check pass() { return {}; }
    static Check skip(std::string reason) { return {Verdict::skip, std::move(reason)}; }
    static Check abort(std::string reason) { return {Verdict::abort, std::move(reason)}; }
};

/// Where modules write. Everything that they add carries their rule.
class Sink {
 public:
    Sink(const Layout& its_layout, const ComposeRequest& its_request, const HostContext& its_host,
         Composition& result)
        : layout(its_layout), request(its_request), host(its_host), result_(result) {}

    const Layout& layout;
    const ComposeRequest& request;
    const HostContext& host;

    /// Rule of the module that is being added: "permission net".
    void set_rule(std::string rule) { rule_ = std::move(rule); }

    [[nodiscard]] std::string home_inside() const { return "/home/" + request.container.str(); }
    [[nodiscard]] std::string runtime_directory() const { return "/run/user/" + std::to_string(host.uid); }
    /// The root as it is on disk (of an overlay: the lower layer).
    [[nodiscard]] const std::string& root() const { return request.root.path; }

    void add(MountOp::Kind kind, std::string source, std::string destination, uint32_t mode = 0755,
             bool optional = false);
    void set_variable(const std::string& name, std::string value);
    /// The caller's value, now and at each later launch. When it has none: `otherwise`, else what the
    /// variable was before, else it is left out.
    void pass_variable(const std::string& name, std::optional<std::string> otherwise = std::nullopt);
    /// Say so when the caller does not have it.
    void expect_variable(const std::string& name);
    void share_network() { result_.spec.network = NetworkMode::host; }
    void depend_on_host() { result_.host_dependent = true; }
    void warn(const std::string& text) { result_.warnings.push_back(rule_ + ": " + text); }

 private:
    [[nodiscard]] std::optional<std::string> without_caller(const std::string& name) const;

    Composition& result_;
    std::string rule_;
};

struct FilesystemEntry {
    std::string_view name;
    Check (*check)(const Sink& sink, const FilesystemModule& module);
    void (*add)(Sink& sink, const FilesystemModule& module);
};
struct PermissionEntry {
    std::string_view name;
    Check (*check)(const Sink& sink, const PermissionModule& module);
    void (*add)(Sink& sink, const PermissionModule& module);
};

// One file each.
extern const FilesystemEntry kRoot, kHome, kToHome, kToRoot, kSysfs, kDir;
extern const PermissionEntry kNone, kNet, kEnv, kDev, kDisplay, kGpu, kPipewire, kPulseaudio;

// --- What several modules need
// ------------------------------------------------------------------------------------

[[nodiscard]] bool path_exists(const std::string& path);
/// True when something listens at the socket `path`.
[[nodiscard]] bool accepts_connections(const std::string& path);
/// No empty, "." or ".." component, so that it means what it says.
[[nodiscard]] bool is_plain_path(std::string_view path);
/// The checks and mounts that to_home and to_root share; `source` and `destination` of each volume are
/// absolute.
struct PlacedVolume {
    std::string source;
    std::string destination;
    bool writable;
};
[[nodiscard]] Check check_volumes(const std::vector<PlacedVolume>& volumes);
void add_volumes(Sink& sink, const std::vector<PlacedVolume>& volumes);

}  // namespace pwstore::permission
