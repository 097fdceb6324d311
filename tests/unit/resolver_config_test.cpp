// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "resolver/config_lines.hpp"
#include "resolver/repositories.hpp"
#include "resolver/server_url.hpp"
#include "resolver/signature_level.hpp"
#include "store/base/error.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using test::TestDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::vector<std::string> names(const PacmanConfig& config) {
    std::vector<std::string> found;
    for (const Repository& repository : config.repositories)
        found.push_back(repository.name);
    return found;
}

/// The text of the Error that `act` throws; fails the test when it throws none.
template <typename Act>
std::string error_of(Act&& act, Fault fault = Fault::usage) {
    try {
        act();
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), fault) << error.what();
        return std::string(error.what()) + "\n" + error.hint();
    }
    ADD_FAILURE() << "no Error was thrown";
    return {};
}

// --- parse_pacman_config -----------------------------------------------------------------------------------

TEST(PacmanConfigTest, ReadsOptionsAndRepositories) {
    const TestDir dir;
    const std::string path = dir.write("pacman.conf", R"(
# comment
  [options]
RootDir = /elsewhere
CacheDir = /var/cache
HoldPkg = pacman   glibc
HoldPkg=filesystem
IgnorePkg = linux linux-*
IgnoreGroup = kde
NoUpgrade = etc/passwd
NoExtract = usr/share/help/* !usr/share/help/en*
Architecture = x86_64 x86_64_v3
SigLevel = Required DatabaseOptional
LocalFileSigLevel = Optional
RemoteFileSigLevel = Required
ParallelDownloads = 12
DisableDownloadTimeout
CheckSpace
Color

[core]
Server = https://a.example/$repo/os/$arch
CacheServer = http://cache.example/$arch
Server = https://b.example/$repo/$repo
[local-files]
SigLevel = Never
SigLevel = PackageOptional
Usage = Sync Search
Server = file:///srv/my packages
)");
    const PacmanConfig config = parse_pacman_config(path);
    EXPECT_THAT(config.warnings, IsEmpty());
    EXPECT_THAT(config.hold_packages, ElementsAre("pacman", "glibc", "filesystem"));
    EXPECT_THAT(config.ignore_packages, ElementsAre("linux", "linux-*"));
    EXPECT_THAT(config.ignore_groups, ElementsAre("kde"));
    EXPECT_THAT(config.no_upgrade, ElementsAre("etc/passwd"));
    EXPECT_THAT(config.no_extract, ElementsAre("usr/share/help/*", "!usr/share/help/en*"));
    EXPECT_THAT(config.architectures, ElementsAre("x86_64", "x86_64_v3"));
    EXPECT_THAT(config.sig_level, ElementsAre("Required", "DatabaseOptional"));
    EXPECT_THAT(config.local_file_sig_level, ElementsAre("Optional"));
    EXPECT_THAT(config.remote_file_sig_level, ElementsAre("Required"));
    EXPECT_EQ(config.parallel_downloads, 12U);
    EXPECT_TRUE(config.disable_download_timeout);
    EXPECT_TRUE(config.check_space);
    ASSERT_THAT(names(config), ElementsAre("core", "local-files"));
    EXPECT_THAT(config.repositories[0].servers,
                ElementsAre("https://a.example/core/os/x86_64", "https://b.example/core/core"));
    EXPECT_THAT(config.repositories[0].cache_servers, ElementsAre("http://cache.example/x86_64"));
    EXPECT_THAT(config.repositories[1].servers, ElementsAre("file:///srv/my packages"));
    EXPECT_THAT(config.repositories[1].sig_level, ElementsAre("Never", "PackageOptional"));
    EXPECT_THAT(config.repositories[1].usage, ElementsAre("Sync", "Search"));
}

TEST(PacmanConfigTest, DownloadUserAndItsSandboxArePacmans) {
    const TestDir dir;
    const std::string path = dir.write("pacman.conf",
                                       "[options]\nDownloadUser = alpm\nDownloadUser = other\n"
                                       "DisableSandboxSyscalls\n");
    const PacmanConfig config = parse_pacman_config(path, "/etc/apt", ConfigUser::pacman);
    EXPECT_THAT(config.warnings, IsEmpty());
    EXPECT_EQ(config.places.download_user, "alpm");
    EXPECT_FALSE(config.places.disable_sandbox_files);
    EXPECT_TRUE(config.places.disable_sandbox_calls);
    EXPECT_EQ(parse_pacman_config(path).places.download_user, "") << "containers are no root's";
    const std::string all = dir.write("all.conf", "[options]\nDisableSandbox\n");
    EXPECT_TRUE(parse_pacman_config(all).places.disable_sandbox_files);
    EXPECT_TRUE(parse_pacman_config(all).places.disable_sandbox_calls);
    const std::string files = dir.write("files.conf", "[options]\nDisableSandboxFilesystem\n");
    EXPECT_TRUE(parse_pacman_config(files).places.disable_sandbox_files);
    EXPECT_FALSE(parse_pacman_config(files).places.disable_sandbox_calls);
}

TEST(PacmanConfigTest, AnEmptyFileHasNoRepositories) {
    const TestDir dir;
    const PacmanConfig config = parse_pacman_config(dir.write("pacman.conf", "# nothing\n\n"));
    EXPECT_THAT(config.repositories, IsEmpty());
    EXPECT_THAT(config.architectures, IsEmpty());
    EXPECT_FALSE(config.check_space);
}

TEST(PacmanConfigTest, AutoIsThisMachineAndArchIsTheFirst) {
    const TestDir dir;
    const PacmanConfig config = parse_pacman_config(dir.write(
        "pacman.conf", "[core]\nServer = http://m/$arch\n[options]\r\nArchitecture = auto any2\r\n"));
    EXPECT_THAT(config.architectures, ElementsAre(machine_name(), "any2"));
    EXPECT_THAT(config.repositories.at(0).servers, ElementsAre("http://m/" + machine_name()));
}

TEST(PacmanConfigTest, IncludesFilesAndPatterns) {
    const TestDir dir;
    dir.write("mirrors", "Server = http://one/$repo\nServer = http://two/$repo\n");
    dir.write("more/b.conf", "[bbb]\nServer = http://b\n");
    dir.write("more/a.conf", "[aaa]\nServer = http://a\n");
    const PacmanConfig config = parse_pacman_config(dir.write(
        "pacman.conf", "[core]\nInclude = " + dir.path("mirrors") +
                           "\n[extra]\nInclude = mirrors\nInclude = more/*.conf\nServer = http://last\n"
                           "Include = none/*.conf\n"));
    ASSERT_THAT(names(config), ElementsAre("core", "extra", "aaa", "bbb"));
    EXPECT_THAT(config.repositories[0].servers, ElementsAre("http://one/core", "http://two/core"));
    EXPECT_THAT(config.repositories[1].servers, ElementsAre("http://one/extra", "http://two/extra"));
    EXPECT_THAT(config.repositories[2].servers, ElementsAre("http://a"));
    EXPECT_THAT(config.repositories[3].servers, ElementsAre("http://b", "http://last"));
}

TEST(PacmanConfigTest, UnknownDirectivesAreWarningsThatNameTheLine) {
    const TestDir dir;
    const std::string path = dir.write("pacman.conf",
                                       "[options]\nFrobnicate = 3\nXferCommand = /usr/bin/wget %u\n[core]\n"
                                       "Colour = red\nServer = http://x\n[core]\nServer = http://second\n");
    const PacmanConfig config = parse_pacman_config(path);
    EXPECT_THAT(config.warnings,
                ElementsAre(HasSubstr(path + ":2: "), HasSubstr("XferCommand"),
                            AllOf(HasSubstr(":5: "), HasSubstr("[core]")), HasSubstr("twice")));
    EXPECT_THAT(names(config), ElementsAre("core"));
    EXPECT_THAT(config.repositories[0].servers, ElementsAre("http://x"));
}

TEST(PacmanConfigTest, ErrorsNameFileAndLine) {
    const TestDir dir;
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"Server = http://x\n", "line 1"},
        {"[options]\n\nParallelDownloads = 0\n", "line 3"},
        {"[options]\nParallelDownloads = many\n", "many"},
        {"[options]\nParallelDownloads = 99999999999999999999\n", "line 2"},
        {"[options]\nSigLevel = Requird\n", "Requird"},
        {"[options]\nSigLevel =\n", "needs a value"},
        {"[core]\nServer\n", "needs a value"},
        {"[core]\nUsage = Everything\n", "Everything"},
        {"[local]\n", "local"},
        {"[]\n", "name of a repository"},
        {"[a/b]\n", "a/b"},
        {"[..]\n", ".."},
        {"[options]\nInclude = \n", "needs a value"},
        {"[options]\nInclude = /nowhere/at/all.conf\n", "/nowhere/at/all.conf"},
    };
    for (const auto& [text, expected] : cases) {
        const std::string path = dir.write("bad.conf", text);
        const std::string error = error_of([&] { (void)parse_pacman_config(path); });
        EXPECT_THAT(error, HasSubstr(expected)) << text;
        EXPECT_THAT(error, HasSubstr(path)) << text;
    }
    error_of([&] { (void)parse_pacman_config(dir.path("absent.conf")); });
    const std::string binary = dir.write("nul.conf", std::string("[core]\nServer = http://a\0b\n", 27));
    EXPECT_THAT(error_of([&] { (void)parse_pacman_config(binary); }), HasSubstr("NUL"));
}

TEST(PacmanConfigTest, EndlessIncludesEnd) {
    const TestDir dir;
    const std::string path = dir.write("loop.conf", "[options]\nInclude = loop.conf\n");
    EXPECT_THAT(error_of([&] { (void)parse_pacman_config(path); }), HasSubstr("nested"));
}

// --- SigLevel ----------------------------------------------------------------------------------------------

TEST(SignatureLevelTest, TokensApplyInOrder) {
    using Level = SignatureLevel;
    EXPECT_EQ(apply_signature_tokens({}, {}),
              (Level{.packages = {.check = true, .required = true, .trust_all = false},
                     .databases = {.check = true, .required = false, .trust_all = false}}));
    EXPECT_EQ(apply_signature_tokens({}, {"Never"}),
              (Level{.packages = {.check = false}, .databases = {.check = false, .required = false}}));
    EXPECT_EQ(apply_signature_tokens({}, {"Optional", "TrustAll"}),
              (Level{.packages = {.required = false, .trust_all = true},
                     .databases = {.required = false, .trust_all = true}}));
    EXPECT_EQ(apply_signature_tokens({}, {"DatabaseRequired", "PackageNever", "PackageTrustAll"}),
              (Level{.packages = {.check = false, .trust_all = true}, .databases = {}}));
    EXPECT_EQ(apply_signature_tokens({}, {"TrustAll", "DatabaseTrustedOnly"}),
              (Level{.packages = {.trust_all = true}, .databases = {.required = false}}));
    EXPECT_FALSE(is_signature_token("Package"));
    EXPECT_FALSE(is_signature_token("never"));
    EXPECT_TRUE(is_signature_token("PackageTrustedOnly"));
    error_of([] { (void)apply_signature_tokens({}, {"Sometimes"}); });
}

// --- URLs --------------------------------------------------------------------------------------------------

TEST(ServerUrlTest, EscapesWhatLibcurlRefuses) {
    EXPECT_EQ(file_url("/srv/my repo/100%/ü"), "file:///srv/my%20repo/100%25/%C3%BC");
    EXPECT_EQ(normal_url("file:///srv/my repo//"), "file:///srv/my%20repo");
    EXPECT_EQ(normal_url("https://a.example/x%20y"), "https://a.example/x%20y");
    EXPECT_EQ(normal_url("file:///"), "file:///");
    EXPECT_TRUE(is_file_url("file:///x"));
    EXPECT_FALSE(is_file_url("https://file://"));
    for (const char* bad : {"", "://", "/srv/repo", "https://", "://x"})
        error_of([&] { (void)normal_url(bad); });
}

TEST(ConfigTest, AHeaderThatDoesNotEndIsAnError) {
    TestDir dir;
    EXPECT_THAT(
        error_of([&] { (void)parse_pacman_config(dir.write("c", "[options]\n[toy\nServer = file:///x\n")); },
                 Fault::usage),
        AllOf(HasSubstr("line 2"), HasSubstr("[toy"), HasSubstr("']'")));
}

// --- ensure_repositories -----------------------------------------------------------------------------------

/// A host without anything that a default can be made from.
class RepositoriesTest : public ::testing::Test {
 protected:
    [[nodiscard]] HostFiles host() const {
        return {.pacman_conf = dir.path("etc/pacman.conf"),
                .mirrorlist = dir.path("etc/mirrorlist"),
                .arch_keyrings = {dir.path("absent.gpg"), dir.path("archlinux.gpg")},
                .apt_directory = dir.path("etc/apt"),
                .os_release = {dir.path("etc/os-release")},
                .deb_keyrings = {dir.path("debian.gpg")},
                .machine = "x86_64"};
    }
    RepositoriesFile ensure() const {
        return ensure_repositories(dir.path("config"), dir.path("repo"), host());
    }
    [[nodiscard]] std::string written() const { return dir.read("config/repositories.conf"); }
    [[nodiscard]] PacmanConfig parsed() const {
        return parse_pacman_config(dir.path("config/repositories.conf"));
    }
    TestDir dir;
};

TEST_F(RepositoriesTest, NothingAppliesNamesBothWaysOut) {
    const std::string error = error_of([&] { ensure(); }, Fault::unsupported);
    EXPECT_THAT(error, HasSubstr("pwstore repo"));
    EXPECT_THAT(error, HasSubstr("archlinux-keyring"));
    EXPECT_THAT(error, HasSubstr("Type = deb"));
    EXPECT_THAT(error_of(
                    [&] {
                        HostFiles other = host();
                        other.machine = "riscv64";
                        (void)ensure_repositories(dir.path("config"), dir.path("repo"), other);
                    },
                    Fault::unsupported),
                AllOf(HasSubstr("pwstore repo"), HasSubstr("Type = deb"), Not(HasSubstr("keyring"))));
    struct stat status {};
    EXPECT_NE(::stat(dir.path("config").c_str(), &status), 0) << "nothing is written";
}

TEST_F(RepositoriesTest, ADebianTakesItsOwnSuitesWhateverKeyringsItHas) {
    dir.write("archlinux.gpg", "");
    dir.write("debian.gpg", "");
    dir.write("etc/apt/sources.list", "deb http://x/debian bookworm main\n");
    const auto origin = [&](const std::string& os_release) {
        dir.write("etc/os-release", os_release);
        std::remove(dir.path("config/repositories.conf").c_str());
        return ensure().origin;
    };
    EXPECT_THAT(origin("NAME=x\nID=debian\n"), HasSubstr("sources of apt"));
    EXPECT_THAT(origin("ID=mint\nID_LIKE=\"ubuntu debian\"\n"), HasSubstr("sources of apt"));
    EXPECT_THAT(origin("ID=arch\n"), HasSubstr("Arch keyring"));
    EXPECT_THAT(origin("ID=fedora\nVARIANT_ID=debian\n"), HasSubstr("Arch keyring"));
    ASSERT_EQ(std::remove(dir.path("debian.gpg").c_str()), 0);
    EXPECT_THAT(origin("ID=debian\n"), HasSubstr("Arch keyring")) << "nothing of its own can be used";
}

TEST_F(RepositoriesTest, AFileThatIsThereIsLeftAlone) {
    dir.write("config/repositories.conf", "mine");
    const RepositoriesFile file = ensure();
    EXPECT_EQ(file.origin, "");
    EXPECT_EQ(file.path, dir.path("config/repositories.conf"));
    EXPECT_EQ(written(), "mine");
}

TEST_F(RepositoriesTest, FollowsTheHostsPacmanConf) {
    dir.write("etc/mirrorlist", "Server = https://mirror/$repo/os/$arch\n");
    dir.write("etc/d/third.conf", "[third]\nServer = https://third/$arch\nUsage = Search\n");
    dir.write("etc/pacman.conf",
              "[options]\nArchitecture = x86_64 v9\nSigLevel = Required DatabaseOptional\n"
              "IgnorePkg = linux\n[core]\nInclude = " +
                  dir.path("etc/mirrorlist") +
                  "\n[unused]\n[custom]\nSigLevel = Never\nServer = https://custom\n"
                  "[files]\nSigLevel = Optional TrustAll\nServer = file:///srv/files\n"
                  "Include = " +
                  dir.path("etc/d") + "/*.conf\n");
    dir.write("archlinux.gpg", "key");
    const RepositoriesFile file = ensure();
    EXPECT_EQ(file.origin, dir.path("etc/pacman.conf"));
    EXPECT_THAT(written(), HasSubstr("Include = " + dir.path("etc/mirrorlist")))
        << "the host's mirrors are followed";
    const PacmanConfig config = parsed();
    EXPECT_THAT(config.warnings, IsEmpty());
    EXPECT_THAT(config.ignore_packages, IsEmpty()) << "what the host ignores is its own matter";
    EXPECT_THAT(config.architectures, ElementsAre("x86_64", "v9"));
    ASSERT_THAT(names(config), ElementsAre("core", "custom", "files", "third"));
    const auto level = [&](size_t at) {
        return apply_signature_tokens(apply_signature_tokens({}, config.sig_level),
                                      config.repositories[at].sig_level);
    };
    EXPECT_THAT(config.repositories[0].servers, ElementsAre("https://mirror/core/os/x86_64"));
    EXPECT_TRUE(level(0).packages.required);
    EXPECT_TRUE(level(1).packages.check && level(1).packages.required)
        << "never an unsigned remote by default";
    EXPECT_FALSE(level(2).packages.required) << "files of this machine may be unsigned";
    EXPECT_TRUE(level(3).packages.required);
    EXPECT_THAT(config.repositories[3].usage, ElementsAre("Search"));
}

TEST_F(RepositoriesTest, APacmanConfWithoutRepositoriesDoesNotApply) {
    dir.write("etc/pacman.conf", "[options]\nArchitecture = auto\n#[core]\n#Include = x\n");
    dir.write("etc/mirrorlist", "# Server = https://commented\n");
    error_of([&] { ensure(); }, Fault::unsupported);
    dir.write("etc/mirrorlist", "Server = https://m/$repo/os/$arch\n");
    EXPECT_EQ(ensure().origin, dir.path("etc/mirrorlist"));
    const PacmanConfig config = parsed();
    ASSERT_THAT(names(config), ElementsAre("core", "extra", "multilib"));
    EXPECT_THAT(config.repositories[1].servers, ElementsAre("https://m/extra/os/" + machine_name()));
}

TEST_F(RepositoriesTest, ABrokenPacmanConfDoesNotApply) {
    dir.write("etc/pacman.conf", "[core]\nSigLevel = Nonsense\nServer = https://x\n");
    dir.write("archlinux.gpg", "key");
    EXPECT_THAT(ensure().origin, HasSubstr("archlinux.gpg"));
}

TEST_F(RepositoriesTest, ALocalRepositoryIsTrustedAsFiles) {
    dir.write("repo/mine.db", "");
    dir.write("repo/.hidden.db", "");
    dir.write("repo/local.db", "");
    dir.write("repo/mine.db.tar.gz", "");
    dir.write("archlinux.gpg", "key");
    EXPECT_THAT(ensure().origin, HasSubstr(dir.path("repo")));
    const PacmanConfig config = parsed();
    ASSERT_THAT(names(config), ElementsAre("mine"));
    EXPECT_THAT(config.repositories[0].servers, ElementsAre("file://" + dir.path("repo")));
    EXPECT_THAT(config.repositories[0].sig_level, ElementsAre("Optional", "TrustAll"));
    EXPECT_THAT(config.sig_level, ElementsAre("Required", "DatabaseOptional"));
}

TEST_F(RepositoriesTest, TheArchKeyringGivesTheGeoMirrorSigned) {
    dir.write("archlinux.gpg", "key");
    EXPECT_THAT(ensure().origin, HasSubstr("archlinux.gpg"));
    const PacmanConfig config = parsed();
    ASSERT_THAT(names(config), ElementsAre("core", "extra", "multilib"));
    for (const Repository& repository : config.repositories) {
        EXPECT_THAT(repository.sig_level, ElementsAre("Required", "DatabaseOptional"));
        EXPECT_THAT(repository.servers,
                    ElementsAre(HasSubstr("https://geo.mirror.pkgbuild.com/" + repository.name)));
    }
}

TEST_F(RepositoriesTest, LocalRepositoriesStandBelowTheHosts) {
    dir.write("etc/pacman.conf", "[core]\nServer = https://x\n[mine]\nServer = https://y\n");
    dir.write("repo/mine.db", "");
    dir.write("repo/other.db", "");
    EXPECT_EQ(ensure().origin, dir.path("etc/pacman.conf"));
    const PacmanConfig config = parsed();
    EXPECT_THAT(names(config), ElementsAre("core", "mine", "other"));
    EXPECT_THAT(config.repositories[1].servers, ElementsAre("https://y"));
}

// --- Places
// -------------------------------------------------------------------------------------------------------

TEST(ConfigPlaces, AreReadAndTheFirstOfASinglePlaceCounts) {
    const TestDir dir;
    const PacmanConfig config = parse_pacman_config(
        dir.write("pacman.conf",
                  "[options]\nRootDir = /a\nRootDir = /b\nDBPath = /db\nLogFile = /l\nGPGDir = /g\n"
                  "CacheDir = /c /d\nCacheDir = /e\nHookDir = /h\nCleanMethod = KeepCurrent KeepInstalled\n"
                  "Color\nVerbosePkgLists\nXferCommand = /bin/fetch %u\n"),
        "/etc/apt", ConfigUser::pacman);
    EXPECT_EQ(config.places.root, "/a");
    EXPECT_EQ(config.places.database, "/db");
    EXPECT_EQ(config.places.log_file, "/l");
    EXPECT_EQ(config.places.gnupg_dir, "/g");
    EXPECT_THAT(config.places.cache_dirs, ElementsAre("/c", "/d", "/e"));
    EXPECT_THAT(config.places.hook_dirs, ElementsAre("/h"));
    EXPECT_THAT(config.places.clean_methods, ElementsAre("KeepCurrent", "KeepInstalled"));
    EXPECT_TRUE(config.places.color && config.places.verbose_package_lists);
    EXPECT_FALSE(config.places.no_progress_bar);
    EXPECT_EQ(config.places.xfer_command, "/bin/fetch %u");
    EXPECT_THAT(config.warnings, IsEmpty());
}

TEST(ConfigPlaces, ContainersAreToldThatXferCommandIsNotUsed) {
    const TestDir dir;
    const PacmanConfig config =
        parse_pacman_config(dir.write("pacman.conf", "[options]\nXferCommand = /bin/fetch %u\n"));
    EXPECT_EQ(config.places.xfer_command, "");
    EXPECT_THAT(config.warnings, ElementsAre(HasSubstr("XferCommand is not used")));
}

TEST(ConfigPlaces, CleanMethodHasTwoWords) {
    const TestDir dir;
    const std::string file = dir.write("pacman.conf", "[options]\nCleanMethod = Everything\n");
    EXPECT_THROW((void)parse_pacman_config(file), Error);
}

}  // namespace
}  // namespace pwstore
