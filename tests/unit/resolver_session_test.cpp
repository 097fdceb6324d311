// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "tests/unit/resolver_view.hpp"

namespace pwstore {
namespace {

using test::error_of;
using test::lines;
using test::PackageSpec;
using test::View;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

PackageSpec package(const std::string& name, const std::string& version = "1.0-1") {
    return {.name = name, .version = version};
}

// --- Setting up --------------------------------------------------------------------------------------------

TEST(SessionTest, NeedsItsDirectories) {
    View view;
    view.spec().root = view.dir.path("absent");
    EXPECT_THAT(error_of([&] { (void)view.session(); }).text, HasSubstr(view.dir.path("absent")));
    view.spec().root = "relative";
    EXPECT_EQ(error_of([&] { (void)view.session(); }).fault, Fault::usage);
    view.spec().root = view.dir.path("root");
    view.spec().database = "";
    EXPECT_EQ(error_of([&] { (void)view.session(); }).fault, Fault::usage);
}

TEST(SessionTest, RefusesBadRepositories) {
    View view;
    for (const char* name : {"", "local", "a/b", ".hidden"}) {
        view.spec().config.repositories = {{.name = name, .servers = {"file:///x"}}};
        EXPECT_EQ(error_of([&] { (void)view.session(); }).fault, Fault::usage) << name;
    }
    view.spec().config.repositories = {{.name = "core", .servers = {"/no/url"}}};
    EXPECT_EQ(error_of([&] { (void)view.session(); }).fault, Fault::usage);
    view.spec().config.repositories = {{.name = "core", .servers = {}, .sig_level = {"Nonsense"}}};
    EXPECT_EQ(error_of([&] { (void)view.session(); }).fault, Fault::usage);
}

TEST(SessionTest, KeepsTheProcessAsItWas) {
    View view;
    view.repository("repo", {package("app")});
    const mode_t before = ::umask(027);
    char directory[4096];
    ASSERT_NE(::getcwd(directory, sizeof directory), nullptr);
    struct sigaction mine {};
    mine.sa_handler = [](int) {};
    struct sigaction old {};
    ::sigaction(SIGPIPE, &mine, &old);
    view.fetch({.install = {"app"}});
    struct sigaction now {};
    ::sigaction(SIGPIPE, &old, &now);
    EXPECT_EQ(now.sa_handler, mine.sa_handler);
    EXPECT_EQ(::umask(before), 027U);
    char after[4096];
    EXPECT_STREQ(::getcwd(after, sizeof after), directory);
}

// --- refresh -----------------------------------------------------------------------------------------------

TEST(RefreshTest, SaysWhetherAnythingChanged) {
    View view;
    view.repository("repo", {package("app")});
    Session session = view.session();
    EXPECT_TRUE(session.refresh(false));
    EXPECT_FALSE(session.refresh(false));
    EXPECT_TRUE(session.refresh(true));
    EXPECT_TRUE(session.find("app"));
}

TEST(RefreshTest, AChangeWithinTheSameSecondIsSeen) {
    View view;
    view.repository("repo", {package("app")});
    const std::string file = view.dir.path("repo/repo/repo.db.tar.gz");
    struct stat status {};
    ASSERT_EQ(::stat(file.c_str(), &status), 0);
    const timespec times[2] = {status.st_mtim, status.st_mtim};
    view.session().refresh(false);
    for (const char* version : {"2.0-1", "3.0-1"}) {
        view.repository("repo", {package("app", version)});
        ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
        EXPECT_TRUE(view.session().refresh(false));
        EXPECT_EQ(view.session().find("app").value().version, version);
    }
    EXPECT_FALSE(view.session().refresh(false));
}

/// Serves a directory as web servers do: 304 for what is not younger than the copy, in whole seconds.
class WebServer {
 public:
    explicit WebServer(const std::string& directory) {
        int out[2];
        if (::pipe(out) != 0) return;
        pid_ = ::fork();
        if (pid_ == 0) {
            ::dup2(out[1], 1);
            ::dup2(::open("/dev/null", O_WRONLY), 2);
            ::execlp("python3", "python3", "-u", "-c",
                     "import http.server,sys,functools\n"
                     "h=functools.partial(http.server.SimpleHTTPRequestHandler,directory=sys.argv[1])\n"
                     "s=http.server.ThreadingHTTPServer(('127.0.0.1',0),h)\n"
                     "print(s.server_port)\ns.serve_forever()",
                     directory.c_str(), nullptr);
            ::_exit(127);
        }
        ::close(out[1]);
        FILE* said = ::fdopen(out[0], "r");
        if (std::fscanf(said, "%d", &port_) != 1) port_ = 0;
        std::fclose(said);
    }
    WebServer(const WebServer&) = delete;
    WebServer& operator=(const WebServer&) = delete;
    ~WebServer() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
    }
    [[nodiscard]] int port() const noexcept { return port_; }

 private:
    pid_t pid_ = -1;
    int port_ = 0;
};

TEST(RefreshTest, AChangeWithinTheSameSecondIsSeenOfAServerToo) {
    View view;
    view.repository("repo", {package("app")});
    const WebServer server(view.dir.path("repo/repo"));
    if (server.port() == 0) PWSTORE_CANNOT_RUN("there is no python3");
    view.spec().config.repositories[0].servers = {"http://127.0.0.1:" + std::to_string(server.port())};
    const std::string file = view.dir.path("repo/repo/repo.db.tar.gz");
    struct stat status {};
    ASSERT_EQ(::stat(file.c_str(), &status), 0);
    const timespec times[2] = {status.st_mtim, status.st_mtim};
    view.session().refresh(false);
    for (const char* version : {"2.0-1", "3.0-1"}) {
        view.repository("repo", {package("app", version)});
        ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
        EXPECT_TRUE(view.session().refresh(false));
        EXPECT_EQ(view.session().find("app").value().version, version);
    }
    EXPECT_FALSE(view.session().refresh(false));
    // One that is settled is not fetched anew.
    const timespec old[2] = {{1'700'000'000, 0}, {1'700'000'000, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), old, 0), 0);
    view.session().refresh(true);
    struct stat copy {};
    ASSERT_EQ(::stat(view.dir.path("db/sync/repo.db").c_str(), &copy), 0);
    EXPECT_EQ(copy.st_mtim.tv_sec, 1'700'000'000);
}

TEST(RefreshTest, WorksThroughASharedDirectory) {
    View view;
    view.repository("repo", {package("app")});
    view.make("shared");
    ASSERT_EQ(::rmdir(view.dir.path("db/sync").c_str()), 0);
    ASSERT_EQ(::symlink("../shared", view.dir.path("db/sync").c_str()), 0);
    EXPECT_THAT(lines(view.prepare({.install = {"app"}})), ElementsAre("+app 1.0-1"));
    EXPECT_EQ(::access(view.dir.path("shared/repo.db").c_str(), R_OK), 0);
    struct stat status {};
    ASSERT_EQ(::lstat(view.dir.path("db/sync").c_str(), &status), 0);
    EXPECT_TRUE(S_ISLNK(status.st_mode));
}

TEST(RefreshTest, NamesTheRepositoryThatFails) {
    View view;
    view.repository("good", {package("app")});
    view.spec().config.repositories.push_back(
        {.name = "gone", .servers = {"file://" + view.dir.path("nowhere")}, .sig_level = {"Never"}});
    EXPECT_THAT(error_of([&] { view.session().refresh(false); }).text, HasSubstr("gone.db"));
    view.spec().config.repositories.back().servers.clear();
    EXPECT_THAT(error_of([&] { view.session().refresh(false); }).text,
                AllOf(HasSubstr("gone"), HasSubstr("server")));
    view.spec().config.repositories.clear();
    EXPECT_EQ(error_of([&] { view.session().refresh(false); }).fault, Fault::usage);
}

TEST(RefreshTest, TheNextServerIsTried) {
    View view;
    view.repository("repo", {package("app")});
    auto& servers = view.spec().config.repositories[0].servers;
    servers.insert(servers.begin(), "file://" + view.dir.path("nowhere"));
    EXPECT_TRUE(view.session().refresh(false));
    EXPECT_THAT(view.sink.messages, Not(IsEmpty())) << "the server that failed is named in a warning";
}

TEST(RefreshTest, ADamagedDatabaseIsFetchedAnew) {
    View view;
    view.repository("repo", {package("app")});
    view.session().refresh(false);
    const std::string file = view.dir.path("db/sync/repo.db");
    struct stat status {};
    ASSERT_EQ(::stat(file.c_str(), &status), 0);
    view.dir.write("db/sync/repo.db", "this is no archive");
    const timespec times[2] = {status.st_mtim, status.st_mtim};
    ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
    EXPECT_EQ(error_of([&] { (void)view.session().prepare({.install = {"app"}}); }).fault, Fault::corrupt);
    EXPECT_TRUE(view.session().refresh(false));
    EXPECT_TRUE(view.session().find("app"));

    view.dir.write("repo/repo/repo.db.tar.gz", "no archive there either");
    const test::Said said = error_of([&] { view.session().refresh(true); });
    EXPECT_EQ(said.fault, Fault::corrupt);
    EXPECT_THAT(said.text, HasSubstr("'repo'"));
}

TEST(RefreshTest, ADamagedDatabaseIsNamedWithTheWayOut) {
    const auto expect_named = [](View& view) {
        const test::Said said = error_of([&] { (void)view.session().prepare({.install = {"app"}}); });
        EXPECT_EQ(said.fault, Fault::corrupt);
        EXPECT_THAT(said.text, AllOf(HasSubstr("'repo'"), HasSubstr("cannot be read"), HasSubstr("-Syy")));
    };
    View view;
    view.repository("repo", {package("app")});
    view.session().refresh(false);
    for (const char* content : {"this is no archive", "", "<html>gone</html>\n"}) {
        view.dir.write("db/sync/repo.db", content);
        expect_named(view);
    }
    View odd;  // libalpm has only a line in its log for an entry that it does not understand
    PackageSpec unnumbered = package("app");
    unnumbered.version = "1";
    odd.repository("repo", {unnumbered});
    EXPECT_EQ(error_of([&] { odd.session().refresh(false); }).fault, Fault::corrupt);
    expect_named(odd);
}

TEST(RefreshTest, AServerPathWithBlanksWorks) {
    View view;
    test::make_repository(view.dir.path("my repo ü"), "repo", {package("app")});
    view.spec().config.repositories = {
        {.name = "repo", .servers = {"file://" + view.dir.path("my repo ü") + "/"}, .sig_level = {"Never"}}};
    const Plan plan = view.fetch({.install = {"app"}});
    ASSERT_EQ(plan.steps.size(), 1U);
    EXPECT_EQ(plan.steps[0].archive, view.dir.path("cache/app-1.0-1-any.pkg.tar.zst"));
}

TEST(RefreshTest, AForeignLockIsNeverRemoved) {
    View view;
    view.repository("repo", {package("app")});
    view.session().refresh(false);
    view.dir.write("db/db.lck", "");
    const test::Said said = error_of([&] { view.session().refresh(false); });
    EXPECT_EQ(said.fault, Fault::busy);
    EXPECT_THAT(said.text, HasSubstr("db.lck"));
    EXPECT_EQ(error_of([&] { (void)view.session().fetch({.install = {"app"}}); }).fault, Fault::busy);
    EXPECT_THAT(lines(view.session().prepare({.install = {"app"}})), ElementsAre("+app 1.0-1"))
        << "a plan needs no lock";
    EXPECT_EQ(::access(view.dir.path("db/db.lck").c_str(), F_OK), 0);
}

// --- Looking -----------------------------------------------------------------------------------------------

TEST(LookTest, FindsAndSearches) {
    View view;
    PackageSpec app = package("app");
    app.description = "A needle in here";
    app.provides = {"thing"};
    view.repository("one", {app, package("lib")});
    view.repository("two", {package("app", "2.0-1"), package("only-two")});
    view.spec().config.repositories[1].usage = {"Sync", "Install"};
    Session session = view.session();
    session.refresh(false);
    EXPECT_EQ(session.find("app").value().version, "1.0-1");
    EXPECT_EQ(session.find("two/app").value().version, "2.0-1");
    EXPECT_FALSE(session.find("absent"));
    EXPECT_FALSE(session.find("three/app"));
    const auto names = [&](const std::vector<std::string>& expressions) {
        std::vector<std::string> found;
        for (const PackageInfo& info : session.search(expressions))
            found.push_back(info.repository + "/" + info.name);
        return found;
    };
    EXPECT_THAT(names({"needle"}), ElementsAre("one/app"));
    EXPECT_THAT(names({"^lib$"}), ElementsAre("one/lib"));
    EXPECT_THAT(names({"needle", "lib"}), IsEmpty());
    EXPECT_THAT(names({}), ElementsAre("one/app", "one/lib")) << "[two] is not for searching";
    EXPECT_EQ(error_of([&] { (void)session.search({"*["}); }).fault, Fault::usage);
    EXPECT_LT(Session::compare_versions("1.0-1", "1:0.1-1"), 0);
    EXPECT_EQ(Session::compare_versions("1.0-1", "1.0-1"), 0);
    EXPECT_GT(Session::compare_versions("1.10-1", "1.9-1"), 0);
}

TEST(LookTest, ChecksTheInstalledSet) {
    View view;
    EXPECT_THAT(view.session().check_installed(), IsEmpty());
    PackageSpec app = package("app");
    app.depends = {"lib>=2", "gone"};
    app.conflicts = {"enemy"};
    view.installed(app);
    view.installed(package("lib"));
    view.installed(package("enemy"));
    std::vector<std::string> said;
    for (const SetProblem& problem : view.session().check_installed())
        said.push_back(problem.text);
    EXPECT_THAT(said,
                UnorderedElementsAre("app: requires lib>=2", "app: requires gone", HasSubstr("in conflict")));
}

TEST(LookTest, ADamagedLocalDatabaseIsAnError) {
    View view;
    view.installed(package("app"));
    view.dir.write("db/local/ALPM_DB_VERSION", "3\n");
    EXPECT_EQ(error_of([&] { (void)view.session().check_installed(); }).fault, Fault::corrupt);
    EXPECT_EQ(error_of([&] { (void)view.session().prepare({.remove = {"app"}}); }).fault, Fault::corrupt);
}

}  // namespace
}  // namespace pwstore
