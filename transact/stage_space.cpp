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
constexpr uint64_t kNoSize = 1ULL << 50;  ///< what claims to be larger has no believable size
constexpr uint64_t kManyFiles = 1ULL << 16;
constexpr uint64_t kUsualFile = 16 << 10;    ///< bytes of a package per file; mostly there are more
constexpr uint64_t kIndexBytes = 256 << 10;  ///< the index writes pages anew, at each of a few commits
constexpr uint64_t kRecordBytes =
    512;  ///< of a new path in the index: an entry and an object, half-full pages

struct Space {
    uint64_t bytes = 0, inodes = 0;
    [[nodiscard]] bool holds(const Space& needed) const {
        return bytes >= needed.bytes && inodes >= needed.inodes;
    }
};

struct FreeSpace : Space {
    uint64_t block = kDiskBlock;
};

FreeSpace free_space(const Layout& layout) {
    struct statvfs status {};
    if (::fstatvfs(layout.data(), &status) != 0)
        throw Error::from_errno("look at free space", layout.directories().data);
    FreeSpace free;
    free.block = std::max<uint64_t>(status.f_frsize, 1);
    free.bytes = status.f_bavail * free.block;
    // A file system that makes inodes as they are needed has none to count.
    free.inodes = status.f_files == 0 ? UINT64_MAX : status.f_favail;
    return free;
}

bool brings_packages(const TransactionState& state) {
    return std::any_of(state.works.begin(), state.works.end(), [](const Work& work) {
        return std::any_of(work.plan.steps.begin(), work.plan.steps.end(),
                           [](const PlanStep& step) { return step.kind != StepKind::remove; });
    });
}

/// So much is free that there is nothing to count: far more than the packages say that they take, and a GiB
/// and many files for every root.
bool is_ample(const TransactionState& state, const Space& free) {
    Space needed{kGiB, kManyFiles};
    for (const Work& work : state.works) {
        if (work.affected) {
            needed.bytes += kGiB;
            needed.inodes += kManyFiles;
        }
        for (const PlanStep& step : work.plan.steps) {
            const uint64_t bytes = 8 * std::min(step.package.installed_size, kNoSize);
            needed.bytes += bytes;
            needed.inodes += bytes / kUsualFile;
        }
        if (needed.bytes >= kNoSize) return false;
    }
    return free.holds(needed);
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

    Space needed() {
        for (const Work& work : state_.works) {
            for (const PlanStep& step : work.plan.steps) {
                if (step.kind != StepKind::remove && !work.known.contains(step.package.name))
                    look_at_archive(step);
            }
        }
        const ReadTxn txn = state_.store.index().read();
        Space needed{kIndexBytes + new_paths_ * kRecordBytes + unread_bytes_, 0};
        for (const auto& [identity, size] : missing_contents(txn, contents_)) {
            needed.bytes += whole_blocks(size);
            ++needed.inodes;
        }
        for (const Work& work : state_.works) {
            if (work.affected) add_root(txn, work, needed);
        }
        return needed;
    }

 private:
    void look_at_archive(const PlanStep& step);
    void add_root(const ReadTxn& txn, const Work& work, Space& needed);
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

void SpaceEstimate::add_root(const ReadTxn& txn, const Work& work, Space& needed) {
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
    needed.bytes += cost.bytes();
    needed.inodes += cost.inodes();
}

std::string mebibytes(uint64_t bytes) {
    return fmt::format("{:.2f} MiB", static_cast<double>(bytes) / (1 << 20));
}

[[noreturn]] void refuse(const TransactionState& state, const Space& needed, const FreeSpace& free) {
    const bool lacks_bytes = needed.bytes > free.bytes;
    const char* cause = lacks_bytes ? "not enough free disk space" : "not enough free inodes";
    const std::string& data = state.store.layout().directories().data;
    const std::string figures =
        lacks_bytes
            ? fmt::format("{} are needed for files that are new to the store and for new roots, {} are free",
                          mebibytes(needed.bytes), mebibytes(free.bytes))
            : fmt::format("{} files and directories are new, the file system has room for {} more",
                          needed.inodes, free.inodes);
    if (!state.request.as_pacman) {
        throw Error("check disk space", data, fmt::format("{}: {}", cause, figures))
            .as(Fault::refused)
            .with_hint("nothing was changed; 'pwstore gc' removes what nothing uses any more");
    }
    if (lacks_bytes) {
        state.dialogue.message(
            Severity::error,
            fmt::format("Partition {} too full: {} blocks needed, {} blocks free", data,
                        (needed.bytes + free.block - 1) / free.block, free.bytes / free.block));
    }
    state.dialogue.message(Severity::error, figures);
    throw pacman_commit_failure(cause, Fault::refused);
}

}  // namespace

void check_space(TransactionState& state) {
    if (state.request.as_pacman && state.config.check_space && brings_packages(state))
        state.dialogue.progress("check disk space", "", 0, 1);
    const FreeSpace free = free_space(state.store.layout());
    if (is_ample(state, free)) return;
    const Space needed = in_step("check disk space", [&] { return SpaceEstimate(state).needed(); });
    if (!free.holds(needed)) refuse(state, needed, free);
}

}  // namespace pwstore
