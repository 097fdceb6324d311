// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/unit/resolver_view.hpp"

namespace pwstore {
namespace {

using test::error_of;
using test::lines;
using test::PackageSpec;
using test::Reason;
using test::View;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr const char* kOld = "1.0-1deb";
constexpr const char* kNew = "2.0-1deb";
using Strings = std::vector<std::string>;

PackageSpec package(const std::string& name, const std::string& version, const Strings& depends = {}) {
    return {.name = name, .version = version, .depends = depends};
}

/// What a library is called after its ABI has changed: as Debian writes it, without a word that alpm has for
/// it.
PackageSpec renamed(const std::string& name, const std::string& old) {
    PackageSpec spec = package(name, kNew);
    spec.provides = {old + "=" + kNew};
    spec.conflicts = {old + "<" + kNew};
    return spec;
}

/// Packages whose versions end in "deb" were made of Debian's. Nobody is asked anything.
class MakingWayTest : public ::testing::Test {
 protected:
    MakingWayTest() {
        view.spec().is_deb_version = [](const std::string& version) { return version.ends_with("deb"); };
        view.spec().alternatives = [](const std::string& name) {
            return name == "a|b" ? Strings{"a", "b"} : Strings{};
        };
    }
    Plan upgrade(ResolveRequest request = {}) {
        request.upgrade = true;
        return view.prepare(request, [](const Question& question) -> int {
            ADD_FAILURE() << question.text;
            return question.default_answer;
        });
    }
    /// What is said when nobody agrees to anything.
    std::string refusal(ResolveRequest request = {.upgrade = true}) {
        return error_of([&] { (void)view.prepare(request, [](const Question&) { return 0; }); }).text;
    }
    View view;
};

TEST_F(MakingWayTest, WhatWasRenamedGoesForItsSuccessor) {
    view.installed(package("lib3", kOld), Reason::dependency);
    view.installed(package("app", kOld, {"lib3>=1"}));
    view.installed(package("plugin", kOld, {"lib3"}));  // no longer offered, and served by the new one
    view.repository("suite", {renamed("lib3t64", "lib3"), package("app", kNew, {"lib3t64"})});
    EXPECT_THAT(lines(upgrade()),
                ElementsAre("-lib3 1.0-1deb (d)", "+lib3t64 2.0-1deb (d) <lib3", "^app 1.0-1deb 2.0-1deb"));
    const Plan fetched = view.fetch({.upgrade = true});
    EXPECT_EQ(lines(fetched), lines(upgrade()));
}

TEST_F(MakingWayTest, TheSuccessorIsThereForWhatTheOldOneWas) {
    view.installed(package("lib3", kOld));
    view.installed(package("app", kOld, {"lib3"}));
    view.repository("suite", {renamed("lib3t64", "lib3"), package("app", kNew, {"lib3t64"})});
    EXPECT_THAT(lines(upgrade()),
                ElementsAre("-lib3 1.0-1deb", "+lib3t64 2.0-1deb <lib3", "^app 1.0-1deb 2.0-1deb"));
}

TEST_F(MakingWayTest, WhatIsLeftWithoutItsDependenciesGoesAsWell) {
    view.installed(package("lib", kOld));
    view.installed(package("plugin", kOld, {"lib=1.0-1deb"}), Reason::dependency);
    view.installed(package("more", kOld, {"plugin"}), Reason::dependency);
    view.installed(package("stays", kOld, {"lib"}), Reason::dependency);
    view.repository("suite", {package("lib", kNew)});
    EXPECT_THAT(lines(upgrade()),
                UnorderedElementsAre("-plugin 1.0-1deb (d)", "-more 1.0-1deb (d)", "^lib 1.0-1deb 2.0-1deb"));
}

TEST_F(MakingWayTest, WhatIsOfferedStays) {
    PackageSpec other = package("postfix", kNew);
    other.conflicts = {"exim"};
    view.installed(package("exim", kOld));
    view.installed(package("app", kOld));
    view.repository("suite", {other, package("exim", kOld), package("app", kNew, {"postfix"})});
    EXPECT_THAT(refusal(), HasSubstr("postfix and exim are in conflict"));
    view.installed(package("needs", kOld, {"app=1.0-1deb"}));
    view.repository("suite", {package("app", kNew), package("needs", kOld, {"app=1.0-1deb"})});
    EXPECT_THAT(refusal(), HasSubstr("needs requires app=1.0-1deb"));
}

// A repository that was made of one suite and updated to the next still has what only the first one had.
TEST_F(MakingWayTest, AnOldVersionOnOfferIsNone) {
    view.installed(package("lib3", kOld));
    view.installed(package("app", kOld, {"lib3"}));
    view.repository("suite",
                    {package("lib3", kOld), renamed("lib3t64", "lib3"), package("app", kNew, {"lib3t64"})});
    EXPECT_THAT(lines(upgrade()),
                ElementsAre("-lib3 1.0-1deb", "+lib3t64 2.0-1deb <lib3", "^app 1.0-1deb 2.0-1deb"));
    view.repository("suite", {package("lib3", "1.5-1deb"), renamed("lib3t64", "lib3"),
                              package("app", kNew, {"lib3t64"})});
    EXPECT_THAT(refusal(), HasSubstr("in conflict")) << "it could be upgraded, but not far enough";
}

TEST_F(MakingWayTest, OthersPackagesAreAskedAbout) {
    view.installed(package("lib3", "1.0-1"));
    view.installed(package("app", kOld, {"lib3"}));
    PackageSpec successor = renamed("lib3t64", "lib3");
    view.repository("suite", {successor, package("app", kNew, {"lib3t64"})});
    EXPECT_THAT(refusal(), HasSubstr("lib3t64 and lib3 are in conflict"));
}

TEST_F(MakingWayTest, WhatIsToBeIgnoredStays) {
    view.installed(package("lib3", kOld));
    view.installed(package("app", kOld, {"lib3"}));
    view.repository("suite", {renamed("lib3t64", "lib3"), package("app", kNew, {"lib3t64"})});
    EXPECT_THAT(refusal({.upgrade = true, .ignore = {"lib3"}}), HasSubstr("in conflict"));
}

TEST_F(MakingWayTest, ARemovalTakesNobodyAlong) {
    view.installed(package("lib", kOld));
    view.installed(package("plugin", kOld, {"lib"}));
    view.repository("suite", {});
    EXPECT_THAT(refusal({.remove = {"lib"}}), HasSubstr("plugin requires lib"));
}

// The new name has come below, in the same transaction: no conflict of what is installed here.
TEST_F(MakingWayTest, WhatIsInTheWayOfWhatLiesBelowGoes) {
    view.installed(renamed("lib3t64", "lib3"));
    view.installed(package("lib3", kOld), Reason::dependency);
    view.installed(package("mine", kOld, {"below=1.0-1deb"}), Reason::dependency);
    view.installed(package("below", kNew));
    view.spec().foreign = {"lib3t64", "below"};
    view.repository("suite", {renamed("lib3t64", "lib3")});
    EXPECT_THAT(lines(upgrade()), UnorderedElementsAre("-lib3 1.0-1deb (d)", "-mine 1.0-1deb (d)"));
    view.spec().foreign = {"lib3t64", "below", "lib3", "mine"};
    EXPECT_THAT(lines(upgrade()), IsEmpty()) << "what is not this container's own";
}

// A name for alternatives is made where a suite has a use for it; the next suite may have none.
TEST_F(MakingWayTest, AlternativesHoldWithoutTheirName) {
    PackageSpec old = package("a", kOld);
    old.provides = {"a|b"};
    view.installed(old);
    view.installed(package("user", kOld, {"a|b"}));
    view.repository("suite", {package("a", kNew)});
    EXPECT_THAT(lines(upgrade()), ElementsAre("^a 1.0-1deb 2.0-1deb"));
}

TEST_F(MakingWayTest, AnInstalledSetWithAlternativesIsSound) {
    view.installed(package("a", kNew));
    view.installed(package("user", kOld, {"a|b"}));
    EXPECT_THAT(view.session().check_installed(), IsEmpty());
    view.spec().alternatives = {};
    EXPECT_THAT(view.session().check_installed(),
                ElementsAre(::testing::Field(&SetProblem::package, "user")));
}

TEST_F(MakingWayTest, AlternativesThatNobodyIsAnyMoreDoNotHold) {
    PackageSpec old = package("a", kOld, {"lib=1.0-1deb"});
    old.provides = {"a|b"};
    view.installed(old);
    view.installed(package("lib", kOld));
    view.installed(package("user", kOld, {"a|b"}));
    view.repository("suite", {package("lib", kNew)});
    EXPECT_THAT(lines(upgrade()),
                UnorderedElementsAre("-a 1.0-1deb", "-user 1.0-1deb", "^lib 1.0-1deb 2.0-1deb"));
}

}  // namespace
}  // namespace pwstore
