// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/base/error.hpp"
#include "store/store.hpp"
#include "store/usage.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using test::TestDir;

/// A store whose index is filled by hand: contents do not matter here.
struct Filled {
    TestDir dir;
    Store store = Store::open(dir.directories());
    WriteTxn txn = store.index().write();

    ObjectId object(uint64_t size, uint16_t copies = 1) {
        ObjectRow row;
        row.id = txn.next_object_id();
        row.copies = copies;
        ObjectKey key;
        key.digest.bytes[0] = static_cast<uint8_t>(row.id);
        key.digest.bytes[1] = static_cast<uint8_t>(row.id >> 8U);
        key.size = size;
        key.mode = 0644;
        txn.put_object(key, row);
        return row.id;
    }
    static Entry file(const std::string& path, ObjectId object, uint64_t size, uint32_t group = 0) {
        Entry entry;
        entry.path = path;
        entry.mode = 0644;
        entry.object = object;
        entry.size = size;
        entry.link_group = group;
        return entry;
    }
    InstalledPackage package(const std::string& name, std::vector<Entry> entries, ObjectId pkginfo = 0) {
        Manifest manifest;
        manifest.name = name;
        manifest.version = "1-1";
        manifest.arch = "any";
        manifest.entries = std::move(entries);
        manifest.pkginfo = pkginfo;
        InstalledPackage installed;
        installed.manifest = txn.add_manifest(manifest, false);
        installed.name = name;
        installed.version = "1-1";
        return installed;
    }
    void container(const std::string& name, std::vector<InstalledPackage> packages,
                   std::vector<GenerationRef> upstream = {}, uint32_t delta = 0) {
        Generation generation;
        generation.container = name;
        generation.number = 1;
        generation.packages = std::move(packages);
        generation.upstream = std::move(upstream);
        generation.delta = delta;
        txn.put_generation(generation);
        ContainerRow row;
        row.current = row.last_number = 1;
        txn.put_container(ContainerName(name), row);
    }
    StoreUsage usage() {
        txn.commit();
        return usage_of(store.index().read());
    }
};

const ContainerUsage& of(const StoreUsage& usage, const std::string& name) {
    for (const ContainerUsage& one : usage.containers) {
        if (one.container == name) return one;
    }
    throw Error("look for", name, "it is not there");
}

TEST(Usage, EmptyStore) {
    Filled it;
    const StoreUsage usage = it.usage();
    EXPECT_TRUE(usage.containers.empty());
    EXPECT_EQ(usage.objects + usage.stored + usage.referenced + usage.apparent, 0U);
}

TEST(Usage, SharedAndExclusive) {
    Filled it;
    const ObjectId big = it.object(1000), small = it.object(10), info = it.object(3),
                   garbage = it.object(500, 2);
    (void)garbage;
    const InstalledPackage both =
        it.package("both", {Filled::file("a", big, 1000), Filled::file("b", big, 1000)}, info);
    const InstalledPackage mine = it.package("mine", {Filled::file("c", small, 10)});
    it.container("one", {both, mine});
    it.container("two", {both});
    const StoreUsage usage = it.usage();
    const ContainerUsage& one = of(usage, "one");
    EXPECT_EQ(one.files, 3U);
    EXPECT_EQ(one.apparent, 2010U);
    EXPECT_EQ(one.exclusive, 10U);
    EXPECT_EQ(one.shared, 1003U) << "a content counts once, side objects count";
    EXPECT_EQ(of(usage, "two").exclusive, 0U);
    EXPECT_EQ(of(usage, "two").shared, 1003U);
    EXPECT_EQ(usage.objects, 4U);
    EXPECT_EQ(usage.stored, 1000U + 10 + 3 + 2 * 500);
    EXPECT_EQ(usage.referenced, 1013U);
    EXPECT_EQ(usage.apparent, 4010U);
}

TEST(Usage, WhatLiesBelowBelongsToBoth) {
    Filled it;
    const ObjectId lib = it.object(100), app = it.object(7), made = it.object(5);
    it.container("base", {it.package("lib", {Filled::file("lib", lib, 100)})});
    Delta delta;
    delta.entries.push_back({Filled::file("etc/made", made, 5), Cause::hook, "x", {}});
    const uint32_t id = it.txn.add_delta(delta);
    it.container("slice", {}, {{"base", 1}});
    // The base comes twice: directly, and through the slice.
    it.container("app", {it.package("app", {Filled::file("app", app, 7)})}, {{"base", 1}, {"slice", 1}}, id);
    const StoreUsage usage = it.usage();
    EXPECT_EQ(of(usage, "app").apparent, 112U);
    EXPECT_EQ(of(usage, "app").files, 3U);
    EXPECT_EQ(of(usage, "app").exclusive, 12U);
    EXPECT_EQ(of(usage, "app").shared, 100U);
    EXPECT_EQ(of(usage, "base").exclusive, 0U);
    EXPECT_EQ(of(usage, "slice").apparent, 100U);
}

TEST(Usage, HardLinksAreOneFile) {
    Filled it;
    const ObjectId object = it.object(50);
    it.container("one", {it.package("p", {Filled::file("a", object, 50, 1), Filled::file("b", object, 50, 1),
                                          Filled::file("c", object, 50, 2)})});
    const StoreUsage usage = it.usage();
    EXPECT_EQ(of(usage, "one").files, 2U);
    EXPECT_EQ(of(usage, "one").apparent, 100U);
    EXPECT_EQ(of(usage, "one").exclusive, 50U);
}

TEST(Usage, MissingGenerationIsCorruption) {
    Filled it;
    it.container("one", {}, {{"gone", 4}});
    try {
        (void)it.usage();
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::corrupt);
        EXPECT_NE(std::string(error.what()).find("gone"), std::string::npos);
    }
}

}  // namespace
}  // namespace pwstore
