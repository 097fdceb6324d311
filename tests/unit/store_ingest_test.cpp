// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/ingest.hpp"
#include "tests/support/package_builder.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore::test {

namespace {

/// A store in a fresh directory, and shortcuts to put packages into it.
class StoreIngest : public ::testing::Test {
 protected:
    IngestedArchive ingest(const std::string& archive) { return ingest_all({archive}).front(); }
    std::vector<IngestedArchive> ingest_all(const std::vector<std::string>& archives) {
        std::vector<ArchiveSource> sources;
        for (const std::string& path : archives)
            sources.push_back({path, std::nullopt});
        Ingestor ingestor(store_, sink_);
        ingestor.add_archives(sources);
        ingestor.commit(nullptr, false);
        stats_ = ingestor.stats();
        return ingestor.results();
    }
    std::string build(const PackageSpec& spec) { return build_package(dir_.path("packages"), spec); }
    Manifest manifest(ManifestId id) { return store_.index().read().manifest(id); }
    std::string content(ObjectId id) {
        const auto key = store_.index().read().object(id).first;
        return read_all(store_.objects().open(key).get(), key.path(0));
    }

    TestDir dir_;
    Store store_ = Store::open(dir_.directories());
    SilentSink sink_;
    IngestStats stats_;
};

TEST_F(StoreIngest, KeepsWhatAPackageHolds) {
    PackageSpec spec{.name = "alpha"};
    spec.files = {{"usr/bin/a", {"#!/bin/sh\n", 04755}}, {"etc/a.conf", {"x=1\n"}}};
    spec.symlinks = {{"usr/bin/b", "a"}};
    spec.backup = {"etc/a.conf"};
    const IngestedArchive done = ingest(build(spec));
    EXPECT_EQ(done.name, "alpha");
    EXPECT_EQ(done.version, "1.0-1");
    EXPECT_FALSE(done.was_known);
    const Manifest read = manifest(done.id);
    ASSERT_NE(read.find("usr/bin/a"), nullptr);
    EXPECT_EQ(read.find("usr/bin/a")->mode, 04755U);
    EXPECT_EQ(content(read.find("usr/bin/a")->object), "#!/bin/sh\n");
    EXPECT_EQ(read.find("usr/bin/b")->target, "a");
    EXPECT_EQ(read.find("etc/a.conf")->backup_md5, reference_md5("x=1\n"));
    EXPECT_EQ(content(read.pkginfo), pkginfo_text(spec));
    EXPECT_EQ(read.install, 0U);
}

}  // namespace

}  // namespace pwstore::test
