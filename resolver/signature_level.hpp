// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pwstore {

/// What is demanded of signatures of packages, or of databases.
struct SignatureDemand {
    bool check = true;       ///< look at signatures at all
    bool required = true;    ///< no signature is an error
    bool trust_all = false;  ///< keys of unknown trust are good enough
    bool operator==(const SignatureDemand&) const = default;
};

/// SigLevel of pacman.conf(5). A default-made one is "Required DatabaseOptional".
struct SignatureLevel {
    SignatureDemand packages = {};
    SignatureDemand databases = {.required = false};
    bool operator==(const SignatureLevel&) const = default;
};

/// Is `token` one of Never, Optional, Required, TrustedOnly, TrustAll, with or without Package or Database in
/// front?
[[nodiscard]] bool is_signature_token(std::string_view token) noexcept;

/// `tokens` applied in order over `base`. @throws Error (usage) for a word that is no token
[[nodiscard]] SignatureLevel apply_signature_tokens(SignatureLevel base,
                                                    const std::vector<std::string>& tokens);

}  // namespace pwstore
