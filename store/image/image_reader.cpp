// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/image/image_reader.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
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
constexpr const char* kIndexFile = "index.json";
constexpr const char* kDockerFile = "manifest.json";

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

/// Members of the outer archive, as far as it has been read: each in a file of its own.
class Image::Members {
 public:
    Members(int in, int directory, const ImageLimits& limits, ProgressSink& sink)
        : tar_(in, "image"), directory_(directory), limits_(limits), sink_(sink) {}

    /// Read one more. False at the end.
    bool read_one() {
        if (has_ended_) return false;
        const auto entry = tar_.next();
        has_ended_ = !entry;
        if (has_ended_) return false;
        if (++count_ > limits_.members) throw broken("image", "it has too many members").as(Fault::refused);
        const std::string path = entry->path.starts_with("./") ? entry->path.substr(2) : entry->path;
        if (entry->kind == TarEntry::Kind::directory) return true;
        if (entry->kind == TarEntry::Kind::symlink) {  // of docker: a layer that is there already
            aliases_[path] = entry->target;
            return true;
        }
        if (entry->kind != TarEntry::Kind::file) throw broken(path, "it is neither a file nor a directory");
        total_ += entry->size;
        if (total_ > limits_.bytes) throw broken("image", "it is too large").as(Fault::refused);
        spool(path);
        return true;
    }

    struct Member {
        std::string file;  ///< in the directory
        Sha256 digest;
    };
    [[nodiscard]] const Member* find(std::string path) const {
        if (const auto alias = aliases_.find(path); alias != aliases_.end()) {
            // "../ID/layer.tar", as docker writes them
            std::string target = alias->second;
            if (target.starts_with("../")) target.erase(0, 3);
            path = target;
        }
        const auto found = members_.find(path);
        return found == members_.end() ? nullptr : &found->second;
    }
    [[nodiscard]] const Member& get(const std::string& path) const {
        const Member* member = find(path);
        if (member == nullptr) throw broken(path, "it is missing");
        return *member;
    }
    [[nodiscard]] Fd open(const std::string& path) const {
        return open_at(directory_, get(path).file, O_RDONLY | O_NOFOLLOW);
    }
    [[nodiscard]] json read_json(const std::string& path) const {
        const Member& member = get(path);
        if (stat_at(directory_, member.file).st_size > static_cast<off_t>(limits_.json_bytes))
            throw broken("image", "a description of it is too large").as(Fault::refused);
        return json::parse(read_file(directory_, member.file));
    }

 private:
    void spool(const std::string& path) {
        const std::string name = fmt::format("blob-{}", count_);
        const Fd file = open_at(directory_, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        Sha256Stream digest;
        for (std::string_view piece = tar_.read(); !piece.empty(); piece = tar_.read()) {
            digest.update(piece);
            write_all(file.get(), piece, path);
        }
        const Sha256 found = digest.finish();
        if (path.starts_with(kBlobs) && path.substr(kBlobs.size()) != found.hex())
            throw broken(path, "it is not what its name says");
        members_[path] = {name, found};
        sink_.progress("read", "image", count_, 0);
    }

    TarReader tar_;
    int directory_;
    ImageLimits limits_;
    ProgressSink& sink_;
    uint64_t total_ = 0;
    size_t count_ = 0;
    bool has_ended_ = false;
    std::map<std::string, Member> members_;
    std::map<std::string, std::string> aliases_;
};

/// What the members say.
class Image::Loader {
 public:
    explicit Loader(std::shared_ptr<Members> members) { image_.members_ = std::move(members); }

    Image load(Arrival arrival) {
        try {
            // A bundle describes itself first, and has its contents last.
            while (arrival == Arrival::at_once || !is_described()) {
                if (!members().read_one()) break;
            }
            describe();
            if (!image_.is_partial()) image_.receive_rest();
        } catch (const json::exception& error) {
            throw broken("image", fmt::format("its description makes no sense: {}", printable(error.what())));
        }
        return std::move(image_);
    }

 private:
    [[nodiscard]] Members& members() const { return *image_.members_; }

    [[nodiscard]] const char* index_file() const {
        return members().find(kBundleIndexFile) != nullptr ? kBundleIndexFile : kIndexFile;
    }
    void describe() {
        if (members().find(index_file()) != nullptr) {
            read_index();
        } else if (members().find(kDockerFile) != nullptr) {
            read_docker_archive();
        } else {
            throw broken("image", "it has neither index.json nor manifest.json")
                .with_hint("an OCI image-layout tar or one of 'docker save' is expected");
        }
    }

    /// Everything but contents is there. Looked at only a few times: it may be anything.
    [[nodiscard]] bool is_described() {
        constexpr unsigned kMostLooks = 8;
        if (members().find(index_file()) == nullptr || ++looks_ > kMostLooks) return false;
        const std::string manifest_path = path_of(only(members().read_json(index_file()).at("manifests")));
        if (members().find(manifest_path) == nullptr) return false;
        const json manifest = members().read_json(manifest_path);
        if (!manifest.contains("config") || !manifest.contains("layers")) return false;
        if (members().find(path_of(manifest.at("config"))) == nullptr) return false;
        const json& layers = manifest.at("layers");
        return std::all_of(layers.begin(), layers.end(), [&](const json& layer) {
            return layer.value("mediaType", "") == kContentsType || members().find(path_of(layer)) != nullptr;
        });
    }

    static std::string path_of(const json& described) {
        return std::string(kBlobs) + sha256_from(described.at("digest")).hex();
    }

    void read_index() {
        json index = members().read_json(index_file());
        json described = only(index.at("manifests"));
        // An index may lead to another one, by platform.
        if (described.value("mediaType", "") == kIndexType) {
            index = members().read_json(path_of(described));
            described = only(index.at("manifests"));
        }
        image_.digest_ = members().get(path_of(described)).digest;
        if (described.contains("annotations")) {
            image_.name_ = described["annotations"].value(kNameAnnotation, "");
            image_.signature_ = described["annotations"].value(kSignatureAnnotation, "");
        }
        const json manifest = members().read_json(path_of(described));
        read_layers(manifest);
        add_diff_ids(members().read_json(path_of(manifest.at("config"))));
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
        for (const json& described : manifest.at("layers")) {
            const std::string type = described.value("mediaType", "");
            if (type != kContentsType) (void)members().get(path_of(described));
            image_.layers_.push_back({path_of(described), type, std::nullopt});
        }
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
        const json described = only(members().read_json(kDockerFile));
        const auto config = described.at("Config").get<std::string>();
        image_.digest_ = members().get(config).digest;
        if (described.contains("RepoTags") && described["RepoTags"].is_array() &&
            !described["RepoTags"].empty())
            image_.name_ = described["RepoTags"][0].get<std::string>();
        for (const json& layer : described.at("Layers")) {
            image_.layers_.push_back({layer.get<std::string>(), "", std::nullopt});
            (void)members().get(image_.layers_.back().member);
        }
        add_diff_ids(members().read_json(config));
    }

    Image image_;
    unsigned looks_ = 0;
};

Image Image::read(int in, int directory, const ImageLimits& limits, ProgressSink& sink, Arrival arrival) {
    return Loader(std::make_shared<Members>(in, directory, limits, sink)).load(arrival);
}

void Image::receive(const Layer& layer) const {
    while (members_->find(layer.member) == nullptr) {
        if (!members_->read_one()) throw broken(layer.member, "it is missing");
    }
}

void Image::receive_rest() const {
    while (members_->read_one()) {
    }
}

Fd Image::open(const Layer& layer) const {
    return members_->open(layer.member);
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
        throw broken(layer.member, "a layer does not unpack to what the configuration says");
}

bool Image::is_partial() const {
    for (const Layer& layer : layers_) {
        if (layer.type == kPartialType || layer.type == kContentsType) return true;
    }
    return false;
}

}  // namespace pwstore::image
