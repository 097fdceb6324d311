// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "store/manifest.hpp"
#include "store/tree.hpp"
#include "transact/file_rules.hpp"

namespace pwstore {

/// A container's delta, after what lies below it has changed.
struct LayeredDelta {
    struct Rewritten {
        DeltaEntry entry;  ///< as it was; no longer part of `delta`
        std::string text;
    };
    Delta delta;
    std::vector<Rewritten> rewritten;   ///< files with a new content, which is to be put there
    std::vector<DeltaEntry> relinked;   ///< symlinks that go with it
    std::vector<std::string> messages;  ///< for the user: what was kept although its ground moved
};

/// One package that the transaction changes in a container below.
struct ChangeBelow {
    std::optional<Manifest> old;    ///< with the MD5s that its database records
    std::optional<Manifest> after;  ///< nothing: it goes
    bool no_save = false;           ///< of what it leaves behind
};

/// How what is below became another, in pacman's order.
struct ChangesBelow {
    std::vector<ChangeBelow> packages;
    FilePatterns patterns;
    std::set<std::string> made_by_hooks;  ///< or by ldconfig, as it is below now
};

/// Carry `delta` over to new `layers`. An entry whose ground is the same stays. Otherwise: a keyed file
/// (keyed_file.hpp): both changes hold; of a hook or ldconfig: dropped, they run again; but where
/// only hooks are at work below as well, it stays for them to run over it; a whiteout over nothing:
/// dropped; a configuration file of a package of `changes`: what pacman makes of it (kept, .pacnew,
/// .pacsave); another one below etc/: the packaged file comes as .pacnew unless it equals the entry; anything
/// else stays, with a message.
/// @param before the layers that `delta` was made over
/// @throws Error (refused) when the changes of a keyed file contradict each other
[[nodiscard]] LayeredDelta carry_over(const ReadTxn& txn, const ObjectStore& objects, const Delta& delta,
                                      const Tree& before, const Tree& layers, const ChangesBelow& changes,
                                      const std::string& container);

}  // namespace pwstore
