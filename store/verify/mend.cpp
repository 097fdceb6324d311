// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <set>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/object_xattrs.hpp"
#include "store/verify/parts.hpp"

namespace pwstore::verifying {

namespace {

constexpr const char* kStagedName = "mended";
constexpr std::string_view kOverlayAttributes = "user.overlay.";

std::array<timespec, 2> times_of(const Entry& entry) {
    return {{{0, UTIME_OMIT}, {entry.mtime, static_cast<long>(entry.mtime_ns)}}};
}

class RootMender {
 public:
    RootMender(const RootCheck& check, const Tree& tree, int root, int staging, const RootRepair& repair)
        : check_(check),
          tree_(tree),
          root_(root),
          staging_(staging),
          repair_(repair),
          copied_(copied_entries(tree)) {}

    void run() {
        for (const std::string& path : repair_.paths) {
            if (!path.empty() && tree_.find(path) == nullptr) attempt([&] { remove(path); });
        }
        if (repair_.paths.contains("")) touched_.insert("");
        for (const TreeEntry& entry : tree_.entries) {
            const std::string parent(split_path(entry.entry.path).first);
            if (repair_.paths.contains(entry.entry.path) || made_.contains(parent))
                attempt([&] { make(entry); });
        }
        for (const std::string& path : touched_)
            attempt([&] { settle(path); });
    }

 private:
    /// What fails stays as it is, and the check that follows finds it.
    template <typename Act>
    static void attempt(Act&& act) {
        try {
            std::forward<Act>(act)();
        } catch (const Error&) {
            return;
        }
    }

    [[nodiscard]] Fd open_directory(std::string_view path) const {
        return open_beneath(root_, path.empty() ? "." : std::string(path),
                            O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    }

    void remove(const std::string& path) {
        const auto [parent, name] = split_path(path);
        const Fd dir = open_directory(parent);
        touched_.insert(std::string(parent));
        remove_tree(dir.get(), std::string(name));
    }

    void make(const TreeEntry& wanted) {
        const Entry& entry = wanted.entry;
        if (entry.object != 0 && repair_.bad_objects.contains(entry.object)) return;
        const auto [parent, name_view] = split_path(entry.path);
        const std::string name(name_view);
        const Fd dir = open_directory(parent);
        const auto there = try_stat_at(dir.get(), name);
        const bool is_directory = there && S_ISDIR(there->st_mode);
        touched_.insert(std::string(parent));
        if (entry.kind == EntryKind::directory) {
            touched_.insert(entry.path);
            if (is_directory) {
                // At once: what is below may have to be made as well.
                if (::fchmodat(dir.get(), name.c_str(), root_directory_mode(entry.mode), 0) != 0) {
                    throw Error::from_errno("set mode", entry.path);
                }
                return;
            }
            if (there) remove_file(dir.get(), name);
            make_directory(dir.get(), name, 0700);
            made_.insert(entry.path);
            return;
        }
        stage(wanted);
        if (is_directory) remove_tree(dir.get(), name);
        rename_at(staging_, kStagedName, dir.get(), name);
        // Between two names of one inode rename does nothing and says so to nobody.
        remove_file(staging_, kStagedName);
    }

    void stage(const TreeEntry& wanted) {
        const Entry& entry = wanted.entry;
        remove_file(staging_, kStagedName);
        if (entry.kind == EntryKind::file) {
            const bool is_copy = copied_[static_cast<size_t>(&wanted - tree_.entries.data())];
            if (is_copy || !stage_link(entry)) stage_copy(wanted);
            return;
        }
        if (entry.kind == EntryKind::symlink) {
            if (::symlinkat(entry.target.c_str(), staging_, kStagedName) != 0) {
                throw Error::from_errno("make symlink", entry.path);
            }
        } else {
            const mode_t mode = entry.mode & 0777U;
            if (::mkfifoat(staging_, kStagedName, 0600) != 0 ||
                ::fchmodat(staging_, kStagedName, mode, 0) != 0) {
                throw Error::from_errno("make fifo", entry.path);
            }
        }
        if (::utimensat(staging_, kStagedName, times_of(entry).data(), AT_SYMLINK_NOFOLLOW) != 0) {
            throw Error::from_errno("set time", entry.path);
        }
    }

    [[nodiscard]] bool stage_link(const Entry& entry) {
        const auto* object = check_.catalog.find(entry.object);
        if (object == nullptr)
            throw Error("look up object of", entry.path, "the index has no such object").as(Fault::corrupt);
        for (uint16_t copy = 0; copy < object->second.copies; ++copy) {
            switch (check_.store.objects().link(object->first, copy, staging_, kStagedName)) {
                case LinkOutcome::linked:
                    return true;
                case LinkOutcome::not_linkable:
                    return false;
                case LinkOutcome::too_many_links:
                case LinkOutcome::not_as_named:
                    break;
            }
        }
        return false;
    }

    void stage_copy(const TreeEntry& wanted) {
        const Entry& entry = wanted.entry;
        const Fd to = open_at(staging_, kStagedName, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        if (entry.object == 0) {
            write_all(to.get(), wanted.inlined, entry.path);
        } else {
            const auto* object = check_.catalog.find(entry.object);
            if (object == nullptr)
                throw Error("look up object of", entry.path, "the index has no such object")
                    .as(Fault::corrupt);
            const Fd from = check_.store.objects().open(object->first);
            copy_all(from.get(), to.get(), entry.path);
            if (object->first.xattrs != 0)
                set_user_xattrs(to.get(), user_xattrs_of(from.get(), entry.path), entry.path);
        }
        if (::fchmod(to.get(), inode_mode(entry.mode)) != 0) throw Error::from_errno("set mode", entry.path);
        if (::futimens(to.get(), times_of(entry).data()) != 0)
            throw Error::from_errno("set time", entry.path);
    }

    /// Mode, time and attributes of a directory.
    void settle(const std::string& path) {
        const TreeEntry* wanted = tree_.find(path);
        if (wanted == nullptr && !path.empty()) return;
        const Fd dir = open_directory(path);
        remove_overlay_attributes(dir.get());
        const uint32_t mode = wanted != nullptr ? wanted->entry.mode : 0755U;
        if (::fchmod(dir.get(), root_directory_mode(mode)) != 0) throw Error::from_errno("set mode", path);
        Entry top;
        top.mtime = kObjectTime;
        if (::futimens(dir.get(), times_of(wanted != nullptr ? wanted->entry : top).data()) != 0) {
            throw Error::from_errno("set time", path);
        }
    }

    static void remove_overlay_attributes(int dir) {
        std::array<char, 65536> names{};  // the kernel's limit of a list
        const ssize_t length = ::flistxattr(dir, names.data(), names.size());
        for (ssize_t at = 0; at < length;) {
            const std::string name = names.data() + at;
            at += static_cast<ssize_t>(name.size()) + 1;
            if (name.starts_with(kOverlayAttributes)) (void)::fremovexattr(dir, name.c_str());
        }
    }

    const RootCheck& check_;
    const Tree& tree_;
    int root_;
    int staging_;
    const RootRepair& repair_;
    std::vector<bool> copied_;
    std::unordered_set<std::string> made_;  ///< directories that were missing
    std::set<std::string> touched_;         ///< directories whose mode and time have to be set again
};

}  // namespace

void mend_root(const RootCheck& check, const Tree& tree, int root, int staging, const RootRepair& repair) {
    RootMender(check, tree, root, staging, repair).run();
}

}  // namespace pwstore::verifying
