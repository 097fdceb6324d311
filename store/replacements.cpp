// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/replacements.hpp"

#include <fcntl.h>

#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

constexpr const char* kFile = "store/replacements";

}  // namespace

uint64_t replacements(const Store& store) {
    const auto info = try_stat_at(store.layout().data(), kFile);
    return info ? static_cast<uint64_t>(info->st_size) : 0;
}

void count_replacement(const Store& store) {
    const int data = store.layout().data();
    const bool is_new = !exists_at(data, kFile);
    const Fd file = open_at(data, kFile, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
    write_all(file.get(), "\n", kFile);
    sync_fd(file.get(), kFile);
    if (is_new) sync_fd(open_dir(data, "store").get(), "store");
}

}  // namespace pwstore
