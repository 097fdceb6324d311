// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/events.hpp"
#include "store/lease.hpp"
#include "store/manifest.hpp"
#include "store/package/archive.hpp"
#include "store/store.hpp"

namespace pwstore {

struct IngestStats {
    uint64_t files = 0;
    uint64_t bytes = 0;
    uint64_t new_objects = 0;
    uint64_t new_bytes = 0;
    uint64_t healed = 0;                ///< damaged objects that the bytes in hand replaced
    std::vector<std::string> findings;  ///< one sentence per damaged object met
    IngestStats& operator+=(const IngestStats& other);
};

struct ArchiveSource {
    std::string path;
    /// When known: a different archive is an Error (corrupt). One that was ingested before is not read again.
    std::optional<Sha256> expected;
    /// Even then: its contents are compared with what is stored, and damaged files replaced.
    bool again = false;
};

struct IngestedArchive {
    ManifestId id = 0;  ///< of a manifest that is new: 0 until commit()
    std::string name;
    std::string version;
    bool was_known = false;  ///< the same archive was ingested before; nothing was unpacked
};

/// The one door: content enters the store here and nowhere else.
///
/// Holds the ingest lock from construction to commit() or destruction. Objects are created at once and are
/// garbage until commit() records them; manifests are kept in memory until then. A failed or killed ingest
/// leaves the store as it was. On a digest hit the bytes are compared: equal = the same object; unequal and
/// the stored file is intact = a true collision, next slot; unequal and the stored file is damaged = replaced
/// by the good bytes, and a finding.
class Ingestor {
 public:
    struct Options {
        IngestLimits limits;
        unsigned threads = 0;  ///< 0 = default_threads()
        std::chrono::milliseconds lock_patience{600'000};
    };
    Ingestor(const Store& store, ProgressSink& sink, Options options);
    Ingestor(const Store& store, ProgressSink& sink) : Ingestor(store, sink, Options{}) {}
    Ingestor(const Ingestor&) = delete;
    Ingestor& operator=(const Ingestor&) = delete;
    ~Ingestor();

    /// Read package archives (.pkg.tar, any compression) in parallel; results in the order of `sources`.
    /// @throws Error (corrupt, refused) naming archive, entry and rule for anything hostile or broken.
    /// After an Error nothing more can be added or committed.
    std::vector<IngestedArchive> add_archives(const std::vector<ArchiveSource>& sources);

    /// An archive that this store has read before: nothing is read. nullopt: it has not.
    std::optional<IngestedArchive> add_known(const Sha256& archive);

    /// One file from elsewhere (harvest, database): content read from `fd` to its end. Thread-safe.
    /// @param mode true mode; @param keep_time the time belongs to the identity (a Python source)
    /// @param xattrs those of the file; user.* ones belong to the identity
    ObjectId add_file(int fd, std::string_view path_for_errors, uint32_t mode,
                      std::optional<int64_t> keep_time,
                      const std::map<std::string, std::string>& xattrs = {});
    /// @param sha256 of `content`, when the caller has just computed it
    ObjectId add_content(std::string_view content, uint32_t mode, std::optional<int64_t> keep_time,
                         const std::map<std::string, std::string>& xattrs = {},
                         const Sha256* sha256 = nullptr);
    /// A content of any size in pieces: `next` gives them, an empty one ends it. Thread-safe.
    ObjectId add_stream(const std::function<std::string_view()>& next, std::string_view path_for_errors,
                        uint32_t mode, std::optional<int64_t> keep_time,
                        const std::map<std::string, std::string>& xattrs = {});

    /// Record objects (marked unsynced), manifests, and `lease` naming them, in one commit, together with
    /// what `also` puts. With `sync` the file system is synced first and the rows are durable. Releases the
    /// ingest lock.
    void commit(const Lease* lease, bool sync, const std::function<void(WriteTxn&)>& also = {});

    /// Every archive added so far, in order; ids are filled in when commit() calls `also`, and afterwards.
    [[nodiscard]] const std::vector<IngestedArchive>& results() const;
    /// Objects that add_file(), add_content() and add_stream() gave so far, in any order. Not while these
    /// run.
    [[nodiscard]] const std::vector<ObjectId>& contents() const;
    [[nodiscard]] IngestStats stats() const;

 private:
    struct State;
    std::unique_ptr<State> state_;
};

/// The path of this file has its time in the identity (Python sources, whose .pyc records it).
[[nodiscard]] bool keeps_time(std::string_view path);

}  // namespace pwstore
