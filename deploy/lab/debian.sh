# What a bare Debian lacks; sourced by lab.sh, quickstart.sh.
# shellcheck shell=bash

# debian_proc SCRIPT ARGUMENT...: a fresh chroot often has no /proc, which bash and User-Mode Linux need. Runs SCRIPT
# again with one, and takes it away afterwards. (A mount namespace would be cleaner; a plain chroot cannot have one.)
debian_proc() {
    [ ! -e /proc/self ] || return 0
    mount -t proc proc /proc || {
        echo "there is no /proc here, and it cannot be mounted (mount -t proc proc /proc)" >&2
        exit 1
    }
    trap 'umount --lazy /proc' EXIT
    trap : INT
    local code=0
    "$@" || code=$?
    exit "$code"
}

# packages_missing WANTED...: prints the packages that are missing. Each WANTED is PACKAGE, or COMMAND:PACKAGE or
# /FILE:PACKAGE where that command or file will do from elsewhere too.
packages_missing() {
    local pair probe missing=()
    for pair in "$@"; do
        probe=${pair%%:*}
        if [ "$probe" = "$pair" ]; then
            [ "$(dpkg-query -W -f '${db:Status-Status}' "$pair" 2>/dev/null)" = installed ] || missing+=("$pair")
        elif [[ $probe == /* ]]; then
            [ -e "$probe" ] || missing+=("${pair##*:}")
        else
            PATH=$PATH:/usr/sbin:/sbin command -v "$probe" >/dev/null || missing+=("${pair##*:}")
        fi
    done
    echo "${missing[*]}"
}

# packages_install WANTED...: installs what is missing, and says so.
packages_install() {
    local missing
    missing=$(packages_missing "$@")
    [ -n "$missing" ] || return 0
    echo "installing Debian packages: $missing" >&2
    # shellcheck disable=SC2086
    packages_apt_install $missing
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
        packages_disable_services "$@"
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

# Neither should there be one after the next start of the machine.
packages_disable_services() {
    local package
    for package in "$@"; do
        case $package in
            nginx*) packages_disable nginx ;;
            ngtcp2-server) packages_disable ngtcp2d ;;
            dovecot-*) packages_disable dovecot ;;
            haproxy | knot | postfix | postgresql | slapd) packages_disable "$package" ;;
        esac
    done
}

packages_disable() {
    if command -v systemctl >/dev/null; then
        systemctl disable "$1" >/dev/null 2>&1 || true
    else
        update-rc.d "$1" disable >/dev/null 2>&1 || true
    fi
}
