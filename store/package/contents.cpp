// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/package/contents.hpp"

#include <algorithm>
#include <unordered_map>

#include "store/base/error.hpp"
#include "store/digest.hpp"
#include "store/local_database.hpp"
#include "store/package/reader.hpp"

namespace pwstore {

namespace {

/// Keeps what is about the package and the MD5 of its configuration files; all else is read and dropped.
class ContentsSink final : public PackageSink {
 public:
    explicit ContentsSink(PackageContents& contents) : contents_(contents) {}

    void add_file(ArchiveReader& reader, const ArchiveMember& member, const std::string& pkginfo,
                  size_t index, Entry& /*entry*/) override {
        if (!is_backup(pkginfo, member.path)) return;
        Md5Stream md5;
        for (std::string_view piece = reader.read_piece(); !piece.empty(); piece = reader.read_piece())
            md5.update(piece);
        md5_[index] = md5.finish();
    }

    [[nodiscard]] ObjectId add_side(std::string_view name, std::string_view content) override {
        if (name == ".PKGINFO") contents_.pkginfo = content;
        if (name == ".INSTALL") contents_.install = content;
        if (name == ".MTREE") contents_.mtree = content;
        if (name == ".CHANGELOG") contents_.changelog = content;
        return 1;
    }

    [[nodiscard]] std::string md5_of(size_t index, const std::string& /*path*/) override {
        return md5_.at(index);
    }

 private:
    /// Whether it may be one: before .PKGINFO, which comes first in any usual package, each may.
    bool is_backup(const std::string& pkginfo, const std::string& path) {
        if (pkginfo.empty()) return true;
        if (!backup_) {
            try {
                backup_ = parse_pkginfo(pkginfo).backup;
            } catch (const Error&) {
                return true;  // what is wrong with it is said at the end
            }
        }
        return std::find(backup_->begin(), backup_->end(), path) != backup_->end();
    }

    PackageContents& contents_;
    std::optional<std::vector<std::string>> backup_;
    std::unordered_map<size_t, std::string> md5_;
};

}  // namespace

PackageContents read_contents(ArchiveReader& reader, const IngestLimits& limits) {
    PackageContents contents;
    ContentsSink sink(contents);
    contents.manifest = read_package(reader, sink, limits);
    contents.manifest.pkginfo = contents.manifest.install = contents.manifest.mtree =
        contents.manifest.changelog = 0;
    return contents;
}

}  // namespace pwstore
