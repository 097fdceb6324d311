// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/generation.hpp"

#include <algorithm>
#include <set>

#include "store/base/bytes.hpp"
#include "store/entry_codec.hpp"

namespace pwstore {

namespace {

constexpr uint32_t kDeltaMagic = 0x4C445750U;       // "PWDL"
constexpr uint32_t kGenerationMagic = 0x4E475750U;  // "PWGN"
constexpr uint32_t kContainerMagic = 0x4E435750U;   // "PWCN"
constexpr uint16_t kVersion = 1;

void put_sha256(ByteWriter& out, const Sha256& sha256) {
    for (const uint8_t byte : sha256.bytes)
        out.put(byte);
}

Sha256 get_sha256(ByteReader& in) {
    Sha256 sha256;
    const std::string_view raw = in.get_bytes(sha256.bytes.size());
    std::transform(raw.begin(), raw.end(), sha256.bytes.begin(),
                   [](char c) { return static_cast<uint8_t>(c); });
    return sha256;
}

void put_head(ByteWriter& out, uint32_t magic) {
    out.put(magic);
    out.put(kVersion);
}

void get_head(ByteReader& in, uint32_t magic) {
    if (in.get<uint32_t>() != magic) in.fail("not a record of this kind");
    if (in.get<uint16_t>() != kVersion) in.fail("unknown version");
}

std::string get_container_name(ByteReader& in) {
    std::string name(in.get_string());
    try {
        return ContainerName(name).str();
    } catch (const Error&) {
        in.fail("impossible container name");
    }
}

void put_package(ByteWriter& out, const InstalledPackage& package) {
    out.put(package.manifest);
    out.put(package.reason);
    out.put(package.install_date);
    out.put(package.validation);
    out.put_string(package.name);
    out.put_string(package.version);
    out.put(static_cast<uint32_t>(package.backup_md5.size()));
    for (const auto& [path, md5] : package.backup_md5) {
        out.put_string(path);
        out.put_string(md5);
    }
}

InstalledPackage get_package(ByteReader& in) {
    InstalledPackage package;
    package.manifest = in.get<ManifestId>();
    package.reason = in.get<InstallReason>();
    if (package.reason > InstallReason::dependency) in.fail("unknown install reason");
    package.install_date = in.get<int64_t>();
    package.validation = in.get<uint32_t>();
    package.name = in.get_string();
    package.version = in.get_string();
    const auto backups = in.get_count(8);
    for (uint32_t i = 0; i < backups; ++i) {
        std::string path(in.get_string());
        if (!package.backup_md5.empty() && package.backup_md5.rbegin()->first >= path)
            in.fail("paths are not in order");
        package.backup_md5.emplace_hint(package.backup_md5.end(), std::move(path), in.get_string());
    }
    return package;
}

/// Least bytes that one package, note or upstream reference takes.
constexpr size_t kPackageSize = 4 + 1 + 8 + 4 + 4 + 4 + 4;
constexpr size_t kNoteSize = 8;
constexpr size_t kUpstreamSize = 12;

void check_generation(const Generation& generation) {
    const auto reject = [&](std::string_view rule) {
        throw Error("check generation of", generation.container, rule).as(Fault::corrupt);
    };
    if (generation.number == 0 || generation.parent >= generation.number) reject("impossible number");
    std::set<std::string_view> names;
    for (const InstalledPackage& package : generation.packages) {
        if (package.manifest == 0 || package.name.empty()) reject("package without manifest or name");
        if (!names.insert(package.name).second) reject("a package is listed twice");
    }
    for (const GenerationRef& upstream : generation.upstream) {
        if (upstream.generation == 0) reject("impossible upstream generation");
    }
}

}  // namespace

// --- Delta ---------------------------------------------------------------------------------------

std::string Delta::encode() const {
    codec::Front front{kDeltaMagic, 0, 0, {}};
    std::vector<Entry> plain;
    plain.reserve(entries.size());
    for (const DeltaEntry& entry : entries) {
        front.ids.push_back(entry.entry.object);
        plain.push_back(entry.entry);
    }
    ByteWriter out;
    codec::put_front(out, front);
    codec::put_entries(out, plain, codec::Whiteouts::allowed);
    for (const DeltaEntry& entry : entries) {
        out.put(entry.cause);
        out.put_string(entry.agent);
        put_sha256(out, entry.below);
    }
    return out.take();
}

Delta Delta::decode(std::string_view bytes) {
    ByteReader in(bytes, "delta");
    const codec::Front front = codec::get_front(in, kDeltaMagic);
    if (front.first_tag != 0 || front.second_tag != 0) in.fail("unknown flag");
    std::vector<Entry> plain = codec::get_entries(in, front.ids, codec::Whiteouts::allowed);
    Delta delta;
    delta.entries.reserve(plain.size());
    for (Entry& entry : plain) {
        DeltaEntry full;
        full.entry = std::move(entry);
        full.cause = in.get<Cause>();
        if (full.cause < Cause::engine || full.cause > Cause::user) in.fail("unknown cause");
        full.agent = in.get_string();
        full.below = get_sha256(in);
        delta.entries.push_back(std::move(full));
    }
    in.expect_end();
    return delta;
}

void Delta::for_each_object(std::string_view bytes, void (*visit)(void* context, ObjectId id),
                            void* context) {
    codec::visit_front(bytes, kDeltaMagic, "delta", visit, context);
}

const DeltaEntry* Delta::find(std::string_view path) const {
    const auto at = std::lower_bound(
        entries.begin(), entries.end(), path,
        [](const DeltaEntry& entry, std::string_view wanted) { return entry.entry.path < wanted; });
    return at != entries.end() && at->entry.path == path ? &*at : nullptr;
}

// --- Generation ----------------------------------------------------------------------------------

std::string Generation::encode() const {
    check_generation(*this);
    ByteWriter out;
    put_head(out, kGenerationMagic);
    out.put_string(ContainerName(container).str());
    out.put(number);
    out.put(parent);
    out.put(transaction);
    out.put(time);
    out.put(delta);
    out.put_string(cause);
    put_sha256(out, policy);
    put_sha256(out, recipe_digest);
    put_sha256(out, tree_digest);
    put_sha256(out, digest);
    out.put(static_cast<uint32_t>(upstream.size()));
    for (const GenerationRef& below : upstream) {
        out.put_string(ContainerName(below.container).str());
        out.put(below.generation);
    }
    out.put(static_cast<uint32_t>(packages.size()));
    for (const InstalledPackage& package : packages)
        put_package(out, package);
    out.put(static_cast<uint32_t>(notes.size()));
    for (const TransactionNote& note : notes) {
        out.put_string(note.subject);
        out.put_string(note.text);
    }
    return out.take();
}

Generation Generation::decode(std::string_view bytes) {
    ByteReader in(bytes, "generation");
    get_head(in, kGenerationMagic);
    Generation generation;
    generation.container = get_container_name(in);
    generation.number = in.get<uint64_t>();
    generation.parent = in.get<uint64_t>();
    generation.transaction = in.get<uint64_t>();
    generation.time = in.get<int64_t>();
    generation.delta = in.get<uint32_t>();
    generation.cause = in.get_string();
    generation.policy = get_sha256(in);
    generation.recipe_digest = get_sha256(in);
    generation.tree_digest = get_sha256(in);
    generation.digest = get_sha256(in);
    generation.upstream.resize(in.get_count(kUpstreamSize));
    for (GenerationRef& below : generation.upstream) {
        below.container = get_container_name(in);
        below.generation = in.get<uint64_t>();
    }
    generation.packages.resize(in.get_count(kPackageSize));
    for (InstalledPackage& package : generation.packages)
        package = get_package(in);
    generation.notes.resize(in.get_count(kNoteSize));
    for (TransactionNote& note : generation.notes) {
        note.subject = in.get_string();
        note.text = in.get_string();
    }
    in.expect_end();
    check_generation(generation);
    return generation;
}

const InstalledPackage* Generation::find_package(std::string_view name) const {
    const auto at = std::find_if(packages.begin(), packages.end(),
                                 [&](const InstalledPackage& package) { return package.name == name; });
    return at != packages.end() ? &*at : nullptr;
}

// --- Container -----------------------------------------------------------------------------------

std::string ContainerRow::encode() const {
    ByteWriter out;
    put_head(out, kContainerMagic);
    out.put(type);
    out.put(current);
    out.put(last_number);
    out.put(static_cast<uint32_t>(dependencies.size()));
    for (const std::string& name : dependencies)
        out.put_string(ContainerName(name).str());
    return out.take();
}

ContainerRow ContainerRow::decode(std::string_view bytes) {
    ByteReader in(bytes, "container");
    get_head(in, kContainerMagic);
    ContainerRow row;
    row.type = in.get<ContainerType>();
    if (row.type < ContainerType::base || row.type > ContainerType::symbolic) in.fail("unknown type");
    row.current = in.get<uint64_t>();
    row.last_number = in.get<uint64_t>();
    if (row.current > row.last_number) in.fail("impossible number");
    row.dependencies.resize(in.get_count(sizeof(uint32_t)));
    for (std::string& name : row.dependencies)
        name = get_container_name(in);
    in.expect_end();
    return row;
}

}  // namespace pwstore
