// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "mount/assembler.hpp"
#include "mount/file_maker.hpp"
#include "mount/root_paths.hpp"
#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/names.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

std::optional<struct stat> look(const Spot& spot) {
    struct stat info {};
    const int result = with_rights(spot.dir.get(), spot.parent, [&] {
        return ::fstatat(spot.dir.get(), spot.name.c_str(), &info, AT_SYMLINK_NOFOLLOW);
    });
    if (result == 0) return info;
    if (errno == ENOENT) return std::nullopt;
    throw Error::from_errno("stat", spot.path());
}

bool is_same_inode(const struct stat& a, const struct stat& b) {
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/// Run `act`, once more with the directory opened up when its rights were in the way.
template <typename Act>
void retried_with_rights(const Spot& spot, const Act& act) {
    try {
        act();
    } catch (const Error& error) {
        if (error.error_number() != EACCES) throw;
        open_up(spot.dir.get(), spot.parent);
        act();
    }
}

void check_path(std::string_view step, std::string_view path) {
    if (!is_root_path(path)) throw Error(step, path, "not a path of a root").as(Fault::refused);
}

/// The names that were placed so far of one hard link group, all of one inode.
struct Group {
    std::vector<std::string> members;  ///< resolved
    Entry first;           ///< of those placed, the one whose path sorts first: its time counts for copies
    struct stat inode {};  ///< as it was after the last of them was placed
    bool linked = false;   ///< it is a store inode
};

}  // namespace

struct RootWriter::State {
    State(const Store& store, int root_fd, LinkPolicy policy) : paths(root_fd), maker(store, policy) {}

    Spot reach(std::string_view path);
    std::string place_directory(const Entry& entry, const Spot& spot);
    void place_file(const TreeEntry& entry, const Spot& spot, bool linkable);
    void place_grouped(const TreeEntry& entry, const ObjectKey& key, bool linked, const Spot& spot);
    void regroup(Group& group, const ObjectKey& key, bool linked, const Spot& spot);
    [[nodiscard]] std::optional<Spot> intact_leader(const Group& group) const;
    void clear_way(const Spot& spot) const;
    [[nodiscard]] std::string free_name(const Spot& spot);
    template <typename Make>
    void put(const Spot& spot, const Make& make);

    RootPaths paths;
    FileMaker maker;
    AssembleStats stats;
    std::set<std::string>
        touched;  ///< resolved paths of directories whose content was changed; "" = the root
    std::map<std::tuple<uint32_t, uint32_t, ObjectId>, Group> groups;
    unsigned temporaries = 0;
};

// --- Place ---

Spot RootWriter::State::reach(std::string_view path) {
    Spot spot = paths.reach(path, [this](const std::string& made) {
        touched.insert(std::string(split_path(made).first));
        touched.insert(made);
        ++stats.directories;
    });
    touched.insert(spot.parent);
    return spot;
}

/// A name in the directory of `spot` that nothing has.
std::string RootWriter::State::free_name(const Spot& spot) {
    for (;;) {
        std::string name = fmt::format(".pwstore-{}", temporaries++);
        struct stat info {};
        if (::fstatat(spot.dir.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) continue;
        if (errno != ENOENT) throw Error::from_errno("stat", name);
        return name;
    }
}

/// Remove an empty directory that is where something else is to be.
void RootWriter::State::clear_way(const Spot& spot) const {
    const int result = with_rights(spot.dir.get(), spot.parent, [&] {
        return ::unlinkat(spot.dir.get(), spot.name.c_str(), AT_REMOVEDIR);
    });
    if (result == 0) return;
    if (errno == ENOTEMPTY || errno == EEXIST) {
        throw Error("place", spot.path(), "a directory that is not empty is in the way").as(Fault::refused);
    }
    throw Error::from_errno("remove directory", spot.path());
}

/// Make something that is no directory by `make(dir, name)`: at its place when nothing is there, else beside
/// it and renamed over.
template <typename Make>
void RootWriter::State::put(const Spot& spot, const Make& make) {
    const int dir = spot.dir.get();
    auto there = look(spot);
    if (there && S_ISDIR(there->st_mode)) {
        clear_way(spot);
        there.reset();
    }
    const std::string name = there ? free_name(spot) : spot.name;
    retried_with_rights(spot, [&] { make(dir, name.c_str()); });
    if (!there) return;
    if (::renameat(dir, name.c_str(), dir, spot.name.c_str()) != 0) {
        const int error_number = errno;
        (void)::unlinkat(dir, name.c_str(), 0);
        throw Error::from_errno("replace", spot.path(), error_number);
    }
    // When both names were links of one inode the rename did nothing and this one is left.
    (void)::unlinkat(dir, name.c_str(), 0);
}

std::string RootWriter::State::place_directory(const Entry& entry, const Spot& spot) {
    std::string path = spot.path();
    if (const auto there = look(spot)) {
        if (!S_ISDIR(there->st_mode)) {
            // A symlink to a directory stays, as pacman leaves it; anything else makes way.
            const auto target = S_ISLNK(there->st_mode) ? paths.find_directory(path) : std::nullopt;
            if (target) {
                touched.insert(target->path);
                return target->path;
            }
            const int result = with_rights(spot.dir.get(), spot.parent,
                                           [&] { return ::unlinkat(spot.dir.get(), spot.name.c_str(), 0); });
            if (result != 0) throw Error::from_errno("remove", path);
        } else {
            touched.insert(path);
            return path;
        }
    }
    const int result = with_rights(spot.dir.get(), spot.parent,
                                   [&] { return ::mkdirat(spot.dir.get(), spot.name.c_str(), 0700); });
    if (result != 0) throw Error::from_errno("make directory", path);
    const Fd made = open_at(spot.dir.get(), spot.name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    settle_directory(made.get(), &entry, path);
    ++stats.directories;
    touched.insert(path);
    return path;
}

void RootWriter::State::place_file(const TreeEntry& entry, const Spot& spot, bool linkable) {
    const bool linked = linkable && maker.links(entry);
    if (entry.entry.object == 0) {
        put(spot, [&](int dir, const char* name) { maker.make(entry, {}, false, dir, name, stats); });
        return;
    }
    const ObjectKey key = maker.key_of(entry.entry.object);
    if (entry.entry.link_group != 0) {
        place_grouped(entry, key, linked, spot);
        return;
    }
    if (linked) {
        // Most of what a transaction settles at its end is there already.
        const auto there = look(spot);
        if (there && maker.is_object(key, *there)) return;
    }
    put(spot, [&](int dir, const char* name) { maker.make(entry, key, linked, dir, name, stats); });
}

// --- Hard link groups ---

/// A member that is what was placed still.
std::optional<Spot> RootWriter::State::intact_leader(const Group& group) const {
    if (group.members.empty()) return std::nullopt;
    auto spot = paths.find(group.members.front());
    if (!spot) return std::nullopt;
    const auto info = look(*spot);
    if (!info || !S_ISREG(info->st_mode) || !is_same_inode(*info, group.inode)) return std::nullopt;
    const bool unchanged = info->st_ctim.tv_sec == group.inode.st_ctim.tv_sec &&
                           info->st_ctim.tv_nsec == group.inode.st_ctim.tv_nsec;
    // Others link and unlink a store inode at any time; a private one has changed by someone else's hand.
    if (!group.linked && !unchanged) return std::nullopt;
    return spot;
}

void RootWriter::State::place_grouped(const TreeEntry& entry, const ObjectKey& key, bool linked,
                                      const Spot& spot) {
    Group& group = groups[{entry.layer, entry.entry.link_group, entry.entry.object}];
    const auto leader = intact_leader(group);
    if (!leader) group = {};
    if (!leader || entry.entry.path < group.first.path) group.first = entry.entry;
    if (!leader) {
        put(spot, [&](int dir, const char* name) {
            group.linked = maker.make(entry, key, linked, dir, name, stats);
        });
    } else if (group.linked && !linked) {
        regroup(group, key, false, spot);
    } else {
        const std::string name = free_name(spot);
        const int result = with_rights(spot.dir.get(), spot.parent, [&] {
            return ::linkat(leader->dir.get(), leader->name.c_str(), spot.dir.get(), name.c_str(), 0);
        });
        if (result != 0 && errno != EMLINK) throw Error::from_errno("link within the root", spot.path());
        if (result == 0) {
            put(spot, [&](int dir, const char* as) { rename_at(dir, name, dir, as); });
            ++stats.linked;
        } else {
            regroup(group, key, group.linked, spot);
        }
    }
    if (!group.linked) set_entry_time(spot.dir.get(), spot.name.c_str(), group.first);
    if (std::find(group.members.begin(), group.members.end(), spot.path()) == group.members.end()) {
        group.members.push_back(spot.path());
    }
    group.inode = look(spot).value();
}

/// Give all members and `spot` a new inode with room for all of them.
void RootWriter::State::regroup(Group& group, const ObjectKey& key, bool linked, const Spot& spot) {
    std::vector<Spot> places;
    for (const std::string& member : group.members) {
        auto place = paths.find(member);
        if (!place || member == spot.path()) continue;
        const auto info = look(*place);
        if (info && is_same_inode(*info, group.inode)) places.push_back(std::move(*place));
    }
    std::vector<std::string> names;
    for (size_t i = 0; i <= places.size(); ++i)
        names.push_back(std::to_string(i));
    const Spot top{open_at(paths.root(), ".", O_PATH | O_DIRECTORY), "", ""};
    const std::string folder = free_name(top);
    if (::mkdirat(paths.root(), folder.c_str(), 0700) != 0) throw Error::from_errno("make directory", folder);
    touched.insert("");
    const Fd workshop = open_dir(paths.root(), folder);
    group.linked = maker.make_group({group.first, 0, {}}, key, linked, workshop.get(), names, stats);
    const auto move = [&](const std::string& name, const Spot& place) {
        if (::renameat(workshop.get(), name.c_str(), place.dir.get(), place.name.c_str()) != 0) {
            throw Error::from_errno("replace", place.path());
        }
        (void)::unlinkat(workshop.get(), name.c_str(), 0);
        touched.insert(place.parent);
    };
    for (size_t i = 0; i < places.size(); ++i)
        move(names[i], places[i]);
    if (const auto there = look(spot); there && S_ISDIR(there->st_mode)) clear_way(spot);
    move(names.back(), spot);
    if (::unlinkat(paths.root(), folder.c_str(), AT_REMOVEDIR) != 0)
        throw Error::from_errno("remove directory", folder);
}

// --- The writer ---

RootWriter::RootWriter(const Store& store, int root, LinkPolicy policy)
    : state_(std::make_unique<State>(store, root, policy)) {}

RootWriter::~RootWriter() = default;

std::string RootWriter::place(const TreeEntry& entry, std::string_view as, bool linkable) {
    const std::string_view path = as.empty() ? std::string_view(entry.entry.path) : as;
    check_path("place", path);
    failpoint("root.place");
    const Spot spot = state_->reach(path);
    switch (entry.entry.kind) {
        case EntryKind::directory:
            return state_->place_directory(entry.entry, spot);
        case EntryKind::file:
            state_->place_file(entry, spot, linkable);
            break;
        case EntryKind::symlink:
        case EntryKind::fifo:
            state_->put(spot, [&](int dir, const char* name) {
                make_special_file(entry.entry, dir, name, state_->stats);
            });
            break;
        case EntryKind::whiteout:
            throw Error("place", path, "a whiteout cannot be placed").as(Fault::usage);
    }
    return spot.path();
}

bool RootWriter::remove(std::string_view path) {
    check_path("remove", path);
    const auto spot = state_->paths.find(path);
    if (!spot) return false;
    const auto unlink_as = [&](int flags) {
        return with_rights(spot->dir.get(), spot->parent,
                           [&] { return ::unlinkat(spot->dir.get(), spot->name.c_str(), flags); });
    };
    int result = unlink_as(0);
    if (result != 0 && errno == EISDIR) result = unlink_as(AT_REMOVEDIR);
    if (result != 0) {
        if (errno == ENOENT || errno == ENOTEMPTY || errno == EEXIST) return false;
        throw Error::from_errno("remove", spot->path());
    }
    state_->touched.insert(spot->parent);
    return true;
}

void RootWriter::rename(std::string_view from, std::string_view to) {
    check_path("rename", from);
    check_path("rename to", to);
    const auto source = state_->paths.find(from);
    const auto destination = state_->paths.find(to);
    if (!source) throw Error::from_errno("rename", from, ENOENT);
    if (!destination) throw Error::from_errno("rename to", to, ENOENT);
    const auto moved = look(*source);
    const auto replaced = look(*destination);
    state_->touched.insert(source->parent);
    state_->touched.insert(destination->parent);
    if (moved && replaced && is_same_inode(*moved, *replaced) && source->path() != destination->path()) {
        // rename(2) would do nothing.
        if (::unlinkat(source->dir.get(), source->name.c_str(), 0) != 0)
            throw Error::from_errno("remove", from);
        return;
    }
    const auto call = [&] {
        return ::renameat(source->dir.get(), source->name.c_str(), destination->dir.get(),
                          destination->name.c_str());
    };
    int result = with_rights(source->dir.get(), source->parent, call);
    if (result != 0 && errno == EACCES)
        result = with_rights(destination->dir.get(), destination->parent, call);
    if (result != 0) throw Error::from_errno("rename to '" + printable(to) + "'", from);
}

std::string RootWriter::resolve(std::string_view path) const {
    check_path("resolve", path);
    return state_->paths.resolve(path);
}

void RootWriter::settle_times(const Tree& tree) {
    settle_directories(tree, {});
}

void RootWriter::settle_directories(const Tree& tree, const std::unordered_set<std::string>& directories) {
    std::set<std::string> touched = std::exchange(state_->touched, {});
    touched.insert(directories.begin(), directories.end());
    for (auto path = touched.rbegin(); path != touched.rend(); ++path) {
        const TreeEntry* entry = path->empty() ? nullptr : tree.find(*path);
        if (!path->empty() && (entry == nullptr || entry->entry.kind != EntryKind::directory)) continue;
        const auto directory = state_->paths.find_directory(*path);
        if (!directory || directory->path != *path) continue;  // it became something else since
        settle_directory(directory->fd.get(), entry != nullptr ? &entry->entry : nullptr, *path);
    }
}

const AssembleStats& RootWriter::stats() const {
    return state_->stats;
}

int RootWriter::root() const noexcept {
    return state_->paths.root();
}

}  // namespace pwstore
