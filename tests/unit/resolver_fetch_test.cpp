// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

#include "store/base/lock.hpp"
#include "store/debian/repository.hpp"
#include "tests/support/deb_archive.hpp"
#include "tests/unit/resolver_view.hpp"

namespace pwstore {
namespace {

using test::error_of;
using test::lines;
using test::PackageSpec;
using test::View;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

PackageSpec package(const std::string& name, const std::string& version = "1.0-1") {
    return {.name = name, .version = version};
}

TEST(FetchTest, TheArchivesAreOnDiskAndNothingElseIsTouched) {
    View view;
    PackageSpec app = package("app");
    app.depends = {"lib"};
    app.files["usr/bin/app"] = {.content = "app"};
    app.install = "post_install() { touch /ran; }\n";
    view.repository("repo", {app, package("lib")});
    PackageSpec old = package("old");
    old.files["usr/share/old"] = {.content = "old"};
    view.installed(old);
    view.spec().log_file = view.dir.path("log");
    Session session = view.session();
    session.refresh(false);
    const std::string database = view.dir.read("db/local/old-1.0-1/desc");
    const Plan plan = session.fetch({.install = {"app"}, .remove = {"old"}});
    ASSERT_THAT(lines(plan), ElementsAre("-old 1.0-1", "+lib 1.0-1 (d)", "+app 1.0-1"));
    EXPECT_EQ(plan.steps[0].archive, "");
    EXPECT_EQ(plan.steps[2].archive, view.dir.path("cache/app-1.0-1-any.pkg.tar.zst"));
    EXPECT_EQ(plan.steps[2].validation, 4U) << "SHA-256, as the database has it";
    EXPECT_EQ(view.dir.read("cache/app-1.0-1-any.pkg.tar.zst"),
              view.dir.read("repo/repo/app-1.0-1-any.pkg.tar.zst"));
    EXPECT_EQ(view.dir.read("db/local/old-1.0-1/desc"), database);
    EXPECT_EQ(view.dir.read("root/usr/share/old"), "old");
    EXPECT_NE(::access(view.dir.path("root/usr/bin/app").c_str(), F_OK), 0);
    EXPECT_NE(::access(view.dir.path("root/tmp").c_str(), F_OK), 0);
    EXPECT_NE(::access(view.dir.path("db/local/app-1.0-1").c_str(), F_OK), 0);
    EXPECT_NE(::access(view.dir.path("db/db.lck").c_str(), F_OK), 0);
    EXPECT_THAT(view.sink.downloaded,
                UnorderedElementsAre("repo.db", "app-1.0-1-any.pkg.tar.zst", "lib-1.0-1-any.pkg.tar.zst"));
    EXPECT_THAT(view.dir.read("log"), Not(HasSubstr("transaction"))) << "no transaction took place";

    view.sink.downloaded.clear();
    EXPECT_EQ(session.prepare({.install = {"app"}}).steps.at(0).to_download, 0U);
    EXPECT_EQ(session.fetch({.install = {"app"}}).steps.size(), 2U);
    EXPECT_THAT(view.sink.downloaded, IsEmpty()) << "what is in the cache is used";
}

TEST(FetchTest, ARemovalFetchesNothing) {
    View view;
    view.installed(package("old"));
    view.spec().cache_dirs = {view.dir.path("no-cache")};
    EXPECT_THAT(lines(view.fetch({.remove = {"old"}})), ElementsAre("-old 1.0-1"));
    EXPECT_NE(::access(view.dir.path("no-cache").c_str(), F_OK), 0);
}

TEST(FetchTest, QuestionsAreNotAskedAgain) {
    View view;
    PackageSpec one = package("one");
    one.provides = {"virtual"};
    PackageSpec two = package("two");
    two.provides = {"virtual"};
    view.repository("repo", {one, two});
    int asked = 0;
    Session session(view.spec(), view.sink, [&](const Question&) { return ++asked, 1; });
    session.refresh(false);
    EXPECT_THAT(lines(session.prepare({.install = {"virtual"}})), ElementsAre("+two 1.0-1"));
    EXPECT_THAT(lines(session.fetch({.install = {"virtual"}})), ElementsAre("+two 1.0-1"));
    EXPECT_EQ(asked, 1);
    EXPECT_THAT(lines(session.prepare({.install = {"virtual"}})), ElementsAre("+two 1.0-1"));
    EXPECT_EQ(asked, 2) << "another plan asks anew";
}

TEST(FetchTest, ARememberingAskerServesSeveralSessions) {
    View view;
    PackageSpec one = package("one");
    one.provides = {"virtual"};
    PackageSpec two = package("two");
    two.provides = {"virtual"};
    view.repository("repo", {one, two});
    int asked = 0;
    const Asker asker = remembering([&](const Question&) { return ++asked, 1; });
    EXPECT_THAT(lines(view.prepare({.install = {"virtual"}}, asker)), ElementsAre("+two 1.0-1"));
    EXPECT_THAT(lines(view.fetch({.install = {"virtual"}}, asker)), ElementsAre("+two 1.0-1"));
    EXPECT_EQ(asked, 1);
    EXPECT_FALSE(remembering({}));
}

TEST(FetchTest, PackageFilesAndMixtures) {
    View view;
    PackageSpec local = package("local-one");
    local.depends = {"lib"};
    view.repository("repo", {package("lib"), package("app")});
    const std::string file = test::build_package(view.dir.path("files"), local);
    ASSERT_EQ(::chdir(view.dir.path("files").c_str()), 0);
    const Plan plan = view.fetch({.install = {"app"}, .archive_files = {"local-one-1.0-1-any.pkg.tar.zst"}});
    ASSERT_EQ(::chdir("/"), 0);
    ASSERT_THAT(lines(plan), UnorderedElementsAre("+lib 1.0-1 (d)", "+local-one 1.0-1", "+app 1.0-1"));
    for (const PlanStep& step : plan.steps) {
        if (step.package.name == "local-one") {
            EXPECT_EQ(step.archive, file);
            EXPECT_EQ(step.validation, 1U) << "nothing vouches for it";
            EXPECT_EQ(step.package.repository, "");
        } else {
            EXPECT_EQ(step.validation, 4U);
        }
    }
    const test::Said said = error_of([&] {
        view.fetch({.archive_files = {"/nowhere.pkg.tar.zst", view.dir.write("junk", "junk")}});
    });
    EXPECT_THAT(said.text, AllOf(HasSubstr("/nowhere.pkg.tar.zst"), HasSubstr("/junk")));
}

TEST(FetchTest, ArchivesByUrl) {
    View view;
    const std::string url = "file://" + test::build_package(view.dir.path("files"), package("app"));
    EXPECT_THAT(error_of([&] { view.fetch({.archive_files = {url}}); }).text,
                HasSubstr("app-1.0-1-any.pkg.tar.zst.sig"))
        << "what comes from elsewhere is signed";
    view.spec().config.remote_file_sig_level = {"Never"};
    const Plan plan = view.fetch({.archive_files = {url}});
    ASSERT_THAT(lines(plan), ElementsAre("+app 1.0-1"));
    EXPECT_EQ(plan.steps[0].archive, view.dir.path("cache/app-1.0-1-any.pkg.tar.zst"));
    EXPECT_EQ(
        error_of([&] { view.fetch({.archive_files = {"file:///nowhere/b-1.0-1-any.pkg.tar.zst"}}); }).fault,
        Fault::failure);
}

TEST(FetchTest, ArchivesByUrlMayLackASignatureThatIsOptional) {
    View view;
    const std::string file = test::build_package(view.dir.path("files"), package("app"));
    view.spec().config.sig_level = {"Optional"};
    EXPECT_THAT(lines(view.fetch({.archive_files = {"file://" + file}})), ElementsAre("+app 1.0-1"));
    ASSERT_EQ(std::remove(file.c_str()), 0);
    EXPECT_THAT(
        error_of([&] { view.fetch({.archive_files = {"file:///nowhere/b-1.0-1-any.pkg.tar.zst"}}); }).text,
        HasSubstr("/nowhere/b-1.0-1-any.pkg.tar.zst"));
}

TEST(FetchTest, WithoutAConvertedPackageTheServerIsSaidToHaveDebFiles) {
    View view;
    view.repository("suite", {package("app")});
    view.prepare({.install = {"app"}});
    Repository& suite = view.spec().config.repositories[0];
    suite.deb_sources = {{suite.servers, "stable", {"main"}, {}}};
    const test::Said said = error_of([&] { (void)view.session().fetch({.install = {"app"}}); });
    EXPECT_THAT(said.text, AllOf(HasSubstr("app-1.0-1-any.pkg.tar.zst"), HasSubstr(view.dir.path("cache")),
                                 HasSubstr("[suite] is an archive of .deb files")));
    view.dir.write("cache/app-1.0-1-any.pkg.tar.zst", view.dir.read("repo/suite/app-1.0-1-any.pkg.tar.zst"));
    EXPECT_THAT(lines(view.session().fetch({.install = {"app"}})), ElementsAre("+app 1.0-1"));
}

TEST(FetchTest, ConvertedPackagesAreWhatLibalpmFindsInTheDatabase) {
    View view;
    const test::SigningKey key(view.dir.path("key"));
    const test::DebArchiveTree archive(view.dir.path("archive"));
    archive.publish(
        {.controls = {"Package: tool\nVersion: 1:1.0-1\nArchitecture: all\nPriority: required\n"
                      "Installed-Size: 4711\nDepends: lib (>= 2~), vi | ed\nDescription: a tool\n",
                      "Package: lib\nVersion: 2~rc1+b1\nArchitecture: all\nDescription: a lib\n"
                      "Provides: lib (= 3)\nBreaks: other\n",
                      "Package: vim\nVersion: 9\nArchitecture: all\nDescription: x\nProvides: vi\n",
                      "Package: sed\nVersion: 4\nArchitecture: all\nEssential: yes\n"
                      "Description: y\n"}},
        key);
    const DebPlaces places{
        .sync = view.dir.path("db/sync"), .cache = view.dir.path("deb"), .packages = view.dir.path("cache")};
    const std::vector<DebSource> sources{{{archive.url()}, "stable", {"main"}, {key.keyring()}}};
    ASSERT_TRUE(refresh_deb_repository(places, "debian", sources, false, 1'700'000'000, view.sink));
    view.spec().config.repositories = {
        {.name = "debian", .servers = {archive.url()}, .deb_sources = sources}};
    const ResolveRequest request{.install = {"tool", "base"}};
    const Plan plan = view.session().prepare(request);
    EXPECT_EQ(plan.steps.size(), 6U) << "tool, lib, vim, sed, base, filesystem";
    std::vector<DebWanted> wanted;
    for (const PlanStep& step : plan.steps) {
        const PackageInfo& package = step.package;
        wanted.push_back(
            {package.repository,
             package.filename,
             {package.depends, package.provides, package.conflicts, package.groups, package.installed_size}});
    }
    fetch_deb_packages(places, wanted, view.sink);
    EXPECT_EQ(view.session().fetch(request).steps.size(), 6U);
    for (const DebWanted& one : wanted)
        EXPECT_EQ(::access((places.packages + "/" + one.filename).c_str(), F_OK), 0)
            << one.filename << " was taken for damaged";
}

TEST(FetchTest, WhereLibalpmCannotDownloadItsSilenceIsPutIntoWords) {
    View view;
    view.repository("repo", {package("app")});
    view.spec().fetcher = {};
    Session session = view.session();
    std::optional<Error> failed;
    try {
        session.refresh(false);
    } catch (const Error& error) {
        failed = error;
    }
    if (!failed) GTEST_SKIP() << "this libalpm downloads itself";
    EXPECT_THAT(failed->what(), AllOf(HasSubstr(view.dir.path("db/sync")), HasSubstr("gives no reason"),
                                      HasSubstr("repo.db")));
}

TEST(FetchTest, FileConflictsNameTheirOwners) {
    View view;
    PackageSpec app = package("app");
    app.files["usr/bin/tool"] = {.content = "app"};
    app.files["usr/share/stray"] = {.content = "app"};
    PackageSpec twin = package("twin");
    twin.files["usr/bin/tool"] = {.content = "twin"};
    view.repository("repo", {app, twin});
    PackageSpec owner = package("owner");
    owner.files["usr/bin/tool"] = {.content = "owner"};
    view.installed(owner);
    view.dir.write("root/usr/share/stray", "nobody's");
    const test::Said said = error_of([&] { view.fetch({.install = {"app"}}); });
    EXPECT_THAT(said.text,
                AllOf(HasSubstr("usr/bin/tool: app has it, and it belongs to owner"),
                      HasSubstr("usr/share/stray: app has it, and it exists and belongs to no package")));
    EXPECT_THAT(error_of([&] {
                    view.fetch({.install = {"app", "twin"}});
                }).text,
                AllOf(HasSubstr("both"), HasSubstr("twin")));
    EXPECT_THAT(lines(view.fetch({.install = {"app"}, .overwrite = {"usr/*"}})), ElementsAre("+app 1.0-1"));
    EXPECT_EQ(view.dir.read("root/usr/share/stray"), "nobody's");
}

TEST(FetchTest, DamagedArchivesAreRefusedAndDeleted) {
    View view;
    PackageSpec app = package("app");
    app.files["usr/bin/app"] = {.content = std::string(4000, 'x')};
    view.repository("repo", {app});
    const std::string name = "app-1.0-1-any.pkg.tar.zst";
    const std::string good = view.dir.read("repo/repo/" + name);
    std::string flipped = good;
    flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 1);
    for (const std::string& bad : {flipped, good.substr(0, good.size() / 2), std::string("short")}) {
        view.dir.write("cache/" + name, bad);
        const test::Said said = error_of([&] { view.fetch({.install = {"app"}}); });
        EXPECT_EQ(said.fault, Fault::corrupt) << said.text;
        EXPECT_NE(::access(view.dir.path("cache/" + name).c_str(), F_OK), 0)
            << "pacman's default is to delete it";
    }
    EXPECT_EQ(view.fetch({.install = {"app"}}).steps.at(0).archive, view.dir.path("cache/" + name));
    view.dir.write("cache/" + name, flipped);
    const Asker no = [](const Question& question) {
        return question.kind == Question::Kind::corrupted ? 0 : question.default_answer;
    };
    (void)error_of([&] { view.fetch({.install = {"app"}}, no); });
    EXPECT_EQ(view.dir.read("cache/" + name), flipped);
}

TEST(FetchTest, TheDamagedOnesAreNamed) {
    View view;
    view.repository("repo", {package("app"), package("lib"), package("good")});
    const auto damage = [&](const std::string& name) {
        const std::string path = "repo/repo/" + name + "-1.0-1-any.pkg.tar.zst";
        std::string bytes = view.dir.read(path);
        bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
        view.dir.write(path, bytes);
    };
    damage("app");
    const ResolveRequest request{.install = {"app", "lib", "good"}};
    EXPECT_THAT(error_of([&] { view.fetch(request); }).text,
                AllOf(HasSubstr("fetch packages: app-1.0-1-any.pkg.tar.zst: "), Not(HasSubstr("lib-"))));
    damage("lib");
    ASSERT_EQ(std::remove(view.dir.path("cache/lib-1.0-1-any.pkg.tar.zst").c_str()), 0);
    const test::Said both = error_of([&] { view.fetch(request); });
    EXPECT_EQ(both.fault, Fault::corrupt);
    EXPECT_THAT(both.text, AllOf(HasSubstr("app-1.0-1"), HasSubstr("lib-1.0-1"), Not(HasSubstr("good-"))));
}

TEST(FetchTest, AServerWithoutTheFileFails) {
    View view;
    view.repository("repo", {package("app")});
    ASSERT_EQ(std::remove(view.dir.path("repo/repo/app-1.0-1-any.pkg.tar.zst").c_str()), 0);
    EXPECT_THAT(error_of([&] { view.fetch({.install = {"app"}}); }).text,
                HasSubstr("app-1.0-1-any.pkg.tar.zst"));
}

TEST(FetchTest, APackageThatIsNotWhatTheDatabaseSaysIsRefused) {
    View view;
    view.repository("repo", {package("app"), package("other")});
    view.spec().config.repositories[0].sig_level = {"Never"};
    // The archive of another package under the name of this one, with a database that has its checksum.
    const std::string other = view.dir.read("repo/repo/other-1.0-1-any.pkg.tar.zst");
    view.dir.write("cache/app-1.0-1-any.pkg.tar.zst", other);
    EXPECT_EQ(error_of([&] { view.fetch({.install = {"app"}}); }).fault, Fault::corrupt);
}

TEST(FetchTest, NamesThatAreNotAsciiSurviveTheCLocale) {
    View view;
    PackageSpec app = package("app");
    app.files["usr/share/grüße.txt"] = {.content = "ü"};
    view.repository("repo", {app});
    view.dir.write("root/usr/share/grüße.txt", "mine");
    EXPECT_THAT(error_of([&] { view.fetch({.install = {"app"}}); }).text, HasSubstr("grüße.txt"));
}

TEST(FetchTest, TheCacheHasToBeWritable) {
    View view;
    view.repository("repo", {package("app")});
    view.spec().cache_dirs = {view.dir.write("file", "") + "/cache"};
    EXPECT_THAT(error_of([&] { view.fetch({.install = {"app"}}); }).text, HasSubstr(view.dir.path("file")));
    if (::geteuid() == 0) return;  // who may write anywhere
    view.spec().cache_dirs = {view.dir.path("cache")};
    ASSERT_EQ(::chmod(view.dir.path("cache").c_str(), 0500), 0);
    EXPECT_THAT(error_of([&] { view.fetch({.install = {"app"}}); }).text, HasSubstr(view.dir.path("cache")));
    ::chmod(view.dir.path("cache").c_str(), 0700);
}

TEST(FetchTest, TwoDownloadsIntoOneCacheWaitForEachOther) {
    View view;
    view.repository("repo", {package("app")});
    std::optional<FileLock> other = FileLock::try_acquire(
        AT_FDCWD, view.dir.path("cache/.pwstore-download.lock"), LockMode::exclusive, "test");
    ASSERT_TRUE(other);
    std::atomic<bool> released = false;
    std::thread release([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        released = true;
        other.reset();
    });
    const Plan plan = view.fetch({.install = {"app"}});
    EXPECT_TRUE(released);
    release.join();
    EXPECT_EQ(plan.steps.size(), 1U);
    EXPECT_THAT(view.sink.messages, Contains(HasSubstr("another download")));
}

/// A web server of one directory, for as long as it lives.
class WebServer {
 public:
    explicit WebServer(const View& view, const std::string& below) {
        const std::string log = view.dir.path("web.log");
        const std::string command = "exec python3 -u -m http.server --bind 127.0.0.1 --directory '" +
                                    view.dir.path(below) + "' 0 > '" + log + "' 2>&1";
        pid_ = ::fork();
        if (pid_ == 0) {
            ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
            ::_exit(127);
        }
        for (int i = 0; i < 500 && port_.empty(); ++i) {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            const std::string said = ::access(log.c_str(), R_OK) == 0 ? view.dir.read("web.log") : "";
            const size_t at = said.find(" port ");
            if (at != std::string::npos) port_ = said.substr(at + 6, said.find(' ', at + 6) - at - 6);
        }
    }
    WebServer(const WebServer&) = delete;
    WebServer& operator=(const WebServer&) = delete;
    ~WebServer() {
        ::kill(pid_, SIGTERM);
        ::waitpid(pid_, nullptr, 0);
    }
    [[nodiscard]] bool runs() const noexcept { return !port_.empty(); }
    [[nodiscard]] std::string url(const std::string& path, const std::string& host = "127.0.0.1") const {
        return "http://" + host + ":" + port_ + path;
    }

 private:
    pid_t pid_ = -1;
    std::string port_;
};

TEST(FetchTest, WorksOverHttpAndTriesTheNextServer) {
    View view;
    PackageSpec app = package("app");
    // Larger than the text that comes with a 404: libalpm 13 gives up when that is more than it expects of
    // the file.
    std::string data;
    for (uint32_t i = 0, value = 1; i < 20000; ++i, value = value * 1664525 + 1013904223)
        data += static_cast<char>(value >> 24);
    app.files["usr/share/data"] = {.content = data};
    view.repository("repo", {app});
    const WebServer server(view, "repo");
    if (!server.runs()) PWSTORE_CANNOT_RUN("there is no python3 for a web server");
    // Two names of the host: libalpm leaves out a host that has failed three times.
    view.spec().config.repositories[0].servers = {server.url("/absent", "localhost"), server.url("/repo")};
    Session session = view.session();
    EXPECT_TRUE(session.refresh(false));
    EXPECT_THAT(view.sink.messages, Contains(HasSubstr("404")));
    EXPECT_FALSE(session.refresh(false)) << "If-Modified-Since";
    const std::string archive = view.dir.read("repo/repo/app-1.0-1-any.pkg.tar.zst");
    EXPECT_EQ(session.fetch({.install = {"app"}}).steps.at(0).validation, 4U);
    EXPECT_EQ(view.dir.read("cache/app-1.0-1-any.pkg.tar.zst"), archive);
    ASSERT_EQ(std::remove(view.dir.path("repo/repo/app-1.0-1-any.pkg.tar.zst").c_str()), 0);
    ASSERT_EQ(std::remove(view.dir.path("cache/app-1.0-1-any.pkg.tar.zst").c_str()), 0);
    EXPECT_THAT(error_of([&] { (void)session.fetch({.install = {"app"}}); }).text, HasSubstr("404"));
}

}  // namespace
}  // namespace pwstore
