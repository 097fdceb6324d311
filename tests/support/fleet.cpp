// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/fleet.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "mount/root.hpp"
#include "store/base/path_at.hpp"
#include "store/digest.hpp"
#include "store/verify/verify.hpp"
#include "transact/rollback.hpp"
#include "transact/transaction.hpp"

namespace pwstore::test {

namespace {

void describe(int dir, const std::string& prefix, std::vector<std::string>& lines) {
    for (const DirectoryItem& item : list_directory(dir)) {
        const struct stat info = stat_at(dir, item.name);
        const std::string path = prefix.empty() ? item.name : prefix + "/" + item.name;
        std::string line = fmt::format("{} {:o}", path, info.st_mode);
        if (S_ISREG(info.st_mode)) {
            const Fd file = open_at(dir, item.name, O_RDONLY);
            line += " " + sha256_of_fd(file.get(), path).hex();
            if (info.st_nlink == 1) line += fmt::format(" {}", info.st_mtim.tv_sec);
        } else if (S_ISLNK(info.st_mode)) {
            line += " " + read_link_at(dir, item.name);
        } else if (S_ISDIR(info.st_mode)) {
            line += fmt::format(" {}", info.st_mtim.tv_sec);
        }
        lines.push_back(line);
        if (S_ISDIR(info.st_mode)) describe(open_dir(dir, item.name).get(), path, lines);
    }
}

}  // namespace

std::vector<std::string> describe_tree(const std::string& root) {
    std::vector<std::string> lines;
    describe(open_at(AT_FDCWD, root, O_RDONLY | O_DIRECTORY).get(), "", lines);
    return lines;
}

void TestDialogue::message(Severity severity, const std::string& text) {
    if (severity != Severity::debug) messages.push_back(text);
}

Fleet::Fleet() : directories_(dir_.directories()) {}

void Fleet::repository(const std::vector<PackageSpec>& packages, const std::string& signature_level) {
    const std::string name = fmt::format("repository-{}", ++repository_number_);
    make_repository(dir_.path(name), "test", packages);
    dir_.write("config/repositories.conf",
               fmt::format("[options]\nArchitecture = auto\n[test]\nSigLevel = {}\nServer = file://{}\n",
                           signature_level, dir_.path(name)));
}

void Fleet::add_to_configuration(const std::string& lines) const {
    dir_.write("config/repositories.conf", dir_.read("config/repositories.conf") + lines);
}

void Fleet::lose_archives() {
    remove_tree(AT_FDCWD, dir_.path(fmt::format("repository-{}", repository_number_)));
    remove_tree(AT_FDCWD, directories_.cache + "/pkg");
}

TransactionRequest Fleet::request(const std::string& container) const {
    TransactionRequest request;
    request.command = "test " + container;
    request.containers.push_back({container, false, ContainerType::base, {}, {}});
    request.no_confirm = true;
    return request;
}

TransactionRequest Fleet::create_base(const std::string& name,
                                      const std::vector<std::string>& packages) const {
    TransactionRequest wanted = request(name);
    wanted.refresh = 2;
    wanted.containers[0].create = true;
    wanted.containers[0].packages.install = packages;
    return wanted;
}

TransactionRequest Fleet::create_aggregate(const std::string& name,
                                           const std::vector<std::string>& dependencies,
                                           const std::vector<std::string>& packages) const {
    TransactionRequest wanted = create_base(name, packages);
    wanted.containers[0].type = ContainerType::aggregate;
    wanted.containers[0].dependencies = dependencies;
    return wanted;
}

TransactionRequest Fleet::upgrade_all() const {
    TransactionRequest wanted;
    wanted.command = "test upgrade";
    wanted.refresh = 2;
    wanted.upgrade_all = true;
    wanted.no_confirm = true;
    return wanted;
}

TransactionReport Fleet::run(const TransactionRequest& request) {
    return run_transaction(directories_, request, dialogue);
}

void Fleet::undo() {
    const Store store = Store::open(directories_);
    RollbackRequest request;
    request.transaction = store.index().read().last_transaction();
    const auto switches = plan_rollback(store.index().read(), request);
    (void)roll_back(store, request, switches, dialogue);
}

void Fleet::user_edit(const std::string& container, const std::string& path, const std::string& content) {
    const Store store = Store::open(directories_);
    SilentSink sink;
    put_files(store, ContainerName(container), {{path, content}}, sink);
}

std::string Fleet::read(const std::string& container, const std::string& path) const {
    return read_file(AT_FDCWD, root(container) + "/" + path);
}

Generation Fleet::current(const std::string& container) const {
    const Store store = Store::open(directories_);
    const ReadTxn txn = store.index().read();
    const ContainerName name(container);
    return txn.generation(name, txn.container(name)->current).value();
}

bool Fleet::exists(const std::string& container) const {
    return Store::open(directories_).index().read().container(ContainerName(container)).has_value();
}

void Fleet::expect_sound() const {
    const Store store = Store::open(directories_);
    SilentSink sink;
    for (const Finding& finding : verify(store, {}, sink).findings)
        ADD_FAILURE() << finding.text;
    for (const ContainerName& name : store.index().read().containers()) {
        const uint64_t number = store.index().read().container(name)->current;
        const std::string path = data(Layout::root_name(name, number));
        const std::vector<std::string> before = describe_tree(path);
        remove_root(store, name, number);
        ASSERT_FALSE(exists_at(AT_FDCWD, path));
        ensure_root(store, name, number, sink);
        EXPECT_EQ(describe_tree(path), before) << name.str();
    }
}

}  // namespace pwstore::test
