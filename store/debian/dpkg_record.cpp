// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/debian/dpkg_record.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pwstore {

std::string DpkgRecord::path(std::string_view extension) const {
    return fmt::format("{}/{}.{}", kDpkgInfo, stem, extension);
}

const Entry* DpkgRecord::find(std::string_view extension) const {
    return manifest->find(path(extension));
}

std::optional<DpkgRecord> dpkg_record(const Manifest& package) {
    const std::string prefix = fmt::format("{}/{}", kDpkgInfo, package.name);
    const std::string suffix = fmt::format(".{}", kDpkgControlExtension);
    auto entry = std::lower_bound(package.entries.begin(), package.entries.end(), prefix,
                                  [](const Entry& a, const std::string& b) { return a.path < b; });
    for (; entry != package.entries.end() && entry->path.starts_with(prefix); ++entry) {
        if (entry->kind != EntryKind::file || !entry->path.ends_with(suffix)) continue;
        std::string stem = entry->path.substr(std::string_view(kDpkgInfo).size() + 1);
        stem.resize(stem.size() - suffix.size());
        if (stem.substr(0, stem.find(':')) == package.name) return DpkgRecord{stem, package.name, &package};
    }
    return std::nullopt;
}

namespace {

/// Up to the first empty line, without its line break: a second paragraph would be another package.
std::string_view first_paragraph(std::string_view text) {
    size_t end = 0;
    while (end < text.size()) {
        const size_t line_end = std::min(text.find('\n', end), text.size());
        if (text.substr(end, line_end - end).find_first_not_of(" \t\r") == std::string_view::npos) break;
        end = line_end + 1;
    }
    end = std::min(end, text.size());
    return end > 0 && text[end - 1] == '\n' ? text.substr(0, end - 1) : text.substr(0, end);
}

}  // namespace

std::string format_dpkg_status(const std::vector<DpkgStatusEntry>& packages) {
    std::string text;
    for (const DpkgStatusEntry& package : packages) {
        const std::string_view control = first_paragraph(package.control);
        const size_t first_line = std::min(control.find('\n'), control.size());
        text += control.substr(0, first_line);
        text += "\nStatus: install ok installed";
        text += control.substr(first_line);
        text += '\n';
        if (!package.conffiles.empty()) text += "Conffiles:\n";
        for (const auto& [path, md5] : package.conffiles)
            text += fmt::format(" {} {}\n", path, md5);
        text += '\n';
    }
    return text;
}

}  // namespace pwstore
