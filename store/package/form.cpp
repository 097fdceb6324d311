// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/package/form.hpp"

#include <archive.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace pwstore {

namespace {

using namespace std::string_view_literals;

struct Form {
    std::string_view magic, what;
};
constexpr std::array<Form, 10> kUnsupported{{
    {"\x89LZO\0\r\n\x1a\n"sv, "compressed with lzop"},
    {"LRZI"sv, "compressed with lrzip"},
    {"GRZipII\0"sv, "compressed with grzip"},
    {"PK\x03\x04"sv, "a zip archive"},
    {"7z\xBC\xAF\x27\x1C"sv, "a 7-Zip archive"},
    {"Rar!\x1A\x07"sv, "a RAR archive"},
    {"MSCF\0\0\0\0"sv, "a cabinet archive"},
    {"xar!"sv, "a xar archive"},
    {"\xED\xAB\xEE\xDB"sv, "an RPM package"},
    {"!<arch>\n"sv, "an ar archive, as .deb files are"},
}};

/// What a decompressor says when it would need more memory than it may take.
constexpr std::string_view kTooMuchMemory = "too much memory";

}  // namespace

void support_compressions(archive* reader) {
    for (const auto support : {archive_read_support_filter_zstd, archive_read_support_filter_gzip,
                               archive_read_support_filter_xz, archive_read_support_filter_lzma,
                               archive_read_support_filter_lzip, archive_read_support_filter_bzip2,
                               archive_read_support_filter_lz4, archive_read_support_filter_compress}) {
        if (support(reader) != ARCHIVE_OK)
            throw Error("start libarchive", "", "it lacks a compression").as(Fault::unsupported);
    }
}

Error unreadable_archive(const std::string& path, std::string_view beginning, std::string_view otherwise) {
    const auto* const form = std::find_if(kUnsupported.begin(), kUnsupported.end(),
                                          [&](const Form& one) { return beginning.starts_with(one.magic); });
    if (form != kUnsupported.end()) {
        return Error("read archive", path, fmt::format("it is {}, which is not supported", form->what))
            .as(Fault::unsupported);
    }
    const bool is_demanding = otherwise.find(kTooMuchMemory) != std::string_view::npos;
    return Error("read archive", path, printable(otherwise))
        .as(is_demanding ? Fault::unsupported : Fault::corrupt);
}

uint32_t owner_of_archive(int64_t number) {
    const auto owner = static_cast<uint32_t>(number);
    return owner == UINT32_MAX ? 0 : owner;
}

}  // namespace pwstore
