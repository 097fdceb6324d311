// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string>

namespace pwstore::cli {

/// Signatures of images, made and checked by ssh-keygen -Y (ssh-keygen(1)): everybody who has two hosts has
/// such a key, agents and hardware tokens work, and who is trusted is one text file.

inline constexpr const char* kSignatureNamespace = "pwstore-image";

/// @param key a private key, or a public one whose private half an agent has
/// @throws Error with what ssh-keygen said
[[nodiscard]] std::string sign(const std::string& text, const std::string& key);

/// Who of `allowed_signers` (ssh-keygen(1), "ALLOWED SIGNERS") made `signature` over `text`: his name there;
/// nullopt when that is nobody, or the file is not there.
/// @throws Error (corrupt) when somebody of them is claimed and the signature is wrong
[[nodiscard]] std::optional<std::string> signer_of(const std::string& text, const std::string& signature,
                                                   const std::string& allowed_signers);

}  // namespace pwstore::cli
