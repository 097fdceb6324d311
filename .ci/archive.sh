# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash disable=SC2034
# What ./check --on and .ci/suite know of Debian's archive. Sourced after .ci/setup.sh.

PW_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
PW_SUITES=(bookworm trixie forky)

pw_check_suite() {
    local suite
    for suite in "${PW_SUITES[@]}"; do [ "$suite" != "$1" ] || return 0; done
    pw_die "there is no suite '$1' to work on" "there are: ${PW_SUITES[*]}"
}

# The archive that the host's apt takes its packages from.
pw_mirror() {
    local uri=${PWSTORE_MIRROR:-}
    # shellcheck disable=SC2016
    [ -n "$uri" ] || uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -v security | head -n 1)
    uri=${uri:-http://deb.debian.org/debian}
    printf '%s\n' "${uri%/}"
}
