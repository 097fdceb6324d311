// SPDX-License-Identifier: GPL-3.0-or-later
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <span>
#include <unordered_set>

#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "store/gc/gc.hpp"
#include "store/gc/parts.hpp"
#include "store/lease.hpp"

namespace pwstore {

namespace {

constexpr size_t kSlice = 2048;   ///< objects per commit
constexpr uint64_t kBlock = 512;  ///< unit of st_blocks
constexpr const char* kStep = "collect";

/// Counts what an unlink is going to give back, before it is made.
void count(SweepReport& report, const struct stat& file) {
    const uint64_t bytes = static_cast<uint64_t>(file.st_blocks) * kBlock;
    if (file.st_nlink == 1) {
        ++report.inodes;
        report.bytes += bytes;
    } else {
        ++report.held_inodes;
        report.held_bytes += bytes;
    }
}

/// "ab/NAME": a plan may come from anywhere.
bool is_below_shard(const std::string& path) {
    return is_root_path(path) && path.size() > 3 && path[2] == '/' && path.find('/', 3) == std::string::npos;
}

void unlink_counted(const ObjectStore& objects, const std::string& path, SweepReport& report) {
    const auto file = try_stat_at(objects.fd(), path);
    if (file && remove_file(objects.fd(), path)) count(report, *file);
}

/// Which objects are in use, kept up to date from slice to slice: manifests and deltas never change and their
/// ids are never used again, so only those that came since have to be read.
class LiveObjects {
 public:
    void refresh(const ReadTxn& txn) {
        for (const ManifestId id : txn.manifest_ids()) {
            if (id > last_manifest_) Manifest::for_each_object(txn.manifest_front(id), insert, &set_);
            last_seen_manifest_ = std::max(last_seen_manifest_, id);
        }
        last_manifest_ = last_seen_manifest_;
        for (const uint32_t id : txn.delta_ids()) {
            if (id > last_delta_) Delta::for_each_object(txn.delta_front(id), insert, &set_);
            last_seen_delta_ = std::max(last_seen_delta_, id);
        }
        last_delta_ = last_seen_delta_;
        for (const auto& [id, bytes] : txn.leases()) {
            for (const ObjectId object : LeaseRow::decode(bytes).objects)
                set_.insert(object);
        }
    }
    [[nodiscard]] bool contains(ObjectId id) const { return set_.contains(id); }

 private:
    static void insert(void* set, ObjectId id) { static_cast<ObjectSet*>(set)->insert(id); }
    ObjectSet set_;
    ManifestId last_manifest_ = 0, last_seen_manifest_ = 0;
    uint32_t last_delta_ = 0, last_seen_delta_ = 0;
};

class Sweeper {
 public:
    Sweeper(const Store& store, const Garbage& garbage, std::chrono::milliseconds patience,
            ProgressSink& sink)
        : store_(store), garbage_(garbage), patience_(patience), sink_(sink) {}

    SweepReport run() {
        store_.index().release_ballast();
        if (!garbage_.manifests.empty() || !garbage_.deltas.empty()) remove_records();
        const std::span<const UnusedObject> all(garbage_.objects);
        for (size_t at = 0; at < all.size(); at += kSlice) {
            sink_.progress(kStep, "objects", at, all.size());
            remove_objects(all.subspan(at, std::min(kSlice, all.size() - at)));
        }
        if (!garbage_.strays.empty()) remove_strays();
        if (!all.empty()) sink_.progress(kStep, "objects", all.size(), all.size());
        (void)store_.index().restore_ballast();
        return report_;
    }

 private:
    /// Manifests and deltas of which nothing has come to refer to meanwhile.
    void remove_records() {
        const FileLock lock = store_.lock_ingest(patience_);
        WriteTxn txn = store_.index().write();
        const collecting::InUse used = collecting::in_use(txn, {});
        const ReadTxn::Unused unused = txn.unused();
        const std::map<uint32_t, int64_t> manifests(unused.manifests.begin(), unused.manifests.end());
        const std::map<uint32_t, int64_t> deltas(unused.deltas.begin(), unused.deltas.end());
        for (const UnusedRecord& record : garbage_.manifests) {
            if (is_still(record, manifests, used.manifests) && txn.remove_manifest(record.id)) {
                ++report_.manifests;
            } else {
                ++report_.skipped;
            }
        }
        for (const UnusedRecord& record : garbage_.deltas) {
            if (is_still(record, deltas, used.deltas) && txn.remove_delta(record.id)) {
                ++report_.deltas;
            } else {
                ++report_.skipped;
            }
        }
        failpoint("gc.before-records");
        txn.commit();
        failpoint("gc.records-removed");
    }

    /// A record without a time (of an older index) is given as unused since 0.
    static bool is_still(const UnusedRecord& record, const std::map<uint32_t, int64_t>& unused,
                         const std::unordered_set<uint32_t>& used) {
        const auto since = unused.find(record.id);
        return (since == unused.end() ? 0 : since->second) == record.since && !used.contains(record.id);
    }

    void remove_objects(std::span<const UnusedObject> slice) {
        const FileLock lock = store_.lock_ingest(patience_);
        std::vector<std::pair<ObjectKey, uint16_t>> gone;
        {
            WriteTxn txn = store_.index().write();
            live_.refresh(txn);
            for (const UnusedObject& object : slice) {
                const auto key = txn.object_key(object.id);
                if (!key || live_.contains(object.id) || key->path(0) != object.path) {
                    ++report_.skipped;
                    continue;
                }
                gone.emplace_back(*key, txn.find_object(*key)->copies);
                txn.remove_object(*key);
            }
            failpoint("gc.before-objects");
            txn.commit();
        }
        failpoint("gc.objects-removed");
        for (const auto& [key, copies] : gone) {
            for (uint16_t copy = 0; copy < copies; ++copy)
                unlink_counted(store_.objects(), key.path(copy), report_);
        }
        report_.objects += gone.size();
        failpoint("gc.unlinked");
    }

    /// No object of the index may be of that name by now.
    void remove_strays() {
        const FileLock lock = store_.lock_ingest(patience_);
        std::unordered_set<std::string> suspects(garbage_.strays.begin(), garbage_.strays.end());
        const ReadTxn txn = store_.index().read();
        txn.for_each_object([&](const ObjectKey& key, const ObjectRow& row) {
            for (uint16_t copy = 0; copy < row.copies; ++copy)
                suspects.erase(key.path(copy));
        });
        std::erase_if(suspects, [](const std::string& path) { return !is_below_shard(path); });
        report_.skipped += garbage_.strays.size() - suspects.size();
        for (const std::string& path : suspects)
            unlink_counted(store_.objects(), path, report_);
    }

    const Store& store_;
    const Garbage& garbage_;
    std::chrono::milliseconds patience_;
    ProgressSink& sink_;
    LiveObjects live_;
    SweepReport report_;
};

}  // namespace

SweepReport& SweepReport::operator+=(const SweepReport& other) {
    manifests += other.manifests;
    deltas += other.deltas;
    objects += other.objects;
    inodes += other.inodes;
    bytes += other.bytes;
    held_inodes += other.held_inodes;
    held_bytes += other.held_bytes;
    skipped += other.skipped;
    return *this;
}

SweepReport sweep(const Store& store, const Garbage& garbage, std::chrono::milliseconds patience,
                  ProgressSink& sink) {
    return Sweeper(store, garbage, patience, sink).run();
}

}  // namespace pwstore
