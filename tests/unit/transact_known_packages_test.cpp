// SPDX-License-Identifier: GPL-3.0-or-later
// Packages that the store has had before: when they are neither fetched nor read again, and when libalpm has
// to look at them.
#include <gmock/gmock.h>

#include "store/base/error.hpp"
#include "tests/support/fleet.hpp"
#include "transact/transaction.hpp"

namespace pwstore {
namespace {

using test::Fleet;
using test::PackageSpec;
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

}  // namespace
}  // namespace pwstore
