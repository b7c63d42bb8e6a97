# Installing Debian packages; sourced by lab.sh, quickstart.sh.
# shellcheck shell=bash

# packages_install COMMAND_OR_FILE:PACKAGE...: installs the packages whose command or file is missing, and says so.
packages_install() {
    local pair probe missing=()
    for pair in "$@"; do
        probe=${pair%%:*}
        if [[ $probe == /* ]]; then
            [ -e "$probe" ] || missing+=("${pair##*:}")
        else
            PATH=$PATH:/usr/sbin:/sbin command -v "$probe" >/dev/null || missing+=("${pair##*:}")
        fi
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "installing: ${missing[*]}" >&2
    packages_apt_install "${missing[@]}"
}

packages_apt_install() {
    local log
    command -v apt-get >/dev/null || {
        echo "these Debian packages are missing and apt-get is not there to install them: $*" >&2
        return 1
    }
    [ "$(id -u)" = 0 ] || {
        echo "these packages are missing, and installing them needs root: apt-get install $*" >&2
        return 1
    }
    log=$(mktemp)
    packages_forbid_services
    if packages_apt update >"$log" 2>&1 && packages_apt install -y --no-install-recommends "$@" >>"$log" 2>&1; then
        packages_allow_services
        rm -f "$log"
    else
        packages_allow_services
        cat "$log" >&2
        rm -f "$log"
        echo "apt-get could not install: $*" >&2
        return 1
    fi
}

packages_apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@"
}

# Debian starts a service as soon as it is installed. We want nginx's program, not a web server on port 80.
packages_forbid_services() {
    packages_policy=
    [ -e /usr/sbin/policy-rc.d ] && return 0
    packages_policy=/usr/sbin/policy-rc.d
    printf '#!/bin/sh\nexit 101\n' >"$packages_policy"
    chmod 0755 "$packages_policy"
}

packages_allow_services() {
    [ -z "$packages_policy" ] || rm -f "$packages_policy"
}
