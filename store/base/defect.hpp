// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "store/base/error.hpp"

namespace pwstore {

/// What is no Error: a mistake of ours, whatever library threw it, in words for a person.
class Defect : public std::exception {
 public:
    explicit Defect(std::string text) : text_(std::move(text)) {}
    /// "fault of pwstore while DOING: CAUSE"; a Defect stays what it is.
    static Defect of(const std::exception& problem, std::string_view doing) {
        if (const auto* known = dynamic_cast<const Defect*>(&problem)) return *known;
        return Defect("fault of pwstore while " + std::string(doing) + ": " + printable(problem.what()));
    }

    [[nodiscard]] const char* what() const noexcept override { return text_.c_str(); }
    [[nodiscard]] static const char* hint() noexcept {
        return "report it, with this line, the command and what 'pwstore version' prints";
    }

 private:
    std::string text_;
};

/// The Error for a lack of memory, which is nobody's mistake.
[[nodiscard]] inline Error out_of_memory(std::string_view doing) {
    return {doing, "", "there is not enough memory"};
}

}  // namespace pwstore
