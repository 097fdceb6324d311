// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <vector>

#include "store/base/events.hpp"

namespace pwstore {

/// The keyrings of distributions that this host has: NAME.gpg of pacman's directory and Debian's package
/// archlinux-keyring. Beside each may lie NAME-trusted ("FINGERPRINT:4:" of the keys that vouch for others)
/// and NAME-revoked (fingerprints).
[[nodiscard]] std::vector<std::string> host_keyrings();

/// Make `gnupg_dir` a keyring that trusts what `keyrings` say, as pacman-key --init and --populate do: their
/// keys are imported, those that vouch for others are signed by a key made for this directory alone, revoked
/// ones are disabled. Done anew when one of `keyrings` changed; keys that the user added stay. Returns
/// whether anything was done. Lock: a file in `gnupg_dir`. A crash leaves a keyring that the next call
/// completes.
/// @throws Error with what gpg said
bool ensure_keyring(const std::string& gnupg_dir, const std::vector<std::string>& keyrings,
                    ProgressSink& sink);

}  // namespace pwstore
