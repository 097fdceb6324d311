// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/debian/package.hpp"
#include "store/package/tar_io.hpp"
#include "tests/support/deb_builder.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using test::DebSpec;
using test::RawTar;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// --- Control data
// --------------------------------------------------------------------------------------------

TEST(DebControl, FieldsAreReadAndRelationsKeepNamesOnly) {
    const DebControl control = parse_deb_control(
        "Package: neovim\nSource: neovim-src (0.7)\nVersion: 1:0.7.2~rc1-7\nArchitecture: amd64\nEssential: "
        "yes\n"
        "Pre-Depends: libc6 (>= 2.34)\nDepends: python3:any, liblua [amd64] | luajit (>= 2~), ${bad}\n"
        "Provides: editor, vi (= 2)\nHomepage: https://neovim.io/\nDescription: a fork\n of vim\n .\n more\n",
        "x.deb");
    EXPECT_EQ(control.name, "neovim");
    EXPECT_EQ(control.source, "neovim-src");
    EXPECT_EQ(control.version, "1:0.7.2~rc1-7");
    EXPECT_TRUE(control.essential);
    EXPECT_EQ(control.summary, "a fork");
    const auto any = [](const char* name) { return DebRelation{name, "", ""}; };
    EXPECT_THAT(control.depends,
                ElementsAre(ElementsAre(DebRelation{"libc6", ">=", "2.34"}), ElementsAre(any("python3")),
                            ElementsAre(any("liblua"), DebRelation{"luajit", ">=", "2~"})));
    EXPECT_THAT(control.provides, ElementsAre(any("editor"), DebRelation{"vi", "=", "2"}));
}

TEST(DebControl, NamesThatCouldBePathsAreRefused) {
    for (const char* text :
         {"", "Version: 1\nArchitecture: all\n", "Package: ../x\nVersion: 1\nArchitecture: all\n",
          "Package: tool\nVersion: 1/../2\nArchitecture: all\n",
          "Package: tool\nVersion: x\nArchitecture: all\n", "Package: tool\nVersion: 1\n",
          "Package: tool\nVersion: 1\nArchitecture: ../all\n"}) {
        EXPECT_THROW((void)parse_deb_control(text, "x.deb"), Error) << text;
    }
}

TEST(DebControl, NamesAreWhatDpkgTakes) {
    for (const char* name : {"Tool", "x", "7", "a_b", "A.B+c-d"}) {
        const std::string text = std::string("Package: ") + name + "\nVersion: 1\nArchitecture: all\n";
        EXPECT_EQ(parse_deb_control(text, "x.deb").name, name);
        EXPECT_THAT(parse_deb_relations(name), ElementsAre(ElementsAre(DebRelation{name, "", ""})));
    }
    for (const char* name : {"_a", "+a", "a~b", "a@b", ".a", "a:b", "-a"}) {
        const std::string text = std::string("Package: ") + name + "\nVersion: 1\nArchitecture: all\n";
        EXPECT_THROW((void)parse_deb_control(text, "x.deb"), Error) << name;
    }
}

TEST(DebControl, ConffilesToBeRemovedAreNotKept) {
    EXPECT_THAT(parse_deb_conffiles("/etc/a\n remove-on-upgrade /etc/b\n\n/etc/c d\n"),
                ElementsAre("/etc/a", "/etc/c d"));
}

TEST(DebArchitecture, UnknownOnesAreAnError) {
    EXPECT_EQ(alpm_architecture("amd64"), "x86_64");
    EXPECT_EQ(alpm_architecture("all"), "any");
    EXPECT_THROW((void)alpm_architecture("vax"), Error);
}

TEST(DebCopyright, OnlyAMachineReadableOneNamesALicense) {
    EXPECT_THAT(licenses_of_copyright(
                    "Format: https://x/copyright-format/1.0/\n\nFiles: debian/*\nLicense: MIT\n\nFiles: *\n"
                    "Copyright: someone\nLicense: GPL-2+\n text\n"),
                ElementsAre("GPL-2+"));
    EXPECT_THAT(licenses_of_copyright("This is free.\nLicense: yes\n"), ElementsAre("custom"));
}

// --- Conversion
// ----------------------------------------------------------------------------------------------

class DebPackageTest : public ::testing::Test {
 protected:
    test::TestDir scratch_;
    SilentSink sink_;
    Fd dir_ = open_dir(AT_FDCWD, scratch_.path());

    std::string write(const DebSpec& spec, const std::string& name = "tool.deb") {
        return scratch_.write(name, test::deb_bytes(spec));
    }
    RepositoryPackage convert(const DebSpec& spec, const IngestLimits& limits = {}) {
        make_directories(dir_.get(), "out");
        return convert_deb(read_deb(write(spec)), {{"filesystem"}, {"virtual"}, {"other"}},
                           open_dir(dir_.get(), "out").get(), limits);
    }
    /// path → "kind mode target" of what was written.
    std::map<std::string, std::string> listing(const RepositoryPackage& package) {
        std::map<std::string, std::string> found;
        const Fd file = open_at(dir_.get(), "out/" + package.filename, O_RDONLY);
        TarReader reader(file.get(), package.filename);
        while (const auto entry = reader.next()) {
            std::string content = entry->target;
            if (entry->kind == TarEntry::Kind::file) content = reader.read_whole(1 << 20);
            found[entry->path] = std::to_string(static_cast<int>(entry->kind)) + " " + content;
        }
        return found;
    }
    void expect_refused(const DebSpec& spec, const std::string& cause) {
        try {
            (void)convert(spec);
            ADD_FAILURE() << "accepted, wanted: " << cause;
        } catch (const Error& error) {
            EXPECT_THAT(error.what(), HasSubstr(cause));
            EXPECT_THAT(error.what(), HasSubstr("tool.deb"));
            EXPECT_NE(error.fault(), Fault::failure) << error.what();
        }
        EXPECT_THAT(list_directory(open_dir(dir_.get(), "out").get()), IsEmpty());
    }
};

TEST_F(DebPackageTest, PathsLieBelowUsrWhateverCompressionTheArchiveHas) {
    for (const char* compression : {"xz", "gz", "zst", "bz2", "lzma", ""}) {
        DebSpec spec;
        spec.compression = compression;
        spec.data.directory("./")
            .directory("./bin/")
            .file("./bin/tool", "x", 0755)
            .directory("./usr/")
            .directory("./usr/bin/");
        spec.data.file("./usr/bin/other", "y")
            .symlink("./sbin/link", "../bin/tool")
            .hardlink("./lib/hard", "./bin/tool");
        const auto found = listing(convert(spec));
        EXPECT_EQ(found.at("usr/bin/tool"), "1 x");
        EXPECT_EQ(found.at("usr/bin/other"), "1 y");
        EXPECT_EQ(found.at("usr/sbin/link"), "2 ../bin/tool");
        EXPECT_EQ(found.at("usr/lib/hard"), "3 usr/bin/tool");
        EXPECT_EQ(found.count("bin/"), 0U);
    }
}

TEST_F(DebPackageTest, ALinkBetweenTheTwoNamesOfOneFileDisappears) {
    DebSpec spec;
    spec.data.file("./bin/tool", "x").symlink("./usr/bin/tool", "/bin/tool").symlink("./lib64", "usr/lib64");
    spec.data.symlink("./usr/sbin/s", "../../sbin/s").file("./sbin/s", "y");
    const auto found = listing(convert(spec));
    EXPECT_EQ(found.at("usr/bin/tool"), "1 x");
    EXPECT_EQ(found.at("usr/sbin/s"), "1 y");
    EXPECT_EQ(found.count("usr/lib64"), 0U);
}

TEST_F(DebPackageTest, VarRunAndVarLockAreWhatTheLayoutLinksThemTo) {
    DebSpec spec;
    spec.data.directory("./var/run/").file("./var/run/tool/x", "1").file("./var/runner", "2");
    spec.data.symlink("./var/lock", "/run/lock");
    spec.data.file("./lib32/libx.so", "3").file("./usr/libx32/liby.so", "4");
    const auto found = listing(convert(spec));
    EXPECT_EQ(found.at("run/tool/x"), "1 1");
    EXPECT_EQ(found.at("var/runner"), "1 2");
    EXPECT_EQ(found.count("var/run") + found.count("var/lock"), 0U);
    EXPECT_EQ(found.at("lib32"), "2 usr/lib32") << "a package that uses the name brings the link";
    EXPECT_EQ(found.count("libx32"), 0U);
    spec.data.symlink("./var/run", "/somewhere");
    EXPECT_THROW((void)convert(spec), Error);
}

TEST_F(DebPackageTest, TheDescriptionComesFromTheControlFile) {
    DebSpec spec;
    spec.control =
        "Package: tool\nVersion: 2:1.0-rc-3\nArchitecture: amd64\nMaintainer: M <m@x>\nHomepage: https://x/\n"
        "Provides: virtual\nConflicts: other\nReplaces: other\nDescription: a tool\n long\n";
    spec.conffiles = "/etc/tool.conf\n/etc/absent\n";
    spec.data.directory("./etc").file("./etc/tool.conf", "c");
    spec.data.file("./usr/share/doc/tool/copyright", "Format: x\n\nFiles: *\nLicense: MIT\n");
    const RepositoryPackage package = convert(spec);
    EXPECT_EQ(package.filename, "tool-2:1.0rrc.00e-3e-x86_64.pkg.tar.zst");
    const PackageDescription& about = package.description;
    EXPECT_EQ(about.version, "2:1.0rrc.00e-3e");
    EXPECT_EQ(about.arch, "x86_64");
    EXPECT_EQ(about.description, "a tool");
    EXPECT_EQ(about.url, "https://x/");
    EXPECT_EQ(about.build_date, test::kBuildDate);
    EXPECT_THAT(about.backup, ElementsAre("etc/tool.conf"));
    EXPECT_THAT(about.licenses, ElementsAre("MIT"));
    EXPECT_THAT(about.provides, ElementsAre("virtual"));
    EXPECT_THAT(about.depends, ElementsAre("filesystem"));
    EXPECT_THAT(about.replaces, IsEmpty())
        << "Debian's Replaces takes files over, it does not replace packages";
    EXPECT_THAT(about.conflicts, ElementsAre("other"));
}

TEST_F(DebPackageTest, HostileArchivesAreRefusedAndLeaveNothing) {
    const auto with = [](const RawTar& data) {
        DebSpec spec;
        spec.data = data;
        return spec;
    };
    expect_refused(with(RawTar().file("../x", "")), "leads out of the package");
    expect_refused(with(RawTar().file("./usr/../../x", "")), "leads out of the package");
    expect_refused(with(RawTar().file("/../etc/passwd", "")), "leads out of the package");
    expect_refused(with(RawTar().file("./new\nline", "")), "line break");
    expect_refused(with(RawTar().file("./a", "").hardlink("./b", "../../etc/shadow")),
                   "leads out of the package");
    expect_refused(with(RawTar().symlink("./etc", "/etc").file("./etc/passwd", "")), "not a directory");
    expect_refused(with(RawTar().symlink("./bin", "/tmp").file("./bin/sh", "")), "leads elsewhere");
    expect_refused(with(RawTar().add({.path = "./dev/null", .type = '3'})), "a device node");
    expect_refused(with(RawTar().file("./a", "1").directory("./a/")), "twice");
    expect_refused(with(RawTar().directory("./a/").hardlink("./b", "./a")), "a hard link to a directory");
}

TEST_F(DebPackageTest, WhatIsThereTwiceIsAsDpkgLeavesIt) {
    DebSpec spec;
    spec.data.add({.path = "./etc", .type = '5', .mode = 0700}).directory("./etc/");
    spec.data.file("./etc/a", "1").hardlink("./etc/b", "./etc/a").hardlink("./etc/c", "./etc/a");
    spec.data.file("./etc/a", "22").file("./bin/t", "1").file("./usr/bin/t", "2");
    spec.data.directory("./usr/d/").symlink("./usr/d", "elsewhere");
    spec.data.symlink("./lib/x", "../usr/lib/x").directory("./usr/lib/x/").file("./usr/lib/x/f", "3");
    const RepositoryPackage package = convert(spec);
    const auto found = listing(package);
    EXPECT_EQ(found.at("etc/a"), "1 22");
    EXPECT_EQ(found.at("etc/b"), "1 1");
    EXPECT_EQ(found.at("etc/c"), "3 etc/b");
    EXPECT_EQ(found.at("usr/bin/t"), "1 2");
    EXPECT_EQ(found.count("usr/d"), 0U) << "the directory stays";
    EXPECT_EQ(found.at("usr/d/"), "0 ");
    EXPECT_EQ(found.at("usr/lib/x/f"), "1 3");
}

TEST_F(DebPackageTest, FilesWithADotAtTheRootAreFiles) {
    DebSpec spec;
    spec.data.directory("./").file("./.field", "1").directory("./.d/").file("./.d/x", "2");
    spec.data.file("./.PKGINFO", "no description").symlink("./.l", ".field").hardlink("./.h", "./.field");
    const auto found = listing(convert(spec));
    EXPECT_EQ(found.at("/.field"), "1 1");
    EXPECT_EQ(found.at("/.d/x"), "1 2");
    EXPECT_EQ(found.at("/.PKGINFO"), "1 no description");
    EXPECT_EQ(found.at("/.l"), "2 .field");
    EXPECT_EQ(found.at("/.h"), "3 /.field");
    EXPECT_THAT(found.at(".PKGINFO"), HasSubstr("pkgname = tool"));
    EXPECT_THAT(found.at("var/lib/dpkg/info/tool.list"),
                HasSubstr("/.\n/.field\n/.d\n/.d/x\n/.PKGINFO\n/.l\n/.h\n"));
}

TEST_F(DebPackageTest, OddMembersAreTaken) {
    DebSpec spec;
    spec.data.file("/opt/absolute", "1").file(".//opt//twice", "2").file("opt/./plain", "3");
    spec.data.add({.path = "./opt/pipe", .type = '6', .mode = 0600}).hardlink("./opt/pipe2", "./opt/pipe");
    spec.data.symlink("./opt/s", "t").hardlink("./opt/s2", "/opt/s");
    const auto found = listing(convert(spec));
    EXPECT_EQ(found.at("opt/absolute"), "1 1");
    EXPECT_EQ(found.at("opt/twice"), "1 2");
    EXPECT_EQ(found.at("opt/plain"), "1 3");
    EXPECT_EQ(found.at("opt/pipe"), "4 ");
    EXPECT_EQ(found.at("opt/pipe2"), "4 ");
    EXPECT_EQ(found.at("opt/s2"), "2 t");
    EXPECT_THAT(found.at("var/lib/dpkg/info/tool.list"),
                HasSubstr("/opt/absolute\n/opt/twice\n/opt/plain\n"));
}

TEST_F(DebPackageTest, APackageMayHaveNoFiles) {
    const RepositoryPackage package = convert(DebSpec{});
    EXPECT_EQ(listing(package).at("var/lib/dpkg/info/tool.list"), "1 ");
    EXPECT_GT(package.description.build_date, 0);
}

TEST_F(DebPackageTest, WhatIsNotSupportedIsNotCalledDamaged) {
    const auto fault_of = [&](const std::string& name, const std::string& bytes) {
        try {
            make_directories(dir_.get(), "out");
            const std::string control = RawTar().file("./control", DebSpec{}.control).bytes();
            const std::string path = scratch_.write(
                "odd.deb",
                test::ar_archive({{"debian-binary", "2.0\n"}, {"control.tar", control}, {name, bytes}}));
            (void)convert_deb(read_deb(path), {}, open_dir(dir_.get(), "out").get());
        } catch (const Error& error) {
            return error.fault();
        }
        return Fault::failure;
    };
    EXPECT_EQ(fault_of("data.tar.lzo", std::string("\x89LZO\0\r\n\x1a\n", 9) + std::string(600, 'x')),
              Fault::unsupported);
    EXPECT_EQ(fault_of("data.tar.lrz", "LRZI" + std::string(600, 'x')), Fault::unsupported);
    EXPECT_EQ(fault_of("data.tar", std::string(600, 'x')), Fault::corrupt);
    EXPECT_EQ(fault_of("other", ""), Fault::corrupt);
}

TEST_F(DebPackageTest, ClaimsBeyondTheLimitsAreRefused) {
    DebSpec spec;
    spec.data.add({.path = "./huge", .size = uint64_t{1} << 40}, "");
    expect_refused(spec, "larger than it may be");

    DebSpec bomb;
    bomb.data.file("./zeros", std::string(size_t{80} << 20, '\0'));
    IngestLimits limits;
    limits.ratio = 100;
    EXPECT_THROW((void)convert(bomb, limits), Error);
    limits = {};
    limits.file_bytes = 10;
    DebSpec long_file;
    long_file.data.file("./a", "12345678901");
    EXPECT_THROW((void)convert(long_file, limits), Error);
    limits = {};
    limits.entries = 1;
    DebSpec two;
    two.data.file("./a", "").file("./b", "");
    EXPECT_THROW((void)convert(two, limits), Error);
    EXPECT_THAT(list_directory(open_dir(dir_.get(), "out").get()), IsEmpty());
}

TEST_F(DebPackageTest, EveryTruncationIsAnError) {
    DebSpec spec;
    spec.data.file("./a", std::string(5000, 'a')).file("./b", "b");
    const std::string whole = test::deb_bytes(spec);
    make_directories(dir_.get(), "out");
    const Fd out = open_dir(dir_.get(), "out");
    for (size_t length = 0; length + 40 < whole.size(); length += 7) {
        const std::string path = scratch_.write("cut.deb", std::string_view(whole).substr(0, length));
        EXPECT_THROW((void)convert_deb(read_deb(path), {}, out.get()), Error)
            << length << " of " << whole.size();
        ASSERT_THAT(list_directory(out.get()), IsEmpty()) << length;
    }
}

TEST_F(DebPackageTest, WhatIsNoDebianPackageIsAnError) {
    const auto fails = [&](const std::string& bytes) {
        EXPECT_THROW((void)read_deb(scratch_.write("x.deb", bytes)), Error) << printable(bytes.substr(0, 40));
    };
    fails("");
    fails("not an archive at all");
    fails(test::ar_archive({{"debian-binary", "2.0\n"}}));
    fails(test::ar_archive({{"control.tar", RawTar().file("./control", "x").bytes()}}));
    const std::string control = RawTar().file("./control", DebSpec{}.control).bytes();
    fails(test::ar_archive({{"another-binary", "2.0\n"}, {"control.tar", control}}));
    fails(test::ar_archive({{"debian-binary", "3.0\n"}, {"control.tar", control}}));
    fails(test::ar_archive(
        {{"debian-binary", "2.0\n"}, {"control.tar", RawTar().file("./other", "x").bytes()}}));
    fails(test::ar_archive(
        {{"debian-binary", "2.0\n"}, {"control.tar", RawTar().file("./control", "nonsense").bytes()}}));
}

TEST_F(DebPackageTest, NamesAreBytes) {
    DebSpec spec;
    spec.data.file("./usr/share/\xc3\xa4\xe2\x82\xac", "1").file("./usr/share/\xff\xfe", "2");
    const auto found = listing(convert(spec));
    EXPECT_EQ(found.at("usr/share/\xc3\xa4\xe2\x82\xac"), "1 1");
    EXPECT_EQ(found.at("usr/share/\xff\xfe"), "1 2");
}

TEST_F(DebPackageTest, DpkgsRecordsAreInThePackage) {
    DebSpec spec;
    spec.control = "Package: tool\nVersion: 3\nArchitecture: amd64\nMulti-Arch: same\n";
    spec.conffiles = "/etc/tool\n";
    spec.members = {
        {"postinst", "#!/bin/sh\n"}, {"triggers", "interest /usr/x\n"}, {"../evil", "x"}, {"list", "y"}};
    spec.data.directory("./").directory("./bin/").file("./bin/tool", "x").file("./etc/tool", "y");
    const auto found = listing(convert(spec));
    const std::string stem = "var/lib/dpkg/info/tool:amd64.";
    EXPECT_EQ(found.at(stem + "control"), "1 " + spec.control);
    EXPECT_EQ(found.at(stem + "list"), "1 /.\n/bin\n/bin/tool\n/etc/tool\n") << "as the package names them";
    EXPECT_EQ(found.at(stem + "conffiles"), "1 /etc/tool\n");
    EXPECT_EQ(found.at(stem + "postinst"), "1 #!/bin/sh\n");
    EXPECT_EQ(found.at(stem + "triggers"), "1 interest /usr/x\n");
    EXPECT_EQ(std::count_if(found.begin(), found.end(),
                            [](const auto& file) { return file.first.find("evil") != std::string::npos; }),
              0);
}

// --- Import
// --------------------------------------------------------------------------------------------------

TEST_F(DebPackageTest, AnImportMakesARepositoryWithLayoutAndBase) {
    DebSpec shell;
    shell.control = "Package: shell\nVersion: 1\nArchitecture: all\nEssential: yes\n";
    shell.data.file("./bin/sh", "x", 0755);
    DebSpec editor;
    editor.control = "Package: editor\nVersion: 1\nArchitecture: all\nDepends: nano | shell, missing\n";
    editor.data.file("./usr/bin/editor", "x", 0755);
    const std::vector<std::string> files{write(shell, "shell.deb"), write(editor, "editor.deb")};
    const DebImportReport first = import_debs(scratch_.path("repo"), "demo", files, sink_);
    EXPECT_EQ(first.converted, 2U);
    EXPECT_THAT(first.unsatisfied, ElementsAre("editor: missing"));

    std::map<std::string, PackageDescription> packages;
    const auto read = [&] {
        packages.clear();
        for (const auto& package : RepositoryDatabase::read(open_dir(dir_.get(), "repo").get(), "demo")) {
            packages[package.description.name] = package.description;
        }
    };
    read();
    EXPECT_THAT(packages.at("editor").depends, ElementsAre("filesystem", "shell", "missing"));
    EXPECT_THAT(packages.at("base").depends, ElementsAre("filesystem", "shell"));
    EXPECT_EQ(packages.at("base").version, "1-1");

    const DebImportReport again = import_debs(scratch_.path("repo"), "demo", files, sink_);
    EXPECT_EQ(again.converted, 0U);
    EXPECT_EQ(again.kept, 2U);

    // The same name and version from another .deb is another package; a further essential one changes base.
    shell.data.file("./bin/more", "x");
    DebSpec login = shell;
    login.control = "Package: login\nVersion: 1\nArchitecture: all\nEssential: yes\n";
    const DebImportReport changed = import_debs(
        scratch_.path("repo"), "demo", {write(shell, "shell.deb"), write(login, "login.deb")}, sink_);
    EXPECT_EQ(changed.converted, 2U);
    read();
    EXPECT_THAT(packages.at("base").depends, ElementsAre("filesystem", "login", "shell"));
    EXPECT_EQ(packages.at("base").version, "2-1");
    EXPECT_EQ(packages.count("editor"), 1U);

    // A better alternative is there now: the same .deb gets other dependencies.
    DebSpec nano = login;
    nano.control = "Package: nano\nVersion: 1\nArchitecture: all\n";
    const DebImportReport better =
        import_debs(scratch_.path("repo"), "demo", {write(nano, "nano.deb"), files[1]}, sink_);
    EXPECT_EQ(better.converted, 2U);
    read();
    EXPECT_THAT(packages.at("editor").depends, ElementsAre("filesystem", "nano", "missing"));
}

TEST_F(DebPackageTest, AFailedImportLeavesTheDatabaseAsItWas) {
    DebSpec good;
    good.data.file("./usr/bin/tool", "x");
    (void)import_debs(scratch_.path("repo"), "demo", {write(good)}, sink_);
    const std::string before = scratch_.read("repo/demo.db.tar.gz");
    DebSpec bad;
    bad.control = "Package: bad\nVersion: 1\nArchitecture: all\n";
    bad.data.file("../x", "");
    EXPECT_THROW(
        (void)import_debs(scratch_.path("repo"), "demo", {write(good), write(bad, "bad.deb")}, sink_), Error);
    EXPECT_EQ(scratch_.read("repo/demo.db.tar.gz"), before);
    EXPECT_THROW(
        (void)import_debs(scratch_.path("repo"), "demo", {write(good), write(good, "same.deb")}, sink_),
        Error);
}

/// Converted, installed by the real pacman, and checked by it: nothing missing, nothing altered.
TEST_F(DebPackageTest, PacmanInstallsItAndFindsNothingAltered) {
    if (test::run_shell("command -v pacman && unshare -Ur true").status != 0)
        PWSTORE_CANNOT_RUN("no pacman or no user namespaces");
    DebSpec spec;
    spec.control =
        "Package: tool\nVersion: 1:1.0~rc-1\nArchitecture: all\nEssential: yes\nDescription: a tool\n";
    spec.conffiles = "/etc/tool.conf\n";
    spec.data.directory("./")
        .directory("./etc/")
        .file("./etc/tool.conf", "conf")
        .add({.path = "./usr/sbin/su", .mode = 04755}, "su");
    spec.data.directory("./usr/share/")
        .file("./usr/share/with space#\xc3\xa4", "x")
        .hardlink("./usr/share/hard", "./usr/sbin/su");
    spec.data.symlink("./lib/link", "../share/with space#\xc3\xa4")
        .add({.path = "./var/spool/", .type = '5', .mode = 01777});
    (void)import_debs(scratch_.path("repo"), "demo", {write(spec)}, sink_);
    make_directories(dir_.get(), "root/var/lib/pacman");
    scratch_.write("pacman.conf", "[options]\nArchitecture = auto\nSigLevel = Never\n");
    const std::string pacman = "umask 022; LC_ALL=C.UTF-8 unshare -Ur pacman --config '" +
                               scratch_.path("pacman.conf") + "' -r '" + scratch_.path("root") + "' -b '" +
                               scratch_.path("root/var/lib/pacman") + "' --noconfirm ";
    const auto installed = test::run_shell(pacman + "-U '" + scratch_.path("repo") + "'/*.pkg.tar.zst");
    EXPECT_EQ(installed.status, 0) << installed.output;
    EXPECT_EQ(scratch_.read("root/lib/link"), "x");
    const auto checked = test::run_shell(pacman + "-Qkk");
    EXPECT_EQ(checked.status, 0) << checked.output;
    EXPECT_THAT(checked.output, HasSubstr("tool: 18 total files, 0 altered files"));
    EXPECT_THAT(checked.output, Not(HasSubstr("warning")));
    scratch_.write("root/usr/share/hard", "us");
    EXPECT_NE(test::run_shell(pacman + "-Qkk tool").status, 0) << "the digests are not looked at";
}

}  // namespace
}  // namespace pwstore
