// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/known_packages.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <unordered_map>

#include "mount/root.hpp"
#include "resolver/signature_level.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "transact/resolve.hpp"

namespace pwstore {

namespace {

constexpr uint32_t kSha256Checked = 4;  // PlanStep::validation

/// The digest of the step's archive when nothing else has to be right about it.
std::optional<Sha256> deciding_digest(const PacmanConfig& config, const PlanStep& step) {
    const auto repository =
        std::find_if(config.repositories.begin(), config.repositories.end(),
                     [&](const Repository& one) { return one.name == step.package.repository; });
    if (repository == config.repositories.end() || repository->is_deb()) return std::nullopt;
    const SignatureLevel standard = apply_signature_tokens({}, config.sig_level);
    if (apply_signature_tokens(standard, repository->sig_level).packages.check) return std::nullopt;
    if (step.package.sha256.size() != 64) return std::nullopt;
    return Sha256::from_hex(step.package.sha256);
}

struct Known {
    Sha256 archive;
    ManifestId id = 0;
    bool is_there = false;  ///< it is installed over itself
    Manifest manifest;
    std::optional<Manifest> old;  ///< of the version that is there
};

std::optional<std::vector<Known>> known_packages(const TransactionState& state, const Work& work) {
    std::vector<Known> found;
    const ReadTxn txn = state.store.index().read();
    for (const PlanStep& step : work.plan.steps) {
        if (step.kind == StepKind::remove) continue;
        const auto digest = deciding_digest(state.config, step);
        if (!digest) return std::nullopt;
        const auto id = txn.manifest_of_archive(*digest);
        if (!id) return std::nullopt;
        Known& known =
            found.emplace_back(Known{*digest, *id, step.kind == StepKind::reinstall, txn.manifest(*id), {}});
        if (known.manifest.name != step.package.name || known.manifest.version != step.package.version)
            return std::nullopt;
        if (const auto* old = work.before ? work.before->find_package(step.package.name) : nullptr)
            known.old = txn.manifest(old->manifest);
    }
    return found;
}

/// Who installs a package over itself wants its files to be right: the store has them just as the archive
/// has.
bool is_intact(const Store& store, const Known& package) {
    if (!package.is_there) return true;
    std::vector<std::pair<ObjectKey, ObjectRow>> objects;
    {
        const ReadTxn txn = store.index().read();
        std::vector<ObjectId> ids;
        Manifest::for_each_object(
            txn.manifest_front(package.id),
            [](void* list, ObjectId id) { static_cast<std::vector<ObjectId>*>(list)->push_back(id); }, &ids);
        for (const ObjectId id : ids)
            objects.push_back(txn.object(id));
    }
    return std::all_of(objects.begin(), objects.end(), [&](const auto& object) {
        for (uint16_t copy = 0; copy < object.second.copies; ++copy) {
            if (!store.objects().is_intact(object.first, copy, store.digest())) return false;
        }
        return true;
    });
}

bool has(const std::optional<Manifest>& manifest, const Entry& entry) {
    const Entry* there = manifest ? manifest->find(entry.path) : nullptr;
    return there != nullptr && (there->kind == EntryKind::directory) == (entry.kind == EntryKind::directory);
}

/// No two of them have one file.
bool are_apart(const std::vector<Known>& packages) {
    std::unordered_map<std::string_view, bool> is_directory;
    for (const Known& package : packages) {
        for (const Entry& entry : package.manifest.entries) {
            const bool directory = entry.kind == EntryKind::directory;
            const auto [other, is_new] = is_directory.try_emplace(entry.path, directory);
            if (!is_new && !(directory && other->second)) return false;
        }
    }
    return true;
}

/// `root` has none of their files but those of the versions before.
bool meet_nothing(const std::vector<Known>& packages, int root) {
    for (const Known& package : packages) {
        for (const Entry& entry : package.manifest.entries) {
            if (has(package.old, entry)) continue;
            struct stat info {};
            if (::fstatat(root, entry.path.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
                if (errno != ENOENT) return false;
            } else if (entry.kind != EntryKind::directory || !S_ISDIR(info.st_mode)) {
                return false;
            }
        }
    }
    return true;
}

bool is_nothing_to_decide(TransactionState& state, const Work& work, const std::vector<Known>& packages) {
    if (!are_apart(packages)) return false;
    if (!shows_its_root(state, work)) return true;  // as libalpm, which is given an empty one then
    const std::string root = Layout::root_name(work.name, work.before->number);
    return meet_nothing(packages, open_dir(state.store.layout().data(), root).get());
}

}  // namespace

bool take_known_packages(TransactionState& state, Work& work) {
    const auto packages = known_packages(state, work);
    if (!packages || !is_nothing_to_decide(state, work, *packages)) return false;
    if (!std::all_of(packages->begin(), packages->end(),
                     [&](const Known& package) { return is_intact(state.store, package); }))
        return false;
    Ingestor ingestor(state.store, state.dialogue);
    for (const Known& package : *packages) {
        if (!ingestor.add_known(package.archive)) return false;  // collected meanwhile
    }
    record_archives(state, ingestor);
    for (const IngestedArchive& archive : ingestor.results())
        work.known.emplace(archive.name, archive);
    for (PlanStep& step : work.plan.steps) {
        if (step.kind != StepKind::remove) step.validation = kSha256Checked;
    }
    failpoint("fetch.known");
    return true;
}

}  // namespace pwstore
