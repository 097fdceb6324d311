// SPDX-License-Identifier: GPL-3.0-or-later
#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/ingest.hpp"
#include "store/local_database.hpp"
#include "store/store.hpp"
#include "tests/support/package_builder.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using test::PackageSpec;
using test::RawTar;
using test::TestDir;
using testing::ElementsAre;

// --- parse_pkginfo ---

TEST(ParsePkginfo, ReadsEveryKey) {
    const PackageDescription package = parse_pkginfo(
        "# made by a test\npkgname = n\npkgbase = b\npkgver = 1:2-3\npkgdesc = a = b\nurl = u\nbuilddate = "
        "77\n"
        "packager = p\nsize = 99\narch = any\nlicense = l1\nlicense = l2\ngroup = g\ndepend = d>=1\n"
        "optdepend = o: why\nconflict = c\nprovides = v=1\nreplaces = r\nbackup = etc/x\nmakedepend = m\n");
    EXPECT_EQ(package.name, "n");
    EXPECT_EQ(package.base, "b");
    EXPECT_EQ(package.version, "1:2-3");
    EXPECT_EQ(package.description, "a = b");
    EXPECT_EQ(package.url, "u");
    EXPECT_EQ(package.build_date, 77);
    EXPECT_EQ(package.packager, "p");
    EXPECT_EQ(package.installed_size, 99U);
    EXPECT_EQ(package.arch, "any");
    EXPECT_THAT(package.licenses, ElementsAre("l1", "l2"));
    EXPECT_THAT(package.groups, ElementsAre("g"));
    EXPECT_THAT(package.depends, ElementsAre("d>=1"));
    EXPECT_THAT(package.optdepends, ElementsAre("o: why"));
    EXPECT_THAT(package.conflicts, ElementsAre("c"));
    EXPECT_THAT(package.provides, ElementsAre("v=1"));
    EXPECT_THAT(package.replaces, ElementsAre("r"));
    EXPECT_THAT(package.backup, ElementsAre("etc/x"));
}

TEST(ParsePkginfo, WithoutNameOrVersionIsCorrupt) {
    for (const char* text : {"", "pkgname = n\n", "pkgver = 1-1\n", "pkgname=n\npkgver = 1-1\n"}) {
        try {
            (void)parse_pkginfo(text);
            FAIL() << text;
        } catch (const Error& error) {
            EXPECT_EQ(error.fault(), Fault::corrupt);
        }
    }
}

// --- format_desc, format_files ---

TEST(FormatDesc, WritesReasonOnlyForDependenciesAndEveryValidationWord) {
    PackageDescription package;
    package.name = "n";
    package.version = "1-1";
    InstalledPackage installed;
    EXPECT_EQ(format_desc(package, installed), "%NAME%\nn\n\n%VERSION%\n1-1\n\n");
    installed.reason = InstallReason::dependency;
    installed.validation = 2 | 4 | 8;
    EXPECT_EQ(format_desc(package, installed),
              "%NAME%\nn\n\n%VERSION%\n1-1\n\n%REASON%\n1\n\n%VALIDATION%\nmd5\nsha256\npgp\n\n");
}

TEST(FormatFiles, SortsWithSlashesAndPrefersTheRecordedMd5) {
    Manifest manifest;
    for (const char* path : {"etc", "etc/a", "usr", "usr/lib", "usr/lib-x", "usr/lib/y"}) {
        Entry& entry = manifest.entries.emplace_back();
        entry.path = path;
        const bool is_file = entry.path.back() == 'a' || entry.path.back() == 'x' || entry.path.back() == 'y';
        entry.kind = is_file ? EntryKind::file : EntryKind::directory;
    }
    manifest.entries[1].backup_md5 = "packaged";
    PackageDescription package;
    package.backup = {"etc/a"};
    InstalledPackage installed;
    const std::string files =
        "%FILES%\netc/\netc/a\nusr/\nusr/lib-x\nusr/lib/\nusr/lib/y\n\n%BACKUP%\netc/a\t";
    EXPECT_EQ(format_files(manifest, package, installed), files + "packaged\n\n");
    installed.backup_md5["etc/a"] = "recorded";
    EXPECT_EQ(format_files(manifest, package, installed), files + "recorded\n\n");
}

TEST(FormatFiles, NamesThatBeginWithADotAreSpelledAsInArchives) {
    Manifest manifest;
    for (const char* path : {".d", ".d/x", ".field", "usr"}) {
        Entry& entry = manifest.entries.emplace_back();
        entry.path = path;
        entry.kind = entry.path == ".d" || entry.path == "usr" ? EntryKind::directory : EntryKind::file;
    }
    EXPECT_EQ(format_files(manifest, {}, {}), "%FILES%\n/.d/\n/.d/x\n/.field\nusr/\n\n");
}

// --- The same packages by pacman itself ---

/// A database as path → content.
using Database = std::map<std::string, std::string>;

class AgainstPacman : public testing::Test {
 protected:
    void SetUp() override {
        if (std::system("pacman --version >/dev/null 2>&1 && unshare -Ur true 2>/dev/null") != 0) {
            PWSTORE_CANNOT_RUN("pacman or user namespaces are not available");
        }
        dir_.write("pacman.conf", "[options]\nArchitecture = x86_64\nSigLevel = Never\n");
    }

    /// Install with the real program into a fresh root and read what it wrote.
    Database installed_by_pacman(const std::vector<std::string>& archives, const std::string& options) {
        const std::string root = dir_.path("root");
        make_directories(AT_FDCWD, root + "/var/lib/pacman");
        std::string command = "LC_ALL=C.UTF-8 unshare -Ur pacman --config " + dir_.path("pacman.conf") +
                              " -r " + root + " -b " + root + "/var/lib/pacman --cachedir " +
                              dir_.path("cache") + " --logfile " + dir_.path("log") + " --hookdir " +
                              dir_.path("hooks") + " --gpgdir " + dir_.path("gnupg") +
                              " --noscriptlet --noconfirm -Udd " + options;
        for (const std::string& archive : archives)
            command += " " + archive;
        command += " >" + dir_.path("out") + " 2>&1";
        EXPECT_EQ(std::system(command.c_str()), 0) << dir_.read("out");
        Database found;
        const std::string local = root + "/var/lib/pacman/local";
        for (const DirectoryItem& item : list_directory(open_dir(AT_FDCWD, local).get())) {
            if (item.type != DT_DIR) {
                found[item.name] = read_file(AT_FDCWD, local + "/" + item.name);
                continue;
            }
            const std::string entry = local + "/" + item.name;
            for (const DirectoryItem& file : list_directory(open_dir(AT_FDCWD, entry).get())) {
                found[item.name + "/" + file.name] = read_file(AT_FDCWD, entry + "/" + file.name);
            }
        }
        return found;
    }

    /// The database that pwstore generates for the same archives; install dates as in `theirs`.
    Database generated(const std::vector<std::string>& archives, InstallReason reason,
                       const Database& theirs) {
        const Store store = Store::open(dir_.directories());
        SilentSink sink;
        Ingestor ingestor(store, sink);
        std::vector<ArchiveSource> sources;
        for (const std::string& archive : archives)
            sources.push_back({archive, std::nullopt});
        (void)ingestor.add_archives(sources);
        ingestor.commit(nullptr, false);
        std::vector<InstalledPackage> packages;
        for (const IngestedArchive& ingested : ingestor.results()) {
            InstalledPackage& package = packages.emplace_back();
            package.name = ingested.name;
            package.version = ingested.version;
            package.reason = reason;
            package.validation = 1;
            package.install_date = date_in(theirs.at(database_entry_name(package) + "/desc"));
            package.manifest = ingested.id;
        }
        const ReadTxn txn = store.index().read();
        Database made;
        for (const DatabaseFile& file : local_database(txn, store.objects(), packages)) {
            std::string content = file.content;
            if (file.object != 0) {
                content = read_all(store.objects().open(txn.object(file.object).first).get(), file.path);
            }
            EXPECT_TRUE(made.emplace(file.path, content).second) << file.path << " twice";
        }
        return made;
    }

    static int64_t date_in(const std::string& desc) {
        const std::string key = "%INSTALLDATE%\n";
        return std::stoll(desc.substr(desc.find(key) + key.size()));
    }

    TestDir dir_;
};

TEST_F(AgainstPacman, WritesTheSameBytes) {
    PackageSpec rich;
    rich.name = "rich";
    rich.version = "2:1.0_a-3";
    rich.arch = "x86_64";
    rich.description = "Says = much:  with spaces";
    rich.files = {{"etc/rich.conf", {.content = "conf\n"}},
                  {"usr/bin/rich", {.content = "#!/bin/sh\n", .mode = 04755}},
                  {"usr/lib/b", {.content = "b"}},
                  {"usr/lib-foo/a", {.content = "a"}},
                  {"usr/share/rich/a name", {.content = "n"}},
                  {"usr/share/rich/\xc3\xa9", {.content = "e"}},
                  {"usr/share/rich/#hash", {.content = "h"}},
                  {"usr/share/rich/empty", {.content = ""}}};
    rich.directories = {{"var/lib/rich", 0700}};
    rich.symlinks = {{"usr/bin/link", "rich"}};
    rich.hardlinks = {{"usr/bin/twin", "usr/bin/rich"}};
    rich.depends = {"bash", "foo>=1.0", "bar<2:3", "so.so=1-64"};
    rich.optdepends = {"opt: for something: else", "opt2", "opt3>=2: with version"};
    rich.provides = {"virt=1.0", "virt2"};
    rich.conflicts = {"oldrich", "o<1"};
    rich.replaces = {"oldrich"};
    rich.groups = {"g1", "g2"};
    rich.licenses = {"GPL", "custom:MIT"};
    rich.backup = {"etc/rich.conf", "etc/missing.conf"};
    rich.install = "post_install() { :; }\n";
    rich.changelog = "1.0: first\n";
    PackageSpec poor;
    poor.name = "poor";
    poor.licenses = {};
    std::vector<std::string> archives;
    for (const PackageSpec& spec : {rich, poor})
        archives.push_back(test::build_package(dir_.path("packages"), spec));

    const Database theirs = installed_by_pacman(archives, "--asdeps");
    EXPECT_GE(theirs.size(), 9U);
    EXPECT_EQ(generated(archives, InstallReason::dependency, theirs), theirs);
}

TEST_F(AgainstPacman, ReadsOddPkginfoTheSameWay) {
    const std::vector<std::string> odd = {
        // NOLINTBEGIN(bugprone-suspicious-missing-comma): one text per comma
        "license =xy\n license = y\n\tlicense = y\nlicense  = z\nlicense xyz\nlicense = a = b\nlicense =  w "
        "\nlicense\n",
        "license = #x\n#license = x\nlicense = \nlicense=x = y\nurl = \npkgbase = \npkgdesc = \npackager = "
        "\n",
        "builddate =  5\nsize =  5\npkgdesc = first\npkgdesc = second\r\nurl = x\nurl = \n",
        "builddate = 5 \nsize = 05\nbackup = etc/odd.conf\nbackup = etc/odd.conf\nbackup = \nbackup = etc\n",
        "builddate = -3\nsize = 12x\ndepend = \ndepend = qux > 1\nprovides = x==1\nprovides = y=>1\nprovides "
        "= z=\n",
        "builddate = +7\nsize = 0\noptdepend = s:nospace\noptdepend = t : d\noptdepend = pp: \nconflict = "
        "c=1:2\n",
        "size = -5\nsize = 9223372036854775808\ngroup = \nxdata = pkgtype=pkg\narch = \n",
        "size = 9223372036854775807\nbuilddate = 1x\nreplaces = r<>1",
        // NOLINTEND(bugprone-suspicious-missing-comma)
    };
    std::vector<std::string> archives;
    for (size_t at = 0; at < odd.size(); ++at) {
        const std::string name = "odd" + std::to_string(at);
        const std::string info =
            "pkgname = " + name + "\npkgver = 1-" + std::to_string(at) + "\n" + odd[at] + "\narch = any\n";
        RawTar tar;
        tar.file(".PKGINFO", info)
            .directory("etc/")
            .file("etc/odd" + (at == 3 ? "" : std::to_string(at)) + ".conf", "conf\n");
        archives.push_back(tar.write(dir_.path(name + ".pkg.tar.zst")));
    }
    const Database theirs = installed_by_pacman(archives, "--asexplicit");
    EXPECT_EQ(generated(archives, InstallReason::explicitly, theirs), theirs);
}

}  // namespace
}  // namespace pwstore
