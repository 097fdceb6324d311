// SPDX-License-Identifier: GPL-3.0-or-later
// The part of digest.hpp that needs libcrypto; apart from it, so that programs which only look things up do
// not load it.
#include <openssl/evp.h>

#include <array>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/digest.hpp"

namespace pwstore {

namespace {

struct ContextDeleter {
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, ContextDeleter>;

void check(int result, const char* step) {
    if (result != 1) throw Error(step, "", "libcrypto refused").as(Fault::unsupported);
}

Context make_context() {
    Context context(EVP_MD_CTX_new());
    check(context ? 1 : 0, "prepare hashing");
    return context;
}

/// Looked up once: looking up costs more than hashing a small file.
const EVP_MD* sha256_algorithm() {
    static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    check(algorithm != nullptr ? 1 : 0, "find SHA-256");
    return algorithm;
}

void start_sha256(EVP_MD_CTX* context) {
    check(EVP_DigestInit_ex2(context, sha256_algorithm(), nullptr), "start SHA-256");
}

Sha256 finish_sha256(EVP_MD_CTX* context) {
    Sha256 sha256;
    check(EVP_DigestFinal_ex(context, sha256.bytes.data(), nullptr), "finish SHA-256");
    return sha256;
}

}  // namespace

struct Sha256Stream::State {
    Context context = make_context();
};

Sha256Stream::Sha256Stream() : state_(std::make_unique<State>()) {
    start_sha256(state_->context.get());
}
Sha256Stream::~Sha256Stream() = default;
Sha256Stream::Sha256Stream(Sha256Stream&&) noexcept = default;

void Sha256Stream::update(std::string_view piece) {
    check(EVP_DigestUpdate(state_->context.get(), piece.data(), piece.size()), "compute SHA-256");
}

Sha256 Sha256Stream::finish() {
    return finish_sha256(state_->context.get());
}

Sha256 sha256_of(std::string_view content) {
    static thread_local const Context context = make_context();
    start_sha256(context.get());
    check(EVP_DigestUpdate(context.get(), content.data(), content.size()), "compute SHA-256");
    return finish_sha256(context.get());
}

Sha256 sha256_of_fd(int fd, std::string_view path_for_errors) {
    constexpr size_t kBuffer = 128 * 1024;
    const auto buffer = std::make_unique<std::array<char, kBuffer>>();
    Sha256Stream stream;
    while (const size_t got = read_some(fd, *buffer, path_for_errors))
        stream.update({buffer->data(), got});
    return stream.finish();
}

namespace {

const EVP_MD* md5_algorithm() {
    static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "MD5", nullptr);
    check(algorithm != nullptr ? 1 : 0, "find MD5");
    return algorithm;
}

}  // namespace

struct Md5Stream::State {
    Context context = make_context();
};

Md5Stream::Md5Stream() : state_(std::make_unique<State>()) {
    check(EVP_DigestInit_ex2(state_->context.get(), md5_algorithm(), nullptr), "start MD5");
}
Md5Stream::~Md5Stream() = default;
Md5Stream::Md5Stream(Md5Stream&&) noexcept = default;

void Md5Stream::update(std::string_view piece) {
    check(EVP_DigestUpdate(state_->context.get(), piece.data(), piece.size()), "compute MD5");
}

std::string Md5Stream::finish() {
    std::array<uint8_t, 16> bytes{};
    check(EVP_DigestFinal_ex(state_->context.get(), bytes.data(), nullptr), "finish MD5");
    return hex_of(bytes);
}

std::string md5_hex(std::string_view content) {
    std::array<uint8_t, 16> bytes{};
    check(EVP_Digest(content.data(), content.size(), bytes.data(), nullptr, md5_algorithm(), nullptr),
          "compute MD5");
    return hex_of(bytes);
}

}  // namespace pwstore
