// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "store/generation.hpp"

namespace pwstore {

/// Why a path of a root under construction may differ from the merge of its layers.
struct Touch {
    Cause cause = Cause::engine;
    std::string agent;             ///< package or hook
    std::optional<uint32_t> mode;  ///< the mode that a script gave it; roots carry a reduced one
};

/// What a transaction did to one root beyond laying down and removing package files. The delta is derived
/// from it: only these paths are looked at.
class ActLog {
 public:
    void touched(const std::string& path, Touch touch) { paths_[path] = std::move(touch); }
    [[nodiscard]] const std::map<std::string, Touch>& paths() const noexcept { return paths_; }

 private:
    std::map<std::string, Touch> paths_;
};

}  // namespace pwstore
