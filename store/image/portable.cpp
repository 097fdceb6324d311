// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/image/portable.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <unordered_map>

#include "store/base/bytes.hpp"
#include "store/base/error.hpp"
#include "store/ingest.hpp"

namespace pwstore::image {

namespace {

constexpr const char* kGenerationFile = "generation";
constexpr const char* kContentsFile = "contents";
constexpr const char* kDeltaFile = "delta";
constexpr const char* kPolicyFile = "policy.yml";
constexpr uint32_t kContentsMagic = 0x4F435750U;  // "PWCO"
constexpr uint16_t kVersion = 1;
/// Sizes of side objects do not stand in a manifest.
constexpr uint32_t kSideMode = 0644;

std::string manifest_file(size_t number) {
    return fmt::format("package-{}", number);
}

/// Gives contents their numbers.
class Numbering {
 public:
    Numbering(const ReadTxn& txn, Portable& portable, std::vector<ObjectId>& ids)
        : txn_(txn), portable_(portable), ids_(ids) {}

    void replace(ObjectId& id) {
        if (id == 0) return;
        uint32_t& number = by_id_[id];
        if (number == 0) number = number_of(id);
        id = number;
    }

 private:
    uint32_t number_of(ObjectId id) {
        const auto [key, row] = txn_.object(id);
        const auto [at, added] = by_content_.try_emplace(row.sha256, 0);
        if (added) {
            portable_.contents.push_back({row.sha256, key.size});
            ids_.push_back(id);
            at->second = static_cast<uint32_t>(ids_.size());
        }
        return at->second;
    }

    const ReadTxn& txn_;
    Portable& portable_;
    std::vector<ObjectId>& ids_;
    std::unordered_map<ObjectId, uint32_t> by_id_;
    std::unordered_map<Sha256, uint32_t, Sha256Hash> by_content_;
};

std::string encode_contents(const std::vector<Content>& contents) {
    ByteWriter out;
    out.put(kContentsMagic);
    out.put(kVersion);
    out.put(static_cast<uint32_t>(contents.size()));
    for (const Content& one : contents) {
        for (const uint8_t byte : one.sha256.bytes)
            out.put(byte);
        out.put(one.size);
    }
    return out.take();
}

std::vector<Content> decode_contents(std::string_view bytes) {
    ByteReader in(bytes, "contents of image");
    if (in.get<uint32_t>() != kContentsMagic) in.fail("not a record of this kind");
    if (in.get<uint16_t>() != kVersion) in.fail("unknown version");
    std::vector<Content> contents(in.get_count(sizeof(Sha256::bytes) + sizeof(uint64_t)));
    std::set<Sha256> seen;
    for (Content& one : contents) {
        const std::string_view raw = in.get_bytes(one.sha256.bytes.size());
        std::transform(raw.begin(), raw.end(), one.sha256.bytes.begin(),
                       [](char c) { return static_cast<uint8_t>(c); });
        one.size = in.get<uint64_t>();
        if (!seen.insert(one.sha256).second) in.fail("a content is there twice");
    }
    in.expect_end();
    return contents;
}

[[noreturn]] void reject(std::string_view cause) {
    throw Error("read image", kRecordsDirectory, cause).as(Fault::corrupt);
}

/// Every number leads somewhere, every content is used, and sizes agree.
class Check {
 public:
    explicit Check(const Portable& portable) : portable_(portable), used_(portable.contents.size()) {}

    void run() {
        const Generation& generation = portable_.generation;
        if (generation.parent != 0 || !generation.upstream.empty() || generation.delta > 1)
            reject("its generation is built on another one");
        if ((generation.delta == 1) == portable_.delta.entries.empty())
            reject("its generation and its delta do not belong together");
        if (generation.packages.size() != portable_.manifests.size())
            reject("its generation and its packages do not belong together");
        for (size_t at = 0; at < generation.packages.size(); ++at) {
            const InstalledPackage& package = generation.packages[at];
            const Manifest& manifest = portable_.manifests[at];
            if (package.manifest != at + 1 || package.name != manifest.name ||
                package.version != manifest.version)
                reject("its generation and its packages do not belong together");
            if (manifest.origin != Origin::import) reject("a package claims to have been read here");
            look_at(manifest);
        }
        for (const DeltaEntry& one : portable_.delta.entries)
            look_at(one.entry);
        if (std::find(used_.begin(), used_.end(), false) != used_.end())
            reject("it has a content that nothing uses");
    }

 private:
    void look_at(const Manifest& manifest) {
        if (manifest.pkginfo == 0) reject("a package has no .PKGINFO");
        for (const ObjectId side : {manifest.pkginfo, manifest.install, manifest.mtree, manifest.changelog}) {
            if (side != 0) use(side);
        }
        for (const Entry& entry : manifest.entries)
            look_at(entry);
    }
    void look_at(const Entry& entry) {
        if (entry.object != 0 && use(entry.object).size != entry.size) reject("two sizes of one file");
    }
    const Content& use(ObjectId number) {
        if (number > used_.size()) reject("a number that leads nowhere");
        used_[number - 1] = true;
        return portable_.contents[number - 1];
    }

    const Portable& portable_;
    std::vector<bool> used_;
};

}  // namespace

Portable make_portable(const ReadTxn& txn, const Generation& generation, const Delta& delta,
                       std::string policy, std::vector<ObjectId>& ids) {
    Portable portable;
    portable.generation = generation;
    portable.generation.delta = delta.entries.empty() ? 0 : 1;
    portable.delta = delta;
    portable.policy = std::move(policy);
    Numbering numbering(txn, portable, ids);
    for (InstalledPackage& package : portable.generation.packages) {
        Manifest& manifest = portable.manifests.emplace_back(txn.manifest(package.manifest));
        manifest.origin = Origin::import;
        for (ObjectId* side : {&manifest.pkginfo, &manifest.install, &manifest.mtree, &manifest.changelog})
            numbering.replace(*side);
        for (Entry& entry : manifest.entries)
            numbering.replace(entry.object);
        package.manifest = static_cast<ManifestId>(portable.manifests.size());
    }
    for (DeltaEntry& one : portable.delta.entries)
        numbering.replace(one.entry.object);
    return portable;
}

std::map<std::string, std::string> Portable::encode() const {
    std::map<std::string, std::string> files;
    files[kGenerationFile] = generation.encode();
    files[kContentsFile] = encode_contents(contents);
    files[kPolicyFile] = policy;
    if (!delta.entries.empty()) files[kDeltaFile] = delta.encode();
    for (size_t at = 0; at < manifests.size(); ++at)
        files[manifest_file(at + 1)] = manifests[at].encode();
    return files;
}

Portable Portable::decode(const std::map<std::string, std::string>& files) {
    const auto file = [&](const std::string& name) -> const std::string& {
        const auto found = files.find(name);
        if (found == files.end()) reject(fmt::format("'{}' is missing", name));
        return found->second;
    };
    Portable portable;
    portable.generation = Generation::decode(file(kGenerationFile));
    portable.contents = decode_contents(file(kContentsFile));
    portable.policy = file(kPolicyFile);
    size_t expected = 3;
    if (portable.generation.delta != 0) {
        portable.delta = Delta::decode(file(kDeltaFile));
        ++expected;
    }
    for (size_t at = 0; at < portable.generation.packages.size(); ++at)
        portable.manifests.push_back(Manifest::decode(file(manifest_file(at + 1))));
    if (files.size() != expected + portable.manifests.size())
        reject("there are files that do not belong there");
    Check(portable).run();
    return portable;
}

// --- Uses ----------------------------------------------------------------------------------------

ObjectUse use_of(const Entry& entry) {
    ObjectUse use;
    use.content = entry.object - 1;
    use.mode = inode_mode(entry.mode);
    if (keeps_time(entry.path)) use.keep_time = entry.mtime;
    for (const auto& [name, value] : entry.xattrs) {
        if (name.starts_with("user.")) use.xattrs.emplace(name, value);
    }
    return use;
}

ObjectUse side_use(ObjectId object) {
    ObjectUse use;
    use.content = object - 1;
    use.mode = inode_mode(kSideMode);
    return use;
}

std::vector<ObjectUse> uses_of(const Portable& portable) {
    std::set<ObjectUse> uses;
    for (const Manifest& manifest : portable.manifests) {
        for (const ObjectId side : {manifest.pkginfo, manifest.install, manifest.mtree, manifest.changelog}) {
            if (side != 0) uses.insert(side_use(side));
        }
        for (const Entry& entry : manifest.entries) {
            if (entry.object != 0) uses.insert(use_of(entry));
        }
    }
    for (const DeltaEntry& one : portable.delta.entries) {
        if (one.entry.object != 0) uses.insert(use_of(one.entry));
    }
    return {uses.begin(), uses.end()};
}

}  // namespace pwstore::image
