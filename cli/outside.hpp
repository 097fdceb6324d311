// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "store/base/fd.hpp"

namespace pwstore::cli {

/// Programs of the host that do a part of our work: ssh, ssh-keygen, skopeo. They get our environment.

struct OutsideResult {
    int status = 0;  ///< exit code, or 128 + signal
    std::string out, err;
};

/// Run `program` (found in PATH) with `input` on its standard input, to its end. It inherits `file` (-1 =
/// none) as kInheritedFile (child::kFirstDescriptor).
/// @throws Error (unsupported) with `remedy` as the hint when there is no such program
[[nodiscard]] OutsideResult run_outside(const std::string& program, const std::vector<std::string>& arguments,
                                        std::string_view input, const std::string& remedy, int file = -1);
inline constexpr const char* kInheritedFile = "/proc/self/fd/10";

/// A program that we talk with. Its standard error is ours. It ends when `to` is closed, or is killed with
/// us.
struct OutsidePeer {
    pid_t process = -1;
    Fd to, from;
};
[[nodiscard]] OutsidePeer start_outside(const std::string& program, const std::vector<std::string>& arguments,
                                        const std::string& remedy);

}  // namespace pwstore::cli
