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

// --- prepare: what pacman has no words for
// -------------------------------------------------------------------

TEST(PrepareTest, DescribesTheSteps) {
    View view;
    PackageSpec app = package("app", "2.0-1");
    app.arch = "x86_64";
    app.depends = {"lib>=1"};
    app.optdepends = {"extra: more of it", "lib: has it"};
    app.groups = {"tools"};
    app.provides = {"thing=2"};
    app.conflicts = {"other"};
    app.replaces = {"older<1"};
    app.files["usr/bin/app"] = {.content = std::string(5000, 'a')};
    view.repository("repo", {app, package("lib")});
    const Plan plan = view.prepare({.install = {"app"}});
    ASSERT_THAT(lines(plan), ElementsAre("+lib 1.0-1 (d)", "+app 2.0-1"));
    const PlanStep& step = plan.steps[1];
    EXPECT_EQ(step.package.repository, "repo");
    EXPECT_EQ(step.package.filename, "app-2.0-1-x86_64.pkg.tar.zst");
    EXPECT_EQ(step.package.sha256,
              test::reference_sha256(view.dir.read("repo/repo/" + step.package.filename)));
    EXPECT_EQ(step.package.arch, "x86_64");
    EXPECT_EQ(step.package.description, app.description);
    EXPECT_EQ(step.package.build_date, test::kBuildDate);
    EXPECT_EQ(step.package.installed_size, app.installed_size());
    EXPECT_EQ(step.package.download_size, view.dir.read("repo/repo/" + step.package.filename).size());
    EXPECT_EQ(step.to_download, step.package.download_size);
    EXPECT_THAT(step.package.depends, ElementsAre("lib>=1"));
    EXPECT_THAT(step.package.optdepends, ElementsAre("extra: more of it", "lib: has it"));
    EXPECT_THAT(step.package.groups, ElementsAre("tools"));
    EXPECT_THAT(step.package.provides, ElementsAre("thing=2"));
    EXPECT_THAT(step.package.conflicts, ElementsAre("other"));
    EXPECT_THAT(step.package.replaces, ElementsAre("older<1"));
    EXPECT_EQ(step.old_version, "");
    EXPECT_EQ(step.archive, "");
    EXPECT_THAT(plan.notes, ElementsAre(AllOf(HasSubstr("app"), HasSubstr("extra: more of it"))));
}

TEST(PrepareTest, NothingToDoIsAnEmptyPlan) {
    View view;
    view.repository("repo", {package("app")});
    view.installed(package("app"));
    EXPECT_TRUE(view.prepare({.upgrade = true}).empty());
    const Plan plan = view.prepare({.install = {"app"}, .needed = true});
    EXPECT_TRUE(plan.empty());
    EXPECT_THAT(plan.notes, ElementsAre(HasSubstr("app-1.0-1")));
    EXPECT_TRUE(view.prepare({}).empty());
}

TEST(PrepareTest, MalformedTargetsNeverReachLibalpm) {
    View view;
    view.repository("repo", {package("app")});
    Session session = view.session();
    session.refresh(false);
    for (const char* target :
         {"", " ", "a b", "/", "/etc/passwd", "repo/", "repo/a/b", "a/b/c", "-x", "repo/-x", ">=1", "app>",
          "app>=", "app=", "app<<1", "app>=1>2", "app\n", "repo/>=1", "\x01"}) {
        EXPECT_EQ(error_of([&] { (void)session.prepare({.install = {target}}); }).fault, Fault::usage)
            << target;
    }
    for (const char* target : {"", "local/", "a/b", "a b", "-x"})
        EXPECT_EQ(error_of([&] { (void)session.prepare({.remove = {target}}); }).fault, Fault::usage)
            << target;
    EXPECT_EQ(error_of([&] { (void)session.prepare({.install = {std::string(300, 'x')}}); }).fault,
              Fault::usage);
    EXPECT_EQ(error_of([&] { (void)session.prepare({.archive_files = {""}}); }).fault, Fault::usage);
    EXPECT_EQ(
        error_of([&] { (void)session.prepare({.install = {"app"}, .assume_installed = {"x>1"}}); }).fault,
        Fault::usage);
    EXPECT_EQ(error_of([&] {
                  (void)session.prepare({.install = {"app"}, .as_deps = true, .as_explicit = true});
              }).fault,
              Fault::usage);
    EXPECT_THAT(lines(session.prepare({.install = {"app"}})), ElementsAre("+app 1.0-1"))
        << "the session still works";
}

TEST(PrepareTest, UnknownTargetsAreListedWithNearNames) {
    View view;
    view.repository("repo", {package("neovim"), package("neomutt"), package("vim"), package("python")});
    const test::Said said = error_of([&] {
        view.prepare({.install = {"neovm", "pythn", "zzz", "nope/vim"}});
    });
    EXPECT_THAT(said.text, AllOf(HasSubstr("neovm: no such package; there is neovim"), HasSubstr("python"),
                                 HasSubstr("zzz: no such package\n"), HasSubstr("repository 'nope'")));
    view.installed(package("vim-tiny"));
    EXPECT_THAT(error_of([&] { view.prepare({.remove = {"vim"}}); }).text,
                HasSubstr("vim is not installed here; there is vim-tiny"));
}

TEST(PrepareTest, ADatabaseThatWasNeverFetchedIsSaid) {
    View view;
    view.repository("repo", {package("app")});
    const test::Said said = error_of([&] { (void)view.session().prepare({.install = {"app"}}); });
    EXPECT_EQ(said.fault, Fault::usage);
    EXPECT_THAT(said.text, AllOf(HasSubstr("'repo'"), HasSubstr("-Sy")));
    view.installed(package("old"));
    EXPECT_THAT(lines(view.session().prepare({.remove = {"old"}})), ElementsAre("-old 1.0-1"));
}

TEST(PrepareTest, AnEntryWithoutAFileIsNamed) {
    View view;
    view.repository("repo", {package("app"), package("good")});
    view.session().refresh(false);
    const auto write = [&](const std::string& line_end) {
        std::string desc;
        for (const char* line :
             {"%FILENAM%", "app-1.0-1-any.pkg.tar.zst", "", "%NAME%", "app", "", "%VERSION%", "1.0-1", ""})
            desc += line + line_end;
        if (line_end != "\n") desc.replace(0, 9, "%FILENAME%");
        test::RawTar().file("app-1.0-1/desc", desc).write(view.dir.path("db/sync/repo.db"));
    };
    for (const char* line_end : {"\n", "\r\n"}) {
        write(line_end);
        const test::Said said = error_of([&] { (void)view.session().prepare({.install = {"app"}}); });
        EXPECT_THAT(said.text, AllOf(HasSubstr("app: "), HasSubstr("'repo'"), HasSubstr("%FILENAME%")));
    }
}

TEST(PrepareTest, AllUnsatisfiedDependenciesAreNamed) {
    View view;
    PackageSpec a = package("a");
    a.depends = {"missing>=3", "gone"};
    PackageSpec b = package("b");
    b.depends = {"absent"};
    view.repository("repo", {a, b});
    const test::Said said = error_of([&] { view.prepare({.install = {"a", "b"}}); });
    EXPECT_THAT(said.text, AllOf(HasSubstr("a requires missing>=3"), HasSubstr("a requires gone"),
                                 HasSubstr("b requires absent")));
}

TEST(PrepareTest, QuestionsAreAskedAndAnswered) {
    View view;
    PackageSpec one = package("one");
    one.provides = {"virtual"};
    PackageSpec two = package("two");
    two.provides = {"virtual"};
    two.conflicts = {"old"};
    view.repository("repo", {one, two});
    view.installed(package("old"));
    std::vector<Question> asked;
    const Asker asker = [&](const Question& question) {
        asked.push_back(question);
        return 1;
    };
    const Plan plan = view.prepare({.install = {"virtual"}}, asker);
    EXPECT_THAT(lines(plan), ElementsAre("-old 1.0-1", "+two 1.0-1 <old"));
    ASSERT_EQ(asked.size(), 2U);
    EXPECT_EQ(asked[0].kind, Question::Kind::select_provider);
    EXPECT_THAT(asked[0].choices, ElementsAre("repo/one 1.0-1", "repo/two 1.0-1"));
    EXPECT_EQ(asked[1].kind, Question::Kind::conflict);
    EXPECT_EQ(asked[1].default_answer, 0);
    EXPECT_THAT(asked[1].text, AllOf(HasSubstr("two"), HasSubstr("old")));

    view.spec().no_confirm = true;
    asked.clear();
    EXPECT_THAT(lines(view.prepare({.install = {"virtual"}}, asker)), ElementsAre("+one 1.0-1"));
    EXPECT_THAT(asked, IsEmpty());
}

TEST(PrepareTest, AlternativesAreNotAskedAbout) {
    View view;
    PackageSpec app = package("app");
    app.depends = {"second|first(ge1)", "virtual"};
    std::vector<PackageSpec> packages{app};
    for (const char* name : {"second", "first"}) {
        packages.push_back(package(name));
        packages.back().provides = {"second|first(ge1)"};
    }
    for (int i = 0; i < 12; ++i) {
        packages.push_back(package("p" + std::to_string(i)));
        packages.back().provides = {"virtual"};
    }
    view.repository("repo", packages);
    std::vector<Question> asked;
    const Asker asker = [&](const Question& question) {
        asked.push_back(question);
        return 8;
    };
    EXPECT_THAT(lines(view.prepare({.install = {"app"}}, asker)),
                ElementsAre("+second 1.0-1 (d)", "+p6 1.0-1 (d)", "+app 1.0-1"));
    ASSERT_EQ(asked.size(), 1U);
    EXPECT_EQ(asked[0].choices.size(), 9U);
    EXPECT_THAT(asked[0].text, AllOf(HasSubstr("virtual"), HasSubstr("9 of 12")));
}

TEST(PrepareTest, WhereNobodyOrdersDebianPackagesItIsAsked) {
    View view;
    std::vector<PackageSpec> packages;
    for (const char* name : {"b", "a", "c"}) {
        packages.push_back(package(name, "1e-1e"));
        packages.back().provides = {"mta"};
    }
    packages[2].groups = {"important"};
    view.repository("repo", packages);
    view.spec().is_deb_version = [](const std::string& version) { return version.ends_with("e"); };
    int asked = 0;
    const Asker asker = [&](const Question&) { return ++asked, 1; };
    EXPECT_THAT(lines(view.prepare({.install = {"mta"}}, asker)), ElementsAre("+c 1e-1e"));
    EXPECT_EQ(asked, 0) << "its priority is higher";
    packages.pop_back();
    view.repository("repo", packages);
    EXPECT_THAT(lines(view.prepare({.install = {"mta"}}, asker)), ElementsAre("+b 1e-1e"));
    EXPECT_THAT(lines(view.prepare({.install = {"mta"}})), ElementsAre("+a 1e-1e"));
    EXPECT_EQ(asked, 1);
}

TEST(PrepareTest, AnAnswerOutOfRangeIsTheDefault) {
    View view;
    PackageSpec one = package("one");
    one.provides = {"virtual"};
    PackageSpec two = package("two");
    two.provides = {"virtual"};
    view.repository("repo", {one, two});
    for (const int answer : {-1, 2, 1000})
        EXPECT_THAT(lines(view.prepare({.install = {"virtual"}}, [&](const Question&) { return answer; })),
                    ElementsAre("+one 1.0-1"));
}

TEST(PrepareTest, WhatAnAskerThrowsComesOut) {
    View view;
    PackageSpec fresh = package("new");
    fresh.conflicts = {"old"};
    view.repository("repo", {fresh});
    view.installed(package("old"));
    Session session(view.spec(), view.sink, [](const Question&) -> int {
        throw Error("ask", "", "the user left").as(Fault::interrupted);
    });
    session.refresh(false);
    EXPECT_EQ(error_of([&] { (void)session.prepare({.install = {"new"}}); }).fault, Fault::interrupted);
    EXPECT_THAT(lines(session.prepare({.remove = {"old"}})), ElementsAre("-old 1.0-1"))
        << "the session still works";
}

TEST(PrepareTest, HeldPackagesGoOnlyWhenSomeoneAgrees) {
    View view;
    view.spec().config.hold_packages = {"gl*"};
    view.installed(package("glibc"));
    view.installed(package("other"));
    const test::Said said = error_of([&] { view.prepare({.remove = {"glibc"}}); });
    EXPECT_EQ(said.fault, Fault::refused);
    EXPECT_THAT(said.text, HasSubstr("glibc"));
    EXPECT_THAT(lines(view.prepare({.remove = {"glibc"}},
                                   [](const Question& question) {
                                       return question.kind == Question::Kind::hold_package ? 1 : 0;
                                   })),
                ElementsAre("-glibc 1.0-1"));
    EXPECT_THAT(lines(view.prepare({.remove = {"other"}})), ElementsAre("-other 1.0-1"));
}

TEST(PrepareTest, InstallAndRemoveTogether) {
    View view;
    PackageSpec fresh = package("new");
    fresh.provides = {"service"};
    view.repository("repo", {fresh});
    PackageSpec user = package("user");
    user.depends = {"service"};
    PackageSpec old = package("old");
    old.provides = {"service"};
    old.depends = {"oldlib"};
    view.installed(user);
    view.installed(old);
    view.installed(package("oldlib"), Reason::dependency);
    EXPECT_THAT(error_of([&] { view.prepare({.remove = {"old"}}); }).text,
                HasSubstr("user requires service"));
    EXPECT_THAT(lines(view.prepare({.install = {"new"}, .remove = {"old"}, .recursive = true})),
                ElementsAre("-old 1.0-1", "-oldlib 1.0-1 (d)", "+new 1.0-1"));
}

TEST(PrepareTest, TheResultIsLookedAtWhereThatIsWanted) {
    View view;
    PackageSpec app = package("app");
    app.depends = {"lib"};
    app.conflicts = {"other"};
    view.repository("repo", {app, package("lib"), package("more")});
    view.installed(app);
    view.installed(package("other"));
    Session session = view.session();
    session.refresh(false);
    EXPECT_THAT(session.prepare({.install = {"more"}}).problems, IsEmpty());
    CarryOut what;
    what.looks_at_result = true;
    const auto problems = [&](const ResolveRequest& request) {
        std::vector<std::string> said;
        for (const SetProblem& problem : session.prepare(request, what).problems)
            said.push_back(problem.package + (problem.is_conflict ? " against " : " needs ") + problem.other);
        return said;
    };
    EXPECT_THAT(problems({.install = {"more"}}), ElementsAre("app needs lib", "app against other"));
    EXPECT_THAT(problems({.install = {"lib"}}), ElementsAre("app against other"));
    EXPECT_THAT(problems({.install = {"lib"}, .remove = {"other"}}), IsEmpty());
}

TEST(PrepareTest, ASecondPlanIsNotColouredByTheFirst) {
    View view;
    PackageSpec app = package("app");
    app.depends = {"lib"};
    view.repository("repo", {app, package("lib")});
    Session session = view.session();
    session.refresh(false);
    EXPECT_THAT(lines(session.prepare({.install = {"app"}})), ElementsAre("+lib 1.0-1 (d)", "+app 1.0-1"));
    EXPECT_THAT(lines(session.prepare({.install = {"lib"}})), ElementsAre("+lib 1.0-1"));
    EXPECT_THAT(lines(session.prepare({.install = {"lib", "app"}, .as_deps = true})),
                ElementsAre("+lib 1.0-1 (d)", "+app 1.0-1 (d)"));
}

}  // namespace
}  // namespace pwstore
