// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/recipe.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "resolver/session.hpp"
#include "store/base/error.hpp"

namespace pwstore {

namespace {

/// Length-prefixed, so that no two different recipes have one text.
void append_field(std::string& text, std::string_view field) {
    text += fmt::format("{}:{}\n", field.size(), field);
}

}  // namespace

Sha256 recipe_digest(const ReadTxn& txn, ContainerType type, const Generation& generation,
                     const GenerationSource& pending) {
    std::string text = "pwstore recipe 1\n";
    append_field(text, fmt::format("{}", static_cast<unsigned>(type)));
    for (const GenerationRef& reference : generation.upstream) {
        auto below = pending ? pending(reference) : std::nullopt;
        if (!below) below = txn.generation(ContainerName(reference.container), reference.generation);
        if (!below)
            throw Error("read generation", reference.container, "its record is missing").as(Fault::corrupt);
        append_field(text, below->recipe_digest.hex());
    }
    for (const InstalledPackage& package : generation.packages) {
        const Manifest manifest = txn.manifest(package.manifest);
        append_field(text, package.name);
        append_field(text, package.version);
        append_field(text, manifest.archive_sha256 ? manifest.archive_sha256->hex() : "");
        append_field(text, fmt::format("{}", static_cast<unsigned>(package.reason)));
    }
    append_field(text, generation.policy.hex());
    return sha256_of(text);
}

Sha256 generation_digest(const Generation& generation, const Sha256& parent) {
    std::string text = "pwstore generation 1\n";
    append_field(text, generation.recipe_digest.hex());
    append_field(text, generation.tree_digest.hex());
    append_field(text, parent.hex());
    return sha256_of(text);
}

bool is_satisfied(const std::string& dependency,
                  const std::vector<std::pair<std::string, std::string>>& provided) {
    const size_t at = dependency.find_first_of("<>=");
    const std::string name = dependency.substr(0, at);
    if (at == std::string::npos) {
        return std::any_of(provided.begin(), provided.end(),
                           [&](const auto& item) { return item.first == name; });
    }
    const size_t end = dependency.find_first_not_of("<>=", at);
    const std::string relation = dependency.substr(at, end - at);
    const std::string version = end == std::string::npos ? "" : dependency.substr(end);
    return std::any_of(provided.begin(), provided.end(), [&](const auto& item) {
        if (item.first != name || item.second.empty()) return false;
        const int order = Session::compare_versions(item.second, version);
        if (relation == "=") return order == 0;
        if (relation == "<") return order < 0;
        if (relation == ">") return order > 0;
        if (relation == "<=") return order <= 0;
        return relation == ">=" && order >= 0;
    });
}

}  // namespace pwstore
