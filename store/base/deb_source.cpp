// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/base/deb_source.hpp"

namespace pwstore {

std::string_view native_deb_architecture() {
#if defined(__x86_64__)
    return "amd64";
#elif defined(__aarch64__)
    return "arm64";
#elif defined(__i386__)
    return "i386";
#elif defined(__riscv)
    return "riscv64";
#elif defined(__powerpc64__)
    return "ppc64el";
#elif defined(__s390x__)
    return "s390x";
#else
    return "armhf";
#endif
}

}  // namespace pwstore
