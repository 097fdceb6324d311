// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/image/image_writer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "store/base/error.hpp"
#include "store/base/parallel.hpp"
#include "store/base/path_at.hpp"
#include "store/image/blob.hpp"
#include "store/image/flatten.hpp"
#include "store/image/home.hpp"
#include "store/image/image_format.hpp"
#include "store/image/layers.hpp"
#include "store/image/outer_archive.hpp"
#include "store/lease.hpp"

namespace pwstore::image {

namespace {

using nlohmann::json;

/// Stands for the container's name in records, which do not depend on it.
constexpr const char* kNoName = "image";
constexpr const char* kUsualPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// As Go and OCI call it.
std::string architecture(const std::vector<Manifest>& manifests) {
    std::string found;
    for (const Manifest& manifest : manifests) {
        if (manifest.arch != "any" && manifest.arch != "all") found = manifest.arch;
    }
    if (found.empty()) {
        utsname name{};
        if (::uname(&name) == 0) found = name.machine;
    }
    static const std::map<std::string, std::string> kNames{
        {"x86_64", "amd64"}, {"aarch64", "arm64"}, {"i686", "386"}, {"i386", "386"}, {"armv7h", "arm"}};
    const auto known = kNames.find(found);
    return known != kNames.end() ? known->second : found;
}

/// Everything of a generation that is needed to write it, by place.
struct Source {
    Portable portable;
    std::vector<ObjectId> ids;
    std::vector<ObjectKey> keys;
    Tree tree;  ///< contents by place
};

/// Mount points are made wherever it is run; they do not travel.
Tree portable_tree(Tree tree, const std::unordered_map<ObjectId, uint32_t>& places) {
    std::erase_if(tree.entries,
                  [&](const TreeEntry& entry) { return tree.layers[entry.layer] == kMountPointLayer; });
    for (TreeEntry& entry : tree.entries) {
        if (entry.entry.object != 0) entry.entry.object = places.at(entry.entry.object);
    }
    return tree;
}

/// Objects of the tree that have contents of others: the same bytes in two modes.
void add_other_objects(const ReadTxn& txn, const Tree& tree, const std::vector<Content>& contents,
                       std::unordered_map<ObjectId, uint32_t>& places) {
    std::unordered_map<Sha256, uint32_t, Sha256Hash> by_content;
    for (uint32_t place = 0; place < contents.size(); ++place)
        by_content.emplace(contents[place].sha256, place + 1);
    for (const TreeEntry& entry : tree.entries) {
        const ObjectId id = entry.entry.object;
        if (id == 0 || places.contains(id)) continue;
        places[id] = by_content.at(txn.object(id).second.sha256);
    }
}

Source read_source(const Store& store, const ExportRequest& request) {
    const ReadTxn txn = store.index().read();
    const GenerationRef& which = request.generation;
    const auto generation = txn.generation(ContainerName(which.container), which.generation);
    if (!generation) {
        throw Error("export", fmt::format("{}@{}", which.container, which.generation),
                    "there is no such generation")
            .as(Fault::usage);
    }
    // What there is to look up for it takes as long as the rest. The lease keeps the generation as it is.
    auto tree_beside = std::async(
        std::launch::async, [&] { return tree_of(store.index().read(), store.objects(), *generation); });
    FlatGeneration flat = flatten(txn, *generation);
    // What its receiver works out for itself, or calls otherwise.
    flat.generation.container = kNoName;
    flat.generation.policy = flat.generation.recipe_digest = flat.generation.digest = {};
    Source source;
    source.portable = make_portable(txn, flat.generation, flat.delta, request.policy, source.ids);
    std::unordered_map<ObjectId, uint32_t> places;
    for (const ObjectId id : source.ids) {
        source.keys.push_back(txn.object(id).first);
        places[id] = static_cast<uint32_t>(source.keys.size());
    }
    Tree tree = tree_beside.get();
    if (!generation->upstream.empty()) source.portable.generation.tree_digest = tree_digest(txn, tree);
    add_other_objects(txn, tree, source.portable.contents, places);
    source.tree = portable_tree(std::move(tree), places);
    return source;
}

std::string digest_text(const Sha256& sha256) {
    return "sha256:" + sha256.hex();
}

/// What was written of each layer, in order.
struct Written {
    std::vector<Blob> layers;
    std::vector<std::string> titles;
    LayerPacking packing = LayerPacking::zstd;
    bool is_bundle = false;  ///< all but the last, and a home, are layers with contents
    bool has_home = false;   ///< the last layer is one
};

std::vector<std::string> titles_of(const Portable& portable) {
    std::vector<std::string> titles;
    for (const std::vector<size_t>& group : partition(portable.manifests)) {
        const Manifest& first = portable.manifests[group[0]];
        titles.push_back(group.size() == 1
                             ? fmt::format("{} {}", first.name, first.version)
                             : fmt::format("{} and {} more packages", first.name, group.size() - 1));
    }
    titles.emplace_back("changes, package database and records");
    return titles;
}

Sha256 content_digest(const Portable& portable, const std::vector<Blob>& layers) {
    std::string text = "pwstore content 1\n";
    for (size_t at = 0; at + 1 < layers.size(); ++at)
        text += digest_text(layers[at].diff_id) + "\n";
    text += fmt::format("tree {}\npolicy {}\n", portable.generation.tree_digest.hex(),
                        sha256_of(portable.policy).hex());
    for (const InstalledPackage& package : portable.generation.packages) {
        text += fmt::format("package {} {} {}\n", package.name, package.version,
                            package.reason == InstallReason::explicitly ? "explicit" : "dependency");
    }
    return sha256_of(text);
}

json descriptor(const char* type, const Sha256& digest, uint64_t size) {
    return {{"mediaType", type}, {"digest", digest_text(digest)}, {"size", size}};
}

/// How other programs start it.
json run_json(const RunDescription& run, const json& labels) {
    std::vector<std::string> environment = run.environment;
    const bool has_path = std::any_of(environment.begin(), environment.end(),
                                      [](const std::string& one) { return one.starts_with("PATH="); });
    if (!has_path) environment.insert(environment.begin(), kUsualPath);
    json config{{"Env", environment}, {"Cmd", {"/bin/sh"}}, {"Labels", labels}};
    if (!run.command.empty()) config["Cmd"] = run.command;
    if (!run.working_directory.empty()) config["WorkingDir"] = run.working_directory;
    return config;
}

std::string config_json(const Portable& portable, const Written& written, const Sha256& content,
                        const RunDescription& run) {
    json history = json::array();
    for (const std::string& title : written.titles)
        history.push_back({{"created_by", title}});
    json diff_ids = json::array();
    for (const Blob& layer : written.layers)
        diff_ids.push_back(digest_text(layer.diff_id));
    json labels{{kContentLabel, digest_text(content)}};
    if (written.has_home) labels[kHomeLabel] = digest_text(written.layers.back().diff_id);
    const json config{{"architecture", architecture(portable.manifests)},
                      {"os", "linux"},
                      {"config", run_json(run, labels)},
                      {"history", history},
                      {"rootfs", {{"type", "layers"}, {"diff_ids", diff_ids}}}};
    return config.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// The contents that the receiver lacks, each a member named by its SHA-256, in layers of about `most` bytes.
std::vector<Layer> missing_contents(const Portable& portable, const std::set<Sha256>& has, uint64_t most,
                                    size_t& left_out) {
    std::map<std::string, LayerMember> members;
    for (uint32_t place = 0; place < portable.contents.size(); ++place) {
        const Content& content = portable.contents[place];
        if (has.contains(content.sha256)) {
            ++left_out;
            continue;
        }
        LayerMember member;
        member.entry.path = content.sha256.hex();
        member.entry.mode = 0644;
        member.entry.size = content.size;
        member.entry.object = place + 1;
        members.emplace(member.entry.path, std::move(member));
    }
    std::vector<Layer> layers;
    uint64_t size = most;
    for (auto& [path, member] : members) {
        if (size >= most) {
            layers.emplace_back();
            size = 0;
        }
        size += member.entry.size;
        layers.back().push_back(std::move(member));
    }
    return layers;
}

/// Not part of the content digest, so it comes after that.
void add_home(const Store& store, const std::string& container, int directory, Written& written,
              ExportResult& result) {
    const auto home = try_open_beneath(store.layout().data(), std::string(names::kHome) + "/" + container,
                                       O_RDONLY | O_DIRECTORY);
    if (!home) return;  // nothing has ever run in it
    HomeCount count;
    written.layers.push_back(write_home(home->get(), directory, count, written.packing));
    written.titles.emplace_back("home");
    written.has_home = result.has_home = true;
    result.home_left_out = count.left_out;
}

/// The largest come first, so that no thread is left alone with one at the end.
std::vector<size_t> by_size(const std::vector<Layer>& layers) {
    std::vector<uint64_t> sizes;
    for (const Layer& layer : layers) {
        sizes.push_back(0);
        for (const LayerMember& member : layer)
            sizes.back() += member.entry.size;
    }
    std::vector<size_t> order(layers.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return sizes[a] > sizes[b]; });
    return order;
}

/// Of the layers with contents there are none in a whole image; in a bundle they come before the last layer.
const char* type_of_layer(const Written& written, size_t at) {
    if (!written.is_bundle) return written.packing == LayerPacking::gzip ? kGzipLayerType : kLayerType;
    return at < written.layers.size() - (written.has_home ? 2U : 1U) ? kContentsType : kPartialType;
}

std::string manifest_json(const Written& written, const Blob& config) {
    json list = json::array();
    for (size_t at = 0; at < written.layers.size(); ++at)
        list.push_back(
            descriptor(type_of_layer(written, at), written.layers[at].digest, written.layers[at].size));
    const json manifest{{"schemaVersion", 2},
                        {"mediaType", kManifestType},
                        {"config", descriptor(kConfigType, config.digest, config.size)},
                        {"layers", list}};
    return manifest.dump();
}

/// What says what the layers are, and whose image it is.
void describe(const Written& written, const std::string& config_text, const ExportRequest& request,
              int directory, OuterArchive& outer, ExportResult& result) {
    const Blob config = plain_blob(config_text, directory);
    const Blob manifest = plain_blob(manifest_json(written, config), directory);
    json described = descriptor(kManifestType, manifest.digest, manifest.size);
    described["annotations"] = {
        {kNameAnnotation, fmt::format("{}:{}", request.generation.container, request.generation.generation)}};
    if (request.sign)
        described["annotations"][kSignatureAnnotation] = request.sign(signed_text(manifest.digest));
    const json index{{"schemaVersion", 2}, {"mediaType", kIndexType}, {"manifests", {described}}};
    outer.add(config);
    outer.add(manifest);
    outer.add(written.is_bundle ? kBundleIndexFile : "index.json", index.dump());
    result.manifest = manifest.digest;
    result.layers = written.layers.size();
}

/// Where the parts of an image are made, and how many are made at once.
struct Workshop {
    const ContentSource& contents;
    int directory;
    unsigned threads;
    ProgressSink& sink;
};

/// The largest layers first; `ready` is told the turn of each one that is complete.
void write_layers(const std::vector<Layer>& layers, const std::vector<size_t>& order, const Workshop& shop,
                  Written& written, const std::function<void(size_t)>& ready) {
    std::atomic<size_t> done{0};
    parallel_for(layers.size(), shop.threads, [&](size_t turn) {
        const size_t at = order[turn];
        written.layers[at] = write_layer(layers[at], shop.contents, shop.directory, written.packing);
        ready(turn);
        shop.sink.progress("export", written.titles[at], ++done, layers.size());
    });
}

/// All of it: its layers leave as they are made, and what describes them follows.
void write_whole(const Store& store, const Source& source, const ExportRequest& request, const Workshop& shop,
                 OuterArchive& outer, ExportResult& result) {
    const std::vector<Layer> layers = layers_of(source.portable, source.tree);
    Written written;
    written.packing = request.packing;
    written.titles = titles_of(source.portable);
    written.layers.resize(layers.size());
    {
        const std::vector<size_t> order = by_size(layers);
        BlobQueue queue(outer, written.layers, order);
        write_layers(layers, order, shop, written, [&](size_t turn) { queue.ready(turn); });
        queue.finish();
    }
    result.content = content_digest(source.portable, written.layers);
    if (request.with_home) add_home(store, request.generation.container, shop.directory, written, result);
    if (written.has_home) outer.add(written.layers.back());
    describe(written, config_json(source.portable, written, result.content, request.run), request,
             shop.directory, outer, result);
}

/// What the receiver lacks: contents, and the records that make the rest there. It describes itself before
/// its contents come, so that they can be looked at, and kept, while the rest is on its way.
void write_bundle(const Store& store, const Source& source, const ExportRequest& request,
                  const Workshop& shop, OuterArchive& outer, ExportResult& result) {
    std::vector<Layer> layers =
        missing_contents(source.portable, *request.against, request.part_bytes, result.left_out);
    Written written;
    written.is_bundle = true;
    written.titles.assign(layers.size(), "contents");
    layers.push_back(records_layer(source.portable, source.tree));
    written.titles.emplace_back("records");
    written.layers.resize(layers.size());
    write_layers(layers, by_size(layers), shop, written, [](size_t) {});
    result.content = content_digest(source.portable, written.layers);
    if (request.with_home) add_home(store, request.generation.container, shop.directory, written, result);
    describe(written, config_json(source.portable, written, result.content, request.run), request,
             shop.directory, outer, result);
    for (const bool with_contents : {false, true}) {
        for (size_t at = 0; at < written.layers.size(); ++at) {
            if ((type_of_layer(written, at) == kContentsType) == with_contents) outer.add(written.layers[at]);
        }
    }
}

}  // namespace

ExportResult write_image(const Store& store, const ExportRequest& request, int out, ProgressSink& sink) {
    const Lease lease = Lease::create(store.index(), store.layout().data(), "export");
    {
        WriteTxn txn = store.index().write();
        LeaseRow row;
        row.generations = {{request.generation.container, request.generation.generation}};
        lease.record(txn, row);
        txn.commit();
    }
    sink.progress("export", request.generation.container, 0, 0);
    const Source source = read_source(store, request);
    const Staging staging = Staging::create(store, "export");
    const ContentSource contents = [&](uint32_t place, std::span<char> buffer, const auto& take) {
        store.objects().read(source.keys[place], buffer, take);
    };
    const unsigned threads = request.threads != 0 ? request.threads : default_threads();
    const Workshop shop{contents, staging.fd(), threads, sink};
    OuterArchive outer(out);
    ExportResult result;
    result.contents = source.portable.contents.size();
    if (request.against) {
        write_bundle(store, source, request, shop, outer, result);
    } else {
        write_whole(store, source, request, shop, outer, result);
    }
    if (!request.against) outer.add("oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
    result.bytes = outer.finish();
    return result;
}

}  // namespace pwstore::image
