// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/image/image_import.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <numeric>
#include <unordered_map>

#include "store/base/error.hpp"
#include "store/base/parallel.hpp"
#include "store/base/path_at.hpp"
#include "store/image/foreign.hpp"
#include "store/image/image_format.hpp"
#include "store/image/intake_rounds.hpp"
#include "store/image/portable.hpp"
#include "store/object_intake.hpp"
#include "store/package/archive.hpp"
#include "store/package/packed_stream.hpp"

namespace pwstore::image {

namespace {

/// Contents up to this size are hashed in memory before they go anywhere.
constexpr uint64_t kInMemory = 8ULL << 20U;
constexpr uint64_t kMostRecords = 4ULL << 30U;

Error broken(std::string_view what, std::string_view cause) {
    Error error("read image", printable(what), cause);
    return error.as(Fault::corrupt);
}

/// Files of the records directory of a layer, by name; empty when there is none.
std::map<std::string, std::string> read_records(const Image& image, const Image::Layer& layer) {
    const Fd file = image.open(layer);
    const PackedBuffer packed;
    const PackedFile source(file.get(), layer.member, packed);
    ArchiveReader reader(source, kLayerLimits, UnpackedDigest::none, kLayerRules);
    const std::string prefix = std::string(kRecordsDirectory) + "/";
    std::map<std::string, std::string> files;
    std::string buffer;
    uint64_t total = 0;
    for (ArchiveMember member; reader.next(member);) {
        if (member.kind != MemberKind::file || !member.path.starts_with(prefix)) continue;
        const std::string name = member.path.substr(prefix.size());
        if (name.find('/') != std::string::npos) continue;
        total += member.size;
        if (total > kMostRecords) throw broken(member.path, "the records are too large").as(Fault::refused);
        files[name] = reader.read_whole(buffer);
    }
    return files;
}

/// Turns contents into the objects that the records ask for.
class ContentIntake {
 public:
    ContentIntake(const Store& store, const Portable& portable)
        : store_(store), portable_(portable), uses_(uses_of(portable)), ids_(uses_.size()) {
        for (uint32_t place = 0; place < portable.contents.size(); ++place)
            places_[portable.contents[place].sha256] = place;
    }

    /// Everything in a layer that the records want. Thread-safe.
    void add_layer(Ingestor& ingestor, const Image& image, const Image::Layer& layer, int staging) {
        const Fd file = image.open(layer);
        const PackedBuffer packed;
        const PackedFile source(file.get(), "layer of image", packed);
        ArchiveReader reader(source, IngestLimits{}, UnpackedDigest::sha256);
        std::string buffer;
        for (ArchiveMember member; reader.next(member);) {
            if (member.kind != MemberKind::file) continue;
            if (member.size <= kInMemory) {
                add(ingestor, reader.read_whole(buffer));
            } else {
                add_large(ingestor, reader, member, staging);
            }
        }
        check_layer(reader, layer);
    }

    /// Bytes of contents that this store does not have.
    [[nodiscard]] uint64_t missing_bytes() const {
        std::map<Sha256, uint32_t> missing = places_;
        store_.index().read().for_each_object(
            [&](const ObjectKey&, const ObjectRow& row) { missing.erase(row.sha256); });
        return std::accumulate(
            missing.begin(), missing.end(), uint64_t{0},
            [&](uint64_t sum, const auto& one) { return sum + portable_.contents[one.second].size; });
    }

    /// What no layer had: from objects of this store.
    void add_from_store(Ingestor& ingestor) {
        std::map<Sha256, uint32_t> missing;
        for (uint32_t place = 0; place < portable_.contents.size(); ++place) {
            if (!is_known(place)) missing[portable_.contents[place].sha256] = place;
        }
        if (missing.empty()) return;
        std::vector<std::pair<uint32_t, ObjectKey>> found;
        store_.index().read().for_each_object([&](const ObjectKey& key, const ObjectRow& row) {
            const auto wanted = missing.find(row.sha256);
            if (wanted == missing.end()) return;
            found.emplace_back(wanted->second, key);
            missing.erase(wanted);
        });
        if (!missing.empty()) {
            throw broken(
                missing.begin()->first.hex(),
                fmt::format("{} contents are neither in the image nor in this store", missing.size()))
                .as(Fault::refused)
                .with_hint("the image was made against a store that has more; export it anew, or whole");
        }
        for (const auto& [place, key] : found)
            add_stored(ingestor, place, key);
    }

    [[nodiscard]] ObjectId id_of(const ObjectUse& use) const {
        const auto at = std::lower_bound(uses_.begin(), uses_.end(), use);
        return ids_[static_cast<size_t>(at - uses_.begin())];
    }

 private:
    [[nodiscard]] std::pair<size_t, size_t> uses_of_place(uint32_t place) const {
        const auto first =
            std::lower_bound(uses_.begin(), uses_.end(), place,
                             [](const ObjectUse& use, uint32_t wanted) { return use.content < wanted; });
        auto last = first;
        while (last != uses_.end() && last->content == place)
            ++last;
        return {static_cast<size_t>(first - uses_.begin()), static_cast<size_t>(last - uses_.begin())};
    }
    [[nodiscard]] bool is_known(uint32_t place) const {
        const std::scoped_lock lock(guard_);
        return ids_[uses_of_place(place).first] != 0;
    }
    std::optional<uint32_t> place_of(const Sha256& sha256) const {
        const auto found = places_.find(sha256);
        return found == places_.end() ? std::nullopt : std::optional(found->second);
    }
    void set(size_t use, ObjectId id) {
        const std::scoped_lock lock(guard_);
        ids_[use] = id;
    }

    void add(Ingestor& ingestor, std::string_view content) {
        const Sha256 sha256 = sha256_of(content);
        const auto place = place_of(sha256);
        if (!place || is_known(*place)) return;
        const auto [first, last] = uses_of_place(*place);
        for (size_t use = first; use < last; ++use)
            set(use, ingestor.add_content(content, uses_[use].mode, uses_[use].keep_time, uses_[use].xattrs,
                                          &sha256));
    }
    void add_large(Ingestor& ingestor, ArchiveReader& reader, const ArchiveMember& member, int staging) {
        const Fd file = open_at(staging, ".", O_TMPFILE | O_RDWR, 0600);
        Sha256Stream digest;
        for (std::string_view piece = reader.read_piece(); !piece.empty(); piece = reader.read_piece()) {
            digest.update(piece);
            write_all(file.get(), piece, member.path);
        }
        const auto place = place_of(digest.finish());
        if (!place || is_known(*place)) return;
        add_file(ingestor, *place, file.get(), member.path);
    }
    void add_file(Ingestor& ingestor, uint32_t place, int fd, std::string_view name) {
        const auto [first, last] = uses_of_place(place);
        for (size_t use = first; use < last; ++use) {
            if (::lseek(fd, 0, SEEK_SET) != 0) throw Error::from_errno("read back", name);
            set(use, ingestor.add_file(fd, name, uses_[use].mode, uses_[use].keep_time, uses_[use].xattrs));
        }
    }
    void add_stored(Ingestor& ingestor, uint32_t place, const ObjectKey& key) {
        const Content& content = portable_.contents[place];
        const Fd file = store_.objects().open(key);
        if (key.size != content.size || sha256_of_fd(file.get(), key.path(0)) != content.sha256) {
            throw Error("import", key.path(0),
                        "this object of the store is damaged, and the image does not have it")
                .as(Fault::corrupt)
                .with_hint("'pwstore verify --heal' may bring it back");
        }
        add_file(ingestor, place, file.get(), key.path(0));
    }

    const Store& store_;
    const Portable& portable_;
    std::vector<ObjectUse> uses_;  ///< sorted
    mutable std::mutex guard_;
    std::vector<ObjectId> ids_;  ///< by place in uses_
    std::map<Sha256, uint32_t> places_;
};

/// The records with the ids of this store.
Manifest localized(Manifest manifest, const ContentIntake& contents) {
    for (ObjectId* side : {&manifest.pkginfo, &manifest.install, &manifest.mtree, &manifest.changelog}) {
        if (*side != 0) *side = contents.id_of(side_use(*side));
    }
    for (Entry& entry : manifest.entries) {
        if (entry.object != 0) entry.object = contents.id_of(use_of(entry));
    }
    return manifest;
}

/// The manifest of the same package that was read from its archive here, if it is the same in everything.
std::optional<ManifestId> local_twin(const ReadTxn& txn, const Manifest& manifest) {
    if (!manifest.archive_sha256) return std::nullopt;
    const auto id = txn.manifest_of_archive(*manifest.archive_sha256);
    if (!id) return std::nullopt;
    Manifest local = txn.manifest(*id);
    local.origin = manifest.origin;
    return local.encode() == manifest.encode() ? id : std::nullopt;
}

/// Which layers are taken in together: enough to keep all threads busy, little enough to lose. Those with
/// contents are still on their way and are taken in as they come.
std::vector<std::vector<const Image::Layer*>> parts_of(const Image& image, uint64_t bytes) {
    std::vector<std::vector<const Image::Layer*>> parts;
    uint64_t size = 0;
    for (const Image::Layer& layer : image.layers()) {
        const bool is_on_its_way = layer.type == kContentsType;
        if (parts.empty() || is_on_its_way || size >= bytes) {
            parts.emplace_back();
            size = 0;
        }
        parts.back().push_back(&layer);
        if (!is_on_its_way) size += static_cast<uint64_t>(stat_fd(image.open(layer).get(), "layer").st_size);
    }
    return parts;
}

/// All contents of the image, and of the store what it leaves out; then its records.
class OwnImport {
 public:
    OwnImport(const Store& store, const Image& image, const Portable& portable, const Lease& lease,
              const ImportOptions& options, ProgressSink& sink)
        : store_(store),
          image_(image),
          portable_(portable),
          sink_(sink),
          staging_(Staging::create(store, "import")),
          contents_(store, portable),
          parts_(parts_of(image, options.part_bytes)),
          rounds_(store, lease, sink) {}

    ImportedImage run() {
        expect_space(contents_.missing_bytes());
        for (size_t at = 0; at < parts_.size(); ++at) {
            for (const Image::Layer* layer : parts_[at])
                image_.receive(*layer);
            if (at + 1 < parts_.size()) rounds_.add([&](Ingestor& ingestor) { take(ingestor, parts_[at]); });
        }
        image_.receive_rest();
        const auto take_last = [&](Ingestor& ingestor) {
            take(ingestor, parts_.back());
            contents_.add_from_store(ingestor);
        };
        ImportedImage imported;
        imported.generation = portable_.generation;
        imported.policy = portable_.policy;
        rounds_.finish(take_last, [&](WriteTxn& txn, LeaseRow& row) { record(txn, row, imported); });
        imported.stats = rounds_.stats();
        return imported;
    }

 private:
    /// Before anything is written. Roots cost little beside it, and blobs have been put aside already.
    void expect_space(uint64_t needed) const {
        struct statvfs status {};
        if (::fstatvfs(staging_.fd(), &status) != 0) return;
        const uint64_t free = uint64_t{status.f_bavail} * status.f_frsize;
        if (needed <= free) return;
        throw Error(
            "check disk space", store_.layout().directories().data,
            fmt::format(
                "not enough free disk space: {:.1f} MB are needed for files that are new to the store, "
                "{:.1f} MB are free",
                static_cast<double>(needed) / 1e6, static_cast<double>(free) / 1e6))
            .as(Fault::refused)
            .with_hint("nothing was changed; 'pwstore gc' removes what nothing uses any more");
    }

    void take(Ingestor& ingestor, const std::vector<const Image::Layer*>& layers) {
        const std::vector<const Image::Layer*> order = largest_first(layers);
        parallel_for(order.size(), default_threads(), [&](size_t at) {
            contents_.add_layer(ingestor, image_, *order[at], staging_.fd());
            sink_.progress("import", "layers", ++done_, image_.layers().size());
        });
    }
    /// So that no thread is left alone with a large one at the end.
    [[nodiscard]] std::vector<const Image::Layer*> largest_first(
        const std::vector<const Image::Layer*>& layers) const {
        std::vector<std::pair<off_t, size_t>> sizes;
        for (size_t at = 0; at < layers.size(); ++at)
            sizes.emplace_back(-stat_fd(image_.open(*layers[at]).get(), "layer of image").st_size, at);
        std::sort(sizes.begin(), sizes.end());
        std::vector<const Image::Layer*> order;
        for (const auto& [size, at] : sizes)
            order.push_back(layers[at]);
        return order;
    }
    void record(WriteTxn& txn, LeaseRow& row, ImportedImage& imported) {
        for (size_t at = 0; at < portable_.manifests.size(); ++at) {
            const Manifest manifest = localized(portable_.manifests[at], contents_);
            const auto twin = local_twin(txn, manifest);
            const ManifestId id = twin ? *twin : txn.add_manifest(manifest, false);
            imported.generation.packages[at].manifest = id;
            row.manifests.push_back(id);
        }
        Delta delta = portable_.delta;
        for (DeltaEntry& one : delta.entries) {
            if (one.entry.object != 0) one.entry.object = contents_.id_of(use_of(one.entry));
        }
        imported.generation.delta = txn.add_delta(delta);
        if (imported.generation.delta != 0) row.deltas.push_back(imported.generation.delta);
    }

    const Store& store_;
    const Image& image_;
    const Portable& portable_;
    ProgressSink& sink_;
    Staging staging_;
    ContentIntake contents_;
    std::vector<std::vector<const Image::Layer*>> parts_;
    IntakeRounds rounds_;
    std::atomic<size_t> done_{0};
};

}  // namespace

ImportedImage import_image(const Store& store, const Image& image, const Lease& lease, ProgressSink& sink,
                           const ImportOptions& options) {
    if (image.layers().empty()) return import_foreign(store, image, lease, sink);
    const Image::Layer& last = image.layers().back();
    if (last.type == kContentsType) throw broken("image", "its last layer has contents only");
    const auto records = read_records(image, last);
    if (records.empty() && image.home()) throw broken("image", "it has a home and no records");
    if (records.empty()) return import_foreign(store, image, lease, sink);
    const Portable portable = Portable::decode(records);
    return OwnImport(store, image, portable, lease, options, sink).run();
}

}  // namespace pwstore::image
