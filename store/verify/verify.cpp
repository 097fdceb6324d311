// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/verify/verify.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <future>
#include <memory>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/lock.hpp"
#include "store/base/path_at.hpp"
#include "store/lost_index.hpp"
#include "store/verify/parts.hpp"

namespace pwstore {

using namespace verifying;

namespace {

constexpr std::chrono::seconds kCheckPatience{2};
constexpr std::chrono::minutes kHealPatience{10};
constexpr const char* kOwner = "verify";

/// A root on disk, or one that should be there.
struct RootState {
    ContainerName container;
    uint64_t number = 0;
    std::optional<FileLock> lease;
    Fd fd;
    std::string failure;  ///< why its tree could not be computed
    RootScan scan;

    [[nodiscard]] std::string title() const { return fmt::format("{}@{}", container.str(), number); }
};

class Verifier {
 public:
    Verifier(const Store& store, const VerifyOptions& options, ProgressSink& sink)
        : store_(store), options_(options), sink_(sink) {}

    VerifyReport run() {
        auto counts = std::async(std::launch::async, [this] { return count_object_files(store_); });
        ReadTxn now = store_.index().read();
        catalog_ = read_catalog(now, report_.findings);
        // Records are checked beside the objects, in the transaction of the catalog, which ends with them.
        auto records = std::async(std::launch::async, [this, given = std::move(now)]() mutable {
            const ReadTxn txn = std::move(given);
            std::vector<Finding> found;
            check_records(txn, catalog_, found);
            return found;
        });
        scan_ = scan_objects(store_, catalog_, counts.get(), options_, sink_);
        for (Finding& finding : records.get())
            report_.findings.push_back(std::move(finding));
        confirm_under_lock();
        if (options_.roots) find_roots();
        find_set_ids(store_, is_healing() ? SetIds::clear : SetIds::report, report_.findings);
        for (RootState& root : roots_)
            scan_root(root);
        std::unordered_set<ObjectId> replaced;
        if (is_healing()) replaced = heal();
        report_objects();
        for (RootState& root : roots_)
            finish_root(root, replaced);
        if (is_healing()) sync_filesystem(store_.layout().data(), store_.layout().directories().data);
        return finished();
    }

 private:
    [[nodiscard]] bool is_healing() const { return static_cast<bool>(options_.heal_from); }

    // --- Objects ---------------------------------------------------------------------------------

    void confirm_under_lock();
    void drop_what_changed(const ReadTxn& txn);
    [[nodiscard]] std::unordered_set<ObjectId> heal();
    void remove_strays();
    void report_objects();

    // --- Roots -----------------------------------------------------------------------------------

    void find_roots();
    void add_root(const std::string& name);
    void report_missing_roots();
    void scan_root(RootState& root);
    void finish_root(RootState& root, const std::unordered_set<ObjectId>& replaced);
    void mend(RootState& root, const std::unordered_set<ObjectId>& replaced);
    [[nodiscard]] std::optional<Tree> tree_for(RootState& root) const;

    VerifyReport finished();

    [[nodiscard]] RootCheck root_check() const {
        return {store_, catalog_, scan_, options_.contents, options_.threads};
    }

    const Store& store_;
    const VerifyOptions& options_;
    ProgressSink& sink_;
    VerifyReport report_;
    Catalog catalog_;
    ObjectScan scan_;
    std::optional<FileLock> ingest_;
    std::vector<RootState> roots_;
    std::unordered_set<ObjectId> bad_objects_;  ///< damaged still, after healing
    std::unordered_set<std::string> removed_strays_;
};

// --- Objects -------------------------------------------------------------------------------------

/// Others may have added and removed objects since the catalog was read. The holder of the ingest lock sees
/// what is.
void Verifier::confirm_under_lock() {
    if (!is_healing() && scan_.damages.empty() && scan_.strays.empty()) return;
    try {
        ingest_ = store_.lock_ingest(is_healing() ? std::chrono::milliseconds(kHealPatience)
                                                  : std::chrono::milliseconds(kCheckPatience));
    } catch (const Error& error) {
        if (is_healing()) throw;
        // Whoever holds it may be writing what has no record yet.
        if (error.fault() == Fault::busy && !scan_.strays.empty()) {
            sink_.message(Severity::info,
                          "files without a record are not reported: another command adds files now");
        }
        // Rows go before files do: what has no row any more was not damaged.
        scan_.strays.clear();
        drop_what_changed(store_.index().read());
        return;
    }
    drop_what_changed(store_.index().read());
    if (!is_healing()) ingest_.reset();
}

void Verifier::drop_what_changed(const ReadTxn& txn) {
    std::erase_if(scan_.damages, [&](ObjectScan::Damage& damage) {
        const auto& [key, row] = catalog_.objects[damage.place];
        const auto now = txn.find_object(key);
        if (!now || now->id != row.id || now->copies <= damage.copy) return true;
        damage.state = look_at_object(store_, key, damage.copy, options_.contents);
        scan_.note(damage.place, damage.copy, damage.state);
        return damage.state.fault == ObjectFault::none;
    });
    if (scan_.strays.empty()) return;
    std::vector<Finding> ignored;
    const Catalog now = read_catalog(txn, ignored);
    if (!now.complete) return scan_.strays.clear();  // they may be objects whose rows cannot be read
    std::unordered_set<std::string> recorded;
    for (const auto& [key, row] : now.objects) {
        for (uint16_t copy = 0; copy < row.copies; ++copy)
            recorded.insert(key.path(copy));
    }
    std::erase_if(scan_.strays, [&](const std::string& path) { return recorded.contains(path); });
}

std::unordered_set<ObjectId> Verifier::heal() {
    remove_strays();
    if (scan_.damages.empty()) return {};
    std::unordered_set<ObjectId> ids;
    for (const auto& damage : scan_.damages)
        ids.insert(catalog_.objects[damage.place].second.id);
    const Users users(store_.index().read(), ids);
    std::vector<std::unique_ptr<Tree>> trees;
    std::vector<OpenRoot> sources;
    for (RootState& root : roots_) {
        std::optional<Tree> tree = tree_for(root);
        if (!tree) continue;
        trees.push_back(std::make_unique<Tree>(std::move(*tree)));
        sources.push_back({trees.back().get(), root.fd.get(), root.title()});
    }
    return heal_objects(store_, catalog_, users, scan_.damages, sources, options_, sink_);
}

void Verifier::remove_strays() {
    for (const std::string& path : scan_.strays) {
        try {
            remove_tree(open_dir(store_.objects().fd(), std::string(split_path(path).first)).get(),
                        std::string(split_path(path).second));
            removed_strays_.insert(path);
        } catch (const Error& error) {
            sink_.message(Severity::warning, error.what());
        }
    }
}

void Verifier::report_objects() {
    std::unordered_set<ObjectId> ids;
    for (const auto& damage : scan_.damages)
        ids.insert(catalog_.objects[damage.place].second.id);
    const Users users(store_.index().read(), ids);
    const std::string below = std::string(names::kObjects) + "/";
    for (const ObjectScan::Damage& damage : scan_.damages) {
        const auto& [key, row] = catalog_.objects[damage.place];
        Finding finding{FindingKind::damaged_object, below + key.path(damage.copy), "", false};
        if (damage.state.fault == ObjectFault::missing) finding.kind = FindingKind::missing_object;
        if (damage.state.set_id) finding.kind = FindingKind::set_id_file;
        finding.text = fmt::format("the stored file of {} {}", users.of(row.id), damage.state.what);
        if (is_healing()) {
            const ObjectState now = look_at_object(store_, key, damage.copy, true);
            finding.healed = now.fault == ObjectFault::none;
            scan_.note(damage.place, damage.copy, now);
            if (!finding.healed) bad_objects_.insert(row.id);
            if (finding.healed && !damage.source.empty()) {
                finding.source = damage.source;
                finding.text += "; good bytes came from " + damage.source;
            }
        }
        report_.findings.push_back(std::move(finding));
    }
    for (const std::string& path : scan_.strays) {
        const bool set_id = scan_.stray_set_ids.contains(path);
        report_.findings.push_back({set_id ? FindingKind::set_id_file : FindingKind::stray_file, below + path,
                                    fmt::format("'{}' is a file that no record names{}", below + path,
                                                set_id ? ", and would run as its owner" : ""),
                                    removed_strays_.contains(path)});
    }
}

// --- Roots ---------------------------------------------------------------------------------------

void Verifier::find_roots() {
    const auto dir = try_open_at(store_.layout().data(), names::kRoots, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (dir) {
        for (const DirectoryItem& item : list_directory(dir->get())) {
            if (item.type == DT_DIR) add_root(item.name);
        }
    }
    report_missing_roots();
}

/// "NAME@N" of a generation that there is, or a finding.
void Verifier::add_root(const std::string& name) {
    const std::string path = std::string(names::kRoots) + "/" + name;
    try {
        const size_t at = name.rfind('@');
        uint64_t number = 0;
        const char* end = name.data() + name.size();
        if (at == std::string::npos || std::from_chars(name.data() + at + 1, end, number).ptr != end) {
            report_.findings.push_back({FindingKind::stray_file, path,
                                        fmt::format("'{}' is a directory that is no container's root", path),
                                        false});
            return;
        }
        RootState root{ContainerName(name.substr(0, at)), number, std::nullopt, Fd(), "", {}};
        const int data = store_.layout().data();
        const auto recorded = [&] {
            return store_.index().read().generation(root.container, number).has_value();
        };
        if (!recorded()) {
            // A transaction publishes its roots before it records their generations.
            const bool is_idle =
                is_lock_free(data, std::string(names::kContainerLocks) + "/" + root.container.str());
            if (is_idle && !recorded()) {
                report_.findings.push_back(
                    {FindingKind::stray_file, path,
                     fmt::format("'{}' is the root of a generation that no record names", path), false});
            }
            return;
        }
        try {
            root.lease = FileLock::try_acquire(data, Layout::run_lease_name(root.container, number),
                                               LockMode::shared, kOwner);
            if (!root.lease) return;  // a transaction is changing or removing it
        } catch (const Error&) {
            root.lease.reset();  // a store that may only be read: nobody changes it either
        }
        std::optional<Fd> fd = try_open_at(data, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (!fd) return;
        root.fd = std::move(*fd);
        roots_.push_back(std::move(root));
    } catch (const Error& error) {
        report_.findings.push_back({FindingKind::bad_record, path, error.what(), false});
    }
}

void Verifier::report_missing_roots() {
    const ReadTxn txn = store_.index().read();
    try {
        for (const ContainerName& name : txn.containers()) {
            const auto row = txn.container(name);
            if (!row || row->current == 0) continue;
            const std::string path = Layout::root_name(name, row->current);
            if (exists_at(store_.layout().data(), path)) continue;
            report_.findings.push_back(
                {FindingKind::missing_root, path,
                 fmt::format("the root of {} is missing; it is built again when it is used", name.str()),
                 false});
        }
    } catch (const Error&) {
        return;  // a bad record, which is a finding already
    }
}

std::optional<Tree> Verifier::tree_for(RootState& root) const {
    root.failure.clear();
    try {
        const ReadTxn txn = store_.index().read();
        const std::optional<Generation> generation = txn.generation(root.container, root.number);
        if (generation) return tree_of(txn, store_.objects(), *generation);
        root.failure = "its generation is gone";
    } catch (const Error& error) {
        root.failure = error.what();
    }
    return std::nullopt;
}

void Verifier::scan_root(RootState& root) {
    sink_.progress("verify", "root of " + root.title(), 0, 0);
    const std::optional<Tree> tree = tree_for(root);
    if (tree) root.scan = check_root(root_check(), *tree, root.fd.get());
    ++report_.roots;
}

void Verifier::finish_root(RootState& root, const std::unordered_set<ObjectId>& replaced) {
    const std::string path = Layout::root_name(root.container, root.number);
    // A collection drops generations beside us.
    if (!root.failure.empty() && !store_.index().read().generation(root.container, root.number)) return;
    const RootScan before = root.scan;
    const std::string failed = root.failure;
    if (is_healing()) mend(root, replaced);
    std::unordered_set<std::string> left;
    for (const RootProblem& problem : root.scan.problems)
        left.insert(problem.path);
    if (!failed.empty()) {
        report_.findings.push_back(
            {FindingKind::bad_record, path,
             fmt::format("what the root of {} should hold is not known: {}", root.title(), failed),
             is_healing() && root.failure.empty()});
    }
    const auto add = [&](const RootProblem& problem, bool healed) {
        report_.findings.push_back(
            {problem.set_id ? FindingKind::set_id_file : FindingKind::damaged_root,
             problem.path.empty() ? path : path + "/" + problem.path,
             fmt::format("'/{}' in the root of {} {}", problem.path, root.title(), problem.what), healed});
    };
    std::unordered_set<std::string> reported;
    for (const RootProblem& problem : before.problems) {
        add(problem, is_healing() && !left.contains(problem.path));
        reported.insert(problem.path);
    }
    // Problems that came up only when it could be checked at all, or by the mending.
    for (const RootProblem& problem : root.scan.problems) {
        if (!reported.contains(problem.path)) add(problem, false);
    }
}

void Verifier::mend(RootState& root, const std::unordered_set<ObjectId>& replaced) {
    const bool was_unknown = !root.failure.empty();
    if (!was_unknown && root.scan.problems.empty() && replaced.empty()) return;
    const std::optional<Tree> tree = tree_for(root);
    if (!tree) return;
    if (was_unknown) root.scan = check_root(root_check(), *tree, root.fd.get());
    RootRepair repair;
    repair.bad_objects = bad_objects_;
    for (const RootProblem& problem : root.scan.problems)
        repair.paths.insert(problem.path);
    for (const TreeEntry& entry : tree->entries) {
        if (replaced.contains(entry.entry.object)) repair.paths.insert(entry.entry.path);
    }
    if (repair.paths.empty()) return;
    const Staging staging = Staging::create(store_, kOwner);
    mend_root(root_check(), *tree, root.fd.get(), staging.fd(), repair);
    root.scan = check_root(root_check(), *tree, root.fd.get());
}

VerifyReport Verifier::finished() {
    report_.objects = catalog_.objects.size();
    report_.bytes = scan_.bytes;
    std::stable_sort(report_.findings.begin(), report_.findings.end(),
                     [](const Finding& a, const Finding& b) { return a.path < b.path; });
    return std::move(report_);
}

}  // namespace

bool VerifyReport::clean() const {
    return std::all_of(findings.begin(), findings.end(), [](const Finding& finding) {
        return finding.healed || finding.kind == FindingKind::stray_file ||
               finding.kind == FindingKind::missing_root;
    });
}

VerifyReport verify(const Store& store, const VerifyOptions& options, ProgressSink& sink) {
    return Verifier(store, options, sink).run();
}

void make_sound(const Store& store, const ObjectKey& key, uint16_t copy) {
    const FileLock lock = store.lock_ingest(kHealPatience);
    ObjectState state = look_at_object(store, key, copy, true);
    if (state.fault == ObjectFault::metadata) {
        store.objects().mend_metadata(key, copy);
        state = look_at_object(store, key, copy, true);
    }
    if (state.fault != ObjectFault::none) throw damaged_object(key, copy, state.what);
}

VerifyReport verify_without_index(const std::string& data_directory) {
    VerifyReport report;
    if (const auto lost = lost_index({data_directory, "", ""})) {
        report.findings.push_back({FindingKind::bad_record, names::kIndex, lost->what(), false});
        report.hint = lost->hint();
    }
    return report;
}

}  // namespace pwstore
