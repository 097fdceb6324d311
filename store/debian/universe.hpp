// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store/debian/control.hpp"

namespace pwstore {

/// A set of Debian packages that are installed from together: says what their relations are in alpm's terms,
/// which know no alternatives. "a | b" becomes one name that every package of the set which is a or b
/// provides, unless there is only one such package. Add every package first, then ask for the dependencies of
/// all, then for what they provide.
class DebUniverse {
 public:
    /// @param fixed its alpm package exists already and can be given no further names
    void add(const DebControl& control, bool fixed = false);

    /// `depend=` of the alpm package. Groups that the package itself satisfies are dropped. A group that
    /// nothing satisfies keeps its first alternative and is added to `unsatisfied` ("neovim: libuv1").
    [[nodiscard]] std::vector<std::string> depends(const DebControl& control,
                                                   std::vector<std::string>& unsatisfied);
    /// `provides=`: its own, and the names that depends() has given to alternatives it is one of.
    [[nodiscard]] std::vector<std::string> provides(const DebControl& control) const;
    /// `conflict=`: Conflicts and Breaks but those with itself.
    [[nodiscard]] std::vector<std::string> conflicts(const DebControl& control) const;

    /// Names of the packages that satisfy `relation`, those of that name first.
    [[nodiscard]] std::vector<std::string> satisfying(const DebRelation& relation) const;

 private:
    struct Candidate {
        std::string package;
        std::string version;  ///< empty: provided without one
        bool is_itself = false;
    };
    struct Package {
        bool fixed = false;
        std::set<std::string> names_of_alternatives;
    };
    [[nodiscard]] std::string depend(const DebControl& control, const DebAlternatives& group,
                                     std::vector<std::string>& unsatisfied);

    std::unordered_map<std::string, std::vector<Candidate>> by_name_;
    std::unordered_map<std::string, Package> packages_;
};

/// Whether `version` is what `relation` asks for. One that is provided without a version (empty) satisfies
/// only what asks for none.
[[nodiscard]] bool satisfies(std::string_view version, const DebRelation& relation);

}  // namespace pwstore
