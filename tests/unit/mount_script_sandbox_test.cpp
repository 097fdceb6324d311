// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <thread>

#include "mount/process.hpp"
#include "mount/script_sandbox.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "tests/support/busybox_root.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

/// Path → mode and content of everything below a directory.
std::map<std::string, std::string> picture_of(const std::string& top) {
    std::map<std::string, std::string> picture;
    const std::function<void(const std::string&)> walk = [&](const std::string& below) {
        const Fd dir = open_dir(AT_FDCWD, top + below);
        for (const DirectoryItem& item : list_directory(dir.get())) {
            const std::string path = below + "/" + item.name;
            const struct stat status = stat_at(AT_FDCWD, top + path);
            std::string text = std::to_string(status.st_mode) + ":";
            if (S_ISREG(status.st_mode)) text += read_file(AT_FDCWD, top + path);
            if (S_ISLNK(status.st_mode)) text += read_link_at(AT_FDCWD, top + path);
            picture[path] = text;
            if (S_ISDIR(status.st_mode)) walk(path);
        }
    };
    walk("");
    return picture;
}

/// False also for one that is dead and waits for its parent.
bool lives(pid_t pid) {
    const auto text = try_read_file(AT_FDCWD, "/proc/" + std::to_string(pid) + "/stat");
    return text && text->find(") Z ") == std::string::npos;
}

class ScriptSandboxTest : public ::testing::TestWithParam<ScriptMode> {
 protected:
    void SetUp() override {
        root_ = test::make_busybox_root(dir_, "root");
        if (root_.empty()) PWSTORE_CANNOT_RUN("no static /bin/busybox (package busybox-static)");
        make_directories(AT_FDCWD, scratch_);
        before_ = picture_of(root_);
        sandbox_ = std::make_unique<ScriptSandbox>(GetParam(), root_, scratch_);
        sandbox_->begin();
    }

    [[nodiscard]] bool overlay() const { return GetParam() == ScriptMode::overlay; }

    ScriptResult run(const std::string& script) {
        lines_.clear();
        return sandbox_->run({.argv = {"/bin/sh", "-c", script}, .input = "", .files = {}, .environment = {}},
                             [&](std::string_view line) { lines_.emplace_back(line); });
    }
    /// What the scripts made of `path`: in the upper directory or in the copy.
    [[nodiscard]] std::string made(const std::string& path) const {
        return (overlay() ? scratch_ + "/upper" : root_) + path;
    }
    [[nodiscard]] std::string output() const {
        std::string all;
        for (const std::string& line : lines_)
            all += line + "\n";
        return all;
    }
    void expect_root_unchanged() const {
        if (!overlay()) return;
        EXPECT_EQ(picture_of(root_), before_);
    }

    test::TestDir dir_;
    std::string root_;
    std::string scratch_ = dir_.path("scratch");
    std::map<std::string, std::string> before_;
    std::unique_ptr<ScriptSandbox> sandbox_;
    std::vector<std::string> lines_;
};

INSTANTIATE_TEST_SUITE_P(Modes, ScriptSandboxTest,
                         ::testing::Values(ScriptMode::overlay, ScriptMode::private_copy),
                         [](const auto& mode) {
                             return mode.param == ScriptMode::overlay ? "overlay" : "private_copy";
                         });

TEST_P(ScriptSandboxTest, OutputComesByLineAlsoTheLastOneWithoutNewline) {
    const ScriptResult result = run("echo one; echo two >&2; printf three");
    EXPECT_TRUE(result.succeeded()) << result.reason;
    EXPECT_THAT(lines_, ElementsAre("one", "two", "three"));
}

TEST_P(ScriptSandboxTest, ExitCodesAndSignals) {
    EXPECT_EQ(run("exit 3").status, 3);
    const ScriptResult killed = run("kill -TERM $$");
    EXPECT_TRUE(killed.started);
    EXPECT_EQ(killed.status, 128 + SIGTERM);
}

TEST_P(ScriptSandboxTest, CommandThatIsNotThere) {
    const auto start = [&](const std::string& name) {
        return sandbox_->run({.argv = {name}, .input = "", .files = {}, .environment = {}}, {});
    };
    EXPECT_FALSE(start("no-such-program").started);
    EXPECT_EQ(start("no-such-program").status, 127);
    EXPECT_EQ(start("/etc/app.conf").status, 126);
    EXPECT_EQ(start("/usr/share").status, 126);
    // Found on the host, not in the root.
    EXPECT_EQ(start("bwrap").status, 127);
    EXPECT_EQ(start("true").status, 0);
    EXPECT_EQ(start("/bin/true").status, 0);
}

TEST_P(ScriptSandboxTest, MissingInterpreterIsNotExecutable) {
    (void)run("printf '#!/no/interpreter\\n' > /usr/bin/broken; chmod 755 /usr/bin/broken");
    const ScriptResult result =
        sandbox_->run({.argv = {"broken"}, .input = "", .files = {}, .environment = {}}, {});
    EXPECT_FALSE(result.started);
    EXPECT_EQ(result.status, 126) << result.reason;
}

TEST_P(ScriptSandboxTest, InputFilesEnvironment) {
    std::vector<std::string> lines;
    const ScriptResult result =
        sandbox_->run({.argv = {"sh", "-c",
                                ". /tmp/alpm_x/.INSTALL; post_install; cat; echo $COLOUR; (echo x > "
                                "/tmp/alpm_x/.INSTALL) 2>/dev/null || echo read-only"},
                       .input = "a\nb\n",
                       .files = {{"/tmp/alpm_x/.INSTALL", "post_install() { echo installed; }\n"}},
                       .environment = {{"COLOUR", "red"}}},
                      [&](std::string_view line) { lines.emplace_back(line); });
    EXPECT_EQ(result.status, 0) << result.reason;
    EXPECT_THAT(lines, ElementsAre("installed", "a", "b", "red", "read-only"));
    EXPECT_EQ(run("cat; pwd; umask").status, 0);
    EXPECT_THAT(lines_, ElementsAre("/", "0022"));
}

TEST_P(ScriptSandboxTest, HostEnvironmentStaysOutside) {
    ::setenv("PWSTORE_TEST_SECRET", "secret", 1);
    (void)run("env");
    EXPECT_THAT(output(), Not(HasSubstr("secret")));
    ::unsetenv("PWSTORE_TEST_SECRET");
}

TEST_P(ScriptSandboxTest, ChangesLandInUpperOrCopyAndNowhereElse) {
    ASSERT_TRUE(
        run("echo changed >> /etc/app.conf; echo new > /etc/new; rm /usr/share/data; mkdir -p /opt/a/b")
            .succeeded())
        << output();
    EXPECT_TRUE(run("cat /etc/app.conf").succeeded());
    EXPECT_THAT(lines_, ElementsAre("value = 1", "changed"));
    sandbox_->end();
    EXPECT_EQ(read_file(AT_FDCWD, made("/etc/new")), "new\n");
    expect_root_unchanged();
    if (overlay()) {
        const struct stat whiteout = stat_at(sandbox_->upper(), "usr/share/data");
        EXPECT_TRUE(S_ISCHR(whiteout.st_mode) && whiteout.st_rdev == 0);
    }
}

TEST_P(ScriptSandboxTest, EachBeginIsFresh) {
    ASSERT_TRUE(run("echo 1 > /etc/first").succeeded());
    sandbox_->end();
    sandbox_->begin();
    EXPECT_EQ(run("test -e /etc/first").status, overlay() ? 1 : 0);
    sandbox_->end();
    if (overlay()) {
        EXPECT_FALSE(exists_at(sandbox_->upper(), "etc/first"));
    }
}

TEST_P(ScriptSandboxTest, LowerMayChangeBetweenEndAndBegin) {
    sandbox_->end();
    (void)dir_.write("root/etc/later", "later\n");
    sandbox_->begin();
    ASSERT_TRUE(run("cat /etc/later").succeeded());
    EXPECT_THAT(lines_, ElementsAre("later"));
}

TEST_P(ScriptSandboxTest, BackgroundWriterIsGoneWhenRunReturns) {
    const auto started = std::chrono::steady_clock::now();
    // Also one that ignores signals, has left the session and does not hold the output open.
    const ScriptResult result =
        run("(trap '' HUP TERM INT; while :; do echo x >> /etc/background; done) >/dev/null 2>&1 &"
            "setsid sh -c 'while :; do echo x >> /etc/background2; done' >/dev/null 2>&1 & "
            "while ! test -s /etc/background2; do usleep 1000; done; echo done");
    EXPECT_TRUE(result.succeeded()) << result.reason;
    EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(20));
    const auto size = [&] { return stat_at(AT_FDCWD, made("/etc/background2")).st_size; };
    const auto first = size();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_EQ(size(), first);
}

TEST_P(ScriptSandboxTest, WriterThatHoldsTheOutputIsKilledToo) {
    EXPECT_TRUE(run("sleep 1000 & echo done").succeeded());
    EXPECT_THAT(lines_, ElementsAre("done"));
}

TEST_P(ScriptSandboxTest, NothingPrivilegedWorks) {
    const ScriptResult result = run(R"SH(
        fail() { echo "ESCAPED: $*"; }
        while read -r id parent device root point rest; do
            mount -o remount,rw,bind "$point" 2>/dev/null && fail "remount $point"
            umount -l "$point" 2>/dev/null && fail "umount $point"
        done < /proc/self/mountinfo
        unshare -Ur true 2>/dev/null && fail unshare
        unshare -m true 2>/dev/null && fail "unshare -m"
        chroot / true 2>/dev/null && fail chroot
        mount -t tmpfs none /mnt 2>/dev/null && fail "mount tmpfs"
        for setting in hostname core_pattern modprobe; do
            (cat /proc/sys/kernel/$setting > /run/value && cat /run/value > /proc/sys/kernel/$setting) 2>/dev/null && fail "setting $setting"
        done
        test -e /proc/sysrq-trigger && (echo h > /proc/sysrq-trigger) 2>/dev/null && fail sysrq
        grep -q '^CapEff:.000000000000001a' /proc/self/status || fail "capabilities $(grep CapEff /proc/self/status)"
        grep -q '^CapBnd:.000000000000001a' /proc/self/status || fail "bounding set $(grep CapBnd /proc/self/status)"
        grep -q '^NoNewPrivs:.1' /proc/self/status || fail "new privileges"
        grep -q '^Seccomp:.2' /proc/self/status || fail "no filter"
        grep -q '^Seccomp:.2' /proc/1/status || fail "no filter in the first process"
        exit 0)SH");
    EXPECT_TRUE(result.succeeded()) << result.reason << output();
    EXPECT_THAT(output(), Not(HasSubstr("ESCAPED")));
    sandbox_->end();
    expect_root_unchanged();
}

TEST_P(ScriptSandboxTest, DescriptorsOfTheHostStayOutside) {
    // Not close-on-exec, as a careless parent leaves them.
    const int directory = ::open(root_.c_str(), O_RDONLY | O_DIRECTORY);
    const int high = ::fcntl(directory, F_DUPFD, 300);
    ASSERT_GE(high, 300);
    sandbox_.reset();
    sandbox_ = std::make_unique<ScriptSandbox>(GetParam(), root_, scratch_);
    sandbox_->begin();
    EXPECT_TRUE(run("for i in /proc/self/fd/* /proc/1/fd/*; do echo $i $(readlink $i); done").succeeded());
    ::close(directory);
    ::close(high);
    for (const std::string& line : lines_) {
        EXPECT_THAT(line, Not(HasSubstr(" /dev/shm"))) << "a path of the host is open inside";
        EXPECT_THAT(line, Not(HasSubstr("memfd"))) << "a file of the start-up is open inside";
    }
    EXPECT_THAT(output(), HasSubstr("/proc/1/fd/"));
    // The three streams and what the shell's glob opens itself.
    EXPECT_TRUE(run("exec 2>/dev/null; for i in 3 4 5 6 7 8 9 300 301 302; do test -e /proc/self/fd/$i && "
                    "echo open $i; done; true")
                    .succeeded());
    EXPECT_THAT(lines_, ElementsAre());
}

TEST_P(ScriptSandboxTest, NoNetworkNoHome) {
    EXPECT_TRUE(run("ls /home /root | wc -l; cat /proc/net/dev | grep -vc -e lo: -e '|'").started);
    EXPECT_THAT(output(), HasSubstr("0\n"));
    EXPECT_NE(run("ip route | grep default").status, 0);
    EXPECT_TRUE(run("hostname").succeeded());
    EXPECT_THAT(lines_, ElementsAre("pwstore"));
}

TEST_P(ScriptSandboxTest, RootWorkSucceeds) {
    const ScriptResult result = run(R"(
        set -e
        echo x > /etc/owned
        chown 33:33 /etc/owned
        chmod 4755 /etc/owned
        cp /etc/app.conf /etc/installed; chown 33 /etc/installed; chown -h 33 /lib
        mkfifo /run/fifo /etc/fifo
        mknod /etc/null c 1 3
        mkdir -m 000 /etc/closed
        touch /etc/closed/inside
        id -u)");
    EXPECT_TRUE(result.succeeded()) << result.reason << output();
    EXPECT_THAT(lines_, ElementsAre("0"));
    sandbox_->end();
    EXPECT_FALSE(exists_at(AT_FDCWD, made("/etc/null")));
    EXPECT_TRUE(S_ISFIFO(stat_at(AT_FDCWD, made("/etc/fifo")).st_mode));
}

TEST_P(ScriptSandboxTest, MountPointsReplacedBySymlinksAreRefused) {
    const std::string outside = dir_.path("outside");
    make_directories(AT_FDCWD, outside);
    sandbox_->end();
    // Nobody inside can do it, /tmp is a mount point there; a package could.
    ASSERT_EQ(::rmdir((root_ + "/tmp").c_str()), 0);
    ASSERT_EQ(::symlink(("/oldroot" + outside).c_str(), (root_ + "/tmp").c_str()), 0);
    sandbox_->begin();
    const ScriptResult result = run("touch /tmp/x");
    EXPECT_FALSE(result.started);
    EXPECT_EQ(result.status, 125);
    EXPECT_FALSE(exists_at(AT_FDCWD, outside + "/x"));
}

TEST_P(ScriptSandboxTest, ThrowingReceiverIsHeardAndTheSandboxGoesOn) {
    const ScriptCommand command{
        .argv = {"sh", "-c", "seq 100000"}, .input = "", .files = {}, .environment = {}};
    EXPECT_THROW(
        (void)sandbox_->run(command, [](std::string_view) { throw Error("read", "line", "enough"); }), Error);
    EXPECT_TRUE(run("echo still here").succeeded());
}

TEST_P(ScriptSandboxTest, HostileTreeIsDiscarded) {
    if (!overlay()) GTEST_SKIP() << "only an overlay has something to discard";
    ASSERT_TRUE(run(R"(
        # Deeper than any path: chains, each moved to the end of the next one.
        mkdir /opt/deep && echo x > /opt/deep/leaf
        for round in 1 2 3 4 5; do
            chain=/opt/chain; i=0
            while [ $i -lt 350 ]; do chain=$chain/dddddddddd; i=$((i+1)); done
            mkdir -p $chain && mv /opt/deep $chain/ && mv /opt/chain /opt/deep || exit 1
        done
        mkdir /opt/closed && echo x > /opt/closed/file && chmod 000 /opt/closed
        ln -s /etc /opt/link
        mkdir /opt/sticky && chmod 1777 /opt/sticky)")
                    .succeeded())
        << output();
    sandbox_->end();
    const auto mode = stat_at(AT_FDCWD, scratch_ + "/work/work").st_mode & 07777;
    EXPECT_EQ(mode, 0U) << "the kernel leaves the work directory closed";
    sandbox_->discard();
    EXPECT_THAT(list_directory(open_dir(AT_FDCWD, scratch_).get()), ::testing::IsEmpty());
    expect_root_unchanged();
}

TEST_P(ScriptSandboxTest, ASymlinkIsNoRootAndNoScratch) {
    sandbox_.reset();
    ASSERT_EQ(::symlink(root_.c_str(), dir_.path("link").c_str()), 0);
    EXPECT_THROW(ScriptSandbox(GetParam(), dir_.path("link"), scratch_), Error);
    ASSERT_EQ(::symlink(scratch_.c_str(), dir_.path("scratch-link").c_str()), 0);
    EXPECT_THROW(ScriptSandbox(GetParam(), root_, dir_.path("scratch-link")), Error);
}

TEST_P(ScriptSandboxTest, RunNeedsBegin) {
    sandbox_->end();
    EXPECT_THROW((void)run("true"), Error);
}

TEST_P(ScriptSandboxTest, DestructorLeavesNothing) {
    (void)run("echo x > /etc/x");
    sandbox_.reset();
    EXPECT_THAT(list_directory(open_dir(AT_FDCWD, scratch_).get()), ::testing::IsEmpty());
    EXPECT_THAT(read_file(AT_FDCWD, "/proc/self/mountinfo"), Not(HasSubstr(dir_.path())));
}

TEST_P(ScriptSandboxTest, EverythingDiesWithTheCaller) {
    sandbox_.reset();
    const std::string mark = dir_.path("mark");
    const pid_t child = ::fork();
    if (child == 0) {
        try {
            ScriptSandbox sandbox(GetParam(), root_, scratch_);
            sandbox.begin();
            (void)sandbox.run(
                {.argv = {"sh", "-c", "echo up; sleep 1000"}, .input = "", .files = {}, .environment = {}},
                [&](std::string_view) {
                    (void)dir_.write(
                        "mark",
                        read_file(AT_FDCWD, "/proc/self/task/" + std::to_string(::getpid()) + "/children"));
                });
        } catch (const std::exception&) {
        }
        ::_exit(1);
    }
    while (!exists_at(AT_FDCWD, mark) || read_file(AT_FDCWD, mark).empty()) {
        ASSERT_EQ(::waitpid(child, nullptr, WNOHANG), 0) << "the sandbox could not be started";
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    const pid_t helper = std::stoi(read_file(AT_FDCWD, mark));
    const auto monitor = command_of(helper);
    ASSERT_TRUE(monitor.has_value());
    const auto init = command_of(*monitor);
    ASSERT_TRUE(init.has_value());
    ::kill(child, SIGKILL);
    EXPECT_EQ(exit_code_of(wait_for(child)), 128 + SIGKILL);
    for (const pid_t pid : {helper, *monitor, *init}) {
        for (int i = 0; i < 400 && lives(pid); ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        EXPECT_FALSE(lives(pid)) << pid;
    }
}

}  // namespace
}  // namespace pwstore
