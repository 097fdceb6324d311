// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/support/fleet.hpp"

namespace pwstore::test {

/// A Debian package whose maintainer scripts write down that they ran: a line "NAME KIND[ARGUMENT]…" in
/// /var/lib/record, then `scripts[KIND]`.
struct Deb {
    std::string name;
    std::string version = "1.0-1";
    std::string fields = {};                          ///< more lines of the control file
    std::map<std::string, std::string> files = {};    ///< "usr/share/x" → content; 0755 below usr/bin
    std::map<std::string, std::string> links = {};    ///< symlinks
    std::map<std::string, std::string> scripts = {};  ///< "postinst" → shell text after the record
    std::string triggers = {};
    std::vector<std::string> conffiles = {};
    std::map<std::string, std::string> raw_scripts = {};  ///< instead of those that record
};

/// All four scripts, which record and do nothing else.
[[nodiscard]] std::map<std::string, std::string> silent_scripts();

/// A Fleet whose repository is made from Debian packages.
class DebFleet : public Fleet {
 public:
    /// busybox, and in dpkg's place little programs that do as much of dpkg-trigger and dpkg-divert as the
    /// tests need. Essential, so that the package `base` brings it.
    [[nodiscard]] static Deb shell();

    /// Make `packages` what the repository offers from now on.
    void repository(const std::vector<Deb>& packages);
    /// Install more into `container`, or what is newer there.
    TransactionReport install(const std::string& container, const std::vector<std::string>& packages);
    TransactionReport remove(const std::string& container, const std::string& package, bool purge = false);

    /// What scripts have recorded in `container` since it was last asked for.
    [[nodiscard]] std::vector<std::string> record(const std::string& container);
    /// "NAME VERSION" of each paragraph of dpkg's status file.
    [[nodiscard]] std::vector<std::string> status(const std::string& container) const;

 private:
    TestDir debs_;
    unsigned number_ = 0;
    std::map<std::string, size_t> seen_;  ///< lines of each container's record
};

}  // namespace pwstore::test
