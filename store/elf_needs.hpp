// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pwstore {

/// What an ELF file needs of others when it is loaded.
struct ElfNeeds {
    std::vector<std::string> libraries;    ///< DT_NEEDED, in order
    std::vector<std::string> directories;  ///< of DT_RUNPATH and DT_RPATH, "$ORIGIN" as it stands there
};

/// The first bytes of an ELF file.
[[nodiscard]] bool is_elf(std::string_view beginning) noexcept;

/// Read from a whole file of either size of word and byte order; nullopt when it needs nothing of the loader
/// (static, relocatable, debug information), or is damaged: every offset is checked.
[[nodiscard]] std::optional<ElfNeeds> elf_needs(std::string_view file);

}  // namespace pwstore
