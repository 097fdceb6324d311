// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/boot_mark.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cstdlib>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/digest.hpp"

namespace pwstore {

namespace {

uint64_t read_boot_mark() {
    const char* chosen = std::getenv("PWSTORE_BOOT_ID");  // tests cannot restart the machine
    if (chosen != nullptr) return std::max<uint64_t>(1, checksum64(chosen));
    const auto id = try_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id");
    if (!id)
        throw Error("read boot id", "/proc/sys/kernel/random/boot_id", "it is not there")
            .as(Fault::unsupported);
    return std::max<uint64_t>(1, checksum64(*id));
}

}  // namespace

uint64_t boot_mark() {
    static const uint64_t mark = read_boot_mark();
    return mark;
}

}  // namespace pwstore
