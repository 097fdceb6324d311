// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/content_digest.hpp"

#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include "store/base/error.hpp"

namespace pwstore {

struct ContentDigestStream::State {
    State() : md5(EVP_MD_CTX_new()) {
        if (md5 == nullptr || EVP_DigestInit_ex(md5, EVP_md5(), nullptr) != 1) {
            EVP_MD_CTX_free(md5);
            throw Error("digest", "", "MD5 is not available in libcrypto").as(Fault::unsupported);
        }
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() { EVP_MD_CTX_free(md5); }

    EVP_MD_CTX* md5;
    Sha256Stream sha256;
};

ContentDigestStream::ContentDigestStream() : state_(std::make_unique<State>()) {}
ContentDigestStream::ContentDigestStream(ContentDigestStream&&) noexcept = default;
ContentDigestStream& ContentDigestStream::operator=(ContentDigestStream&&) noexcept = default;
ContentDigestStream::~ContentDigestStream() = default;

void ContentDigestStream::update(std::string_view piece) {
    if (EVP_DigestUpdate(state_->md5, piece.data(), piece.size()) != 1)
        throw Error("digest", "", "libcrypto refused");
    state_->sha256.update(piece);
}

ContentDigest ContentDigestStream::finish() {
    std::array<uint8_t, EVP_MAX_MD_SIZE> bytes{};
    unsigned length = 0;
    if (EVP_DigestFinal_ex(state_->md5, bytes.data(), &length) != 1)
        throw Error("digest", "", "libcrypto refused");
    return {hex_of({bytes.data(), length}), state_->sha256.finish()};
}

ContentDigest content_digest_of_fd(int fd, std::string_view path_for_errors) {
    ContentDigestStream stream;
    std::vector<char> buffer(size_t{256} * 1024);
    off_t offset = 0;
    for (;;) {
        const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) throw Error::from_errno("read", path_for_errors);
        if (got == 0) return stream.finish();
        stream.update({buffer.data(), static_cast<size_t>(got)});
        offset += got;
    }
}

}  // namespace pwstore
