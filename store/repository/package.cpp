// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <openssl/evp.h>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/base/staged_file.hpp"
#include "store/content_digest.hpp"
#include "store/package/tar_io.hpp"
#include "store/repository/database.hpp"

namespace pwstore {

namespace {

constexpr uint64_t kInfoLimit = 4 << 20;
constexpr size_t kSignatureLimit = 16384;
/// makepkg and pwstore put .PKGINFO among the first entries; an archive that does not begin that way is
/// searched so far.
constexpr int kSearched = 16;

std::optional<std::string> pkginfo_of(int fd, const std::string& filename) {
    TarReader reader(fd, filename);
    for (int i = 0; i < kSearched; ++i) {
        const auto entry = reader.next();
        if (!entry) break;
        if (entry->kind == TarEntry::Kind::file && entry->path == ".PKGINFO")
            return reader.read_whole(kInfoLimit);
    }
    return std::nullopt;
}

std::string base64(std::string_view bytes) {
    std::vector<unsigned char> text((bytes.size() + 2) / 3 * 4 + 1);
    const std::vector<unsigned char> input(bytes.begin(), bytes.end());
    const int length = EVP_EncodeBlock(text.data(), input.data(), static_cast<int>(input.size()));
    return {text.begin(), text.begin() + length};
}

std::string signature_of(int dir, const std::string& filename) {
    const auto signature = try_read_file(dir, filename + ".sig");
    if (!signature) return {};
    if (signature->empty() || signature->size() > kSignatureLimit ||
        signature->find("BEGIN PGP") != std::string::npos) {
        throw Error("read signature", filename + ".sig", "it is not a binary signature of at most 16 KiB")
            .as(Fault::corrupt);
    }
    return base64(*signature);
}

/// Copy `path`, durably, unless the repository has this very file.
void copy_into(int dir, const std::string& path, const std::string& filename) {
    const Fd source = open_at(AT_FDCWD, path, O_RDONLY);
    const struct stat info = stat_fd(source.get(), path);
    const auto present = try_stat_at(dir, filename);
    if (present && present->st_dev == info.st_dev && present->st_ino == info.st_ino) return;
    StagedFile copy(dir, filename);
    copy_all(source.get(), copy.fd(), path);
    copy.publish();
}

RepositoryPackage add_archive(int dir, const std::string& path) {
    const std::string filename(split_path(path).second);
    if (filename.empty() || filename.front() == '.') {
        throw Error("add package", path, "not a name that a repository may hold").as(Fault::usage);
    }
    (void)describe_archive(AT_FDCWD, path);  // nothing is copied that is no package
    copy_into(dir, path, filename);
    if (exists_at(AT_FDCWD, path + ".sig")) copy_into(dir, path + ".sig", filename + ".sig");
    return describe_archive(dir, filename);
}

}  // namespace

std::optional<std::string> try_read_pkginfo(int dir, const std::string& filename) {
    const auto file = try_open_at(dir, filename, O_RDONLY | O_NOFOLLOW);
    return file ? pkginfo_of(file->get(), filename) : std::nullopt;
}

RepositoryPackage describe_archive(int dir, const std::string& filename) {
    RepositoryPackage package;
    package.filename = filename;
    const Fd file = open_at(dir, filename, O_RDONLY);
    const auto info = pkginfo_of(file.get(), filename);
    if (!info) throw Error("read package", filename, "it has no .PKGINFO").as(Fault::corrupt);
    package.description =
        in_step("read package '" + printable(filename) + "'", [&] { return parse_pkginfo(*info); });
    package.packed_size = static_cast<uint64_t>(stat_fd(file.get(), filename).st_size);
    const ContentDigest digest = content_digest_of_fd(file.get(), filename);
    package.md5 = digest.md5;
    package.sha256 = digest.sha256;
    package.signature = signature_of(dir, filename);
    return package;
}

std::vector<RepositoryPackage> add_to_repository(const std::string& directory, const std::string& name,
                                                 const std::vector<std::string>& files) {
    make_directories(AT_FDCWD, directory);
    const Fd dir = open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
    RepositoryDatabase database(dir.get(), name);
    std::vector<RepositoryPackage> added;
    for (const std::string& file : files) {
        added.push_back(add_archive(dir.get(), file));
        database.put(added.back());
    }
    database.save();
    return added;
}

std::vector<RepositoryPackage> remove_from_repository(const std::string& directory, const std::string& name,
                                                      const std::vector<std::string>& packages,
                                                      Archives archives) {
    const Fd dir = open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
    RepositoryDatabase database(dir.get(), name);
    std::vector<RepositoryPackage> removed;
    for (const std::string& package : packages) {
        const auto found = database.packages().find(package);
        if (found == database.packages().end()) {
            throw Error("remove from repository", name, "it has no package '" + printable(package) + "'")
                .as(Fault::usage);
        }
        removed.push_back(found->second);
        database.remove(package);
    }
    database.save();
    for (const RepositoryPackage& package : removed) {
        // A name that leads elsewhere is not ours to remove.
        if (archives == Archives::keep || !split_path(package.filename).first.empty()) continue;
        remove_file(dir.get(), package.filename);
        remove_file(dir.get(), package.filename + ".sig");
    }
    return removed;
}

std::vector<std::string> repositories_in(const std::string& directory) {
    const auto dir = try_open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
    return dir ? packed_databases_in(dir->get()) : std::vector<std::string>();
}

}  // namespace pwstore
