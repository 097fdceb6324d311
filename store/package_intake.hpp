// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <vector>

#include "store/object_intake.hpp"
#include "store/package/reader.hpp"
#include "store/package_history.hpp"

namespace pwstore {

/// The contents of one package become objects of an intake.
class PackageIntake final : public PackageSink {
 public:
    PackageIntake(ObjectIntake& intake, PackageHistory& history, const ObjectStore& objects)
        : intake_(intake), history_(history), objects_(objects) {}

    void add_file(ArchiveReader& reader, const ArchiveMember& member, const std::string& pkginfo,
                  size_t index, Entry& entry) override;
    [[nodiscard]] ObjectId add_side(std::string_view name, std::string_view content) override;
    [[nodiscard]] std::string md5_of(size_t index, const std::string& path) override;

 private:
    [[nodiscard]] std::optional<StoredObject> guess_of(const ArchiveMember& member,
                                                       const std::string& pkginfo);

    ObjectIntake& intake_;
    PackageHistory& history_;
    const ObjectStore& objects_;
    std::string buffer_;
    std::vector<ObjectKey> keys_;  ///< by number of the entry; empty for those that are no files
};

}  // namespace pwstore
