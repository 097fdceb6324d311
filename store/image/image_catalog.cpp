// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/image/image_catalog.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "store/base/error.hpp"
#include "store/image/image_format.hpp"

namespace pwstore::image {

namespace {

using nlohmann::json;

constexpr const char* kIndexFile = "index.json";
constexpr const char* kDockerFile = "manifest.json";
constexpr const char* kContainerdName = "io.containerd.image.name";
constexpr const char* kReferenceType = "vnd.docker.reference.type";
constexpr std::array<std::string_view, 3> kConfigTypes{"", kConfigType,
                                                       "application/vnd.docker.container.image.v1+json"};
constexpr size_t kShownDigits = 12;
constexpr size_t kFewestDigits = 6;

std::string annotation(const json& described, const char* name) {
    const auto found = described.find("annotations");
    return found == described.end() || !found->is_object() ? "" : found->value(name, "");
}

/// What is no image for anybody: attestations, and what says so itself.
bool is_no_image(const json& described) {
    if (!annotation(described, kReferenceType).empty()) return true;
    const auto platform = described.find("platform");
    return platform != described.end() && platform->is_object() &&
           platform->value("architecture", "") == "unknown";
}

/// By what is in it: media types are not always there. What could be read as either is nothing.
bool is_index(const json& content, const std::string& path) {
    if (!content.contains("manifests")) return false;
    if (content.contains("config") || content.contains("layers"))
        throw broken_image(path, "it is an image and an index in one");
    return true;
}

/// Manifests also describe signatures, caches, charts: things whose layers are no archives.
bool is_image(const json& manifest) {
    if (!manifest.contains("config") || !manifest.contains("layers")) return false;
    const std::string config = manifest["config"].value("mediaType", "");
    if (std::find(kConfigTypes.begin(), kConfigTypes.end(), config) == kConfigTypes.end()) return false;
    const json layers = list_in(manifest, "layers");
    return std::all_of(layers.begin(), layers.end(), [](const json& layer) {
        const std::string type = layer.value("mediaType", "");
        return type.empty() || type.find("tar") != std::string::npos;
    });
}

Platform platform_in(const json& object) {
    return {object.value("os", ""), object.value("architecture", ""), object.value("variant", "")};
}

/// As the descriptor says; where it says nothing, as the configuration does.
Platform platform_of(const ImageMembers& members, const json& described, const std::string& config) {
    const auto platform = described.find("platform");
    if (platform != described.end() && platform->is_object()) return platform_in(*platform);
    if (members.find(config) == nullptr) return {};
    return platform_in(members.read_json(config));
}

/// `which` names an image that is called `name`: all of it, or without registry or tag.
bool names(std::string_view which, std::string_view name) {
    const auto ends_at_slash = [&](std::string_view whole) {
        return whole == which || (whole.size() > which.size() && whole.ends_with(which) &&
                                  whole[whole.size() - which.size() - 1] == '/');
    };
    const size_t slash = name.rfind('/');
    const size_t colon = name.find(':', slash == std::string_view::npos ? 0 : slash);
    return ends_at_slash(name) || ends_at_slash(name.substr(0, colon));
}

bool names_form(std::string_view which, const ImageCatalog::Form& form) {
    const Platform& platform = form.platform;
    if (!platform.architecture.empty() &&
        (which == platform.text() || which == Platform{platform.os, platform.architecture, ""}.text()))
        return true;
    if (which.starts_with("sha256:")) which.remove_prefix(7);
    return which.size() >= kFewestDigits && form.digest.hex().starts_with(which);
}

std::string shown(const ImageCatalog::Choice& choice, const ImageCatalog::Form& form) {
    return fmt::format("{} (sha256:{}, {})",
                       choice.names.empty() ? "without a name" : printable(choice.names.front()),
                       form.digest.hex().substr(0, kShownDigits), printable(form.platform.text()));
}

}  // namespace

const char* index_file(const ImageMembers& members) {
    return members.find(kBundleIndexFile) != nullptr ? kBundleIndexFile : kIndexFile;
}

std::string name_in(const json& described) {
    const std::string name = annotation(described, kContainerdName);
    return name.empty() ? annotation(described, kNameAnnotation) : name;
}

ImageCatalog::ImageCatalog(const ImageMembers& members) : members_(members) {
    if (members_.find(index_file(members_)) != nullptr) {
        read_index(members_.read_json(index_file(members_)));
    } else if (members_.find(kDockerFile) != nullptr) {
        read_docker_list(members_.read_json(kDockerFile));
    } else {
        throw broken_image("image", "it has neither index.json nor manifest.json")
            .with_hint("an OCI image-layout tar or one of 'docker save' is expected");
    }
}

/// Forms of one image may stand beside each other in the outermost index as well.
size_t ImageCatalog::choice_for(const json& described) {
    const std::string name = name_in(described);
    const bool is_by_platform = described.contains("platform");
    for (size_t at = 0; is_by_platform && at < choices_.size(); ++at) {
        const std::vector<std::string>& there = choices_[at].names;
        if (choices_[at].is_by_platform && (there.empty() ? name.empty() : there.front() == name)) return at;
    }
    choices_.push_back({{}, {}, is_by_platform});
    if (!name.empty()) choices_.back().names.push_back(name);
    return choices_.size() - 1;
}

void ImageCatalog::read_index(const json& index) {
    for (const json& described : list_in(index, "manifests")) {
        if (is_no_image(described)) continue;
        std::vector<Pending> open{
            {described, choice_for(described), annotation(described, kSignatureAnnotation)}};
        while (!open.empty()) {
            const Pending next = std::move(open.back());
            open.pop_back();
            std::vector<Pending> more = expand(next);
            std::move(more.rbegin(), more.rend(), std::back_inserter(open));
        }
    }
}

/// What an index leads to; an image goes into its choice.
std::vector<ImageCatalog::Pending> ImageCatalog::expand(const Pending& pending) {
    if (is_no_image(pending.described)) return {};
    const std::string path = blob_path(pending.described);
    const auto [seen, is_new] = seen_.emplace(path, pending.choice);
    if (!is_new) {  // one image by two names
        std::vector<std::string>& known = choices_[seen->second].names;
        for (const std::string& name : choices_[pending.choice].names) {
            if (std::find(known.begin(), known.end(), name) == known.end()) known.push_back(name);
        }
        return {};
    }
    if (members_.find(path) == nullptr) {
        if (missing_.empty()) missing_ = path;
        return {};
    }
    const json content = members_.read_json(path);
    if (!is_index(content, path)) {
        add_manifest(pending, content);
        return {};
    }
    std::vector<Pending> inside;
    for (const json& described : list_in(content, "manifests")) {
        const std::string signature = annotation(described, kSignatureAnnotation);
        inside.push_back({described, pending.choice, signature.empty() ? pending.signature : signature});
    }
    return inside;
}

void ImageCatalog::add_manifest(const Pending& pending, const json& manifest) {
    if (!is_image(manifest)) return;
    Form form;
    form.digest = sha256_from(pending.described.at("digest"));
    form.described = pending.described;
    form.platform = platform_of(members_, pending.described, blob_path(manifest["config"]));
    form.signature = pending.signature;
    choices_[pending.choice].forms.push_back(std::move(form));
}

void ImageCatalog::read_docker_list(const json& list) {
    for (const json& described : list) {
        const auto config = described.at("Config").get<std::string>();
        Form form;
        form.digest = members_.get(config).digest;
        form.described = described;
        form.platform = platform_of(members_, described, config);
        form.of_docker = true;
        const auto [seen, is_new] = seen_.emplace(form.digest.hex(), choices_.size());
        if (is_new) choices_.push_back({{}, {std::move(form)}, false});
        for (const json& name : list_in(described, "RepoTags"))
            choices_[seen->second].names.push_back(name.get<std::string>());
    }
}

ImageCatalog::Chosen ImageCatalog::choose(std::string_view which) const {
    const Platform machine = this_machine();
    struct Candidate {
        const Choice* choice;
        const Form* form;
        Fit fit;
    };
    std::vector<Candidate> found;
    Fit best = Fit::none;
    for (const Choice& choice : choices_) {
        const bool is_named = std::any_of(choice.names.begin(), choice.names.end(),
                                          [&](const std::string& name) { return names(which, name); });
        for (const Form& form : choice.forms) {
            if (!which.empty() && !is_named && !names_form(which, form)) continue;
            found.push_back({&choice, &form, fit_of(form.platform, machine)});
            best = std::max(best, found.back().fit);
        }
    }
    std::erase_if(found, [&](const Candidate& one) { return one.fit != best; });
    // Of several forms that fit, the first one is meant.
    const auto last = std::unique(found.begin(), found.end(), [&](const Candidate& a, const Candidate& b) {
        return a.choice == b.choice && best != Fit::none;
    });
    found.erase(last, found.end());
    if (found.size() != 1) {
        std::vector<std::string> images;
        for (const Candidate& one : found)
            images.push_back(shown(*one.choice, *one.form));
        fail(which, images);
    }
    const Choice& choice = *found.front().choice;
    return {*found.front().form, choice.names.empty() ? "" : choice.names.front()};
}

void ImageCatalog::fail(std::string_view which, const std::vector<std::string>& images) const {
    if (!images.empty()) {
        throw Error("read image", "",
                    fmt::format("there are {} images in it: {}", images.size(), fmt::join(images, ", ")))
            .as(Fault::usage)
            .with_hint("say which one: --image NAME, its digest, or its platform");
    }
    if (!which.empty()) {
        std::vector<std::string> all;
        for (const Choice& choice : choices_) {
            for (const Form& form : choice.forms)
                all.push_back(shown(choice, form));
        }
        throw Error("read image", printable(which), "there is no such image in it")
            .as(Fault::usage)
            .with_hint(all.empty() ? "there is none" : fmt::format("there is {}", fmt::join(all, ", ")));
    }
    if (!missing_.empty()) throw broken_image(missing_, "it is missing");
    throw broken_image("image", "there is no image in it").as(Fault::refused);
}

}  // namespace pwstore::image
