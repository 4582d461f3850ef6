#!/usr/bin/env bash
# Installs the Debian packages a section of packages.txt names that this machine lacks:
#
#     packaging/install-packages.sh build|test|bench
#
# Asks dpkg once and is done when nothing is missing. Otherwise uses apt-get as root or through sudo, from whatever
# sources the machine has. Debian starts and enables the services it installs; what came with these packages is
# neither running nor enabled afterwards.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
policy=/usr/sbin/policy-rc.d

packages_of() {  # SECTION: its packages and those of the sections it uses.
    local section=$1 line
    while read -r line; do
        case $line in
            'uses '*) packages_of "${line#uses }" ;;
            *) printf '%s\n' "$line" ;;
        esac
    done < <(awk -v want="[$section]" '/^[[:space:]]*(#|$)/ {next} /^\[/ {inside = ($0 == want); next} inside' \
        "$here/packages.txt")
}

installed() { dpkg-query -W -f='${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p' | sort -u; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
        apt-get -q -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 "$@"
}

# While packages are configured, invoke-rc.d asks this file whether it may start something: no.
forbid_starts() {
    if [ -e "$policy" ]; then
        as_root mv "$policy" "$policy.before-holdfast"
    fi
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
}

allow_starts() {
    as_root rm -f "$policy"
    if [ -e "$policy.before-holdfast" ]; then
        as_root mv "$policy.before-holdfast" "$policy"
    fi
}

# Every unit and init script of the packages that were not there before: stopped and disabled.
disable_new_services() {  # FILE with the packages that were there before.
    local unit units=() scripts=() path running=""
    while read -r path; do
        case $path in
            */systemd/system/*@.*) ;;
            */systemd/system/*.service | */systemd/system/*.socket | */systemd/system/*.timer) units+=("${path##*/}") ;;
            /etc/init.d/*) scripts+=("${path##*/}") ;;
        esac
    done < <(installed | comm -13 "$1" - | xargs -r dpkg -L 2>/dev/null | sort -u)
    if [ -d /run/systemd/system ]; then running=--now; fi
    for unit in "${units[@]}"; do
        if command -v systemctl >/dev/null; then
            as_root systemctl disable --quiet $running "$unit" >/dev/null 2>&1 || true
        fi
    done
    for unit in "${scripts[@]}"; do
        as_root update-rc.d "$unit" disable >/dev/null 2>&1 || true
    done
}

install_missing() {  # PACKAGE...
    local before status=0
    before=$(mktemp)
    installed >"$before"
    # shellcheck disable=SC2064  # The name is wanted as it is now.
    trap "allow_starts; disable_new_services '$before'; rm -f '$before'" EXIT
    forbid_starts
    # Lists that are absent or name versions since replaced: fetch them, once.
    if ! apt-cache show --no-all-versions "$@" >/dev/null 2>&1 ||
        ! apt_get install -y --no-install-recommends "$@"; then
        echo "packages: refreshing the package lists" >&2
        apt_get update
        apt_get install -y --no-install-recommends "$@" || status=$?
    fi
    if [ "$status" -ne 0 ]; then
        echo "packages: apt-get could not install: $*" >&2
        echo "packages: the machine's sources must offer Debian 12's packages; see the lines above" >&2
    fi
    return "$status"
}

main() {
    if [ $# -ne 1 ]; then
        echo "usage: $0 build|test|bench" >&2
        exit 2
    fi
    local wanted missing
    wanted=$(packages_of "$1" | sort -u)
    if [ -z "$wanted" ]; then
        echo "packages: no section [$1] in packages.txt" >&2
        exit 2
    fi
    mapfile -t missing < <(comm -13 <(installed) <(printf '%s\n' "$wanted"))
    if [ ${#missing[@]} -eq 0 ]; then exit 0; fi
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        echo "packages: missing: ${missing[*]}" >&2
        echo "packages: run as root once: apt-get install --no-install-recommends ${missing[*]}" >&2
        exit 1
    fi
    echo "packages: installing ${#missing[@]} for '$1': ${missing[*]}"
    install_missing "${missing[@]}"
}

main "$@"
