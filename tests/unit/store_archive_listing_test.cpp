// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/package/archive_listing.hpp"
#include "tests/support/ingest_fixture.hpp"
#include "tests/support/package_builder.hpp"

namespace pwstore::test {

namespace {

class StoreArchiveListing : public IngestFixture {
 protected:
    [[nodiscard]] uint64_t missing(const std::string& archive) const {
        return missing_bytes(store_.index().read(), list_archive(archive).contents);
    }
    /// .PKGINFO and .MTREE of a package, a block each.
    static constexpr uint64_t kSides = 2 * kDiskBlock;
};

PackageSpec two_files(const std::string& name) {
    PackageSpec spec{.name = name};
    spec.files = {{"usr/share/large", {std::string(9000, 'l')}}, {"etc/small.conf", {"s"}}};
    spec.symlinks = {{"usr/share/link", "large"}};
    spec.backup = {"etc/small.conf"};
    return spec;
}

TEST_F(StoreArchiveListing, KnowsWhatTheManifestWillSay) {
    PackageSpec spec = two_files("alpha");
    spec.install = "post_install() { :; }\n";
    spec.files["usr/lib/m.py"] = {.content = "print()\n", .mtime = 99};
    const std::string archive = build(spec);
    const ArchiveListing listing = list_archive(archive);
    std::map<std::string, const Entry*> listed;
    for (const Entry& entry : listing.entries)
        listed[entry.path] = &entry;
    const Manifest read = manifest(ingest(archive).id);
    EXPECT_EQ(listed.size(), read.entries.size());
    for (const Entry& entry : read.entries) {
        const Entry& guess = *listed.at(entry.path);
        EXPECT_EQ(guess.kind, entry.kind) << entry.path;
        EXPECT_EQ(guess.mode, entry.mode) << entry.path;
        EXPECT_EQ(guess.size, entry.size) << entry.path;
        EXPECT_EQ(guess.target, entry.target) << entry.path;
        EXPECT_EQ(guess.backup_md5.empty(), entry.backup_md5.empty()) << entry.path;
    }
    EXPECT_EQ(listing.side_bytes, key(read.mtree).size + key(read.install).size);
    EXPECT_EQ(missing(archive), 0U) << "all of it is in the store now";
}

TEST_F(StoreArchiveListing, CountsOnlyWhatIsNoObjectYet) {
    const std::string first = build(two_files("first"));
    EXPECT_EQ(missing(first), 3 * kDiskBlock + kDiskBlock + kSides);
    ingest(first);
    const std::string second = build(two_files("second"));
    EXPECT_EQ(missing(second), kSides);
    PackageSpec executable = two_files("executable");
    executable.files["usr/share/large"].mode = 0755;
    EXPECT_EQ(missing(build(executable)), 3 * kDiskBlock + kSides) << "another mode is another inode";
    PackageSpec twice = two_files("twice");
    twice.files["usr/share/more"] = twice.files["usr/share/again"] = {std::string(5000, 'm')};
    EXPECT_EQ(missing(build(twice)), 2 * kDiskBlock + kSides) << "equal files are one object";
}

TEST_F(StoreArchiveListing, ATimeCountsWhereItIsPartOfAnObject) {
    PackageSpec spec{.name = "python"};
    spec.files = {{"usr/lib/m.py", {.content = "print()\n", .mtime = 99}},
                  {"usr/lib/m", {.content = "m", .mtime = 99}}};
    ingest(build(spec));
    spec.version = "2-1";
    EXPECT_EQ(missing(build(spec)), kSides);
    for (auto& [path, file] : spec.files)
        file.mtime = 100;
    spec.version = "3-1";
    EXPECT_EQ(missing(build(spec)), kDiskBlock + kSides);
}

TEST_F(StoreArchiveListing, WithoutMtreeTheFilesAreRead) {
    ingest(build(two_files("alpha")));
    const std::string archive = RawTar()
                                    .pkginfo("bare")
                                    .directory("usr/")
                                    .file("usr/large", std::string(9000, 'l'))
                                    .file("usr/new", std::string(5000, 'n'))
                                    .write(dir_.path("bare-1-1-any.pkg.tar.zst"));
    EXPECT_EQ(missing(archive), 2 * kDiskBlock + kDiskBlock) << "the new file, and .PKGINFO";
    EXPECT_EQ(list_archive(archive).entries.size(), 3U);
    const std::string partial = RawTar()
                                    .pkginfo("partial")
                                    .file(".MTREE", "#mtree\n./usr/new time=1.0 mode=644 size=1 type=file\n")
                                    .file("usr/new", std::string(5000, 'n'))
                                    .write(dir_.path("partial-1-1-any.pkg.tar.zst"));
    EXPECT_EQ(missing(partial), 2 * kDiskBlock + kSides) << "a list without SHA-256 says nothing";
}

TEST_F(StoreArchiveListing, WithAnUnusableMtreeTheFilesAreRead) {
    const std::string digest = " time=1.0 mode=644 size=1 type=file sha256digest=" + std::string(64, '0');
    const std::vector<std::string> lists = {
        "",
        "no mtree at all",
        "#mtree\n./opt/My App/x" + digest + "\n",
        "#mtree\n/usr/new" + digest + "\n",
        "#mtree\n../new" + digest + "\n",
        "#mtree\n./usr/new time=1.0 mode=644 size=1 type=file sha256digest=" + std::string(64, 'z') + "\n",
        "#mtree\n./usr/" + std::string(70'000, 'n') + digest + "\n",
        "#mtree\n./usr/new time=1.0 mode=644 size",
        compressed("#mtree\n./usr/new" + digest + "\n", "gz").substr(0, 40),
    };
    for (const std::string& list : lists) {
        const std::string archive = RawTar()
                                        .pkginfo("odd")
                                        .file(".MTREE", list)
                                        .file("usr/new", std::string(5000, 'n'))
                                        .write(dir_.path("odd-1-1-any.pkg.tar.zst"));
        const ArchiveListing listing = list_archive(archive);
        ASSERT_EQ(listing.entries.size(), 1U) << list.substr(0, 80);
        EXPECT_EQ(listing.entries[0].size, 5000U) << list.substr(0, 80);
    }
}

}  // namespace

}  // namespace pwstore::test
