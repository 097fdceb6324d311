// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "store/image/image_members.hpp"
#include "store/image/image_reader.hpp"

namespace pwstore::image {

/// The images that an archive has, and which of them is meant.
///
/// Of indexes in each other, at any depth, all images that are in the archive are looked at; attestations and
/// other things that are no images are passed over, and what is there by several names counts once. Images
/// that an index offers for several platforms are one image in several forms: the first one that fits this
/// machine best.
class ImageCatalog {
 public:
    struct Form {
        Sha256 digest;             ///< of the manifest; of a docker archive, of the configuration
        nlohmann::json described;  ///< its descriptor; of a docker archive, its entry
        Platform platform;
        std::string signature;
        bool of_docker = false;
    };
    /// One image in all its forms.
    struct Choice {
        std::vector<std::string> names;
        std::vector<Form> forms;
        bool is_by_platform = false;
    };

    /// @throws Error (corrupt)
    explicit ImageCatalog(const ImageMembers& members);

    struct Chosen {
        Form form;
        std::string name;  ///< or empty
    };
    /// @param which a name, a digest or a platform (see names_image()); empty = it goes without saying
    /// @throws Error (usage) naming what there is, when that is not one
    [[nodiscard]] Chosen choose(std::string_view which) const;

 private:
    /// What a descriptor stands for, and whose names it has.
    struct Pending {
        nlohmann::json described;
        size_t choice;
        std::string signature;
    };
    void read_index(const nlohmann::json& index);
    [[nodiscard]] size_t choice_for(const nlohmann::json& described);
    [[nodiscard]] std::vector<Pending> expand(const Pending& pending);
    void add_manifest(const Pending& pending, const nlohmann::json& manifest);
    void read_docker_list(const nlohmann::json& list);
    void add(Form form, size_t choice);
    [[noreturn]] void fail(std::string_view which, const std::vector<std::string>& images) const;

    const ImageMembers& members_;
    std::vector<Choice> choices_;
    std::map<std::string, size_t> seen_;  ///< digests, with the choice that has them
    std::string missing_;                 ///< the first blob that is not there
};

/// The member that says what is in an image layout; of a bundle, see kBundleIndexFile.
[[nodiscard]] const char* index_file(const ImageMembers& members);

/// The name that a descriptor's annotations give, or "".
[[nodiscard]] std::string name_in(const nlohmann::json& described);

}  // namespace pwstore::image
