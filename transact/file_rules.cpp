// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/file_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <string_view>

#include "transact/hook.hpp"

namespace pwstore {

Arrival arrival(const FilePatterns& patterns, const std::string& listed, Occupant there, bool is_backup) {
    if (match_patterns(patterns.no_extract, listed) == 1) return Arrival::left_out;
    const bool is_directory = listed.ends_with('/');
    switch (there) {
        case Occupant::nothing:
            return Arrival::laid_down;
        case Occupant::directory:
            return is_directory ? Arrival::stays : Arrival::obstructed;
        case Occupant::other:
            break;
    }
    if (is_directory) return Arrival::laid_down;
    if (match_patterns(patterns.no_upgrade, listed) == 1) return Arrival::beside;
    return is_backup ? Arrival::compared : Arrival::laid_down;
}

Verdict three_way(const std::string& original, const std::string& local, const std::string& packaged) {
    if (!packaged.empty() && local == packaged) return Verdict::take_new;
    if (!packaged.empty() && original == packaged) return Verdict::keep_old;
    if (!original.empty() && original == local) return Verdict::take_new;
    return Verdict::pacnew;
}

bool is_left(const FilePatterns& patterns, const std::string& listed, const std::set<std::string>& moved,
             bool is_backup_of_successor) {
    return is_backup_of_successor || moved.contains(listed) ||
           match_patterns(patterns.no_upgrade, listed) == 1;
}

bool is_saved(const std::string& original, const std::string& local) {
    return !local.empty() && local != original;
}

std::vector<std::pair<std::string, std::string>> pacsave_renames(const std::string& name,
                                                                 const std::vector<std::string>& names) {
    const std::string saved = name + ".pacsave";
    const auto numbered = [&](unsigned long number) { return fmt::format("{}.{}", saved, number); };
    std::set<unsigned long, std::greater<>> numbers;
    for (const std::string& other : names) {
        if (!other.starts_with(saved + ".")) continue;
        const std::string_view digits = std::string_view(other).substr(saved.size() + 1);
        unsigned long number = 0;
        const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
        if (fault == std::errc{} && end == digits.data() + digits.size() && numbered(number) == other)
            numbers.insert(number);
    }
    std::vector<std::pair<std::string, std::string>> renames;
    for (const unsigned long number : numbers)
        renames.emplace_back(numbered(number), numbered(number + 1));
    if (std::find(names.begin(), names.end(), saved) != names.end()) renames.emplace_back(saved, numbered(1));
    renames.emplace_back(name, saved);
    return renames;
}

}  // namespace pwstore
