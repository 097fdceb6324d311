// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/manifest.hpp"

#include <algorithm>

#include "store/base/bytes.hpp"
#include "store/entry_codec.hpp"

namespace pwstore {

namespace {

constexpr uint32_t kMagic = 0x464D5750U;  // "PWMF"
constexpr size_t kSideObjects = 4;
constexpr size_t kWordLimit = 1024;

/// Package name, version, architecture: they become parts of file names.
void check_word(std::string_view word, const char* what) {
    if (word.size() > kWordLimit ||
        word.find_first_of(std::string_view("/\n\0", 3)) != std::string_view::npos) {
        throw Error("check manifest", word, std::string("impossible ") + what).as(Fault::corrupt);
    }
}

void check_words(const Manifest& manifest) {
    check_word(manifest.name, "package name");
    check_word(manifest.version, "version");
    check_word(manifest.arch, "architecture");
}

Manifest get_head(ByteReader& in, const codec::Front& front) {
    if (front.ids.size() < kSideObjects) in.fail("too few objects");
    if (front.first_tag != static_cast<uint8_t>(Origin::archive) &&
        front.first_tag != static_cast<uint8_t>(Origin::import)) {
        in.fail("unknown origin");
    }
    if (front.second_tag > 1) in.fail("unknown flag");
    Manifest manifest;
    manifest.origin = static_cast<Origin>(front.first_tag);
    manifest.pkginfo = front.ids[0];
    manifest.install = front.ids[1];
    manifest.mtree = front.ids[2];
    manifest.changelog = front.ids[3];
    if (front.second_tag == 1) {
        manifest.archive_sha256.emplace();
        for (uint8_t& byte : manifest.archive_sha256->bytes)
            byte = in.get<uint8_t>();
    }
    manifest.name = in.get_string();
    manifest.version = in.get_string();
    manifest.arch = in.get_string();
    check_words(manifest);
    return manifest;
}

}  // namespace

std::string Manifest::encode() const {
    check_words(*this);
    codec::Front front{kMagic, static_cast<uint8_t>(origin), archive_sha256.has_value(), {}};
    front.ids.reserve(kSideObjects + entries.size());
    front.ids = {pkginfo, install, mtree, changelog};
    for (const Entry& entry : entries)
        front.ids.push_back(entry.object);
    ByteWriter out;
    codec::put_front(out, front);
    if (archive_sha256) {
        for (const uint8_t byte : archive_sha256->bytes)
            out.put(byte);
    }
    out.put_string(name);
    out.put_string(version);
    out.put_string(arch);
    codec::put_entries(out, entries, codec::Whiteouts::refused);
    return out.take();
}

Manifest Manifest::decode(std::string_view bytes) {
    ByteReader in(bytes, "manifest");
    const codec::Front front = codec::get_front(in, kMagic);
    Manifest manifest = get_head(in, front);
    manifest.entries =
        codec::get_entries(in, std::span(front.ids).subspan(kSideObjects), codec::Whiteouts::refused);
    in.expect_end();
    return manifest;
}

Manifest Manifest::decode_head(std::string_view bytes) {
    ByteReader in(bytes, "manifest");
    const codec::Front front = codec::get_front(in, kMagic);
    return get_head(in, front);
}

void Manifest::for_each_object(std::string_view bytes, void (*visit)(void* context, ObjectId id),
                               void* context) {
    codec::visit_front(bytes, kMagic, "manifest", visit, context);
}

const Entry* Manifest::find(std::string_view path) const {
    const auto at =
        std::lower_bound(entries.begin(), entries.end(), path,
                         [](const Entry& entry, std::string_view wanted) { return entry.path < wanted; });
    return at != entries.end() && at->path == path ? &*at : nullptr;
}

}  // namespace pwstore
