// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mount/bwrap.hpp"
#include "mount/sandbox_spec.hpp"

namespace pwstore {

/// A place inside the sandbox: its path there, and the same place on the host if that can be reached.
struct Place {
    std::string path;
    Fd fd;                       ///< O_PATH; invalid: only the sandbox sees it
    bool is_plain_file = false;  ///< of those: made by us, and nobody may execute it
};

enum class Walk { arrived, missing, out_of_sight };

/// A sandbox as its programs will see it: its root and what is bound into it, from the opened sources of a
/// spec that is about to be run.
class SandboxView {
 public:
    SandboxView(const SandboxSpec& spec, const BindSources& sources) : spec_(spec), sources_(sources) {}

    /// Walk to an absolute path, every symlink resolved inside.
    Walk walk(const std::string& path, Place& place) const;

 private:
    [[nodiscard]] Place start() const;
    [[nodiscard]] std::optional<size_t> mount_at(const std::string& path) const;
    Walk step(Place& place, const std::string& part, std::string& target) const;

    const SandboxSpec& spec_;
    const BindSources& sources_;
};

}  // namespace pwstore
