// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/ingest.hpp"
#include "store/replacements.hpp"
#include "store/spill.hpp"
#include "store/verify/verify.hpp"
#include "tests/support/damage.hpp"
#include "tests/support/packaged_store.hpp"

namespace pwstore {
namespace {

using test::PackagedStore;
using test::PackageSpec;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string repeated(const std::string& text, size_t size) {
    std::string made;
    while (made.size() < size)
        made += text;
    return made;
}

PackageSpec tool_package() {
    PackageSpec spec;
    spec.name = "tool";
    spec.version = "1.0-1";
    spec.files = {{"usr/bin/tool", {.content = repeated("tool ", 5000), .mode = 0755}},
                  {"usr/share/tool/large", {.content = repeated("large ", 1U << 19U)}},
                  {"usr/share/tool/empty", {.content = ""}},
                  {"usr/lib/tool.py", {.content = "print()\n", .mtime = 1600000000}},
                  {"etc/tool.conf", {.content = "conf\n"}}};
    spec.hardlinks = {{"usr/bin/tool-twin", "usr/bin/tool"}};
    spec.backup = {"etc/tool.conf"};
    spec.install = "post_install() { :; }\n";
    return spec;
}

std::vector<FindingKind> kinds(const VerifyReport& report) {
    std::vector<FindingKind> all;
    for (const Finding& finding : report.findings)
        all.push_back(finding.kind);
    return all;
}

/// Of what was healed.
std::vector<std::string> sources(const VerifyReport& report) {
    std::vector<std::string> all;
    for (const Finding& finding : report.findings) {
        if (finding.healed) all.push_back(finding.source);
    }
    return all;
}

std::string texts(const VerifyReport& report) {
    std::string all;
    for (const Finding& finding : report.findings) {
        all += finding.path + ": " + finding.text + (finding.healed ? " (healed)" : "") + "\n";
    }
    return all;
}

class Verify : public testing::Test {
 protected:
    Verify() : tool(made.add(tool_package())) { made.install("base", {tool}); }

    VerifyReport check(VerifyOptions options = {}) {
        options.roots = false;
        return verify(made.store, options, sink);
    }
    VerifyReport heal(bool with_archives = true) {
        VerifyOptions options;
        options.heal_from = [this, with_archives](const Manifest& manifest) {
            return with_archives ? made.archive_of(manifest) : std::nullopt;
        };
        return check(options);
    }
    [[nodiscard]] std::string object(const std::string& path) const {
        return made.object_path(made.key_of(tool, path));
    }

    PackagedStore made;
    InstalledPackage tool;
    SilentSink sink;
};

TEST_F(Verify, CleanStoreHasNoFinding) {
    const VerifyReport report = check();
    EXPECT_THAT(report.findings, IsEmpty()) << texts(report);
    EXPECT_TRUE(report.clean());
    EXPECT_GE(report.objects, 7U);
    EXPECT_GT(report.bytes, 1U << 19U);
    EXPECT_THAT(heal().findings, IsEmpty());
}

// --- Damage to objects: each is found, named, and healed ---

struct Damage {
    const char* name;
    std::function<void(const std::string& path)> act;
    FindingKind kind;
    const char* text;
    bool replaces;  ///< healing makes a new inode
};

class ObjectDamage : public Verify, public testing::WithParamInterface<Damage> {};

TEST_P(ObjectDamage, IsFoundNamedAndHealed) {
    const Damage& damage = GetParam();
    const std::string path = object("usr/bin/tool");
    const std::string content = read_file(AT_FDCWD, path);
    const uint64_t inode = test::inode_number(path);
    damage.act(path);

    const VerifyReport found = check();
    ASSERT_THAT(kinds(found), ElementsAre(damage.kind)) << texts(found);
    EXPECT_FALSE(found.clean());
    EXPECT_THAT(found.findings[0].text,
                AllOf(HasSubstr("'usr/bin/tool' of package tool 1.0-1 in base"), HasSubstr(damage.text)));
    EXPECT_EQ(found.findings[0].path, "store/objects/" + made.key_of(tool, "usr/bin/tool").path(0));

    const VerifyReport healed = heal();
    ASSERT_THAT(kinds(healed), ElementsAre(damage.kind));
    EXPECT_TRUE(healed.findings[0].healed) << texts(healed);
    const std::string source =
        "package archive " + *made.archive_of(made.store.index().read().manifest(tool.manifest));
    EXPECT_EQ(healed.findings[0].source, damage.replaces ? source : "");
    EXPECT_EQ(healed.findings[0].text.ends_with("; good bytes came from " + source), damage.replaces);
    EXPECT_TRUE(healed.clean());
    EXPECT_THAT(check().findings, IsEmpty()) << texts(check());
    EXPECT_EQ(read_file(AT_FDCWD, path), content);
    EXPECT_EQ(test::inode_number(path) != inode, damage.replaces);
    EXPECT_GT(replacements(made.store), 0U) << "no older root may be a twin";
}

INSTANTIATE_TEST_SUITE_P(
    All, ObjectDamage,
    testing::Values(Damage{"flipped", [](const auto& path) { test::flip_byte(path, 2500); },
                           FindingKind::damaged_object, "other bytes", true},
                    Damage{"shorter", [](const auto& path) { test::truncate_file(path, 100); },
                           FindingKind::damaged_object, "has 100 bytes", true},
                    Damage{"longer", [](const auto& path) { test::truncate_file(path, 9000); },
                           FindingKind::damaged_object, "has 9000 bytes", true},
                    Damage{"emptied", [](const auto& path) { test::truncate_file(path, 0); },
                           FindingKind::damaged_object, "has 0 bytes", true},
                    Damage{"missing", [](const auto& path) { test::remove_name(path); },
                           FindingKind::missing_object, "is missing", true},
                    Damage{"writable", [](const auto& path) { test::change_mode(path, 0775); },
                           FindingKind::damaged_object, "has mode 0775 instead of 0755", false},
                    Damage{"unreadable", [](const auto& path) { test::change_mode(path, 0); },
                           FindingKind::damaged_object, "", false},
                    Damage{"set_id", [](const auto& path) { test::change_mode(path, 04755); },
                           FindingKind::set_id_file, "has mode 4755", false},
                    Damage{"time", [](const auto& path) { test::change_time(path, 77); },
                           FindingKind::damaged_object, "has time 77 instead of 1", false},
                    Damage{"replaced",
                           [](const auto& path) { test::replace_file(path, repeated("fool ", 5000)); },
                           FindingKind::damaged_object, "other bytes", true},
                    Damage{"directory",
                           [](const auto& path) {
                               test::remove_name(path);
                               make_directory(AT_FDCWD, path);
                           },
                           FindingKind::damaged_object, "is not a regular file", true},
                    Damage{"symlink",
                           [](const auto& path) {
                               test::remove_name(path);
                               replace_symlink(AT_FDCWD, path, "/etc/passwd");
                           },
                           FindingKind::damaged_object, "is not a regular file", true},
                    Damage{"attribute",
                           [](const auto& path) { test::set_attribute(path, "user.overlay.opaque", "y"); },
                           FindingKind::damaged_object, "has the attribute user.overlay.opaque", false},
                    Damage{"flipped_and_mode",
                           [](const auto& path) {
                               test::flip_byte(path, 0);
                               test::change_mode(path, 0777);
                           },
                           FindingKind::damaged_object, "other bytes", true}),
    [](const auto& damage) { return std::string(damage.param.name); });

TEST_F(Verify, HealsEveryKindOfFileFromTheArchive) {
    const Manifest manifest = made.store.index().read().manifest(tool.manifest);
    std::vector<std::string> paths;
    for (const Entry& entry : manifest.entries) {
        if (entry.kind == EntryKind::file) paths.push_back(object(entry.path));
    }
    const ReadTxn txn = made.store.index().read();
    for (const ObjectId side : {manifest.pkginfo, manifest.install, manifest.mtree})
        paths.push_back(made.object_path(txn.object(side).first));
    for (const std::string& path : paths) {
        if (exists_at(AT_FDCWD, path)) test::remove_name(path);
    }
    const VerifyReport healed = heal();
    EXPECT_EQ(healed.findings.size(), paths.size() - 1) << "the twin is one object";
    EXPECT_TRUE(healed.clean()) << texts(healed);
    EXPECT_THAT(check().findings, IsEmpty()) << texts(check());
    EXPECT_EQ(stat_at(AT_FDCWD, object("usr/lib/tool.py")).st_mtime, 1600000000);
}

TEST_F(Verify, WithoutAnArchiveDamageStaysAFinding) {
    test::flip_byte(object("usr/bin/tool"), 0);
    const VerifyReport report = heal(false);
    ASSERT_EQ(report.findings.size(), 1U);
    EXPECT_FALSE(report.findings[0].healed);
    EXPECT_EQ(report.findings[0].source, "");
    EXPECT_FALSE(report.clean());
    EXPECT_EQ(check().findings.size(), 1U);
}

TEST_F(Verify, TakesNothingFromAnArchiveThatHoldsOtherBytes) {
    PackageSpec other = tool_package();
    other.files["usr/bin/tool"].content[0] = 'T';
    const std::string archive = test::build_package(made.dir.path("others"), other);
    test::flip_byte(object("usr/bin/tool"), 0);
    VerifyOptions options;
    options.heal_from = [&](const Manifest&) { return std::optional(archive); };
    const VerifyReport report = check(options);
    ASSERT_THAT(kinds(report), ElementsAre(FindingKind::damaged_object)) << texts(report);
    EXPECT_FALSE(report.findings[0].healed);
    EXPECT_EQ(kinds(check()), kinds(report)) << "and leaves no file behind: " << texts(check());
}

TEST_F(Verify, ABrokenArchiveHealsNothingAndBreaksNothing) {
    test::flip_byte(object("usr/bin/tool"), 0);
    const std::string archive = made.dir.write("broken.pkg.tar.zst", "not an archive");
    VerifyOptions options;
    options.heal_from = [&](const Manifest&) { return std::optional(archive); };
    EXPECT_THAT(kinds(check(options)), ElementsAre(FindingKind::damaged_object));
    options.heal_from = [&](const Manifest&) { return std::optional(made.dir.path("nowhere")); };
    EXPECT_THAT(kinds(check(options)), ElementsAre(FindingKind::damaged_object));
}

TEST_F(Verify, ChecksAndHealsFurtherCopies) {
    const ObjectKey key = made.key_of(tool, "usr/bin/tool");
    const ObjectId id = made.store.index().read().find_object(key)->id;
    EXPECT_EQ(add_object_copy(made.store, id, 1), 2);
    EXPECT_THAT(check().findings, IsEmpty()) << texts(check());

    test::flip_byte(made.object_path(key, 1), 5);
    EXPECT_EQ(check().findings.size(), 1U);
    EXPECT_THAT(sources(heal(false)), ElementsAre("another copy")) << "the first copy is a good source";
    EXPECT_THAT(check().findings, IsEmpty()) << texts(check());
    test::flip_byte(made.object_path(key, 0), 5);
    EXPECT_THAT(sources(heal(false)), ElementsAre("another copy")) << "and the second one is";
    EXPECT_THAT(check().findings, IsEmpty()) << texts(check());

    test::flip_byte(made.object_path(key, 0), 5);
    test::remove_name(made.object_path(key, 1));
    EXPECT_EQ(check().findings.size(), 2U);
    const VerifyReport healed = heal();
    EXPECT_THAT(sources(healed), ElementsAre(HasSubstr("package archive "), HasSubstr("package archive ")));
    EXPECT_TRUE(healed.clean()) << texts(healed);
    EXPECT_THAT(check().findings, IsEmpty()) << texts(check());
}

TEST_F(Verify, HealsFromAnotherSourceWhatNoArchiveHas) {
    const std::string path = object("usr/bin/tool");
    const std::string good = made.dir.write("good", read_file(AT_FDCWD, path));
    const Sha256 content = sha256_of(read_file(AT_FDCWD, path));
    test::flip_byte(path, 0);
    VerifyOptions options;
    options.heal_from = [](const Manifest&) { return std::nullopt; };
    options.contents_from = [&](const std::set<Sha256>& wanted, const VerifyOptions::Give& give) {
        EXPECT_THAT(wanted, ElementsAre(content));
        give(content, open_at(AT_FDCWD, made.dir.write("bad", "other bytes"), O_RDONLY).get());
        give(content, open_at(AT_FDCWD, good, O_RDONLY).get());
    };
    const VerifyReport healed = check(options);
    EXPECT_THAT(sources(healed), ElementsAre("the image"));
    EXPECT_TRUE(healed.clean()) << texts(healed);
    EXPECT_THAT(check().findings, IsEmpty()) << texts(check());
}

TEST_F(Verify, QuickLooksAtSizesAndModesOnly) {
    VerifyOptions quick;
    quick.contents = false;
    test::flip_byte(object("usr/bin/tool"), 0);
    EXPECT_THAT(check(quick).findings, IsEmpty());
    EXPECT_EQ(check(quick).bytes, 0U);
    test::truncate_file(object("usr/bin/tool"), 7);
    EXPECT_THAT(kinds(check(quick)), ElementsAre(FindingKind::damaged_object));
}

TEST_F(Verify, SampleReadsAShareOfTheObjects) {
    VerifyOptions options;
    options.sample = 0.0;
    EXPECT_EQ(check(options).bytes, 0U);
    PackageSpec many;
    many.name = "many";
    for (int i = 0; i < 400; ++i)
        many.files["usr/f" + std::to_string(i)] = {.content = std::to_string(10000 + i)};
    made.add(many);
    options.sample = 0.5;
    const uint64_t bytes = check(options).bytes % (1U << 19U);
    EXPECT_GT(bytes, 100U * 5);
    EXPECT_LT(bytes, 25000U + 300U * 5 + 6000U);
}

// --- Files without a record ---

TEST_F(Verify, StrayFilesAreFoundAndRemovedByHealing) {
    const std::string objects = made.store.layout().path(names::kObjects);
    test::add_file(objects + "/00/stray", "x");
    test::add_file(objects + "/ff/set-id", "x", 04755);
    const std::string copy = object("usr/bin/tool") + "~1";
    test::add_file(copy, "x");
    const VerifyReport report = check();
    EXPECT_THAT(kinds(report),
                testing::UnorderedElementsAre(FindingKind::stray_file, FindingKind::set_id_file,
                                              FindingKind::stray_file))
        << texts(report);
    for (const Finding& finding : report.findings)
        EXPECT_THAT(finding.text, testing::HasSubstr("'" + finding.path + "'"));
    EXPECT_TRUE(heal().clean());
    EXPECT_FALSE(exists_at(AT_FDCWD, copy));
    EXPECT_THAT(check().findings, IsEmpty()) << texts(check());
}

TEST_F(Verify, AStrayAloneIsNoDamage) {
    test::add_file(made.store.layout().path(names::kObjects) + "/00/stray", "x");
    EXPECT_EQ(check().findings.size(), 1U);
    EXPECT_TRUE(check().clean());
}

TEST_F(Verify, WhileOthersAddFilesNothingIsCalledStray) {
    Ingestor ingestor(made.store, sink);
    (void)ingestor.add_content("not recorded yet", 0644, std::nullopt);
    EXPECT_THAT(check().findings, IsEmpty()) << texts(check());
}

TEST_F(Verify, ALostIndexIsDamage) {
    EXPECT_TRUE(verify_without_index(made.store.layout().path("nothing-here")).findings.empty());
    const VerifyReport report = verify_without_index(made.store.layout().directories().data);
    EXPECT_THAT(kinds(report), ElementsAre(FindingKind::bad_record));
    EXPECT_THAT(texts(report), HasSubstr("'store/index' is missing or empty"));
    EXPECT_FALSE(report.clean());
}

// --- Records ---

class BadRecord : public Verify {
 protected:
    void change(const std::function<void(WriteTxn&)>& act) {
        WriteTxn txn = made.store.index().write();
        act(txn);
        txn.mark_all_synced(Store::boot_mark());
        txn.commit();
    }
    void expect(const std::string& text) {
        const VerifyReport report = check();
        ASSERT_THAT(kinds(report), testing::Contains(FindingKind::bad_record)) << texts(report);
        EXPECT_THAT(texts(report), HasSubstr(text));
        EXPECT_FALSE(report.clean());
        EXPECT_FALSE(heal().clean()) << "a record does not heal";
    }
};

TEST_F(BadRecord, ManifestNamesAnObjectThatIsNotThere) {
    const ObjectKey key = made.key_of(tool, "usr/bin/tool");
    change([&](WriteTxn& txn) { txn.remove_object(key); });
    expect("the manifest of tool 1.0-1 refers to object");
}

TEST_F(BadRecord, ManifestSaysAnotherSizeThanTheObject) {
    Manifest manifest = made.store.index().read().manifest(tool.manifest);
    for (Entry& entry : manifest.entries) {
        if (entry.path == "usr/bin/tool") entry.size += 1;
    }
    change([&](WriteTxn& txn) { txn.add_manifest(manifest, false); });
    expect("says another size or mode of 'usr/bin/tool'");
}

TEST_F(BadRecord, DeltaNamesAnObjectThatIsNotThere) {
    Entry entry;
    entry.path = "etc/new";
    entry.object = 4711;
    entry.size = 3;
    made.install("base", {tool}, {{entry, Cause::user, "", {}}});
    expect("refers to object 4711 for 'etc/new'");
}

TEST_F(BadRecord, GenerationNamesAPackageThatIsNotThere) {
    InstalledPackage gone = tool;
    gone.manifest = 99;
    made.install("base", {gone});
    expect("generation base@2: read index 'manifest 99'");
}

TEST_F(BadRecord, GenerationIsBuiltOnOneThatIsNotThere) {
    made.install("top", {}, {}, {{"base", 9}});
    expect("generation top@1 is built on base@9");
}

TEST_F(BadRecord, CurrentGenerationIsNotThere) {
    change([&](WriteTxn& txn) {
        ContainerRow row;
        row.current = 5;
        row.last_number = 5;
        txn.put_container(ContainerName("ghost"), row);
    });
    expect("container ghost has generation 5 as current");
}

TEST_F(BadRecord, MoreCopiesAreRecordedThanThereAre) {
    const ObjectKey key = made.key_of(tool, "usr/bin/tool");
    change([&](WriteTxn& txn) {
        ObjectRow row = txn.find_object(key).value();
        row.copies = 3;
        txn.put_object(key, row);
    });
    EXPECT_THAT(kinds(check()), ElementsAre(FindingKind::missing_object, FindingKind::missing_object));
    EXPECT_TRUE(heal(false).clean());
    EXPECT_THAT(check().findings, IsEmpty());
}

/// Flip a bit wherever `bytes` occur in the index, as a disk does; the checksums of the values are wrong
/// then.
void flip_in_index(const PackagedStore& made, std::string_view bytes) {
    const std::string path = made.store.layout().path(std::string(names::kIndex) + "/data.mdb");
    const Fd file = open_at(AT_FDCWD, path, O_RDWR);
    const std::string all = read_all(file.get(), path);
    size_t count = 0;
    for (size_t at = all.find(bytes); at != std::string::npos; at = all.find(bytes, at + 1)) {
        const char flipped = static_cast<char>(all[at] ^ 1);
        ASSERT_EQ(::pwrite(file.get(), &flipped, 1, static_cast<off_t>(at)), 1);
        ++count;
    }
    ASSERT_GT(count, 0U);
}

TEST_F(BadRecord, WrongChecksumOfAManifestIsAFinding) {
    flip_in_index(made, "share/tool/large");
    expect("manifest 1: ");
}

TEST_F(BadRecord, WrongChecksumOfAGenerationIsAFinding) {
    flip_in_index(made, "install made for a test");
    expect("generation base@1: ");
}

TEST_F(BadRecord, WrongChecksumOfAnObjectIsAFindingAndNothingIsCalledStray) {
    const Sha256 sha256 = made.store.index().read().find_object(made.key_of(tool, "usr/bin/tool"))->sha256;
    const ObjectId id = made.store.index().read().find_object(made.key_of(tool, "usr/bin/tool"))->id;
    flip_in_index(made, {reinterpret_cast<const char*>(sha256.bytes.data()), sha256.bytes.size()});
    expect("the record of object " + std::to_string(id) + ": ");
    EXPECT_THAT(kinds(check()), testing::Each(FindingKind::bad_record)) << texts(check());
}

TEST_F(BadRecord, NamesAndNumbersOfObjectsLeadToEachOther) {
    flip_in_index(made, made.key_of(tool, "usr/bin/tool").encode().substr(0, 12));
    EXPECT_FALSE(check().clean());
    EXPECT_THAT(kinds(check()), testing::Contains(FindingKind::bad_record));
}

TEST_F(Verify, CollisionsOfAShortDigestAreNoDamage) {
    PackagedStore small({.digest_bits = 8, .link_limit = 0});
    PackageSpec many;
    many.name = "many";
    for (int i = 0; i < 300; ++i)
        many.files["usr/f" + std::to_string(i)] = {.content = "content " + std::to_string(i)};
    const InstalledPackage package = small.add(many);
    VerifyOptions options;
    options.roots = false;
    EXPECT_THAT(verify(small.store, options, sink).findings, IsEmpty());
    test::flip_byte(small.object_path(small.key_of(package, "usr/f7")), 8);
    VerifyOptions healing = options;
    healing.heal_from = [&](const Manifest& manifest) { return small.archive_of(manifest); };
    (void)verify(small.store, healing, sink);
    EXPECT_THAT(verify(small.store, options, sink).findings, IsEmpty());
}

}  // namespace
}  // namespace pwstore
