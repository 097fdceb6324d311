// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <random>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/parallel.hpp"
#include "store/base/path_at.hpp"
#include "store/object_xattrs.hpp"
#include "store/verify/parts.hpp"

namespace pwstore::verifying {

namespace {

constexpr size_t kBuffer = 64 * 1024;  // stays in the nearest caches: copied and hashed there
constexpr size_t kShards = std::tuple_size_v<FolderCounts>;
constexpr size_t kChunk = 64;  // objects that a thread takes at once

std::array<char, kBuffer>& thread_buffer() {
    static thread_local const auto buffer = std::make_unique<std::array<char, kBuffer>>();
    return *buffer;
}

ssize_t read_piece(int fd, char* into, size_t size) {
    for (;;) {
        const ssize_t got = ::read(fd, into, size);
        if (got >= 0 || errno != EINTR) return got;
    }
}

}  // namespace

std::optional<Digest> digest_of_file(int fd, uint64_t size, const DigestFunction& function) {
    auto& buffer = thread_buffer();
    if (size < buffer.size()) {
        // One byte more is asked for than there should be: a shorter answer is the end of the file.
        const ssize_t got = read_piece(fd, buffer.data(), size + 1);
        if (got < 0) return std::nullopt;
        if (static_cast<uint64_t>(got) == size) return function({buffer.data(), size});
        if (static_cast<uint64_t>(got) > size) return std::nullopt;
        // Fewer bytes than wanted is not the end yet: start over, piece by piece.
        if (::lseek(fd, 0, SEEK_SET) != 0) return std::nullopt;
    }
    DigestStream stream(function);
    uint64_t total = 0;
    for (;;) {
        const ssize_t got = read_piece(fd, buffer.data(), buffer.size());
        if (got < 0) return std::nullopt;
        if (got == 0) break;
        total += static_cast<uint64_t>(got);
        if (total > size) return std::nullopt;
        stream.update({buffer.data(), static_cast<size_t>(got)});
    }
    return total == size ? std::optional(stream.finish()) : std::nullopt;
}

// --- One object ----------------------------------------------------------------------------------

namespace {

ObjectState& fail(ObjectState& state, ObjectFault fault, std::string what) {
    state.fault = fault;
    state.what = std::move(what);
    return state;
}

/// Mode, time and attributes against the key: what can be put right in place.
void check_metadata(int fd, const ObjectKey& key, const struct stat& info, ObjectState& state) {
    const int64_t time = key.mtime == ObjectKey::kNoTime ? kObjectTime : key.mtime;
    if ((info.st_mode & 07777U) != key.mode) {
        fail(state, ObjectFault::metadata,
             fmt::format("has mode {:04o} instead of {:04o}", info.st_mode & 07777U, key.mode));
    } else if (info.st_mtim.tv_sec != time || info.st_mtim.tv_nsec != 0) {
        fail(state, ObjectFault::metadata,
             fmt::format("has time {} instead of {}", info.st_mtim.tv_sec, time));
    } else if (key.xattrs != 0 || ::flistxattr(fd, nullptr, 0) > 0) {
        const auto xattrs = user_xattrs_of(fd, "object");
        if (xattrs_hash(xattrs) == key.xattrs) return;
        if (key.xattrs == 0) {
            fail(state, ObjectFault::metadata, fmt::format("has the attribute {}", xattrs.begin()->first));
        } else {
            fail(state, ObjectFault::content, "has other attributes than its name says");
        }
    }
}

void check_opened(const Store& store, const ObjectKey& key, int fd, const struct stat& info, bool contents,
                  ObjectState& state) {
    if (static_cast<uint64_t>(info.st_size) != key.size) {
        fail(state, ObjectFault::content, fmt::format("has {} bytes instead of {}", info.st_size, key.size));
        return;
    }
    static const uid_t kOwn = ::geteuid();
    if (info.st_uid != kOwn && info.st_uid != stat_fd(store.objects().fd(), names::kObjects).st_uid) {
        fail(state, ObjectFault::content, fmt::format("belongs to user {}", info.st_uid));
        return;
    }
    if (contents) {
        const std::optional<Digest> digest = digest_of_file(fd, key.size, store.digest());
        if (!digest || *digest != key.digest) {
            fail(state, ObjectFault::content, "has other bytes than its name says");
            return;
        }
    }
    check_metadata(fd, key, info, state);
}

/// Without a trace in the time of access, which only the owner may do. Invalid with errno.
Fd open_to_look(int dir, const std::string& name) {
    constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    const int fd = ::openat(dir, name.c_str(), kFlags | O_NOATIME);
    return Fd(fd < 0 && errno == EPERM ? ::openat(dir, name.c_str(), kFlags) : fd);
}

}  // namespace

ObjectState look_at_object(const Store& store, const ObjectKey& key, uint16_t copy, bool contents) {
    const int dir = store.objects().fd();
    const std::string name = key.path(copy);
    ObjectState state;
    const Fd file = open_to_look(dir, name);
    const int error_number = errno;
    struct stat info {};
    if ((file ? ::fstat(file.get(), &info) : ::fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW)) != 0) {
        return fail(state, ObjectFault::missing, "is missing");
    }
    state.inode = info.st_ino;
    state.device = info.st_dev;
    state.set_id = S_ISREG(info.st_mode) && (info.st_mode & (S_ISUID | S_ISGID)) != 0;
    if (!S_ISREG(info.st_mode)) return fail(state, ObjectFault::content, "is not a regular file");
    if (!file) {
        const bool mode_is_wrong = (info.st_mode & 07777U) != key.mode;
        return fail(state, mode_is_wrong ? ObjectFault::metadata : ObjectFault::content,
                    fmt::format("cannot be opened: {}", std::strerror(error_number)));
    }
    check_opened(store, key, file.get(), info, contents, state);
    return state;
}

// --- All objects ---------------------------------------------------------------------------------

bool ObjectScan::is_inode_of(uint32_t place, dev_t on_device, ino_t inode) const {
    if (on_device != device || inode == 0) return false;
    if (inodes[place] == inode) return true;
    const auto more = more_inodes.find(place);
    return more != more_inodes.end() &&
           std::find(more->second.begin(), more->second.end(), inode) != more->second.end();
}

bool ObjectScan::lacks_inode(uint32_t place) const {
    if (inodes[place] == 0) return true;
    const auto more = more_inodes.find(place);
    return more != more_inodes.end() &&
           std::find(more->second.begin(), more->second.end(), 0U) != more->second.end();
}

void ObjectScan::note(uint32_t place, uint16_t copy, const ObjectState& state) {
    if (copy == 0) {
        inodes[place] = state.inode;
        return;
    }
    auto& more = more_inodes[place];
    if (more.size() < copy) more.resize(copy);
    more[copy - 1U] = state.inode;
}

namespace {

std::string folder_name(size_t shard) {
    return fmt::format("{:02x}", shard);
}

std::optional<Fd> open_folder(const Store& store, size_t shard) {
    return try_open_at(store.objects().fd(), folder_name(shard), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

}  // namespace

FolderCounts count_object_files(const Store& store) {
    FolderCounts counts{};
    for (size_t shard = 0; shard < counts.size(); ++shard) {
        if (const auto folder = open_folder(store, shard)) counts[shard] = count_directory(folder->get());
    }
    return counts;
}

namespace {

class Scanner {
 public:
    Scanner(const Store& store, const Catalog& catalog, const FolderCounts& counts,
            const VerifyOptions& options, ProgressSink& sink)
        : store_(store),
          catalog_(catalog),
          counts_(counts),
          options_(options),
          sink_(sink),
          shards_(kShards) {
        std::random_device random;
        seed_ = random();
        scan_.device = stat_fd(store.objects().fd(), names::kObjects).st_dev;
        scan_.inodes.assign(catalog.objects.size(), 0);
    }

    /// In the order of their ids, which is that of their creation: on a disk they lie so.
    ObjectScan run() {
        for (uint32_t place = 0; place < catalog_.objects.size(); ++place) {
            const ObjectKey& key = catalog_.objects[place].first;
            total_ += key.size;
            shards_[key.digest.bytes[0]].push_back(place);
        }
        const unsigned threads = options_.threads != 0 ? options_.threads : default_threads();
        const size_t chunks = (catalog_.objects.size() + kChunk - 1) / kChunk;
        parallel_for(chunks, threads, [&](size_t chunk) { scan_chunk(chunk); });
        parallel_for(kShards, threads, [&](size_t shard) { find_strays(shard); });
        scan_.bytes = hashed_;
        return std::move(scan_);
    }

 private:
    void scan_chunk(size_t chunk) {
        const size_t end = std::min(catalog_.objects.size(), (chunk + 1) * kChunk);
        uint64_t bytes = 0;
        for (size_t place = chunk * kChunk; place < end; ++place) {
            const auto& [key, row] = catalog_.objects[place];
            const bool contents = options_.contents && is_sampled(key);
            if (contents) bytes += key.size;
            for (uint16_t copy = 0; copy < row.copies; ++copy) {
                look_at(static_cast<uint32_t>(place), copy, contents);
            }
        }
        sink_.progress("verify", "objects", hashed_ += bytes, total_);
    }

    void look_at(uint32_t place, uint16_t copy, bool contents) {
        const ObjectKey& key = catalog_.objects[place].first;
        const ObjectState state = look_at_object(store_, key, copy, contents);
        if (state.fault != ObjectFault::missing) ++there_[key.digest.bytes[0]];
        if (copy == 0) scan_.inodes[place] = state.inode;  // nobody else's place: needs no lock
        if (copy == 0 && state.fault == ObjectFault::none) return;
        const std::scoped_lock lock(guard_);
        if (copy != 0) scan_.note(place, copy, state);
        if (state.fault != ObjectFault::none) scan_.damages.push_back({place, copy, state});
    }

    void find_strays(size_t shard) {
        if (counts_[shard] == there_[shard]) return;  // just those that were looked at
        const std::string directory = folder_name(shard);
        const auto dir = open_folder(store_, shard);
        if (!dir) return;  // every object of it is reported as missing
        const std::vector<DirectoryItem> items = list_directory(dir->get());
        std::vector<std::string> known;
        known.reserve(shards_[shard].size());
        for (const uint32_t place : shards_[shard]) {
            const auto& [key, row] = catalog_.objects[place];
            for (uint16_t copy = 0; copy < row.copies; ++copy) {
                known.push_back(key.path(copy).substr(directory.size() + 1));
            }
        }
        std::sort(known.begin(), known.end());
        auto next = known.cbegin();
        for (const DirectoryItem& item : items) {
            while (next != known.cend() && *next < item.name)
                ++next;
            if (next != known.cend() && *next == item.name) continue;
            const auto info = try_stat_at(dir->get(), item.name);
            const std::scoped_lock lock(guard_);
            scan_.strays.push_back(directory + "/" + item.name);
            if (info && S_ISREG(info->st_mode) && (info->st_mode & (S_ISUID | S_ISGID)) != 0) {
                scan_.stray_set_ids.insert(scan_.strays.back());
            }
        }
    }

    [[nodiscard]] bool is_sampled(const ObjectKey& key) const {
        if (options_.sample >= 1.0) return true;
        uint32_t bits = 0;
        std::memcpy(&bits, key.digest.bytes.data() + 4, sizeof bits);
        return static_cast<double>(bits ^ seed_) < options_.sample * 4294967296.0;
    }

    const Store& store_;
    const Catalog& catalog_;
    const FolderCounts& counts_;
    const VerifyOptions& options_;
    ProgressSink& sink_;
    std::vector<std::vector<uint32_t>> shards_;  ///< places by first digest byte
    uint32_t seed_ = 0;
    uint64_t total_ = 0;
    std::atomic<uint64_t> hashed_{0};
    std::array<std::atomic<size_t>, kShards>
        there_{};       ///< files of objects that were found, by first digest byte
    std::mutex guard_;  ///< of scan_, but for its inodes
    ObjectScan scan_;
};

}  // namespace

ObjectScan scan_objects(const Store& store, const Catalog& catalog, const FolderCounts& counts,
                        const VerifyOptions& options, ProgressSink& sink) {
    return Scanner(store, catalog, counts, options, sink).run();
}

}  // namespace pwstore::verifying
