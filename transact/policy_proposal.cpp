// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/policy_proposal.hpp"

#include <fcntl.h>

#include "store/base/path_at.hpp"
#include "store/base/staged_file.hpp"

namespace pwstore {

namespace {

constexpr const char* kDirectory = "proposed";

std::string file_of(const ContainerName& name) {
    return name.str() + ".yml";
}
std::string path_of(const std::string& config_dir, const ContainerName& name) {
    return config_dir + "/" + kDirectory + "/" + file_of(name);
}

}  // namespace

ContainerConfig policy_of(ContainerConfig config) {
    config.type = ContainerType::base;
    config.dependencies.clear();
    config.explicit_packages.clear();
    config.meta_version = 0;
    return config;
}

std::optional<ContainerConfig> load_proposal(const std::string& config_dir, const ContainerName& name) {
    const std::string path = path_of(config_dir, name);
    const auto text = try_read_file(AT_FDCWD, path);
    if (!text) return std::nullopt;
    return ContainerConfig::parse(*text, path);
}

void save_proposal(const std::string& config_dir, const ContainerName& name, const ContainerConfig& policy) {
    make_directories(AT_FDCWD, config_dir + "/" + kDirectory, 0700);
    const Fd directory = open_dir(AT_FDCWD, config_dir + "/" + kDirectory);
    write_file_atomically(directory.get(), file_of(name), policy.to_yaml());
}

bool remove_proposal(const std::string& config_dir, const ContainerName& name) {
    return remove_file(AT_FDCWD, path_of(config_dir, name));
}

ContainerConfig with_policy(const ContainerConfig& config, const ContainerConfig& policy) {
    ContainerConfig result = policy;
    result.type = config.type;
    result.dependencies = config.dependencies;
    result.explicit_packages = config.explicit_packages;
    result.meta_version = config.meta_version;
    return result;
}

}  // namespace pwstore
