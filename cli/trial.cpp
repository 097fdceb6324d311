// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <random>

#include "cli/backend.hpp"

namespace pwstore::cli {

std::string new_trial_name() {
    return fmt::format("try-{:08x}", std::random_device{}());
}

bool is_trial_name(const std::string& name) {
    return name.size() == 12 && name.compare(0, 4, "try-") == 0 &&
           name.find_first_not_of("0123456789abcdef", 4) == std::string::npos;
}

}  // namespace pwstore::cli
