// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "resolver/alpm_compat.hpp"
#include "resolver/conversation_internal.hpp"
#include "resolver/session.hpp"
#include "resolver/xfer_command.hpp"

namespace pwstore {

/// Downloads in libalpm's place: by XferCommand, or by SessionSpec::fetcher where libalpm cannot do it
/// itself.
class Transfers {
 public:
    Transfers(const SessionSpec& spec, Conversation& conversation);
    Transfers(const Transfers&) = delete;
    Transfers& operator=(const Transfers&) = delete;

    /// From now on `handle` has its files fetched here, if anything is to be fetched here at all.
    void attach(alpm_handle_t* handle);
    /// Where libalpm does not ask for signatures: whether each file is to have one.
    void require_signatures(bool required) noexcept { requires_signatures_ = required; }
    /// What libalpm's error means: it takes all that is fetched here for the work of another program.
    [[nodiscard]] alpm_errno_t meant(alpm_errno_t code) const noexcept;
    /// Say why the signature that ended libalpm's call did not come; nothing when none did.
    void tell_missing_signature();
    /// The archives of `urls` in the first cache directory that is writable, with what `level` wants to have
    /// beside them. nullopt: libalpm is to do it. @throws Error
    [[nodiscard]] std::optional<std::vector<std::string>> archives(const std::vector<std::string>& urls,
                                                                   int level);

 private:
    int called(const std::string& url, const std::string& told, bool anew) noexcept;
    bool by_command(const std::string& url, const std::string& directory, bool anew);
    void by_fetcher(const std::string& url, const std::string& directory, bool anew);
    [[nodiscard]] uint64_t limit_of(const std::string& name) const;
    void failed(const std::string& url, const std::string& cause);

    const SessionSpec& spec_;
    Conversation& conversation_;
    std::optional<XferCommand> command_;
    Fetcher fetcher_;
    alpm_handle_t* handle_ = nullptr;
    bool requires_signatures_ = false;
    std::string missing_signature_;
};

}  // namespace pwstore
