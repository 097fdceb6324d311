// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "store/base/events.hpp"
#include "store/ingest.hpp"
#include "store/lease.hpp"
#include "store/store.hpp"

namespace pwstore::image {

/// Takes the contents of an image in, a part at a time. Each part is recorded when it is complete, under the
/// import's lease and as a delta that nothing uses: so it outlives an import that is interrupted, until a
/// collection with a `--min-dead` that has passed, and the next one finds it. The ingest lock is held within
/// a part, not between.
class IntakeRounds {
 public:
    using Take = std::function<void(Ingestor&)>;

    IntakeRounds(const Store& store, const Lease& lease, ProgressSink& sink)
        : store_(store), lease_(lease), sink_(sink) {}

    /// One part. On failure nothing of it is left.
    void add(const Take& take);
    /// The last one, in one commit with the records that use all of them: `record` puts these and names them
    /// in the lease's row. What the other parts left is not needed any more.
    void finish(const Take& take, const std::function<void(WriteTxn&, LeaseRow&)>& record);

    [[nodiscard]] const IngestStats& stats() const noexcept { return stats_; }

 private:
    const Store& store_;
    const Lease& lease_;
    ProgressSink& sink_;
    IngestStats stats_;
    std::vector<uint32_t> parts_;  ///< deltas
};

}  // namespace pwstore::image
