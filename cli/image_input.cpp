// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/image_input.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "mount/process.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore::cli {

namespace {

constexpr size_t kBlock = 512;  ///< of tar
constexpr size_t kLook = 16 * kBlock;
constexpr size_t kSumAt = 148, kSumSize = 8, kSizeAt = 124, kSizeSize = 12, kNameSize = 100;
constexpr const char* kWriters = "images are written by 'pwstore export', 'podman save' and 'docker save'";

Error no_image(const std::string& name, std::string_view cause, std::string_view hint) {
    Error error("import", name, cause);
    return error.as(Fault::usage).with_hint(hint);
}

// --- Kinds
// -------------------------------------------------------------------------------------------------------

struct Magic {
    std::string_view bytes;
    const char* what;  ///< nullptr = a compressed archive
};
using namespace std::string_view_literals;
constexpr std::array kMagics{
    Magic{"\x1f\x8b"sv, nullptr},
    Magic{"\x28\xb5\x2f\xfd"sv, nullptr},
    Magic{"\xfd"
          "7zXZ\0"sv,
          nullptr},
    Magic{"BZh"sv, nullptr},
    Magic{"\x04\x22\x4d\x18"sv, nullptr},
    Magic{"\x1f\x9d"sv, nullptr},
    Magic{"LZIP"sv, nullptr},
    Magic{"\x5d\0\0"sv, nullptr},
    Magic{"\x7f"
          "ELF"sv,
          "it is a program"},
    Magic{"!<arch>\n"sv, "it is a Debian package or another ar archive"},
    Magic{"PK\3\4"sv, "it is a zip archive"},
    Magic{"hsqs"sv, "it is a squashfs file system"},
    Magic{"QFI\xfb"sv, "it is the disk of a virtual machine"},
    Magic{"pwstore have 1\n"sv, "it is what 'pwstore have' wrote: a list, without files"}};

/// Octal digits between spaces and NULs.
uint64_t number_in(std::string_view field) {
    uint64_t value = 0;
    for (const char c : field) {
        if (c >= '0' && c <= '7') value = value * 8 + static_cast<uint64_t>(c - '0');
    }
    return value;
}

/// The checksum of a header of tar counts its own bytes as spaces.
bool is_tar_header(std::string_view block) {
    if (block.size() < kBlock) return false;
    uint64_t sum = kSumSize * uint64_t{' '};
    for (size_t at = 0; at < kBlock; ++at) {
        if (at < kSumAt || at >= kSumAt + kSumSize) sum += static_cast<unsigned char>(block[at]);
    }
    return sum == number_in(block.substr(kSumAt, kSumSize));
}

std::string member_name(std::string_view header) {
    std::string name(header.substr(0, std::min(header.find('\0'), kNameSize)));
    name.erase(0, name.starts_with("./") ? 2 : name.starts_with('/') ? 1 : 0);
    return name.substr(0, name.find('/'));
}

bool is_of_a_root(const std::string& name) {
    static const std::vector<std::string> kNames{
        "bin",  "boot", "dev",  "etc", "home", "lib", "lib64", "media", "mnt",   "opt",       "proc",
        "root", "run",  "sbin", "srv", "sys",  "tmp", "usr",   "var",   "lib32", ".dockerenv"};
    return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

/// A tar of files that somebody takes for an image: its first members tell.
bool is_tar_of_a_root(std::string_view beginning) {
    while (is_tar_header(beginning)) {
        if (is_of_a_root(member_name(beginning))) return true;
        const uint64_t blocks = (number_in(beginning.substr(kSizeAt, kSizeSize)) + kBlock - 1) / kBlock + 1;
        if (blocks > beginning.size() / kBlock) return false;
        beginning.remove_prefix(blocks * kBlock);
    }
    return false;
}

bool is_text(std::string_view bytes) {
    return std::none_of(bytes.begin(), bytes.end(), [](unsigned char c) {
        return c < ' ' && c != '\n' && c != '\t' && c != '\r' && c != '\f' && c != '\x1b';
    });
}

// --- A look at the beginning
// ----------------------------------------------------------------------------------------

/// Of a pipe, without taking anything out of it: as soon as there is enough, or no more will come.
std::optional<std::string> peek_into_pipe(int fd) {
    const Pipe copy = make_pipe();
    for (unsigned milliseconds = 1; milliseconds < 1000; milliseconds *= 2) {
        struct pollfd wait {
            fd, POLLIN, 0
        };
        if (::poll(&wait, 1, -1) < 0) continue;
        const bool has_ended = (wait.revents & POLLHUP) != 0;
        const ssize_t count = ::tee(fd, copy.write_end.get(), kLook, SPLICE_F_NONBLOCK);
        if (count < 0 && errno != EAGAIN) return std::nullopt;
        std::string bytes(static_cast<size_t>(std::max<ssize_t>(count, 0)), '\0');
        for (size_t got = 0; got < bytes.size();)
            got += read_some(copy.read_end.get(), {bytes.data() + got, bytes.size() - got}, "pipe");
        if (has_ended || bytes.size() >= kBlock) return bytes;
        ::usleep(milliseconds * 1000);
    }
    return std::nullopt;
}

std::optional<std::string> beginning_of(int fd, const struct stat& status) {
    if (S_ISFIFO(status.st_mode)) return peek_into_pipe(fd);
    if (S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3)) return "";  // /dev/null
    if (!S_ISREG(status.st_mode)) return std::nullopt;
    std::string bytes(kLook, '\0');
    const ssize_t count = ::pread(fd, bytes.data(), bytes.size(), ::lseek(fd, 0, SEEK_CUR));
    if (count < 0) return std::nullopt;
    bytes.resize(static_cast<size_t>(count));
    return bytes;
}

[[noreturn]] void reject_directory(const std::string& path, int directory) {
    if (exists_at(directory, "oci-layout") || exists_at(directory, "index.json")) {
        throw no_image(path, "it is a directory with the parts of an image, not an archive of them",
                       fmt::format("tar -C {} -cf - . | pwstore import -", path));
    }
    throw no_image(path, "it is a directory, not the file of an image", kWriters);
}

}  // namespace

std::optional<OtherKind> kind_if_no_image(std::string_view beginning) {
    if (beginning.empty()) return OtherKind{"it is empty", kWriters};
    for (const Magic& magic : kMagics) {
        if (!beginning.starts_with(magic.bytes)) continue;
        return magic.what == nullptr ? std::nullopt : std::optional(OtherKind{magic.what, kWriters});
    }
    if (is_tar_of_a_root(beginning)) {
        return OtherKind{
            "it is a tar archive of files, not an image",
            "podman import FILE NAME, then podman save --format oci-archive NAME | pwstore import -"};
    }
    if (is_tar_header(beginning)) return std::nullopt;
    return OtherKind{
        is_text(beginning) ? "it is a text, not an image" : "it is no archive, so it is no image", kWriters};
}

ImageInput::ImageInput(const std::string& path) : name_(path == "-" ? "standard input" : path) {
    if (path != "-") file_ = open_at(AT_FDCWD, path, O_RDONLY);
    const struct stat status = stat_fd(fd(), name_);
    if (S_ISDIR(status.st_mode)) reject_directory(name_, fd());
    if (S_ISREG(status.st_mode)) {
        const off_t left = status.st_size - std::max<off_t>(::lseek(fd(), 0, SEEK_CUR), 0);
        size_ = static_cast<uint64_t>(std::max<off_t>(left, 0));
    }
    const auto beginning = beginning_of(fd(), status);
    if (!beginning) return;
    if (beginning->empty() && S_ISFIFO(status.st_mode)) {
        throw no_image(name_, "nothing came through the pipe",
                       "the command before the pipe failed, or wrote nothing");
    }
    if (const auto other = kind_if_no_image(*beginning)) throw no_image(name_, other->what, other->hint);
}

}  // namespace pwstore::cli
