// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <signal.h>

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/fd.hpp"
#include "store/digest.hpp"

namespace pwstore::cli {

/// Two pwstore programs at the ends of one pipe, as `push` and `pull` over ssh need it.
///
/// The server greets with the line "pwstore 2". A request is a line of JSON, an answer as well; {"error": …,
/// "hint": …} is one. Bytes of unknown number travel as frames: u32 little-endian length, so many bytes;
/// length 0 ends them.
///
///     {"request": "have"}                          → {"contents": N}, frames (32 bytes of SHA-256 each)
///     {"request": "make room", "name": …}          → {"ok": true}: a container of this name can come
///     {"request": "import", "name": …}, frames      → {"container": …, "generation": …}
///     {"request": "export", "name": …, "with_home": …}, frames of what the asker has → {"ok": true}, frames,
///     {"bytes": …}

inline constexpr std::string_view kGreeting = "pwstore 2\n";
/// "2" of "pwstore 2"; empty for any other line.
[[nodiscard]] std::string version_in_greeting(std::string_view line);

/// Lines and frames of one direction. Lengths are checked: the other side may be anybody.
class FrameReader {
 public:
    explicit FrameReader(int fd) : fd_(fd) {}
    /// Up to the newline, without it. @throws Error at the end of input, (corrupt) beyond 1 MiB
    [[nodiscard]] std::string line();
    /// The next frame; empty = the end of this row of frames. Valid until the next call.
    [[nodiscard]] std::string_view frame();

 private:
    void read_exactly(char* into, size_t size);
    int fd_;
    std::string buffer_;
};

class FrameWriter {
 public:
    explicit FrameWriter(int fd) : fd_(fd) {}
    void line(const std::string& text);
    void frame(std::string_view piece);  ///< an empty one is ignored
    void end();

 private:
    int fd_;
};

/// While it lives, writing to a reader that is gone is an Error (EPIPE) and not the end of this process.
/// Programs that are started have the usual SIGPIPE.
class BrokenPipesAreErrors {
 public:
    BrokenPipesAreErrors();
    BrokenPipesAreErrors(const BrokenPipesAreErrors&) = delete;
    BrokenPipesAreErrors& operator=(const BrokenPipesAreErrors&) = delete;
    ~BrokenPipesAreErrors();

 private:
    struct sigaction before_ {};
};

/// Everything that can be read from `fd`, as frames with their end.
void copy_to_frames(int fd, FrameWriter& out);
/// Frames up to their end, to `fd`. When `fd` takes no more, the rest is read and dropped.
void copy_from_frames(FrameReader& in, int fd);

void write_contents(FrameWriter& out, const std::vector<Sha256>& contents);
[[nodiscard]] std::set<Sha256> read_contents(FrameReader& in);

// --- As a file -----------------------------------------------------------------------------------

/// What `have` prints: the line "pwstore have 1", then 32 bytes per content, ascending.
[[nodiscard]] std::string encode_have(const std::vector<Sha256>& contents);
/// @throws Error (usage) for anything else
[[nodiscard]] std::set<Sha256> decode_have(std::string_view bytes);

}  // namespace pwstore::cli
