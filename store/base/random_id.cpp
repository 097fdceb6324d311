// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/base/random_id.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <cstdint>

#include "store/base/error.hpp"

namespace pwstore {

std::string random_id() {
    uint64_t value = 0;
    while (::getrandom(&value, sizeof value, 0) != static_cast<ssize_t>(sizeof value)) {
        if (errno != EINTR) throw Error::from_errno("make a random name", "");
    }
    return fmt::format("{:016x}", value);
}

}  // namespace pwstore
