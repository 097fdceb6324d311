// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/image/foreign.hpp"

#include <fmt/format.h>

#include "store/base/error.hpp"
#include "store/image/intake_rounds.hpp"
#include "store/image/layer_stack.hpp"
#include "store/ingest.hpp"
#include "store/package/archive.hpp"
#include "store/package/packed_stream.hpp"

namespace pwstore::image {

namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr uint64_t kInMemory = 8ULL << 20U;

/// Reads layers into a tree.
class Intake {
 public:
    void add_layer(Ingestor& ingestor, const Image& image, const Image::Layer& layer) {
        const Fd file = image.open(layer);
        const PackedBuffer packed;
        const PackedFile source(file.get(), layer.member, packed);
        ArchiveReader reader(source, kLayerLimits, UnpackedDigest::sha256, kLayerRules);
        stack_.begin_layer();
        for (ArchiveMember member; reader.next(member);)
            add(ingestor, reader, member);
        check_layer(reader, layer);
    }

    [[nodiscard]] Delta finish(const std::string& agent, LeftOut& left_out) {
        LayerStack::Result result = stack_.finish();
        left_out.devices = result.devices;
        left_out.overlay_attributes = overlay_attributes_;
        Delta delta;
        for (Entry& entry : result.entries) {
            DeltaEntry one;
            one.entry = std::move(entry);
            one.agent = agent;
            delta.entries.push_back(std::move(one));
        }
        return delta;
    }

 private:
    void add(Ingestor& ingestor, ArchiveReader& reader, const ArchiveMember& member) {
        overlay_attributes_ += member.dropped_xattrs;
        const size_t slash = member.path.rfind('/');
        const std::string parent = slash == std::string::npos ? "" : member.path.substr(0, slash + 1);
        const std::string_view name = std::string_view(member.path).substr(parent.size());
        if (name == kOpaque) {
            stack_.hide_below(parent);
        } else if (name.starts_with(kWhiteout)) {
            stack_.hide(parent + std::string(name.substr(kWhiteout.size())));
        } else if (member.kind == MemberKind::hard_link) {
            stack_.link(member.path, member.target);
        } else if (member.kind == MemberKind::device) {
            stack_.put_device(member.path);
        } else {
            stack_.put(entry_of(ingestor, reader, member));
        }
    }

    Entry entry_of(Ingestor& ingestor, ArchiveReader& reader, const ArchiveMember& member) {
        Entry entry;
        entry.path = member.path;
        entry.mode = member.mode;
        entry.uid = member.uid;
        entry.gid = member.gid;
        entry.mtime = member.mtime;
        entry.mtime_ns = member.mtime_ns;
        entry.xattrs = member.xattrs;
        if (member.kind == MemberKind::directory) {
            entry.kind = EntryKind::directory;
        } else if (member.kind == MemberKind::symlink) {
            entry.kind = EntryKind::symlink;
            entry.target = member.target;
        } else if (member.kind == MemberKind::fifo) {
            entry.kind = EntryKind::fifo;
        } else {
            entry.size = member.size;
            entry.object = content_of(ingestor, reader, member);
        }
        return entry;
    }

    ObjectId content_of(Ingestor& ingestor, ArchiveReader& reader, const ArchiveMember& member) {
        const auto time = keeps_time(member.path) ? std::optional(member.mtime) : std::nullopt;
        if (member.size <= kInMemory)
            return ingestor.add_content(reader.read_whole(buffer_), member.mode, time, member.xattrs);
        return ingestor.add_stream([&] { return reader.read_piece(); }, member.path, member.mode, time,
                                   member.xattrs);
    }

    LayerStack stack_;
    std::string buffer_;
    uint64_t overlay_attributes_ = 0;
};

}  // namespace

ImportedImage import_foreign(const Store& store, const Image& image, const Lease& lease, ProgressSink& sink) {
    if (image.is_partial()) throw Error("read image", "", "it has no records").as(Fault::corrupt);
    IntakeRounds rounds(store, lease, sink);
    Intake intake;
    size_t done = 0;
    const auto take = [&](Ingestor& ingestor) {
        if (image.layers().empty()) return;
        sink.progress("import", "layers", done, image.layers().size());
        intake.add_layer(ingestor, image, image.layers()[done++]);
    };
    while (done + 1 < image.layers().size())
        rounds.add(take);
    ImportedImage imported;
    imported.is_foreign = true;
    rounds.finish(take, [&](WriteTxn& txn, LeaseRow& row) {
        const std::string agent = image.name().empty() ? "image" : printable(image.name());
        imported.generation.delta = txn.add_delta(intake.finish(agent, imported.left_out));
        if (imported.generation.delta != 0) row.deltas.push_back(imported.generation.delta);
    });
    imported.stats = rounds.stats();
    return imported;
}

}  // namespace pwstore::image
