// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/deb_source.hpp"
#include "store/digest.hpp"

namespace pwstore {

/// One name of a relationship field: deb-control(5), "libc6 (>= 2.36)".
struct DebRelation {
    std::string name;
    std::string relation;  ///< "<<", "<=", "=", ">=", ">>", empty = any version
    std::string version;   ///< Debian's, empty when `relation` is
    bool operator==(const DebRelation&) const = default;
};
/// Any of them will do; the first is preferred.
using DebAlternatives = std::vector<DebRelation>;

/// What a Debian binary package says of itself, as far as an alpm package can say it too.
struct DebControl {
    std::string name;
    std::string version;       ///< Debian's: [epoch:]upstream[-revision]
    std::string architecture;  ///< Debian's: "amd64", "all"
    std::string source;        ///< source package, = name when it says nothing
    std::string summary;       ///< first line of the description
    std::string maintainer;
    std::string homepage;
    std::string section;
    std::string priority;
    uint64_t installed_size = 0;  ///< bytes, 0 when it says nothing
    bool essential = false;
    bool multi_arch_same = false;          ///< dpkg then names its records NAME:ARCHITECTURE
    std::vector<DebAlternatives> depends;  ///< Pre-Depends and Depends
    std::vector<DebRelation> provides;
    std::vector<DebRelation> conflicts;  ///< Conflicts and Breaks
    std::vector<DebRelation> replaces;   ///< whose files it may take over
    std::vector<std::string> conffiles;  ///< absolute, as the package lists them; not in the control file
};

/// The first paragraph of a control file or of a Packages index. @throws Error (corrupt) without a name,
/// version or architecture, or with one that dpkg does not take (they become parts of file names)
[[nodiscard]] DebControl parse_deb_control(std::string_view text, std::string_view path_for_errors);

/// A package of a Packages index: what it is and which file it is.
struct DebIndexEntry {
    DebControl control;
    std::string path;  ///< of the .deb below the server: "pool/main/…"
    uint64_t size = 0;
    Sha256 sha256;
};
/// One paragraph of a Packages index. @throws Error (corrupt) as parse_deb_control(), and without path, size
/// or SHA-256 digest
[[nodiscard]] DebIndexEntry parse_deb_index_entry(std::string_view text, std::string_view path_for_errors);

/// The lines of `conffiles` that name a file the package has (not those to be removed on upgrade).
[[nodiscard]] std::vector<std::string> parse_deb_conffiles(std::string_view text);

/// A relationship field. `:any` and the architecture of the machine are dropped; alternatives of other
/// architectures are left out, and so is what cannot be read.
[[nodiscard]] std::vector<DebAlternatives> parse_deb_relations(std::string_view field);

/// "libc6 (>= 2.36)" → "libc6>=2.36e-00e"
[[nodiscard]] std::string alpm_relation(const DebRelation& relation);

/// The name that stands for "any of these" in an alpm package, which knows no alternatives: every package
/// that is one of them provides it. "vim | vi (>= 2)" → "vim|vi(ge2)"
[[nodiscard]] std::string alternatives_name(const DebAlternatives& alternatives);
/// What alternatives_name() was made from; empty for a name that it did not make.
[[nodiscard]] DebAlternatives alternatives_of_name(std::string_view name);

/// "amd64" → "x86_64", "all" → "any", … @throws Error (unsupported)
[[nodiscard]] std::string alpm_architecture(std::string_view deb_architecture);

/// Licenses named by a machine-readable copyright file for `Files: *`; {"custom"} for any other text.
[[nodiscard]] std::vector<std::string> licenses_of_copyright(std::string_view text);

}  // namespace pwstore
