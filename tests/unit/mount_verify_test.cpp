// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "mount/root.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/verify/verify.hpp"
#include "tests/support/damage.hpp"
#include "tests/support/packaged_store.hpp"

namespace pwstore {
namespace {

using test::PackagedStore;
using test::PackageSpec;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

PackageSpec tool_package() {
    PackageSpec spec;
    spec.name = "tool";
    spec.files = {
        {"usr/bin/tool", {.content = "#!/bin/sh\necho tool\n", .mode = 0755}},
        {"usr/share/tool/data", {.content = "data of the tool\n", .mtime = 1500000000, .mtime_ns = 500}},
        {"usr/share/tool/empty", {.content = ""}},
        {"usr/share/tool/inner/deep", {.content = "deep\n"}},
        {"usr/lib/tool.py", {.content = "print()\n", .mtime = 1600000000}},
        {"etc/tool.conf", {.content = "conf\n", .mode = 0664}},
        {"etc/tool.d/default", {.content = "data of the tool\n"}}};
    spec.hardlinks = {{"usr/bin/tool-twin", "usr/bin/tool"}, {"usr/share/tool/conf", "etc/tool.conf"}};
    spec.symlinks = {{"usr/bin/link", "tool"}, {"usr/lib64", "lib"}};
    spec.directories = {{"var/lib/tool", 0700}, {"usr/share/tool/odd", 01777}};
    spec.fifos = {{"var/lib/tool/pipe", 0600}};
    spec.backup = {"etc/tool.conf"};
    spec.install = "post_install() { :; }\n";
    return spec;
}

std::string texts(const VerifyReport& report) {
    std::string all;
    for (const Finding& finding : report.findings) {
        all += finding.path + ": " + finding.text + (finding.healed ? " (healed)" : "") + "\n";
    }
    return all;
}

std::vector<std::string> paths(const VerifyReport& report) {
    std::vector<std::string> all;
    for (const Finding& finding : report.findings)
        all.push_back(finding.path);
    return all;
}

/// Containers "base" and, built on it, "top", with their roots.
class VerifyRoots : public testing::Test {
 protected:
    VerifyRoots() : tool(made.add(tool_package())) {
        made.install("base", {tool});
        PackageSpec extra;
        extra.name = "extra";
        extra.files = {{"usr/lib64/extra", {.content = "extra\n"}},
                       {"usr/share/same", {.content = "data of the tool\n"}}};
        Entry changed;
        changed.path = "usr/share/tool/inner/deep";
        changed.kind = EntryKind::whiteout;
        made.install("top", {made.add(extra)}, {{changed, Cause::user, "", {}}}, {{"base", 1}});
        for (const char* name : {"base", "top"})
            EXPECT_TRUE(ensure_root(made.store, ContainerName(name), 1, sink));
    }

    VerifyReport check() { return verify(made.store, {}, sink); }
    VerifyReport heal() {
        VerifyOptions options;
        options.heal_from = [this](const Manifest& manifest) { return made.archive_of(manifest); };
        return verify(made.store, options, sink);
    }
    [[nodiscard]] std::string root(const std::string& path, const std::string& container = "base") const {
        return made.store.layout().path("roots/" + container + "@1" + (path.empty() ? "" : "/" + path));
    }
    [[nodiscard]] std::string object(const std::string& path) const {
        return made.object_path(made.key_of(tool, path));
    }

    PackagedStore made;
    SilentSink sink;
    InstalledPackage tool;
};

TEST_F(VerifyRoots, CleanRootsHaveNoFinding) {
    const VerifyReport report = check();
    EXPECT_THAT(report.findings, IsEmpty()) << texts(report);
    EXPECT_EQ(report.roots, 2U);
    EXPECT_THAT(heal().findings, IsEmpty());
    EXPECT_THAT(check().findings, IsEmpty());
}

// --- Damage to one root ---

struct Damage {
    const char* name;
    const char* path;  ///< in the root of base; the one finding's path
    std::function<void(const std::string& path)> act;
    const char* text;
    FindingKind kind = FindingKind::damaged_root;
};

class RootDamage : public VerifyRoots, public testing::WithParamInterface<Damage> {};

TEST_P(RootDamage, IsFoundAndHealed) {
    const Damage& damage = GetParam();
    damage.act(root(damage.path));
    const VerifyReport found = check();
    ASSERT_EQ(found.findings.size(), 1U) << texts(found);
    EXPECT_EQ(found.findings[0].kind, damage.kind);
    EXPECT_EQ(found.findings[0].path, std::string("roots/base@1/") + damage.path);
    EXPECT_THAT(found.findings[0].text, AllOf(HasSubstr("in the root of base@1"), HasSubstr(damage.text)));
    EXPECT_FALSE(found.clean());

    const VerifyReport healed = heal();
    EXPECT_EQ(paths(healed), paths(found)) << texts(healed);
    EXPECT_TRUE(healed.clean()) << texts(healed);
    EXPECT_THAT(check().findings, IsEmpty()) << texts(check());
}

const auto kRewrite = [](const std::string& path) { test::replace_file(path, read_file(AT_FDCWD, path)); };
const auto kRemove = [](const std::string& path) { test::remove_name(path); };

INSTANTIATE_TEST_SUITE_P(
    All, RootDamage,
    testing::Values(
        Damage{"extra_file", "usr/bin/extra", [](const auto& path) { test::add_file(path, "x"); },
               "is a file that the generation does not have"},
        Damage{"extra_set_id", "usr/bin/extra", [](const auto& path) { test::add_file(path, "x", 04755); },
               "is a file that the generation does not have", FindingKind::set_id_file},
        Damage{"extra_top_directory", "new",
               [](const auto& path) {
                   make_directory(AT_FDCWD, path);
                   test::add_file(path + "/x", "x");
               },
               "is a directory that the generation does not have"},
        Damage{"missing_link", "usr/bin/tool", kRemove, "is missing"},
        Damage{"missing_copy", "etc/tool.d/default", kRemove, "is missing"},
        Damage{"missing_generated", "var/lib/pacman/local/tool-1.0-1/desc", kRemove, "is missing"},
        Damage{"missing_symlink", "usr/bin/link", kRemove, "is missing"},
        Damage{"missing_directory", "usr/share/tool", kRemove, "is missing"},
        Damage{"missing_fifo", "var/lib/tool/pipe", kRemove, "is missing"},
        Damage{"changed_copy", "etc/tool.d/default", [](const auto& path) { test::flip_byte(path, 0); },
               "has other content"},
        Damage{"longer_copy", "etc/tool.d/default", [](const auto& path) { test::truncate_file(path, 99); },
               "has 99 bytes"},
        Damage{"changed_generated", "var/lib/pacman/local/tool-1.0-1/files",
               [](const auto& path) { test::flip_byte(path, 9); }, "has other content"},
        Damage{"copy_mode", "etc/tool.d/default", [](const auto& path) { test::change_mode(path, 0666); },
               "has mode 0666 instead of 0644"},
        Damage{"copy_set_id", "etc/tool.d/default", [](const auto& path) { test::change_mode(path, 04644); },
               "has mode 4644", FindingKind::set_id_file},
        Damage{"copy_time", "etc/tool.d/default", [](const auto& path) { test::change_time(path, 9); },
               "has another time"},
        Damage{"replaced_link", "usr/share/tool/data",
               [](const auto& path) { test::replace_file(path, "DATA of the tool\n"); }, "has other content"},
        Damage{"link_that_is_a_copy", "usr/lib/tool.py", kRewrite, "is a file of its own"},
        Damage{"file_to_symlink", "usr/bin/tool",
               [](const auto& path) {
                   const struct stat parent = stat_at(AT_FDCWD, std::string(split_path(path).first));
                   replace_symlink(AT_FDCWD, path, "/etc/passwd");
                   test::change_time(std::string(split_path(path).first), parent.st_mtime);
               },
               "is a symlink instead of a file"},
        Damage{"file_to_directory", "etc/tool.d/default",
               [](const auto& path) {
                   const struct stat parent = stat_at(AT_FDCWD, std::string(split_path(path).first));
                   test::remove_name(path);
                   make_directory(AT_FDCWD, path);
                   test::change_time(std::string(split_path(path).first), parent.st_mtime);
               },
               "is a directory instead of a file"},
        Damage{"directory_to_file", "var/lib/tool",
               [](const auto& path) {
                   const struct stat parent = stat_at(AT_FDCWD, std::string(split_path(path).first));
                   test::remove_name(path);
                   test::add_file(path, "x");
                   test::change_time(std::string(split_path(path).first), parent.st_mtime);
               },
               "is a file instead of a directory"},
        Damage{"changed_symlink", "usr/lib64",
               [](const auto& path) {
                   const struct stat before = stat_at(AT_FDCWD, path);
                   const struct stat parent = stat_at(AT_FDCWD, std::string(split_path(path).first));
                   replace_symlink(AT_FDCWD, path, "/host/lib");
                   test::change_time(path, before.st_mtime);
                   test::change_time(std::string(split_path(path).first), parent.st_mtime);
               },
               "leads to '/host/lib' instead of 'lib'"},
        Damage{"symlink_time", "usr/lib64", [](const auto& path) { test::change_time(path, 9); },
               "has another time"},
        Damage{"fifo_mode", "var/lib/tool/pipe", [](const auto& path) { test::change_mode(path, 0666); },
               "has mode 0666 instead of 0600"},
        Damage{"directory_mode", "var/lib/tool", [](const auto& path) { test::change_mode(path, 0777); },
               "has mode 0777 instead of 0700"},
        Damage{"closed_directory", "usr/share/tool/odd", [](const auto& path) { test::change_mode(path, 0); },
               ""},
        Damage{"directory_time", "var/lib/tool", [](const auto& path) { test::change_time(path, 9); },
               "has another time"},
        Damage{"hiding_attribute", "usr/share/tool",
               [](const auto& path) { test::set_attribute(path, "user.overlay.opaque", "y"); },
               "by which an overlay hides"}),
    [](const auto& damage) { return std::string(damage.param.name); });

TEST_F(VerifyRoots, ALinkWhereACopyIsMeantIsFound) {
    const std::string path = root("etc/tool.d/default");
    const struct stat parent = stat_at(AT_FDCWD, root("etc/tool.d"));
    test::remove_name(path);
    ASSERT_EQ(::link(object("etc/tool.d/default").c_str(), path.c_str()), 0);
    test::change_time(root("etc/tool.d"), parent.st_mtime);
    const VerifyReport found = check();
    ASSERT_THAT(paths(found), ElementsAre("roots/base@1/etc/tool.d/default")) << texts(found);
    EXPECT_THAT(found.findings[0].text, HasSubstr("is a link of the object"));
    EXPECT_TRUE(heal().clean());
    EXPECT_NE(test::inode_number(path), test::inode_number(object("etc/tool.d/default")));
}

TEST_F(VerifyRoots, SeveralDamagesOfOneRootAreHealedTogether) {
    test::remove_name(root("usr"));
    test::remove_name(root("etc"));
    test::add_file(root("zzz"), "x");
    test::change_mode(root("var"), 0700);
    test::change_mode(root(""), 0777);
    EXPECT_THAT(paths(check()),
                testing::UnorderedElementsAre("roots/base@1", "roots/base@1/etc", "roots/base@1/usr",
                                              "roots/base@1/var", "roots/base@1/zzz"))
        << texts(check());
    EXPECT_TRUE(heal().clean());
    EXPECT_THAT(check().findings, IsEmpty()) << texts(check());
}

// --- Damage to the store below roots ---

TEST_F(VerifyRoots, HealingAnObjectRelinksEveryRoot) {
    test::flip_byte(object("usr/share/tool/data"), 3);
    const VerifyReport found = check();
    ASSERT_THAT(paths(found), ElementsAre(HasSubstr("store/objects/"))) << texts(found);
    EXPECT_THAT(found.findings[0].text, AllOf(HasSubstr("in base, top"), HasSubstr("other places")));

    const VerifyReport healed = heal();
    EXPECT_EQ(paths(healed), paths(found)) << texts(healed);
    EXPECT_TRUE(healed.clean());
    EXPECT_THAT(check().findings, IsEmpty()) << texts(check());
    for (const char* path : {"usr/share/tool/data", "usr/share/same"}) {
        EXPECT_EQ(read_file(AT_FDCWD, root(path, "top")), "data of the tool\n");
        EXPECT_EQ(test::inode_number(root(path, "top")), test::inode_number(object("usr/share/tool/data")));
    }
}

TEST_F(VerifyRoots, APrivateCopyInARootIsASource) {
    test::flip_byte(object("usr/share/tool/data"), 3);
    VerifyOptions options;
    options.heal_from = [](const Manifest&) { return std::nullopt; };
    const VerifyReport healed = verify(made.store, options, sink);
    EXPECT_TRUE(healed.clean()) << "etc/tool.d/default has the same content";
    EXPECT_THAT(healed.findings.at(0).source,
                AllOf(StartsWith("'/etc/tool.d/default' in the root of "), EndsWith("@1")));
    EXPECT_THAT(check().findings, IsEmpty());
}

TEST_F(VerifyRoots, AMissingObjectComesBackFromARootThatLinksIt) {
    const uint64_t inode = test::inode_number(root("usr/bin/tool"));
    test::remove_name(object("usr/bin/tool"));
    EXPECT_THAT(paths(check()), ElementsAre(HasSubstr("store/objects/"))) << texts(check());
    VerifyOptions options;
    options.heal_from = [](const Manifest&) { return std::nullopt; };
    const VerifyReport healed = verify(made.store, options, sink);
    EXPECT_TRUE(healed.clean());
    EXPECT_THAT(healed.findings.at(0).source,
                AllOf(StartsWith("'/usr/bin/tool' in the root of "), EndsWith("@1")));
    EXPECT_EQ(test::inode_number(object("usr/bin/tool")), inode);
    EXPECT_THAT(check().findings, IsEmpty());
}

TEST_F(VerifyRoots, AMissingObjectWhoseRootLinkIsDamagedComesFromTheArchive) {
    test::flip_byte(root("usr/bin/tool"), 3);
    test::remove_name(object("usr/bin/tool"));
    EXPECT_TRUE(heal().clean());
    EXPECT_THAT(check().findings, IsEmpty()) << texts(check());
    EXPECT_EQ(read_file(AT_FDCWD, root("usr/bin/tool", "top")), "#!/bin/sh\necho tool\n");
}

TEST_F(VerifyRoots, NothingIsMadeOfAnObjectThatStaysDamaged) {
    PackageSpec lone;
    lone.name = "lone";
    lone.files = {{"etc/lone", {.content = "only here\n"}}};
    const InstalledPackage package = made.add(lone);
    made.install("lonely", {package});
    ASSERT_TRUE(ensure_root(made.store, ContainerName("lonely"), 1, sink));
    test::flip_byte(made.object_path(made.key_of(package, "etc/lone")), 0);
    test::flip_byte(root("etc/lone", "lonely"), 0);
    VerifyOptions options;
    options.heal_from = [](const Manifest&) { return std::nullopt; };
    const VerifyReport report = verify(made.store, options, sink);
    EXPECT_EQ(report.findings.size(), 2U) << texts(report);
    EXPECT_FALSE(report.clean());
    options.heal_from = [&](const Manifest& manifest) { return made.archive_of(manifest); };
    EXPECT_TRUE(verify(made.store, options, sink).clean());
    EXPECT_EQ(read_file(AT_FDCWD, root("etc/lone", "lonely")), "only here\n");
}

TEST_F(VerifyRoots, ADamagedPkginfoIsNamedAndHealed) {
    const ReadTxn txn = made.store.index().read();
    const ObjectKey key = txn.object(txn.manifest(tool.manifest).pkginfo).first;
    test::truncate_file(made.object_path(key), 0);
    const VerifyReport found = check();
    EXPECT_THAT(texts(found), AllOf(HasSubstr("'.PKGINFO' of package tool 1.0-1"),
                                    HasSubstr("what the root of base@1 should hold is not known")));
    const VerifyReport healed = heal();
    EXPECT_TRUE(healed.clean()) << texts(healed);
    EXPECT_THAT(check().findings, IsEmpty()) << texts(check());
}

// --- Roots and records ---

TEST_F(VerifyRoots, AMissingRootIsReportedAndNoDamage) {
    remove_tree(open_dir(made.store.layout().data(), names::kRoots).get(), "top@1");
    const VerifyReport report = check();
    ASSERT_EQ(report.findings.size(), 1U) << texts(report);
    EXPECT_EQ(report.findings[0].kind, FindingKind::missing_root);
    EXPECT_EQ(report.findings[0].path, "roots/top@1");
    EXPECT_TRUE(report.clean());
}

TEST_F(VerifyRoots, RootsWithoutARecordAreStray) {
    make_directory(AT_FDCWD, made.store.layout().path("roots/base@7"));
    make_directory(AT_FDCWD, made.store.layout().path("roots/odd"));
    make_directory(AT_FDCWD, made.store.layout().path("roots/bad name@1"));
    const VerifyReport report = check();
    EXPECT_THAT(paths(report), ElementsAre("roots/bad name@1", "roots/base@7", "roots/odd")) << texts(report);
    {
        const auto lock = made.store.lock_container(ContainerName("base"), std::chrono::seconds(1), "a test");
        EXPECT_THAT(paths(check()), testing::Not(Contains("roots/base@7")))
            << "its transaction may be about to commit";
    }
}

TEST_F(VerifyRoots, ARootThatATransactionHoldsIsLeftAlone) {
    test::remove_name(root("usr/bin/tool", "top"));
    const auto lease =
        FileLock::try_acquire(made.store.layout().data(), Layout::run_lease_name(ContainerName("top"), 1),
                              LockMode::exclusive, "a test");
    ASSERT_TRUE(lease);
    const VerifyReport report = check();
    EXPECT_THAT(report.findings, IsEmpty()) << texts(report);
    EXPECT_EQ(report.roots, 1U);
}

TEST_F(VerifyRoots, AReadOnlyStoreIsChecked) {
    test::flip_byte(root("etc/tool.d/default"), 0);
    const auto store = Store::open_read_only(made.dir.directories());
    ASSERT_TRUE(store);
    EXPECT_THAT(paths(verify(*store, {}, sink)), ElementsAre("roots/base@1/etc/tool.d/default"));
}

// --- What pacman says ---

class Fidelity : public testing::Test {
 protected:
    void SetUp() override {
        if (std::system("pacman --version >/dev/null 2>&1 && unshare -Ur true 2>/dev/null") != 0) {
            PWSTORE_CANNOT_RUN("pacman or user namespaces are not available");
        }
        made.dir.write("pacman.conf", "[options]\nArchitecture = x86_64\nSigLevel = Never\n");
    }

    /// The lines of the real program about single files, paths as in the root, sorted.
    std::vector<std::string> pacman_lines(const std::string& root) {
        const std::string command = "LC_ALL=C.UTF-8 unshare -Ur pacman --config " +
                                    made.dir.path("pacman.conf") + " -r " + root + " -b " + root +
                                    "/var/lib/pacman --logfile " + made.dir.path("log") + " -Qkk >" +
                                    made.dir.path("out") + " 2>&1";
        (void)std::system(command.c_str());
        std::vector<std::string> lines;
        std::string text = made.dir.read("out");
        for (size_t at = text.find(root); at != std::string::npos; at = text.find(root, at))
            text.erase(at, root.size());
        while (!text.empty()) {
            const size_t end = text.find('\n');
            const std::string line = text.substr(0, end);
            text.erase(0, end == std::string::npos ? end : end + 1);
            if (line.find(" total files, ") == std::string::npos) lines.push_back(line);
        }
        std::sort(lines.begin(), lines.end());
        return lines;
    }

    std::vector<std::string> predicted(const Generation& generation) {
        std::vector<std::string> lines = fidelity_lines(made.store.index().read(), generation);
        std::sort(lines.begin(), lines.end());
        return lines;
    }

    std::string root_of(const Generation& generation) {
        const ContainerName name(generation.container);
        EXPECT_TRUE(ensure_root(made.store, name, generation.number, sink));
        return made.store.layout().path(Layout::root_name(name, generation.number));
    }

    PackagedStore made;
    SilentSink sink;
};

PackageSpec odd_package() {
    PackageSpec spec;
    spec.name = "odd";
    spec.files = {{"usr/bin/suid", {.content = "s", .mode = 04755}},
                  {"usr/bin/group-writable", {.content = "g", .mode = 0775}},
                  {"usr/bin/secret", {.content = "x", .mode = 0111}},
                  {"usr/bin/at-one", {.content = "1", .mode = 0755, .mtime = 1}},
                  {"usr/share/owned", {.content = "o", .uid = 33, .gid = 44}},
                  {"usr/share/half", {.content = "h", .mtime = 1500000000, .mtime_ns = 500000000}},
                  {"usr/share/empty", {.content = "", .mode = 0666, .gid = 5}},
                  {"usr/share/a name", {.content = "n"}},
                  {"usr/share/\xc3\xa9", {.content = "e"}},
                  {"usr/lib/m.py", {.content = "print()\n", .mtime = 1600000000}},
                  {"etc/odd.conf", {.content = "conf\n", .mode = 0660, .uid = 7}},
                  {"etc/plain", {.content = "plain\n"}},
                  {"usr/share/odd.conf", {.content = "backup elsewhere\n"}}};
    spec.hardlinks = {{"usr/bin/twin", "usr/bin/suid"}, {"usr/share/plain-twin", "etc/plain"}};
    spec.symlinks = {{"usr/bin/link", "suid"}};
    spec.directories = {{"opt/sticky", 01777}, {"opt/set-gid", 02755}, {"opt/closed", 0500}};
    spec.fifos = {{"var/lib/odd/pipe", 0600}};
    spec.backup = {"etc/odd.conf", "usr/share/odd.conf"};
    return spec;
}

TEST_F(Fidelity, PredictsExactlyWhatPacmanFinds) {
    PackageSpec plain;
    plain.name = "plain";
    plain.files = {{"etc/only", {.content = "copied\n"}}};
    const Generation generation = made.install("c", {made.add(odd_package()), made.add(plain)});
    const std::vector<std::string> real = pacman_lines(root_of(generation));
    EXPECT_EQ(predicted(generation), real);
    EXPECT_THAT(real, Contains("warning: odd: /usr/bin/suid (Permissions mismatch)"));
    EXPECT_THAT(real, Contains("warning: odd: /usr/share/owned (GID mismatch)"));
    EXPECT_THAT(real, testing::Each(testing::Not(HasSubstr("plain: "))));
}

TEST_F(Fidelity, KnowsWhatDeltasAndOtherPackagesChanged) {
    PackageSpec over;
    over.name = "over";
    over.files = {{"usr/share/half", {.content = "H", .mtime = 1400000000}},
                  {"usr/share/owned", {.content = "longer content"}}};
    const InstalledPackage odd = made.add(odd_package());
    const InstalledPackage other = made.add(over);
    const auto change = [](const std::string& path, EntryKind kind, const std::string& target = "") {
        DeltaEntry item;
        item.entry.path = path;
        item.entry.kind = kind;
        item.entry.mode = 0755;
        item.entry.mtime = 99;
        item.entry.target = target;
        return item;
    };
    const Manifest manifest = made.store.index().read().manifest(odd.manifest);
    DeltaEntry edited = change("usr/share/odd.conf", EntryKind::file);
    edited.entry.object = manifest.find("etc/plain")->object;
    edited.entry.size = manifest.find("etc/plain")->size;
    edited.entry.mode = 0644;
    DeltaEntry edited_other = edited;
    edited_other.entry.path = "usr/share/a name";
    const Generation generation = made.install(
        "c", {odd, other},
        {change("usr/bin/link", EntryKind::symlink, "elsewhere"), change("etc/plain", EntryKind::whiteout),
         change("opt/sticky", EntryKind::directory), change("usr/bin/at-one", EntryKind::directory),
         change("var/lib/odd", EntryKind::whiteout), edited, edited_other});
    const std::vector<std::string> real = pacman_lines(root_of(generation));
    EXPECT_EQ(predicted(generation), real);
    EXPECT_THAT(real, Contains("warning: odd: /usr/bin/link (Symlink path mismatch)"));
    EXPECT_THAT(real, Contains("backup file: odd: /usr/share/odd.conf (SHA256 checksum mismatch)"));
    EXPECT_THAT(real, Contains("warning: odd: /etc/plain (No such file or directory)"));
    EXPECT_THAT(real, Contains("warning: odd: /usr/bin/at-one (File type mismatch)"));
}

TEST_F(Fidelity, FollowsDirectoriesThatAreSymlinks) {
    PackageSpec base;
    base.name = "base";
    base.symlinks = {{"lib", "usr/lib"}};
    base.directories = {{"usr/lib", 0755}};
    PackageSpec split;
    split.name = "split";
    split.files = {{"lib/x", {.content = "x"}}, {"lib/deep/y", {.content = "y"}}};
    const Generation generation = made.install("c", {made.add(base), made.add(split)});
    EXPECT_EQ(predicted(generation), pacman_lines(root_of(generation)));
}

}  // namespace
}  // namespace pwstore
