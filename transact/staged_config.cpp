// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/staged_config.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

Fd directory_of(const std::string& file) {
    const std::string directory(split_path(file).first);
    make_directories(AT_FDCWD, std::string(split_path(directory).first), 0700);
    make_directories(AT_FDCWD, directory, 0700);
    return open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
}

constexpr std::string_view kStaged = ".staged";

std::string file_name(const ContainerName& name) {
    return std::string(split_path(config_name(name)).second);
}

}  // namespace

std::vector<std::string> explicit_packages(const Generation& generation) {
    std::vector<std::string> names;
    for (const InstalledPackage& package : generation.packages) {
        if (package.reason == InstallReason::explicitly) names.push_back(package.name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

StagedConfig::StagedConfig(const std::string& config_dir, const ContainerName& name,
                           const ContainerConfig& config, uint64_t generation) try
    : directory_(directory_of(config_dir + "/" + config_name(name))),
      name_(file_name(name)),
      staged_(fmt::format(".{}.{}{}", name_, generation, kStaged)) {
    const Fd file = open_at(directory_.get(), staged_, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644);
    write_all(file.get(), config.to_yaml(), staged_);
    sync_fd(file.get(), staged_);
    sync_fd(directory_.get(), config_dir);
} catch (Error& error) {
    error.within("save the configuration of '" + name.str() + "' below '" + printable(config_dir) + "'");
    throw;
}

StagedConfig::~StagedConfig() {
    if (!staged_.empty()) (void)::unlinkat(directory_.get(), staged_.c_str(), 0);
}

void StagedConfig::publish() {
    rename_at(directory_.get(), staged_, directory_.get(), name_);
    staged_.clear();
    sync_fd(directory_.get(), name_);
}

std::vector<std::string> unsettled_configurations(const std::string& config_dir) {
    std::vector<std::string> names;
    const auto directory = try_open_at(AT_FDCWD, config_dir + "/container", O_RDONLY | O_DIRECTORY);
    if (!directory) return names;
    for (const DirectoryItem& item : list_directory(directory->get())) {
        if (!item.name.starts_with('.') || !item.name.ends_with(kStaged)) continue;
        const std::string name = item.name.substr(1, item.name.rfind(".yml.") - 1);
        if (is_container_name(name)) names.push_back(name);
    }
    return names;
}

void settle_configuration(const std::string& config_dir, const ContainerName& name, uint64_t current) {
    const std::string path = config_dir + "/" + config_name(name);
    const auto directory = try_open_at(AT_FDCWD, std::string(split_path(path).first), O_RDONLY | O_DIRECTORY);
    if (!directory) return;
    const std::string prefix = fmt::format(".{}.", file_name(name));
    const std::string done = fmt::format("{}{}{}", prefix, current, kStaged);
    for (const DirectoryItem& item : list_directory(directory->get())) {
        if (!item.name.starts_with(prefix) || !item.name.ends_with(kStaged)) continue;
        if (item.name == done) {
            rename_at(directory->get(), item.name, directory->get(), file_name(name));
        } else {
            (void)remove_file(directory->get(), item.name);
        }
    }
}

}  // namespace pwstore
