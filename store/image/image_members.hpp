// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "store/base/error.hpp"
#include "store/base/events.hpp"
#include "store/image/image_reader.hpp"
#include "store/package/tar_io.hpp"

namespace pwstore::image {

/// What is wrong with an image, or with a part of it.
[[nodiscard]] Error broken_image(std::string_view what, std::string_view cause);

/// The digest that a JSON text is. @throws Error (corrupt)
[[nodiscard]] Sha256 sha256_from(const nlohmann::json& text);
/// Name of the member that a descriptor describes.
[[nodiscard]] std::string blob_path(const nlohmann::json& descriptor);
/// The list that `object` has under this name; what is null or not there is an empty one.
[[nodiscard]] nlohmann::json list_in(const nlohmann::json& object, const char* name);

/// Members of the outer archive, as far as it has been read: each in a file of its own. Names are clean;
/// links, of any length, stand for what they lead to.
class ImageMembers {
 public:
    ImageMembers(int in, int directory, const ImageLimits& limits, ProgressSink& sink)
        : tar_(in, "image"), directory_(directory), limits_(limits), sink_(sink) {}

    /// Read one more. False at the end.
    bool read_one();

    struct Member {
        std::string file;  ///< in the directory
        Sha256 digest;
    };
    /// Null when it is not there (yet). @throws Error (corrupt) for a blob that is not what its name says
    [[nodiscard]] const Member* find(const std::string& path) const;
    /// @throws Error (corrupt) when it is not there
    [[nodiscard]] const Member& get(const std::string& path) const;
    [[nodiscard]] Fd open(const std::string& path) const;
    [[nodiscard]] nlohmann::json read_json(const std::string& path) const;

 private:
    void spool(const std::string& path);
    void add_link(const std::string& path, const TarEntry& entry);

    TarReader tar_;
    int directory_;
    ImageLimits limits_;
    ProgressSink& sink_;
    uint64_t total_ = 0;
    size_t count_ = 0;
    bool has_ended_ = false;
    std::map<std::string, Member> members_;
    std::map<std::string, std::string> links_;  ///< to the member or link that each leads to
};

}  // namespace pwstore::image
