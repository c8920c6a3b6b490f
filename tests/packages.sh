# shellcheck shell=bash
# Sourced by tests that need Debian's packages: `need_packages NAME…` installs those that are missing, as root. None of
# them starts a service: tests start their own, on ports of their own.

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
        echo "only root can install" >&2
        return 2
    fi
    apt_get update
    # In a shell of its own, so that its trap is nobody else's. --no-remove: rather fail than throw out what a machine
    # lives on.
    (hold_services && apt_get install --no-remove --no-install-recommends "${missing[@]}")
}

policy=/usr/sbin/policy-rc.d

# Until the shell ends. A run that was killed here may have left ours in place, beside what was there before.
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
