// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "store/base/error.hpp"
#include "store/verify/parts.hpp"

namespace pwstore::verifying {

namespace {

/// Findings about the index. A record that cannot be read is a finding too.
class RecordFindings {
 public:
    explicit RecordFindings(std::vector<Finding>& findings) : findings_(findings) {}

    void add(std::string text) {
        findings_.push_back({FindingKind::bad_record, names::kIndex, std::move(text), false});
    }
    /// Run `read`; false when it threw.
    template <typename Read>
    bool attempt(const std::string& what, Read&& read) {
        try {
            std::forward<Read>(read)();
            return true;
        } catch (const Error& error) {
            add(what + ": " + error.what());
            return false;
        }
    }

 private:
    std::vector<Finding>& findings_;
};

}  // namespace

// --- Objects -------------------------------------------------------------------------------------

namespace {

void add_object(const std::pair<ObjectKey, ObjectRow>& object, Catalog& catalog) {
    const ObjectId id = object.second.id;
    if (id >= catalog.place_of_id.size()) catalog.place_of_id.resize(size_t{id} + 1, 0);
    catalog.objects.push_back(object);
    catalog.place_of_id[id] = static_cast<uint32_t>(catalog.objects.size());
}

}  // namespace

Catalog read_catalog(const ReadTxn& txn, std::vector<Finding>& found) {
    RecordFindings findings(found);
    Catalog catalog;
    try {
        catalog.objects.reserve(txn.object_count());
        txn.for_each_object([&](const ObjectKey& key, const ObjectRow& row) {
            add_object({key, row}, catalog);
        });
        return catalog;
    } catch (const Error&) {
        catalog = {};  // once more, one by one
    }
    ObjectId last = 0;
    catalog.complete = findings.attempt("the highest object number", [&] { last = txn.last_object_id(); });
    for (ObjectId id = 1; id <= last; ++id) {
        catalog.complete &= findings.attempt(fmt::format("the record of object {}", id), [&] {
            if (txn.object_key(id)) add_object(txn.object(id), catalog);
        });
    }
    return catalog;
}

namespace {

/// Whether names and ids of objects lead to each other.
void check_names(const ReadTxn& txn, const Catalog& catalog, RecordFindings& findings) {
    size_t names = 0;
    findings.attempt("the names of objects", [&] {
        txn.for_each_object_name([&](const ObjectKey& key, ObjectId id) {
            const auto* object = catalog.find(id);
            ++names;
            if (object != nullptr && object->first == key) return;
            findings.add(
                fmt::format("the name {} leads to object {}, which has another one", key.path(0), id));
        });
        if (names >= catalog.objects.size()) return;
        findings.add(fmt::format("{} objects are not found by their names", catalog.objects.size() - names));
    });
}

}  // namespace

// --- What refers to what -------------------------------------------------------------------------

namespace {

class RecordCheck {
 public:
    RecordCheck(const ReadTxn& txn, const Catalog& catalog, std::vector<Finding>& findings)
        : txn_(txn), catalog_(catalog), findings_(findings) {}

    void object_names() { check_names(txn_, catalog_, findings_); }
    void manifests() {
        findings_.attempt("the list of manifests", [&] {
            for (const ManifestId id : txn_.manifest_ids()) {
                findings_.attempt(fmt::format("manifest {}", id), [&] { manifest(txn_.manifest(id)); });
            }
        });
    }
    void deltas() {
        findings_.attempt("the list of deltas", [&] {
            for (const uint32_t id : txn_.delta_ids()) {
                findings_.attempt(fmt::format("delta {}", id), [&] {
                    for (const DeltaEntry& item : txn_.delta(id).entries)
                        entry(fmt::format("delta {}", id), item.entry);
                });
            }
        });
    }
    void containers() {
        findings_.attempt("the list of containers", [&] {
            for (const ContainerName& name : txn_.containers()) {
                findings_.attempt("container " + name.str(), [&] { container(name); });
                findings_.attempt("the generations of " + name.str(), [&] {
                    for (const uint64_t number : txn_.generation_numbers(name)) {
                        const std::string title = fmt::format("generation {}@{}", name.str(), number);
                        findings_.attempt(title,
                                          [&] { generation(title, txn_.generation(name, number).value()); });
                    }
                });
            }
        });
    }

 private:
    void object(const std::string& owner, const std::string& path, ObjectId id) {
        if (id != 0 && catalog_.find(id) == nullptr) {
            findings_.add(
                fmt::format("{} refers to object {} for '{}', which is not there", owner, id, path));
        }
    }
    void entry(const std::string& owner, const Entry& entry) {
        if (entry.kind != EntryKind::file) return;
        object(owner, entry.path, entry.object);
        const auto* known = catalog_.find(entry.object);
        if (known == nullptr) return;
        if (known->first.size != entry.size || known->first.mode != inode_mode(entry.mode)) {
            findings_.add(fmt::format("{} says another size or mode of '{}' than object {} has", owner,
                                      entry.path, entry.object));
        }
    }
    void manifest(const Manifest& manifest) {
        const std::string owner = fmt::format("the manifest of {} {}", manifest.name, manifest.version);
        for (const Entry& one : manifest.entries)
            entry(owner, one);
        const std::pair<const char*, ObjectId> sides[] = {{".PKGINFO", manifest.pkginfo},
                                                          {".INSTALL", manifest.install},
                                                          {".MTREE", manifest.mtree},
                                                          {".CHANGELOG", manifest.changelog}};
        for (const auto& [name, id] : sides)
            object(owner, name, id);
    }
    void container(const ContainerName& name) {
        const auto row = txn_.container(name);
        if (!row || row->current == 0) return;
        if (!txn_.generation(name, row->current)) {
            findings_.add(fmt::format("container {} has generation {} as current, which is not there",
                                      name.str(), row->current));
        }
    }
    void generation(const std::string& title, const Generation& generation) {
        for (const InstalledPackage& package : generation.packages) {
            findings_.attempt(title, [&] { (void)txn_.manifest_bytes(package.manifest); });
        }
        if (generation.delta != 0)
            findings_.attempt(title, [&] { (void)txn_.delta_bytes(generation.delta); });
        for (const GenerationRef& ref : generation.upstream) {
            if (txn_.generation(ContainerName(ref.container), ref.generation)) continue;
            findings_.add(fmt::format("{} is built on {}@{}, which is not there", title, ref.container,
                                      ref.generation));
        }
    }

    const ReadTxn& txn_;
    const Catalog& catalog_;
    RecordFindings findings_;
};

}  // namespace

void check_records(const ReadTxn& txn, const Catalog& catalog, std::vector<Finding>& findings) {
    RecordCheck check(txn, catalog, findings);
    check.object_names();
    check.manifests();
    check.deltas();
    check.containers();
}

// --- Who uses an object --------------------------------------------------------------------------

namespace {

/// Run `read`, and do without what cannot be read: it is a finding of check_records() already.
template <typename Read>
void leniently(Read&& read) {
    try {
        std::forward<Read>(read)();
    } catch (const Error&) {
        return;
    }
}

}  // namespace

Users::Users(const ReadTxn& txn, const std::unordered_set<ObjectId>& objects) {
    if (objects.empty()) return;
    leniently([&] {
        for (const ManifestId id : txn.manifest_ids())
            leniently([&] { add_manifest(txn, id, objects); });
    });
    leniently([&] {
        for (const ContainerName& name : txn.containers()) {
            for (const uint64_t number : txn.generation_numbers(name)) {
                leniently([&] { add_generation(txn, txn.generation(name, number).value(), objects); });
            }
        }
    });
}

void Users::add_manifest(const ReadTxn& txn, ManifestId id, const std::unordered_set<ObjectId>& objects) {
    const Manifest manifest = txn.manifest(id);
    const auto add = [&](ObjectId object, const std::string& path) {
        if (objects.contains(object)) places_[object].push_back({id, path});
    };
    for (const Entry& entry : manifest.entries)
        add(entry.object, entry.path);
    add(manifest.pkginfo, ".PKGINFO");
    add(manifest.install, ".INSTALL");
    add(manifest.mtree, ".MTREE");
    add(manifest.changelog, ".CHANGELOG");
    names_[id] = manifest.name + " " + manifest.version;
}

void Users::add_generation(const ReadTxn& txn, const Generation& generation,
                           const std::unordered_set<ObjectId>& objects) {
    const std::string title = fmt::format("{}@{}", generation.container, generation.number);
    for (const InstalledPackage& package : visible_packages(txn, generation)) {
        containers_[package.manifest].insert(generation.container);
    }
    for (const DeltaEntry& item : txn.delta(generation.delta).entries) {
        if (!objects.contains(item.entry.object)) continue;
        deltas_.try_emplace(item.entry.object,
                            fmt::format("'{}' of the delta of {}", item.entry.path, title));
    }
}

std::string Users::of(ObjectId id) const {
    const auto found = places_.find(id);
    if (found == places_.end()) {
        const auto delta = deltas_.find(id);
        return delta != deltas_.end() ? delta->second : "a file that no package or container refers to";
    }
    const Place& first = found->second.front();
    std::string text = fmt::format("'{}' of package {}", first.path, names_.at(first.manifest));
    if (const auto containers = containers_.find(first.manifest); containers != containers_.end()) {
        text += fmt::format(" in {}", fmt::join(containers->second, ", "));
    }
    if (found->second.size() > 1) text += fmt::format(" and {} other places", found->second.size() - 1);
    return text;
}

const std::vector<Users::Place>& Users::places(ObjectId id) const {
    static const std::vector<Place> kNowhere;
    const auto found = places_.find(id);
    return found != places_.end() ? found->second : kNowhere;
}

}  // namespace pwstore::verifying
