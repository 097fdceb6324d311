// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/image/image_reader.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/image/image_format.hpp"
#include "store/package/tar_io.hpp"

namespace pwstore::image {

namespace {

using nlohmann::json;

constexpr std::string_view kBlobs = "blobs/sha256/";
constexpr std::string_view kDigestPrefix = "sha256:";

Error broken(std::string_view what, std::string_view cause) {
    Error error("read image", printable(what), cause);
    return error.as(Fault::corrupt);
}

Sha256 sha256_from(const json& value) {
    const auto text = value.get<std::string>();
    if (!text.starts_with(kDigestPrefix)) throw broken(text, "only SHA-256 digests are known");
    try {
        return Sha256::from_hex(std::string_view(text).substr(kDigestPrefix.size()));
    } catch (const Error&) {
        throw broken(text, "it is no digest");
    }
}

}  // namespace

/// Members of the outer archive, and what they say.
class Image::Loader {
 public:
    Loader(int in, int directory, const ImageLimits& limits, ProgressSink& sink)
        : in_(in), directory_(directory), limits_(limits), sink_(sink) {}

    Image load() {
        unpack();
        image_.directory_ = directory_;
        try {
            if (members_.contains("index.json")) {
                read_index();
            } else if (members_.contains("manifest.json")) {
                read_docker_archive();
            } else {
                throw broken("image", "it has neither index.json nor manifest.json")
                    .with_hint("an OCI image-layout tar or one of 'docker save' is expected");
            }
        } catch (const json::exception& error) {
            throw broken("image", fmt::format("its description makes no sense: {}", printable(error.what())));
        }
        return std::move(image_);
    }

 private:
    void unpack() {
        TarReader tar(in_, "image");
        uint64_t total = 0;
        size_t count = 0;
        for (auto entry = tar.next(); entry; entry = tar.next()) {
            if (++count > limits_.members)
                throw broken("image", "it has too many members").as(Fault::refused);
            std::string path = entry->path.starts_with("./") ? entry->path.substr(2) : entry->path;
            if (entry->kind == TarEntry::Kind::directory) continue;
            if (entry->kind == TarEntry::Kind::symlink) {  // of docker: a layer that is there already
                aliases_[path] = entry->target;
                continue;
            }
            if (entry->kind != TarEntry::Kind::file)
                throw broken(path, "it is neither a file nor a directory");
            total += entry->size;
            if (total > limits_.bytes) throw broken("image", "it is too large").as(Fault::refused);
            spool(tar, path, count);
        }
    }

    void spool(TarReader& tar, const std::string& path, size_t number) {
        const std::string name = fmt::format("blob-{}", number);
        const Fd file = open_at(directory_, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        Sha256Stream digest;
        for (std::string_view piece = tar.read(); !piece.empty(); piece = tar.read()) {
            digest.update(piece);
            write_all(file.get(), piece, path);
        }
        const Sha256 found = digest.finish();
        if (path.starts_with(kBlobs) && path.substr(kBlobs.size()) != found.hex())
            throw broken(path, "it is not what its name says");
        members_[path] = {name, found};
        sink_.progress("read", "image", number, 0);
    }

    struct Member {
        std::string file;
        Sha256 digest;
    };

    const Member& member(std::string path) const {
        if (const auto alias = aliases_.find(path); alias != aliases_.end()) {
            // "../ID/layer.tar", as docker writes them
            std::string target = alias->second;
            if (target.starts_with("../")) target.erase(0, 3);
            path = target;
        }
        const auto found = members_.find(path);
        if (found == members_.end()) throw broken(path, "it is missing");
        return found->second;
    }
    const Member& blob(const json& described) const {
        const Sha256 digest = sha256_from(described.at("digest"));
        return member(std::string(kBlobs) + digest.hex());
    }
    json read_json(const Member& member) const {
        if (stat_at(directory_, member.file).st_size > static_cast<off_t>(limits_.json_bytes))
            throw broken("image", "a description of it is too large").as(Fault::refused);
        return json::parse(read_file(directory_, member.file));
    }

    void read_index() {
        json index = read_json(member("index.json"));
        json described = only(index.at("manifests"));
        // An index may lead to another one, by platform.
        if (described.value("mediaType", "") == kIndexType) {
            index = read_json(blob(described));
            described = only(index.at("manifests"));
        }
        image_.digest_ = blob(described).digest;
        if (described.contains("annotations")) {
            image_.name_ = described["annotations"].value(kNameAnnotation, "");
            image_.signature_ = described["annotations"].value(kSignatureAnnotation, "");
        }
        const json manifest = read_json(blob(described));
        read_layers(manifest);
        add_diff_ids(read_json(blob(manifest.at("config"))));
    }

    static json only(const json& list) {
        if (list.size() != 1) {
            throw broken("image", fmt::format("there are {} images in it, not one", list.size()))
                .as(Fault::refused)
                .with_hint("save them one by one");
        }
        return list[0];
    }

    void read_layers(const json& manifest) {
        for (const json& described : manifest.at("layers"))
            image_.layers_.push_back({blob(described).file, described.value("mediaType", ""), std::nullopt});
    }

    void add_diff_ids(const json& config) {
        const json& list = config.at("rootfs").at("diff_ids");
        if (list.size() != image_.layers_.size())
            throw broken("image", "its layers are not those of its configuration");
        for (size_t at = 0; at < list.size(); ++at)
            image_.layers_[at].diff_id = sha256_from(list[at]);
        take_home(config);
    }
    void take_home(const json& config) {
        const json labels = config.value(json::json_pointer("/config/Labels"), json());
        if (!labels.is_object() || !labels.contains(kHomeLabel)) return;
        if (image_.layers_.empty() || image_.layers_.back().diff_id != sha256_from(labels[kHomeLabel]))
            throw broken("image", "its home is not its last layer");
        image_.home_ = std::move(image_.layers_.back());
        image_.layers_.pop_back();
    }

    void read_docker_archive() {
        const json described = only(read_json(member("manifest.json")));
        const Member& config = member(described.at("Config").get<std::string>());
        image_.digest_ = config.digest;
        if (described.contains("RepoTags") && described["RepoTags"].is_array() &&
            !described["RepoTags"].empty())
            image_.name_ = described["RepoTags"][0].get<std::string>();
        for (const json& layer : described.at("Layers"))
            image_.layers_.push_back({member(layer.get<std::string>()).file, "", std::nullopt});
        add_diff_ids(read_json(config));
    }

    int in_;
    int directory_;
    const ImageLimits& limits_;
    ProgressSink& sink_;
    Image image_;
    std::map<std::string, Member> members_;
    std::map<std::string, std::string> aliases_;
};

Image Image::read(int in, int directory, const ImageLimits& limits, ProgressSink& sink) {
    return Loader(in, directory, limits, sink).load();
}

Fd Image::open(const Layer& layer) const {
    return open_at(directory_, layer.file, O_RDONLY | O_NOFOLLOW);
}

void extract_contents(const Image& image, const std::set<Sha256>& wanted, int directory,
                      const std::function<void(const Sha256& content, int fd)>& give) {
    std::set<Sha256> left = wanted;
    for (const Image::Layer& layer : image.layers()) {
        if (left.empty()) return;
        const Fd file = image.open(layer);
        const PackedBuffer packed;
        const PackedFile source(file.get(), "layer of image", packed);
        ArchiveReader reader(source, IngestLimits{});
        for (ArchiveMember member; reader.next(member);) {
            if (member.kind != MemberKind::file) continue;
            const Fd content = open_at(directory, ".", O_TMPFILE | O_RDWR, 0600);
            Sha256Stream digest;
            for (std::string_view piece = reader.read_piece(); !piece.empty(); piece = reader.read_piece()) {
                digest.update(piece);
                write_all(content.get(), piece, member.path);
            }
            const Sha256 found = digest.finish();
            if (left.erase(found) == 0) continue;
            if (::lseek(content.get(), 0, SEEK_SET) != 0) throw Error::from_errno("read back", member.path);
            give(found, content.get());
        }
    }
}

void check_layer(ArchiveReader& reader, const Image::Layer& layer) {
    if (!layer.diff_id || reader.unpacked_digest() != *layer.diff_id)
        throw broken(layer.file, "a layer does not unpack to what the configuration says");
}

bool Image::is_partial() const {
    for (const Layer& layer : layers_) {
        if (layer.type == kPartialType) return true;
    }
    return false;
}

}  // namespace pwstore::image
