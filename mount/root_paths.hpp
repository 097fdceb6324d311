// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "store/base/fd.hpp"

namespace pwstore {

/// A name in an open directory of a root.
struct Spot {
    Fd dir;              ///< O_PATH
    std::string parent;  ///< resolved path of `dir`, "" = the root
    std::string name;    ///< one component
    [[nodiscard]] std::string path() const { return parent.empty() ? name : parent + "/" + name; }
};

/// Ways through a root whose content others made: every symlink on the way is resolved inside the root, as if
/// it were
/// `/`, so no path leads out of it. The last component is never followed. Directories that its owner may not
/// search are opened up (u+rwx) on the way. Nobody else may change the root meanwhile.
class RootPaths {
 public:
    explicit RootPaths(int root) : root_(root) {}

    /// nullopt when a directory on the way is missing or is no directory.
    [[nodiscard]] std::optional<Spot> find(std::string_view path) const;
    /// Missing directories on the way are made (0755); `made` is told of each, with its resolved path.
    /// @throws Error when something that is no directory is in the way
    [[nodiscard]] Spot reach(std::string_view path,
                             const std::function<void(const std::string&)>& made) const;
    /// The directory `path`, its last component followed, too. nullopt when it is missing or no directory.
    struct Directory {
        Fd fd;  ///< O_PATH
        std::string path;
    };
    [[nodiscard]] std::optional<Directory> find_directory(std::string_view path) const;
    /// Like find().path(), with what follows the first missing component left as it is.
    [[nodiscard]] std::string resolve(std::string_view path) const;

    [[nodiscard]] int root() const noexcept { return root_; }

 private:
    class Walk;
    [[nodiscard]] Fd open_known(const std::string& path) const;
    int root_;
};

/// chmod u+rwx through a descriptor that may be O_PATH.
void open_up(int dir, std::string_view path_for_errors);

/// Run `call` (a system call in directory `dir`); when it is refused for lack of rights on the directory,
/// open that up and run it again. Returns the call's result, errno as it left it.
template <typename Call>
int with_rights(int dir, std::string_view path_for_errors, const Call& call) {
    const int result = call();
    if (result >= 0 || errno != EACCES) return result;
    open_up(dir, path_for_errors);
    return call();
}

}  // namespace pwstore
