// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/staged_config.hpp"

#include <fcntl.h>

#include <algorithm>

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
                           const ContainerConfig& config) try
    : directory_(directory_of(config_dir + "/" + config_name(name))),
      file_(directory_.get(), file_name(name)) {
    file_.write(config.to_yaml());
} catch (Error& error) {
    error.within("save the configuration of '" + name.str() + "' below '" + printable(config_dir) + "'");
    throw;
}

}  // namespace pwstore
