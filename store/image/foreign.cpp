// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/image/foreign.hpp"

#include <fmt/format.h>

#include <map>
#include <set>

#include "store/base/error.hpp"
#include "store/image/intake_rounds.hpp"
#include "store/ingest.hpp"
#include "store/package/archive.hpp"
#include "store/package/packed_stream.hpp"

namespace pwstore::image {

namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr uint64_t kInMemory = 8ULL << 20U;

/// The tree that layers laid over each other give (image-spec, "Image Layer Filesystem Changeset").
class Stack {
 public:
    void add_layer(Ingestor& ingestor, const Image& image, const Image::Layer& layer) {
        const Fd file = image.open(layer);
        const PackedBuffer packed;
        const PackedFile source(file.get(), "layer of image", packed);
        ArchiveReader reader(source, IngestLimits{}, UnpackedDigest::sha256);
        added_.clear();
        for (ArchiveMember member; reader.next(member);)
            add(ingestor, reader, member);
        check_layer(reader, layer);
    }

    [[nodiscard]] Delta finish(const std::string& agent) {
        Delta delta;
        for (auto& [path, entry] : entries_) {
            DeltaEntry one;
            one.entry = std::move(entry);
            one.agent = agent;
            delta.entries.push_back(std::move(one));
        }
        return delta;
    }

 private:
    void add(Ingestor& ingestor, ArchiveReader& reader, const ArchiveMember& member) {
        const size_t slash = member.path.rfind('/');
        const std::string parent = slash == std::string::npos ? "" : member.path.substr(0, slash);
        const std::string_view name =
            std::string_view(member.path).substr(slash == std::string::npos ? 0 : slash + 1);
        if (name == kOpaque) {
            remove_below(parent);
            return;
        }
        if (name.starts_with(kWhiteout)) {
            const std::string target(name.substr(kWhiteout.size()));
            remove(parent.empty() ? target : parent + "/" + target);
            return;
        }
        put(ingestor, reader, member);
    }

    void put(Ingestor& ingestor, ArchiveReader& reader, const ArchiveMember& member) {
        Entry entry;
        entry.path = member.path;
        entry.mode = member.mode;
        entry.uid = member.uid;
        entry.gid = member.gid;
        entry.mtime = member.mtime;
        entry.mtime_ns = member.mtime_ns;
        entry.xattrs = member.xattrs;
        switch (member.kind) {
            case MemberKind::directory:
                entry.kind = EntryKind::directory;
                break;
            case MemberKind::symlink:
                entry.kind = EntryKind::symlink;
                entry.target = member.target;
                break;
            case MemberKind::fifo:
                entry.kind = EntryKind::fifo;
                break;
            case MemberKind::file:
                entry.size = member.size;
                entry.object = content_of(ingestor, reader, buffer_, member);
                break;
            case MemberKind::hard_link:
                link(reader, member);
                return;
        }
        if (entry.kind != EntryKind::directory) remove(entry.path);
        if (const auto there = entries_.find(entry.path);
            there != entries_.end() && there->second.kind != EntryKind::directory) {
            entries_.erase(there);
        }
        added_.insert(entry.path);
        entries_.insert_or_assign(entry.path, std::move(entry));
    }

    static ObjectId content_of(Ingestor& ingestor, ArchiveReader& reader, std::string& buffer,
                               const ArchiveMember& member) {
        const auto time = keeps_time(member.path) ? std::optional(member.mtime) : std::nullopt;
        if (member.size <= kInMemory)
            return ingestor.add_content(reader.read_whole(buffer), member.mode, time, member.xattrs);
        return ingestor.add_stream([&] { return reader.read_piece(); }, member.path, member.mode, time,
                                   member.xattrs);
    }

    void link(ArchiveReader& reader, const ArchiveMember& member) {
        if (member.size != 0) reader.refuse(member.path, "a hard link with a content of its own");
        const auto target = entries_.find(member.target);
        if (target == entries_.end() || target->second.kind != EntryKind::file)
            reader.refuse(member.path, "it is a hard link to something that is not there");
        if (target->second.link_group == 0) target->second.link_group = ++last_group_;
        Entry entry = target->second;
        entry.path = member.path;
        remove(entry.path);
        entries_.insert_or_assign(member.path, std::move(entry));
    }

    void remove(const std::string& path) {
        remove_below(path);
        entries_.erase(path);
    }
    /// What lower layers have there; what this one has put there stays.
    void remove_below(const std::string& directory) {
        const std::string prefix = directory.empty() ? "" : directory + "/";
        for (auto at = entries_.lower_bound(prefix); at != entries_.end() && at->first.starts_with(prefix);) {
            at = added_.contains(at->first) ? std::next(at) : entries_.erase(at);
        }
    }

    std::map<std::string, Entry> entries_;
    std::set<std::string> added_;  ///< by the current layer
    std::string buffer_;
    uint32_t last_group_ = 0;
};

}  // namespace

ImportedImage import_foreign(const Store& store, const Image& image, const Lease& lease, ProgressSink& sink) {
    if (image.is_partial()) throw Error("read image", "", "it has no records").as(Fault::corrupt);
    IntakeRounds rounds(store, lease, sink);
    Stack stack;
    size_t done = 0;
    const auto take = [&](Ingestor& ingestor) {
        sink.progress("import", "layers", done, image.layers().size());
        stack.add_layer(ingestor, image, image.layers()[done++]);
    };
    while (done + 1 < image.layers().size())
        rounds.add(take);
    ImportedImage imported;
    imported.is_foreign = true;
    rounds.finish(take, [&](WriteTxn& txn, LeaseRow& row) {
        const Delta delta = stack.finish(image.name().empty() ? "image" : printable(image.name()));
        imported.generation.delta = txn.add_delta(delta);
        if (imported.generation.delta != 0) row.deltas.push_back(imported.generation.delta);
    });
    imported.stats = rounds.stats();
    return imported;
}

}  // namespace pwstore::image
