// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "store/digest.hpp"

namespace pwstore {

/// MD5 and SHA-256 of one content, as package formats ask for both.
struct ContentDigest {
    std::string md5;  ///< lower-case hexadecimal
    Sha256 sha256;
};

class ContentDigestStream {
 public:
    ContentDigestStream();
    ContentDigestStream(ContentDigestStream&&) noexcept;
    ContentDigestStream& operator=(ContentDigestStream&&) noexcept;
    ~ContentDigestStream();
    void update(std::string_view piece);
    [[nodiscard]] ContentDigest finish();

 private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Of a whole file, whatever the descriptor's offset is.
[[nodiscard]] ContentDigest content_digest_of_fd(int fd, std::string_view path_for_errors);

}  // namespace pwstore
