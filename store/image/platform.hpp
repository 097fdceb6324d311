// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>

namespace pwstore::image {

/// What an image's programs run on, in the words of images: "linux", "arm64", "v8". Empty = not said.
struct Platform {
    std::string os;
    std::string architecture;
    std::string variant;

    /// "linux/arm64/v8"
    [[nodiscard]] std::string text() const;
    bool operator==(const Platform&) const = default;
};

/// How programs run on a machine.
enum class Fit : uint8_t { none, compatible, native };

/// Whether `image` runs on `machine`. What is not said fits.
[[nodiscard]] Fit fit_of(const Platform& image, const Platform& machine);

[[nodiscard]] Platform this_machine();

}  // namespace pwstore::image
