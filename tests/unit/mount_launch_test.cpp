// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <pty.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <functional>
#include <map>
#include <thread>

#include "mount/guard.hpp"
#include "mount/launch.hpp"
#include "mount/process.hpp"
#include "store/base/path_at.hpp"
#include "store/store.hpp"
#include "tests/support/busybox_root.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

/// What a launched command printed, and how it ended.
struct Outcome {
    int code = -1;
    std::string output;
};

/// A container "box" with generation 1 as its current one, in a store of its own.
class LaunchTest : public ::testing::Test {
 protected:
    void SetUp() override {
        root_ = test::make_busybox_root(dir_, "data/roots/box@1");
        if (root_.empty()) PWSTORE_CANNOT_RUN("no static /bin/busybox (package busybox-static)");
        make_directories(AT_FDCWD, dir_.path("data/home/box"));
        object_ = dir_.write("data/store/objects/ab/object", "data\n");
        (void)remove_file(AT_FDCWD, root_ + "/usr/share/data");
        // As in a farm: a hard link to an object.
        ASSERT_EQ(::chmod(object_.c_str(), 0644), 0);
        ASSERT_EQ(::link(object_.c_str(), (root_ + "/usr/share/data").c_str()), 0);
        set_current(1);
    }

    void set_current(uint64_t generation) {
        WriteTxn txn = store_.index().write();
        ContainerRow row;
        row.current = row.last_number = generation;
        txn.put_container(name_, row);
        txn.commit();
    }

    [[nodiscard]] SandboxSpec spec(const std::string& yaml = "") const {
        ComposeRequest request{name_, 1,    ContainerConfig::parse(yaml, "test.yml"), RunKind::user, {}, {},
                               {},    false};
        request.root.path = root_;
        return compose(store_.layout(), request, HostContext::current()).spec;
    }

    /// In a child, so that its streams and signals are its own.
    static Outcome in_child(const std::function<int()>& act) {
        Pipe output = make_pipe();
        const pid_t child = ::fork();
        if (child == 0) {
            ::dup2(output.write_end.get(), 1);
            ::dup2(output.write_end.get(), 2);
            int code = 0;
            try {
                code = act();
            } catch (const Error& error) {
                const std::string text = std::string("error: ") + error.what();
                (void)!::write(1, text.data(), text.size());
                code = launch_exit_code(error);
            }
            ::_exit(code);
        }
        output.write_end.reset();
        Outcome outcome;
        outcome.output = read_all(output.read_end.get(), "output");
        outcome.code = exit_code_of(wait_for(child));
        return outcome;
    }
    static Outcome run(const SandboxSpec& spec, const std::vector<std::string>& argv) {
        return in_child([&] { return launch(spec, argv, Fd()); });
    }
    static Outcome shell(const SandboxSpec& spec, const std::string& script) {
        return run(spec, {"sh", "-c", script});
    }

    test::TestDir dir_;
    Store store_ = Store::open(dir_.directories());
    ContainerName name_{"box"};
    std::string root_;
    std::string object_;
};

TEST_F(LaunchTest, ExitCodes) {
    EXPECT_EQ(run(spec(), {"true"}).code, 0);
    EXPECT_EQ(shell(spec(), "exit 3").code, 3);
    EXPECT_EQ(shell(spec(), "kill -KILL $$").code, 128 + SIGKILL);
    const Outcome missing = run(spec(), {"no-such-program"});
    EXPECT_EQ(missing.code, 127);
    EXPECT_THAT(missing.output, HasSubstr("no-such-program"));
    EXPECT_EQ(run(spec(), {"/etc/app.conf"}).code, 126);
    EXPECT_EQ(run(spec(), {"/usr"}).code, 126);
    // Files that only the sandbox has, such as its /etc/passwd.
    SandboxSpec made = spec();
    made.mounts.push_back({MountOp::Kind::data_ro, "root:x:0:0\n", "/etc/app.conf", 0644, false, "test"});
    EXPECT_EQ(run(made, {"/etc/app.conf"}).code, 126);
    EXPECT_EQ(run(made, {"/etc/app.conf/below"}).code, 127);
    made.mounts.back() = {
        MountOp::Kind::data_ro, "#!/bin/sh\nexit 4\n", "/etc/app.conf", 0755, false, "test"};
    EXPECT_EQ(run(made, {"/etc/app.conf"}).code, 4);
    SandboxSpec broken = spec();
    broken.mounts.push_back({MountOp::Kind::data_ro, "x", "/usr/share/nowhere/file", 0644, false, "test"});
    const Outcome failed = run(broken, {"true"});
    EXPECT_EQ(failed.code, 125);
    EXPECT_THAT(failed.output, AllOf(HasSubstr("bwrap: "), HasSubstr("could not be started")));
}

TEST_F(LaunchTest, CommandsAreLookedUpInsideNotOnTheHost) {
    // Absolute links of the root point into the root.
    ASSERT_EQ(::symlink("/usr/bin/busybox", (root_ + "/usr/bin/absolute").c_str()), 0);
    EXPECT_EQ(run(spec(), {"absolute", "true"}).code, 127) << "busybox has no applet of that name";
    ASSERT_EQ(::symlink("/bin/bwrap", (root_ + "/usr/bin/outside").c_str()), 0);
    EXPECT_THAT(run(spec(), {"outside"}).output, HasSubstr("error: run in box 'outside'"));
    EXPECT_EQ(run(spec(), {"bwrap"}).code, 127);
    // In the home, which is bound over the root; relative to the working directory; with a missing
    // interpreter.
    (void)dir_.write("data/home/box/tool", "#!/bin/sh\necho tool\n");
    EXPECT_EQ(run(spec(), {"/home/box/tool"}).code, 126);
    ASSERT_EQ(::chmod(dir_.path("data/home/box/tool").c_str(), 0755), 0);
    EXPECT_EQ(run(spec(), {"/home/box/tool"}).output, "tool\n");
    EXPECT_EQ(run(spec(), {"./tool"}).output, "tool\n");
    EXPECT_EQ(run(spec(), {"../box/tool"}).output, "tool\n");
    (void)dir_.write("data/home/box/tool", "#! /no/interpreter -x\n");
    EXPECT_EQ(run(spec(), {"./tool"}).code, 126);
    ASSERT_EQ(::symlink("loop", (root_ + "/usr/bin/loop").c_str()), 0);
    EXPECT_EQ(run(spec(), {"loop"}).code, 127);
}

TEST_F(LaunchTest, WhatCannotBeExecutedIsNamed) {
    const auto tool = [&](const std::string& content) {
        (void)dir_.write("data/home/box/tool", content);
        EXPECT_EQ(::chmod(dir_.path("data/home/box/tool").c_str(), 0755), 0);
        return run(spec(), {"/home/box/tool"});
    };
    const auto refused = [&](const std::string& content, const std::string& cause) {
        const Outcome outcome = tool(content);
        EXPECT_EQ(outcome.code, 126) << cause;
        EXPECT_THAT(outcome.output, HasSubstr(cause));
        EXPECT_THAT(outcome.output, Not(HasSubstr("bwrap")));
    };
    // A program that asks for a loader, in a root that has none.
    const std::string dynamic = read_file(AT_FDCWD, "/usr/bin/env");
    refused(dynamic, "its loader '/lib");
    std::string program = read_file(AT_FDCWD, "/bin/busybox");
    EXPECT_EQ(tool(program).code, 127) << "no applet of that name";
    const auto machine = [&](unsigned char number) {
        std::string other = program;
        other[18] = static_cast<char>(number);
        return other;
    };
    refused(machine(243), "it is a program for riscv, this machine is ");
    refused(machine(0xfe), "it is a program for machine 254");
    program[16] = 1;  // an object file
    refused(program, "neither a program");
    refused(program.substr(0, 20), "neither a program");
    refused(std::string("\x01\0 data\n", 8), "neither a program");
    refused("#!/no/interpreter -x\n", "its interpreter '/no/interpreter' is not in the container");
    refused("#!/bin/sh\r\necho x\r\n", "CR LF");
    refused("#!/etc/app.conf\n", "its interpreter '/etc/app.conf': it is not executable");
    refused("#!/home/box/tool\n", "and so on");
    EXPECT_EQ(tool("echo text\n").output, "text\n") << "as shells do";
    EXPECT_EQ(tool("#! /bin/sh -e\necho script\n").output, "script\n");
    EXPECT_THAT(run(spec(), {"/etc"}).output, HasSubstr("it is a directory"));
    ASSERT_EQ(::chmod(dir_.path("data/home/box/tool").c_str(), 0644), 0);
    EXPECT_THAT(run(spec(), {"./tool"}).output, HasSubstr("it is not executable"));
    // A root without anything.
    make_directories(AT_FDCWD, dir_.path("data/roots/box@2/etc"));
    for (const char* name : {"proc", "dev", "sys", "run", "tmp", "home", "home/box", "mnt"})
        make_directories(AT_FDCWD, dir_.path("data/roots/box@2") + "/" + name);
    root_ = dir_.path("data/roots/box@2");
    const Outcome nothing = run(spec(), {"true"});
    EXPECT_EQ(nothing.code, 127);
    EXPECT_THAT(nothing.output, HasSubstr("no directory for programs"));
}

TEST_F(LaunchTest, ProgramsStartWhereTheCallerStands) {
    make_directories(AT_FDCWD, dir_.path("work/deep"));
    make_directories(AT_FDCWD, dir_.path("other"));
    make_directories(AT_FDCWD, dir_.path("mine"));
    ASSERT_EQ(::symlink("work", dir_.path("link").c_str()), 0);
    const std::string yaml =
        "filesystems:\n- mount: root\n- mount: home\n- mount: to_root\n  volumes:\n  - path: " +
        dir_.path("link") + "\n    dest: /mnt/work\n";
    const auto pwd_from = [&](const std::string& place, const std::string& configuration) {
        return in_child([&] {
            if (::chdir(place.c_str()) != 0) return 99;
            ::setenv("PWD", place.c_str(), 1);
            ::setenv("HOME", dir_.path("mine").c_str(), 1);
            const Say say = [](const std::string& text) {
                (void)!::write(1, (text + "\n").data(), text.size() + 1);
            };
            return launch(spec(configuration), {"pwd"}, Fd(), say);
        });
    };
    EXPECT_EQ(pwd_from(dir_.path("work"), yaml).output, "/mnt/work\n");
    EXPECT_EQ(pwd_from(dir_.path("link/deep"), yaml).output, "/mnt/work/deep\n");
    EXPECT_EQ(pwd_from(dir_.path("data/home/box"), yaml).output, "/home/box\n");
    const Outcome hidden = pwd_from(dir_.path("other"), yaml);
    EXPECT_THAT(hidden.output,
                AllOf(HasSubstr("does not see " + dir_.path("other")), HasSubstr("\n/home/box\n")));
    // A directory of the same name is not the same place.
    EXPECT_THAT(pwd_from("/usr", yaml).output, HasSubstr("does not see /usr"));
    EXPECT_EQ(pwd_from("/", yaml).output, "/home/box\n");
    // One's home is there as the container's.
    EXPECT_EQ(pwd_from(dir_.path("mine"), yaml).output, "/home/box\n");
    // Under its own path, if that is there; relative commands are found from there.
    const std::string same = "filesystems:\n- mount: root\n- mount: home\n- mount: dir\n  path: /srv\n";
    SandboxSpec there = spec(same);
    there.mounts.push_back({MountOp::Kind::tmpfs, "", "/opt", 0755, false, "test"});
    there.mounts.push_back(
        {MountOp::Kind::bind_ro, dir_.path("work"), "/opt" + dir_.path("work"), 0755, false, "test"});
    (void)dir_.write("work/deep/tool", "#!/bin/sh\npwd\n");
    ASSERT_EQ(::chmod(dir_.path("work/deep/tool").c_str(), 0755), 0);
    EXPECT_EQ(in_child([&] {
                  if (::chdir(dir_.path("work/deep").c_str()) != 0) return 99;
                  return launch(there, {"./tool"}, Fd());
              }).output,
              "/opt" + dir_.path("work/deep") + "\n");
    make_directories(AT_FDCWD, dir_.path("gone"));
    EXPECT_THAT(in_child([&] {
                    if (::chdir(dir_.path("gone").c_str()) != 0 || ::rmdir(dir_.path("gone").c_str()) != 0)
                        return 99;
                    const Say say = [](const std::string& text) {
                        (void)!::write(1, text.data(), text.size());
                    };
                    return launch(spec(), {"pwd"}, Fd(), say);
                }).output,
                AllOf(HasSubstr("directory is gone"), HasSubstr("/home/box\n")));
}

TEST_F(LaunchTest, TheSandboxIsWhatTheSpecSays) {
    const Outcome outcome = shell(spec(),
                                  "id -u; id -g; pwd; hostname; echo $HOME; umask; ls /home; whoami; echo x "
                                  "> ~/made; test -w /tmp && test -w $XDG_RUNTIME_DIR && echo writable");
    const std::string uid = std::to_string(::getuid());
    const std::string who = ::getuid() == 0 ? "root" : "box";
    EXPECT_EQ(outcome.output, uid + "\n" + std::to_string(::getgid()) +
                                  "\n/home/box\nbox\n/home/box\n0022\nbox\n" + who + "\nwritable\n");
    EXPECT_EQ(dir_.read("data/home/box/made"), "x\n");
    EXPECT_EQ(shell(spec(), "cat /proc/net/dev | grep -c :").output, "1\n");
    EXPECT_NE(shell(spec("permissions:\n- module: net\n"), "readlink /proc/self/ns/net").output,
              shell(spec(), "readlink /proc/self/ns/net").output);
}

TEST_F(LaunchTest, NothingCanBeWrittenBelowTheRoot) {
    const std::string script = R"SH(
        fail() { echo "ESCAPED: $*"; }
        find / -xdev -type f 2>/dev/null | while read -r file; do
            (echo x >> "$file") 2>/dev/null && fail "append $file"
            chmod u+w "$file" 2>/dev/null && fail "chmod $file"
        done
        while read -r id parent device root point rest; do
            mount -o remount,rw,bind "$point" 2>/dev/null && fail "remount $point"
            umount -l "$point" 2>/dev/null && fail "umount $point"
        done < /proc/self/mountinfo
        unshare -Ur true 2>/dev/null && fail unshare
        chroot / true 2>/dev/null && fail chroot
        for fd in /proc/self/fd/* /proc/1/fd/*; do
            test -d "$fd/store" -o -d "$fd/roots" && fail "directory $fd"
            (echo x >> "$fd/usr/share/data") 2>/dev/null && fail "write through $fd"
        done
        test -e /proc/1/root/data && fail "host root"
        (echo x >> /proc/1/root/usr/share/data) 2>/dev/null && fail "write through the first process"
        (echo core > /proc/sys/kernel/core_pattern) 2>/dev/null && fail core_pattern
        grep -q '^CapEff:.0000000000000000' /proc/self/status || fail capabilities
        grep -q '^CapBnd:.0000000000000000' /proc/self/status || fail "bounding set"
        grep -q '^NoNewPrivs:.1' /proc/self/status || fail privileges
        echo done)SH";
    EXPECT_EQ(shell(spec(), script).output, "done\n");
    // Also when programs may make user namespaces: what they own are copies of mounts that are locked
    // read-only.
    const std::string inner = R"SH(
        fail() { echo "ESCAPED: $*"; }
        unshare -Urm sh -c '
            id -u
            mount -o remount,rw,bind / 2>/dev/null && echo "ESCAPED: remount"
            umount -l /home/box 2>/dev/null && echo "ESCAPED: umount"
            (echo x >> /usr/share/data) 2>/dev/null && echo "ESCAPED: write"'
        echo done)SH";
    const std::string output = shell(spec("enable_userns: true\n"), inner).output;
    EXPECT_THAT(output, AllOf(HasSubstr("done\n"), Not(HasSubstr("ESCAPED"))));
    // Root on the host cannot map users inside: /proc is read-only for it.
    const std::string expected = ::getuid() == 0 ? "unshare: can't open" : "0\ndone\n";
    EXPECT_THAT(output, ::testing::StartsWith(expected));
    EXPECT_EQ(read_file(AT_FDCWD, object_), "data\n");
}

TEST_F(LaunchTest, WritableVolumesThatContainTheStoreHideIt) {
    const std::string script = R"SH(
        place=/mnt/all/data
        ls -A $place | grep . && echo "ESCAPED: visible"
        (echo x > $place/store/objects/ab/object) 2>/dev/null && echo "ESCAPED: written"
        mkdir $place/x 2>/dev/null && echo "ESCAPED: mkdir"
        mv $place /mnt/all/moved 2>/dev/null && echo "ESCAPED: moved"
        rmdir $place 2>/dev/null && echo "ESCAPED: removed"
        umount $place 2>/dev/null && echo "ESCAPED: unmounted"
        echo x > /mnt/all/written && echo done)SH";
    const std::string yaml =
        "filesystems:\n- mount: root\n- mount: home\n- mount: to_root\n  volumes:\n  - path: " + dir_.path() +
        "\n    dest: /mnt/all\n    permission: rw\n";
    EXPECT_EQ(shell(spec(yaml), script).output, "done\n");
    EXPECT_EQ(dir_.read("written"), "x\n");
    // One level up: the parent of the store cannot be moved away either.
    const std::string parent(split_path(dir_.path()).first);
    const std::string name(split_path(dir_.path()).second);
    const std::string up =
        "filesystems:\n- mount: root\n- mount: home\n- mount: to_root\n  volumes:\n  - path: " + parent +
        "\n    dest: /mnt/all\n    permission: rw\n";
    EXPECT_EQ(
        shell(spec(up), "mv /mnt/all/" + name + " /mnt/all/" + name +
                            ".moved 2>/dev/null && echo ESCAPED; ls -A /mnt/all/" + name + "/data; echo done")
            .output,
        "done\n");
    EXPECT_EQ(read_file(AT_FDCWD, object_), "data\n");
}

TEST_F(LaunchTest, AReadOnlyVolumeStaysReadOnly) {
    (void)dir_.write("volume/file", "data\n");
    const std::string yaml =
        "filesystems:\n- mount: root\n- mount: home\n- mount: to_root\n  volumes:\n  - path: " +
        dir_.path("volume") + "\n    dest: /mnt/volume\n    permission: ro\n";
    const std::string script = R"SH(
        cat /mnt/volume/file
        (echo x >> /mnt/volume/file) 2>/dev/null && echo "ESCAPED: written"
        (echo x > /mnt/volume/new) 2>/dev/null && echo "ESCAPED: made"
        mount -o remount,rw,bind /mnt/volume 2>/dev/null && echo "ESCAPED: remounted"
        echo done)SH";
    EXPECT_EQ(shell(spec(yaml), script).output, "data\ndone\n");
    EXPECT_EQ(dir_.read("volume/file"), "data\n");
}

// --- The attacks above are real: with a protection taken away they succeed
// ---------------------------------------------------------------------

constexpr const char* kRemountAndWrite =
    "mount -o remount,rw,bind / 2>/dev/null; chmod u+w /usr/share/data 2>/dev/null; "
    "(echo evil >> /usr/share/data) 2>/dev/null; echo done";

TEST_F(LaunchTest, WithoutTheInnerNamespaceTheRemountSucceeds) {
    for (const char* yaml : {"", "seccomp: false\n", "enable_userns: true\n"}) {
        EXPECT_EQ(shell(spec(yaml), kRemountAndWrite).output, "done\n");
        EXPECT_EQ(read_file(AT_FDCWD, object_), "data\n") << yaml;
    }
    // The same root, read-only too, but the program is in the namespace that owns the mounts.
    const Outcome flat = in_child([&] {
        return exit_code_of(
            wait_for(spawn({.program = BwrapProgram::find().path,
                            .arguments = {"bwrap", "--unshare-user", "--ro-bind", root_, "/", "--proc",
                                          "/proc", "--tmpfs", "/dev", "--cap-add", "ALL", "--",
                                          "/usr/bin/busybox", "sh", "-c", kRemountAndWrite},
                            .environment = {"PATH=/usr/bin"}})));
    });
    EXPECT_EQ(flat.output, "done\n");
    EXPECT_EQ(read_file(AT_FDCWD, object_), "data\nevil\n") << "the attack of this test does not work";
}

TEST_F(LaunchTest, ADescriptionWithoutTheInnerNamespaceIsNotStarted) {
    SandboxSpec open = spec();
    open.user_namespace = UserNamespace::none;
    const Outcome outcome = shell(open, "echo started");
    EXPECT_EQ(outcome.code, 125);
    EXPECT_THAT(outcome.output, AllOf(HasSubstr("would own its mounts"), Not(HasSubstr("started\n"))));
}

TEST_F(LaunchTest, ADescriptionThatExposesTheStoreIsNotStarted) {
    SandboxSpec open = spec();
    open.mounts.push_back({MountOp::Kind::bind_rw, dir_.path("data/store"), "/mnt", 0755, false, "test"});
    const Outcome outcome = shell(open, "echo started");
    EXPECT_EQ(outcome.code, 125);
    EXPECT_THAT(outcome.output, AllOf(HasSubstr("pwstore's own"), Not(HasSubstr("started\n"))));
}

TEST_F(LaunchTest, WithoutTheGuardAVolumeReachesTheStore) {
    const std::string yaml =
        "filesystems:\n- mount: root\n- mount: home\n- mount: to_root\n  volumes:\n  - path: " + dir_.path() +
        "\n    dest: /mnt/all\n    permission: rw\n";
    const std::vector<std::string> attack{
        "sh", "-c",
        "place=/mnt/all/data/store/objects/ab/object; chmod u+w $place 2>/dev/null; "
        "(echo evil >> $place) 2>/dev/null; echo done"};
    const SandboxSpec guarded = spec(yaml);
    EXPECT_EQ(run(guarded, attack).output, "done\n");
    EXPECT_EQ(read_file(AT_FDCWD, object_), "data\n");
    // The same description without what the guard added, started without its second look.
    SandboxSpec bare = guarded;
    std::erase_if(bare.mounts, [](const MountOp& mount) { return mount.rule == "store guard"; });
    EXPECT_LT(bare.mounts.size(), guarded.mounts.size());
    const Outcome unguarded = in_child([&] {
        BindSources sources;
        sources.root = open_at(AT_FDCWD, root_, O_PATH | O_DIRECTORY);
        for (const MountOp& mount : bare.mounts) {
            const auto fd =
                exists_at(AT_FDCWD, mount.source) ? open_at(AT_FDCWD, mount.source, O_PATH) : Fd();
            sources.mounts.push_back(Fd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3)));
        }
        const BwrapProgram program = BwrapProgram::find();
        const BwrapCommand command = bwrap_command(program, bare, std::move(sources), {}, attack);
        SpawnRequest request{.program = program.path, .arguments = command.arguments(), .environment = {}};
        for (const Fd& fd : command.descriptors)
            request.descriptors.push_back(fd.get());
        return exit_code_of(wait_for(spawn(request)));
    });
    EXPECT_EQ(unguarded.output, "done\n");
    EXPECT_EQ(read_file(AT_FDCWD, object_), "data\nevil\n") << "the attack of this test does not work";
}

TEST_F(LaunchTest, NoDescriptorOfTheHostIsOpenInside) {
    const Outcome outcome = in_child([&] {
        const int careless = ::open(dir_.path("data").c_str(), O_RDONLY | O_DIRECTORY);
        (void)::fcntl(careless, F_DUPFD, 200);
        Fd lease = open_at(AT_FDCWD, dir_.path("lease"), O_RDONLY | O_CREAT, 0600);
        (void)::flock(lease.get(), LOCK_SH);
        return launch(
            spec(),
            {"sh", "-c", "for i in /proc/self/fd/* /proc/1/fd/*; do echo \"$i $(readlink $i)\"; done"},
            std::move(lease));
    });
    EXPECT_EQ(outcome.code, 0);
    EXPECT_THAT(outcome.output, Not(HasSubstr("/data")));
    EXPECT_THAT(outcome.output, Not(HasSubstr("memfd")));
    // Of the lease only the sandbox's first process has a descriptor, for reading.
    EXPECT_THAT(outcome.output, AllOf(HasSubstr("/proc/1/fd/"), HasSubstr("/lease")));
    EXPECT_THAT(outcome.output, Not(::testing::ContainsRegex("/proc/self/fd/[0-9]+ [^\n]*/lease")));
    const Outcome writing = in_child([&] {
        Fd lease = open_at(AT_FDCWD, dir_.path("lease"), O_RDONLY | O_CREAT, 0600);
        return launch(spec(),
                      {"sh", "-c",
                       "for i in /proc/1/fd/*; do case $(readlink $i) in */lease) cat "
                       "/proc/1/fdinfo/${i##*/} | grep flags;; esac; done"},
                      std::move(lease));
    });
    EXPECT_THAT(writing.output, ::testing::ContainsRegex("flags:\t0[0-9]*0\n")) << "opened for reading only";
}

TEST_F(LaunchTest, EnvironmentIsCleared) {
    ::setenv("PWSTORE_TEST_SECRET", "secret", 1);
    EXPECT_THAT(shell(spec(), "env; cat /proc/1/environ").output, Not(HasSubstr("secret")));
    ::unsetenv("PWSTORE_TEST_SECRET");
}

// --- Signals, terminal, forking
// ------------------------------------------------------------------------------

/// A launch that runs on while the test looks at it. Its output arrives in a file.
class RunningLaunch {
 public:
    RunningLaunch(const test::TestDir& dir, const std::function<int()>& act) : path_(dir.path("running")) {
        (void)remove_file(AT_FDCWD, path_);
        pid_ = ::fork();
        if (pid_ != 0) return;
        const Fd file = open_at(AT_FDCWD, path_, O_WRONLY | O_CREAT | O_APPEND, 0600);
        ::dup2(file.get(), 1);
        int code = 125;
        try {
            code = act();
        } catch (const std::exception& error) {
            (void)!::write(1, error.what(), std::char_traits<char>::length(error.what()));
        }
        ::_exit(code);
    }
    [[nodiscard]] bool printed(const std::string& text) const {
        for (int i = 0; i < 1000; ++i) {
            if (output().find(text) != std::string::npos) return true;
            std::this_thread::sleep_for(milliseconds(5));
        }
        return false;
    }
    [[nodiscard]] std::string output() const { return try_read_file(AT_FDCWD, path_).value_or(""); }
    [[nodiscard]] pid_t pid() const { return pid_; }
    int wait() const { return exit_code_of(wait_for(pid_)); }

 private:
    std::string path_;
    pid_t pid_;
};

TEST_F(LaunchTest, SignalsArePassedOn) {
    const RunningLaunch running(dir_, [&] {
        return launch(spec(),
                      {"sh", "-c",
                       "trap 'echo got USR1' USR1; trap 'echo got HUP' HUP; trap 'echo got TERM; exit 7' "
                       "TERM; echo up; while :; do usleep 10000; done"},
                      Fd());
    });
    ASSERT_TRUE(running.printed("up"));
    ::kill(running.pid(), SIGUSR1);
    EXPECT_TRUE(running.printed("got USR1"));
    ::kill(running.pid(), SIGHUP);
    EXPECT_TRUE(running.printed("got HUP"));
    ::kill(running.pid(), SIGTERM);
    EXPECT_EQ(running.wait(), 7);
    EXPECT_THAT(running.output(), HasSubstr("got TERM"));
}

TEST_F(LaunchTest, ASignalThatComesTooEarlyIsNotLost) {
    const RunningLaunch running(dir_, [&] {
        sigset_t set;
        ::sigemptyset(&set);
        ::sigaddset(&set, SIGTERM);
        ::sigprocmask(SIG_BLOCK, &set, nullptr);
        ::raise(SIGTERM);
        return launch(spec(), {"sleep", "1000"}, Fd());
    });
    EXPECT_EQ(running.wait(), 128 + SIGTERM);
}

TEST_F(LaunchTest, TheSandboxDiesWithTheLauncher) {
    const RunningLaunch running(dir_, [&] {
        return launch(spec(), {"sh", "-c", "echo up; while :; do echo x >> ~/alive; usleep 5000; done"},
                      Fd());
    });
    ASSERT_TRUE(running.printed("up"));
    ::kill(running.pid(), SIGKILL);
    EXPECT_EQ(running.wait(), 128 + SIGKILL);
    std::this_thread::sleep_for(milliseconds(100));
    const auto size = stat_at(AT_FDCWD, dir_.path("data/home/box/alive")).st_size;
    std::this_thread::sleep_for(milliseconds(100));
    EXPECT_EQ(stat_at(AT_FDCWD, dir_.path("data/home/box/alive")).st_size, size);
}

TEST_F(LaunchTest, ForkingIsWaitedForWhenAllowed) {
    const std::string script = "(usleep 400000; echo late > ~/late) >/dev/null 2>&1 & exit 5";
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(shell(spec("allow_forking: true\n"), script).code, 5);
    EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(350));
    EXPECT_EQ(dir_.read("data/home/box/late"), "late\n");
    // Not allowed: gone with the command.
    (void)remove_file(AT_FDCWD, dir_.path("data/home/box/late"));
    EXPECT_EQ(shell(spec(), script).code, 5);
    std::this_thread::sleep_for(milliseconds(600));
    EXPECT_FALSE(exists_at(AT_FDCWD, dir_.path("data/home/box/late")));
}

TEST_F(LaunchTest, LeaseIsHeldUntilTheLastProcessEnds) {
    const std::string lock = dir_.path("data/roots/box@1.lock");
    const RunningLaunch running(dir_, [&] {
        auto lease = take_run_lease(store_.layout().data(), store_.index(), name_);
        return launch(spec("allow_forking: true\n"),
                      {"sh", "-c", "(while ! test -e ~/stop; do usleep 5000; done) & echo up; exit 0"},
                      std::move(lease->lock));
    });
    ASSERT_TRUE(running.printed("up"));
    EXPECT_FALSE(is_lock_free(AT_FDCWD, lock));
    // The launcher is killed, a program of the sandbox runs on: the sandbox itself holds the lease.
    ::kill(running.pid(), SIGKILL);
    (void)running.wait();
    std::this_thread::sleep_for(milliseconds(50));
    EXPECT_FALSE(is_lock_free(AT_FDCWD, lock));
    (void)dir_.write("data/home/box/stop", "");
    for (int i = 0; i < 400 && !is_lock_free(AT_FDCWD, lock); ++i)
        std::this_thread::sleep_for(milliseconds(5));
    EXPECT_TRUE(is_lock_free(AT_FDCWD, lock));
}

/// The sandbox's first process, found below the launcher: its guard, bwrap, then that.
std::optional<pid_t> init_below(pid_t launcher) {
    const auto guard = command_of(launcher);
    const auto monitor = guard ? command_of(*guard) : std::nullopt;
    return monitor ? command_of(*monitor) : std::nullopt;
}

TEST_F(LaunchTest, ALeaseThatIsUnlockedFromInsideIsStillHeld) {
    const std::string lock = dir_.path("data/roots/box@1.lock");
    const RunningLaunch running(dir_, [&] {
        auto lease = take_run_lease(store_.layout().data(), store_.index(), name_);
        return launch(spec(), {"sh", "-c", "echo up; while ! test -e ~/stop; do usleep 5000; done"},
                      std::move(lease->lock));
    });
    ASSERT_TRUE(running.printed("up"));
    const auto init = init_below(running.pid());
    ASSERT_TRUE(init);
    // As a program inside would do it if the filter let it: take the first process's descriptor and unlock
    // it.
    const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, *init, 0U)));
    int unlocked = 0;
    for (int fd = 3; fd < 64; ++fd) {
        const std::string link = "/proc/" + std::to_string(*init) + "/fd/" + std::to_string(fd);
        if (!exists_at(AT_FDCWD, link) || read_link_at(AT_FDCWD, link) != lock) continue;
        const Fd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), fd, 0U)));
        if (copy && ::flock(copy.get(), LOCK_UN) == 0) ++unlocked;
    }
    const bool free = is_lock_free(AT_FDCWD, lock);
    (void)dir_.write("data/home/box/stop", "");
    EXPECT_EQ(running.wait(), 0);
    if (unlocked == 0) PWSTORE_CANNOT_RUN("descriptors of the sandbox cannot be taken here");
    EXPECT_FALSE(free);
}

uint64_t namespace_id(int fd) {
    return stat_fd(fd, "namespace").st_ino;
}

// What makes a read-only root read-only: the mounts belong to a namespace above the one that the programs are
// in.
TEST_F(LaunchTest, ProgramsDoNotOwnTheirMounts) {
    for (const char* yaml : {"", "seccomp: false\n"}) {
        (void)remove_file(AT_FDCWD, dir_.path("data/home/box/stop"));
        const RunningLaunch running(dir_, [&] {
            return launch(spec(yaml), {"sh", "-c", "echo up; while ! test -e ~/stop; do usleep 5000; done"},
                          Fd());
        });
        ASSERT_TRUE(running.printed("up"));
        const auto init = init_below(running.pid());
        const auto program = init ? command_of(*init) : std::nullopt;
        ASSERT_TRUE(program);
        const std::string place = "/proc/" + std::to_string(*program) + "/ns/";
        const Fd user = open_at(AT_FDCWD, place + "user", O_RDONLY);
        const Fd mount = open_at(AT_FDCWD, place + "mnt", O_RDONLY);
        const Fd owner(::ioctl(mount.get(), NS_GET_USERNS));
        ASSERT_TRUE(owner);
        EXPECT_NE(namespace_id(owner.get()), namespace_id(user.get()));
        const Fd parent(::ioctl(user.get(), NS_GET_PARENT));
        ASSERT_TRUE(parent);
        EXPECT_EQ(namespace_id(owner.get()), namespace_id(parent.get()));
        (void)dir_.write("data/home/box/stop", "");
        EXPECT_EQ(running.wait(), 0);
    }
}

TEST_F(LaunchTest, NoUserNamespacesAlsoWithoutTheFilter) {
    EXPECT_EQ(
        shell(spec("seccomp: false\n"), "unshare -U true 2>/dev/null && echo ESCAPED; echo done").output,
        "done\n");
}

TEST_F(LaunchTest, TerminalSettingsAreRestored) {
    int terminal = -1;
    const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
    ASSERT_GE(child, 0);
    if (child == 0) {
        struct termios before {};
        struct termios after {};
        (void)::tcgetattr(0, &before);
        int code = 1;
        try {
            code = launch(spec(), {"sh", "-c", "stty raw -echo; tty >/dev/null && exit 0"}, Fd());
            (void)::tcgetattr(0, &after);
            if (before.c_lflag != after.c_lflag || before.c_oflag != after.c_oflag) code = 99;
        } catch (const std::exception&) {
        }
        ::_exit(code);
    }
    std::array<char, 512> buffer{};
    while (::read(terminal, buffer.data(), buffer.size()) > 0) {
    }
    EXPECT_EQ(exit_code_of(wait_for(child)), 0);
    ::close(terminal);
}

TEST_F(LaunchTest, InterruptOfTheTerminalReachesTheWholeCommand) {
    int terminal = -1;
    const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
    ASSERT_GE(child, 0);
    if (child == 0) {
        int code = 1;
        try {
            // The shell waits for sleep: only if both are interrupted does it go on at once.
            code = launch(spec(),
                          {"sh", "-c", "trap 'echo interrupted; exit 9' INT; echo up; sleep 1000; exit 1"},
                          Fd());
        } catch (const std::exception&) {
        }
        ::_exit(code);
    }
    std::string output;
    std::array<char, 512> buffer{};
    for (;;) {
        // Typed again while nothing happens: the first one may come before sleep is there to be interrupted.
        pollfd waiting{terminal, POLLIN, 0};
        if (::poll(&waiting, 1, 200) == 0) {
            if (output.find("up") != std::string::npos) {
                ASSERT_EQ(::write(terminal, "\x03", 1), 1);
            }
            continue;
        }
        const ssize_t got = ::read(terminal, buffer.data(), buffer.size());
        if (got <= 0) break;
        output.append(buffer.data(), static_cast<size_t>(got));
    }
    EXPECT_EQ(exit_code_of(wait_for(child)), 9) << output;
    ::close(terminal);
}

TEST_F(LaunchTest, WithoutTheFilterTheTerminalIsNotTheControllingOne) {
    int terminal = -1;
    const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
    ASSERT_GE(child, 0);
    if (child == 0) {
        int code = 1;
        try {
            code = launch(spec("seccomp: false\nretain_session: true\n"),
                          {"sh", "-c", "test -c /dev/tty && (: < /dev/tty) 2>/dev/null && exit 3; exit 0"},
                          Fd());
        } catch (const std::exception&) {
        }
        ::_exit(code);
    }
    std::array<char, 512> buffer{};
    while (::read(terminal, buffer.data(), buffer.size()) > 0) {
    }
    EXPECT_EQ(exit_code_of(wait_for(child)), 0) << "the sandbox has the terminal as its controlling one";
    ::close(terminal);
}

// --- Lease and record
// ----------------------------------------------------------------------------------------

TEST_F(LaunchTest, RunLeaseNamesTheCurrentRoot) {
    auto lease = take_run_lease(store_.layout().data(), store_.index(), name_);
    ASSERT_TRUE(lease);
    EXPECT_EQ(lease->generation, 1U);
    EXPECT_FALSE(is_lock_free(AT_FDCWD, dir_.path("data/roots/box@1.lock")));
    EXPECT_EQ(::fcntl(lease->lock.get(), F_GETFL) & O_ACCMODE, O_RDONLY);
    EXPECT_FALSE(take_run_lease(store_.layout().data(), store_.index(), ContainerName("other")));
    set_current(2);
    EXPECT_FALSE(take_run_lease(store_.layout().data(), store_.index(), name_))
        << "there is no root of generation 2";
    make_directories(AT_FDCWD, dir_.path("data/roots/box@2"));
    EXPECT_EQ(take_run_lease(store_.layout().data(), store_.index(), name_)->generation, 2U);
}

TEST_F(LaunchTest, RunLeaseStartsOverWhenTheFileIsReplaced) {
    auto held =
        FileLock::try_acquire(store_.layout().data(), "roots/box@1.lock", LockMode::exclusive, "remover");
    ASSERT_TRUE(held);
    std::jthread remover([&] {
        std::this_thread::sleep_for(milliseconds(60));
        // As a remover does: unlink under the exclusive lock, then let go.
        (void)remove_file(store_.layout().data(), "roots/box@1.lock");
        held.reset();
    });
    auto lease = take_run_lease(store_.layout().data(), store_.index(), name_);
    remover.join();
    ASSERT_TRUE(lease);
    const struct stat there = stat_at(AT_FDCWD, dir_.path("data/roots/box@1.lock"));
    EXPECT_EQ(stat_fd(lease->lock.get(), "").st_ino, there.st_ino);
}

TEST_F(LaunchTest, RunLeaseDoesNotWaitForARemovedFile) {
    auto held =
        FileLock::try_acquire(store_.layout().data(), "roots/box@1.lock", LockMode::exclusive, "remover");
    ASSERT_TRUE(held);
    std::jthread remover([&] {
        std::this_thread::sleep_for(milliseconds(60));
        (void)remove_file(store_.layout().data(), "roots/box@1.lock");
    });
    EXPECT_TRUE(take_run_lease(store_.layout().data(), store_.index(), name_)) << "it is held on and on";
    remover.join();
}

TEST_F(LaunchTest, RunLeaseFollowsASwitchThatCameWhileItWaited) {
    make_directories(AT_FDCWD, dir_.path("data/roots/box@2"));
    auto held =
        FileLock::try_acquire(store_.layout().data(), "roots/box@1.lock", LockMode::exclusive, "switcher");
    ASSERT_TRUE(held);
    std::jthread switcher([&] {
        std::this_thread::sleep_for(milliseconds(60));
        set_current(2);
        held.reset();
    });
    const auto lease = take_run_lease(store_.layout().data(), store_.index(), name_);
    switcher.join();
    ASSERT_TRUE(lease);
    EXPECT_EQ(lease->generation, 2U);
}

TEST_F(LaunchTest, RunLeaseOfARootThatWentWhileItWaitedIsNone) {
    make_directories(AT_FDCWD, dir_.path("data/roots/box@2"));
    set_current(2);
    auto held =
        FileLock::try_acquire(store_.layout().data(), "roots/box@2.lock", LockMode::exclusive, "remover");
    ASSERT_TRUE(held);
    std::jthread remover([&] {
        std::this_thread::sleep_for(milliseconds(60));
        (void)remove_tree(store_.layout().data(), "roots/box@2");
        held.reset();
    });
    EXPECT_FALSE(take_run_lease(store_.layout().data(), store_.index(), name_));
    remover.join();
}

TEST_F(LaunchTest, RunLeaseIsNoSymlink) {
    (void)dir_.write("elsewhere", "");
    replace_symlink(AT_FDCWD, dir_.path("data/roots/box@1.lock"), dir_.path("elsewhere"));
    EXPECT_THROW((void)take_run_lease(store_.layout().data(), store_.index(), name_), Error);
}

class RecordTest : public LaunchTest {
 protected:
    void SetUp() override {
        LaunchTest::SetUp();
        ::setenv("HOME", dir_.path().c_str(), 1);
        write_config("permissions:\n- module: env\n  variables:\n  - var: PWSTORE_TEST_WORD\n");
        put_record();
    }
    void TearDown() override { ::setenv("HOME", home_.c_str(), 1); }
    void write_config(const std::string& yaml) { (void)dir_.write("config/container/box.yml", yaml); }
    void put_record() {
        const std::string path = dir_.path("config/container/box.yml");
        const FileStamp stamp = FileStamp::of(path);
        const LaunchRecord record =
            make_launch_record(store_.layout(), name_, 1, *load_config(dir_.path("config"), name_), stamp);
        WriteTxn txn = store_.index().write();
        txn.put_launch_record(name_, record.encode());
        txn.commit();
    }
    [[nodiscard]] std::optional<PreparedRun> prepare(const HostContext& host = HostContext::current()) const {
        return prepare_run(dir_.directories(), store_.index(), store_.layout().data(), name_, host);
    }
    static std::string value(const SandboxSpec& spec, const std::string& name) {
        for (const EnvironmentVariable& variable : spec.environment) {
            if (variable.name == name) return variable.value;
        }
        return "(unset)";
    }
    std::string home_ = std::getenv("HOME") != nullptr ? std::getenv("HOME") : "/";
};

TEST_F(RecordTest, ServesWithTheCallersVariables) {
    HostContext host = HostContext::current();
    std::erase_if(host.environment, [](const auto& variable) { return variable.name == "TERM"; });
    auto run = prepare(host);
    ASSERT_TRUE(run);
    EXPECT_EQ(value(run->spec, "TERM"), "dumb") << "not what the process had that made the record";
    EXPECT_EQ(value(run->spec, "PWSTORE_TEST_WORD"), "(unset)");
    EXPECT_THAT(run->warnings, ElementsAre(HasSubstr("PWSTORE_TEST_WORD")));
    host.environment.push_back({"PWSTORE_TEST_WORD", "word"});
    host.environment.push_back({"TERM", "vt52"});
    run = prepare(host);
    ASSERT_TRUE(run);
    EXPECT_EQ(value(run->spec, "PWSTORE_TEST_WORD"), "word");
    EXPECT_EQ(value(run->spec, "TERM"), "vt52");
    EXPECT_THAT(run->warnings, ::testing::IsEmpty());
    const Outcome outcome = in_child([&] {
        return launch(run->program, run->spec, {"sh", "-c", "echo $PWSTORE_TEST_WORD"},
                      std::move(run->lease));
    });
    EXPECT_EQ(outcome.output, "word\n");
}

TEST_F(RecordTest, IsStaleWhenAnythingChanged) {
    ASSERT_TRUE(prepare());
    HostContext host = HostContext::current();
    host.uid += 1;
    EXPECT_FALSE(prepare(host));
    host = HostContext::current();
    host.environment.push_back({"PWSTORE_HOME", "/tmp"});
    EXPECT_FALSE(prepare(host));
    host = HostContext::current();
    for (EnvironmentVariable& variable : host.environment) {
        if (variable.name == "HOME") variable.value = "/elsewhere";
    }
    EXPECT_FALSE(prepare(host));
    Directories other = dir_.directories();
    other.config = dir_.path("elsewhere");
    EXPECT_FALSE(prepare_run(other, store_.index(), store_.layout().data(), name_, HostContext::current()));
    write_config("permissions:\n- module: net\n");
    EXPECT_FALSE(prepare());
    put_record();
    EXPECT_TRUE(prepare());
    set_current(2);
    EXPECT_FALSE(prepare());
    set_current(1);
    EXPECT_TRUE(prepare());
    WriteTxn txn = store_.index().write();
    txn.put_launch_record(name_, "nonsense");
    txn.commit();
    EXPECT_FALSE(prepare());
}

TEST_F(RecordTest, WhatDependsOnTheHostIsNotServed) {
    write_config("permissions:\n- module: dev\n  devices: ['null']\n");
    put_record();
    EXPECT_FALSE(prepare());
}

}  // namespace
}  // namespace pwstore
