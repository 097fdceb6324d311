// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "mount/guard.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class GuardTest : public ::testing::Test {
 protected:
    void SetUp() override {
        for (const char* below :
             {"u/.local/share/pwstore/roots/box@1/usr", "u/.local/share/pwstore/store/objects/ab",
              "u/.local/share/pwstore/home/box", "u/.local/share/pwstore/home/other", "u/.config/pwstore",
              "u/.cache/pwstore", "u/Documents", "u/mnt"}) {
            make_directories(AT_FDCWD, dir_.path(below));
        }
        (void)dir_.write("u/.local/share/pwstore/store/objects/ab/object", "content");
        spec_.container = "box";
        spec_.generation = 1;
        spec_.root.path = data_ + "/roots/box@1";
        spec_.protected_directories = {data_, dir_.path("u/.config/pwstore"), dir_.path("u/.cache/pwstore")};
    }

    void bind(const std::string& source, bool writable = true) {
        spec_.mounts = {{writable ? MountOp::Kind::bind_rw : MountOp::Kind::bind_ro, source, "/mnt/x", 0755,
                         false, "test"}};
    }
    /// What came of it: "refused", or the covers as "kind destination".
    std::vector<std::string> outcome() {
        try {
            apply_store_guard(spec_);
        } catch (const Error& error) {
            return {error.fault() == Fault::refused ? "refused" : error.what()};
        }
        std::vector<std::string> covers;
        for (size_t i = 1; i < spec_.mounts.size(); ++i) {
            const MountOp& mount = spec_.mounts[i];
            std::string kind = "bind ";
            if (mount.kind == MountOp::Kind::tmpfs) kind = "hide ";
            if (mount.kind == MountOp::Kind::remount_ro) kind = "ro ";
            if (mount.kind == MountOp::Kind::data_ro) kind = "file ";
            covers.push_back(kind + mount.destination);
        }
        return covers;
    }
    /// Run `act` in a mount namespace of its own; false when this machine does not let us.
    static std::string in_mount_namespace(const std::function<std::string()>& act) {
        std::array<int, 2> ends{};
        if (::pipe(ends.data()) != 0) return "no pipe";
        const unsigned uid = ::getuid();
        const pid_t child = ::fork();
        if (child == 0) {
            std::string answer = "cannot";
            if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) {
                const auto put = [](const char* path, const std::string& text) {
                    const Fd file = open_at(AT_FDCWD, path, O_WRONLY);
                    write_all(file.get(), text, path);
                };
                try {
                    put("/proc/self/uid_map", "0 " + std::to_string(uid) + " 1");
                    answer = act();
                } catch (const std::exception& error) {
                    answer = error.what();
                }
            }
            (void)!::write(ends[1], answer.data(), answer.size());
            ::_exit(0);
        }
        ::close(ends[1]);
        const Fd read_end(ends[0]);
        std::string answer = read_all(read_end.get(), "pipe");
        int status = 0;
        ::waitpid(child, &status, 0);
        return answer;
    }
    static std::string joined(const std::vector<std::string>& words) {
        std::string all;
        for (const std::string& word : words)
            all += word + ";";
        return all;
    }

    test::TestDir dir_;
    std::string data_ = dir_.path("u/.local/share/pwstore");
    SandboxSpec spec_;
};

TEST_F(GuardTest, HarmlessSourcesGoThrough) {
    bind(dir_.path("u/Documents"));
    EXPECT_THAT(outcome(), IsEmpty());
    bind("/dev/null");
    EXPECT_THAT(outcome(), IsEmpty());
}

TEST_F(GuardTest, SourcesInsideAreRefused) {
    for (const std::string& below :
         {std::string(), std::string("/store"), std::string("/store/objects/ab"),
          std::string("/store/objects/ab/object"), std::string("/roots"), std::string("/roots/box@1"),
          std::string("/home"), std::string("/home/other")}) {
        bind(data_ + below);
        EXPECT_THAT(outcome(), ElementsAre("refused")) << below;
        bind(data_ + below, false);
        EXPECT_THAT(outcome(), ElementsAre("refused")) << below << " read-only";
        spec_.mounts[0].kind = MountOp::Kind::bind_dev;
        EXPECT_THAT(outcome(), ElementsAre("refused")) << below << " as a device";
    }
    bind(dir_.path("u/.config/pwstore"));
    EXPECT_THAT(outcome(), ElementsAre("refused"));
    bind(dir_.path("u/.cache/pwstore"));
    EXPECT_THAT(outcome(), ElementsAre("refused"));
}

TEST_F(GuardTest, OwnHomeGoesThrough) {
    make_directories(AT_FDCWD, data_ + "/home/box/sub");
    bind(data_ + "/home/box");
    EXPECT_THAT(outcome(), IsEmpty());
    bind(data_ + "/home/box/sub");
    EXPECT_THAT(outcome(), IsEmpty());
    // A name that only begins like it.
    make_directories(AT_FDCWD, data_ + "/home/boxer");
    bind(data_ + "/home/boxer");
    EXPECT_THAT(outcome(), ElementsAre("refused"));
}

TEST_F(GuardTest, TheOwnRootGoesThroughReadOnly) {
    make_directories(AT_FDCWD, data_ + "/roots/other@1/usr");
    bind(data_ + "/roots/box@1/usr", false);
    EXPECT_THAT(outcome(), IsEmpty());
    bind(data_ + "/roots/box@1/usr", true);
    EXPECT_THAT(outcome(), ElementsAre("refused"));
    for (const char* other : {"/roots/other@1/usr", "/roots", "/store/objects"}) {
        bind(data_ + other, false);
        EXPECT_THAT(outcome(), ElementsAre("refused")) << other;
    }
    spec_.root.path = data_ + "/roots";
    bind(data_ + "/roots/box@1/usr", false);
    EXPECT_THAT(outcome(), ElementsAre("refused"));
}

TEST_F(GuardTest, SymlinksAreSeenThrough) {
    ASSERT_EQ(::symlink((data_ + "/store").c_str(), dir_.path("u/Documents/link").c_str()), 0);
    bind(dir_.path("u/Documents/link"));
    EXPECT_THAT(outcome(), ElementsAre("refused"));
    // A home that is a link into the store is not a home.
    ASSERT_EQ(::rmdir((data_ + "/home/box").c_str()), 0);
    ASSERT_EQ(::symlink("../store", (data_ + "/home/box").c_str()), 0);
    bind(data_ + "/home/box");
    EXPECT_THAT(outcome(), ElementsAre("refused"));
    // The data directory itself may be named through a link.
    ASSERT_EQ(::symlink(data_.c_str(), dir_.path("alias").c_str()), 0);
    spec_.protected_directories[0] = dir_.path("alias");
    bind(data_ + "/store");
    EXPECT_THAT(outcome(), ElementsAre("refused"));
}

TEST_F(GuardTest, SourcesThatContainOneAreCovered) {
    bind(dir_.path("u"));
    EXPECT_THAT(outcome(),
                ElementsAre("bind /mnt/x/.local", "bind /mnt/x/.local/share",
                            "hide /mnt/x/.local/share/pwstore", "ro /mnt/x/.local/share/pwstore",
                            "bind /mnt/x/.config", "hide /mnt/x/.config/pwstore", "ro /mnt/x/.config/pwstore",
                            "bind /mnt/x/.cache", "hide /mnt/x/.cache/pwstore", "ro /mnt/x/.cache/pwstore"));
    // Again: the same.
    EXPECT_THAT(outcome(), ::testing::SizeIs(10));
    // What cannot be renamed anyway needs no pins.
    bind(dir_.path("u/.local"), false);
    EXPECT_THAT(outcome(), ElementsAre("hide /mnt/x/share/pwstore", "ro /mnt/x/share/pwstore"));
    EXPECT_NO_THROW((void)open_bind_sources(spec_));
}

TEST_F(GuardTest, TheSameSourceTwiceIsCoveredTwice) {
    bind(dir_.path("u/.local"), false);
    spec_.mounts.push_back(spec_.mounts.front());
    EXPECT_THAT(outcome(), ElementsAre("hide /mnt/x/share/pwstore", "ro /mnt/x/share/pwstore", "bind /mnt/x",
                                       "hide /mnt/x/share/pwstore", "ro /mnt/x/share/pwstore"));
}

TEST_F(GuardTest, MissingDirectoriesAreMadeSoThatTheyCanBeCovered) {
    ASSERT_EQ(::rmdir(dir_.path("u/.cache/pwstore").c_str()), 0);
    ASSERT_EQ(::rmdir(dir_.path("u/.cache").c_str()), 0);
    bind(dir_.path("u"));
    EXPECT_THAT(outcome(), ::testing::Contains("hide /mnt/x/.cache/pwstore"));
}

TEST_F(GuardTest, UncoveredSpecIsNotStarted) {
    bind(dir_.path("u"));
    const auto start = [&]() -> std::string {
        try {
            (void)open_bind_sources(spec_);
        } catch (const Error& error) {
            return error.what();
        }
        return "";
    };
    EXPECT_THAT(start(), HasSubstr("have changed"));
    apply_store_guard(spec_);
    EXPECT_EQ(start(), "");
    // Covers before the bind that they belong to do not count.
    std::rotate(spec_.mounts.begin(), spec_.mounts.begin() + 1, spec_.mounts.end());
    EXPECT_THAT(start(), HasSubstr("have changed"));
    bind(data_ + "/store");
    EXPECT_THAT(start(), HasSubstr("inside pwstore's own"));
}

TEST_F(GuardTest, ViewsOfTheHostsProcessesAreRefused) {
    bind("/proc");
    EXPECT_THAT(outcome(), ElementsAre("refused"));
    bind("/proc/self/root");
    EXPECT_NE(outcome(), std::vector<std::string>{}) << "the host's root contains the store";
}

TEST_F(GuardTest, OptionalSourcesMayBeMissing) {
    bind(dir_.path("nowhere"));
    EXPECT_THAT(outcome(), ElementsAre(HasSubstr("no such file")));
    spec_.mounts[0].optional = true;
    EXPECT_THAT(outcome(), IsEmpty());
    EXPECT_FALSE(open_bind_sources(spec_).mounts[0]);
}

TEST_F(GuardTest, ARootThatIsNoFarmOfOursIsGuardedToo) {
    spec_.root.path = data_ + "/store";
    EXPECT_THAT(outcome(), ElementsAre("refused"));
    spec_.root.path = data_ + "/roots";
    EXPECT_THAT(outcome(), ElementsAre("refused"));
    spec_.root.path = data_ + "/roots/box@1";
    EXPECT_THAT(outcome(), IsEmpty());
    spec_.root = {RootMount::Kind::private_copy, data_ + "/roots/box@1", "", ""};
    EXPECT_THAT(outcome(), ElementsAre("refused")) << "a farm is never bound writable";
    spec_.root = {RootMount::Kind::read_only, dir_.path("u"), "", ""};
    apply_store_guard(spec_);
    EXPECT_TRUE(std::any_of(spec_.mounts.begin(), spec_.mounts.end(), [](const MountOp& mount) {
        return mount.kind == MountOp::Kind::tmpfs && mount.destination == "/.local/share/pwstore";
    }));
}

TEST_F(GuardTest, TheRootIsLookedAtAgainAtTheStart) {
    spec_.root = {RootMount::Kind::read_only, dir_.path("u"), "", ""};
    EXPECT_THROW((void)open_bind_sources(spec_), Error) << "nothing covers the store in it";
    apply_store_guard(spec_);
    EXPECT_NO_THROW((void)open_bind_sources(spec_));
    // What stands at a root's place may not lead elsewhere, not even to another root.
    ASSERT_EQ(::symlink("box@1", (data_ + "/roots/link").c_str()), 0);
    spec_.root.path = data_ + "/roots/link";
    EXPECT_THROW(apply_store_guard(spec_), Error);
    EXPECT_THROW((void)open_bind_sources(spec_), Error);
}

TEST_F(GuardTest, BindMountsOfTheStoreAreRecognised) {
    const std::string alias = dir_.path("u/mnt");
    const auto with_alias_of = [&](const std::string& place, const std::string& source) {
        return in_mount_namespace([&] {
            if (::mount(place.c_str(), alias.c_str(), nullptr, MS_BIND, nullptr) != 0)
                return std::string("cannot");
            bind(source);
            return joined(outcome());
        });
    };
    const std::string inside = with_alias_of(data_ + "/store/objects", alias);
    if (inside == "cannot") PWSTORE_CANNOT_RUN("no mount namespaces here");
    EXPECT_EQ(inside, "refused;");
    EXPECT_EQ(with_alias_of(data_ + "/store/objects", alias + "/ab"), "refused;");
    EXPECT_EQ(with_alias_of(data_, alias), "refused;");
    EXPECT_EQ(with_alias_of(dir_.path("u/.local"), alias),
              "bind /mnt/x/share;hide /mnt/x/share/pwstore;ro /mnt/x/share/pwstore;");
    EXPECT_EQ(with_alias_of(dir_.path("u/Documents"), alias), "");
    // Mounted below the source: comes along, because binds are recursive.
    EXPECT_THAT(with_alias_of(data_ + "/store/objects", dir_.path("u")),
                HasSubstr("hide /mnt/x/mnt;ro /mnt/x/mnt;"));
    EXPECT_THAT(with_alias_of(dir_.path("u/.local"), dir_.path("u")),
                HasSubstr("hide /mnt/x/mnt/share/pwstore;"));
    EXPECT_EQ(with_alias_of(dir_.path("u/Documents"), dir_.path("u/mnt")), "");
    // A single object that shows as a file somewhere else.
    const std::string file = dir_.write("u/Documents/file", "");
    const std::string hidden = in_mount_namespace([&] {
        const std::string object = data_ + "/store/objects/ab/object";
        if (::mount(object.c_str(), file.c_str(), nullptr, MS_BIND, nullptr) != 0)
            return std::string("cannot");
        bind(dir_.path("u/Documents"));
        return joined(outcome());
    });
    EXPECT_EQ(hidden, "file /mnt/x/file;");
}

TEST(MountTable, ParsesEscapesAndRefusesNonsense) {
    const MountTable table = MountTable::parse(
        "36 35 98:0 /a\\040b /mnt/with\\040space\\134 rw,noatime shared:1 - ext3 /dev/root rw\n"
        "37 36 0:5 / / rw - tmpfs tmpfs rw\n");
    ASSERT_EQ(table.items().size(), 2U);
    EXPECT_EQ(table.items()[0].id, 36U);
    EXPECT_EQ(table.items()[0].root.device, "98:0");
    EXPECT_EQ(table.items()[0].root.path, "/a b");
    EXPECT_EQ(table.items()[0].point, "/mnt/with space\\");
    EXPECT_THROW((void)MountTable::parse("nonsense\n"), Error);
}

TEST(Location, ContainsByComponents) {
    const Location top{"1:1", "/a/b"};
    EXPECT_TRUE(top.contains({"1:1", "/a/b"}));
    EXPECT_TRUE(top.contains({"1:1", "/a/b/c"}));
    EXPECT_FALSE(top.contains({"1:1", "/a/bc"}));
    EXPECT_FALSE(top.contains({"1:1", "/a"}));
    EXPECT_FALSE(top.contains({"1:2", "/a/b"}));
    EXPECT_TRUE((Location{"1:1", "/"}.contains({"1:1", "/a"})));
    EXPECT_TRUE((Location{"1:1", "/"}.contains({"1:1", "/"})));
}

}  // namespace
}  // namespace pwstore
