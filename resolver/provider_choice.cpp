// SPDX-License-Identifier: GPL-3.0-or-later
#include "resolver/provider_choice.hpp"

#include <algorithm>
#include <array>
#include <tuple>

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

size_t preferred_provider(std::string_view dependency, const std::vector<Provider>& providers) {
    if (!std::all_of(providers.begin(), providers.end(), [](const Provider& one) { return one.is_deb; }))
        return 0;
    const std::vector<std::string_view> names = alternatives_of(dependency);
    const auto rank = [&](const Provider& provider) {
        size_t position = 0;
        while (position < names.size() && provider.name != names[position] &&
               !provides(provider, names[position]))
            ++position;
        const bool is_itself = position < names.size() && provider.name == names[position];
        return std::tuple(position, !is_itself, priority_of(provider), std::string_view(provider.name));
    };
    const auto best =
        std::min_element(providers.begin(), providers.end(),
                         [&](const Provider& a, const Provider& b) { return rank(a) < rank(b); });
    return static_cast<size_t>(best - providers.begin());
}

}  // namespace pwstore
