// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/test_dir.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore::test {

namespace {

std::string parent_directory() {
    if (const char* chosen = std::getenv("PWSTORE_TEST_DIR"); chosen != nullptr) return chosen;
    if (::access("/dev/shm", W_OK | X_OK) == 0) return "/dev/shm";
    const char* temporary = std::getenv("TMPDIR");
    return temporary != nullptr ? temporary : "/tmp";
}

}  // namespace

TestDir::TestDir() : path_(parent_directory() + "/pwstore-test.XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) throw Error::from_errno("make test directory", path_);
}

TestDir::~TestDir() {
    try {
        const auto [parent, name] = split_path(path_);
        remove_tree(open_at(AT_FDCWD, std::string(parent), O_RDONLY | O_DIRECTORY).get(), std::string(name));
    } catch (const std::exception&) {
        // A test that broke its own directory has failed already; the next run uses another one.
    }
}

std::string TestDir::write(std::string_view below, std::string_view content) const {
    const std::string file = path(below);
    make_directories(AT_FDCWD, std::string(split_path(file).first));
    write_all(open_at(AT_FDCWD, file, O_WRONLY | O_CREAT | O_TRUNC, 0644).get(), content, file);
    return file;
}

std::string TestDir::read(std::string_view below) const {
    return read_file(AT_FDCWD, path(below));
}

Directories TestDir::directories() const {
    return {path("data"), path("config"), path("cache")};
}

}  // namespace pwstore::test
