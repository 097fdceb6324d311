// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/object_intake.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "store/base/bytes.hpp"
#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "store/object_xattrs.hpp"
#include "store/replacements.hpp"

namespace pwstore {

namespace {

constexpr size_t kCompareSize = 128 * 1024;
constexpr size_t kHoleSize = 64 * 1024;  ///< zeros from this size on become holes of the stored file

bool is_zeros(std::string_view piece) {
    return piece.front() == '\0' && std::memcmp(piece.data(), piece.data() + 1, piece.size() - 1) == 0;
}

}  // namespace

// --- Contents -----------------------------------------------------------------------------------

/// A content on its way in, wherever it is held.
class ObjectIntake::Content {
 public:
    Content(const Xattrs* xattrs, std::string_view name) : xattrs_(xattrs), name_(name) {}
    Content(const Content&) = delete;
    Content& operator=(const Content&) = delete;
    virtual ~Content() = default;

    /// The stored file has this content, and the mode, time and xattrs of its key.
    [[nodiscard]] bool is_at(const ObjectStore& objects, const ObjectKey& key) const {
        return has_bytes(objects, key) && has_xattrs(objects, key);
    }
    [[nodiscard]] const Sha256& sha256() {
        if (!sha256_) sha256_ = compute_sha256();
        return *sha256_;
    }
    /// Make the object's first file.
    virtual void create(ObjectIntake& intake, const ObjectKey& key) = 0;
    /// Put it in place of what lies there, atomically, its bytes already durable.
    virtual void replace(ObjectIntake& intake, const ObjectKey& key) = 0;
    /// Bytes of it that are holes of the stored file and take no disk.
    [[nodiscard]] virtual uint64_t hole_bytes() const noexcept { return 0; }
    [[nodiscard]] std::string_view name() const noexcept { return name_; }

 protected:
    [[nodiscard]] virtual bool has_bytes(const ObjectStore& objects, const ObjectKey& key) const = 0;
    [[nodiscard]] virtual Sha256 compute_sha256() = 0;
    [[nodiscard]] const Xattrs* xattrs() const noexcept { return xattrs_; }

 private:
    [[nodiscard]] bool has_xattrs(const ObjectStore& objects, const ObjectKey& key) const {
        return xattrs_ == nullptr || xattrs_->empty() ||
               user_xattrs_of(objects.open(key).get(), key.path(0)) == *xattrs_;
    }
    const Xattrs* xattrs_;
    std::string_view name_;
    std::optional<Sha256> sha256_;
};

/// A file below the staging folder that vanishes unless it was adopted.
class ObjectIntake::StagedContent final : public Content {
 public:
    StagedContent(ObjectIntake& intake, const Xattrs* xattrs, std::string_view name)
        : Content(xattrs, name),
          dir_(intake.staging().fd()),
          file_name_(intake.next_staged_name()),
          file_(open_at(dir_, file_name_, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600)) {}
    StagedContent(const StagedContent&) = delete;
    StagedContent& operator=(const StagedContent&) = delete;
    ~StagedContent() override {
        if (!adopted_) (void)::unlinkat(dir_, file_name_.c_str(), 0);
    }

    void append(std::string_view piece) {
        size_ += piece.size();
        if (piece.size() >= kHoleSize && is_zeros(piece)) {
            if (::lseek(file_.get(), static_cast<off_t>(size_), SEEK_SET) < 0)
                throw Error::from_errno("write", name());
            ends_in_hole_ = true;
            hole_bytes_ += piece.size();
            return;
        }
        ends_in_hole_ = false;
        write_all(file_.get(), piece, name());
    }
    void finish() {
        if (ends_in_hole_ && ::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) {
            throw Error::from_errno("write", name());
        }
    }
    [[nodiscard]] uint64_t size() const noexcept { return size_; }
    [[nodiscard]] uint64_t hole_bytes() const noexcept override { return hole_bytes_; }

    void create(ObjectIntake& intake, const ObjectKey& key) override {
        if (xattrs() != nullptr) set_user_xattrs(file_.get(), *xattrs(), name());
        intake.store_.objects().adopt(key, 0, dir_, file_name_.c_str());
        adopted_ = true;
    }
    void replace(ObjectIntake& intake, const ObjectKey& key) override {
        sync_fd(file_.get(), name());
        create(intake, key);
    }

 protected:
    [[nodiscard]] bool has_bytes(const ObjectStore& objects, const ObjectKey& key) const override {
        return objects.equals_file(key, file_.get());
    }
    [[nodiscard]] Sha256 compute_sha256() override {
        if (::lseek(file_.get(), 0, SEEK_SET) < 0) throw Error::from_errno("read", name());
        return sha256_of_fd(file_.get(), name());
    }

 private:
    int dir_;
    std::string file_name_;
    Fd file_;
    uint64_t size_ = 0;
    uint64_t hole_bytes_ = 0;
    bool ends_in_hole_ = false;
    bool adopted_ = false;
};

class ObjectIntake::MemoryContent final : public Content {
 public:
    MemoryContent(std::string_view bytes, const ObjectTraits& traits, std::string_view name)
        : Content(traits.kept_xattrs, name), bytes_(bytes), known_sha256_(traits.sha256) {}

    void create(ObjectIntake& intake, const ObjectKey& key) override {
        if (xattrs() == nullptr || xattrs()->empty()) {
            intake.store_.objects().create(key, 0, bytes_);
        } else {
            staged(intake).create(intake, key);  // xattrs cannot be set once the mode is final
        }
    }
    void replace(ObjectIntake& intake, const ObjectKey& key) override { staged(intake).replace(intake, key); }

 protected:
    [[nodiscard]] bool has_bytes(const ObjectStore& objects, const ObjectKey& key) const override {
        return objects.equals(key, bytes_);
    }
    [[nodiscard]] Sha256 compute_sha256() override {
        return known_sha256_ != nullptr ? *known_sha256_ : sha256_of(bytes_);
    }

 private:
    StagedContent& staged(ObjectIntake& intake) {
        staged_ = std::make_unique<StagedContent>(intake, xattrs(), name());
        staged_->append(bytes_);
        staged_->finish();
        return *staged_;
    }
    std::string_view bytes_;
    const Sha256* known_sha256_;
    std::unique_ptr<StagedContent> staged_;
};

/// Compares a content that arrives in pieces with the file of a recorded object.
class ObjectIntake::Comparison {
 public:
    /// @param wanted the key that the content will have if it is that of `key`
    Comparison(const ObjectStore& objects, const ObjectKey& key, ObjectKey wanted, const Xattrs* xattrs)
        : size_(key.size), path_(key.path(0)) {
        wanted.slot = key.slot;
        if (wanted == key) file_ = objects.try_open(key);
        if (file_ && key.xattrs != 0 && user_xattrs_of(file_->get(), path_) != *xattrs) file_.reset();
    }

    /// All bytes so far and these are the object's next ones.
    [[nodiscard]] bool takes(std::string_view piece) {
        if (!file_ || piece.size() > size_ - length_) return false;
        for (size_t done = 0; done < piece.size();) {
            const std::string_view stored = read(length_ + done, piece.size() - done);
            if (stored.empty() || stored != piece.substr(done, stored.size())) return false;
            done += stored.size();
        }
        length_ += piece.size();
        return true;
    }
    [[nodiscard]] bool is_whole() const { return file_ && length_ == size_; }
    /// Give out again all bytes that it took.
    void replay(const std::function<void(std::string_view)>& to) {
        for (uint64_t done = 0; done < length_;) {
            const std::string_view stored = read(done, length_ - done);
            if (stored.empty()) throw Error("read object", path_, "it became shorter").as(Fault::corrupt);
            to(stored);
            done += stored.size();
        }
    }

 private:
    /// Up to `most` stored bytes from `offset` on; nothing when they cannot be read.
    [[nodiscard]] std::string_view read(uint64_t offset, uint64_t most) {
        const auto wanted = static_cast<size_t>(std::min<uint64_t>(most, buffer_->size()));
        ssize_t got = 0;
        do {
            got = ::pread(file_->get(), buffer_->data(), wanted, static_cast<off_t>(offset));
        } while (got < 0 && errno == EINTR);
        return {buffer_->data(), got > 0 ? static_cast<size_t>(got) : 0};
    }
    uint64_t size_;
    std::string path_;
    std::optional<Fd> file_;
    uint64_t length_ = 0;
    std::unique_ptr<std::array<char, kCompareSize>> buffer_ =
        std::make_unique<std::array<char, kCompareSize>>();
};

/// While it lives, this thread alone works on a key.
class ObjectIntake::Claim {
 public:
    Claim(Shard& shard, const ObjectKey& key) : shard_(shard), key_(key) {
        std::unique_lock lock(shard_.guard);
        shard_.freed.wait(lock, [&] { return !shard_.busy.contains(key_); });
        shard_.busy.insert(key_);
    }
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;
    ~Claim() {
        {
            const std::scoped_lock lock(shard_.guard);
            shard_.busy.erase(key_);
        }
        shard_.freed.notify_all();
    }

 private:
    Shard& shard_;
    ObjectKey key_;
};

// --- Intake -------------------------------------------------------------------------------------

Xattrs kept_xattrs(const Xattrs& xattrs) {
    Xattrs kept;
    for (const auto& [name, value] : xattrs) {
        if (name.starts_with("user.")) kept.emplace(name, value);
    }
    return kept;
}

size_t ObjectIntake::KeyHash::operator()(const ObjectKey& key) const noexcept {
    uint64_t word = 0;
    std::memcpy(&word, key.digest.bytes.data(), sizeof word);
    return word ^ (key.size * 0x9E3779B97F4A7C15U) ^ (uint64_t{key.mode} << 32U) ^ key.slot;
}

ObjectIntake::ObjectIntake(const Store& store)
    : store_(store), next_id_(uint64_t{store.index().read().last_object_id()} + 1) {}

ObjectIntake::~ObjectIntake() = default;

StoredObject ObjectIntake::put(std::string_view content, const ObjectTraits& traits, std::string_view name) {
    const ObjectKey key = key_of(store_.digest()(content), content.size(), traits);
    MemoryContent memory(content, traits, name);
    files_.fetch_add(1, std::memory_order_relaxed);
    bytes_.fetch_add(content.size(), std::memory_order_relaxed);
    if (const auto found = find_equal(key, memory)) return *found;
    return place(key, memory);
}

StoredObject ObjectIntake::put_stream(const std::function<std::string_view()>& next,
                                      const ObjectTraits& traits, std::string_view name,
                                      const std::optional<StoredObject>& guess) {
    files_.fetch_add(1, std::memory_order_relaxed);
    std::string_view piece = next();
    std::optional<Comparison> comparison;
    if (guess) {
        comparison.emplace(store_.objects(), guess->key, key_of(guess->key.digest, guess->key.size, traits),
                           traits.kept_xattrs);
        while (!piece.empty() && comparison->takes(piece))
            piece = next();
        if (piece.empty() && comparison->is_whole()) {
            bytes_.fetch_add(guess->key.size, std::memory_order_relaxed);
            return *guess;
        }
    }
    StagedContent staged(*this, traits.kept_xattrs, name);
    DigestStream digest(store_.digest());
    const auto append = [&](std::string_view bytes) {
        digest.update(bytes);
        staged.append(bytes);
    };
    // `piece` may be a view into what next() will overwrite, but nothing is asked of next() before it is
    // used.
    if (comparison) comparison->replay(append);
    for (; !piece.empty(); piece = next())
        append(piece);
    staged.finish();
    bytes_.fetch_add(staged.size(), std::memory_order_relaxed);
    const ObjectKey key = key_of(digest.finish(), staged.size(), traits);
    if (const auto found = find_equal(key, staged)) return *found;
    return place(key, staged);
}

std::vector<std::pair<ObjectKey, ObjectRow>> ObjectIntake::pending() const {
    std::vector<std::pair<ObjectKey, ObjectRow>> all;
    for (const Shard& shard : shards_) {
        const std::scoped_lock lock(shard.guard);
        all.insert(all.end(), shard.pending.begin(), shard.pending.end());
    }
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    return all;
}

void ObjectIntake::keep_pending() noexcept {
    for (Shard& shard : shards_) {
        const std::scoped_lock lock(shard.guard);
        shard.pending.clear();
    }
    const std::scoped_lock lock(guard_);
    staging_.reset();
}

void ObjectIntake::discard_pending() noexcept {
    for (Shard& shard : shards_) {
        const std::scoped_lock lock(shard.guard);
        for (const auto& [key, row] : shard.pending) {
            try {
                store_.objects().remove(key, 0);
            } catch (const std::exception&) {
                // Garbage: without a row nothing trusts it, and whoever creates this object replaces it.
            }
        }
        shard.pending.clear();
    }
}

ObjectIntake::Counters ObjectIntake::counters() const {
    return {files_.load(), bytes_.load(), new_objects_.load(), new_bytes_.load(), healed_.load()};
}

std::vector<std::string> ObjectIntake::findings() const {
    const std::scoped_lock lock(guard_);
    return findings_;
}

ObjectKey ObjectIntake::key_of(Digest digest, uint64_t size, const ObjectTraits& traits) const {
    ObjectKey key{.digest = digest, .size = size, .mode = inode_mode(traits.mode), .mtime = traits.mtime};
    if (traits.kept_xattrs != nullptr) key.xattrs = xattrs_hash(*traits.kept_xattrs);
    return key;
}

ObjectIntake::Shard& ObjectIntake::shard_of(const ObjectKey& key) {
    return shards_.at(key.digest.bytes[0] % shards_.size());  // slots of one digest share a shard
}

std::optional<ObjectRow> ObjectIntake::find(const ObjectKey& key) {
    {
        Shard& shard = shard_of(key);
        const std::scoped_lock lock(shard.guard);
        if (const auto found = shard.pending.find(key); found != shard.pending.end()) return found->second;
    }
    return store_.index().read().find_object(key);
}

/// The recorded object that is this content: what most files of a re-packed archive meet. Nothing is claimed
/// for it, since an object with a row does not change while the ingest lock is held.
std::optional<StoredObject> ObjectIntake::find_equal(ObjectKey key, Content& content) {
    const ReadTxn txn = store_.index().read();
    for (; key.slot < ObjectKey::kSlots; ++key.slot) {
        const auto row = txn.find_object(key);
        if (!row) return std::nullopt;
        if (content.is_at(store_.objects(), key)) return StoredObject{row->id, key};
    }
    return std::nullopt;
}

StoredObject ObjectIntake::place(ObjectKey key, Content& content) {
    const Claim claim(shard_of(key), key);
    for (; key.slot < ObjectKey::kSlots; ++key.slot) {
        const auto row = find(key);
        if (!row) return {create(key, content), key};
        if (content.is_at(store_.objects(), key)) return {row->id, key};
        if (row->sha256 == content.sha256()) {
            heal(key, content);
            return {row->id, key};
        }
        if (!store_.objects().is_intact(key, 0, store_.digest())) {
            report(fmt::format("object {} is damaged or missing, and '{}' is another content of its digest",
                               key.path(0), printable(content.name())));
        }
    }
    throw Error("store content of", content.name(),
                fmt::format("{} other contents have the same digest", ObjectKey::kSlots));
}

ObjectId ObjectIntake::create(const ObjectKey& key, Content& content) {
    const uint64_t id = next_id_.fetch_add(1);
    if (id > UINT32_MAX) throw Error("store content of", content.name(), "no object number is left");
    ObjectRow row;
    row.id = static_cast<ObjectId>(id);
    row.sha256 = content.sha256();
    content.create(*this, key);
    {
        Shard& shard = shard_of(key);
        const std::scoped_lock lock(shard.guard);
        shard.pending.emplace(key, row);
    }
    new_objects_.fetch_add(1, std::memory_order_relaxed);
    new_bytes_.fetch_add(key.size - content.hole_bytes(), std::memory_order_relaxed);
    failpoint("ingest.object-created");
    return row.id;
}

void ObjectIntake::heal(const ObjectKey& key, Content& content) {
    count_replacement(store_);
    content.replace(*this, key);
    healed_.fetch_add(1, std::memory_order_relaxed);
    report(fmt::format("object {} was damaged or missing; the content of '{}' replaced it", key.path(0),
                       printable(content.name())));
    failpoint("ingest.object-healed");
}

void ObjectIntake::report(std::string finding) {
    const std::scoped_lock lock(guard_);
    findings_.push_back(std::move(finding));
}

const Staging& ObjectIntake::staging() {
    const std::scoped_lock lock(guard_);
    if (!staging_) staging_ = std::make_unique<Staging>(Staging::create(store_, "ingest"));
    return *staging_;
}

std::string ObjectIntake::next_staged_name() {
    const std::scoped_lock lock(guard_);
    return fmt::format("{}", staged_files_++);
}

}  // namespace pwstore
