// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace pwstore {

/// Packs bytes of any number with gzip, without name and time: the same bytes give the same ones.
class GzipStream {
 public:
    GzipStream();
    GzipStream(const GzipStream&) = delete;
    GzipStream& operator=(const GzipStream&) = delete;
    ~GzipStream();

    /// What there is to be written after this piece; valid until the next call. @throws Error
    [[nodiscard]] std::string_view put(std::string_view piece);
    /// The rest, when all is put.
    [[nodiscard]] std::string_view finish();

 private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace pwstore
