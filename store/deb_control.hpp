// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace pwstore {

/// What a Debian binary package says of itself, as far as an alpm package can say it too.
struct DebControl {
    std::string name;
    std::string version;       ///< Debian's: [epoch:]upstream[-revision]
    std::string architecture;  ///< Debian's: "amd64", "all"
    std::string source;        ///< source package, = name when it says nothing
    std::string summary;       ///< first line of the description
    std::string maintainer;
    std::string homepage;
    bool essential = false;
    /// Depends and Pre-Depends: for each, the alternatives in order, names only (version, architecture and
    /// `:any` dropped).
    std::vector<std::vector<std::string>> depends;
    std::vector<std::string> provides;
    std::vector<std::string> conffiles;  ///< absolute, as the package lists them
};

/// The control file's paragraph. @throws Error (corrupt) without a name, version or architecture, or with one
/// that Debian's policy does not allow (they become parts of file names)
[[nodiscard]] DebControl parse_deb_control(std::string_view text, std::string_view path_for_errors);

/// The lines of `conffiles` that name a file the package has (not those to be removed on upgrade).
[[nodiscard]] std::vector<std::string> parse_deb_conffiles(std::string_view text);

/// A dependency field: groups of alternatives, names only.
[[nodiscard]] std::vector<std::vector<std::string>> parse_deb_relations(std::string_view field);

/// Debian's version as epoch:version-release. One to one: different versions stay different, but for those
/// that Debian calls equal (no revision and revision 0). Hyphens and colons of the upstream part, which alpm
/// does not allow, become "_" and "__".
[[nodiscard]] std::string alpm_version(std::string_view deb_version);

/// "amd64" → "x86_64", "all" → "any", … @throws Error (unsupported)
[[nodiscard]] std::string alpm_architecture(std::string_view deb_architecture);

/// Licenses named by a machine-readable copyright file for `Files: *`; {"custom"} for any other text.
[[nodiscard]] std::vector<std::string> licenses_of_copyright(std::string_view text);

/// Names that a set of packages can satisfy: their own and those they provide.
class DebNames {
 public:
    void add(const std::string& package, const std::vector<std::string>& provides);
    [[nodiscard]] bool has(const std::string& name) const {
        return packages_.count(name) + provided_.count(name) != 0;
    }

 private:
    std::set<std::string> packages_;
    std::set<std::string> provided_;
};

/// `depend=` of the alpm package: of each group the first alternative that `names` has, as apt would choose
/// among what is there. Groups that the package itself satisfies are dropped. A group that nothing satisfies
/// keeps its first alternative and is added to `unsatisfied` ("neovim: libuv1").
[[nodiscard]] std::vector<std::string> chosen_depends(const DebControl& control, const DebNames& names,
                                                      std::vector<std::string>& unsatisfied);

}  // namespace pwstore
