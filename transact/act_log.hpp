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
    std::string agent = {};  ///< package or hook
    /// Of the engine: its true mode. Of scripts: as they left it, which is the root's reduced one where they
    /// did not set another.
    std::optional<uint32_t> mode = {};
    std::optional<int64_t> mtime = {};  ///< when the root's inode does not have it (a link to an object)
    std::string moved_from = {};        ///< its path when the transaction began; empty: this one
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
