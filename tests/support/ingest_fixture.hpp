// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "store/base/error.hpp"
#include "store/ingest.hpp"
#include "tests/support/package_builder.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore::test {

/// A store in a fresh directory, and shortcuts to put packages into it and to look at it.
class IngestFixture : public ::testing::Test {
 protected:
    explicit IngestFixture(const StoreOptions& options = {})
        : store_(Store::open(dir_.directories(), options)) {}

    IngestedArchive ingest(const std::string& archive) { return ingest_all({archive}).front(); }
    std::vector<IngestedArchive> ingest_all(const std::vector<std::string>& archives);
    std::string build(const PackageSpec& spec) const { return build_package(dir_.path("packages"), spec); }
    /// The text of the Error that ingesting `archive` ends with; checks its fault and that it names the
    /// archive.
    std::string error_of(const std::string& archive, Fault fault);

    [[nodiscard]] Manifest manifest(ManifestId id) const { return store_.index().read().manifest(id); }
    [[nodiscard]] ObjectKey key(ObjectId id) const { return store_.index().read().object(id).first; }
    [[nodiscard]] std::string content(ObjectId id) const;
    [[nodiscard]] std::string object_path(ObjectId id) const {
        return dir_.path("data/store/objects/" + key(id).path(0));
    }
    /// Of one path of the package in `archive`, ingested before.
    [[nodiscard]] Entry entry(ManifestId id, const std::string& path) const;

    [[nodiscard]] std::vector<std::string> object_files() const;
    [[nodiscard]] uint64_t object_rows() const;
    /// Nothing is below staging, every row has its intact file, and every file has a row (unless a killed
    /// process may have left some: garbage).
    enum class Garbage { none, allowed };
    void expect_consistent(Garbage garbage = Garbage::none) const;

    TestDir dir_;
    Store store_;
    SilentSink sink_;
    Ingestor::Options options_;
    IngestStats stats_;
};

}  // namespace pwstore::test
