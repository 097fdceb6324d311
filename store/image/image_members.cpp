// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/image/image_members.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include "store/base/path_at.hpp"

namespace pwstore::image {

namespace {

using nlohmann::json;

constexpr std::string_view kBlobs = "blobs/sha256/";
constexpr std::string_view kDigestPrefix = "sha256:";
constexpr int kDeepest = 256;  ///< of lists and objects in each other

}  // namespace

Error broken_image(std::string_view what, std::string_view cause) {
    Error error("read image", printable(what), cause);
    return error.as(Fault::corrupt);
}

Sha256 sha256_from(const json& value) {
    const auto text = value.get<std::string>();
    if (!text.starts_with(kDigestPrefix)) throw broken_image(text, "only SHA-256 digests are known");
    try {
        return Sha256::from_hex(std::string_view(text).substr(kDigestPrefix.size()));
    } catch (const Error&) {
        throw broken_image(text, "it is no digest");
    }
}

std::string blob_path(const json& descriptor) {
    return std::string(kBlobs) + sha256_from(descriptor.at("digest")).hex();
}

json list_in(const json& object, const char* name) {
    const auto found = object.find(name);
    if (found == object.end() || found->is_null()) return json::array();
    if (!found->is_array()) throw broken_image(name, "it is no list");
    return *found;
}

bool ImageMembers::read_one() {
    if (has_ended_) return false;
    const auto entry = tar_.next();
    has_ended_ = !entry;
    if (has_ended_) return false;
    if (++count_ > limits_.members) throw broken_image("image", "it has too many members").as(Fault::refused);
    const auto path = cleaned_path(entry->path);
    if (!path) throw broken_image(entry->path, "its name leads out of the archive").as(Fault::refused);
    if (entry->kind == TarEntry::Kind::symlink || entry->kind == TarEntry::Kind::hard_link) {
        add_link(*path, *entry);
    } else if (entry->kind == TarEntry::Kind::file) {
        total_ += entry->size;
        if (total_ > limits_.bytes) throw broken_image("image", "it is too large").as(Fault::refused);
        spool(*path);
    }
    return true;
}

/// A layer that is there already: programs write it as a symlink, and tar(1) as a hard link.
void ImageMembers::add_link(const std::string& path, const TarEntry& entry) {
    std::string target = entry.target;
    if (entry.kind == TarEntry::Kind::symlink && !target.starts_with('/'))
        target = path.substr(0, path.rfind('/') + 1) + target;
    members_.erase(path);
    links_[path] = cleaned_path(target).value_or("");
}

void ImageMembers::spool(const std::string& path) {
    const std::string name = fmt::format("blob-{}", count_);
    const Fd file = open_at(directory_, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    Sha256Stream digest;
    for (std::string_view piece = tar_.read(); !piece.empty(); piece = tar_.read()) {
        digest.update(piece);
        write_all(file.get(), piece, path);
    }
    links_.erase(path);
    members_[path] = {name, digest.finish()};
    (void)find(path);
    sink_.progress("read", "image", count_, 0);
}

const ImageMembers::Member* ImageMembers::find(const std::string& path) const {
    std::string name = path;
    for (size_t steps = 0; steps <= links_.size(); ++steps) {
        const auto link = links_.find(name);
        if (link == links_.end()) break;
        name = link->second;
    }
    const auto found = members_.find(name);
    if (found == members_.end()) return nullptr;
    if (path.starts_with(kBlobs) && path.substr(kBlobs.size()) != found->second.digest.hex())
        throw broken_image(path, "it is not what its name says");
    return &found->second;
}

const ImageMembers::Member& ImageMembers::get(const std::string& path) const {
    const Member* member = find(cleaned_path(path).value_or(path));
    if (member == nullptr) throw broken_image(path, "it is missing");
    return *member;
}

Fd ImageMembers::open(const std::string& path) const {
    return open_at(directory_, get(path).file, O_RDONLY | O_NOFOLLOW);
}

json ImageMembers::read_json(const std::string& path) const {
    const Member& member = get(path);
    if (stat_at(directory_, member.file).st_size > static_cast<off_t>(limits_.json_bytes))
        throw broken_image("image", "a description of it is too large").as(Fault::refused);
    // Whatever walks through it later does so by recursion.
    return json::parse(read_file(directory_, member.file), [&](int depth, json::parse_event_t, const json&) {
        if (depth > kDeepest) throw broken_image(path, "its lists lie in each other too deeply");
        return true;
    });
}

}  // namespace pwstore::image
