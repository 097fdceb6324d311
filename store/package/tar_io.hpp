// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "store/manifest.hpp"

namespace pwstore {

/// One header of a tar archive: names as the archive has them, bytes, unchecked.
struct TarEntry {
    enum class Kind : uint8_t { directory, file, symlink, hard_link, fifo, device, other };
    std::string path;
    Kind kind = Kind::file;
    uint32_t mode = 0644;  ///< 07777
    uint32_t uid = 0;
    uint32_t gid = 0;
    int64_t mtime = 0;
    uint64_t size = 0;   ///< of a file
    std::string target;  ///< of a symlink or a hard link
    uint32_t mtime_ns = 0;
    std::map<std::string, std::string> xattrs;  ///< written only, as SCHILY.xattr.NAME
};

enum class TarCompression { none, gzip, bzip2, xz, zstd };

/// Writes a tar archive (pax headers only where ustar cannot say it, names as bytes). The same calls give the
/// same bytes.
class TarWriter {
 public:
    /// @param fd where to; not owned
    TarWriter(int fd, std::string path_for_errors, TarCompression compression);
    /// Takes the archive's bytes, piece by piece; what it throws leaves the call that made them.
    using Sink = std::function<void(std::string_view piece)>;
    TarWriter(Sink sink, std::string path_for_errors, TarCompression compression);
    TarWriter(TarWriter&&) noexcept;
    TarWriter& operator=(TarWriter&&) = delete;
    ~TarWriter();

    /// A header; for a file, exactly `entry.size` bytes must follow by append().
    void add(const TarEntry& entry);
    void add_file(const TarEntry& entry, std::string_view content);
    void append(std::string_view piece);
    /// The archive is complete only after this.
    void finish();

 private:
    struct State;
    static void set_up(State& state, TarCompression compression);
    std::unique_ptr<State> state_;
};

/// Reads a tar archive, compressed (form.hpp) or not, front to back.
class TarReader {
 public:
    /// Gives the next piece of the archive, empty at its end; valid until the next call.
    using Source = std::function<std::string_view()>;

    TarReader(Source source, std::string path_for_errors);
    /// From the current offset of `fd`, which is not owned.
    TarReader(int fd, const std::string& path_for_errors);
    TarReader(TarReader&&) noexcept;
    TarReader& operator=(TarReader&&) = delete;
    ~TarReader();

    /// The next header, nullopt at the end. @throws Error (corrupt) for anything that is not a complete
    /// archive, (unsupported) for another form
    [[nodiscard]] std::optional<TarEntry> next();
    /// A further piece of the current file's content, empty at its end; holes are zeros. Valid until the next
    /// call.
    [[nodiscard]] std::string_view read();
    /// The rest of the current file. @throws Error (refused) beyond `limit` bytes
    [[nodiscard]] std::string read_whole(uint64_t limit);

 private:
    struct State;
    std::unique_ptr<State> state_;
};

/// The members of an `ar` archive, front to back: what a .deb is.
class ArReader {
 public:
    ArReader(int fd, std::string path_for_errors);
    ArReader(ArReader&&) noexcept;
    ArReader& operator=(ArReader&&) = delete;
    ~ArReader();

    /// Name of the next member, nullopt at the end. @throws Error (corrupt)
    [[nodiscard]] std::optional<std::string> next();
    [[nodiscard]] std::string_view read();

 private:
    struct State;
    std::unique_ptr<State> state_;
};

/// A member's name without slashes and dots that say nothing; ".." takes the component before it along.
/// nullopt: it leads out. As tar(1) and the tools for images understand names.
[[nodiscard]] std::optional<std::string> cleaned_path(std::string_view name);

/// gzip of `bytes`, without name and time.
[[nodiscard]] std::string gzip(std::string_view bytes);

}  // namespace pwstore
