// SPDX-License-Identifier: GPL-3.0-or-later
// A system in a directory becomes a container, and what becomes of the container goes back there: for tests
// that look at a directory.
//
//     pwstore-test-root import DIRECTORY CONTAINER    the container's first generation is what DIRECTORY
//     holds pwstore-test-root export CONTAINER DIRECTORY    DIRECTORY becomes what the container is; what is
//     equal is
//                                                     not touched. Nothing happens while it is the first
//                                                     generation
//
// Packages are made of the entries of DIRECTORY's local database and of the files that these name; everything
// else is the generation's delta.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>

#include "mount/root.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/ingest.hpp"
#include "store/local_database.hpp"
#include "store/package/writer.hpp"
#include "store/store.hpp"
#include "store/tree.hpp"
#include "transact/delta_builder.hpp"
#include "transact/recipe.hpp"

namespace pwstore::test {
namespace {

namespace fs = std::filesystem;

/// What is no part of a container, and of what is, that which is generated.
constexpr std::array kElsewhere{
    "var/lib/pacman/sync", "var/cache/pacman", "var/log/pactest.log", "tmp", "dev", "proc", "sys", "var/pub"};

bool is_elsewhere(const std::string& path) {
    return std::any_of(kElsewhere.begin(), kElsewhere.end(),
                       [&](const std::string& top) { return path == top || path.starts_with(top + "/"); });
}

/// Every path below `root`, parents first, but what is elsewhere.
std::vector<std::string> paths_below(const std::string& root) {
    std::vector<std::string> paths;
    for (auto at = fs::recursive_directory_iterator(root); at != fs::recursive_directory_iterator(); ++at) {
        const std::string path = at->path().string().substr(root.size() + 1);
        if (is_elsewhere(path)) {
            at.disable_recursion_pending();
        } else {
            paths.push_back(path);
        }
    }
    return paths;
}

// --- The local database
// ---------------------------------------------------------------------------------------------

using Sections = std::map<std::string, std::vector<std::string>>;

Sections read_sections(const std::string& text) {
    Sections sections;
    std::istringstream lines(text);
    std::string title;
    for (std::string line; std::getline(lines, line);) {
        if (line.size() > 2 && line.front() == '%' && line.back() == '%') {
            title = line;
        } else if (!line.empty()) {
            sections[title].push_back(line);
        }
    }
    return sections;
}

std::string first_of(const Sections& sections, const char* title) {
    const auto found = sections.find(title);
    return found == sections.end() ? "" : found->second.front();
}

std::vector<std::string> all_of(const Sections& sections, const char* title) {
    const auto found = sections.find(title);
    return found == sections.end() ? std::vector<std::string>{} : found->second;
}

PackageDescription description_of(const Sections& desc) {
    PackageDescription made;
    made.name = first_of(desc, "%NAME%");
    made.version = first_of(desc, "%VERSION%");
    made.base = first_of(desc, "%BASE%");
    made.description = first_of(desc, "%DESC%");
    made.url = first_of(desc, "%URL%");
    made.arch = first_of(desc, "%ARCH%");
    made.packager = first_of(desc, "%PACKAGER%");
    made.build_date = std::atoll(first_of(desc, "%BUILDDATE%").c_str());
    made.installed_size = std::strtoull(first_of(desc, "%SIZE%").c_str(), nullptr, 10);
    made.licenses = all_of(desc, "%LICENSE%");
    made.groups = all_of(desc, "%GROUPS%");
    made.depends = all_of(desc, "%DEPENDS%");
    made.optdepends = all_of(desc, "%OPTDEPENDS%");
    made.conflicts = all_of(desc, "%CONFLICTS%");
    made.provides = all_of(desc, "%PROVIDES%");
    made.replaces = all_of(desc, "%REPLACES%");
    return made;
}

uint32_t validation_of(const Sections& desc) {
    uint32_t bits = 0;
    for (const std::string& word : all_of(desc, "%VALIDATION%"))
        bits |= word == "none" ? 1U : word == "md5" ? 2U : word == "sha256" ? 4U : word == "pgp" ? 8U : 0U;
    return bits;
}

// --- Import
// ---------------------------------------------------------------------------------------------------------

class Import {
 public:
    Import(const std::string& root, const ContainerName& name)
        : root_path_(root),
          root_(open_dir(AT_FDCWD, root)),
          name_(name),
          store_(Store::open(Directories::from_environment())) {}

    void run() {
        take_packages();
        take_rest();
        ensure_root(store_, name_, 1, sink_);
        repair_root_links(store_);
    }

 private:
    ObjectId side_object(Ingestor& ingestor, const std::string& entry, const char* file) {
        const auto text = try_read_file(root_.get(), fmt::format("{}/{}/{}", kLocalDatabase, entry, file));
        return text ? ingestor.add_content(*text, 0644, std::nullopt) : 0;
    }

    /// The entry of a package's list, as it is in the root where it is there.
    Entry entry_of(Ingestor& ingestor, std::string listed) {
        Entry entry;
        const bool is_directory = listed.ends_with('/');
        if (is_directory) listed.pop_back();
        entry.path = listed;
        entry.kind = is_directory ? EntryKind::directory : EntryKind::file;
        entry.mode = is_directory ? 0755 : 0644;
        const auto there = try_stat_at(root_.get(), listed);
        if (there) entry.mtime = there->st_mtim.tv_sec;
        if (is_directory) {
            if (there && S_ISDIR(there->st_mode)) entry.mode = there->st_mode & 07777;
        } else if (there && S_ISLNK(there->st_mode)) {
            entry.kind = EntryKind::symlink;
            entry.mode = 0777;
            entry.target = read_link_at(root_.get(), listed);
        } else if (there && S_ISREG(there->st_mode)) {
            entry.mode = there->st_mode & 07777;
            entry.mtime_ns = static_cast<uint32_t>(there->st_mtim.tv_nsec);
            entry.size = static_cast<uint64_t>(there->st_size);
            const Fd file = open_at(root_.get(), listed, O_RDONLY);
            entry.object = ingestor.add_file(file.get(), listed, entry.mode, time_of(entry));
        } else {
            entry.object = ingestor.add_content("", entry.mode, time_of(entry));
        }
        return entry;
    }

    static std::optional<int64_t> time_of(const Entry& entry) {
        return keeps_time(entry.path) ? std::optional(entry.mtime) : std::nullopt;
    }

    void take_package(Ingestor& ingestor, const std::string& directory) {
        const std::string where = fmt::format("{}/{}/", kLocalDatabase, directory);
        const Sections desc = read_sections(read_file(root_.get(), where + "desc"));
        const Sections files = read_sections(try_read_file(root_.get(), where + "files").value_or(""));
        PackageDescription description = description_of(desc);
        InstalledPackage package;
        package.name = description.name;
        package.version = description.version;
        package.reason =
            first_of(desc, "%REASON%") == "1" ? InstallReason::dependency : InstallReason::explicitly;
        package.install_date = std::atoll(first_of(desc, "%INSTALLDATE%").c_str());
        package.validation = validation_of(desc);
        std::map<std::string, std::string> sums;
        for (const std::string& line : all_of(files, "%BACKUP%")) {
            const size_t tab = std::min(line.find('\t'), line.size());
            sums[line.substr(0, tab)] = line.substr(std::min(tab + 1, line.size()));
            description.backup.push_back(line.substr(0, tab));
        }
        Manifest manifest;
        manifest.name = package.name;
        manifest.version = package.version;
        manifest.arch = description.arch;
        manifest.origin = Origin::import;
        std::map<std::string, Entry> entries;
        for (const std::string& listed : all_of(files, "%FILES%")) {
            Entry entry = entry_of(ingestor, listed);
            if (const auto sum = sums.find(entry.path); sum != sums.end())
                (entry.kind == EntryKind::file ? entry.backup_md5 : package.backup_md5[entry.path]) =
                    sum->second;
            entries.insert_or_assign(entry.path, entry);
        }
        for (auto& [path, entry] : entries)
            manifest.entries.push_back(std::move(entry));
        manifest.pkginfo = ingestor.add_content(format_pkginfo(description, "imported"), 0644, std::nullopt);
        manifest.install = side_object(ingestor, directory, "install");
        manifest.mtree = side_object(ingestor, directory, "mtree");
        manifest.changelog = side_object(ingestor, directory, "changelog");
        manifests_.push_back(std::move(manifest));
        generation_.packages.push_back(std::move(package));
    }

    void take_packages() {
        Ingestor ingestor(store_, sink_);
        if (const auto local = try_open_at(root_.get(), kLocalDatabase, O_RDONLY | O_DIRECTORY)) {
            std::set<std::string> names;
            for (const DirectoryItem& item : list_directory(local->get()))
                names.insert(item.name);
            for (const std::string& name : names) {
                if (name != "ALPM_DB_VERSION") take_package(ingestor, name);
            }
        }
        ingestor.commit(nullptr, true, [&](WriteTxn& txn) {
            for (size_t i = 0; i < manifests_.size(); ++i)
                generation_.packages[i].manifest = txn.add_manifest(manifests_[i], false);
        });
    }

    /// All that is not as the packages have it.
    void take_rest() {
        generation_.container = name_.str();
        generation_.number = generation_.transaction = 1;
        generation_.cause = "import";
        const Tree layers = tree_without_own_delta(store_.index().read(), store_.objects(), generation_);
        ActLog log;
        for (const TreeEntry& entry : layers.entries) {
            const std::string& of = layers.layers[entry.layer];
            if (of != kMountPointLayer && of != kDatabaseLayer && of != kParentLayer &&
                !is_elsewhere(entry.entry.path))
                log.touched(entry.entry.path, {});
        }
        for (const std::string& path : paths_below(root_path_)) {
            if (path.starts_with("var/lib/pacman")) continue;
            const struct stat status = stat_at(root_.get(), path);
            log.touched(path, {.mode = status.st_mode & 07777, .mtime = status.st_mtim.tv_sec});
        }
        Ingestor ingestor(store_, sink_);
        const Delta delta =
            build_delta(store_.index().read(), ingestor, root_.get(), layers, {}, {}, log, std::nullopt);
        ingestor.commit(nullptr, true, [&](WriteTxn& txn) { generation_.delta = txn.add_delta(delta); });
        generation_.recipe_digest =
            recipe_digest(store_.index().read(), ContainerType::base, generation_, {});
        WriteTxn txn = store_.index().write();
        txn.mark_all_synced(Store::boot_mark());
        txn.put_generation(generation_);
        ContainerRow row;
        row.current = row.last_number = 1;
        txn.put_container(name_, row);
        txn.put_transaction(txn.next_transaction(), {0, "import", {{name_.str(), 0, 1}}});
        txn.commit();
    }

    std::string root_path_;
    Fd root_;
    ContainerName name_;
    Store store_;
    SilentSink sink_;
    std::vector<Manifest> manifests_;
    Generation generation_;
};

// --- Export
// ---------------------------------------------------------------------------------------------------------

class Export {
 public:
    Export(const ContainerName& name, const std::string& root)
        : root_path_(root),
          root_(open_dir(AT_FDCWD, root)),
          store_(Store::open(Directories::from_environment())),
          txn_(store_.index().read()) {
        const auto row = txn_.container(name);
        const auto generation = row ? txn_.generation(name, row->current) : std::nullopt;
        if (!generation) throw Error("read", name.str(), "there is no such container");
        changed_ = generation->number > 1;
        if (changed_) tree_ = tree_of(txn_, store_.objects(), *generation);
    }

    void run() {
        if (!changed_) return;
        std::vector<std::string> there = paths_below(root_path_);
        std::sort(there.begin(), there.end(), std::greater<>());  // what lies in a directory before it
        for (const std::string& path : there) {
            if (tree_.find(path) == nullptr && path != "var/lib/pacman/db.lck")
                fs::remove(fs::path(root_path_) / path);
        }
        for (const TreeEntry& entry : tree_.entries) {
            const std::string& of = tree_.layers[entry.layer];
            if (of != kMountPointLayer && !is_elsewhere(entry.entry.path)) put(entry);
        }
    }

 private:
    std::string content_of(const TreeEntry& one) {
        if (one.entry.object == 0) return one.inlined;
        return read_all(store_.objects().open(txn_.object(one.entry.object).first).get(), one.entry.path);
    }

    bool is_equal(const TreeEntry& one, const struct stat& there) {
        const Entry& entry = one.entry;
        switch (entry.kind) {
            case EntryKind::directory:
                return S_ISDIR(there.st_mode) && (there.st_mode & 07777) == entry.mode;
            case EntryKind::symlink:
                return S_ISLNK(there.st_mode) && read_link_at(root_.get(), entry.path) == entry.target;
            case EntryKind::fifo:
                return S_ISFIFO(there.st_mode);
            case EntryKind::file:
                return S_ISREG(there.st_mode) && (there.st_mode & 07777) == entry.mode &&
                       there.st_mtim.tv_sec == entry.mtime &&
                       read_file(root_.get(), entry.path) == content_of(one);
            case EntryKind::whiteout:
                break;
        }
        return true;
    }

    void put(const TreeEntry& one) {
        const Entry& entry = one.entry;
        const auto there = try_stat_at(root_.get(), entry.path);
        if (there && is_equal(one, *there)) return;
        const bool stays = there && entry.kind == EntryKind::directory && S_ISDIR(there->st_mode);
        if (there && !stays) fs::remove_all(fs::path(root_path_) / entry.path);
        switch (entry.kind) {
            case EntryKind::directory:
                make_directory(root_.get(), entry.path);
                break;
            case EntryKind::symlink:
                if (::symlinkat(entry.target.c_str(), root_.get(), entry.path.c_str()) != 0)
                    throw Error::from_errno("link", entry.path);
                return;
            case EntryKind::file:
                write_all(open_at(root_.get(), entry.path, O_WRONLY | O_CREAT | O_EXCL, 0600).get(),
                          content_of(one), entry.path);
                break;
            case EntryKind::fifo:
            case EntryKind::whiteout:
                return;
        }
        if (::fchmodat(root_.get(), entry.path.c_str(), entry.mode, 0) != 0)
            throw Error::from_errno("set mode", entry.path);
        if (entry.kind == EntryKind::file) set_mtime_at(root_.get(), entry.path, entry.mtime, entry.mtime_ns);
    }

    std::string root_path_;
    Fd root_;
    Store store_;
    ReadTxn txn_;
    Tree tree_;
    bool changed_ = false;
};

int run(const std::vector<std::string>& words) {
    if (words.size() == 3 && words[0] == "import") {
        Import(words[1], ContainerName(words[2])).run();
    } else if (words.size() == 3 && words[0] == "export") {
        Export(ContainerName(words[1]), words[2]).run();
    } else {
        std::fputs("usage: pwstore-test-root import DIRECTORY CONTAINER | export CONTAINER DIRECTORY\n",
                   stderr);
        return 2;
    }
    return 0;
}

}  // namespace
}  // namespace pwstore::test

int main(int count, char** arguments) {
    try {
        return pwstore::test::run({arguments + 1, arguments + count});
    } catch (const std::exception& error) {
        std::fprintf(stderr, "pwstore-test-root: %s\n", error.what());
        return 1;
    }
}
