// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/log.hpp"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include <filesystem>

#include "cli/render.hpp"

namespace pwstore::cli {

void write_log(const std::string& path, const std::string& line) noexcept {
    try {
        if (!std::filesystem::is_directory(std::filesystem::path(path).parent_path())) return;
        spdlog::logger logger("pwstore", std::make_shared<spdlog::sinks::basic_file_sink_st>(path));
        logger.set_pattern("[%Y-%m-%dT%H:%M:%S%z] [%l] %v");
        logger.info("{}", shown(line));
        logger.flush();
    } catch (const std::exception&) {
        return;
    }
}

}  // namespace pwstore::cli
