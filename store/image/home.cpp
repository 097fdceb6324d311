// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/image/home.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/package/archive.hpp"
#include "store/package/packed_stream.hpp"
#include "store/package/tar_io.hpp"

namespace pwstore::image {

namespace {

constexpr size_t kPiece = 256 * 1024;
constexpr mode_t kFileMode = 0777;
constexpr mode_t kDirectoryMode = 01777;

std::string below(const std::string& directory, const std::string& name) {
    return directory.empty() ? name : directory + "/" + name;
}

/// Opens files of a tree by their path in it, never through a symlink.
Fd open_in(int top, const std::string& path, int flags) {
    return open_beneath(top, path.empty() ? "." : path, flags);
}

// --- Write
// ----------------------------------------------------------------------------------------------

class HomeWriter {
 public:
    HomeWriter(int home, TarWriter& tar, HomeCount& count) : home_(home), tar_(tar), count_(count) {}

    /// It and its files, then its directories.
    void add_directory(const std::string& path) {
        std::vector<std::string> directories;
        {
            const Fd here = open_in(home_, path, O_RDONLY | O_DIRECTORY);
            const struct stat info = stat_fd(here.get(), path);
            TarEntry header = header_of(path, info);
            header.kind = TarEntry::Kind::directory;
            header.mode = info.st_mode & kDirectoryMode;
            put(header);
            for (const DirectoryItem& item : list_directory(here.get())) {
                if (item.type == DT_DIR) {
                    directories.push_back(below(path, item.name));
                } else {
                    add_other(here.get(), item.name, below(path, item.name));
                }
            }
        }
        for (const std::string& directory : directories)
            add_directory(directory);
    }

 private:
    static TarEntry header_of(const std::string& path, const struct stat& info) {
        TarEntry header;
        header.path = below(kHomeDirectory, path);
        header.mode = info.st_mode & kFileMode;
        header.mtime = info.st_mtim.tv_sec;
        return header;
    }
    void put(const TarEntry& header) {
        tar_.add(header);
        ++count_.files;
    }
    void add_other(int directory, const std::string& name, const std::string& path) {
        const struct stat info = stat_at(directory, name);
        TarEntry header = header_of(path, info);
        if (S_ISREG(info.st_mode)) {
            add_file(directory, name, header);
        } else if (S_ISLNK(info.st_mode)) {
            header.kind = TarEntry::Kind::symlink;
            header.target = read_link_at(directory, name);
            header.mode = kFileMode;
            put(header);
        } else if (S_ISFIFO(info.st_mode)) {
            header.kind = TarEntry::Kind::fifo;
            put(header);
        } else {
            ++count_.left_out;
        }
    }
    void add_file(int directory, const std::string& name, TarEntry header) {
        // Not O_RDONLY alone: what lies there now may be a fifo.
        const Fd file = open_at(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
        const struct stat info = stat_fd(file.get(), header.path);
        if (!S_ISREG(info.st_mode)) throw changed(header.path);
        if (info.st_nlink > 1) {
            const auto [first, is_first] =
                links_.try_emplace(std::pair(info.st_dev, info.st_ino), header.path);
            if (!is_first) {
                header.kind = TarEntry::Kind::hard_link;
                header.target = first->second;
                return put(header);
            }
        }
        header.size = static_cast<uint64_t>(info.st_size);
        put(header);
        append(file.get(), header);
    }
    /// What it grows by meanwhile is not part of it.
    void append(int file, const TarEntry& header) {
        std::array<char, kPiece> buffer{};
        for (uint64_t left = header.size; left > 0;) {
            const size_t got =
                read_some(file, {buffer.data(), std::min<uint64_t>(left, buffer.size())}, header.path);
            if (got == 0) throw changed(header.path);
            tar_.append({buffer.data(), got});
            left -= got;
        }
    }
    static Error changed(const std::string& path) {
        Error error("export home", printable(path), "it changed while it was read");
        return error.as(Fault::busy).with_hint("end the programs that run in the container");
    }

    int home_;
    TarWriter& tar_;
    HomeCount& count_;
    std::map<std::pair<dev_t, ino_t>, std::string> links_;
};

// --- Restore
// --------------------------------------------------------------------------------------------

/// What is set once everything is there.
struct Attributes {
    std::string path;  ///< below the home
    uint32_t mode = 0;
    int64_t mtime = 0;
    uint32_t mtime_ns = 0;
};

void set_attributes(int fd, const Attributes& wanted, mode_t mask) {
    const std::array<timespec, 2> times{
        {{0, UTIME_OMIT}, {wanted.mtime, static_cast<long>(wanted.mtime_ns)}}};
    if (::fchmod(fd, wanted.mode & mask) != 0) throw Error::from_errno("set mode", wanted.path);
    if (::futimens(fd, times.data()) != 0) throw Error::from_errno("set time", wanted.path);
}

class HomeRestorer {
 public:
    HomeRestorer(ArchiveReader& reader, int home) : reader_(reader), home_(home) {}

    void run() {
        for (ArchiveMember member; reader_.next(member);)
            add(member);
        // Last: modes may forbid writing, and every new file changes a time.
        for (auto at = directories_.rbegin(); at != directories_.rend(); ++at)
            set_attributes(open_in(home_, at->path, O_RDONLY | O_DIRECTORY).get(), *at, kDirectoryMode);
    }

 private:
    void add(const ArchiveMember& member) {
        Attributes wanted{member.path, member.mode, member.mtime, member.mtime_ns};
        if (member.path == kHomeDirectory && member.kind == MemberKind::directory) {
            wanted.path.clear();
            wanted.mode |= S_IRWXU;  // it has to be moved to its place
            if (!directories_.empty()) reader_.refuse(member.path, "the home itself does not come first");
            directories_.push_back(wanted);
            return;
        }
        wanted.path = path_below(member.path, member.path);
        const auto [parent, name] = split_path(wanted.path);
        const Fd directory = parent_of(member.path, parent);
        put(directory.get(), std::string(name), member, wanted);
    }

    /// `path` of `member`, seen from the home.
    std::string path_below(const std::string& member, const std::string& path) const {
        const std::string prefix = std::string(kHomeDirectory) + "/";
        if (!path.starts_with(prefix)) reader_.refuse(member, "it leads out of the home");
        return path.substr(prefix.size());
    }
    Fd parent_of(const std::string& member, std::string_view path) const {
        try {
            return open_in(home_, std::string(path), O_RDONLY | O_DIRECTORY);
        } catch (const Error& error) {
            const int number = error.error_number();
            if (number != ELOOP && number != ENOENT && number != ENOTDIR) throw;
            reader_.refuse(member, "it does not lie in a directory that comes before it");
        }
    }
    /// After a call that makes something new.
    void check_made(int result, const std::string& member) const {
        if (result == 0) return;
        if (errno == EEXIST) reader_.refuse(member, "it is there twice");
        throw Error::from_errno("restore", printable(member));
    }

    void put(int directory, const std::string& name, const ArchiveMember& member, const Attributes& wanted) {
        const char* file = name.c_str();
        switch (member.kind) {
            case MemberKind::directory:
                check_made(::mkdirat(directory, file, S_IRWXU), member.path);
                directories_.push_back(wanted);
                return;
            case MemberKind::file:
                put_file(directory, name, member.path, wanted);
                return;
            case MemberKind::symlink:
                check_made(::symlinkat(member.target.c_str(), directory, file), member.path);
                break;
            case MemberKind::hard_link:
                link(directory, name, member);
                return;
            case MemberKind::fifo:
                check_made(::mkfifoat(directory, file, S_IRUSR | S_IWUSR), member.path);
                if (::fchmodat(directory, file, wanted.mode & kFileMode, 0) != 0)
                    throw Error::from_errno("set mode", member.path);
                break;
            case MemberKind::device:
                break;  // homes have none
        }
        set_mtime_at(directory, name, wanted.mtime, wanted.mtime_ns);
    }
    void put_file(int directory, const std::string& name, const std::string& member,
                  const Attributes& wanted) {
        const Fd file(::openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                               S_IRUSR | S_IWUSR));
        check_made(file ? 0 : -1, member);
        for (std::string_view piece = reader_.read_piece(); !piece.empty(); piece = reader_.read_piece())
            write_all(file.get(), piece, member);
        set_attributes(file.get(), wanted, kFileMode);
    }
    void link(int directory, const std::string& name, const ArchiveMember& member) {
        const std::string path = path_below(member.path, member.target);
        const auto [parent, target] = split_path(path);
        const Fd from = parent_of(member.path, parent);
        const auto there = try_stat_at(from.get(), std::string(target));
        if (!there || !S_ISREG(there->st_mode))
            reader_.refuse(member.path, "it is a hard link to something that is not there");
        check_made(::linkat(from.get(), std::string(target).c_str(), directory, name.c_str(), 0),
                   member.path);
    }

    ArchiveReader& reader_;
    int home_;
    std::vector<Attributes> directories_;  ///< parents before children
};

}  // namespace

Blob write_home(int home, int directory, HomeCount& count, LayerPacking packing) {
    return write_archive([&](TarWriter& tar) { HomeWriter(home, tar, count).add_directory(""); }, directory,
                         packing);
}

void restore_home(const Image& image, int directory) {
    const Image::Layer& layer = *image.home();
    const Fd file = image.open(layer);
    const PackedBuffer packed;
    const PackedFile source(file.get(), "home of image", packed);
    ArchiveReader reader(source, IngestLimits{}, UnpackedDigest::sha256);
    HomeRestorer(reader, directory).run();
    check_layer(reader, layer);
}

}  // namespace pwstore::image
