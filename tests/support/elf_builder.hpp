// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <vector>

namespace pwstore::test {

struct ElfSpec {
    std::vector<std::string> libraries = {};
    std::string run_path = {};
    bool wide = true;         ///< 64 bits
    bool big_endian = false;  ///< byte order
};

/// The bytes of a shared library that does nothing but need others.
[[nodiscard]] std::string elf_bytes(const ElfSpec& spec);

}  // namespace pwstore::test
