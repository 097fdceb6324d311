// SPDX-License-Identifier: GPL-3.0-or-later
#include <string>
#include <vector>

#include "store/tree.hpp"
#include "store/verify/verify.hpp"

namespace pwstore {

namespace {

/// What lstat(2) says of an entry of a root, seen by somebody for whom its owner is root.
struct Seen {
    EntryKind kind = EntryKind::file;
    uint32_t mode = 0;
    int64_t mtime = 0;
    uint64_t size = 0;
    Sha256 content;
};

Sha256 content_of(const ReadTxn& txn, const Entry& entry) {
    return entry.object != 0 ? txn.object(entry.object).second.sha256 : Sha256{};
}

/// Mirrors what the assembler makes of an entry.
Seen seen_in_root(const ReadTxn& txn, const TreeEntry& placed, bool copied) {
    const Entry& entry = placed.entry;
    Seen seen{entry.kind, entry.mode & 0777U, entry.mtime, entry.size, {}};
    if (entry.kind == EntryKind::directory) seen.mode = root_directory_mode(entry.mode);
    if (entry.kind == EntryKind::symlink) seen.mode = 0777;
    if (entry.kind == EntryKind::file) {
        seen.mode = inode_mode(entry.mode);
        seen.content = content_of(txn, entry);
        if (!copied) {
            const int64_t identity_time = txn.object(entry.object).first.mtime;
            seen.mtime = identity_time == ObjectKey::kNoTime ? kObjectTime : identity_time;
        }
    }
    return seen;
}

/// Lines about one package.
class PackageLines {
 public:
    PackageLines(const std::string& package, std::vector<std::string>& lines)
        : package_(package), lines_(lines) {}

    void add(const ReadTxn& txn, const Entry& packaged, const TreeEntry* placed, bool copied) {
        path_ = "/" + packaged.path;
        if (placed == nullptr) return warn("No such file or directory");
        if (packaged.kind == EntryKind::fifo) {
            lines_.push_back("warning: file type not recognized: " + path_);
            return;
        }
        if (placed->entry.kind != packaged.kind) return warn("File type mismatch");
        compare(packaged, placed->entry, seen_in_root(txn, *placed, copied), content_of(txn, packaged));
    }

 private:
    void compare(const Entry& packaged, const Entry& placed, const Seen& seen, const Sha256& content) {
        const bool is_file = packaged.kind == EntryKind::file;
        is_backup_ = !packaged.backup_md5.empty();
        if (packaged.uid != 0) warn("UID mismatch");
        if (packaged.gid != 0) warn("GID mismatch");
        const uint32_t mode = packaged.kind == EntryKind::symlink ? 0777U : packaged.mode;
        if (mode != seen.mode) warn("Permissions mismatch");
        if (packaged.kind == EntryKind::symlink && packaged.target != placed.target)
            warn("Symlink path mismatch");
        if (packaged.kind != EntryKind::directory && packaged.mtime != seen.mtime)
            tell("Modification time mismatch");
        if (is_file && packaged.size != seen.size) tell("Size mismatch");
        if (is_file && content != seen.content) {
            tell("MD5 checksum mismatch");
            tell("SHA256 checksum mismatch");
        }
    }

    void warn(const char* what) {
        lines_.push_back("warning: " + package_ + ": " + path_ + " (" + what + ")");
    }
    /// Of a backup file the same is no warning.
    void tell(const char* what) {
        if (!is_backup_) return warn(what);
        lines_.push_back("backup file: " + package_ + ": " + path_ + " (" + what + ")");
    }

    const std::string& package_;
    std::vector<std::string>& lines_;
    std::string path_;
    bool is_backup_ = false;
};

}  // namespace

std::vector<std::string> fidelity_lines(const ReadTxn& txn, const Generation& generation) {
    const Tree tree = content_tree(txn, generation);
    const std::vector<bool> copied = copied_entries(tree);
    std::vector<std::string> lines;
    for (const InstalledPackage& package : visible_packages(txn, generation)) {
        const Manifest manifest = txn.manifest(package.manifest);
        if (manifest.mtree == 0) {
            lines.push_back(package.name + ": no mtree file");
            continue;
        }
        PackageLines of_package(package.name, lines);
        for (const Entry& entry : manifest.entries) {
            const TreeEntry* placed = tree.resolve(entry.path);
            const bool is_copy =
                placed != nullptr && copied[static_cast<size_t>(placed - tree.entries.data())];
            of_package.add(txn, entry, placed, is_copy);
        }
    }
    return lines;
}

}  // namespace pwstore
