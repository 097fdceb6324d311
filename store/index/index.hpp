// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/base/names.hpp"
#include "store/generation.hpp"
#include "store/manifest.hpp"
#include "store/object.hpp"

namespace pwstore {

/// The index: one LMDB environment. Values carry an 8-byte checksum; a wrong one is an Error (corrupt) naming
/// table and key. A process opens it once, after any fork (a second Index on the same folder shares the first
/// one's environment). Key and value formats: docs/format.md.
///
/// Read transactions see one consistent state and must be short (< 1 s); each is used by one thread at a
/// time. There is one write transaction at a time in the whole system; it holds puts and deletes only, never
/// I/O. commit() is durable (fdatasync) when it returns and is all or nothing at any crash; a transaction
/// that is destroyed without commit() changed nothing. Ids are never reused, whatever is removed.
class Index;

/// A generation that is to go, and since when nobody has needed it.
struct DroppedGeneration {
    GenerationRef generation;
    int64_t unused_since = 0;  ///< seconds since the epoch
    auto operator<=>(const DroppedGeneration&) const = default;
};

class ReadTxn {
 public:
    ReadTxn(ReadTxn&&) noexcept;
    ReadTxn& operator=(ReadTxn&&) = delete;
    virtual ~ReadTxn();

    // --- Objects ---------------------------------------------------------------------------------
    [[nodiscard]] std::optional<ObjectRow> find_object(const ObjectKey& key) const;
    [[nodiscard]] std::optional<ObjectKey> object_key(ObjectId id) const;
    /// Key and row of an id that a record refers to. @throws Error (corrupt) when it is missing.
    [[nodiscard]] std::pair<ObjectKey, ObjectRow> object(ObjectId id) const;
    void for_each_object(const std::function<void(const ObjectKey&, const ObjectRow&)>& visit) const;
    /// Every name of an object with the id it leads to, in the order of the names: what find_object() goes
    /// by.
    void for_each_object_name(const std::function<void(const ObjectKey&, ObjectId)>& visit) const;
    [[nodiscard]] uint64_t object_count() const;
    [[nodiscard]] ObjectId last_object_id() const;  ///< highest ever given

    // --- Manifests -------------------------------------------------------------------------------
    [[nodiscard]] Manifest manifest(ManifestId id) const;
    /// The encoded value, readable while this transaction lives.
    [[nodiscard]] std::string_view manifest_bytes(ManifestId id) const;
    /// The same without its checksum being looked at: for the front alone, which carries one of its own.
    [[nodiscard]] std::string_view manifest_front(ManifestId id) const;
    [[nodiscard]] std::optional<ManifestId> manifest_of_archive(const Sha256& archive) const;
    [[nodiscard]] std::vector<ManifestId> manifest_ids() const;

    // --- Not yet synced --------------------------------------------------------------------------
    /// Objects, manifests and deltas that were recorded under another boot's mark and never synced: after a
    /// crash of the machine their files may hold anything. No generation refers to them.
    struct Unsynced {
        std::vector<std::pair<ObjectKey, ObjectRow>> objects;
        std::vector<ManifestId> manifests;
        std::vector<uint32_t> deltas;
        [[nodiscard]] bool empty() const noexcept {
            return objects.empty() && manifests.empty() && deltas.empty();
        }
    };
    [[nodiscard]] Unsynced unsynced_of_other_boots() const;

    // --- Containers and generations --------------------------------------------------------------
    [[nodiscard]] std::vector<ContainerName> containers() const;  ///< sorted by name
    [[nodiscard]] std::optional<ContainerRow> container(const ContainerName& name) const;
    [[nodiscard]] std::optional<Generation> generation(const ContainerName& name, uint64_t number) const;
    [[nodiscard]] std::vector<uint64_t> generation_numbers(const ContainerName& name) const;
    [[nodiscard]] Delta delta(uint32_t id) const;  ///< id 0 is the empty delta
    /// The encoded value, readable while this transaction lives.
    [[nodiscard]] std::string_view delta_bytes(uint32_t id) const;
    /// As manifest_front().
    [[nodiscard]] std::string_view delta_front(uint32_t id) const;
    [[nodiscard]] std::vector<uint32_t> delta_ids() const;

    /// Manifests and deltas that no generation refers to, each with the time of the commit that made it so
    /// (the one that recorded it, or the one that removed its last generation). Ascending ids.
    struct Unused {
        std::vector<std::pair<ManifestId, int64_t>> manifests;
        std::vector<std::pair<uint32_t, int64_t>> deltas;
    };
    [[nodiscard]] Unused unused() const;

    // --- Snapshots -------------------------------------------------------------------------------
    /// A name that pins a generation: it stays until the name is removed.
    struct Snapshot {
        std::string container;
        uint64_t generation = 0;
        int64_t time = 0;
        std::string note;
        bool operator==(const Snapshot&) const = default;
    };
    [[nodiscard]] std::optional<Snapshot> snapshot(const std::string& name) const;
    [[nodiscard]] std::vector<std::pair<std::string, Snapshot>> snapshots() const;  ///< sorted by name

    // --- Leases, transactions, launch records ----------------------------------------------------
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> leases() const;  ///< id → encoded row
    /// One container that a transaction switched, with its generation before and after.
    struct Switch {
        std::string container;
        uint64_t from = 0;
        uint64_t to = 0;  ///< 0 = removed
        bool operator==(const Switch&) const = default;
    };
    struct Transaction {
        int64_t time = 0;   ///< 0 = not recorded
        std::string cause;  ///< the command in words
        std::vector<Switch> switches;
    };
    /// nullopt when it is not there (any more).
    [[nodiscard]] std::optional<Transaction> transaction(uint64_t id) const;
    [[nodiscard]] uint64_t last_transaction() const;
    /// The precompiled launch record of a container (opaque here; mount/ writes and reads it).
    [[nodiscard]] std::optional<std::string> launch_record(const ContainerName& name) const;

 protected:
    friend class Index;
    struct State;
    explicit ReadTxn(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

class WriteTxn final : public ReadTxn {
 public:
    WriteTxn(WriteTxn&&) noexcept;
    WriteTxn& operator=(WriteTxn&&) = delete;
    ~WriteTxn() override;

    // --- Objects ---------------------------------------------------------------------------------
    [[nodiscard]] ObjectId next_object_id();
    /// Add or change a row; `row.id` comes from next_object_id(), or follows last_object_id() when the caller
    /// holds the ingest lock. @throws Error when the key has another id.
    void put_object(const ObjectKey& key, const ObjectRow& row);
    bool remove_object(const ObjectKey& key);
    // --- Manifests -------------------------------------------------------------------------------
    /// Store and give it an id; with `record_archive` also archive-sha256 → id (only an Ingestor that read it
    /// may). While any object is marked unsynced at commit(), so is the manifest: it may refer to that
    /// object.
    ManifestId add_manifest(const Manifest& manifest, bool record_archive);
    bool remove_manifest(ManifestId id);  ///< and what its archive leads to, if that is this manifest
    // --- Containers and generations --------------------------------------------------------------
    void put_container(const ContainerName& name, const ContainerRow& row);
    void remove_container(const ContainerName& name);  ///< with all its generations and launch record
    /// @throws Error when the generation exists. A transaction with a generation commits only when nothing is
    /// marked unsynced: sync, then mark_all_synced().
    void put_generation(const Generation& generation);
    /// Manifests and deltas that are then in no generation stay, unused since the latest of their generations
    /// was (and not later than now).
    void remove_generations(const std::vector<DroppedGeneration>& dropped);
    /// The empty delta is id 0. While any object is marked unsynced at commit(), so is the delta, as a
    /// manifest is.
    uint32_t add_delta(const Delta& delta);
    bool remove_delta(uint32_t id);  ///< one that no generation uses
    // --- Snapshots -------------------------------------------------------------------------------
    /// @throws Error when the generation does not exist, or the name does
    void add_snapshot(const std::string& name, const Snapshot& snapshot);
    bool remove_snapshot(const std::string& name);
    // --- Leases, transactions, launch records ----------------------------------------------------
    void put_lease(const std::string& id, std::string_view row);
    void remove_lease(const std::string& id);
    [[nodiscard]] uint64_t next_transaction();
    void put_transaction(uint64_t id, const Transaction& transaction);
    void put_launch_record(const ContainerName& name, std::string_view record);
    void remove_transaction(uint64_t id);

    // --- Not yet synced --------------------------------------------------------------------------
    /// Clear the unsynced marks of `boot_mark`, all objects', manifests' and deltas': the holder of the
    /// ingest lock has synced the file system since they were recorded. Costs what the marks cost, not what
    /// the store holds.
    void mark_all_synced(uint64_t boot_mark);

    void commit();

 private:
    friend class Index;
    explicit WriteTxn(std::unique_ptr<State> state);
};

class Index {
 public:
    enum class Mode { read_only, read_write };
    /// Open (read_write also creates) store/index below `data_dir`. 1 TiB map, halved while the kernel
    /// refuses it; dead readers are cleared. read_only works in a folder that nobody can write. @throws Error
    /// (unsupported) for another format version; with error_number() ENOENT when read_only finds none.
    static Index open(int data_dir, Mode mode);
    /// Something was ever written to it.
    [[nodiscard]] static bool exists(int data_dir);
    Index(Index&&) noexcept;
    Index& operator=(Index&&) = delete;
    ~Index();

    [[nodiscard]] ReadTxn read() const;
    /// Waits for the one writer. Lock order: containers by name, ingest lock, this.
    [[nodiscard]] WriteTxn write() const;

    /// store/index/ballast holds some MiB of space that gc gives back first, so that it can commit on a full
    /// disk.
    void release_ballast() const;
    /// False when there is no space for it. open(read_write) tries it as well.
    bool restore_ballast() const;

 private:
    struct State;
    explicit Index(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace pwstore
