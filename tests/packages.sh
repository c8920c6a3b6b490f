# shellcheck shell=bash
# Sourced by tests that need Debian packages: `need_packages NAME…` installs the missing ones as root and starts none of
# their services, since tests start their own servers on their own ports.

is_installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

missing_packages() {
    local package
    for package in "$@"; do
        is_installed "$package" || echo "$package"
    done
}

apt_get() { DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"; }

need_packages() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]})) || return 0
    echo "installing: ${missing[*]}" >&2
    if ((EUID != 0)); then
        echo "must run as root to install packages" >&2
        return 2
    fi
    apt_get update
    # In a subshell, so that the trap is limited to it. --no-remove: fail rather than remove packages of the host.
    (hold_services && apt_get install --no-remove --no-install-recommends "${missing[@]}")
}

policy=/usr/sbin/policy-rc.d

# Prevents the start of services until the shell exits. A run that was killed may have left its own policy file behind,
# with a backup of the original.
hold_services() {
    if [[ -e $policy && ! -e $policy.before-tests ]]; then mv "$policy" "$policy.before-tests"; fi
    trap release_services EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

release_services() {
    rm -f "$policy"
    if [[ -e $policy.before-tests ]]; then mv "$policy.before-tests" "$policy"; fi
}
