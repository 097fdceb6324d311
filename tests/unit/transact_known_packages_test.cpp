// SPDX-License-Identifier: GPL-3.0-or-later
// Packages that the store has had before: when they are neither fetched nor read again, and when libalpm has
// to look at them.
#include <fcntl.h>
#include <gmock/gmock.h>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/store.hpp"
#include "tests/support/damage.hpp"
#include "tests/support/fleet.hpp"
#include "transact/fetch_archives.hpp"
#include "transact/transaction.hpp"

namespace pwstore {
namespace {

using test::Fleet;
using test::PackageSpec;
using ::testing::AllOf;
using ::testing::HasSubstr;

PackageSpec package(const std::string& name, const std::string& file) {
    PackageSpec spec;
    spec.name = name;
    spec.files[file] = {name};
    return spec;
}

/// What is wrong with `request`; empty when nothing is.
std::string failure(Fleet& fleet, const TransactionRequest& request) {
    try {
        fleet.run(request);
    } catch (const Error& error) {
        return std::string(error.what()) + "\n" + error.hint();
    }
    return {};
}

TransactionRequest install(const Fleet& fleet, const std::string& container, const std::string& name) {
    TransactionRequest request = fleet.request(container);
    request.containers[0].packages.install = {name};
    return request;
}

TransactionRequest another(const Fleet& fleet, const std::string& name,
                           const std::vector<std::string>& packages) {
    TransactionRequest request = fleet.create_base(name, packages);
    request.refresh = 0;
    return request;
}

TEST(KnownPackages, NeedNoArchive) {
    Fleet fleet;
    fleet.repository({package("one", "usr/bin/one"), package("two", "usr/bin/two")}, "Never");
    fleet.run(fleet.create_base("first", {"one", "two"}));
    fleet.lose_archives();
    const TransactionReport report = fleet.run(another(fleet, "second", {"one"}));
    EXPECT_EQ(report.containers.front().installed, 1U);
    EXPECT_EQ(fleet.read("second", "usr/bin/one"), "one");
    const InstalledPackage before = *fleet.current("first").find_package("one");
    const InstalledPackage now = *fleet.current("second").find_package("one");
    EXPECT_EQ(now.manifest, before.manifest);
    EXPECT_EQ(now.validation, before.validation);
    fleet.run(install(fleet, "second", "two"));
    fleet.run(install(fleet, "second", "two"));  // over itself
    EXPECT_EQ(fleet.read("second", "usr/bin/two"), "two");
    fleet.expect_sound();
}

TEST(KnownPackages, AreFetchedWhereSignaturesCount) {
    Fleet fleet;
    fleet.repository({package("one", "usr/bin/one")}, "Optional TrustAll");
    fleet.run(fleet.create_base("first", {"one"}));
    EXPECT_EQ(failure(fleet, another(fleet, "second", {"one"})), "");
    fleet.lose_archives();
    EXPECT_THAT(failure(fleet, another(fleet, "third", {"one"})), HasSubstr("fetch"));
}

TEST(KnownPackages, AreFetchedBesideOneThatIsNot) {
    Fleet fleet;
    fleet.repository({package("one", "usr/bin/one"), package("two", "usr/bin/two")}, "Never");
    fleet.run(fleet.create_base("first", {"one"}));
    fleet.run(another(fleet, "second", {"one", "two"}));
    EXPECT_EQ(fleet.read("second", "usr/bin/two"), "two");
    fleet.expect_sound();
}

TEST(KnownPackages, ThatMeetAreForLibalpmToJudge) {
    Fleet fleet;
    fleet.repository({package("one", "usr/bin/tool"), package("two", "usr/bin/tool")}, "Never");
    fleet.run(fleet.create_base("first", {"one"}));
    fleet.run(another(fleet, "second", {"two"}));
    EXPECT_THAT(failure(fleet, another(fleet, "third", {"one", "two"})),
                HasSubstr("both one and two have it"));
    EXPECT_THAT(failure(fleet, install(fleet, "first", "two")), HasSubstr("usr/bin/tool"));
    TransactionRequest forced = install(fleet, "first", "two");
    forced.containers[0].packages.overwrite = {"usr/bin/*"};
    EXPECT_EQ(failure(fleet, forced), "");
    EXPECT_EQ(fleet.read("first", "usr/bin/tool"), "two");
    fleet.expect_sound();
}

TEST(KnownPackages, ThatMeetSomebodysFileAreForLibalpmToJudge) {
    Fleet fleet;
    fleet.repository({package("one", "usr/bin/one"), package("two", "usr/bin/two")}, "Never");
    fleet.run(fleet.create_base("first", {"one", "two"}));
    fleet.run(another(fleet, "second", {"one"}));
    fleet.user_edit("second", "usr/bin/two", "mine");
    EXPECT_THAT(failure(fleet, install(fleet, "second", "two")), HasSubstr("usr/bin/two"));
    EXPECT_EQ(fleet.read("second", "usr/bin/two"), "mine");
}

// --- Damage ---

/// Absolute path of the stored file of `path` of package `name` in `container`.
std::string stored_file(const Fleet& fleet, const std::string& container, const std::string& name,
                        const std::string& path) {
    const ManifestId id = fleet.current(container).find_package(name)->manifest;
    const auto store = Store::open_read_only(fleet.directories());
    const ReadTxn txn = store->index().read();
    const Manifest manifest = txn.manifest(id);
    return fleet.data("store/objects/" + txn.object(manifest.find(path)->object).first.path(0));
}

TEST(DamagedStore, MakesNoNewContainer) {
    Fleet fleet;
    fleet.repository({package("one", "usr/bin/one")}, "Never");
    fleet.run(fleet.create_base("first", {"one"}));
    test::truncate_file(stored_file(fleet, "first", "one", "usr/bin/one"), 0);
    EXPECT_THAT(failure(fleet, another(fleet, "second", {"one"})),
                AllOf(HasSubstr("usr/bin/one"), HasSubstr("has 0 bytes instead of 3"),
                      HasSubstr("pwstore verify --heal")));
    EXPECT_FALSE(fleet.exists("second"));
}

TEST(DamagedStore, IsPutRightByInstallingThePackageAgain) {
    for (const char* level : {"Never", "Optional TrustAll"}) {
        Fleet fleet;
        fleet.repository({package("one", "usr/bin/one")}, level);
        fleet.run(fleet.create_base("first", {"one"}));
        test::flip_byte(stored_file(fleet, "first", "one", "usr/bin/one"), 1);
        fleet.run(install(fleet, "first", "one"));
        EXPECT_EQ(fleet.read("first", "usr/bin/one"), "one") << level;
        EXPECT_THAT(fleet.dialogue.messages, ::testing::Contains(HasSubstr("was damaged or missing")));
        EXPECT_THAT(fleet.dialogue.messages, ::testing::Contains(HasSubstr("verify --heal")));
    }
}

TEST(DamagedStore, ArchivesAreFetchedAgainToHealIt) {
    Fleet fleet;
    fleet.repository({package("one", "usr/bin/one"), package("two", "usr/bin/two")}, "Never");
    fleet.run(fleet.create_base("first", {"one"}));
    const std::string cache = fleet.directories().cache + "/pkg";
    const std::string archive = "one-1.0-1-any.pkg.tar.zst";
    ASSERT_TRUE(exists_at(AT_FDCWD, cache + "/" + archive));
    remove_tree(AT_FDCWD, cache);
    const Store store = Store::open(fleet.directories());
    Manifest one = store.index().read().manifest(fleet.current("first").find_package("one")->manifest);
    SilentSink sink;
    EXPECT_TRUE(fetch_archives(store, {one}, sink));
    EXPECT_TRUE(exists_at(AT_FDCWD, cache + "/" + archive));
    EXPECT_FALSE(exists_at(AT_FDCWD, cache + "/two-1.0-1-any.pkg.tar.zst"));
    remove_tree(AT_FDCWD, cache);
    one.archive_sha256->bytes[0] ^= 1U;
    EXPECT_FALSE(fetch_archives(store, {one}, sink)) << "another archive of that version";
    EXPECT_FALSE(exists_at(AT_FDCWD, cache + "/" + archive));
}

}  // namespace
}  // namespace pwstore
