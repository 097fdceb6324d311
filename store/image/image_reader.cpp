// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/image/image_reader.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/image/image_catalog.hpp"
#include "store/image/image_format.hpp"
#include "store/image/image_members.hpp"

namespace pwstore::image {

namespace {

using nlohmann::json;

/// Strings of the list that `object` has under this name.
std::vector<std::string> strings_in(const json& object, const char* name) {
    return list_in(object, name).get<std::vector<std::string>>();
}

std::string text_in(const json& object, const char* name) {
    const auto found = object.find(name);
    return found == object.end() || found->is_null() ? "" : found->get<std::string>();
}

RunDescription run_description(const json& config) {
    RunDescription run;
    const auto found = config.find("config");
    if (found == config.end() || !found->is_object()) return run;
    run.environment = strings_in(*found, "Env");
    run.entrypoint = strings_in(*found, "Entrypoint");
    run.command = strings_in(*found, "Cmd");
    run.working_directory = text_in(*found, "WorkingDir");
    run.user = text_in(*found, "User");
    for (const char* other : {"ExposedPorts", "Volumes", "StopSignal", "Healthcheck"}) {
        if (found->contains(other) && !(*found)[other].empty()) run.others.emplace_back(other);
    }
    return run;
}

}  // namespace

/// What the members say.
class Image::Loader {
 public:
    explicit Loader(std::shared_ptr<ImageMembers> members) { image_.members_ = std::move(members); }

    Image load(Arrival arrival, std::string_view which) {
        try {
            // A bundle describes itself first, and has its contents last.
            while (arrival == Arrival::at_once || !is_described_bundle()) {
                if (!members().read_one()) break;
            }
            describe(which);
            if (!image_.is_partial()) image_.receive_rest();
        } catch (const json::exception& error) {
            throw broken_image("image",
                               fmt::format("its description makes no sense: {}", printable(error.what())));
        }
        return std::move(image_);
    }

 private:
    [[nodiscard]] ImageMembers& members() const { return *image_.members_; }

    /// Everything of a bundle but its contents is there. Looked at only a few times: it may be anything.
    [[nodiscard]] bool is_described_bundle() {
        constexpr unsigned kMostLooks = 8;
        const char* index = index_file(members());
        if (members().find(index) == nullptr || ++looks_ > kMostLooks) return false;
        const json manifests = list_in(members().read_json(index), "manifests");
        if (manifests.size() != 1) return false;
        const std::string path = blob_path(manifests[0]);
        if (members().find(path) == nullptr) return false;
        const json manifest = members().read_json(path);
        if (!manifest.contains("config") || members().find(blob_path(manifest["config"])) == nullptr)
            return false;
        const json layers = list_in(manifest, "layers");
        const auto has_contents = [](const json& layer) {
            return layer.value("mediaType", "") == kContentsType;
        };
        return std::any_of(layers.begin(), layers.end(), has_contents) &&
               std::all_of(layers.begin(), layers.end(), [&](const json& layer) {
                   return has_contents(layer) || members().find(blob_path(layer)) != nullptr;
               });
    }

    void describe(std::string_view which) {
        ImageCatalog::Chosen chosen = ImageCatalog(members()).choose(which);
        image_.digest_ = chosen.form.digest;
        image_.name_ = std::move(chosen.name);
        image_.signature_ = std::move(chosen.form.signature);
        image_.platform_ = std::move(chosen.form.platform);
        const json& described = chosen.form.described;
        const json manifest = chosen.form.of_docker ? json() : members().read_json(blob_path(described));
        for (const json& layer : list_in(chosen.form.of_docker ? described : manifest,
                                         chosen.form.of_docker ? "Layers" : "layers")) {
            image_.layers_.push_back(chosen.form.of_docker
                                         ? Layer{layer.get<std::string>(), "", std::nullopt}
                                         : Layer{blob_path(layer), layer.value("mediaType", ""), {}});
            if (image_.layers_.back().type != kContentsType)
                (void)members().get(image_.layers_.back().member);
        }
        const json config =
            members().read_json(chosen.form.of_docker ? described.at("Config").get<std::string>()
                                                      : blob_path(manifest.at("config")));
        image_.run_ = run_description(config);
        add_diff_ids(config);
        take_home(config);
    }

    void add_diff_ids(const json& config) {
        const json list = list_in(config.value("rootfs", json::object()), "diff_ids");
        if (list.size() != image_.layers_.size())
            throw broken_image("image", "its layers are not those of its configuration");
        for (size_t at = 0; at < list.size(); ++at)
            image_.layers_[at].diff_id = sha256_from(list[at]);
    }

    void take_home(const json& config) {
        const json labels = config.value(json::json_pointer("/config/Labels"), json());
        if (!labels.is_object() || !labels.contains(kHomeLabel)) return;
        if (image_.layers_.empty() || image_.layers_.back().diff_id != sha256_from(labels[kHomeLabel]))
            throw broken_image("image", "its home is not its last layer");
        image_.home_ = std::move(image_.layers_.back());
        image_.layers_.pop_back();
    }

    Image image_;
    unsigned looks_ = 0;
};

Image Image::read(int in, int directory, const ImageLimits& limits, ProgressSink& sink, Arrival arrival,
                  std::string_view which) {
    return Loader(std::make_shared<ImageMembers>(in, directory, limits, sink)).load(arrival, which);
}

void Image::receive(const Layer& layer) const {
    while (members_->find(layer.member) == nullptr) {
        if (!members_->read_one()) throw broken_image(layer.member, "it is missing");
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
        const PackedFile source(file.get(), layer.member, packed);
        ArchiveReader reader(source, kLayerLimits, UnpackedDigest::none, kLayerRules);
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
        throw broken_image(layer.member, "a layer does not unpack to what the configuration says");
}

bool Image::is_partial() const {
    for (const Layer& layer : layers_) {
        if (layer.type == kPartialType || layer.type == kContentsType) return true;
    }
    return false;
}

}  // namespace pwstore::image
