// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/foreign_image.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "store/base/error.hpp"
#include "transact/policy_proposal.hpp"

namespace pwstore {

namespace {

constexpr std::string_view kUsualPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";  // of nearly every image
/// What every sandbox says itself, as it is there.
constexpr std::array<std::string_view, 7> kOfTheSandbox{
    "HOME", "USER", "LOGNAME", "SHELL", "XDG_RUNTIME_DIR", "TERM", "container"};
/// Every sandbox has its own.
constexpr std::array<std::string_view, 3> kHidden{"run/", "tmp/", "var/tmp/"};

bool is_text(const std::string& text) {
    return text.find('\0') == std::string::npos;
}

/// Name and value, when it is one that can be taken over.
std::optional<std::pair<std::string, std::string>> variable_in(const std::string& text) {
    const size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == text.size() || !is_text(text))
        return std::nullopt;
    const std::string name = text.substr(0, equals);
    if (std::find(kOfTheSandbox.begin(), kOfTheSandbox.end(), name) != kOfTheSandbox.end())
        return std::nullopt;
    return std::pair(name, text.substr(equals + 1));
}

/// What a start without words runs.
std::vector<std::string> whole_command(const image::RunDescription& run) {
    std::vector<std::string> command = run.entrypoint;
    command.insert(command.end(), run.command.begin(), run.command.end());
    if (!std::all_of(command.begin(), command.end(), is_text)) command.clear();
    return command;
}

std::string count_of(uint64_t count, const char* one, const char* many) {
    return fmt::format("{} {}", count, count == 1 ? one : many);
}

/// Settings that a policy has no place for.
std::vector<std::string> settings_left_out(const image::RunDescription& run) {
    std::vector<std::string> names;
    for (const std::string& text : run.environment) {
        if (text != kUsualPath && !variable_in(text))
            names.push_back("Env " + printable(text.substr(0, text.find('='))));
    }
    if (!run.entrypoint.empty()) names.emplace_back("Entrypoint (it begins the command)");
    if (!run.user.empty()) names.push_back("User " + printable(run.user));
    names.insert(names.end(), run.others.begin(), run.others.end());
    return names;
}

}  // namespace

std::optional<ContainerConfig> policy_from(const image::RunDescription& run) {
    ContainerConfig policy = policy_of(ContainerConfig{});
    PermissionModule env{.module = "env"};
    for (const std::string& text : run.environment) {
        if (const auto variable = variable_in(text); variable && text != kUsualPath)
            env.variables.emplace_back(variable->first, variable->second);
    }
    if (!env.variables.empty()) policy.permissions = {std::move(env)};
    policy.command = whole_command(run);
    if (run.working_directory.starts_with('/') && run.working_directory != "/" &&
        is_text(run.working_directory))
        policy.working_directory = run.working_directory;
    if (policy == policy_of(ContainerConfig{})) return std::nullopt;
    return policy;
}

image::RunDescription run_description(const ContainerConfig& policy) {
    image::RunDescription run;
    for (const PermissionModule& module : policy.permissions) {
        for (const auto& [name, value] : module.variables) {
            if (value) run.environment.push_back(name + "=" + *value);
        }
    }
    run.command = policy.command;
    run.working_directory = policy.working_directory;
    return run;
}

std::vector<std::string> notes_on(const image::RunDescription& run, const image::LeftOut& left_out,
                                  const Delta& files) {
    std::vector<std::string> notes;
    if (left_out.devices != 0)
        notes.push_back("left out: " + count_of(left_out.devices, "device file", "device files"));
    if (left_out.overlay_attributes != 0)
        notes.push_back("left out: " + count_of(left_out.overlay_attributes, "attribute", "attributes") +
                        " that an overlay would obey");
    if (const auto names = settings_left_out(run); !names.empty())
        notes.push_back(fmt::format("not taken over: {}", fmt::join(names, ", ")));
    for (const std::string_view place : kHidden) {
        const auto count =
            std::count_if(files.entries.begin(), files.entries.end(), [&](const DeltaEntry& one) {
                return one.entry.path.starts_with(place) && one.entry.kind != EntryKind::directory;
            });
        if (count != 0)
            notes.push_back(fmt::format("hidden when it runs: {} in /{}, where every sandbox has its own",
                                        count_of(static_cast<uint64_t>(count), "file", "files"),
                                        place.substr(0, place.size() - 1)));
    }
    return notes;
}

std::string platform_warning(const image::Platform& platform) {
    const image::Platform machine = image::this_machine();
    if (image::fit_of(platform, machine) != image::Fit::none) return "";
    return fmt::format(
        "the image is for {}, this machine is {}: its programs do not run here without an emulator",
        platform.text(), machine.text());
}

}  // namespace pwstore
