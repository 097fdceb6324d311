// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>

namespace pwstore {

// Debian's versions as alpm's, in such a form that libalpm's comparison (vercmp(8)) orders any two of them as
// Debian's (deb-version(7)) orders the originals. As they are, one pair in ten would order differently: alpm
// knows no
// "~" that sorts before the end, no order between letters and other characters, and counts separators.
//
//     3.11.2-6+deb12u1  →  3.11.2e-6pdeb.12lu.1e          1.0~rc1  →  1.0alrc.1e-00e
//
// Numbers and dots between them stay. Anything else that follows a number is told by a letter,
//
//     a  "~"      e  the end      l  letters, which follow      p  "+"      r  "-"
//
// and a run of letters goes on to the next number, with a dot before that or before another "~". In a run, z
// is za, and zb zc zd ze are "+" "-" "." ":". After "~" come a (another), e (a number) or l (a run). A dot
// that is followed by a run is "..", a colon "...t", and a part that begins with a run begins with a dot. A
// number that is absent, which Debian takes for 0, is 00; numbers of several zeros get one more.

/// Epoch and all: "[epoch:]version-release". Versions that Debian holds for equal (1.0 and 1.0-0) compare as
/// equal.
[[nodiscard]] std::string alpm_version(std::string_view deb_version);

/// What alpm_version() was made from; a version that it did not make is returned as it is.
[[nodiscard]] std::string deb_version(std::string_view alpm_version);

/// alpm_version() made it.
[[nodiscard]] bool is_deb_version(std::string_view alpm_version);

/// A text for people with each version that alpm_version() made as Debian writes it ("foo>=1.0e-1e" →
/// "foo>=1.0-1", "foo-1.0e-1e-any.pkg.tar.zst" → "foo-1.0-1-any.pkg.tar.zst"). What has a slash is left as it
/// is.
[[nodiscard]] std::string with_deb_versions(std::string_view text);

/// <0, 0, >0 in the order of deb-version(7).
[[nodiscard]] int compare_deb_versions(std::string_view a, std::string_view b);

}  // namespace pwstore
