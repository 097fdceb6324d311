// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "mount/composer.hpp"
#include "store/base/error.hpp"
#include "store/base/names.hpp"
#include "store/base/path_at.hpp"
#include "tests/support/busybox_root.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class ComposerTest : public ::testing::Test {
 protected:
    void SetUp() override {
        root_ = test::make_busybox_root(dir_, "data/roots/box@3");
        if (root_.empty()) PWSTORE_CANNOT_RUN("no static /bin/busybox (package busybox-static)");
        make_directories(AT_FDCWD, dir_.path("data/home/box"));
        make_directories(AT_FDCWD, dir_.path("user"));
        host_.uid = 1234;
        host_.gid = 1235;
        host_.environment = {{"HOME", dir_.path("user")}, {"TERM", "xterm"}, {"SECRET", "s"}};
        request_.root.path = root_;
    }

    Composition compose() { return pwstore::compose(layout_, request_, host_); }
    void configure(const std::string& yaml) { request_.config = ContainerConfig::parse(yaml, "test.yml"); }
    std::string complaint() {
        try {
            (void)compose();
        } catch (const Error& error) {
            return error.what();
        }
        return "";
    }
    static std::string value(const SandboxSpec& spec, const std::string& name) {
        for (const EnvironmentVariable& variable : spec.environment) {
            if (variable.name == name) return variable.value;
        }
        return "(unset)";
    }
    static const MountOp* mount_at(const SandboxSpec& spec, const std::string& destination) {
        const auto found = std::find_if(spec.mounts.rbegin(), spec.mounts.rend(), [&](const MountOp& mount) {
            return mount.destination == destination && mount.kind != MountOp::Kind::remount_ro;
        });
        return found == spec.mounts.rend() ? nullptr : &*found;
    }

    test::TestDir dir_;
    Layout layout_ = Layout::create(dir_.directories());
    std::string root_;
    ComposeRequest request_{ContainerName("box"), 3, {}, RunKind::user, {}, {}, {}, false};
    HostContext host_;
};

TEST_F(ComposerTest, DefaultsExposeNothing) {
    const Composition composition = compose();
    const SandboxSpec& spec = composition.spec;
    EXPECT_THAT(composition.warnings, IsEmpty());
    EXPECT_FALSE(composition.host_dependent);
    EXPECT_EQ(spec.network, NetworkMode::none);
    EXPECT_EQ(spec.user_namespace, UserNamespace::sealed);
    EXPECT_FALSE(spec.new_session);
    EXPECT_TRUE(spec.die_with_parent);
    EXPECT_TRUE(spec.follows_caller);
    EXPECT_FALSE(spec.root_powers);
    EXPECT_FALSE(spec.seccomp.empty());
    EXPECT_EQ(spec.uid, 1234U);
    EXPECT_EQ(spec.gid, 1235U);
    EXPECT_EQ(spec.hostname, "box");
    EXPECT_EQ(spec.working_directory, "/home/box");
    std::vector<std::string> sources;
    for (const MountOp& mount : spec.mounts) {
        if (mount.kind <= MountOp::Kind::bind_dev) sources.push_back(mount.source);
    }
    EXPECT_THAT(sources, ElementsAre(dir_.path("data/home/box")));
    std::vector<std::string> names;
    for (const EnvironmentVariable& variable : spec.environment)
        names.push_back(variable.name);
    EXPECT_THAT(names, ElementsAre("PATH", "HOME", "USER", "LOGNAME", "SHELL", "XDG_RUNTIME_DIR", "TERM",
                                   "LANG", "container"));
    EXPECT_EQ(value(spec, "HOME"), "/home/box");
    EXPECT_EQ(value(spec, "USER"), "box");
    EXPECT_EQ(value(spec, "TERM"), "xterm");
    EXPECT_EQ(value(spec, "LANG"), "C.UTF-8");
    EXPECT_EQ(value(spec, "XDG_RUNTIME_DIR"), "/run/user/1234");
}

TEST_F(ComposerTest, HomesOfTheRootAreThereReadOnly) {
    // As images have it that keep their state in /var.
    ASSERT_EQ(::rmdir((root_ + "/home").c_str()), 0);
    ASSERT_EQ(::symlink("/var/home", (root_ + "/home").c_str()), 0);
    make_directories(AT_FDCWD, root_ + "/var/home/brew/bin");
    make_directories(AT_FDCWD, root_ + "/var/home/box");
    ASSERT_EQ(::symlink("brew", (root_ + "/var/home/alias").c_str()), 0);
    const SandboxSpec spec = compose().spec;
    const MountOp* brew = mount_at(spec, "/var/home/brew");
    ASSERT_NE(brew, nullptr);
    EXPECT_EQ(brew->kind, MountOp::Kind::bind_ro);
    EXPECT_EQ(brew->source, root_ + "/var/home/brew");
    ASSERT_NE(mount_at(spec, "/var/home/alias"), nullptr);
    EXPECT_EQ(mount_at(spec, "/var/home/alias")->source, "brew");
    ASSERT_NE(mount_at(spec, "/var/home/box"), nullptr);
    EXPECT_EQ(mount_at(spec, "/var/home/box")->source, dir_.path("data/home/box"));
}

TEST_F(ComposerTest, ProgramsStartWhereTheConfigurationSays) {
    make_directories(AT_FDCWD, root_ + "/srv/app");
    configure("working_directory: /srv/app\n");
    EXPECT_EQ(compose().spec.working_directory, "/srv/app");
    configure("working_directory: /srv/gone\n");
    EXPECT_EQ(compose().spec.working_directory, "/home/box");
    configure("working_directory: /srv/app\n");
    request_.working_directory = "/tmp";
    EXPECT_EQ(compose().spec.working_directory, "/tmp");
}

TEST_F(ComposerTest, TheUserHasANameInside) {
    const SandboxSpec spec = compose().spec;
    ASSERT_NE(mount_at(spec, "/etc/passwd"), nullptr);
    EXPECT_EQ(mount_at(spec, "/etc/passwd")->source,
              "box:x:1234:1235::/home/box:/bin/sh\nroot:x:0:0:root:/root:/bin/sh\n");
    EXPECT_EQ(mount_at(spec, "/etc/group")->source, "box:x:1235:\nroot:x:0:\n");
    // A name that the root gives to somebody else is not taken over.
    (void)dir_.write("data/roots/box@3/etc/passwd", "root:x:0:0::/root:/bin/sh\nbox:x:8:8::/:/bin/false\n");
    EXPECT_THAT(mount_at(compose().spec, "/etc/passwd")->source, ::testing::StartsWith("box-user:x:1234:"));
    EXPECT_EQ(value(compose().spec, "USER"), "box-user");
    // Never through a symlink, never for root.
    (void)remove_file(AT_FDCWD, root_ + "/etc/passwd");
    ASSERT_EQ(::symlink("/etc/shadow", (root_ + "/etc/passwd").c_str()), 0);
    EXPECT_EQ(mount_at(compose().spec, "/etc/passwd"), nullptr);
    host_.uid = host_.gid = 0;
    EXPECT_EQ(mount_at(compose().spec, "/etc/group"), nullptr);
}

TEST_F(ComposerTest, WeakenedIsolationIsSaidAloud) {
    configure(
        "enable_userns: true\nretain_session: true\nallow_forking: true\nseccomp: false\ndbus:\n- module: "
        "xdg_portal\n");
    const Composition composition = compose();
    EXPECT_EQ(composition.spec.user_namespace, UserNamespace::open);
    EXPECT_TRUE(composition.spec.new_session) << "nothing else would keep programs from typing";
    EXPECT_FALSE(composition.spec.die_with_parent);
    EXPECT_TRUE(composition.spec.seccomp.empty());
    EXPECT_THAT(composition.warnings,
                AllOf(Contains(HasSubstr("seccomp")), Contains(HasSubstr("enable_userns")),
                      Contains(HasSubstr("retain_session")), Contains(HasSubstr("D-Bus"))));
}

TEST_F(ComposerTest, RootRunsAreAlwaysSealed) {
    configure(
        "enable_userns: true\nretain_session: true\nallow_forking: true\nseccomp: false\npermissions:\n- "
        "module: gpu\n- module: net\n");
    request_.kind = RunKind::root;
    request_.root = {RootMount::Kind::overlay, root_, dir_.path("u"), dir_.path("w")};
    const SandboxSpec spec = compose().spec;
    EXPECT_TRUE(spec.root_powers);
    EXPECT_EQ(spec.user_namespace, UserNamespace::sealed);
    EXPECT_FALSE(spec.new_session);
    EXPECT_TRUE(spec.die_with_parent);
    EXPECT_FALSE(spec.seccomp.empty());
    EXPECT_EQ(spec.uid, 0U);
    EXPECT_EQ(spec.network, NetworkMode::host);
    EXPECT_EQ(mount_at(spec, "/home/box"), nullptr);
    EXPECT_EQ(value(spec, "HOME"), "/root");
    // A farm is never given to root powers directly.
    request_.root = {RootMount::Kind::read_only, root_, "", ""};
    EXPECT_THAT(complaint(), HasSubstr("overlay or a private copy"));
}

TEST_F(ComposerTest, NetIsSharedWithResolverReadOnly) {
    configure("permissions:\n- module: net\n");
    const SandboxSpec spec = compose().spec;
    EXPECT_EQ(spec.network, NetworkMode::host);
    if (::access("/etc/resolv.conf", F_OK) != 0) PWSTORE_CANNOT_RUN("this machine has no resolv.conf");
    ASSERT_NE(mount_at(spec, "/etc/resolv.conf"), nullptr);
    EXPECT_EQ(mount_at(spec, "/etc/resolv.conf")->kind, MountOp::Kind::bind_ro);
    EXPECT_THAT(compose().warnings, IsEmpty());
    // Without a place for it, in a root of before, there is a warning, and no attempt that would fail.
    (void)remove_file(AT_FDCWD, root_ + "/etc/resolv.conf");
    EXPECT_THAT(compose().warnings, ElementsAre(HasSubstr("pwstore rebuild box")));
    EXPECT_EQ(mount_at(compose().spec, "/etc/resolv.conf"), nullptr);
    // A link of the root is resolved inside the root.
    ASSERT_EQ(::symlink("../run/systemd/resolve/stub-resolv.conf", (root_ + "/etc/resolv.conf").c_str()), 0);
    EXPECT_NE(mount_at(compose().spec, "/run/systemd/resolve/stub-resolv.conf"), nullptr);
}

TEST_F(ComposerTest, NamesOfTheMachineAreGenerated) {
    EXPECT_EQ(mount_at(compose().spec, "/etc/hosts"), nullptr) << "a root of before has no place for it";
    for (const char* name : names::kMountPointFiles)
        (void)dir_.write(std::string("data/roots/box@3/") + name, "");
    const SandboxSpec spec = compose().spec;
    ASSERT_NE(mount_at(spec, "/etc/hosts"), nullptr);
    EXPECT_EQ(mount_at(spec, "/etc/hosts")->source,
              "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\tbox\n");
    EXPECT_EQ(mount_at(spec, "/etc/hostname")->source, "box\n");
    EXPECT_EQ(mount_at(spec, "/etc/localtime")->source, "/etc/localtime");
    EXPECT_TRUE(mount_at(spec, "/etc/localtime")->optional);
    EXPECT_EQ(mount_at(spec, "/etc/resolv.conf"), nullptr) << "there is no network";
    // What the root says of itself stays.
    (void)dir_.write("data/roots/box@3/etc/hosts",
                     "10.0.0.5 db box # localhost\n127.0.0.1 localhost.localdomain");
    EXPECT_EQ(mount_at(compose().spec, "/etc/hosts")->source,
              "10.0.0.5 db box # localhost\n127.0.0.1 localhost.localdomain\n"
              "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    (void)dir_.write("data/roots/box@3/etc/hosts", "127.0.0.1 a localhost\n127.0.1.1\tbox");
    EXPECT_EQ(mount_at(compose().spec, "/etc/hosts")->source, "127.0.0.1 a localhost\n127.0.1.1\tbox\n");
    (void)dir_.write("data/roots/box@3/etc/localtime", "TZif");
    EXPECT_EQ(mount_at(compose().spec, "/etc/localtime"), nullptr);
    // Never over what a link leads to.
    for (const char* name : {"hosts", "hostname", "localtime"}) {
        (void)remove_file(AT_FDCWD, root_ + "/etc/" + name);
        ASSERT_EQ(::symlink("app.conf", (root_ + "/etc/" + name).c_str()), 0);
        EXPECT_EQ(mount_at(compose().spec, std::string("/etc/") + name), nullptr) << name;
    }
}

TEST_F(ComposerTest, RootShellsHaveNetworkAndVariables) {
    configure("permissions:\n- module: net\n- module: env\n  variables:\n  - var: SECRET\n- module: gpu\n");
    request_.kind = RunKind::root;
    request_.root = {RootMount::Kind::overlay, root_, "", ""};
    const Composition composition = compose_root_shell(layout_, request_, host_);
    EXPECT_EQ(composition.spec.network, NetworkMode::host);
    EXPECT_EQ(value(composition.spec, "SECRET"), "s");
    EXPECT_EQ(value(composition.spec, "HOME"), "/root");
    EXPECT_EQ(value(composition.spec, "HISTFILE"), "");
    ASSERT_EQ(composition.spec.mounts.size(), 1U);
    EXPECT_EQ(composition.spec.mounts[0].destination, "/etc/resolv.conf");
    configure("");
    EXPECT_EQ(compose_root_shell(layout_, request_, host_).spec.network, NetworkMode::none);
    EXPECT_THAT(compose_root_shell(layout_, request_, host_).spec.mounts, IsEmpty());
}

TEST_F(ComposerTest, Environment) {
    configure(
        "permissions:\n- module: env\n  variables:\n  - var: SECRET\n  - var: ABSENT\n  - var: TERM\n    "
        "set: vt100\n");
    const Composition composition = compose();
    EXPECT_EQ(value(composition.spec, "SECRET"), "s");
    EXPECT_EQ(value(composition.spec, "ABSENT"), "(unset)");
    EXPECT_EQ(value(composition.spec, "TERM"), "vt100");
    EXPECT_THAT(composition.warnings, ElementsAre(HasSubstr("ABSENT")));
    std::vector<std::string> passed;
    for (const PassedVariable& variable : composition.passed_variables)
        passed.push_back(variable.name);
    EXPECT_THAT(passed, ElementsAre("COLORTERM", "LANG", "SECRET", "ABSENT"));
}

TEST_F(ComposerTest, AVariableThatIsPassedOnKeepsWhatItIsWithoutTheCaller) {
    configure(
        "permissions:\n- module: env\n  variables:\n  - var: PATH\n  - var: TERM\n  - var: EMPTY\n    set: "
        "\"\"\n");
    host_.environment.push_back({"PATH", "/caller"});
    host_.environment.push_back({"EMPTY", "leak"});
    const Composition composition = compose();
    EXPECT_EQ(value(composition.spec, "PATH"), "/caller");
    EXPECT_EQ(value(composition.spec, "EMPTY"), "") << "a value that is set is never the caller's";
    const auto otherwise = [&](const std::string& name) -> std::string {
        for (const PassedVariable& passed : composition.passed_variables) {
            if (passed.name == name) return passed.otherwise.value_or("(left out)");
        }
        return "(fixed)";
    };
    EXPECT_THAT(otherwise("PATH"), HasSubstr("/usr/bin"));
    EXPECT_EQ(otherwise("TERM"), "dumb");
    EXPECT_EQ(otherwise("COLORTERM"), "(left out)");
    EXPECT_EQ(otherwise("EMPTY"), "(fixed)");
}

TEST_F(ComposerTest, VolumesOfTheHome) {
    (void)dir_.write("user/Documents/letter", "x");
    configure(
        "filesystems:\n- mount: root\n- mount: home\n- mount: to_home\n  volumes:\n  - path: Documents\n    "
        "permission: rw\n    dest: docs\n");
    const SandboxSpec spec = compose().spec;
    ASSERT_NE(mount_at(spec, "/home/box/docs"), nullptr);
    EXPECT_EQ(mount_at(spec, "/home/box/docs")->kind, MountOp::Kind::bind_rw);
    EXPECT_EQ(mount_at(spec, "/home/box/docs")->source, dir_.path("user/Documents"));
    configure("filesystems:\n- mount: root\n- mount: to_home\n  volumes:\n  - path: Missing\n");
    EXPECT_THAT(complaint(), AllOf(HasSubstr("filesystem to_home"), HasSubstr("does not exist")));
    configure(
        "filesystems:\n- mount: root\n- mount: to_home\n  volumes:\n  - path: Documents\n    dest: "
        "../../etc\n");
    EXPECT_THAT(complaint(), HasSubstr("no place for a volume"));
    configure("filesystems:\n- mount: root\n- mount: to_home\n");
    EXPECT_THAT(compose().warnings, ElementsAre(HasSubstr("left out: no volumes")));
}

TEST_F(ComposerTest, VolumesOfTheRootNeedAPlace) {
    (void)dir_.write("shared/file", "x");
    const auto yaml = [&](const std::string& destination) {
        return "filesystems:\n- mount: root\n- mount: to_root\n  volumes:\n  - path: " + dir_.path("shared") +
               "\n    dest: " + destination + "\n";
    };
    // /mnt is empty: a directory in memory takes the mount point.
    configure(yaml("/mnt/a/b"));
    SandboxSpec spec = compose().spec;
    EXPECT_EQ(mount_at(spec, "/mnt")->kind, MountOp::Kind::tmpfs);
    EXPECT_EQ(mount_at(spec, "/mnt/a/b")->kind, MountOp::Kind::bind_ro);
    configure(yaml("/opt"));
    EXPECT_EQ(mount_at(compose().spec, "/opt")->source, dir_.path("shared"));
    // Never by hiding what the root has.
    configure(yaml("/usr/share/new"));
    EXPECT_THAT(complaint(), HasSubstr("'/usr/share' is not empty"));
    configure(yaml("/etc/app.conf"));
    EXPECT_THAT(complaint(), HasSubstr("not a directory in the root"));
    configure(yaml("relative"));
    EXPECT_THAT(complaint(), HasSubstr("not an absolute path"));
    configure("filesystems:\n- mount: home\n");
    EXPECT_THAT(complaint(), HasSubstr("'root' is missing"));
}

// A link in a package must not make the sandbox program write elsewhere on the host.
TEST_F(ComposerTest, DestinationsFollowLinksInsideTheRootOnly) {
    ASSERT_EQ(::rmdir((root_ + "/mnt").c_str()), 0);
    ASSERT_EQ(::symlink("/srv", (root_ + "/mnt").c_str()), 0);
    (void)dir_.write("shared/file", "x");
    configure("filesystems:\n- mount: root\n- mount: to_root\n  volumes:\n  - path: " + dir_.path("shared") +
              "\n    dest: /mnt/x\n");
    EXPECT_NE(mount_at(compose().spec, "/srv/x"), nullptr);
    (void)remove_file(AT_FDCWD, root_ + "/mnt");
    ASSERT_EQ(::symlink("../../../../../etc", (root_ + "/mnt").c_str()), 0);
    EXPECT_THAT(complaint(), HasSubstr("at '/etc/x'"));
    (void)remove_file(AT_FDCWD, root_ + "/mnt");
    ASSERT_EQ(::symlink("mnt", (root_ + "/mnt").c_str()), 0);
    EXPECT_THAT(complaint(), HasSubstr("too many symbolic links"));
}

TEST_F(ComposerTest, DirectoriesAndSysfs) {
    configure(
        "filesystems:\n- mount: root\n- mount: dir\n  path: [/mnt/x, /run/y]\n- mount: sysfs\n  path: "
        "kernel\n");
    const SandboxSpec spec = compose().spec;
    EXPECT_EQ(mount_at(spec, "/run/y")->kind, MountOp::Kind::directory);
    EXPECT_EQ(mount_at(spec, "/sys")->kind, MountOp::Kind::tmpfs);
    EXPECT_EQ(mount_at(spec, "/sys/kernel")->kind, MountOp::Kind::bind_ro);
    configure("filesystems:\n- mount: root\n- mount: sysfs\n  path: nonsense\n");
    EXPECT_THAT(complaint(), HasSubstr("'/sys/nonsense' does not exist"));
    configure("filesystems:\n- mount: root\n- mount: sysfs\n  path: ../etc\n");
    EXPECT_THAT(complaint(), HasSubstr("no name below /sys"));
    configure("filesystems:\n- mount: root\n- mount: dir\n");
    EXPECT_THAT(complaint(), HasSubstr("no path"));
}

TEST_F(ComposerTest, Devices) {
    configure("permissions:\n- module: dev\n  devices: [fuse-of-nobody]\n");
    EXPECT_THAT(complaint(), HasSubstr("'/dev/fuse-of-nobody' does not exist"));
    configure("permissions:\n- module: dev\n  devices: [../etc/passwd]\n");
    EXPECT_THAT(complaint(), HasSubstr("no name below /dev"));
    configure("permissions:\n- module: dev\n  devices: ['null']\n");
    EXPECT_EQ(mount_at(compose().spec, "/dev/null")->kind, MountOp::Kind::bind_dev);
    EXPECT_TRUE(compose().host_dependent);
}

TEST_F(ComposerTest, SocketsThatNobodyServesAreLeftOut) {
    const std::string path = dir_.path("pw");
    configure("permissions:\n- module: pipewire\n  socket: " + path + "\n");
    EXPECT_THAT(compose().warnings, ElementsAre(HasSubstr("nothing listens")));
    const Fd server(::socket(AF_UNIX, SOCK_STREAM, 0));
    struct sockaddr_un address {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(server.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address), 0);
    EXPECT_THAT(compose().warnings, ElementsAre(HasSubstr("nothing listens"))) << "a file is not a server";
    ASSERT_EQ(::listen(server.get(), 100), 0);
    const Composition composition = compose();
    EXPECT_THAT(composition.warnings, IsEmpty());
    EXPECT_EQ(mount_at(composition.spec, "/run/user/1234/pipewire-0")->source, path);
    EXPECT_EQ(mount_at(composition.spec, "/run/user/1234/pipewire-0")->kind, MountOp::Kind::bind_ro);

    configure("permissions:\n- module: pulseaudio\n  socket: " + path + "\n");
    EXPECT_NE(mount_at(compose().spec, "/run/user/1234/pulse/native"), nullptr);

    configure("permissions:\n- module: display\n");
    host_.environment.push_back({"WAYLAND_DISPLAY", path});
    EXPECT_EQ(mount_at(compose().spec, "/run/user/1234/wayland-0")->source, path);
    EXPECT_EQ(value(compose().spec, "WAYLAND_DISPLAY"), "wayland-0");
    // Unset, it is looked for where clients look.
    host_.environment.back() = {"XDG_RUNTIME_DIR", dir_.path()};
    ASSERT_EQ(::rename(path.c_str(), dir_.path("wayland-0").c_str()), 0);
    EXPECT_EQ(mount_at(compose().spec, "/run/user/1234/wayland-0")->source, dir_.path("wayland-0"));
    ASSERT_EQ(::rename(dir_.path("wayland-0").c_str(), path.c_str()), 0);
    // A program may need none.
    host_.environment.push_back({"DISPLAY", "remote:0"});
    EXPECT_THAT(compose().warnings, ElementsAre(HasSubstr("network is not supported")));
    host_.environment.back() = {"DISPLAY", ":4711"};
    EXPECT_THAT(compose().warnings, ElementsAre(HasSubstr("nothing listens")));
    host_.environment.pop_back();
    EXPECT_THAT(compose().warnings, ElementsAre(HasSubstr("no display was found")));
    EXPECT_TRUE(compose().host_dependent) << "there may be one the next time";
}

TEST_F(ComposerTest, TheCookieOfADisplayIsForAnyHost) {
    make_directories(AT_FDCWD, "/tmp/.X11-unix");
    const Fd server(::socket(AF_UNIX, SOCK_STREAM, 0));
    struct sockaddr_un address {};
    address.sun_family = AF_UNIX;
    std::string number = std::to_string(::getpid() % 10000 + 20000);
    const std::string path = "/tmp/.X11-unix/X" + number;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    (void)::unlink(path.c_str());
    ASSERT_EQ(::bind(server.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(server.get(), 100), 0);
    configure("permissions:\n- module: display\n");
    host_.environment.push_back({"DISPLAY", ":" + number + ".0"});
    Composition composition = compose();
    EXPECT_THAT(composition.warnings, Contains(HasSubstr("no X cookie")));
    EXPECT_EQ(value(composition.spec, "XAUTHORITY"), "(unset)");
    EXPECT_NE(mount_at(composition.spec, path), nullptr);
    EXPECT_TRUE(composition.host_dependent);
    const auto counted = [](const std::string& text) {
        return std::string(1, '\0') + static_cast<char>(text.size()) + text;
    };
    (void)dir_.write("user/.Xauthority",
                     "\xff\xff" + counted("") + counted(number) + counted("MIT") + counted("ab"));
    composition = compose();
    EXPECT_THAT(composition.warnings, Not(Contains(HasSubstr("no X cookie"))));
    EXPECT_EQ(value(composition.spec, "XAUTHORITY"), "/run/user/1234/Xauthority");
    ASSERT_NE(mount_at(composition.spec, "/run/user/1234/Xauthority"), nullptr);
    EXPECT_EQ(mount_at(composition.spec, "/run/user/1234/Xauthority")->mode, 0600U);
    EXPECT_THAT(mount_at(composition.spec, "/run/user/1234/Xauthority")->source, HasSubstr("MIT"));
    (void)::unlink(path.c_str());
}

TEST_F(ComposerTest, TheCurrentDirectoryAsOnlyVolume) {
    (void)dir_.write("user/project/x", "x");
    (void)dir_.write("user/other/x", "x");
    configure("filesystems:\n- mount: root\n- mount: home\n- mount: to_home\n  volumes:\n  - path: other\n");
    request_.without_configured_volumes = true;
    request_.extra_volumes = {{dir_.path("user/project"), "/mnt/project", true}};
    request_.working_directory = "/mnt/project";
    const SandboxSpec spec = compose().spec;
    EXPECT_EQ(mount_at(spec, "/home/box/other"), nullptr);
    EXPECT_EQ(mount_at(spec, "/mnt/project")->kind, MountOp::Kind::bind_rw);
    EXPECT_EQ(mount_at(spec, "/mnt/project")->rule, "command line");
}

TEST_F(ComposerTest, SlicesAreNotRun) {
    configure("container_type: Slice\n");
    EXPECT_THAT(complaint(), HasSubstr("slice"));
}

TEST_F(ComposerTest, HomeMustExistAndCanBeReplaced) {
    host_.environment.push_back({"PWSTORE_HOME", dir_.path("user")});
    EXPECT_EQ(mount_at(compose().spec, "/home/box")->source, dir_.path("user"));
    EXPECT_TRUE(compose().host_dependent);
    host_.environment.pop_back();
    ASSERT_EQ(::rmdir(dir_.path("data/home/box").c_str()), 0);
    EXPECT_THAT(complaint(), AllOf(HasSubstr("filesystem home"), HasSubstr("does not exist")));
}

TEST_F(ComposerTest, ExplainNamesEverythingWithItsRule) {
    configure("permissions:\n- module: net\n");
    const auto lines = explain(compose().spec);
    EXPECT_THAT(lines, Contains(AllOf(HasSubstr("/home/box: "), HasSubstr("(writable)"),
                                      HasSubstr("[filesystem home]"))));
    EXPECT_THAT(lines, Contains(HasSubstr("network: this machine's")));
    EXPECT_THAT(lines, Contains(HasSubstr("(read-only)")));
    EXPECT_THAT(lines, Not(Contains(HasSubstr("SECRET"))));
    size_t mounts = 0;
    for (const std::string& line : lines)
        mounts += static_cast<size_t>(line.find(" [") != std::string::npos);
    EXPECT_EQ(mounts, compose().spec.mounts.size());
}

}  // namespace
}  // namespace pwstore
