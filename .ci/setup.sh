# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash disable=SC2034
# What ./demo, ./check and bench/peers share: packages, the unprivileged user, a line and a time per step.
# Sourced; the caller has set -euo pipefail and PW_TOP, the checkout.

PW_SELF=$(basename "$0")
PW_STARTED=$SECONDS
PW_DIRECTORIES=(store resolver mount transact cli bench tests)

# --- Saying what happens --------------------------------------------------------------------------------------

pw_say() { printf '%s\n' "$*"; }

pw_die() {
    printf '%s: error: %s\n' "$PW_SELF" "$1" >&2
    shift
    [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
    exit 1
}

# pw_step NAME COMMAND…: run it quietly, print one line with its time; its output is shown when it fails.
# Never in a condition (if, ||, &&): a function that it runs would not stop at its first failure then.
pw_step() {
    local name=$1 from log status
    shift
    log="$PW_LOGS/$(printf '%s' "$name" | tr -c 'A-Za-z0-9\n' '-').log"
    from=$(date +%s%N)
    set +e
    (
        set -e
        "$@"
    ) >"$log" 2>&1 </dev/null
    status=$?
    set -e
    if [ "$status" -ne 0 ]; then
        printf 'FAILED  %-52s %s\n' "$name" "$(pw_seconds_since "$from")"
        tail -n 80 "$log"
        pw_die "$name failed with $status" "the whole output: $log"
    fi
    printf 'ok      %-52s %s\n' "$name" "$(pw_seconds_since "$from")"
}

pw_seconds_since() {
    local tenths=$((($(date +%s%N) - $1) / 100000000))
    printf '%d.%d s' $((tenths / 10)) $((tenths % 10))
}

# --- Packages of the distribution ------------------------------------------------------------------------------

pw_column() { if pw_is_arch; then echo 3; else echo 2; fi; }
pw_is_arch() { ! command -v apt-get >/dev/null && command -v pacman >/dev/null; }

# pw_packages SET…: names of the distribution's packages.
pw_packages() {
    local set
    for set in "$@"; do
        awk -v set="$set" -v column="$(pw_column)" '$1 == set { print $column }' "$PW_TOP/.ci/packages"
    done | sort -u
}

pw_is_installed() {
    if pw_is_arch; then
        pacman -Qq "$1" >/dev/null 2>&1
    else
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
    fi
}

# pw_as_root COMMAND…: through sudo when needed.
pw_as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        sudo "$@"
    else
        pw_die "packages are missing and root is needed to install them" "run: $*"
    fi
}

pw_install_commands() {
    if pw_is_arch; then
        pw_as_root pacman -S --needed --noconfirm "$@"
        return
    fi
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@")
    if [ -z "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -print -quit 2>/dev/null)" ]; then
        pw_as_root apt-get update -qq
        pw_as_root "${install[@]}"
    else
        pw_as_root "${install[@]}" || { pw_as_root apt-get update -qq && pw_as_root "${install[@]}"; }
    fi
}

# pw_require SET…: install what these sets name and the machine lacks.
pw_require() {
    local name missing=() from
    command -v apt-get >/dev/null || command -v pacman >/dev/null || pw_die "neither apt nor pacman is here" "install what .ci/packages names by hand"
    while read -r name; do
        pw_is_installed "$name" || missing+=("$name")
    done < <(pw_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    from=$(date +%s%N)
    pw_say "installing: ${missing[*]}"
    if [ -t 0 ]; then pw_install_commands "${missing[@]}"; else pw_install_commands "${missing[@]}" </dev/null; fi >"$PW_LOGS/install.log" 2>&1 || {
        tail -n 40 "$PW_LOGS/install.log"
        pw_die "the packages could not be installed"
    }
    printf 'ok      %-52s %s\n' "packages installed" "$(pw_seconds_since "$from")"
}

# --- The unprivileged user -------------------------------------------------------------------------------------
# Root does not run what is built here. Its work is done by $SUDO_UID where that user can use the checkout, otherwise by a number that
# no account has, in a throw-away directory: a copy of the checkout, and a home.

PW_FIRST_UID=59100

pw_number_without_account() {
    local uid=$PW_FIRST_UID
    while getent passwd "$uid" >/dev/null || getent group "$uid" >/dev/null; do uid=$((uid + 1)); done
    echo "$uid"
}

# Settles PW_UID, PW_GID, PW_WORK (where the work is done) and PW_HOME (empty: the user's own).
pw_choose_user() {
    PW_UID=$(id -u) PW_GID=$(id -g) PW_WORK=$PW_TOP PW_HOME=${HOME-} PW_AWAY=''
    if [ "$PW_UID" -ne 0 ]; then
        [ -w "$PW_TOP" ] || pw_work_away
        return 0
    fi
    if [ "${SUDO_UID:-0}" -ne 0 ] && pw_can_use "$SUDO_UID" "${SUDO_GID:-$SUDO_UID}"; then
        PW_UID=$SUDO_UID PW_GID=${SUDO_GID:-$SUDO_UID}
        PW_HOME=$(getent passwd "$PW_UID" | cut -d: -f6)
        return 0
    fi
    PW_UID=$(pw_number_without_account)
    PW_GID=$PW_UID
    pw_work_away
    PW_HOME=$PW_AWAY/home
}

pw_work_away() {
    PW_AWAY=${TMPDIR:-/var/tmp}/pwstore-$PW_UID-$(printf '%s' "$PW_TOP" | cksum | cut -d' ' -f1)
    PW_WORK=$PW_AWAY/checkout
}

pw_can_use() {
    setpriv --reuid "$1" --regid "$2" --clear-groups test -r "$PW_TOP/CMakeLists.txt" -a -w "$PW_TOP" 2>/dev/null
}

# Settles PW_LOGS: build/logs for those who work in the checkout, else a directory that is gone at the end.
pw_open_logs() {
    if [ "$(id -u)" -ne 0 ] && [ "$PW_WORK" = "$PW_TOP" ]; then
        PW_LOGS=$PW_TOP/build/logs
        mkdir -p "$PW_LOGS"
    else
        PW_LOGS=$(mktemp -d)
        trap 'rm -rf -- "$PW_LOGS"' EXIT
    fi
}

# Files of the checkout, one per line and zero-terminated: what git has or would take, else everything but build/.
pw_checkout_files() {
    if git -c safe.directory='*' -C "$PW_TOP" rev-parse --git-dir >/dev/null 2>&1; then
        git -c safe.directory='*' -C "$PW_TOP" ls-files -co --exclude-standard -z | while IFS= read -r -d '' file; do
            [ ! -e "$PW_TOP/$file" ] || printf '%s\0' "$file"
        done
    else
        (cd "$PW_TOP" && find . -path ./build -prune -o -path ./.git -prune -o -type f -print0)
    fi | sort -z
}

# Bring the throw-away copy up to date, as its user: what did not change keeps its time, what is gone goes.
pw_copy_checkout() {
    [ -n "$PW_AWAY" ] || return 0
    if ! mkdir -m 0700 "$PW_AWAY" 2>/dev/null; then
        if [ -L "$PW_AWAY" ] || [ "$(stat -c '%u %a' "$PW_AWAY")" != "$PW_UID 700" ]; then
            pw_die "$PW_AWAY is there and is not what an earlier run left" "remove it"
        fi
    fi
    chown "$PW_UID:$PW_GID" "$PW_AWAY"
    pw_as_user mkdir -p "$PW_WORK" "$PW_HOME" "$PW_AWAY/tmp"
    pw_checkout_files >"$PW_LOGS/files"
    if pw_as_user test -f "$PW_AWAY/files"; then
        pw_as_user cat "$PW_AWAY/files" | sort -z | comm -z -23 - "$PW_LOGS/files" | (cd "$PW_WORK" && pw_as_user xargs -0 -r rm -f --)
    fi
    tar -C "$PW_TOP" --null -T "$PW_LOGS/files" -c | pw_as_user tar -C "$PW_WORK" --no-same-owner --warning=none -x
    pw_as_user tee "$PW_AWAY/files" <"$PW_LOGS/files" >/dev/null
    pw_say "working as uid $PW_UID in $PW_AWAY"
}

# Remove the throw-away directory, with the powers of its user only.
pw_remove_away() {
    if [ -z "$PW_AWAY" ] || [ ! -d "$PW_AWAY" ] || [ -L "$PW_AWAY" ]; then return 0; fi
    cd /
    pw_as_user chmod -R u+rwX "$PW_AWAY"
    pw_as_user find "$PW_AWAY" -mindepth 1 -delete
    rmdir "$PW_AWAY"
    pw_say "removed $PW_AWAY"
}

# pw_as_user COMMAND…: as the unprivileged user, in an environment that knows nothing of root's.
pw_as_user() {
    if [ "$(id -u)" -ne 0 ]; then
        "$@"
        return
    fi
    setpriv --reuid "$PW_UID" --regid "$PW_GID" --clear-groups --inh-caps=-all \
        env -u SUDO_UID -u SUDO_GID -u SUDO_USER -u SUDO_COMMAND -u XDG_RUNTIME_DIR -u XDG_CONFIG_HOME -u XDG_DATA_HOME \
        -u XDG_CACHE_HOME -u DBUS_SESSION_BUS_ADDRESS HOME="$PW_HOME" TMPDIR="${PW_AWAY:-/var}/tmp" \
        USER="uid$PW_UID" LOGNAME="uid$PW_UID" "$@"
}

# --- Building --------------------------------------------------------------------------------------------------

# pw_build PRESET [CMAKE-OPTION…] [-- TARGET…]
pw_build() {
    local preset=$1 options=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    [ $# -eq 0 ] || shift
    cmake -S "$PW_TOP" --preset "$preset" "${options[@]}"
    cmake --build "$PW_TOP/build/$preset" ${1:+--target} "$@"
}
