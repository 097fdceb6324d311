// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "store/base/fd.hpp"

namespace pwstore::cli {

/// The file, or standard input for "-", that an image is to come from.
class ImageInput {
 public:
    /// Look at its beginning, as far as that takes nothing away from who reads it.
    /// @throws Error (usage) when it is certainly no image: what it is instead, and what can be done
    explicit ImageInput(const std::string& path);

    [[nodiscard]] int fd() const noexcept { return file_ ? file_.get() : 0; }
    /// What is still to be read, as far as that is known; else 0.
    [[nodiscard]] uint64_t size() const noexcept { return size_; }
    /// As one speaks of it.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

 private:
    std::string name_;
    Fd file_;
    uint64_t size_ = 0;
};

/// What begins like this, when that is no archive which could be an image: "it is a text". nullopt = it may
/// be one.
struct OtherKind {
    std::string what, hint;
};
[[nodiscard]] std::optional<OtherKind> kind_if_no_image(std::string_view beginning);

}  // namespace pwstore::cli
