// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/recorded_config.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

std::string what_it_is(ContainerType type, const std::vector<std::string>& dependencies) {
    if (dependencies.empty()) return std::string(type_name(type));
    return fmt::format("{} on {}", type_name(type), fmt::join(dependencies, ", "));
}

}  // namespace

ContainerConfig recorded_config(const std::string& config_dir, const ContainerName& name,
                                const ContainerRow& row, ProgressSink& sink) {
    const auto found = load_config(config_dir, name);
    const ContainerConfig nothing;
    ContainerConfig config = found.value_or(nothing);
    if (!found || config == nothing) {
        config.type = row.type;
        config.dependencies = row.dependencies;
        sink.message(Severity::warning,
                     fmt::format("{}/{} is {}: '{}' has the permissions of a new container", config_dir,
                                 config_name(name), found ? "empty" : "missing", name.str()));
    } else if (config.type != row.type || config.dependencies != row.dependencies) {
        sink.message(
            Severity::warning,
            fmt::format("{}/{} says '{}', but '{}' is '{}': no command changes that, and the file has no "
                        "say in it",
                        config_dir, config_name(name), what_it_is(config.type, config.dependencies),
                        name.str(), what_it_is(row.type, row.dependencies)));
    }
    return config;
}

std::string keep_configuration(const std::string& config_dir, const ContainerName& name) {
    const std::string path = config_dir + "/" + config_name(name);
    if (!exists_at(AT_FDCWD, path)) return {};
    for (unsigned number = 1;; ++number) {
        const std::string kept = number == 1 ? path + ".kept" : fmt::format("{}.kept.{}", path, number);
        if (::linkat(AT_FDCWD, path.c_str(), AT_FDCWD, kept.c_str(), 0) == 0) return kept;
        if (errno != EEXIST) throw Error::from_errno("keep configuration", path);
    }
}

}  // namespace pwstore
