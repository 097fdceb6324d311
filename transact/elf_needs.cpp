// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/elf_needs.hpp"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cstring>
#include <optional>

#include "store/base/error.hpp"
#include "store/base/names.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

constexpr uint64_t kMostHeaders = 64;
constexpr uint64_t kMostDynamic = 4096;
constexpr uint64_t kLongestName = 255;

/// Reads of a file whose claims about itself are not believed.
class ElfFile {
 public:
    explicit ElfFile(int fd) : fd_(fd) {}

    template <class Value>
    [[nodiscard]] std::optional<Value> get(uint64_t offset) const {
        Value value;
        if (offset > INT64_MAX - sizeof(Value)) return std::nullopt;
        if (::pread(fd_, &value, sizeof(Value), static_cast<off_t>(offset)) != ssize_t{sizeof(Value)})
            return std::nullopt;
        return value;
    }
    [[nodiscard]] std::optional<std::string> text(uint64_t offset) const {
        std::array<char, kLongestName + 1> bytes{};
        if (offset > INT64_MAX - bytes.size()) return std::nullopt;
        const ssize_t got = ::pread(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        const void* end = got > 0 ? std::memchr(bytes.data(), 0, static_cast<size_t>(got)) : nullptr;
        if (end == nullptr) return std::nullopt;
        return std::string(bytes.data());
    }

 private:
    int fd_;
};

template <class Header, class Segment, class Dynamic>
std::vector<std::string> needs_of(const ElfFile& file) {
    const auto header = file.get<Header>(0);
    if (!header || header->e_phentsize != sizeof(Segment)) return {};
    std::vector<Segment> loads;
    std::optional<Segment> dynamic;
    for (uint64_t at = 0; at < std::min<uint64_t>(header->e_phnum, kMostHeaders); ++at) {
        const auto segment = file.get<Segment>(header->e_phoff + at * sizeof(Segment));
        if (!segment) return {};
        if (segment->p_type == PT_LOAD) loads.push_back(*segment);
        if (segment->p_type == PT_DYNAMIC) dynamic = segment;
    }
    if (!dynamic) return {};
    std::vector<uint64_t> names;
    std::optional<uint64_t> strings;
    for (uint64_t at = 0; at < std::min<uint64_t>(dynamic->p_filesz / sizeof(Dynamic), kMostDynamic); ++at) {
        const auto entry = file.get<Dynamic>(dynamic->p_offset + at * sizeof(Dynamic));
        if (!entry || entry->d_tag == DT_NULL) break;
        if (entry->d_tag == DT_NEEDED) names.push_back(entry->d_un.d_val);
        if (entry->d_tag != DT_STRTAB) continue;
        for (const Segment& load : loads) {
            if (entry->d_un.d_ptr >= load.p_vaddr && entry->d_un.d_ptr - load.p_vaddr < load.p_filesz)
                strings = entry->d_un.d_ptr - load.p_vaddr + load.p_offset;
        }
    }
    std::vector<std::string> needs;
    for (const uint64_t name : strings ? names : std::vector<uint64_t>{}) {
        if (auto text = file.text(*strings + name); text && !text->empty()) needs.push_back(std::move(*text));
    }
    return needs;
}

/// A program, or a library in one of the directories where the dynamic linker looks by itself.
bool is_looked_at(std::string_view path) {
    const std::string_view directory = split_path(path).first;
    const std::string_view name = split_path(path).second;
    const std::string_view last = split_path(directory).second;
    if (last == "bin" || last == "sbin" || last == "games" || last == "libexec")
        return directory.starts_with("usr/");
    if (name.find(".so") == std::string_view::npos) return false;
    if (directory == "usr/lib" || directory == "usr/lib64" || directory == "usr/lib32") return true;
    return split_path(directory).first == "usr/lib" && last.find("-linux-gnu") != std::string_view::npos;
}

}  // namespace

std::vector<std::string> elf_needs(int fd) {
    const ElfFile file(fd);
    const auto identity = file.get<std::array<unsigned char, EI_NIDENT>>(0);
    constexpr unsigned char kOrder = std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;
    if (!identity || std::memcmp(identity->data(), ELFMAG, SELFMAG) != 0 || (*identity)[EI_DATA] != kOrder)
        return {};
    if ((*identity)[EI_CLASS] == ELFCLASS64) return needs_of<Elf64_Ehdr, Elf64_Phdr, Elf64_Dyn>(file);
    if ((*identity)[EI_CLASS] == ELFCLASS32) return needs_of<Elf32_Ehdr, Elf32_Phdr, Elf32_Dyn>(file);
    return {};
}

std::vector<std::string> missing_libraries(int root, const Manifest& package,
                                           const std::unordered_set<std::string_view>& names) {
    std::vector<std::string> missing;
    for (const Entry& entry : package.entries) {
        if (entry.kind != EntryKind::file || !is_looked_at(entry.path)) continue;
        const auto file = try_open_beneath(root, entry.path, O_RDONLY | O_NONBLOCK);
        if (!file) continue;  // diverted, or not extracted
        for (const std::string& library : elf_needs(file->get())) {
            if (names.contains(split_path(library).second)) continue;
            missing.push_back(fmt::format("/{} of '{}' needs {}, which no package here has",
                                          printable(entry.path), package.name, printable(library)));
        }
    }
    return missing;
}

}  // namespace pwstore
