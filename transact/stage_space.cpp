// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>

#include "mount/probe.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/package/archive_listing.hpp"
#include "transact/pacman_failure.hpp"
#include "transact/root_cost.hpp"
#include "transact/work.hpp"

namespace pwstore {

namespace {

constexpr uint64_t kGiB = 1ULL << 30;
constexpr uint64_t kNoSize = 1ULL << 50;     ///< what claims to be larger has no believable size
constexpr uint64_t kIndexBytes = 256 << 10;  ///< the index writes pages anew, at each of a few commits
constexpr uint64_t kRecordBytes =
    512;  ///< of a new path in the index: an entry and an object, half-full pages

struct FreeSpace {
    uint64_t bytes = 0, block = kDiskBlock;
};

FreeSpace free_space(const Layout& layout) {
    struct statvfs status {};
    if (::fstatvfs(layout.data(), &status) != 0)
        throw Error::from_errno("look at free space", layout.directories().data);
    const uint64_t block = std::max<uint64_t>(status.f_frsize, 1);
    return {.bytes = status.f_bavail * block, .block = block};
}

bool brings_packages(const TransactionState& state) {
    return std::any_of(state.works.begin(), state.works.end(), [](const Work& work) {
        return std::any_of(work.plan.steps.begin(), work.plan.steps.end(),
                           [](const PlanStep& step) { return step.kind != StepKind::remove; });
    });
}

/// So much is free that there is nothing to count: far more than the packages say that they take, and a GiB
/// for every root.
bool is_ample(const TransactionState& state, uint64_t free) {
    uint64_t needed = kGiB;
    for (const Work& work : state.works) {
        if (work.affected) needed += kGiB;
        for (const PlanStep& step : work.plan.steps)
            needed += 8 * std::min(step.package.installed_size, kNoSize);
        if (needed >= kNoSize) return false;
    }
    return free >= needed;
}

/// Of what a package's entry in the database has beside its lists.
uint64_t side_bytes(const ReadTxn& txn, const Manifest& manifest) {
    uint64_t bytes = 0;
    for (const ObjectId side : {manifest.mtree, manifest.install, manifest.changelog}) {
        if (side != 0) bytes += txn.object(side).first.size;
    }
    return bytes;
}

/// Counts what the stages after it write.
class SpaceEstimate {
 public:
    explicit SpaceEstimate(TransactionState& state)
        : state_(state), mode_(script_mode(state.store.layout())) {}

    uint64_t needed() {
        for (const Work& work : state_.works) {
            for (const PlanStep& step : work.plan.steps) {
                if (step.kind != StepKind::remove && !work.known.contains(step.package.name))
                    look_at_archive(step);
            }
        }
        const ReadTxn txn = state_.store.index().read();
        uint64_t bytes =
            kIndexBytes + new_paths_ * kRecordBytes + missing_bytes(txn, contents_) + unread_bytes_;
        for (const Work& work : state_.works) {
            if (work.affected) bytes += root_bytes(txn, work);
        }
        return bytes;
    }

 private:
    void look_at_archive(const PlanStep& step);
    [[nodiscard]] uint64_t root_bytes(const ReadTxn& txn, const Work& work);
    void add_package(const ReadTxn& txn, RootCost& cost, const PlannedPackage& package,
                     const std::string& container) const;

    TransactionState& state_;
    ScriptMode mode_;
    std::map<std::string, ManifestId> known_;        ///< by archive
    std::map<std::string, ArchiveListing> unknown_;  ///< by archive
    std::map<FileIdentity, uint64_t> contents_;      ///< of all unknown archives
    uint64_t new_paths_ = 0;
    uint64_t unread_bytes_ = 0;  ///< that packages claim which could not be looked at
};

void SpaceEstimate::look_at_archive(const PlanStep& step) {
    if (known_.contains(step.archive) || unknown_.contains(step.archive)) return;
    const Sha256 sha256 = step.package.sha256.size() == 64
                              ? Sha256::from_hex(step.package.sha256)
                              : sha256_of_fd(open_at(AT_FDCWD, step.archive, O_RDONLY).get(), step.archive);
    if (const auto manifest = state_.store.index().read().manifest_of_archive(sha256)) {
        known_[step.archive] = *manifest;
        return;
    }
    ArchiveListing& listing = unknown_[step.archive];
    try {
        listing = list_archive(step.archive);
    } catch (const Error& error) {
        if (error.fault() == Fault::interrupted) throw;
        unread_bytes_ += std::min(step.package.installed_size, kNoSize);  // ingest says what is wrong
    }
    contents_.insert(listing.contents.begin(), listing.contents.end());
    new_paths_ += listing.entries.size();
}

/// A package as it will be: what `container` installs is not in the index yet, or not the one of before.
void SpaceEstimate::add_package(const ReadTxn& txn, RootCost& cost, const PlannedPackage& package,
                                const std::string& container) const {
    ManifestId manifest = package.installed.manifest;
    if (const Work* work = state_.find(container); work != nullptr) {
        for (const PlanStep& step : work->plan.steps) {
            if (step.kind == StepKind::remove || step.package.name != package.installed.name) continue;
            if (const auto known = work->known.find(step.package.name); known != work->known.end()) {
                manifest = known->second.id;
                continue;
            }
            if (const auto found = unknown_.find(step.archive); found != unknown_.end())
                return cost.add_package(found->second.entries, found->second.side_bytes);
            manifest = known_.at(step.archive);
        }
    }
    const Manifest read = txn.manifest(manifest);
    cost.add_package(read.entries, side_bytes(txn, read));
}

uint64_t SpaceEstimate::root_bytes(const ReadTxn& txn, const Work& work) {
    RootCost cost(mode_);
    for (const PlannedPackage& package : work.packages)
        add_package(txn, cost, package, work.name.str());
    for (const PlannedPackage& package : state_.upstream_packages(txn, work))
        add_package(txn, cost, package, package.container);
    if (work.before) cost.add_delta(txn.delta(work.before->delta), true);
    for (const std::string& name : work.upstream) {
        const auto row = txn.container(ContainerName(name));
        const auto below = row ? txn.generation(ContainerName(name), row->current) : std::nullopt;
        if (below) cost.add_delta(txn.delta(below->delta), false);
    }
    return cost.bytes();
}

std::string mebibytes(uint64_t bytes) {
    return fmt::format("{:.2f} MiB", static_cast<double>(bytes) / (1 << 20));
}

[[noreturn]] void refuse(const TransactionState& state, uint64_t needed, const FreeSpace& free) {
    constexpr const char* kCause = "not enough free disk space";
    const std::string& data = state.store.layout().directories().data;
    const std::string figures =
        fmt::format("{} are needed for files that are new to the store and for new roots, {} are free",
                    mebibytes(needed), mebibytes(free.bytes));
    if (!state.request.as_pacman) {
        throw Error("check disk space", data, fmt::format("{}: {}", kCause, figures))
            .as(Fault::refused)
            .with_hint("nothing was changed; 'pwstore gc' removes what nothing uses any more");
    }
    state.dialogue.message(Severity::error,
                           fmt::format("Partition {} too full: {} blocks needed, {} blocks free", data,
                                       (needed + free.block - 1) / free.block, free.bytes / free.block));
    state.dialogue.message(Severity::error, figures);
    throw pacman_commit_failure(kCause, Fault::refused);
}

}  // namespace

void check_space(TransactionState& state) {
    if (state.request.as_pacman && state.config.check_space && brings_packages(state))
        state.dialogue.progress("check disk space", "", 0, 1);
    const FreeSpace free = free_space(state.store.layout());
    if (is_ample(state, free.bytes)) return;
    const uint64_t needed = in_step("check disk space", [&] { return SpaceEstimate(state).needed(); });
    if (needed > free.bytes) refuse(state, needed, free);
}

}  // namespace pwstore
