// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/elf_needs.hpp"

#include <elf.h>

namespace pwstore {

namespace {

/// Numbers of a file of one class and byte order; nothing outside the file is read.
class ElfFile {
 public:
    explicit ElfFile(std::string_view file)
        : file_(file), wide_(file[EI_CLASS] == ELFCLASS64), big_(file[EI_DATA] == ELFDATA2MSB) {}

    [[nodiscard]] std::optional<ElfNeeds> needs() const {
        const Span headers = program_headers();
        std::optional<Span> dynamic;
        for (uint64_t i = 0; i < headers.size; ++i) {
            const uint64_t at = headers.offset + i * header_size();
            if (number(at, 4) == PT_DYNAMIC) dynamic = span_of_segment(at);
        }
        if (!dynamic) return std::nullopt;
        uint64_t strings = 0;
        std::vector<uint64_t> names, paths;
        for (uint64_t at = dynamic->offset; at + 2 * word() <= dynamic->offset + dynamic->size;
             at += 2 * word()) {
            const auto tag = number(at, word());
            const auto value = number(at + word(), word());
            if (!tag || !value || *tag == DT_NULL) break;
            if (*tag == DT_STRTAB) strings = *value;
            if (*tag == DT_NEEDED) names.push_back(*value);
            if (*tag == DT_RUNPATH || *tag == DT_RPATH) paths.push_back(*value);
        }
        return read_names(offset_of(headers, strings), names, paths);
    }

 private:
    struct Span {
        uint64_t offset = 0, size = 0;
    };

    [[nodiscard]] uint64_t word() const { return wide_ ? 8 : 4; }
    [[nodiscard]] uint64_t header_size() const { return wide_ ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr); }

    [[nodiscard]] std::optional<uint64_t> number(uint64_t at, uint64_t size) const {
        if (at > file_.size() || file_.size() - at < size) return std::nullopt;
        uint64_t value = 0;
        for (uint64_t i = 0; i < size; ++i) {
            const uint64_t byte = static_cast<unsigned char>(file_[at + (big_ ? i : size - 1 - i)]);
            value = value << 8U | byte;
        }
        return value;
    }

    /// Where they begin and how many they are; none when they are not all in the file.
    [[nodiscard]] Span program_headers() const {
        const auto offset = number(wide_ ? 32 : 28, word());
        const auto count = number(wide_ ? 56 : 44, 2);
        if (!offset || !count || *offset > file_.size()) return {};
        return {*offset, (file_.size() - *offset) / header_size() < *count ? 0 : *count};
    }

    /// Of the program header at `at`: the bytes in the file.
    [[nodiscard]] std::optional<Span> span_of_segment(uint64_t at) const {
        const auto offset = number(at + (wide_ ? 8 : 4), word());
        const auto size = number(at + (wide_ ? 32 : 16), word());
        if (!offset || !size || *offset > file_.size() || file_.size() - *offset < *size) return std::nullopt;
        return Span{*offset, *size};
    }

    /// Where the byte that is loaded at `address` is in the file.
    [[nodiscard]] std::optional<uint64_t> offset_of(const Span& headers, uint64_t address) const {
        for (uint64_t i = 0; i < headers.size; ++i) {
            const uint64_t at = headers.offset + i * header_size();
            if (number(at, 4) != PT_LOAD) continue;
            const auto begin = number(at + (wide_ ? 16 : 8), word());
            const auto span = span_of_segment(at);
            if (begin && span && address >= *begin && address - *begin < span->size)
                return span->offset + (address - *begin);
        }
        return std::nullopt;
    }

    [[nodiscard]] std::optional<ElfNeeds> read_names(std::optional<uint64_t> strings,
                                                     const std::vector<uint64_t>& names,
                                                     const std::vector<uint64_t>& paths) const {
        if (!strings) return std::nullopt;
        const auto text = [&](uint64_t at) {
            if (at > file_.size() - *strings) return std::string();
            const std::string_view rest = file_.substr(*strings + at);
            return std::string(rest.substr(0, rest.find('\0')));
        };
        ElfNeeds needs;
        for (const uint64_t name : names) {
            if (std::string library = text(name); !library.empty())
                needs.libraries.push_back(std::move(library));
        }
        for (const uint64_t path : paths) {
            std::string directories = text(path) + ":";
            for (size_t colon = 0; (colon = directories.find(':')) != std::string::npos;
                 directories.erase(0, colon + 1)) {
                if (colon != 0) needs.directories.push_back(directories.substr(0, colon));
            }
        }
        return needs;
    }

    std::string_view file_;
    bool wide_, big_;
};

}  // namespace

bool is_elf(std::string_view beginning) noexcept {
    return beginning.substr(0, SELFMAG) == std::string_view(ELFMAG, SELFMAG);
}

std::optional<ElfNeeds> elf_needs(std::string_view file) {
    if (!is_elf(file) || file.size() < sizeof(Elf32_Ehdr)) return std::nullopt;
    return ElfFile(file).needs();
}

}  // namespace pwstore
