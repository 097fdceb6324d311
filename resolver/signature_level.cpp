// SPDX-License-Identifier: GPL-3.0-or-later
#include "resolver/signature_level.hpp"

#include "store/base/error.hpp"

namespace pwstore {

namespace {

struct Token {
    bool packages = true;
    bool databases = true;
    std::string_view word;
};

Token split_token(std::string_view token) {
    constexpr std::string_view kPackage = "Package";
    constexpr std::string_view kDatabase = "Database";
    if (token.substr(0, kPackage.size()) == kPackage) {
        return {.databases = false, .word = token.substr(kPackage.size())};
    }
    if (token.substr(0, kDatabase.size()) == kDatabase) {
        return {.packages = false, .word = token.substr(kDatabase.size())};
    }
    return {.word = token};
}

/// Returns whether `word` is known.
bool change_demand(SignatureDemand& demand, std::string_view word) {
    if (word == "Never") {
        demand.check = false;
    } else if (word == "Optional") {
        demand.check = true;
        demand.required = false;
    } else if (word == "Required") {
        demand.check = true;
        demand.required = true;
    } else if (word == "TrustedOnly") {
        demand.trust_all = false;
    } else if (word == "TrustAll") {
        demand.trust_all = true;
    } else {
        return false;
    }
    return true;
}

}  // namespace

bool is_signature_token(std::string_view token) noexcept {
    SignatureDemand ignored;
    return change_demand(ignored, split_token(token).word);
}

SignatureLevel apply_signature_tokens(SignatureLevel base, const std::vector<std::string>& tokens) {
    for (const std::string& text : tokens) {
        const Token token = split_token(text);
        bool known = true;
        if (token.packages) known = change_demand(base.packages, token.word);
        if (token.databases) known = change_demand(base.databases, token.word) && known;
        if (!known) {
            throw Error("read signature level", text, "this is not a word of SigLevel")
                .with_hint(
                    "known are Never, Optional, Required, TrustedOnly and TrustAll, each also with "
                    "Package or Database in front")
                .as(Fault::usage);
        }
    }
    return base;
}

}  // namespace pwstore
