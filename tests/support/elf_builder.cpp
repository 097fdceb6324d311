// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/elf_builder.hpp"

#include <elf.h>

#include <algorithm>

namespace pwstore::test {

namespace {

class Bytes {
 public:
    explicit Bytes(const ElfSpec& spec) : spec_(spec) {}
    Bytes& put(uint64_t value, size_t size) {
        std::string bytes;
        for (size_t i = 0; i < size; ++i)
            bytes += static_cast<char>(value >> (8 * i));
        if (spec_.big_endian) std::reverse(bytes.begin(), bytes.end());
        text += bytes;
        return *this;
    }
    Bytes& word(uint64_t value) { return put(value, spec_.wide ? 8 : 4); }
    std::string text;

 private:
    const ElfSpec& spec_;
};

void put_header(Bytes& out, const ElfSpec& spec, uint32_t type, uint64_t offset, uint64_t address,
                uint64_t size) {
    out.put(type, 4);
    if (spec.wide) out.put(PF_R, 4);
    out.word(offset).word(address).word(address).word(size).word(size);
    if (!spec.wide) out.put(PF_R, 4);
    out.word(1);
}

}  // namespace

std::string elf_bytes(const ElfSpec& spec) {
    constexpr uint64_t kAddress = 0x10000;  // what is loaded is not where it is in the file
    const uint64_t word = spec.wide ? 8 : 4;
    const uint64_t headers = spec.wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
    const uint64_t header_size = spec.wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    std::string strings(1, '\0');
    Bytes dynamic(spec);
    const uint64_t entries = spec.libraries.size() + (spec.run_path.empty() ? 0 : 1) + 2;
    const uint64_t at = headers + 2 * header_size;
    const uint64_t strings_at = at + entries * 2 * word;
    for (const std::string& library : spec.libraries) {
        dynamic.word(DT_NEEDED).word(strings.size());
        strings += library + '\0';
    }
    if (!spec.run_path.empty()) {
        dynamic.word(DT_RUNPATH).word(strings.size());
        strings += spec.run_path + '\0';
    }
    dynamic.word(DT_STRTAB).word(kAddress + strings_at).word(DT_NULL).word(0);

    Bytes out(spec);
    out.text = std::string(ELFMAG) + static_cast<char>(spec.wide ? ELFCLASS64 : ELFCLASS32) +
               static_cast<char>(spec.big_endian ? ELFDATA2MSB : ELFDATA2LSB) + '\1';
    out.text.resize(EI_NIDENT, '\0');
    out.put(ET_DYN, 2).put(EM_X86_64, 2).put(1, 4).word(0).word(headers).word(0).put(0, 4);
    out.put(headers, 2).put(header_size, 2).put(2, 2).put(0, 2).put(0, 2).put(0, 2);
    put_header(out, spec, PT_LOAD, 0, kAddress, strings_at + strings.size());
    put_header(out, spec, PT_DYNAMIC, at, kAddress + at, entries * 2 * word);
    return out.text + dynamic.text + strings;
}

}  // namespace pwstore::test
