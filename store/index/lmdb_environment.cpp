// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/index/lmdb_environment.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/digest.hpp"
#include "store/layout.hpp"

namespace pwstore::lmdb {

namespace {

constexpr size_t kLargestMap = size_t{1} << 40U;
constexpr size_t kSmallestMap = size_t{1} << 24U;
constexpr unsigned kReaders = 510;
constexpr size_t kChecksum = sizeof(uint64_t);
constexpr const char* kDataFile = "data.mdb";
constexpr const char* kFormatKey = "format";
constexpr std::array<const char*, kTables> kTableNames{
    "meta",        "objects", "ids",    "unsynced", "manifests",    "archives", "containers",
    "generations", "deltas",  "unused", "leases",   "transactions", "launch",   "snapshots"};

constexpr const char* kDamaged =
    "the index is damaged, nothing was changed: put store/index of the data directory back from a backup; "
    "without one, what is in roots beside it can be copied out";

constexpr const char* kRetiredTable = "delta_users";  ///< of format 1

const char* name_of(Table table) {
    return kTableNames.at(static_cast<size_t>(table));
}

Error lmdb_error(int result, std::string_view step, std::string_view path) {
    if (result > 0) return Error::from_errno(step, path, result);
    Error error(step, path, mdb_strerror(result));
    if (result == MDB_CORRUPTED || result == MDB_PAGE_NOTFOUND || result == MDB_INVALID ||
        result == MDB_PANIC) {
        error.as(Fault::corrupt).with_hint(kDamaged);
    }
    if (result == MDB_READERS_FULL) error.as(Fault::busy).with_hint("wait for other pwstore commands to end");
    if (result == MDB_MAP_FULL || result == MDB_MAP_RESIZED) {
        error.as(Fault::unsupported).with_hint("this process may not map enough memory: raise 'ulimit -v'");
    }
    return error;
}

void check(int result, std::string_view step, std::string_view path) {
    if (result != MDB_SUCCESS) throw lmdb_error(result, step, path);
}

/// LMDB calls it an I/O error when a write was cut short, which is what the last one before a full disk is.
bool is_full(MDB_env* env) {
    constexpr fsblkcnt_t kNothing = 16;
    mdb_filehandle_t file{};
    struct statvfs status {};
    return mdb_env_get_fd(env, &file) == MDB_SUCCESS && ::fstatvfs(file, &status) == 0 &&
           status.f_bavail < kNothing;
}

// mdb_put and the like take non-const pointers and do not write through them.
MDB_val value_of(std::string_view bytes) {
    return {bytes.size(), const_cast<char*>(bytes.data())};
}

std::string_view view_of(const MDB_val& value) {
    return {static_cast<const char*>(value.mv_data), value.mv_size};
}

uint64_t checksum_of(Table table, std::string_view key, std::string_view value) {
    return checksum64(value, checksum64(key, static_cast<uint64_t>(table)));
}

/// The value without its checksum.
std::string_view verified(Table table, std::string_view key, const MDB_val& stored) {
    const std::string_view bytes = view_of(stored);
    uint64_t recorded = 0;
    if (bytes.size() >= kChecksum) {
        const std::string_view value = bytes.substr(0, bytes.size() - kChecksum);
        std::memcpy(&recorded, bytes.data() + value.size(), kChecksum);
        if (recorded == checksum_of(table, key, value)) return value;
    }
    throw Error(fmt::format("read index table {}, key", name_of(table)), key, "wrong checksum")
        .as(Fault::corrupt)
        .with_hint(kDamaged);
}

std::string with_checksum(Table table, std::string_view key, std::string_view value) {
    const uint64_t checksum = checksum_of(table, key, value);
    std::string bytes(value);
    bytes.append(reinterpret_cast<const char*>(&checksum), kChecksum);
    return bytes;
}

/// Environments that this process has open, by device and inode of their folder.
using Registry = std::map<std::pair<dev_t, ino_t>, std::weak_ptr<Environment>>;
std::mutex registry_guard;
Registry& registry() {
    static Registry open;
    return open;
}

}  // namespace

// --- Environment ---------------------------------------------------------------------------------

std::shared_ptr<Environment> Environment::open(int data_dir, Access access) {
    auto found = try_open_at(data_dir, names::kIndex, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!found) {
        if (access == Access::read_only) return nullptr;
        throw Error::from_errno("open index", names::kIndex, ENOENT);
    }
    if (access == Access::read_only && !exists(data_dir)) return nullptr;
    const struct stat info = stat_fd(found->get(), names::kIndex);
    const std::scoped_lock lock(registry_guard);
    std::weak_ptr<Environment>& known = registry()[{info.st_dev, info.st_ino}];
    if (auto open = known.lock(); open && open->process_ == ::getpid()) {
        if (access == Access::read_only || open->access_ == Access::read_write) return open;
        throw Error("open index", names::kIndex, "this process has it open for reading only");
    }
    std::shared_ptr<Environment> made(new Environment(std::move(*found), access));
    made->open_environment();
    if (!made->open_tables(MDB_RDONLY, 0)) {
        if (access == Access::read_only) return nullptr;
        (void)made->open_tables(0, MDB_CREATE);
    }
    known = made;
    return made;
}

bool Environment::exists(int data_dir) {
    const auto data = try_stat_at(data_dir, fmt::format("{}/{}", names::kIndex, kDataFile));
    return data && data->st_size != 0;
}

Environment::Environment(Fd directory, Access access)
    : directory_(std::move(directory)), access_(access), process_(::getpid()) {}

Environment::~Environment() {
    // In a forked child this would drop nothing of the parent's, but tear at memory that both map; leave it.
    if (env_ != nullptr && process_ == ::getpid()) mdb_env_close(env_);
}

int Environment::try_open(size_t map_size, unsigned flags) {
    MDB_env* env = nullptr;
    check(mdb_env_create(&env), "prepare index", names::kIndex);
    int result = mdb_env_set_maxdbs(env, kTables + 1);
    if (result == MDB_SUCCESS) result = mdb_env_set_maxreaders(env, kReaders);
    if (result == MDB_SUCCESS) result = mdb_env_set_mapsize(env, map_size);
    // By descriptor: the folder may have been renamed, or be reachable only through it.
    const std::string path = fmt::format("/proc/self/fd/{}", directory_.get());
    if (result == MDB_SUCCESS) result = mdb_env_open(env, path.c_str(), flags, 0600);
    if (result != MDB_SUCCESS) {
        mdb_env_close(env);
        return result;
    }
    env_ = env;
    int file = -1;  // the one descriptor that LMDB would pass on to programs
    check(mdb_env_get_fd(env_, &file), "examine index", names::kIndex);
    if (::fcntl(file, F_SETFD, FD_CLOEXEC) != 0) throw Error::from_errno("close on exec", names::kIndex);
    return MDB_SUCCESS;
}

void Environment::open_environment() {
    unsigned flags = MDB_NOTLS | (access_ == Access::read_only ? MDB_RDONLY : 0U);
    size_t map_size = kLargestMap;
    int result = try_open(map_size, flags);
    // EINVAL is what a machine with little address space says (valgrind's, for one).
    while ((result == ENOMEM || result == EINVAL) && map_size > kSmallestMap) {
        map_size /= 2;
        result = try_open(map_size, flags);
    }
    if (access_ == Access::read_only && (result == EACCES || result == EROFS)) {
        // Nobody can write here, so there is nobody to lock out.
        flags |= MDB_NOLOCK;
        result = try_open(map_size, flags);
    }
    check(result, "open index", names::kIndex);
    int dead = 0;
    mend_length();
    if ((flags & MDB_NOLOCK) == 0)
        check(mdb_reader_check(env_, &dead), "clear dead readers of index", names::kIndex);
}

/// A file that was cut short would end the program by SIGBUS where it is read through the map. Filled up with
/// zeros it reads as damaged instead. (A sound file may lack some of its last pages, if nothing in them is in
/// use.)
void Environment::mend_length() const {
    MDB_envinfo info{};
    MDB_stat stat{};
    check(mdb_env_info(env_, &info), "examine index", names::kIndex);
    check(mdb_env_stat(env_, &stat), "examine index", names::kIndex);
    const auto wanted = static_cast<off_t>((info.me_last_pgno + 1) * stat.ms_psize);
    const auto there = try_stat_at(directory_.get(), kDataFile);
    if (!there || there->st_size >= wanted) return;
    // Unlike ftruncate(2) this never shortens what another process has lengthened meanwhile.
    const Fd file(::openat(directory_.get(), kDataFile, O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
    if (file) (void)::posix_fallocate(file.get(), there->st_size, wanted - there->st_size);
}

bool Environment::open_tables(unsigned transaction_flags, unsigned table_flags) {
    MDB_txn* begun = nullptr;
    check(mdb_txn_begin(env_, nullptr, transaction_flags, &begun), "read index", names::kIndex);
    std::unique_ptr<MDB_txn, void (*)(MDB_txn*)> txn(begun, mdb_txn_abort);
    for (size_t table = 0; table < kTables; ++table) {
        const int result = mdb_dbi_open(txn.get(), kTableNames.at(table), table_flags, &handles_.at(table));
        // A new environment, or one whose making was cut short.
        if (result == MDB_NOTFOUND && table == 0) return false;
        check(result, "open index table", kTableNames.at(table));
        if (table == 0) check_format(txn.get(), (table_flags & MDB_CREATE) != 0);
    }
    check(mdb_txn_commit(txn.release()), "open index tables", names::kIndex);
    return true;
}

void Environment::write_format(MDB_txn* txn) const {
    MDB_val key = value_of(kFormatKey);
    uint64_t format = kFormatVersion;
    const std::string bytes =
        with_checksum(Table::meta, kFormatKey, {reinterpret_cast<char*>(&format), sizeof format});
    MDB_val stored = value_of(bytes);
    check(mdb_put(txn, handle(Table::meta), &key, &stored, 0), "write format of index", names::kIndex);
}

/// Format 1 had no tables `unused` and `snapshots`, which may be empty, and one that nothing needs any more.
void Environment::check_format(MDB_txn* txn, bool creating) const {
    MDB_val key = value_of(kFormatKey);
    MDB_val stored{};
    const int result = mdb_get(txn, handle(Table::meta), &key, &stored);
    if (result == MDB_NOTFOUND && creating) {
        write_format(txn);
        return;
    }
    check(result, "read format of index", names::kIndex);
    const std::string_view value = verified(Table::meta, kFormatKey, stored);
    uint64_t format = 0;
    std::memcpy(&format, value.data(), std::min(value.size(), sizeof format));
    if (format == kFormatVersion) return;
    if (format == 1 && creating) {
        MDB_dbi retired = 0;
        if (mdb_dbi_open(txn, kRetiredTable, 0, &retired) == MDB_SUCCESS)
            check(mdb_drop(txn, retired, 1), "drop index table", kRetiredTable);
        write_format(txn);
        return;
    }
    Error error("open index", names::kIndex,
                fmt::format("it has format {}, this program knows format {}", format, kFormatVersion));
    throw error.as(Fault::unsupported)
        .with_hint(format == 1
                       ? "any command that changes something brings it up to date"
                       : "use the version of pwstore that made this store, or another data directory");
}

// --- Transaction ---------------------------------------------------------------------------------

Transaction::Transaction(std::shared_ptr<Environment> environment, Access access)
    : environment_(std::move(environment)), access_(access) {
    const unsigned flags = access == Access::read_only ? MDB_RDONLY : 0U;
    if (access == Access::read_write && environment_->access() == Access::read_only) {
        throw Error("change index", names::kIndex, "it is open for reading only").as(Fault::refused);
    }
    int result = mdb_txn_begin(environment_->get(), nullptr, flags, &txn_);
    if (result == MDB_READERS_FULL) {
        int dead = 0;
        (void)mdb_reader_check(environment_->get(), &dead);
        result = mdb_txn_begin(environment_->get(), nullptr, flags, &txn_);
    }
    check(result, "begin transaction of index", names::kIndex);
}

Transaction::~Transaction() {
    for (MDB_cursor* cursor : cursors_) {
        if (cursor != nullptr) mdb_cursor_close(cursor);
    }
    if (txn_ != nullptr) mdb_txn_abort(txn_);
}

std::optional<std::string_view> Transaction::get(Table table, std::string_view key) const {
    MDB_val wanted = value_of(key);
    MDB_val stored{};
    const int result = mdb_get(txn_, environment_->handle(table), &wanted, &stored);
    if (result == MDB_NOTFOUND) return std::nullopt;
    check(result, "read index table", name_of(table));
    return verified(table, key, stored);
}

std::optional<std::string_view> Transaction::peek(Table table, std::string_view key) const {
    MDB_val wanted = value_of(key);
    MDB_val stored{};
    const int result = mdb_get(txn_, environment_->handle(table), &wanted, &stored);
    if (result == MDB_NOTFOUND) return std::nullopt;
    check(result, "read index table", name_of(table));
    const std::string_view bytes = view_of(stored);
    return bytes.substr(0, bytes.size() - std::min(bytes.size(), kChecksum));
}

std::optional<std::string_view> Transaction::get_near(Table table, std::string_view key) const {
    if (access_ == Access::read_write)
        return get(table, key);  // its cursors would have to follow every write
    MDB_cursor*& cursor = cursors_.at(static_cast<size_t>(table));
    if (cursor == nullptr) {
        check(mdb_cursor_open(txn_, environment_->handle(table), &cursor), "read index table",
              name_of(table));
    }
    MDB_val wanted = value_of(key);
    MDB_val stored{};
    const int result = mdb_cursor_get(cursor, &wanted, &stored, MDB_SET_KEY);
    if (result == MDB_NOTFOUND) return std::nullopt;
    check(result, "read index table", name_of(table));
    return verified(table, key, stored);
}

bool Transaction::store(Table table, std::string_view key, std::string_view value, unsigned flags) {
    MDB_val wanted = value_of(key);
    MDB_val place{value.size() + kChecksum, nullptr};
    const int result = mdb_put(txn_, environment_->handle(table), &wanted, &place, flags | MDB_RESERVE);
    if (result == MDB_KEYEXIST) return false;
    check(result, "write index table", name_of(table));
    const uint64_t checksum = checksum_of(table, key, value);
    std::memcpy(place.mv_data, value.data(), value.size());
    std::memcpy(static_cast<char*>(place.mv_data) + value.size(), &checksum, kChecksum);
    return true;
}

void Transaction::put(Table table, std::string_view key, std::string_view value) {
    (void)store(table, key, value, 0);
}

bool Transaction::insert(Table table, std::string_view key, std::string_view value) {
    return store(table, key, value, MDB_NOOVERWRITE);
}

bool Transaction::erase(Table table, std::string_view key) {
    MDB_val wanted = value_of(key);
    const int result = mdb_del(txn_, environment_->handle(table), &wanted, nullptr);
    if (result == MDB_NOTFOUND) return false;
    check(result, "write index table", name_of(table));
    return true;
}

void Transaction::clear(Table table) {
    check(mdb_drop(txn_, environment_->handle(table), 0), "clear index table", name_of(table));
}

size_t Transaction::size(Table table) const {
    MDB_stat stat{};
    check(mdb_stat(txn_, environment_->handle(table), &stat), "examine index table", name_of(table));
    return stat.ms_entries;
}

namespace {

/// Calls `visit` with raw key and value, in key order, from the first key that starts with `prefix`, until it
/// returns false.
template <typename Visit>
void walk(MDB_txn* txn, MDB_dbi handle, const char* table, std::string_view prefix, const Visit& visit) {
    MDB_cursor* raw = nullptr;
    check(mdb_cursor_open(txn, handle, &raw), "read index table", table);
    const std::unique_ptr<MDB_cursor, void (*)(MDB_cursor*)> cursor(raw, mdb_cursor_close);
    MDB_val key = value_of(prefix);
    MDB_val stored{};
    int result = mdb_cursor_get(raw, &key, &stored, prefix.empty() ? MDB_FIRST : MDB_SET_RANGE);
    while (result == MDB_SUCCESS) {
        const std::string_view found = view_of(key);
        if (!found.starts_with(prefix) || !visit(found, stored)) return;
        result = mdb_cursor_get(raw, &key, &stored, MDB_NEXT);
    }
    if (result != MDB_NOTFOUND) throw lmdb_error(result, "read index table", table);
}

}  // namespace

void Transaction::for_each(
    Table table, std::string_view prefix,
    const std::function<bool(std::string_view key, std::string_view value)>& visit) const {
    walk(txn_, environment_->handle(table), name_of(table), prefix,
         [&](std::string_view key, const MDB_val& stored) {
             return visit(key, verified(table, key, stored));
         });
}

void Transaction::for_each_key(Table table, std::string_view prefix,
                               const std::function<void(std::string_view key)>& visit) const {
    walk(txn_, environment_->handle(table), name_of(table), prefix,
         [&](std::string_view key, const MDB_val&) {
             visit(key);
             return true;
         });
}

void Transaction::commit() {
    MDB_txn* txn = txn_;
    MDB_env* env = mdb_txn_env(txn);
    txn_ = nullptr;  // mdb_txn_commit() frees it, whatever it returns
    int result = mdb_txn_commit(txn);
    if (result == EIO && is_full(env)) result = ENOSPC;
    check(result, "commit index", names::kIndex);
}

}  // namespace pwstore::lmdb
