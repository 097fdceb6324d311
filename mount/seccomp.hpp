// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

namespace pwstore {

/// Which rule sets a filter has beside the standard one. docs/security.md lists the calls of each.
struct SeccompPolicy {
    bool user_namespaces = false;  ///< leave out the namespace rules (`enable_userns`)
    bool root_emulation = false;   ///< answer success to ownership and identity changes and to device nodes
};

/// The classic BPF program of `policy` for this machine's architecture (x86_64: its 32-bit calls too), as the
/// kernel takes it. @throws Error (unsupported)
[[nodiscard]] std::string compile_seccomp(const SeccompPolicy& policy);

}  // namespace pwstore
