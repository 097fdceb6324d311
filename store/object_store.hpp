// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/error.hpp"
#include "store/base/fd.hpp"
#include "store/digest.hpp"
#include "store/object.hpp"

namespace pwstore {

/// What happened to one link; none of these is a failure.
enum class LinkOutcome {
    linked,
    too_many_links,  ///< EMLINK: this copy is full, take or make another
    not_linkable,    ///< EXDEV, EPERM: this file system or kernel does not link; copy instead
    not_as_named,    ///< its size, mode or time are not those of its name: see make_sound()
};

/// What a reader says of a stored file that is not what its name says; `what` as in "has 0 bytes instead of
/// 17". With the hint that brings it back.
[[nodiscard]] Error damaged_object(const ObjectKey& key, uint16_t copy, std::string_view what);

/// The inodes below store/objects. Knows nothing of the index: only the holder of the ingest lock may create,
/// replace or remove here, and for it a file without a record is garbage of a dead process.
class ObjectStore {
 public:
    /// `objects` is the open store/objects with its 256 shards; `link_limit` 0 = the file system's own;
    /// `digest` made its names.
    explicit ObjectStore(Fd objects, unsigned link_limit = 0,
                         const DigestFunction& digest = DigestFunction());

    // --- Read (no lock) --------------------------------------------------------------------------
    /// A file whose size, mode or time are not those of its name is read first: one with other bytes is not
    /// given out. @throws Error (corrupt) then, or when it is missing
    [[nodiscard]] Fd open(const ObjectKey& key, uint16_t copy = 0) const;
    /// Give all its bytes to `take`, piece by piece through `buffer`; each of them is compared with the name.
    /// @throws Error (corrupt) after the last one when they are others
    void read(const ObjectKey& key, std::span<char> buffer,
              const std::function<void(std::string_view)>& take) const;
    /// All its bytes, compared.
    [[nodiscard]] std::string content(const ObjectKey& key) const;
    /// The file of copy 0, provided that it is a regular file with the size, mode and, where it belongs to
    /// the identity, time of its key.
    [[nodiscard]] std::optional<Fd> try_open(const ObjectKey& key) const;
    /// The stored file has the mode (and time) of its key and exactly these bytes. A missing or unreadable
    /// file is "no".
    [[nodiscard]] bool equals(const ObjectKey& key, std::string_view content) const;
    /// The same for the bytes of file `fd`, whose offset is neither used nor changed.
    [[nodiscard]] bool equals_file(const ObjectKey& key, int fd) const;
    /// The stored file is what its name says: size, inode mode, digest of the bytes under `function`.
    [[nodiscard]] bool is_intact(const ObjectKey& key, uint16_t copy, const DigestFunction& function) const;

    // --- Write (holder of the ingest lock) -------------------------------------------------------
    /// Create copy `copy` with `content`; whatever lay there is garbage and replaced. Not synced.
    void create(const ObjectKey& key, uint16_t copy, std::string_view content) const;
    /// Adopt a staged regular file (name under `dir`) as copy `copy`: mode and time set, renamed in. Not
    /// synced.
    void adopt(const ObjectKey& key, uint16_t copy, int dir, const char* staged_name) const;
    /// Make copy `to` from copy `from` (reflink where the file system can). Synced: the row may be durable
    /// already.
    void add_copy(const ObjectKey& key, uint16_t from, uint16_t to) const;
    bool remove(const ObjectKey& key, uint16_t copy) const;
    /// Give a file of the right bytes the mode, time and attributes of its name.
    void mend_metadata(const ObjectKey& key, uint16_t copy) const;

    // --- Link ------------------------------------------------------------------------------------
    /// @throws Error (corrupt) for one that is missing
    /// linkat(2) of copy `copy` to `name` under `dir`, if its size, mode and time are those of its name.
    /// Never replaces. Lock: none; the generation or lease protects it.
    [[nodiscard]] LinkOutcome link(const ObjectKey& key, uint16_t copy, int dir, const char* name) const;

    [[nodiscard]] int fd() const noexcept { return objects_.get(); }

 private:
    Fd objects_;
    unsigned link_limit_;
    DigestFunction digest_;
    bool checks_links_;  ///< this file system might copy where it is asked to link (overlays do)
};

}  // namespace pwstore
