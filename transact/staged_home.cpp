// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/staged_home.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/layout.hpp"

namespace pwstore {

namespace {

constexpr std::string_view kStaged = ".staged";

Fd homes_of(const Store& store) {
    return open_dir(store.layout().data(), names::kHome);
}

std::string staged_name(const ContainerName& name, uint64_t generation) {
    return fmt::format(".{}@{}{}", name.str(), generation, kStaged);
}

Error occupied(const std::string& name) {
    Error error("restore home", std::string(names::kHome) + "/" + name, "there is a home with files in it");
    return error.as(Fault::refused)
        .with_hint("import under another name with --as NAME, or move that directory away");
}

/// An empty directory there is replaced.
void move_to_place(int homes, const std::string& staged, const std::string& name) {
    if (::renameat(homes, staged.c_str(), homes, name.c_str()) == 0) return;
    if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR) throw occupied(name);
    throw Error::from_errno("restore home", name);
}

}  // namespace

void expect_no_home(const Store& store, const ContainerName& name) {
    const auto home = try_open_beneath(homes_of(store).get(), name.str(), O_RDONLY | O_DIRECTORY);
    if (home && !list_directory(home->get()).empty()) throw occupied(name.str());
}

StagedHome::StagedHome(const Store& store, const ContainerName& name, uint64_t generation, int staging,
                       const std::string& from)
    : homes_(homes_of(store)), name_(name.str()), staged_(staged_name(name, generation)) {
    (void)remove_tree(homes_.get(), staged_);
    rename_at(staging, from, homes_.get(), staged_);
}

StagedHome::~StagedHome() {
    if (staged_.empty()) return;
    try {
        (void)remove_tree(homes_.get(), staged_);
    } catch (const Error&) {
        // The next command does it.
    }
}

void StagedHome::publish() {
    move_to_place(homes_.get(), staged_, name_);
    staged_.clear();
    sync_fd(homes_.get(), name_);
}

std::vector<std::string> unsettled_homes(const Store& store) {
    std::vector<std::string> found;
    for (const DirectoryItem& item : list_directory(homes_of(store).get())) {
        if (!item.name.starts_with('.') || !item.name.ends_with(kStaged)) continue;
        const std::string name = item.name.substr(1, item.name.rfind('@') - 1);
        if (is_container_name(name)) found.push_back(name);
    }
    return found;
}

void settle_home(const Store& store, const ContainerName& name, uint64_t current) {
    const Fd homes = homes_of(store);
    const std::string done = staged_name(name, current);
    for (const DirectoryItem& item : list_directory(homes.get())) {
        if (!item.name.starts_with("." + name.str() + "@") || !item.name.ends_with(kStaged)) continue;
        if (item.name == done && current != 0) {
            move_to_place(homes.get(), item.name, name.str());
        } else {
            (void)remove_tree(homes.get(), item.name);
        }
    }
}

}  // namespace pwstore
