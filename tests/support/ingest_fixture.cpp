// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/ingest_fixture.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore::test {

std::vector<IngestedArchive> IngestFixture::ingest_all(const std::vector<std::string>& archives) {
    std::vector<ArchiveSource> sources;
    for (const std::string& path : archives)
        sources.push_back({path, std::nullopt});
    Ingestor ingestor(store_, sink_, options_);
    ingestor.add_archives(sources);
    ingestor.commit(nullptr, false);
    stats_ = ingestor.stats();
    return ingestor.results();
}

std::string IngestFixture::error_of(const std::string& archive, Fault fault) {
    try {
        (void)ingest(archive);
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), fault) << error.what();
        EXPECT_THAT(error.what(), ::testing::HasSubstr(archive));
        return error.what();
    }
    ADD_FAILURE() << archive << ": no error";
    return {};
}

std::string IngestFixture::content(ObjectId id) const {
    return read_all(store_.objects().open(key(id)).get(), "object");
}

Entry IngestFixture::entry(ManifestId id, const std::string& path) const {
    const Manifest read = manifest(id);
    const Entry* found = read.find(path);
    if (found == nullptr) throw Error("find in manifest", path, "not there");
    return *found;
}

std::vector<std::string> IngestFixture::object_files() const {
    std::vector<std::string> files;
    for (const DirectoryItem& shard : list_directory(store_.objects().fd())) {
        for (const DirectoryItem& item : list_directory(open_dir(store_.objects().fd(), shard.name).get()))
            files.push_back(shard.name + "/" + item.name);
    }
    return files;
}

uint64_t IngestFixture::object_rows() const {
    return store_.index().read().object_count();
}

void IngestFixture::expect_consistent(Garbage garbage) const {
    EXPECT_TRUE(list_directory(open_dir(store_.layout().data(), names::kStaging).get()).empty());
    std::vector<std::string> recorded;
    store_.index().read().for_each_object([&](const ObjectKey& key, const ObjectRow& row) {
        EXPECT_TRUE(store_.objects().is_intact(key, 0, store_.digest())) << key.path(0);
        const std::string bytes = read_all(store_.objects().open(key).get(), "object");
        EXPECT_EQ(row.sha256.hex(), reference_sha256(bytes)) << key.path(0);
        recorded.push_back(key.path(0));
    });
    if (garbage == Garbage::none) {
        EXPECT_THAT(object_files(), ::testing::UnorderedElementsAreArray(recorded));
    }
}

}  // namespace pwstore::test
