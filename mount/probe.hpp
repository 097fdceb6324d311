// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <vector>

#include "mount/script_sandbox.hpp"
#include "store/layout.hpp"

namespace pwstore {

/// One thing this machine can or cannot do, found by trying it.
struct Probe {
    std::string name;  ///< "user-namespaces", "overlay", "sandbox-program", "hard-links", "reflinks", …
    bool works = false;
    std::string detail;  ///< what was seen
    std::string effect;  ///< what pwstore does without it
    std::string remedy;  ///< the exact command or setting, empty if it works
};

/// Try everything (for `doctor`).
[[nodiscard]] std::vector<Probe> probe_all(const Layout& layout);

/// Overlay if a sandbox can mount one on the data directory, else private copies. Cached in the data
/// directory by boot id; PWSTORE_NO_OVERLAY=1 forces private copies. @throws Error (unsupported) with the
/// exact remedy when not even a user namespace can be made.
[[nodiscard]] ScriptMode script_mode(const Layout& layout);

}  // namespace pwstore
