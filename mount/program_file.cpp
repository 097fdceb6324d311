// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/program_file.hpp"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "store/base/fd.hpp"
#include "store/base/path_at.hpp"

/// Our own ELF header, from the linker: what this machine runs.
extern "C" {
extern const ElfW(Ehdr) __ehdr_start [[gnu::visibility("hidden")]];
}

namespace pwstore {

namespace {

constexpr const char* kHandlers = "/proc/sys/fs/binfmt_misc";
constexpr size_t kStart = 256;
constexpr size_t kMostHeaders = 256;
constexpr size_t kLongestPath = 4096;

constexpr std::array<std::pair<unsigned, std::string_view>, 13> kMachines{{{EM_386, "i386"},
                                                                           {EM_X86_64, "x86_64"},
                                                                           {EM_ARM, "arm"},
                                                                           {EM_AARCH64, "aarch64"},
                                                                           {EM_PPC, "powerpc"},
                                                                           {EM_PPC64, "powerpc64"},
                                                                           {EM_S390, "s390"},
                                                                           {EM_RISCV, "riscv"},
                                                                           {EM_MIPS, "mips"},
                                                                           {EM_LOONGARCH, "loongarch"},
                                                                           {EM_SPARCV9, "sparc64"},
                                                                           {EM_68K, "m68k"},
                                                                           {EM_ALPHA, "alpha"}}};

std::string machine_name(unsigned machine) {
    for (const auto& [number, name] : kMachines) {
        if (number == machine) return std::string(name);
    }
    return fmt::format("machine {}", machine);
}

/// Kernels run the 32-bit programs of their 64-bit machine as well.
bool runs(unsigned machine) {
    const unsigned own = __ehdr_start.e_machine;
    return machine == own || (own == EM_X86_64 && machine == EM_386) ||
           (own == EM_AARCH64 && machine == EM_ARM) || (own == EM_PPC64 && machine == EM_PPC);
}

std::string read_start(int fd, size_t size, uint64_t offset = 0) {
    std::string bytes(size, '\0');
    const ssize_t got = ::pread(fd, bytes.data(), size, static_cast<off_t>(offset));
    bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return bytes;
}

std::string unhex(std::string_view text) {
    std::string bytes;
    for (size_t at = 0; at + 1 < text.size(); at += 2) {
        unsigned value = 0;
        (void)std::from_chars(text.data() + at, text.data() + at + 2, value, 16);
        bytes += static_cast<char>(value);
    }
    return bytes;
}

std::string_view field_of(std::string_view text, std::string_view name) {
    const size_t at = text.find(name);
    if (at == std::string_view::npos) return "";
    text.remove_prefix(at + name.size());
    return text.substr(0, text.find('\n'));
}

/// A handler of the host (binfmt_misc) takes files that start like this.
bool has_handler(std::string_view start) {
    const Fd directory(::open(kHandlers, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return false;
    for (const DirectoryItem& item : list_directory(directory.get())) {
        const Fd file(::openat(directory.get(), item.name.c_str(), O_RDONLY | O_CLOEXEC));
        const std::string text = file ? read_start(file.get(), 4096) : "";
        if (!text.starts_with("enabled\n")) continue;
        const std::string magic = unhex(field_of(text, "\nmagic "));
        std::string mask = unhex(field_of(text, "\nmask "));
        size_t offset = 0;
        const std::string_view number = field_of(text, "\noffset ");
        (void)std::from_chars(number.data(), number.data() + number.size(), offset);
        mask.resize(magic.size(), '\xff');
        if (magic.empty() || offset + magic.size() > start.size()) continue;
        bool same = true;
        for (size_t at = 0; same && at < magic.size(); ++at)
            same = ((start[offset + at] ^ magic[at]) & mask[at]) == 0;
        if (same) return true;
    }
    return false;
}

/// The loader that a program names; empty when it needs none, or its headers are not to be understood.
template <typename Header, typename Segment>
std::string loader_of(int fd, std::string_view start) {
    Header header{};
    if (start.size() < sizeof header) return "";
    std::memcpy(&header, start.data(), sizeof header);
    if (header.e_phentsize != sizeof(Segment) || header.e_phnum > kMostHeaders) return "";
    const std::string headers = read_start(fd, size_t{header.e_phnum} * sizeof(Segment), header.e_phoff);
    for (size_t at = 0; at + sizeof(Segment) <= headers.size(); at += sizeof(Segment)) {
        Segment segment{};
        std::memcpy(&segment, headers.data() + at, sizeof segment);
        if (segment.p_type != PT_INTERP || segment.p_filesz > kLongestPath) continue;
        const std::string path = read_start(fd, static_cast<size_t>(segment.p_filesz), segment.p_offset);
        return path.substr(0, path.find('\0'));
    }
    return "";
}

ProgramFile inspect_elf(int fd, std::string_view start) {
    Elf32_Ehdr header{};  // as far as we look, the 64-bit one is the same
    if (start.size() < sizeof header) return {ProgramFile::Kind::other, "", ""};
    std::memcpy(&header, start.data(), sizeof header);
    if (header.e_ident[EI_DATA] != __ehdr_start.e_ident[EI_DATA]) {
        const unsigned machine =
            static_cast<unsigned>(header.e_machine >> 8U | (header.e_machine & 0xFFU) << 8U);
        return {ProgramFile::Kind::foreign, "", machine_name(machine)};
    }
    if (!runs(header.e_machine)) return {ProgramFile::Kind::foreign, "", machine_name(header.e_machine)};
    if (header.e_type != ET_EXEC && header.e_type != ET_DYN) return {ProgramFile::Kind::other, "", ""};
    return {ProgramFile::Kind::program,
            header.e_ident[EI_CLASS] == ELFCLASS64 ? loader_of<Elf64_Ehdr, Elf64_Phdr>(fd, start)
                                                   : loader_of<Elf32_Ehdr, Elf32_Phdr>(fd, start),
            ""};
}

ProgramFile inspect_script(std::string_view line) {
    line.remove_prefix(2);
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    return {ProgramFile::Kind::script, std::string(line.substr(0, line.find_first_of(" \t"))), ""};
}

}  // namespace

ProgramFile inspect_program(int fd) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    const Fd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (!file) return {ProgramFile::Kind::program, "", ""};
    const std::string start = read_start(file.get(), kStart);
    const std::string_view line = std::string_view(start).substr(0, start.find('\n'));
    ProgramFile result;
    if (start.starts_with(ELFMAG)) {
        result = inspect_elf(file.get(), start);
    } else if (start.starts_with("#!")) {
        result = inspect_script(line);
    } else if (line.find('\0') != std::string_view::npos) {
        result.kind = ProgramFile::Kind::other;  // as shells tell
    }
    const bool is_hopeless =
        result.kind == ProgramFile::Kind::foreign || result.kind == ProgramFile::Kind::other;
    if (is_hopeless && has_handler(start)) return {ProgramFile::Kind::program, "", ""};
    return result;
}

std::string own_machine() {
    return machine_name(__ehdr_start.e_machine);
}

}  // namespace pwstore
