// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "store/object.hpp"
#include "store/store.hpp"

namespace pwstore {

using Xattrs = std::map<std::string, std::string>;

/// What belongs to an object beside its content.
struct ObjectTraits {
    uint32_t mode = 0644;                 ///< true mode; the inode gets inode_mode() of it
    int64_t mtime = ObjectKey::kNoTime;   ///< only when the time belongs to the identity
    const Xattrs* kept_xattrs = nullptr;  ///< see kept_xattrs()
    const Sha256* sha256 = nullptr;       ///< of the content, when its bytes in memory were hashed already
};

/// Those of `xattrs` that go onto the inode: user.*.
[[nodiscard]] Xattrs kept_xattrs(const Xattrs& xattrs);

struct StoredObject {
    ObjectId id = 0;
    ObjectKey key;
};

/// Turns contents into objects: finds the object that is there already, or creates it. Its caller holds the
/// ingest lock for as long as it lives. Thread-safe: two threads that meet one new key wait for each other
/// and compare.
///
/// A digest only finds candidates. Equal bytes and metadata decide; unequal ones are told apart by SHA-256: a
/// recorded SHA-256 that is the content's own means that the stored file is damaged, and the good bytes
/// replace it.
class ObjectIntake {
 public:
    /// Contents up to this size are held in memory until it is known whether they are new.
    static constexpr uint64_t kBufferLimit = 8ULL << 20;

    explicit ObjectIntake(const Store& store);
    ObjectIntake(const ObjectIntake&) = delete;
    ObjectIntake& operator=(const ObjectIntake&) = delete;
    ~ObjectIntake();

    /// @param name in findings and errors: whose content it is
    [[nodiscard]] StoredObject put(std::string_view content, const ObjectTraits& traits,
                                   std::string_view name);
    /// A content of any size in pieces: `next` gives them, an empty one ends it.
    /// @param guess a recorded object that it may well be (the same file in a package's other version): it is
    /// compared with that while it arrives. A content that turns out to be another goes through a staged
    /// file.
    [[nodiscard]] StoredObject put_stream(const std::function<std::string_view()>& next,
                                          const ObjectTraits& traits, std::string_view name,
                                          const std::optional<StoredObject>& guess = std::nullopt);

    /// Objects that were created and have no row yet, by key. Not while puts are running.
    [[nodiscard]] std::vector<std::pair<ObjectKey, ObjectRow>> pending() const;
    /// Their rows are committed: they are no longer this object's to discard.
    void keep_pending() noexcept;
    /// Remove the files of all pending objects. What cannot be removed stays as garbage, which harms nothing.
    void discard_pending() noexcept;

    // --- Counters -----------------------------------------------------------------------------------------
    struct Counters {
        uint64_t files = 0;
        uint64_t bytes = 0;
        uint64_t new_objects = 0;
        uint64_t new_bytes = 0;
        uint64_t healed = 0;
    };
    [[nodiscard]] Counters counters() const;
    [[nodiscard]] std::vector<std::string> findings() const;

 private:
    struct KeyHash {
        size_t operator()(const ObjectKey& key) const noexcept;
    };
    /// Keys are spread over shards so that threads seldom meet on a mutex.
    struct Shard {
        mutable std::mutex guard;
        std::condition_variable freed;
        std::unordered_set<ObjectKey, KeyHash> busy;  ///< keys (of slot 0) that a thread works on
        std::unordered_map<ObjectKey, ObjectRow, KeyHash> pending;
    };
    class Claim;
    class Content;
    class MemoryContent;
    class StagedContent;
    class Comparison;

    [[nodiscard]] ObjectKey key_of(Digest digest, uint64_t size, const ObjectTraits& traits) const;
    [[nodiscard]] Shard& shard_of(const ObjectKey& key);
    [[nodiscard]] std::optional<ObjectRow> find(const ObjectKey& key);
    [[nodiscard]] std::optional<StoredObject> find_equal(ObjectKey key, Content& content);
    [[nodiscard]] StoredObject place(ObjectKey key, Content& content);
    [[nodiscard]] ObjectId create(const ObjectKey& key, Content& content);
    void heal(const ObjectKey& key, Content& content);
    void report(std::string finding);
    [[nodiscard]] const Staging& staging();
    [[nodiscard]] std::string next_staged_name();

    const Store& store_;
    std::array<Shard, 64> shards_;
    std::atomic<uint64_t> next_id_;
    std::atomic<uint64_t> files_{0}, bytes_{0}, new_objects_{0}, new_bytes_{0}, healed_{0};
    mutable std::mutex guard_;  ///< of what follows
    std::unique_ptr<Staging> staging_;
    uint64_t staged_files_ = 0;
    std::vector<std::string> findings_;
};

}  // namespace pwstore
