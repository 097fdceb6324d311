// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pwstore::test {

/// A date that every package of the tests is built at, unless it says otherwise.
inline constexpr int64_t kBuildDate = 1'700'000'000;

struct PackageFile {
    std::string content;
    uint32_t mode = 0644;
    int64_t mtime = 0;  ///< 0 = the package's build date
    uint32_t mtime_ns = 0;
    uint32_t uid = 0;
    uint32_t gid = 0;
    std::map<std::string, std::string> xattrs = {};
};

/// What a package holds and says of itself. Paths are relative ("usr/bin/tool"); missing parent directories
/// are added.
struct PackageSpec {
    std::string name;
    std::string version = "1.0-1";
    std::string arch = "any";
    std::string description = "A package for tests";
    int64_t build_date = kBuildDate;

    std::map<std::string, PackageFile> files = {};
    std::map<std::string, uint32_t> directories = {};   ///< path → mode
    std::map<std::string, std::string> symlinks = {};   ///< path → target
    std::map<std::string, std::string> hardlinks = {};  ///< path → another path of `files`
    std::map<std::string, uint32_t> fifos = {};         ///< path → mode

    std::vector<std::string> depends = {};
    std::vector<std::string> optdepends = {};
    std::vector<std::string> provides = {};
    std::vector<std::string> conflicts = {};
    std::vector<std::string> replaces = {};
    std::vector<std::string> groups = {};
    std::vector<std::string> licenses = {"GPL"};
    std::vector<std::string> backup = {};
    std::string install = {};         ///< text of .INSTALL, empty = none
    std::string changelog = {};       ///< text of .CHANGELOG, empty = none
    std::string compression = "zst";  ///< zst, gz, xz or empty for a plain .pkg.tar

    /// Add an executable shell script (run with /bin/sh) that holds `body`.
    PackageSpec& script(const std::string& path, const std::string& body);
    [[nodiscard]] std::string file_name() const;
    [[nodiscard]] uint64_t installed_size() const;
};

/// The text of .PKGINFO as makepkg writes it.
[[nodiscard]] std::string pkginfo_text(const PackageSpec& spec);

/// Build the package in directory `dir` (made when missing), in makepkg's order with .MTREE; returns its
/// path. The same spec gives the same bytes.
std::string build_package(const std::string& dir, const PackageSpec& spec);

/// Build all packages in `dir` and write NAME.db (a symlink to NAME.db.tar.gz, as repo-add does). `Server =
/// file://DIR` then works for the real pacman.
void make_repository(const std::string& dir, const std::string& name,
                     const std::vector<PackageSpec>& packages);

/// Lower-case SHA-256 and MD5 by libcrypto alone, to check the digests of store/ against.
[[nodiscard]] std::string reference_sha256(std::string_view content);
[[nodiscard]] std::string reference_md5(std::string_view content);

/// A tar stream written byte by byte: whatever a hostile or unusual archive may hold.
class RawTar {
 public:
    struct Header {
        std::string path;
        char type = '0';  ///< ustar type flag: '0' file, '1' hard link, '2' symlink, '3' '4' devices, '5'
                          ///< directory, '6' fifo
        std::string link = {};
        uint32_t mode = 0644;
        uint64_t uid = 0;
        uint64_t gid = 0;
        int64_t mtime = kBuildDate;
        std::optional<uint64_t> size = std::nullopt;  ///< claimed size; default: that of the content
        /// pax records put before the entry ("path", "SCHILY.xattr.user.x", "GNU.sparse.size", …), in this
        /// order.
        std::vector<std::pair<std::string, std::string>> pax = {};
    };
    RawTar& add(const Header& header, std::string_view content = {});
    RawTar& file(const std::string& path, std::string_view content, uint32_t mode = 0644) {
        return add({.path = path, .mode = mode}, content);
    }
    RawTar& directory(const std::string& path) { return add({.path = path, .type = '5', .mode = 0755}); }
    RawTar& symlink(const std::string& path, const std::string& target) {
        return add({.path = path, .type = '2', .link = target, .mode = 0777});
    }
    RawTar& hardlink(const std::string& path, const std::string& target) {
        return add({.path = path, .type = '1', .link = target});
    }
    /// A valid .PKGINFO for NAME VERSION.
    RawTar& pkginfo(const std::string& name, const std::string& version = "1.0-1");
    /// Bytes put as they are.
    RawTar& raw(std::string_view bytes);

    /// The stream so far with the end-of-archive blocks.
    [[nodiscard]] std::string bytes() const;
    /// Write it compressed (as compressed() does) to `path`; returns `path`.
    std::string write(const std::string& path, const std::string& compression = "zst") const;

 private:
    std::string stream_;
};

/// `content` compressed by libarchive's filter of that name ("zst", "gz", "xz", "bz2", "lzma", "lz", "lz4",
/// "Z",
/// "" = unchanged).
[[nodiscard]] std::string compressed(std::string_view content, const std::string& compression);

}  // namespace pwstore::test
