// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/transfer.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore::cli {

namespace {

constexpr size_t kLongestLine = 1U << 20U;
constexpr uint32_t kLongestFrame = 1U << 20U;
constexpr size_t kPiece = 256 * 1024;
constexpr std::string_view kHave = "pwstore have 1\n";
constexpr size_t kDigest = sizeof(Sha256::bytes);
constexpr const char* kOtherSide = "other side";

Error broken(std::string_view cause) {
    Error error("talk with", kOtherSide, cause);
    return error.as(Fault::corrupt);
}

std::string_view bytes_of(const Sha256& sha256) {
    return {reinterpret_cast<const char*>(sha256.bytes.data()), kDigest};
}

Sha256 sha256_from(std::string_view bytes) {
    Sha256 sha256;
    std::memcpy(sha256.bytes.data(), bytes.data(), kDigest);
    return sha256;
}

}  // namespace

std::string version_in_greeting(std::string_view line) {
    constexpr std::string_view kName = "pwstore ";
    if (line.ends_with('\n')) line.remove_suffix(1);
    if (!line.starts_with(kName)) return "";
    line.remove_prefix(kName.size());
    const bool is_number =
        !line.empty() && line.size() < 6 && line.find_first_not_of("0123456789") == std::string_view::npos;
    return is_number ? std::string(line) : "";
}

void FrameReader::read_exactly(char* into, size_t size) {
    while (size > 0) {
        const size_t got = read_some(fd_, {into, size}, kOtherSide);
        if (got == 0) throw Error("talk with", kOtherSide, "it ended in the middle");
        into += got;
        size -= got;
    }
}

std::string FrameReader::line() {
    std::string text;
    for (;;) {
        char c = 0;
        read_exactly(&c, 1);
        if (c == '\n') return text;
        text += c;
        if (text.size() > kLongestLine) throw broken("a line without an end");
    }
}

std::string_view FrameReader::frame() {
    uint32_t length = 0;
    read_exactly(reinterpret_cast<char*>(&length), sizeof length);
    if (length > kLongestFrame) throw broken("what it sends makes no sense");
    buffer_.resize(length);
    read_exactly(buffer_.data(), length);
    return buffer_;
}

void FrameWriter::line(const std::string& text) {
    write_all(fd_, text + "\n", kOtherSide);
}

void FrameWriter::frame(std::string_view piece) {
    while (!piece.empty()) {
        const auto length = static_cast<uint32_t>(std::min<size_t>(piece.size(), kLongestFrame));
        write_all(fd_, {reinterpret_cast<const char*>(&length), sizeof length}, kOtherSide);
        write_all(fd_, piece.substr(0, length), kOtherSide);
        piece.remove_prefix(length);
    }
}

void FrameWriter::end() {
    constexpr uint32_t kEnd = 0;
    write_all(fd_, {reinterpret_cast<const char*>(&kEnd), sizeof kEnd}, kOtherSide);
}

BrokenPipesAreErrors::BrokenPipesAreErrors() {
    struct sigaction action {};
    action.sa_handler = [](int) {};  // unlike SIG_IGN, not inherited
    action.sa_flags = SA_RESTART;
    (void)::sigaction(SIGPIPE, &action, &before_);
}

BrokenPipesAreErrors::~BrokenPipesAreErrors() {
    (void)::sigaction(SIGPIPE, &before_, nullptr);
}

void copy_to_frames(int fd, FrameWriter& out) {
    std::string buffer(kPiece, '\0');
    for (size_t got = 0; (got = read_some(fd, buffer, "image")) != 0;)
        out.frame({buffer.data(), got});
    out.end();
}

void copy_from_frames(FrameReader& in, int fd) {
    bool is_taken = true;
    for (std::string_view piece = in.frame(); !piece.empty(); piece = in.frame()) {
        while (is_taken && !piece.empty()) {
            const ssize_t put = ::write(fd, piece.data(), piece.size());
            if (put < 0 && errno == EINTR) continue;
            is_taken = put >= 0;
            if (put > 0) piece.remove_prefix(static_cast<size_t>(put));
        }
    }
}

void write_contents(FrameWriter& out, const std::vector<Sha256>& contents) {
    std::string piece;
    for (const Sha256& one : contents) {
        piece += bytes_of(one);
        if (piece.size() < kPiece) continue;
        out.frame(piece);
        piece.clear();
    }
    out.frame(piece);
    out.end();
}

std::set<Sha256> read_contents(FrameReader& in) {
    std::set<Sha256> contents;
    std::string rest;
    for (std::string_view piece = in.frame(); !piece.empty(); piece = in.frame()) {
        rest += piece;
        size_t at = 0;
        for (; rest.size() - at >= kDigest; at += kDigest)
            contents.insert(sha256_from(std::string_view(rest).substr(at)));
        rest.erase(0, at);
    }
    if (!rest.empty()) throw broken("a list of contents that is cut short");
    return contents;
}

std::string encode_have(const std::vector<Sha256>& contents) {
    std::string bytes(kHave);
    for (const Sha256& one : contents)
        bytes += bytes_of(one);
    return bytes;
}

std::set<Sha256> decode_have(std::string_view bytes) {
    if (!bytes.starts_with(kHave) || (bytes.size() - kHave.size()) % kDigest != 0)
        throw Error("read list of contents", "", "it is not what 'pwstore have' writes").as(Fault::usage);
    bytes.remove_prefix(kHave.size());
    std::set<Sha256> contents;
    for (; !bytes.empty(); bytes.remove_prefix(kDigest))
        contents.insert(contents.end(), sha256_from(bytes));
    return contents;
}

}  // namespace pwstore::cli
