// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store/generation.hpp"
#include "store/index/index.hpp"
#include "store/manifest.hpp"

namespace pwstore::image {

/// One content that a container has, wherever it lies.
struct Content {
    Sha256 sha256;
    uint64_t size = 0;
    bool operator==(const Content&) const = default;
};

/// A generation as it travels: complete, and without a number that means something in one store only. Object
/// ids of manifests and delta are places in `contents`, counted from 1 in the order in which they are first
/// met; manifest ids of the generation are places in `manifests`, counted from 1.
///
/// The same generation gives the same value on every host.
struct Portable {
    Generation generation;  ///< of a base: no parent, no upstream; delta is 1 when there is one
    std::vector<Manifest> manifests;
    Delta delta;
    std::vector<Content> contents;
    std::string policy;  ///< the container's configuration without what only its host knows, YAML

    /// The files of the image's records directory, by name. (docs/format.md, "Image")
    [[nodiscard]] std::map<std::string, std::string> encode() const;
    /// @throws Error (corrupt) on anything that encode() would not have written: a number that leads nowhere,
    /// a content that nothing uses, sizes that contradict each other
    static Portable decode(const std::map<std::string, std::string>& files);
};

/// Where the records lie in the last layer of an image.
inline constexpr const char* kRecordsDirectory = "var/lib/pwstore-image";

/// `flat` is what flatten() gave. `ids` becomes, by place in contents (from 0), an object that has it.
[[nodiscard]] Portable make_portable(const ReadTxn& txn, const Generation& generation, const Delta& delta,
                                     std::string policy, std::vector<ObjectId>& ids);

/// Which object each use of a content is: the same content in two modes is two objects.
struct ObjectUse {
    uint32_t content = 0;  ///< place in contents, from 0
    uint32_t mode = 0;
    std::optional<int64_t> keep_time;
    std::map<std::string, std::string> xattrs;  ///< user.* only
    auto operator<=>(const ObjectUse&) const = default;
};
/// Every use in `portable`, each once, by content.
[[nodiscard]] std::vector<ObjectUse> uses_of(const Portable& portable);
/// That of one entry; its object is not 0.
[[nodiscard]] ObjectUse use_of(const Entry& entry);
/// That of a side object (.PKGINFO and the like).
[[nodiscard]] ObjectUse side_use(ObjectId object);

}  // namespace pwstore::image
