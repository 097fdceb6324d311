// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/unit/resolver_view.hpp"

namespace pwstore {
namespace {

using test::error_of;
using test::lines;
using test::PackageSpec;
using test::Reason;
using test::View;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

PackageSpec package(const std::string& name, const std::string& version = "1.0-1") {
    return {.name = name, .version = version};
}

/// A base has liba 1.0 and provx (which provides virt), merged into the view of a container that is built on
/// it.
class UpstreamTest : public ::testing::Test {
 protected:
    UpstreamTest() {
        PackageSpec provx = package("provx");
        provx.provides = {"virt"};
        view.installed(package("liba"));
        view.installed(provx);
        view.installed(package("orphan"), Reason::dependency);
        view.spec().foreign = {"liba", "provx", "orphan"};
        view.spec().upstream_of = {{"liba", "ground"}, {"provx", "ground"}, {"orphan", "ground"}};
    }
    void repository(const std::string& liba_version = "1.0-1") {
        PackageSpec app = package("app");
        app.depends = {"liba", "virt"};
        PackageSpec app2 = package("app2");
        app2.depends = {"liba>=2"};
        PackageSpec confl = package("confl");
        confl.conflicts = {"liba"};
        PackageSpec newx = package("newx");
        newx.replaces = {"provx"};
        newx.provides = {"virt"};
        PackageSpec provx = package("provx");
        provx.provides = {"virt"};
        PackageSpec grouped = package("grouped");
        grouped.groups = {"set"};
        PackageSpec liba = package("liba", liba_version);
        liba.groups = {"set"};
        view.repository("repo", {liba, provx, newx, app, app2, confl, grouped});
    }
    View view;
};

TEST_F(UpstreamTest, SatisfiesDependencies) {
    repository();
    EXPECT_THAT(lines(view.prepare({.install = {"app"}})), ElementsAre("+app 1.0-1"));
}

TEST_F(UpstreamTest, IsNotInstalledASecondTime) {
    repository();
    for (const char* target : {"liba", "repo/liba", "liba>=1", "provx", "virt"}) {
        // newx provides virt too, but provx is there.
        const Plan plan = view.prepare({.install = {target}});
        EXPECT_THAT(lines(plan), IsEmpty()) << target;
        EXPECT_THAT(plan.notes, ElementsAre(HasSubstr("the container 'ground'"))) << target;
    }
    const Plan plan = view.prepare({.install = {"set"}});
    EXPECT_THAT(lines(plan), ElementsAre("+grouped 1.0-1"));
    EXPECT_THAT(plan.notes, ElementsAre(HasSubstr("liba 1.0-1 is there already")));
}

/// Whoever gives a version writes it as people do, not as the repository does.
TEST_F(UpstreamTest, VersionsMayBeGivenAsPeopleWriteThem) {
    const auto encoded = [](const std::string& version) { return "v" + version; };
    view.repository("repo", {package("tool", encoded("2.0-1")), package("plain", "2.0-1")});
    view.spec().version_like = [&](const std::string& given, const std::string& there) {
        return there.front() == 'v' && given.front() != 'v' ? encoded(given) : given;
    };
    for (const char* target : {"tool=2.0-1", "repo/tool=2.0-1", "tool>=2.0-1", "tool=v2.0-1"})
        EXPECT_THAT(lines(view.prepare({.install = {target}})), ElementsAre("+tool v2.0-1")) << target;
    EXPECT_THAT(lines(view.prepare({.install = {"plain=2.0-1"}})), ElementsAre("+plain 2.0-1"));
    EXPECT_THAT(error_of([&] { view.prepare({.install = {"tool=1.0-1"}}); }).text,
                HasSubstr("tool=1.0-1: no such package"));
}

TEST_F(UpstreamTest, IsNeverUpgradedOrReplaced) {
    repository("2.0-1");
    const Plan upgrade = view.prepare({.upgrade = true});
    EXPECT_THAT(lines(upgrade), IsEmpty()) << "neither liba 2.0 nor newx for provx";
    EXPECT_THAT(upgrade.notes, IsEmpty()) << "nobody needs to be told";
    EXPECT_THAT(view.prepare({.install = {"liba"}}).notes, ElementsAre(HasSubstr("2.0-1")));
    const test::Said newer = error_of([&] { view.prepare({.install = {"liba>=2"}}); });
    EXPECT_EQ(newer.fault, Fault::refused);
    EXPECT_THAT(newer.text, HasSubstr("the container 'ground'"));
    const test::Said needs = error_of([&] { view.prepare({.install = {"app2"}}); });
    EXPECT_THAT(needs.text,
                AllOf(HasSubstr("app2 requires liba>=2"), HasSubstr("upgraded first"), HasSubstr("ground")));
}

TEST_F(UpstreamTest, NobodyIsAskedToSacrificeIt) {
    repository("2.0-1");
    const Asker yes = [](const Question& question) -> int {
        ADD_FAILURE() << question.text;
        return 1;
    };
    const test::Said said = error_of([&] { view.prepare({.install = {"confl"}}, yes); });
    EXPECT_THAT(said.text, AllOf(HasSubstr("confl and liba are in conflict"), HasSubstr("ground")));
    EXPECT_THAT(lines(view.prepare({.upgrade = true}, yes)), IsEmpty());
}

TEST_F(UpstreamTest, ItsRemovalIsRefusedWithItsContainer) {
    const test::Said said = error_of([&] { view.prepare({.remove = {"liba"}}); });
    EXPECT_EQ(said.fault, Fault::refused);
    EXPECT_THAT(said.text, AllOf(HasSubstr("liba"), HasSubstr("'ground'")));
    view.spec().upstream_of.clear();
    EXPECT_EQ(error_of([&] { view.prepare({.remove = {"liba"}, .cascade = true}); }).fault, Fault::refused);
}

TEST_F(UpstreamTest, RecursiveRemovalLeavesIt) {
    PackageSpec own = package("own");
    own.depends = {"orphan", "mine"};
    view.installed(own);
    view.installed(package("mine"), Reason::dependency);
    EXPECT_THAT(lines(view.prepare({.remove = {"own"}, .recursive = true})),
                ElementsAre("-own 1.0-1", "-mine 1.0-1 (d)"));
    EXPECT_THAT(lines(view.prepare({.remove = {"own"}, .recursive_all = true})),
                ElementsAre("-own 1.0-1", "-mine 1.0-1 (d)"));
}

TEST_F(UpstreamTest, ArchivesOfItAreRefused) {
    const std::string same = test::build_package(view.dir.path("files"), package("liba"));
    const std::string newer = test::build_package(view.dir.path("files"), package("liba", "3.0-1"));
    EXPECT_THAT(view.prepare({.archive_files = {same}}).notes, ElementsAre(HasSubstr("there already")));
    EXPECT_EQ(error_of([&] { view.prepare({.archive_files = {newer}}); }).fault, Fault::refused);
}

}  // namespace
}  // namespace pwstore
