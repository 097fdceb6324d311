// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <sys/stat.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mount/root_paths.hpp"
#include "store/manifest.hpp"

namespace pwstore {

/// A root that no store knows: changed in place, each file a private one with the mode, owner, time and
/// attributes that its package says. Symlinks on the way to a path are resolved inside the root; the last
/// component is never followed, except where that is said. Nothing is synced. A process that dies while it
/// replaces a file may leave ".pwstore-N" beside it.
class PlainRoot {
 public:
    using Warn = std::function<void(const std::string&)>;
    /// @param warn is told of attributes that could not be given
    PlainRoot(int root, Warn warn) : paths_(root), warn_(std::move(warn)) {}

    // --- Look ---
    [[nodiscard]] std::optional<struct stat> look(std::string_view path) const;
    /// No symlink is on the way to `path`.
    [[nodiscard]] bool is_straight(std::string_view path) const;
    /// MD5 of a regular file, symlinks followed; nullopt when there is none or it cannot be read.
    [[nodiscard]] std::optional<std::string> md5(const std::string& path) const;
    /// Names in a directory, symlinks followed; none when there is no such directory.
    [[nodiscard]] std::vector<std::string> names_in(std::string_view directory) const;
    /// The directory lies on another file system than its parent.
    [[nodiscard]] bool is_mount_point(std::string_view directory) const;

    // --- Lay down: in place of whatever is at `path` and is no directory; missing parents are made (0755)
    // ---
    /// @param next gives the content in pieces, an empty one ends it
    void put_file(const Entry& entry, const std::string& path, const std::function<std::string_view()>& next);
    /// A symlink or fifo.
    void put_special(const Entry& entry, const std::string& path);
    /// A further name of what is at `target`.
    void put_link(const std::string& target, const std::string& path);
    /// Where there is none yet.
    void put_directory(const Entry& entry);

    // --- Take away ---
    /// Something that is no directory. False when nothing was there.
    bool remove_file(std::string_view path);
    void remove_directory(std::string_view path);
    void rename(std::string_view from, std::string_view to);

    /// So many files could not be given their owner.
    [[nodiscard]] size_t disowned() const noexcept { return disowned_; }

 private:
    template <typename Make>
    void put(const Spot& spot, const Make& make);
    void settle(int dir, const char* name, const Entry& entry);
    void set_attributes(int fd, const Entry& entry);
    [[nodiscard]] mode_t own(int dir, const char* name, const Entry& entry);
    [[nodiscard]] Spot existing(std::string_view path) const;

    RootPaths paths_;
    Warn warn_;
    size_t disowned_ = 0;
    unsigned temporaries_ = 0;
};

}  // namespace pwstore
