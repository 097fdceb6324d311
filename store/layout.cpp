// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/layout.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
}

std::string absolute(std::string path, std::string_view origin) {
    if (path.front() != '/') {
        throw Error("find directories", path, fmt::format("{} must be an absolute path", origin))
            .as(Fault::usage);
    }
    while (path.size() > 1 && path.back() == '/')
        path.pop_back();
    return path;
}

std::string home_directory() {
    if (std::string home = variable("HOME"); !home.empty()) return absolute(std::move(home), "HOME");
    std::vector<char> buffer(16384);
    struct passwd entry {};
    struct passwd* found = nullptr;
    (void)::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found);
    if (found == nullptr || entry.pw_dir == nullptr || *entry.pw_dir != '/') {
        throw Error("find home directory", "", "HOME is not set and the user has no passwd entry")
            .as(Fault::usage)
            .with_hint("set HOME, or PWSTORE_DATA_DIR, PWSTORE_CONFIG_DIR and PWSTORE_CACHE_DIR");
    }
    return absolute(entry.pw_dir, "the home directory");
}

std::string directory_from(const char* own, const char* xdg, const char* below_home) {
    if (std::string path = variable(own); !path.empty()) return absolute(std::move(path), own);
    // The XDG rules have relative values ignored.
    if (const std::string base = variable(xdg); base.starts_with('/'))
        return absolute(base, xdg) + "/pwstore";
    return home_directory() + below_home;
}

struct RemoteKind {
    uint32_t magic;
    const char* name;
};

constexpr std::array kRemoteKinds{
    RemoteKind{0x6969U, "NFS"}, RemoteKind{0xFF534D42U, "CIFS"}, RemoteKind{0xFE534D42U, "SMB"},
    RemoteKind{0x517BU, "SMB"}, RemoteKind{0x01021997U, "9p"},   RemoteKind{0x5346414FU, "AFS"},
};

void refuse_remote(int fd, const std::string& path) {
    struct statfs info {};
    if (::fstatfs(fd, &info) != 0) throw Error::from_errno("examine file system", path);
    const char* kind = unusable_filesystem(static_cast<uint32_t>(info.f_type));
    if (kind == nullptr) return;
    throw Error("use data directory", path, fmt::format("the store cannot live on {}", kind))
        .as(Fault::unsupported)
        .with_hint("set PWSTORE_DATA_DIR to a directory on a local disk");
}

void refuse_foreign(int fd, const std::string& path) {
    const struct stat info = stat_fd(fd, path);
    if (info.st_uid == ::geteuid()) return;
    throw Error("use data directory", path,
                fmt::format("it belongs to uid {}, not to uid {}", info.st_uid, ::geteuid()))
        .as(Fault::refused)
        .with_hint("run pwstore as the owner, or set PWSTORE_DATA_DIR to a directory of your own");
}

Fd open_data(const std::string& path) {
    Fd data = open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
    refuse_foreign(data.get(), path);
    refuse_remote(data.get(), path);
    return data;
}

/// "ff" is made last, so its presence says that all are there.
void make_shards(int data) {
    const Fd objects = open_dir(data, names::kObjects);
    if (exists_at(objects.get(), "ff")) return;
    for (unsigned shard = 0; shard < 256; ++shard)
        make_directory(objects.get(), fmt::format("{:02x}", shard), 0700);
}

}  // namespace

Directories Directories::from_environment() {
    return {directory_from("PWSTORE_DATA_DIR", "XDG_DATA_HOME", "/.local/share/pwstore"),
            directory_from("PWSTORE_CONFIG_DIR", "XDG_CONFIG_HOME", "/.config/pwstore"),
            directory_from("PWSTORE_CACHE_DIR", "XDG_CACHE_HOME", "/.cache/pwstore")};
}

const char* unusable_filesystem(uint32_t magic) {
    const auto kind = std::find_if(kRemoteKinds.begin(), kRemoteKinds.end(),
                                   [&](const RemoteKind& k) { return k.magic == magic; });
    return kind != kRemoteKinds.end() ? kind->name : nullptr;
}

Layout Layout::create(const Directories& directories) {
    make_directories(AT_FDCWD, directories.data, 0700);
    Fd data = open_data(directories.data);
    if ((stat_fd(data.get(), directories.data).st_mode & 077U) != 0 && ::fchmod(data.get(), 0700) != 0) {
        throw Error::from_errno("make private", directories.data);
    }
    for (const char* name :
         {"store", names::kObjects, names::kStaging, names::kIndex, names::kLeases, names::kContainerLocks,
          names::kRoots, names::kHome, names::kUpper, names::kSync, names::kGnupg}) {
        make_directory(data.get(), name, 0700);
    }
    make_shards(data.get());
    return {directories, std::move(data)};
}

Layout Layout::open(const Directories& directories) {
    return {directories, open_data(directories.data)};
}

std::string Layout::root_name(const ContainerName& container, uint64_t generation) {
    return fmt::format("{}/{}@{}", names::kRoots, container.str(), generation);
}

std::string Layout::run_lease_name(const ContainerName& container, uint64_t generation) {
    return root_name(container, generation) + ".lock";
}

}  // namespace pwstore
