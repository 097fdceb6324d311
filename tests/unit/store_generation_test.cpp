// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <functional>

#include "store/base/error.hpp"
#include "store/generation.hpp"
#include "tests/support/corruption.hpp"

namespace pwstore {
namespace {

Delta sample_delta() {
    Delta delta;
    DeltaEntry file;
    file.entry.path = "etc/passwd";
    file.entry.size = 4;
    file.entry.object = 9;
    file.cause = Cause::scriptlet;
    file.agent = "shadow";
    file.below = sha256_of("below");
    DeltaEntry gone;
    gone.entry.path = "usr/share/doc";
    gone.entry.kind = EntryKind::whiteout;
    gone.cause = Cause::user;
    delta.entries = {file, gone};
    return delta;
}

Generation sample_generation() {
    Generation generation;
    generation.container = "editor";
    generation.number = 4;
    generation.parent = 3;
    generation.transaction = 17;
    generation.cause = "install neovim";
    generation.time = 1'700'000'000;
    generation.upstream = {{"base", 2}, {"tools", 9}};
    InstalledPackage package;
    package.manifest = 5;
    package.name = "neovim";
    package.version = "0.9-1";
    package.reason = InstallReason::dependency;
    package.install_date = 1'600'000'000;
    package.validation = 2;
    package.backup_md5 = {{"etc/a", md5_hex("a")}, {"etc/b", md5_hex("b")}};
    InstalledPackage second;
    second.manifest = 6;
    second.name = "lua";
    generation.packages = {package, second};
    generation.delta = 8;
    generation.policy = sha256_of("policy");
    generation.notes = {{"neovim", "scriptlet failed with 1"}};
    generation.recipe_digest = sha256_of("recipe");
    generation.tree_digest = sha256_of("tree");
    generation.digest = sha256_of("generation");
    return generation;
}

TEST(Delta, IsReadAsItWasWritten) {
    const Delta read = Delta::decode(sample_delta().encode());
    ASSERT_EQ(read.entries.size(), 2U);
    for (size_t i = 0; i < 2; ++i) {
        const DeltaEntry expected = sample_delta().entries[i];
        EXPECT_EQ(read.entries[i].entry, expected.entry);
        EXPECT_EQ(read.entries[i].cause, expected.cause);
        EXPECT_EQ(read.entries[i].agent, expected.agent);
        EXPECT_EQ(read.entries[i].below, expected.below);
    }
    EXPECT_NE(read.find("etc/passwd"), nullptr);
    EXPECT_EQ(read.find("etc"), nullptr);
    EXPECT_TRUE(Delta::decode(Delta{}.encode()).entries.empty());
}

TEST(Delta, NamesItsObjects) {
    std::vector<ObjectId> ids;
    Delta::for_each_object(
        sample_delta().encode(),
        [](void* context, ObjectId id) { static_cast<std::vector<ObjectId>*>(context)->push_back(id); },
        &ids);
    EXPECT_EQ(ids, std::vector<ObjectId>{9});
}

TEST(Delta, SurvivesCorruption) {
    test::expect_survives_corruption(
        sample_delta().encode(), [](std::string_view bytes) { return Delta::decode(bytes); },
        [](const Delta& delta) { return delta.encode(); });
}

TEST(Delta, RefusesCausesThatDoNotExist) {
    for (const int cause : {0, 6, 255}) {
        Delta delta = sample_delta();
        delta.entries[1].cause = static_cast<Cause>(cause);
        EXPECT_THROW((void)Delta::decode(delta.encode()), Error) << cause;
    }
}

TEST(Delta, IsNotAManifest) {
    EXPECT_THROW((void)Manifest::decode(sample_delta().encode()), Error);
    EXPECT_THROW((void)Delta::decode(Manifest{}.encode()), Error);
}

TEST(Generation, IsReadAsItWasWritten) {
    const Generation expected = sample_generation();
    const Generation read = Generation::decode(expected.encode());
    EXPECT_EQ(read.container, expected.container);
    EXPECT_EQ(read.number, expected.number);
    EXPECT_EQ(read.parent, expected.parent);
    EXPECT_EQ(read.transaction, expected.transaction);
    EXPECT_EQ(read.cause, expected.cause);
    EXPECT_EQ(read.time, expected.time);
    EXPECT_EQ(read.upstream, expected.upstream);
    EXPECT_EQ(read.packages, expected.packages);
    EXPECT_EQ(read.delta, expected.delta);
    EXPECT_EQ(read.policy, expected.policy);
    EXPECT_EQ(read.notes, expected.notes);
    EXPECT_EQ(read.recipe_digest, expected.recipe_digest);
    EXPECT_EQ(read.tree_digest, expected.tree_digest);
    EXPECT_EQ(read.digest, expected.digest);
    ASSERT_NE(read.find_package("lua"), nullptr);
    EXPECT_EQ(read.find_package("lua")->manifest, 6U);
    EXPECT_EQ(read.find_package("vi"), nullptr);
}

TEST(Generation, SurvivesCorruption) {
    test::expect_survives_corruption(
        sample_generation().encode(), [](std::string_view bytes) { return Generation::decode(bytes); },
        [](const Generation& generation) { return generation.encode(); });
}

TEST(Generation, RefusesWhatMakesNoSense) {
    const std::function<void(Generation&)> breakages[] = {
        [](Generation& g) { g.container = "../x"; },
        [](Generation& g) { g.number = 0; },
        [](Generation& g) { g.parent = g.number; },
        [](Generation& g) { g.packages[0].manifest = 0; },
        [](Generation& g) { g.packages[0].name = ""; },
        [](Generation& g) { g.packages[0].name = g.packages[1].name; },
        [](Generation& g) { g.upstream[0].container = ""; },
        [](Generation& g) { g.upstream[0].generation = 0; },
    };
    size_t number = 0;
    for (const auto& breakage : breakages) {
        Generation generation = sample_generation();
        breakage(generation);
        EXPECT_THROW((void)generation.encode(), Error) << "breakage " << number;
        ++number;
    }
}

TEST(Generation, RefusesBackupsOutOfOrder) {
    const std::string good = sample_generation().encode();
    std::string bytes = good;
    bytes.replace(bytes.find("etc/b"), 5, "etc/a");
    EXPECT_THROW((void)Generation::decode(bytes), Error);
}

TEST(Generation, RefusesReasonsThatDoNotExist) {
    Generation generation = sample_generation();
    generation.packages[0].reason = static_cast<InstallReason>(2);
    EXPECT_THROW((void)Generation::decode(generation.encode()), Error);
}

TEST(ContainerRow, RefusesANumberThatWasNeverGiven) {
    ContainerRow row;
    row.current = 6;
    row.last_number = 5;
    EXPECT_THROW((void)ContainerRow::decode(row.encode()), Error);
}

TEST(ContainerRow, IsReadAsItWasWrittenAndSurvivesCorruption) {
    ContainerRow row;
    row.type = ContainerType::aggregate;
    row.current = 3;
    row.last_number = 5;
    row.dependencies = {"base", "tools"};
    const ContainerRow read = ContainerRow::decode(row.encode());
    EXPECT_EQ(read.type, row.type);
    EXPECT_EQ(read.current, row.current);
    EXPECT_EQ(read.last_number, row.last_number);
    EXPECT_EQ(read.dependencies, row.dependencies);
    test::expect_survives_corruption(
        row.encode(), [](std::string_view bytes) { return ContainerRow::decode(bytes); },
        [](const ContainerRow& one) { return one.encode(); });
}

}  // namespace
}  // namespace pwstore
