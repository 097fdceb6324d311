// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cerrno>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace pwstore {

/// What kind of failure an Error is; `cli/` maps it to the documented exit code.
enum class Fault {
    failure,      ///< the work could not be done
    usage,        ///< the request makes no sense
    busy,         ///< a lock was not free in time
    corrupt,      ///< stored or received data is not what it says
    refused,      ///< the request would break a rule that keeps the store safe
    unsupported,  ///< this kernel, file system or program lacks what is needed
    interrupted,  ///< a signal or the user ended the work
};

/// The one exception of pwstore: the step, the path it was about, the cause, and a hint when the user can
/// act. It cannot be made without a step and a cause. Text: "STEP 'PATH': CAUSE".
class Error : public std::exception {
 public:
    /// @param step what was being done, as a verb phrase ("link", "read manifest")
    /// @param path what it was done to; may be empty
    /// @param cause why it failed
    Error(std::string_view step, std::string_view path, std::string_view cause);

    /// The cause is the text of `error_number`; pass errno itself, before anything else can change it.
    static Error from_errno(std::string_view step, std::string_view path, int error_number = errno);

    /// Put the wider step before the text: "install 'mesa' into 'steam': link 'usr/lib/x': No space left on
    /// device".
    Error& within(std::string_view wider_step);
    Error& with_hint(std::string_view hint);
    Error& as(Fault fault);

    [[nodiscard]] const char* what() const noexcept override { return text_.c_str(); }
    [[nodiscard]] const std::string& hint() const noexcept { return hint_; }
    [[nodiscard]] Fault fault() const noexcept { return fault_; }
    /// The errno this error was made from, 0 if none.
    [[nodiscard]] int error_number() const noexcept { return error_number_; }

 private:
    std::string text_;
    std::string hint_;
    Fault fault_ = Fault::failure;
    int error_number_ = 0;
};

/// Run `act`; an Error that leaves it carries `wider_step` in front.
template <typename Act>
decltype(auto) in_step(std::string_view wider_step, Act&& act) {
    try {
        return std::forward<Act>(act)();
    } catch (Error& error) {
        error.within(wider_step);
        throw;
    }
}

/// `text` with every byte that is not printable ASCII or valid UTF-8 escaped as \xNN: safe for a terminal.
std::string printable(std::string_view text);

}  // namespace pwstore
