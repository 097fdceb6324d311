// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "transact/act_log.hpp"

namespace pwstore {

/// What scripts may leave behind at most; more is an Error and the transaction's end.
struct HarvestLimits {
    uint64_t bytes = 64ULL << 30;   ///< on disk
    uint64_t length = 64ULL << 30;  ///< of all files, holes included: each byte of it is hashed
    uint64_t entries = 4'000'000;
    unsigned depth = 200;
};

/// A path that scripts change but that is never part of a container: it differs by nature (ldconfig's
/// aux-cache, password lock and backup files, logs of package tools), is the history of a person in a root
/// shell, or belongs to the engine (the package database).
[[nodiscard]] bool is_left_out(std::string_view path);

/// Take over what scripts did: apply the upper directory of an overlay to the root it lay over, as private
/// inodes, and log every path that changed. The upper tree is hostile: it is walked by descriptors without
/// following symlinks, types are checked on the descriptor, set-id bits and owners are not carried onto the
/// root (the true mode is logged). Sockets and devices are dropped. Neither tree may be mounted or written
/// meanwhile.
void apply_upper(int upper, int root, const Touch& who, ActLog& log, const HarvestLimits& limits = {});

/// What a walk over a private copy saw: enough to find out later what scripts changed in place.
class RootScan {
 public:
    explicit RootScan(int root);
    /// Log every path that differs between this scan and a `later` one of the same root.
    void log_changes(const RootScan& later, const Touch& who, ActLog& log) const;

 private:
    struct Seen {
        ino_t inode = 0;
        int64_t change_time_ns = 0;
        mode_t mode = 0;
    };
    void walk(int directory, const std::string& prefix, unsigned depth);
    std::map<std::string, Seen> seen_;
};

}  // namespace pwstore
