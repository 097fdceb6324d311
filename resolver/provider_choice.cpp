// SPDX-License-Identifier: GPL-3.0-or-later
#include "resolver/provider_choice.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <numeric>
#include <tuple>
#include <utility>

namespace pwstore {

namespace {

/// Names of "a|b(ge1)", in order; of any other dependency its name.
std::vector<std::string_view> alternatives_of(std::string_view dependency) {
    std::vector<std::string_view> names;
    for (;;) {
        const size_t end = std::min(dependency.find('|'), dependency.size());
        const std::string_view one = dependency.substr(0, end);
        names.push_back(one.substr(0, one.find_first_of("(<>=")));
        if (end == dependency.size()) return names;
        dependency.remove_prefix(end + 1);
    }
}

bool provides(const Provider& provider, std::string_view name) {
    return std::any_of(provider.provides.begin(), provider.provides.end(), [&](const std::string& text) {
        return std::string_view(text).substr(0, text.find_first_of("<>=")) == name;
    });
}

size_t priority_of(const Provider& provider) {
    static constexpr std::array<std::string_view, 3> kOrder{"required", "important", "standard"};
    for (size_t i = 0; i < kOrder.size(); ++i) {
        if (std::find(provider.groups.begin(), provider.groups.end(), kOrder[i]) != provider.groups.end())
            return i;
    }
    return kOrder.size();
}

}  // namespace

std::vector<size_t> providers_to_choose_from(std::string_view dependency,
                                             const std::vector<Provider>& providers) {
    std::vector<size_t> all(providers.size());
    std::iota(all.begin(), all.end(), size_t{0});
    const std::vector<std::string_view> names = alternatives_of(dependency);
    const bool ordered = names.size() > 1 || std::all_of(providers.begin(), providers.end(),
                                                         [](const Provider& one) { return one.is_deb; });
    if (!ordered) return all;
    const auto rank = [&](const Provider& provider) {
        size_t position = 0;
        while (position < names.size() && provider.name != names[position] &&
               !provides(provider, names[position]))
            ++position;
        const bool is_itself = position < names.size() && provider.name == names[position];
        return std::tuple(position, !is_itself, priority_of(provider));
    };
    const auto best = rank(*std::min_element(
        providers.begin(), providers.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); }));
    std::erase_if(all, [&](size_t i) { return rank(providers[i]) != best; });
    std::stable_sort(all.begin(), all.end(),
                     [&](size_t a, size_t b) { return providers[a].name < providers[b].name; });
    return all;
}

std::string alternatives_text(const std::string& dependency) {
    static constexpr std::pair<std::string_view, std::string_view> kRelations[] = {
        {"(lt", " (<< "}, {"(le", " (<= "}, {"(eq", " (= "}, {"(ge", " (>= "}, {"(gt", " (>> "}};
    if (dependency.find('|') == std::string::npos) return dependency;
    std::string text;
    for (std::string_view rest = dependency; !rest.empty();) {
        const auto relation = std::find_if(std::begin(kRelations), std::end(kRelations),
                                           [&](const auto& one) { return rest.starts_with(one.first); });
        if (relation != std::end(kRelations)) {
            text += relation->second;
            rest.remove_prefix(relation->first.size());
            continue;
        }
        text += rest.front() == '|' ? std::string(" | ") : std::string(1, rest.front());
        rest.remove_prefix(1);
    }
    return text;
}

}  // namespace pwstore
