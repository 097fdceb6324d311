// SPDX-License-Identifier: GPL-3.0-or-later
// Prints what the index records of a container's current tree, true modes and times included, for tests that
// compare it with another program's work:
//
//     pwstore-test-tree CONTAINER
//
// Per entry KIND (d f l p), octal mode, seconds of the time, path, each ended by NUL.
#include <fmt/format.h>

#include <cstdio>

#include "store/base/error.hpp"
#include "store/store.hpp"
#include "store/tree.hpp"

namespace pwstore::test {
namespace {

char letter(EntryKind kind) {
    switch (kind) {
        case EntryKind::directory:
            return 'd';
        case EntryKind::file:
            return 'f';
        case EntryKind::symlink:
            return 'l';
        case EntryKind::fifo:
            return 'p';
        case EntryKind::whiteout:
            break;
    }
    return '?';
}

int print_tree(const char* container) {
    const auto store = Store::open_read_only(Directories::from_environment());
    const ContainerName name(container);
    if (!store) throw Error("open", "the store", "there is none");
    const ReadTxn txn = store->index().read();
    const auto row = txn.container(name);
    const auto generation = row ? txn.generation(name, row->current) : std::nullopt;
    if (!generation) throw Error("read", container, "there is no such container");
    std::string out;
    for (const TreeEntry& one : tree_of(txn, store->objects(), *generation).entries) {
        const Entry& entry = one.entry;
        out += fmt::format("{}", letter(entry.kind)) + '\0' + fmt::format("{:o}", entry.mode) + '\0' +
               fmt::format("{}", entry.mtime) + '\0' + entry.path + '\0';
    }
    return std::fwrite(out.data(), 1, out.size(), stdout) == out.size() ? 0 : 1;
}

}  // namespace
}  // namespace pwstore::test

int main(int count, char** arguments) {
    if (count != 2) {
        std::fputs("usage: pwstore-test-tree CONTAINER\n", stderr);
        return 2;
    }
    try {
        return pwstore::test::print_tree(arguments[1]);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "pwstore-test-tree: %s\n", error.what());
        return 1;
    }
}
