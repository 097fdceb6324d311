// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/gc/gc.hpp"
#include "store/image/flatten.hpp"
#include "store/image/home.hpp"
#include "store/image/image_import.hpp"
#include "store/image/image_writer.hpp"
#include "store/image/layers.hpp"
#include "store/package/tar_io.hpp"
#include "tests/support/damage.hpp"
#include "tests/support/packaged_store.hpp"

namespace pwstore::image {
namespace {

using test::PackagedStore;
using test::PackageSpec;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

Manifest sized(const std::string& name, uint64_t size) {
    Manifest manifest;
    manifest.name = name;
    Entry entry;
    entry.path = "usr/" + name;
    entry.size = size;
    manifest.entries.push_back(entry);
    return manifest;
}

TEST(Partition, EachPackageHasALayerOfItsOwnAsLongAsThereAreFew) {
    const std::vector<Manifest> manifests{sized("b", 1), sized("a", 2), sized("c", 3)};
    EXPECT_THAT(partition(manifests), ElementsAre(ElementsAre(1), ElementsAre(0), ElementsAre(2)));
    std::vector<Manifest> many;
    for (size_t i = 0; i < 118; ++i)
        many.push_back(sized("p" + std::to_string(i), 1));
    EXPECT_THAT(partition(many), SizeIs(118));
}

TEST(Partition, ManyShareBucketsAndTheLargestDoNot) {
    std::vector<Manifest> many;
    for (size_t i = 0; i < 300; ++i)
        many.push_back(sized("p" + std::to_string(i), i));
    const auto layers = partition(many);
    EXPECT_LE(layers.size(), 118U);
    size_t packages = 0;
    for (size_t at = 0; at < layers.size(); ++at) {
        packages += layers[at].size();
        if (at >= 54) continue;
        ASSERT_THAT(layers[at], SizeIs(1));
        EXPECT_GE(layers[at][0], 300U - 54U);
    }
    EXPECT_EQ(packages, 300U);
}

TEST(Partition, AnotherPackageChangesAtMostTwoLayers) {
    std::vector<Manifest> many;
    for (size_t i = 0; i < 200; ++i)
        many.push_back(sized("p" + std::to_string(i), i));
    const auto names = [](const std::vector<Manifest>& manifests) {
        std::set<std::vector<std::string>> layers;
        for (const auto& group : partition(manifests)) {
            std::vector<std::string> one;
            for (const size_t place : group)
                one.push_back(manifests[place].name);
            layers.insert(one);
        }
        return layers;
    };
    const auto before = names(many);
    many.push_back(sized("huge", 10'000));
    size_t fresh = 0;
    for (const auto& layer : names(many))
        fresh += before.contains(layer) ? 0U : 1U;
    EXPECT_LE(fresh, 2U);
}

/// The same for the same size; does not compress.
std::string noise(size_t size) {
    std::string text;
    for (uint64_t state = size; text.size() < size;) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        text += static_cast<char>(state >> 56U);
    }
    return text;
}

/// A container with most things that packages and deltas have.
class ImageTest : public ::testing::Test {
 protected:
    void SetUp() override {
        PackageSpec a;
        a.name = "a";
        a.files["usr/bin/tool"] = {"a tool"};
        a.files["usr/share/both"] = {"the same"};
        a.files["usr/share/gone"] = {"removed later"};
        a.files["etc/tool.conf"] = {"default"};
        a.symlinks["sbin"] = "usr/bin";
        PackageSpec b;
        b.name = "b";
        b.files["sbin/through-a-link"] = {"lies in usr/bin"};
        b.files["usr/share/else"] = {"the same"};
        b.files["usr/share/large"] = {noise(9'000'000)};
        b.files["usr/share/private"] = {"the same", 0600};
        a_ = from_.add(a);
        b_ = from_.add(b);
        from_.install("base", {a_, b_}, delta());
        finish("base");
    }

    std::vector<DeltaEntry> delta() {
        Ingestor ingestor(from_.store, sink_);
        DeltaEntry conf;
        conf.entry.path = "etc/tool.conf";
        conf.entry.mode = 0644;
        conf.entry.object = ingestor.add_content("edited", 0644, {});
        conf.entry.size = 6;
        conf.cause = Cause::user;
        ingestor.commit(nullptr, true);
        DeltaEntry gone;
        gone.entry.path = "usr/share/gone";
        gone.entry.kind = EntryKind::whiteout;
        DeltaEntry made;
        made.entry.path = "var/made";
        made.entry.kind = EntryKind::symlink;
        made.entry.target = "../usr";
        made.cause = Cause::hook;
        made.agent = "a.hook";
        return {conf, gone, made};
    }

    /// The digest that a real transaction would have recorded.
    void finish(const std::string& name) {
        WriteTxn txn = from_.store.index().write();
        Generation generation = *txn.generation(ContainerName(name), 1);
        generation.tree_digest = tree_digest(txn, tree_of(txn, from_.store.objects(), generation));
        txn.remove_generations({{{name, 1}, 0}});
        txn.put_generation(generation);
        txn.commit();
    }

    std::string write(const Store& store, const std::string& name, ExportRequest request = {}) {
        const std::string path = dir_.path("image-" + std::to_string(++count_));
        const Fd out = open_at(AT_FDCWD, path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        request.generation = {name, 1};
        request.policy = "container_type: Base\n";
        result_ = write_image(store, request, out.get(), sink_);
        return path;
    }
    Image read(const std::string& path) {
        const Fd in = open_at(AT_FDCWD, path, O_RDONLY);
        const std::string place = dir_.path("blobs-" + std::to_string(++count_));
        make_directory(AT_FDCWD, place);
        places_.push_back(open_at(AT_FDCWD, place, O_RDONLY | O_DIRECTORY));
        return Image::read(in.get(), places_.back().get(), {}, sink_);
    }
    ImportedImage import(const Store& store, const std::string& path) {
        const Image image = read(path);
        const Lease lease = Lease::create(store.index(), store.layout().data(), "a test");
        return import_image(store, image, lease, sink_);
    }
    /// Import what may still be on its way.
    void receive(const std::string& path) {
        const Fd in = open_at(AT_FDCWD, path, O_RDONLY);
        const std::string place = dir_.path("later-" + std::to_string(++count_));
        make_directory(AT_FDCWD, place);
        const Fd blobs = open_at(AT_FDCWD, place, O_RDONLY | O_DIRECTORY);
        const Image image = Image::read(in.get(), blobs.get(), {}, sink_, Image::Arrival::later);
        const Lease lease = Lease::create(to_.store.index(), to_.store.layout().data(), "a test");
        (void)import_image(to_.store, image, lease, sink_);
    }
    /// Import, and record it as NAME@1.
    void install(const Store& store, const std::string& path, const std::string& name) {
        const Lease hold = Lease::create(store.index(), store.layout().data(), "a test");
        const Image image = read(path);
        ImportedImage imported = import_image(store, image, hold, sink_);
        imported.generation.container = name;
        WriteTxn txn = store.index().write();
        txn.mark_all_synced(Store::boot_mark());
        txn.put_generation(imported.generation);
        ContainerRow row;
        row.current = row.last_number = 1;
        txn.put_container(ContainerName(name), row);
        txn.commit();
    }

    test::TestDir dir_;
    PackagedStore from_, to_;
    InstalledPackage a_, b_;
    SilentSink sink_;
    ExportResult result_;
    int count_ = 0;
    std::vector<Fd> places_;
};

std::string bytes_of(const std::string& path) {
    return read_file(AT_FDCWD, path);
}

TEST_F(ImageTest, TheSameGenerationGivesTheSameBytesEverywhere) {
    const std::string first = write(from_.store, "base");
    EXPECT_EQ(bytes_of(first), bytes_of(write(from_.store, "base")));
    install(to_.store, first, "base");
    EXPECT_EQ(bytes_of(first), bytes_of(write(to_.store, "base")));
}

TEST_F(ImageTest, ThreadsDoNotChangeTheBytes) {
    ExportRequest one;
    one.threads = 1;
    ExportRequest many;
    many.threads = 7;
    EXPECT_EQ(bytes_of(write(from_.store, "base", one)), bytes_of(write(from_.store, "base", many)));
}

TEST_F(ImageTest, LayersLeaveTheLargestFirstAndDescriptionsLast) {
    const Fd in = open_at(AT_FDCWD, write(from_.store, "base"), O_RDONLY);
    TarReader archive(in.get(), "image");
    std::vector<std::pair<std::string, uint64_t>> members;
    while (const auto member = archive.next())
        members.emplace_back(member->path, member->size);
    ASSERT_EQ(members.size(), 9U);  // two directories, three layers, configuration, manifest, index, layout
    EXPECT_GT(members[2].second, 8'000'000U) << "the package with the large file";
    EXPECT_LT(members[3].second, 1'000'000U);
    EXPECT_EQ(members[7].first, "index.json");
    EXPECT_EQ(members[8].first, "oci-layout");
}

TEST_F(ImageTest, AnExportThatCannotBeWrittenOnEnds) {
    ExportRequest request;
    request.generation = {"base", 1};
    const Fd full = open_at(AT_FDCWD, "/dev/full", O_WRONLY);
    EXPECT_THROW(write_image(from_.store, request, full.get(), sink_), Error);
}

TEST_F(ImageTest, AnExportOfAShortenedObjectEnds) {
    const auto entries = from_.store.index().read().manifest(b_.manifest).entries;
    const auto large = std::find_if(entries.begin(), entries.end(),
                                    [](const Entry& entry) { return entry.path == "usr/share/large"; });
    ASSERT_NE(large, entries.end());
    const ObjectKey key = from_.store.index().read().object(large->object).first;
    const std::string object = from_.store.layout().directories().data + "/store/objects/" + key.path(0);
    ASSERT_EQ(::chmod(object.c_str(), 0644), 0);
    ASSERT_EQ(::truncate(object.c_str(), 8'000'000), 0);
    EXPECT_THROW((void)write(from_.store, "base"), Error);
}

TEST_F(ImageTest, AnExportComparesWhatItWrites) {
    const ObjectKey key = from_.key_of(a_, "usr/bin/tool");
    test::flip_byte(from_.object_path(key), 2);  // size, mode and time are as they were
    try {
        (void)write(from_.store, "base");
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::corrupt);
        EXPECT_THAT(error.what(), HasSubstr("'usr/bin/tool'"));
        EXPECT_EQ(error.hint(), "pwstore verify --heal");
    }
}

TEST_F(ImageTest, AnImportedTreeIsTheTree) {
    install(to_.store, write(from_.store, "base"), "base");
    const ReadTxn there = to_.store.index().read();
    const ReadTxn here = from_.store.index().read();
    const Generation copy = *there.generation(ContainerName("base"), 1);
    const Generation original = *here.generation(ContainerName("base"), 1);
    EXPECT_EQ(tree_digest(there, tree_of(there, to_.store.objects(), copy)), original.tree_digest);
    EXPECT_EQ(copy.packages.size(), 2U);
    const Delta delta = there.delta(copy.delta);
    ASSERT_NE(delta.find("var/made"), nullptr);
    EXPECT_EQ(delta.find("var/made")->agent, "a.hook");
    EXPECT_EQ(delta.find("usr/share/gone")->entry.kind, EntryKind::whiteout);
    EXPECT_EQ(there.manifest(copy.packages[0].manifest).origin, Origin::import);
}

TEST_F(ImageTest, AnImportedPackageDoesNotStandInForItsArchive) {
    install(to_.store, write(from_.store, "base"), "base");
    const Sha256 archive = *from_.store.index().read().manifest(a_.manifest).archive_sha256;
    EXPECT_FALSE(to_.store.index().read().manifest_of_archive(archive));
}

TEST_F(ImageTest, APackageThatWasReadHereIsUsed) {
    install(from_.store, write(from_.store, "base"), "again");
    const Generation again = *from_.store.index().read().generation(ContainerName("again"), 1);
    EXPECT_EQ(again.packages[0].manifest, a_.manifest);
}

TEST_F(ImageTest, LayersUnpackToTheTree) {
    const Image image = read(write(from_.store, "base"));
    ASSERT_EQ(image.layers().size(), 3U);
    std::map<std::string, TarEntry> found;
    for (const Image::Layer& layer : image.layers()) {
        const Fd file = image.open(layer);
        TarReader tar(file.get(), "layer");
        for (auto entry = tar.next(); entry; entry = tar.next()) {
            std::string path = entry->path;
            while (path.ends_with('/'))
                path.pop_back();
            found[path] = *entry;
        }
    }
    EXPECT_EQ(found["etc/tool.conf"].size, 6U);
    EXPECT_TRUE(found.contains("usr/share/.wh.gone"));
    EXPECT_EQ(found["var/made"].target, "../usr");
    EXPECT_TRUE(found.contains("usr/bin/through-a-link"));
    EXPECT_FALSE(found.contains("sbin/through-a-link"));
    EXPECT_TRUE(found.contains("var/lib/pacman/local/a-1.0-1/desc"));
    EXPECT_FALSE(found.contains("home/base"));
}

TEST_F(ImageTest, ABundleHasRecordsAndNothingThatIsThere) {
    ExportRequest request;
    request.against.emplace();
    from_.store.index().read().for_each_object(
        [&](const ObjectKey&, const ObjectRow& row) { request.against->insert(row.sha256); });
    const Image image = read(write(from_.store, "base", request));
    ASSERT_EQ(image.layers().size(), 1U) << "no contents are missing";
    std::set<std::string> files;
    for (const Image::Layer& layer : image.layers()) {
        const Fd file = image.open(layer);
        TarReader tar(file.get(), "layer");
        for (auto entry = tar.next(); entry; entry = tar.next()) {
            if (entry->kind != TarEntry::Kind::directory) files.insert(entry->path);
        }
    }
    std::set<std::string> records;
    for (const char* name : {"generation", "contents", "delta", "policy.yml", "package-1", "package-2"})
        records.insert(std::string("var/lib/pwstore-image/") + name);
    EXPECT_EQ(files, records);
}

TEST_F(ImageTest, ABundleAgainstWhatIsThereIsSmallAndComplete) {
    install(to_.store, write(from_.store, "base"), "base");
    const uint64_t whole = result_.bytes;
    std::set<Sha256> have;
    to_.store.index().read().for_each_object(
        [&](const ObjectKey&, const ObjectRow& row) { have.insert(row.sha256); });
    PackageSpec c;
    c.name = "c";
    c.files["usr/share/c"] = {"new here"};
    const InstalledPackage more = from_.add(c);
    from_.install("more", {a_, b_, more}, delta());
    finish("more");
    ExportRequest request;
    request.against = have;
    const std::string bundle = write(from_.store, "more", request);
    EXPECT_LT(result_.bytes, whole);
    EXPECT_GT(result_.left_out, 4U);
    install(to_.store, bundle, "more");
    EXPECT_EQ(bytes_of(write(from_.store, "more")), bytes_of(write(to_.store, "more")));
    // A store that lacks them refuses.
    const PackagedStore empty;
    try {
        import(empty.store, bundle);
        FAIL() << "it cannot be complete";
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::refused) << "nothing is damaged: " << error.what();
    }
    EXPECT_EQ(empty.store.index().read().object_count(), 0U);
}

/// The members of an archive, in order; with `renamed`, the archive again as an earlier version wrote it.
std::map<std::string, std::string> members_of(const std::string& path, std::string* as_before = nullptr) {
    const Fd in = open_at(AT_FDCWD, path, O_RDONLY);
    TarReader archive(in.get(), "image");
    std::map<std::string, std::string> found;
    TarWriter before([&](std::string_view piece) { as_before ? void(as_before->append(piece)) : void(); },
                     "image", TarCompression::none);
    while (auto member = archive.next()) {
        if (member->kind != TarEntry::Kind::file) continue;
        found[member->path] = archive.read_whole(1U << 30U);
        TarEntry entry = *member;
        if (entry.path == kBundleIndexFile) entry.path = "index.json";
        before.add_file(entry, found[member->path]);
    }
    TarEntry layout;
    layout.path = "oci-layout";
    layout.size = 2;
    before.add_file(layout, "{}");
    before.finish();
    return found;
}

TEST_F(ImageTest, ABundleIsNoImageToOthersAndOlderOnesAreStillRead) {
    ExportRequest request;
    request.against.emplace();
    const std::string bundle = write(from_.store, "base", request);
    std::string before;
    const auto members = members_of(bundle, &before);
    EXPECT_FALSE(members.contains("index.json"));
    EXPECT_FALSE(members.contains("oci-layout"));
    EXPECT_TRUE(members.contains("pwstore-bundle.json"));
    install(to_.store, bundle, "base");
    EXPECT_EQ(bytes_of(write(from_.store, "base")), bytes_of(write(to_.store, "base")));
    const PackagedStore third;
    (void)dir_.write("older.tar", before);
    install(third.store, dir_.path("older.tar"), "base");
    EXPECT_EQ(bytes_of(write(from_.store, "base")), bytes_of(write(third.store, "base")));
}

TEST_F(ImageTest, LayersMayBeGzip) {
    const std::string plain = write(from_.store, "base");
    const ExportResult zstd = result_;
    ExportRequest request;
    request.packing = LayerPacking::gzip;
    const std::string packed = write(from_.store, "base", request);
    EXPECT_EQ(result_.content, zstd.content) << "what is in it does not depend on how it is packed";
    EXPECT_NE(result_.manifest, zstd.manifest);
    EXPECT_EQ(bytes_of(packed), bytes_of(write(from_.store, "base", request)));
    const auto members = members_of(packed);
    const auto manifest = nlohmann::json::parse(members.at("blobs/sha256/" + result_.manifest.hex()));
    for (const auto& layer : manifest.at("layers")) {
        EXPECT_EQ(layer.at("mediaType"), "application/vnd.oci.image.layer.v1.tar+gzip");
        const std::string blob =
            members.at("blobs/sha256/" + layer.at("digest").get<std::string>().substr(7));
        EXPECT_TRUE(blob.starts_with("\x1f\x8b\x08")) << layer;
        EXPECT_EQ(blob.substr(4, 4), std::string(4, '\0')) << "without a time";
    }
    install(to_.store, packed, "base");
    EXPECT_EQ(bytes_of(write(to_.store, "base")), bytes_of(plain));
}

TEST_F(ImageTest, ADamagedObjectOfThisStoreIsNoSource) {
    install(to_.store, write(from_.store, "base"), "base");
    std::set<Sha256> have;
    to_.store.index().read().for_each_object([&](const ObjectKey& key, const ObjectRow& row) {
        have.insert(row.sha256);
        if (key.size != 6) return;  // "edited", "a tool"
        const std::string path = to_.object_path(key);
        ::chmod(path.c_str(), 0600);
        const Fd file = open_at(AT_FDCWD, path, O_WRONLY);
        EXPECT_EQ(::pwrite(file.get(), "X", 1, 0), 1);
        ::chmod(path.c_str(), key.mode);
    });
    ExportRequest request;
    request.against = have;
    EXPECT_THROW(import(to_.store, write(from_.store, "base", request)), Error);
}

TEST_F(ImageTest, WhateverIsCutOffIsRefusedAndChangesNothing) {
    const std::string good = bytes_of(write(from_.store, "base"));
    for (size_t cut = 0; cut < good.size() - 1024; cut += good.size() / 23 + 1) {
        const std::string path = dir_.write("bad.tar", good.substr(0, cut));
        EXPECT_THROW((void)import(to_.store, path), Error) << cut;
        EXPECT_EQ(to_.store.index().read().object_count(), 0U) << cut;
        EXPECT_TRUE(to_.store.index().read().manifest_ids().empty()) << cut;
    }
}

/// Ends an import when so many layers were taken in.
class EndingSink : public ProgressSink {
 public:
    explicit EndingSink(uint64_t after) : after_(after) {}
    void progress(const std::string& step, const std::string&, uint64_t done, uint64_t) override {
        if (step == "import" && done == after_) throw Error("import", "", "the test ends it");
    }
    void message(Severity, const std::string&) override {}

 private:
    uint64_t after_;
};

TEST_F(ImageTest, AnInterruptedImportIsContinued) {
    const std::string path = write(from_.store, "base");
    const ImportOptions small{.part_bytes = 1};
    IngestStats whole;
    {
        const PackagedStore other;
        const Lease lease = Lease::create(other.store.index(), other.store.layout().data(), "a test");
        whole = import_image(other.store, read(path), lease, sink_, small).stats;
        EXPECT_EQ(whole.new_objects, other.store.index().read().object_count());
        EXPECT_THAT(other.store.index().read().unused().deltas, SizeIs(1))
            << "what was kept meanwhile is gone";
    }
    EndingSink ending(3);
    {
        const Lease lease = Lease::create(to_.store.index(), to_.store.layout().data(), "a test");
        EXPECT_THROW((void)import_image(to_.store, read(path), lease, ending, small), Error);
    }
    const size_t kept = to_.store.index().read().object_count();
    EXPECT_GT(kept, 0U);
    EXPECT_TRUE(to_.store.index().read().manifest_ids().empty());
    std::set<ObjectId> named;
    for (const auto& [id, since] : to_.store.index().read().unused().deltas) {
        for (const DeltaEntry& one : to_.store.index().read().delta(id).entries)
            named.insert(one.entry.object);
    }
    EXPECT_THAT(named, SizeIs(kept)) << "nothing keeps the others from a collection";
    const Lease lease = Lease::create(to_.store.index(), to_.store.layout().data(), "a test");
    const ImportedImage again = import_image(to_.store, read(path), lease, sink_, small);
    EXPECT_EQ(again.stats.new_objects + kept, whole.new_objects);
    EXPECT_LT(again.stats.new_bytes, whole.new_bytes);
    EXPECT_EQ(again.generation.tree_digest,
              from_.store.index().read().generation(ContainerName("base"), 1)->tree_digest);
}

/// Tells when a layer was taken in.
class LookingSink : public ProgressSink {
 public:
    explicit LookingSink(std::function<void()> look) : look_(std::move(look)) {}
    void progress(const std::string& step, const std::string&, uint64_t, uint64_t) override {
        if (step == "import") look_();
    }
    void message(Severity, const std::string&) override {}

 private:
    std::function<void()> look_;
};

TEST_F(ImageTest, WhatAnImportHasTakenInIsNoGarbage) {
    const std::string path = write(from_.store, "base");
    const auto garbage = [&] {
        const Garbage found = find_garbage(to_.store.index().read(), to_.store.objects(), {}, INT64_MAX);
        return found.manifests.size() + found.deltas.size() + found.objects.size();
    };
    uint64_t recorded = 0;
    LookingSink looking([&] {
        recorded = to_.store.index().read().object_count();
        EXPECT_EQ(garbage(), 0U) << "of " << recorded << " objects";
    });
    {
        const Lease lease = Lease::create(to_.store.index(), to_.store.layout().data(), "a test");
        (void)import_image(to_.store, read(path), lease, looking, {.part_bytes = 1});
        EXPECT_GT(recorded, 0U);
        EXPECT_EQ(garbage(), 0U) << "also before a generation names it";
    }
    EXPECT_GT(garbage(), recorded) << "and when the lease ends without one, it is";
}

TEST_F(ImageTest, OfAnInterruptedBundleTheRestIsSent) {
    ExportRequest request;
    request.against.emplace();
    request.part_bytes = 1;
    const std::string whole = bytes_of(write(from_.store, "base", request));
    const size_t contents = result_.contents;
    // All that is small has come when the large one is cut off.
    const std::string bundle = dir_.write("cut.tar", whole.substr(0, whole.size() - 20'000));
    EXPECT_THROW(receive(bundle), Error);
    EXPECT_TRUE(to_.store.index().read().manifest_ids().empty());
    request.against = std::set<Sha256>();
    to_.store.index().read().for_each_object(
        [&](const ObjectKey&, const ObjectRow& row) { request.against->insert(row.sha256); });
    EXPECT_GT(request.against->size(), contents / 2);
    const std::string rest = write(from_.store, "base", request);
    EXPECT_EQ(result_.left_out, request.against->size());
    receive(rest);
    install(to_.store, rest, "base");
    EXPECT_EQ(bytes_of(write(from_.store, "base")), bytes_of(write(to_.store, "base")));
}

TEST_F(ImageTest, AnImageIsReadToItsEnd) {
    ExportRequest bundle;
    bundle.against.emplace();
    for (const ExportRequest& request : {ExportRequest{}, bundle}) {
        const std::string good = bytes_of(write(from_.store, "base", request));
        // All that matters has come by then.
        const std::string cut = good.substr(0, good.rfind("oci-layout") + 100);
        const std::vector<ManifestId> before = to_.store.index().read().manifest_ids();
        EXPECT_THROW(receive(dir_.write("cut.tar", cut)), Error) << request.against.has_value();
        EXPECT_EQ(to_.store.index().read().manifest_ids(), before);
        receive(dir_.write("good.tar", good));
    }
}

TEST_F(ImageTest, AChangedByteIsRefusedOrMeansNothing) {
    const std::string good = bytes_of(write(from_.store, "base"));
    const Sha256 tree = from_.store.index().read().generation(ContainerName("base"), 1)->tree_digest;
    const Sha256 digest = result_.manifest;
    unsigned refused = 0;
    for (size_t at = 0; at < good.size(); at += good.size() / 61 + 1) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ 0x40);
        const PackagedStore to;
        const std::string path = dir_.write("bad.tar", bad);
        try {
            // In the padding and the times of the outer archive there is nothing to be found.
            EXPECT_EQ(import(to.store, path).generation.tree_digest, tree) << at;
            EXPECT_EQ(read(path).digest(), digest) << at;
        } catch (const Error&) {
            EXPECT_EQ(to.store.index().read().object_count(), 0U) << at;
            EXPECT_TRUE(to.store.index().read().manifest_ids().empty()) << at;
            ++refused;
        }
    }
    EXPECT_GE(refused, 55U) << "nearly all of it is content";
}

TEST_F(ImageTest, TheSignatureTravels) {
    ExportRequest request;
    request.sign = [](const std::string& text) { return "signed: " + text; };
    const Image image = read(write(from_.store, "base", request));
    EXPECT_THAT(image.signature(), HasSubstr("signed: pwstore image 1\nsha256:" + result_.manifest.hex()));
    EXPECT_EQ(image.digest(), result_.manifest);
    EXPECT_EQ(image.name(), "base:1");
}

TEST_F(ImageTest, AStackBecomesABaseWithTheSameTree) {
    PackageSpec c;
    c.name = "c";
    c.files["usr/share/c"] = {"on top"};
    const InstalledPackage more = from_.add(c);
    DeltaEntry change;
    change.entry.path = "usr/share/both";
    change.entry.kind = EntryKind::whiteout;
    change.cause = Cause::scriptlet;
    change.agent = "c";
    from_.install("top", {more}, {change}, {{"base", 1}});
    const ReadTxn txn = from_.store.index().read();
    const Generation top = *txn.generation(ContainerName("top"), 1);
    const FlatGeneration flat = flatten(txn, top);
    EXPECT_TRUE(flat.generation.upstream.empty());
    EXPECT_THAT(flat.generation.packages, SizeIs(3));
    ASSERT_NE(flat.delta.find("usr/share/both"), nullptr);
    EXPECT_EQ(flat.delta.find("usr/share/both")->agent, "c");
    EXPECT_NE(flat.delta.find("etc/tool.conf"), nullptr);
    EXPECT_EQ(flat.delta.find("usr/bin/tool"), nullptr);
    const std::string path = write(from_.store, "top");
    install(to_.store, path, "top");
    const ReadTxn there = to_.store.index().read();
    const Generation copy = *there.generation(ContainerName("top"), 1);
    EXPECT_EQ(tree_digest(there, tree_of(there, to_.store.objects(), copy)),
              tree_digest(txn, tree_of(txn, from_.store.objects(), top)));
    EXPECT_EQ(bytes_of(path), bytes_of(write(to_.store, "top")));
}

// --- Images of others ----------------------------------------------------------------------------

struct Member {
    TarEntry::Kind kind = TarEntry::Kind::file;
    std::string path, content, target;
};

std::string tar_of(const std::vector<Member>& members) {
    std::string bytes;
    TarWriter tar([&](std::string_view piece) { bytes += piece; }, "test", TarCompression::none);
    for (const Member& member : members) {
        TarEntry entry;
        entry.path = member.path;
        entry.kind = member.kind;
        entry.target = member.target;
        entry.mode = member.kind == TarEntry::Kind::directory ? 0755 : 0644;
        if (member.kind == TarEntry::Kind::file) {
            tar.add_file(entry, member.content);
        } else {
            tar.add(entry);
        }
    }
    tar.finish();
    return bytes;
}

/// As `docker save` does.
std::string docker_archive(const std::vector<std::string>& layers, bool honest = true,
                           const std::string& more = "") {
    std::string diff_ids;
    std::string names;
    std::vector<Member> members;
    for (size_t at = 0; at < layers.size(); ++at) {
        const std::string name = std::to_string(at) + "/layer.tar";
        members.push_back({TarEntry::Kind::file, name, layers[at], ""});
        const std::string digest = sha256_of(honest ? layers[at] : "something else").hex();
        diff_ids += (at == 0 ? "" : ",") + ("\"sha256:" + digest + "\"");
        names += (at == 0 ? "" : ",") + ("\"" + name + "\"");
    }
    members.push_back({TarEntry::Kind::file, "config.json",
                       R"({"rootfs":{"type":"layers","diff_ids":[)" + diff_ids + "]}" + more + "}", ""});
    members.push_back(
        {TarEntry::Kind::file, "manifest.json",
         R"([{"Config":"config.json","RepoTags":["example/thing:1"],"Layers":[)" + names + "]}]", ""});
    return tar_of(members);
}

class ForeignImageTest : public ImageTest {
 protected:
    void SetUp() override {}
    Delta delta_of(const std::string& bytes) {
        const ImportedImage imported = import(to_.store, dir_.write("foreign.tar", bytes));
        EXPECT_TRUE(imported.is_foreign);
        return to_.store.index().read().delta(imported.generation.delta);
    }
};

TEST_F(ForeignImageTest, LayersAreLaidOverEachOther) {
    const std::string first = tar_of({{TarEntry::Kind::directory, "etc", "", ""},
                                      {TarEntry::Kind::file, "etc/a", "one", ""},
                                      {TarEntry::Kind::file, "etc/b", "two", ""},
                                      {TarEntry::Kind::file, "old/x", "x", ""},
                                      {TarEntry::Kind::file, "old/y", "y", ""},
                                      {TarEntry::Kind::symlink, "lib", "", "usr/lib"}});
    const std::string second = tar_of({{TarEntry::Kind::file, "etc/.wh.a", "", ""},
                                       {TarEntry::Kind::file, "etc/b", "changed", ""},
                                       {TarEntry::Kind::file, "old/new", "n", ""},
                                       {TarEntry::Kind::file, "old/.wh..wh..opq", "", ""},
                                       {TarEntry::Kind::hard_link, "etc/c", "", "etc/b"}});
    const Delta delta = delta_of(docker_archive({first, second}));
    std::vector<std::string> paths;
    for (const DeltaEntry& one : delta.entries)
        paths.push_back(one.entry.path);
    EXPECT_THAT(paths, ElementsAre("etc", "etc/b", "etc/c", "lib", "old/new"));
    EXPECT_EQ(delta.find("etc/b")->entry.size, 7U);
    EXPECT_EQ(delta.find("etc/c")->entry.object, delta.find("etc/b")->entry.object);
    EXPECT_NE(delta.find("etc/c")->entry.link_group, 0U);
}

TEST_F(ForeignImageTest, ALayerThatIsNotItsDigestIsRefused) {
    const std::string layer = tar_of({{TarEntry::Kind::file, "a", "one", ""}});
    EXPECT_THROW((void)delta_of(docker_archive({layer}, false)), Error);
    EXPECT_EQ(to_.store.index().read().object_count(), 0U);
}

TEST_F(ForeignImageTest, NamesThatLeadOutAreRefused) {
    for (const char* path : {"../x", "a/../../x"}) {
        EXPECT_THROW((void)delta_of(docker_archive({tar_of({{TarEntry::Kind::file, path, "x", ""}})})), Error)
            << path;
    }
}

TEST_F(ForeignImageTest, LayersAsOtherProgramsWriteThem) {
    test::RawTar tar;
    tar.file("/usr/bin/gunzip", "1")
        .hardlink("./usr/bin/./uncompress", "/usr/bin/gunzip")
        .add({.path = "dev/null", .type = '3'})
        .add({.path = "dev/zero", .type = '3'})
        .file("opt//tool", "22");
    tar.add({.path = "srv",
             .type = '5',
             .mode = 0755,
             .pax = {{"SCHILY.xattr.user.overlay.opaque", "y"}, {"SCHILY.xattr.user.kept", "1"}}});
    tar.add({.path = "opt/link", .type = '1', .link = "opt/tool", .pax = {{"mtime", "1"}}}, "22");
    const ImportedImage imported =
        import(to_.store, dir_.write("foreign.tar", docker_archive({tar.bytes()})));
    const Delta delta = to_.store.index().read().delta(imported.generation.delta);
    std::vector<std::string> paths;
    for (const DeltaEntry& one : delta.entries)
        paths.push_back(one.entry.path);
    EXPECT_THAT(paths, ElementsAre("opt/link", "opt/tool", "srv", "usr/bin/gunzip", "usr/bin/uncompress"));
    EXPECT_THAT(delta.find("srv")->entry.xattrs, ElementsAre(testing::Pair("user.kept", "1")));
    EXPECT_EQ(delta.find("opt/link")->entry.size, 2U);
    EXPECT_EQ(imported.left_out.devices, 2U);
    EXPECT_EQ(imported.left_out.overlay_attributes, 1U);
}

TEST_F(ForeignImageTest, LayersMayBeEmptyOrJustStop) {
    const std::string stops = test::RawTar().file("a", "1").bytes().substr(0, 1024);
    const Delta delta = delta_of(docker_archive({"", stops, tar_of({}), std::string(1024, '\0'), ""}));
    EXPECT_THAT(delta.entries, SizeIs(1));
    // One that was cut is not what its digest says.
    EXPECT_THROW((void)delta_of(docker_archive({"", stops.substr(0, 512)})), Error);
    EXPECT_THROW((void)delta_of(docker_archive({""}, false)), Error);
    EXPECT_EQ(import(to_.store, dir_.write("none.tar", docker_archive({}))).generation.delta, 0U);
}

TEST_F(ForeignImageTest, ALayerMayBeMostlyZeros) {
    const std::string layer = test::RawTar().file("disk", std::string(200U << 20U, '\0')).bytes();
    const std::string packed = test::compressed(layer, "zst");
    ASSERT_LT(packed.size() * 2000, layer.size());
    const std::string config =
        R"({"rootfs":{"type":"layers","diff_ids":["sha256:)" + sha256_of(layer).hex() + "\"]}}";
    const Delta delta =
        delta_of(tar_of({{TarEntry::Kind::file, "0.tar", packed, ""},
                         {TarEntry::Kind::file, "config.json", config, ""},
                         {TarEntry::Kind::file, "manifest.json",
                          R"([{"Config":"config.json","RepoTags":["thing"],"Layers":["0.tar"]}])", ""}}));
    ASSERT_THAT(delta.entries, SizeIs(1));
    EXPECT_EQ(delta.entries[0].entry.size, 200U << 20U);
}

TEST_F(ForeignImageTest, WhatIsNoImageIsRefused) {
    for (const std::string& bytes : {std::string(), std::string("nonsense"), tar_of({}),
                                     tar_of({{TarEntry::Kind::file, "index.json", "{", ""}}),
                                     tar_of({{TarEntry::Kind::file, "index.json", "{\"manifests\":[]}", ""}}),
                                     tar_of({{TarEntry::Kind::file, "manifest.json", "[1]", ""}})}) {
        EXPECT_THROW((void)import(to_.store, dir_.write("bad.tar", bytes)), Error) << bytes.substr(0, 40);
    }
}

// --- Own images whose configuration is not that of their layers ---------------------------------------

/// The image with another configuration. Every digest that is above it follows.
std::string with_configuration(const std::string& image, const std::function<void(nlohmann::json&)>& change) {
    using nlohmann::json;
    std::vector<Member> members;
    const Fd in = open_at(AT_FDCWD, image, O_RDONLY);
    TarReader archive(in.get(), "image");
    while (const auto entry = archive.next()) {
        Member& member = members.emplace_back(Member{entry->kind, entry->path, "", ""});
        for (std::string_view piece = archive.read(); !piece.empty(); piece = archive.read())
            member.content += piece;
    }
    const auto find = [&](const std::string& path) -> Member& {
        return *std::find_if(members.begin(), members.end(),
                             [&](const Member& member) { return member.path == path; });
    };
    const auto blob = [&](const json& described) -> Member& {
        return find("blobs/sha256/" + described.at("digest").get<std::string>().substr(7));
    };
    const auto replace = [](Member& member, json& described, const json& content) {
        member.content = content.dump();
        const std::string digest = sha256_of(member.content).hex();
        member.path = "blobs/sha256/" + digest;
        described["digest"] = "sha256:" + digest;
        described["size"] = member.content.size();
    };
    json index = json::parse(find("index.json").content);
    Member& manifest_blob = blob(index["manifests"][0]);
    json manifest = json::parse(manifest_blob.content);
    Member& config_blob = blob(manifest["config"]);
    json config = json::parse(config_blob.content);
    change(config);
    replace(config_blob, manifest["config"], config);
    replace(manifest_blob, index["manifests"][0], manifest);
    find("index.json").content = index.dump();
    return tar_of(members);
}

TEST_F(ImageTest, ALayerOfOursThatIsNotItsDigestIsRefused) {
    const std::string image = write(from_.store, "base");
    const auto changed = [&](const std::function<void(nlohmann::json&)>& change) {
        return dir_.write("changed.tar", with_configuration(image, change));
    };
    for (size_t layer = 0; layer < 3; ++layer) {
        const std::string path = changed([&](nlohmann::json& config) {
            config["rootfs"]["diff_ids"][layer] = "sha256:" + sha256_of("something else").hex();
        });
        try {
            (void)import(to_.store, path);
            ADD_FAILURE() << "layer " << layer << " was taken";
        } catch (const Error& error) {
            EXPECT_EQ(error.fault(), Fault::corrupt);
            EXPECT_THAT(error.what(), HasSubstr("does not unpack to what the configuration says"));
        }
        EXPECT_EQ(to_.store.index().read().object_count(), 0U) << layer;
        EXPECT_TRUE(to_.store.index().read().manifest_ids().empty()) << layer;
        EXPECT_TRUE(to_.store.index().read().unused().deltas.empty()) << layer;
    }
    // Everything else of a changed configuration is as good as before.
    EXPECT_EQ(import(to_.store, changed([](nlohmann::json& config) { config["author"] = "another"; }))
                  .generation.packages.size(),
              2U);
}

// --- Homes ---------------------------------------------------------------------------------------

class HomeTest : public ForeignImageTest {
 protected:
    /// An image with this home, by the label of `labelled`.
    Image with_home(const std::string& home, const std::string& labelled) {
        const std::string label =
            R"(,"config":{"Labels":{"org.pwstore.home":"sha256:)" + sha256_of(labelled).hex() + "\"}}";
        return read(dir_.write("home.tar", docker_archive({tar_of({}), home}, true, label)));
    }
    /// Into a directory of that name.
    void restore(const Image& image, const std::string& name) {
        make_directory(AT_FDCWD, dir_.path(name), 0700);
        restore_home(image, open_at(AT_FDCWD, dir_.path(name), O_RDONLY | O_DIRECTORY).get());
    }
    std::string unpacked(const Blob& blob) {
        EXPECT_EQ(::lseek(blob.file.get(), 0, SEEK_SET), 0);
        const PackedBuffer buffer;
        const PackedFile file(blob.file.get(), "home", buffer);
        PackedStream stream(file);
        std::string bytes;
        for (std::string_view piece = stream.next(); !piece.empty(); piece = stream.next())
            bytes += piece;
        return bytes;
    }
    std::string written(const std::string& name, HomeCount& count) {
        const Fd home = open_at(AT_FDCWD, dir_.path(name), O_RDONLY | O_DIRECTORY);
        return unpacked(write_home(home.get(), home.get(), count));
    }
};

/// A tar with one file, as if that were a device.
std::string as_device(std::string bytes) {
    constexpr size_t kType = 156;
    constexpr size_t kSum = 148;
    const unsigned long sum = std::stoul(bytes.substr(kSum, 6), nullptr, 8) + 3;  // '0' becomes '3'
    bytes[kType] = '3';
    bytes.replace(kSum, 6, fmt::format("{:06o}", sum));
    return bytes;
}

constexpr const char* kHome = "var/lib/pwstore-image/home";

TEST_F(HomeTest, WhatIsRestoredIsWhatWasThere) {
    make_directories(AT_FDCWD, dir_.path("home/.config/deep"));
    const Fd home = open_at(AT_FDCWD, dir_.path("home"), O_RDONLY | O_DIRECTORY);
    dir_.write("home/.config/deep/file", "text");
    ASSERT_EQ(::chmod(dir_.path("home/.config/deep/file").c_str(), 04751), 0);
    ASSERT_EQ(::link(dir_.path("home/.config/deep/file").c_str(), dir_.path("home/.config/again").c_str()),
              0);
    ASSERT_EQ(::symlink("/etc/passwd", dir_.path("home/leads out").c_str()), 0);
    ASSERT_EQ(::mkfifo(dir_.path("home/fifo").c_str(), 0600), 0);
    set_mtime_at(home.get(), ".config/deep/file", 5);
    set_mtime_at(home.get(), "leads out", 6);
    set_mtime_at(home.get(), ".config/deep", 7);
    ASSERT_EQ(::chmod(dir_.path("home/.config/deep").c_str(), 0500), 0);
    HomeCount count;
    const std::string bytes = written("home", count);
    restore(with_home(bytes, bytes), "copy");
    const Fd copy = open_at(AT_FDCWD, dir_.path("copy"), O_RDONLY | O_DIRECTORY);
    const struct stat file = stat_at(copy.get(), ".config/deep/file");
    EXPECT_EQ(file.st_mode & 07777U, 0751U);
    EXPECT_EQ(file.st_mtim.tv_sec, 5);
    EXPECT_EQ(file.st_ino, stat_at(copy.get(), ".config/again").st_ino);
    EXPECT_EQ(read_link_at(copy.get(), "leads out"), "/etc/passwd");
    EXPECT_EQ(stat_at(copy.get(), "leads out").st_mtim.tv_sec, 6);
    EXPECT_EQ(stat_at(copy.get(), ".config/deep").st_mode & 07777U, 0500U);
    EXPECT_EQ(written("copy", count), bytes);
    EXPECT_EQ(count.left_out, 0U);
    for (const char* name : {"home/.config/deep", "copy/.config/deep"})
        ASSERT_EQ(::chmod(dir_.path(name).c_str(), 0700), 0);
}

TEST_F(HomeTest, NothingLeavesTheHome) {
    const std::string home = kHome;
    const std::vector<std::vector<Member>> hostile{
        {{TarEntry::Kind::file, "etc/passwd", "x", ""}},
        {{TarEntry::Kind::file, "../x", "x", ""}},
        {{TarEntry::Kind::file, home + "/../x", "x", ""}},
        {{TarEntry::Kind::file, "/x", "x", ""}},
        {{TarEntry::Kind::file, home + "ly/x", "x", ""}},
        {{TarEntry::Kind::symlink, home, "", "/"}, {TarEntry::Kind::file, home + "/x", "x", ""}},
        {{TarEntry::Kind::symlink, home + "/out", "", ".."},
         {TarEntry::Kind::file, home + "/out/x", "x", ""}},
        {{TarEntry::Kind::symlink, home + "/f", "", "../x"}, {TarEntry::Kind::file, home + "/f", "x", ""}},
        {{TarEntry::Kind::symlink, home + "/out", "", ".."},
         {TarEntry::Kind::hard_link, home + "/f", "", home + "/out/x"}},
        {{TarEntry::Kind::hard_link, home + "/f", "", "etc/passwd"}},
        {{TarEntry::Kind::symlink, home + "/l", "", "x"},
         {TarEntry::Kind::hard_link, home + "/f", "", home + "/l"}},
        {{TarEntry::Kind::directory, home + "/d", "", ""}, {TarEntry::Kind::directory, home + "/d", "", ""}},
        {{TarEntry::Kind::file, home + "/f", "x", ""}, {TarEntry::Kind::file, home + "/f", "y", ""}},
        {{TarEntry::Kind::file, home + "/d/f", "x", ""}},
    };
    std::vector<std::string> layers;
    for (const std::vector<Member>& members : hostile)
        layers.push_back(tar_of(members));
    layers.push_back(as_device(tar_of({{TarEntry::Kind::file, home + "/null", "", ""}})));
    size_t number = 0;
    for (const std::string& bytes : layers) {
        const std::string name = "hostile-" + std::to_string(++number);
        try {
            restore(with_home(bytes, bytes), name);
            ADD_FAILURE() << "number " << number << " was taken";
        } catch (const Error& error) {
            EXPECT_TRUE(error.fault() == Fault::refused || error.fault() == Fault::corrupt) << error.what();
        }
        EXPECT_FALSE(exists_at(AT_FDCWD, dir_.path("x"))) << number;
    }
}

TEST_F(HomeTest, TheLabelNamesTheLastLayer) {
    const std::string bytes = tar_of({{TarEntry::Kind::file, std::string(kHome) + "/x", "x", ""}});
    EXPECT_TRUE(with_home(bytes, bytes).home());
    EXPECT_EQ(with_home(bytes, bytes).layers().size(), 1U);
    EXPECT_THROW((void)with_home(bytes, "another"), Error);
    // Without records it is nobody's home.
    const Image image = with_home(bytes, bytes);
    const Lease lease = Lease::create(to_.store.index(), to_.store.layout().data(), "a test");
    EXPECT_THROW((void)import_image(to_.store, image, lease, sink_), Error);
}

TEST_F(ImageTest, AHomeIsNoPartOfTheContent) {
    (void)write(from_.store, "base");
    const Sha256 content = result_.content;
    ExportRequest request;
    request.with_home = true;
    const std::string without = write(from_.store, "base", request);
    EXPECT_FALSE(result_.has_home) << "there is none";
    const std::string home = from_.dir.path("data/home/base");
    make_directories(AT_FDCWD, home, 0700);
    const Image image = read(write(from_.store, "base", request));
    EXPECT_TRUE(result_.has_home);
    EXPECT_EQ(result_.content, content);
    EXPECT_NE(image.digest(), read(without).digest());
    ASSERT_TRUE(image.home());
    const Lease lease = Lease::create(to_.store.index(), to_.store.layout().data(), "a test");
    EXPECT_EQ(import_image(to_.store, image, lease, sink_).generation.packages.size(), 2U);
}

}  // namespace
}  // namespace pwstore::image
