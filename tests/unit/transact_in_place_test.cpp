// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "tests/support/busybox_root.hpp"
#include "tests/support/package_builder.hpp"
#include "tests/support/root_fixture.hpp"
#include "tests/support/test_dir.hpp"
#include "transact/in_place.hpp"

namespace pwstore {
namespace {

using test::content_of;
using test::inode_of;
using test::PackageSpec;
using test::TestDir;
using ::testing::Contains;
using ::testing::HasSubstr;

/// Agrees to everything and remembers what it was told.
class YesDialogue final : public Dialogue {
 public:
    void progress(const std::string&, const std::string&, uint64_t, uint64_t) override {}
    void message(Severity severity, const std::string& text) override {
        lines.push_back((severity == Severity::error ? "error: " : "warning: ") + text);
    }
    bool confirm(const std::vector<ContainerPlan>& plans) override {
        if (on_confirm) on_confirm();
        shown = plans;
        return yes;
    }
    int ask(const Question& question) override { return question.default_answer; }
    void script_output(const std::string& agent, const std::string& line) override {
        lines.push_back(agent + ": " + line);
    }
    std::vector<std::string> lines;
    std::vector<ContainerPlan> shown;
    std::function<void()> on_confirm;
    bool yes = true;
};

class InPlace : public ::testing::Test {
 protected:
    InPlace() { use_root("root"); }

    void use_root(const std::string& name) {
        root = name;
        make_directories(AT_FDCWD, at("var/lib/pacman"));
        make_directories(AT_FDCWD, at("etc/pacman.d/hooks"));
        dir.write("pacman.conf", "[options]\nArchitecture = x86_64\nSigLevel = Never\n" + options);
    }
    [[nodiscard]] std::string at(const std::string& path) const { return dir.path(root + "/" + path); }
    std::string build(const PackageSpec& spec) { return build_package(dir.path("packages"), spec); }

    TransactionRequest request() {
        TransactionRequest made;
        made.containers.emplace_back();
        made.lock_patience_seconds = 0;
        InPlaceRequest& place = made.in_place.emplace();
        place.root = dir.path(root);
        place.database = at("var/lib/pacman");
        place.config = dir.path("pacman.conf");
        place.cache_dirs = {dir.path("cache")};
        place.gnupg_dir = dir.path("gnupg");
        place.log_file = dir.path("log");
        place.hook_dirs = {at("etc/pacman.d/hooks")};
        return made;
    }
    TransactionReport run(const TransactionRequest& wanted) {
        dialogue = YesDialogue();
        return run_in_place(wanted, dialogue);
    }
    TransactionReport install(const std::vector<PackageSpec>& packages) {
        TransactionRequest wanted = request();
        for (const PackageSpec& package : packages)
            wanted.containers[0].packages.archive_files.push_back(build(package));
        return run(wanted);
    }
    TransactionReport remove(const std::vector<std::string>& names) {
        TransactionRequest wanted = request();
        wanted.containers[0].packages.remove = names;
        return run(wanted);
    }
    void write(const std::string& path, const std::string& content) const {
        dir.write(root + "/" + path, content);
        set_mtime_at(AT_FDCWD, at(path), 1234);
    }
    [[nodiscard]] std::string read(const std::string& path) const { return content_of(at(path)); }
    [[nodiscard]] bool exists(const std::string& path) const { return exists_at(AT_FDCWD, at(path)); }
    [[nodiscard]] mode_t mode(const std::string& path) const {
        return stat_at(AT_FDCWD, at(path)).st_mode & 07777U;
    }
    [[nodiscard]] std::string database(const std::string& file) const {
        return read("var/lib/pacman/local/" + file);
    }

    TestDir dir;
    std::string root, options;
    YesDialogue dialogue;
};

PackageSpec package(const std::string& version) {
    PackageSpec spec;
    spec.name = "app";
    spec.version = version;
    return spec;
}

// --- The same as pacman ------------------------------------------------------------------------------------

/// What there is below a root: path → kind, mode, time of files, content; the database without its dates.
std::map<std::string, std::string> state_of(const std::string& root) {
    namespace fs = std::filesystem;
    std::map<std::string, std::string> state;
    std::map<uint64_t, std::string> inodes;
    for (const fs::directory_entry& item : fs::recursive_directory_iterator(root)) {
        const std::string path = item.path().string().substr(root.size() + 1);
        struct stat info {};
        EXPECT_EQ(::lstat(item.path().c_str(), &info), 0);
        std::string text = fmt::format("{:o}", info.st_mode);
        if (S_ISLNK(info.st_mode)) {
            text += " -> " + fs::read_symlink(item.path()).string();
        } else if (S_ISREG(info.st_mode)) {
            const auto [first, is_new] = inodes.emplace(info.st_ino, path);
            if (!is_new) text += " is " + first->second;
            std::string content = content_of(item.path().string());
            if (const size_t date = content.find("%INSTALLDATE%"); date != std::string::npos)
                content.erase(date, content.find("\n\n", date) - date);
            if (!path.starts_with("var/lib/pacman/"))
                text += fmt::format(" @{}.{}", info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
            text += "\n" + content;
        }
        state[path] = text;
    }
    return state;
}

class SameAsPacman : public InPlace {
 protected:
    void SetUp() override {
        if (std::system("pacman --version >/dev/null 2>&1 && unshare -Ur true 2>/dev/null") != 0)
            PWSTORE_CANNOT_RUN("pacman or user namespaces are not available");
    }
    void on_both(const std::function<void()>& act) {
        for (const char* name : {"real", "root"}) {
            use_root(name);
            act();
        }
    }
    void pacman(const std::string& arguments) {
        const std::string real = dir.path("real");
        const std::string command = fmt::format(
            "cd / && LC_ALL=C.UTF-8 unshare -Ur pacman --noconfirm --config {0}/pacman.conf -r {1} -b "
            "{1}/var/lib/pacman --cachedir {0}/cache --hookdir {1}/etc/pacman.d/hooks --gpgdir {0}/gnupg "
            "--logfile {0}/log {2} >{0}/output 2>&1",
            dir.path(), real, arguments);
        EXPECT_EQ(std::system(command.c_str()), 0) << content_of(dir.path("output"));
    }
    void both_install(const std::vector<PackageSpec>& packages) {
        on_both([] {});
        std::string arguments = "-U";
        for (const PackageSpec& spec : packages)
            arguments += " " + build(spec);
        pacman(arguments);
        EXPECT_TRUE(install(packages).changed);
        expect_same();
    }
    void both_remove(const std::string& name) {
        pacman("-R " + name);
        EXPECT_TRUE(remove({name}).changed);
        expect_same();
    }
    void expect_same() {
        const auto real = state_of(dir.path("real"));
        const auto ours = state_of(dir.path("root"));
        for (const auto& [path, text] : real) {
            const auto found = ours.find(path);
            ASSERT_TRUE(found != ours.end()) << path << " is missing";
            EXPECT_EQ(found->second, text) << path;
        }
        for (const auto& [path, text] : ours)
            EXPECT_TRUE(real.contains(path)) << path << " is there: " << text;
    }
};

TEST_F(SameAsPacman, InstallUpgradeAndRemove) {
    on_both([&] { make_directories(AT_FDCWD, at("tmp")); });  // pacman makes it for scriptlets
    PackageSpec one = package("1.0-1");
    one.files = {{"usr/bin/app", {.content = "one", .mode = 0755, .mtime = 1234567, .mtime_ns = 5}},
                 {"usr/share/private/data", {.content = "d", .mode = 0640}},
                 {"usr/share/gone/old", {.content = "old"}},
                 {"usr/share/becomes-dir", {.content = "file"}},
                 {"usr/share/becomes-file/inner", {.content = "inner"}},
                 {"usr/share/moves", {.content = "from app"}}};
    one.directories = {{"usr/share/private", 0750}, {"var/spool/app", 01777}};
    one.symlinks = {{"usr/lib/libapp.so", "libapp.so.1"}, {"usr/share/becomes-plain", "nowhere"}};
    one.hardlinks = {{"usr/bin/app-link", "usr/bin/app"}};
    one.fifos = {{"var/spool/queue", 0600}};
    one.changelog = "changes\n";
    one.install = "unused() { :; }\n";
    PackageSpec other = package("1.0-1");
    other.name = "other";
    other.files = {{"usr/share/other", {.content = "x"}}, {"usr/share/gone/of-other", {.content = "y"}}};
    both_install({one, other});

    PackageSpec two = package("2.0-1");
    two.files = {{"usr/bin/app", {.content = "two", .mode = 0700}},
                 {"usr/share/becomes-dir/now", {.content = "n"}},
                 {"usr/share/becomes-file", {.content = "plain"}},
                 {"usr/share/becomes-plain", {.content = "plain"}}};
    two.symlinks = {{"usr/share/private", "../lib"}};
    PackageSpec taker = other;
    taker.version = "2.0-1";
    taker.files["usr/share/moves"] = {.content = "from other"};
    both_install({two, taker});
    on_both([&] { write("usr/share/of-nobody", "mine"); });
    both_remove("other");
    both_remove("app");
}

TEST_F(SameAsPacman, ConfigurationFilesOverSeveralTransactions) {
    PackageSpec one = package("1.0-1");
    for (const char* name : {"same", "edited", "both", "deleted", "unlisted", "kept"}) {
        one.files[fmt::format("etc/{}", name)] = {.content = std::string("one ") + name};
        one.backup.push_back(fmt::format("etc/{}", name));
    }
    both_install({one});
    on_both([&] {
        write("etc/edited", "by hand");
        write("etc/both", "by hand");
        write("etc/unlisted", "by hand");
        write("etc/kept", "by hand");
        write("etc/kept.pacnew", "an older one");
        EXPECT_EQ(::unlink(at("etc/deleted").c_str()), 0);
    });
    PackageSpec two = one;
    two.version = "2.0-1";
    two.files["etc/same"].content = "two";
    two.files["etc/both"].content = "two";
    std::erase(two.backup, "etc/unlisted");
    both_install({two});
    EXPECT_THAT(dialogue.lines, Contains(HasSubstr("etc/both installed as")));

    on_both([&] { write("etc/both", "two"); });
    PackageSpec three = two;
    three.version = "3.0-1";
    three.files["etc/same"].content = "three";
    three.files["etc/both"].content = "three";
    both_install({three});
    on_both([&] {
        write("etc/same", "by hand at last");
        write("etc/same.pacsave", "an older one");
        write("etc/same.pacsave.3", "a much older one");
    });
    both_remove("app");
}

TEST_F(SameAsPacman, NoExtractAndNoUpgrade) {
    options = "NoExtract = usr/share/doc/* !usr/share/doc/keep\nNoUpgrade = etc/fixed\n";
    PackageSpec one = package("1.0-1");
    one.files = {{"usr/share/doc/app", {.content = "d"}},
                 {"usr/share/doc/keep", {.content = "k"}},
                 {"etc/fixed", {.content = "one"}}};
    both_install({one});
    PackageSpec two = one;
    two.version = "2.0-1";
    two.files["etc/fixed"].content = "two";
    both_install({two});
    both_remove("app");
}

TEST_F(SameAsPacman, ASymlinkInThePlaceOfADirectory) {
    PackageSpec one = package("1.0-1");
    one.files = {{"usr/share/app/file", {.content = "one"}}, {"usr/share/more/file", {.content = "one"}}};
    both_install({one});
    on_both([&] {
        ASSERT_EQ(::rename(at("usr/share/app").c_str(), at("usr/elsewhere").c_str()), 0);
        ASSERT_EQ(::symlink("../elsewhere", at("usr/share/app").c_str()), 0);
    });
    PackageSpec two = one;
    two.version = "2.0-1";
    two.files["usr/share/app/file"].content = "two";
    two.files["usr/share/more/new"] = {.content = "new"};
    both_install({two});
    both_remove("app");
}

// --- Rules of its own --------------------------------------------------------------------------------------

TEST_F(InPlace, ASetIdBitNeedsItsOwner) {
    PackageSpec spec = package("1.0-1");
    spec.files = {{"usr/bin/mine", {.content = "m", .mode = 04755, .uid = ::geteuid(), .gid = ::getegid()}},
                  {"usr/bin/foreign", {.content = "f", .mode = 04755, .uid = 4242}}};
    if (::geteuid() == 0) PWSTORE_CANNOT_RUN("root gives any file to anybody");
    install({spec});
    EXPECT_EQ(mode("usr/bin/mine"), 04755U);
    EXPECT_EQ(mode("usr/bin/foreign"), 0755U);
    EXPECT_EQ(std::count_if(dialogue.lines.begin(), dialogue.lines.end(),
                            [](const std::string& line) { return line.find("owner") != line.npos; }),
              1);
}

TEST_F(InPlace, AFileInUseIsReplacedAndNeverWrittenInto) {
    PackageSpec spec = package("1.0-1");
    spec.files = {{"usr/bin/app", {.content = "one"}}};
    install({spec});
    const uint64_t before = inode_of(at("usr/bin/app"));
    const Fd open = open_at(AT_FDCWD, at("usr/bin/app"), O_RDONLY);
    spec.version = "2.0-1";
    spec.files["usr/bin/app"].content = "two";
    install({spec});
    EXPECT_EQ(read_all(open.get(), "old"), "one");
    EXPECT_EQ(read("usr/bin/app"), "two");
    EXPECT_NE(inode_of(at("usr/bin/app")), before);
}

TEST_F(InPlace, ThePacmanLockIsHeldFromTheDecisionToTheEnd) {
    PackageSpec spec = package("1.0-1");
    TransactionRequest wanted = request();
    wanted.containers[0].packages.archive_files = {build(spec)};
    YesDialogue watching;
    bool locked = false;
    watching.on_confirm = [&] { locked = exists("var/lib/pacman/db.lck"); };
    (void)run_in_place(wanted, watching);
    EXPECT_TRUE(locked);
    EXPECT_FALSE(exists("var/lib/pacman/db.lck"));
    write("var/lib/pacman/db.lck", "");
    try {
        (void)run(wanted);
        FAIL() << "somebody else has the lock";
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::busy);
    }
}

TEST_F(InPlace, NothingHappensWithoutAgreementOrInAPreview) {
    PackageSpec spec = package("1.0-1");
    spec.files = {{"usr/bin/app", {.content = "one"}}};
    TransactionRequest wanted = request();
    wanted.containers[0].packages.archive_files = {build(spec)};
    YesDialogue declining;
    declining.yes = false;
    EXPECT_TRUE(run_in_place(wanted, declining).declined);
    wanted.preview = true;
    EXPECT_FALSE(run(wanted).changed);
    EXPECT_EQ(dialogue.shown.size(), 1U);
    EXPECT_FALSE(exists("usr"));
    EXPECT_FALSE(exists("var/lib/pacman/local/app-1.0-1"));
}

TEST_F(InPlace, WithDbOnlyTheDatabaseHasTrueHashes) {
    PackageSpec spec = package("1.0-1");
    spec.files = {{"etc/app.conf", {.content = "conf"}}};
    spec.backup = {"etc/app.conf"};
    TransactionRequest wanted = request();
    wanted.containers[0].packages.archive_files = {build(spec)};
    wanted.in_place->db_only = true;
    EXPECT_TRUE(run(wanted).changed);
    EXPECT_FALSE(exists("etc/app.conf"));
    EXPECT_THAT(database("app-1.0-1/files"), HasSubstr("etc/app.conf\t" + test::reference_md5("conf")));
}

TEST_F(InPlace, ADamagedArchiveIsFoundBeforeAnythingIsTouched) {
    PackageSpec good = package("1.0-1");
    good.files = {{"usr/bin/app", {.content = "one"}}};
    PackageSpec bad = good;
    bad.name = "bad";
    bad.compression = "";
    bad.files = {{"usr/bin/bad", {.content = std::string(100000, 'x')}}};
    TransactionRequest wanted = request();
    const std::string broken = build(bad);
    wanted.containers[0].packages.archive_files = {build(good), broken};
    ASSERT_EQ(::truncate(broken.c_str(), 60000), 0);
    EXPECT_THROW((void)run(wanted), Error);
    EXPECT_FALSE(exists("usr"));
    EXPECT_FALSE(exists("var/lib/pacman/db.lck"));
}

// --- Scripts -----------------------------------------------------------------------------------------------

class InPlaceScripts : public InPlace {
 protected:
    void SetUp() override {
        const std::string made = test::make_busybox_root(dir, "root");
        if (made.empty()) PWSTORE_CANNOT_RUN("no static /bin/busybox (package busybox-static)");
        use_root("root");
        for (const char* name : {"dev", "proc", "run", "tmp"})
            (void)::rmdir(at(name).c_str());
    }
};

TEST_F(InPlaceScripts, ScriptletsSeeTheRootAndLeaveNoMountPoints) {
    PackageSpec spec = package("1.0-1");
    spec.files = {{"usr/share/app", {.content = "one"}}};
    spec.install =
        "pre_install() { test ! -e /usr/share/app && echo pre $1 > /seen; }\n"
        "post_install() { cat /usr/share/app >> /seen; echo said; }\n"
        "pre_remove() { echo goes >> /seen; }\n";
    install({spec});
    EXPECT_EQ(read("seen"), "pre 1.0-1\none");
    EXPECT_THAT(dialogue.lines, Contains(HasSubstr("said")));
    remove({"app"});
    EXPECT_EQ(read("seen"), "pre 1.0-1\nonegoes\n");
    for (const char* name : {"dev", "proc", "run", "tmp"})
        EXPECT_FALSE(exists(name)) << name;
}

TEST_F(InPlaceScripts, AHookThatForbidsTheTransactionLeavesEverything) {
    PackageSpec one = package("1.0-1");
    one.files = {{"usr/share/app", {.content = "one"}}};
    install({one});
    write("etc/pacman.d/hooks/never.hook",
          "[Trigger]\nType = Package\nOperation = Upgrade\nTarget = app\n"
          "[Action]\nWhen = PreTransaction\nExec = /bin/sh -c 'exit 1'\nAbortOnFail\n");
    const auto before = state_of(at("usr"));
    const auto records = state_of(at("var"));
    PackageSpec two = one;
    two.version = "2.0-1";
    two.files["usr/share/app"].content = "two";
    try {
        install({two});
        FAIL() << "the hook forbids it";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("failed to run transaction hooks"));
    }
    EXPECT_EQ(state_of(at("usr")), before);
    EXPECT_EQ(state_of(at("var")), records);
}

TEST_F(InPlaceScripts, AnUnreadableHookForbidsAndALaterDirectoryOverrides) {
    PackageSpec spec = package("1.0-1");
    spec.files = {{"usr/share/app", {.content = "one"}}};
    write("usr/share/libalpm/hooks/x.hook", "nonsense\n");
    EXPECT_THROW(install({spec}), Error);
    EXPECT_FALSE(exists("usr/share/app"));
    write("usr/share/libalpm/hooks/x.hook",
          "[Trigger]\nType = Path\nOperation = Install\nTarget = usr/share/app\n"
          "[Action]\nWhen = PostTransaction\nExec = /bin/sh -c 'cat > /targets'\nNeedsTargets\n");
    write("usr/share/libalpm/hooks/y.hook",
          "[Trigger]\nType = Path\nOperation = Install\nTarget = usr/share/app\n"
          "[Action]\nWhen = PostTransaction\nExec = /bin/sh -c '> /masked'\n");
    ASSERT_EQ(::symlink("/dev/null", at("etc/pacman.d/hooks/y.hook").c_str()), 0);
    install({spec});
    EXPECT_EQ(read("targets"), "usr/share/app\n");
    EXPECT_FALSE(exists("masked"));
}

}  // namespace
}  // namespace pwstore
