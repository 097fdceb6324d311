// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <optional>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/layout.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using Variables = std::map<std::string, std::string>;

/// Environment variables for one test, put back at its end.
class Environment {
 public:
    explicit Environment(const Variables& wanted) {
        for (const char* name : {"HOME", "PWSTORE_DATA_DIR", "PWSTORE_CONFIG_DIR", "PWSTORE_CACHE_DIR",
                                 "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"}) {
            const char* value = std::getenv(name);
            before_[name] = value != nullptr ? std::optional<std::string>(value) : std::nullopt;
            const auto found = wanted.find(name);
            set(name, found != wanted.end() ? std::optional(found->second) : std::nullopt);
        }
    }
    Environment(const Environment&) = delete;
    Environment& operator=(const Environment&) = delete;
    ~Environment() {
        for (const auto& [name, value] : before_)
            set(name, value);
    }

 private:
    static void set(const std::string& name, const std::optional<std::string>& value) {
        if (value) {
            ::setenv(name.c_str(), value->c_str(), 1);
        } else {
            ::unsetenv(name.c_str());
        }
    }
    std::map<std::string, std::optional<std::string>> before_;
};

TEST(Directories, ComeFromOwnVariablesThenXdgThenHome) {
    {
        const Environment environment(Variables{{"HOME", "/h"}});
        EXPECT_EQ(Directories::from_environment().data, "/h/.local/share/pwstore");
        EXPECT_EQ(Directories::from_environment().config, "/h/.config/pwstore");
        EXPECT_EQ(Directories::from_environment().cache, "/h/.cache/pwstore");
    }
    {
        const Environment environment(Variables{{"HOME", "/h/"},
                                                {"XDG_DATA_HOME", "/x d/"},
                                                {"XDG_CONFIG_HOME", "relative"},
                                                {"XDG_CACHE_HOME", ""}});
        EXPECT_EQ(Directories::from_environment().data, "/x d/pwstore");
        EXPECT_EQ(Directories::from_environment().config, "/h/.config/pwstore");
        EXPECT_EQ(Directories::from_environment().cache, "/h/.cache/pwstore");
    }
    const Environment environment(Variables{{"PWSTORE_DATA_DIR", "/d//"},
                                            {"PWSTORE_CONFIG_DIR", "/c"},
                                            {"PWSTORE_CACHE_DIR", "/"},
                                            {"XDG_DATA_HOME", "/x"}});
    EXPECT_EQ(Directories::from_environment().data, "/d");
    EXPECT_EQ(Directories::from_environment().config, "/c");
    EXPECT_EQ(Directories::from_environment().cache, "/");
}

TEST(Directories, FallBackToThePasswdEntry) {
    const Environment environment(Variables{});
    if (const struct passwd* entry = ::getpwuid(::geteuid()); entry != nullptr) {
        EXPECT_EQ(Directories::from_environment().data, std::string(entry->pw_dir) + "/.local/share/pwstore");
    } else {
        EXPECT_THROW((void)Directories::from_environment(), Error);
    }
}

TEST(Directories, MustBeAbsolute) {
    for (const auto& wanted :
         {Variables{{"HOME", "h"}}, Variables{{"HOME", "/h"}, {"PWSTORE_CACHE_DIR", "c"}}}) {
        const Environment environment(wanted);
        EXPECT_THROW((void)Directories::from_environment(), Error);
    }
}

TEST(Layout, MakesEverythingPrivate) {
    const test::TestDir dir;
    const mode_t mask = ::umask(0);
    const Layout layout = Layout::create(dir.directories());
    (void)::umask(mask);
    EXPECT_EQ(stat_fd(layout.data(), "").st_mode & 07777U, 0700U);
    for (const char* name :
         {names::kObjects, names::kStaging, names::kIndex, names::kLeases, names::kContainerLocks,
          names::kRoots, names::kHome, names::kUpper, names::kSync, names::kGnupg}) {
        EXPECT_EQ(stat_at(layout.data(), name).st_mode & 07777U, 0700U) << name;
    }
    EXPECT_EQ(list_directory(open_dir(layout.data(), names::kObjects).get()).size(), 256U);
    EXPECT_TRUE(exists_at(layout.data(), "store/objects/00"));
    EXPECT_TRUE(exists_at(layout.data(), "store/objects/a7"));
}

TEST(Layout, IsMadeTwiceAndCompletedAndTakenBackFromOthers) {
    const test::TestDir dir;
    { (void)Layout::create(dir.directories()); }
    ASSERT_EQ(::chmod(dir.directories().data.c_str(), 0755), 0);
    remove_tree(AT_FDCWD, dir.path("data/store/objects/ff"));
    remove_tree(AT_FDCWD, dir.path("data/store/objects/10"));
    remove_tree(AT_FDCWD, dir.path("data/home"));
    const Layout layout = Layout::create(dir.directories());
    EXPECT_EQ(stat_fd(layout.data(), "").st_mode & 07777U, 0700U);
    EXPECT_TRUE(exists_at(layout.data(), "store/objects/ff"));
    EXPECT_TRUE(exists_at(layout.data(), "store/objects/10"));
    EXPECT_TRUE(exists_at(layout.data(), "home"));
}

TEST(Layout, OpenMakesNothing) {
    const test::TestDir dir;
    EXPECT_THROW((void)Layout::open(dir.directories()), Error);
    EXPECT_FALSE(exists_at(AT_FDCWD, dir.path("data")));
    make_directory(AT_FDCWD, dir.path("data"), 0755);
    EXPECT_NO_THROW((void)Layout::open(dir.directories()));
    EXPECT_EQ(stat_at(AT_FDCWD, dir.path("data")).st_mode & 07777U, 0755U);
}

TEST(Layout, RefusesTheDirectoryOfSomeoneElse) {
    const test::TestDir dir;
    Directories directories = dir.directories();
    if (::geteuid() == 0) {
        make_directory(AT_FDCWD, directories.data, 0777);
        ASSERT_EQ(::chown(directories.data.c_str(), 12345, 12345), 0);
    } else {
        directories.data = "/usr";
    }
    for (const auto open : {&Layout::open, &Layout::create}) {
        try {
            (void)open(directories);
            ADD_FAILURE() << "opened";
        } catch (const Error& error) {
            EXPECT_EQ(error.fault(), Fault::refused) << error.what();
            EXPECT_FALSE(error.hint().empty());
        }
    }
}

TEST(Layout, KnowsRemoteFileSystems) {
    EXPECT_STREQ(unusable_filesystem(0x6969), "NFS");
    EXPECT_STREQ(unusable_filesystem(0xFF534D42), "CIFS");
    EXPECT_STREQ(unusable_filesystem(0x01021997), "9p");
    for (const uint32_t local : {0xEF53U, 0x9123683EU, 0x58465342U, 0x01021994U, 0x794C7630U}) {
        EXPECT_EQ(unusable_filesystem(local), nullptr);
    }
}

TEST(Layout, NamesRootsByGeneration) {
    EXPECT_EQ(Layout::root_name(ContainerName("base"), 12), "roots/base@12");
    EXPECT_EQ(Layout::run_lease_name(ContainerName("base"), 12), "roots/base@12.lock");
}

}  // namespace
}  // namespace pwstore
