// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "store/base/fd.hpp"

struct MDB_env;
struct MDB_txn;
struct MDB_cursor;

namespace pwstore::lmdb {

/// The named databases of the index; the numbers take part in the checksums and never change.
enum class Table : unsigned {
    meta = 0,
    objects = 1,
    ids = 2,
    unsynced = 3,
    manifests = 4,
    archives = 5,
    containers = 6,
    generations = 7,
    deltas = 8,
    unused = 9,
    leases = 10,
    transactions = 11,
    launch = 12,
    snapshots = 13,
};
inline constexpr size_t kTables = 14;

/// Of all tables, keys and values. Stored in table meta under "format"; raised whenever any of them changes.
inline constexpr uint64_t kFormatVersion = 2;

enum class Access { read_only, read_write };

/// One open LMDB environment. LMDB's locks belong to the process and its file, so one process opens one
/// environment once: opening it again gives the same object. Not usable across fork(); a child opens its own.
class Environment {
 public:
    /// Open store/index below `data_dir`; read_write creates what is missing. Null when read_only finds no
    /// index.
    static std::shared_ptr<Environment> open(int data_dir, Access access);
    /// Something was ever written to store/index.
    [[nodiscard]] static bool exists(int data_dir);
    Environment(const Environment&) = delete;
    Environment& operator=(const Environment&) = delete;
    ~Environment();

    [[nodiscard]] MDB_env* get() const noexcept { return env_; }
    [[nodiscard]] unsigned handle(Table table) const noexcept { return handles_[static_cast<size_t>(table)]; }
    [[nodiscard]] Access access() const noexcept { return access_; }
    /// store/index.
    [[nodiscard]] int directory() const noexcept { return directory_.get(); }

 private:
    Environment(Fd directory, Access access);
    int try_open(size_t map_size, unsigned flags);
    void open_environment();
    void mend_length() const;
    bool open_tables(unsigned transaction_flags, unsigned table_flags);
    void check_format(MDB_txn* txn, bool creating) const;
    void write_format(MDB_txn* txn) const;

    Fd directory_;
    Access access_;
    int process_;  ///< that opened it: a forked child must not touch LMDB's locks
    MDB_env* env_ = nullptr;
    std::array<unsigned, kTables> handles_{};
};

/// A transaction: aborted by the destructor unless committed. Every value is stored with an 8-byte checksum
/// over table, key and value, which get() and for_each() check and strip. Values stay readable until the
/// transaction ends or writes. One thread at a time.
class Transaction {
 public:
    Transaction(std::shared_ptr<Environment> environment, Access access);
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    ~Transaction();

    /// @throws Error (corrupt) naming table and key when the checksum is wrong
    [[nodiscard]] std::optional<std::string_view> get(Table table, std::string_view key) const;
    /// The same for a table whose keys are asked for in ascending runs: keeps its place.
    [[nodiscard]] std::optional<std::string_view> get_near(Table table, std::string_view key) const;
    /// Like get(), but the checksum is not looked at: for values of which only a part is read, with its own.
    [[nodiscard]] std::optional<std::string_view> peek(Table table, std::string_view key) const;
    void put(Table table, std::string_view key, std::string_view value);
    /// False, and nothing is written, when the key is there.
    [[nodiscard]] bool insert(Table table, std::string_view key, std::string_view value);
    /// False when the key was not there.
    bool erase(Table table, std::string_view key);
    void clear(Table table);
    [[nodiscard]] size_t size(Table table) const;
    /// In key order, the items whose keys start with `prefix`, until `visit` returns false. `visit` must not
    /// write.
    void for_each(Table table, std::string_view prefix,
                  const std::function<bool(std::string_view key, std::string_view value)>& visit) const;
    /// The same for keys alone: values are not looked at, so a damaged one is no error.
    void for_each_key(Table table, std::string_view prefix,
                      const std::function<void(std::string_view key)>& visit) const;
    /// Durable when it returns, if this is a write transaction.
    void commit();

    [[nodiscard]] const Environment& environment() const noexcept { return *environment_; }

 private:
    bool store(Table table, std::string_view key, std::string_view value, unsigned flags);

    std::shared_ptr<Environment> environment_;
    Access access_;
    MDB_txn* txn_ = nullptr;
    mutable std::array<MDB_cursor*, kTables> cursors_{};  ///< of get_near, opened when first needed
};

}  // namespace pwstore::lmdb
