// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/base/similar.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "store/base/error.hpp"

namespace pwstore {

namespace {

constexpr size_t kMost = 3;

}  // namespace

size_t typing_distance(std::string_view a, std::string_view b) {
    std::vector<size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 1; i <= a.size(); ++i) {
        std::swap(before_last, last);
        std::swap(last, row);
        row[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t changed = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = std::min({changed, last[j] + 1, row[j - 1] + 1});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before_last[j - 2] + 1);
        }
    }
    return row.back();
}

size_t typing_tolerance(size_t length) noexcept {
    return std::max<size_t>(1, length / 3);
}

std::vector<std::string> similar_to(std::string_view word, const std::vector<std::string>& candidates) {
    const size_t limit = typing_tolerance(word.size());
    std::vector<std::pair<size_t, std::string>> found;
    for (const std::string& candidate : candidates) {
        const size_t far = typing_distance(word, candidate);
        if (far <= limit && far < candidate.size()) found.emplace_back(far, candidate);
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    if (found.size() > kMost) found.resize(kMost);
    std::vector<std::string> names;
    for (auto& [far, name] : found)
        names.push_back(std::move(name));
    return names;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
    const std::vector<std::string> names = similar_to(word, candidates);
    if (names.empty()) return {};
    std::string text = "did you mean ";
    for (size_t i = 0; i < names.size(); ++i) {
        if (i > 0) text += i + 1 == names.size() ? " or " : ", ";
        text += "'" + printable(names[i]) + "'";
    }
    return text + "?";
}

}  // namespace pwstore
