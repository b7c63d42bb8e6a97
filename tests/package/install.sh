#!/bin/bash
# The Debian package on a fresh Debian 12: installed by apt, checked, run by systemd as its first process would, upgraded
# under a connection, and purged without a trace.
#
#   tests/package/install.sh [--if-kept] [BUILD_DIRECTORY]      default: build, the release preset
#
# Needs root and, for packages, Debian's mirrors. The fresh Debian takes minutes to make and is kept in
# /var/cache/turbotls-proxy for the next time, when it takes 20 s. With --if-kept it is not made: exit code 77 (skipped).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
if [ "${1-}" = --if-kept ]; then
    only_if_kept=1
    shift
fi
build=$(realpath "${1-$root/build}")
cache=${TURBOTLS_CACHE:-/var/cache/turbotls-proxy}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
work=
init=

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

say() {
    printf '\n== %s\n' "$*"
}

clean_up() {
    trap '' INT TERM
    if [ -n "$init" ]; then
        kill -KILL "$init" 2>/dev/null || true
        wait "$init" 2>/dev/null || true
    fi
    [ -z "$work" ] || rm -rf --one-file-system "$work"
}

# ---- a fresh Debian ----

fresh_debian() {
    local base=$cache/bookworm.tar
    if [ ! -e "$base" ]; then
        mkdir -p "$cache"
        debootstrap --variant=minbase --include=systemd,systemd-sysv bookworm "$work/base" "$mirror" >"$work/log" 2>&1 ||
            { tail "$work/log" >&2; fail "debootstrap failed"; }
        tar -C "$work/base" -cf "$base.new" .
        mv "$base.new" "$base"
        rm -rf "$work/base"
    fi
    mkdir "$work/debian"
    tar -C "$work/debian" -xf "$base"
    cp /etc/resolv.conf "$work/debian/etc/resolv.conf"
    # As this machine reaches Debian's mirrors.
    cp /etc/apt/apt.conf.d/*proxy* "$work/debian/etc/apt/apt.conf.d/" 2>/dev/null || true
}

inside() { # COMMAND...: in the Debian, before or after its systemd runs
    chroot "$work/debian" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
        "$@"
}

apt_quiet() {
    inside apt-get -qq -o Dpkg::Use-Pty=0 "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "apt-get $*"; }
}

# What apt, dpkg and the C library keep for themselves is not the package's.
files() {
    (cd "$work/debian" && find . -xdev \( -path ./var/cache -o -path ./var/lib/apt -o -path ./var/lib/dpkg -o -path ./var/log \
        -o -path ./tmp -o -path ./run -o -path ./dev -o -path ./proc -o -path ./sys \) -prune -o -print) |
        grep -v -E '^\./etc/(passwd-|group-|shadow-|gshadow-|subuid-?|subgid-?|ld\.so\.cache|machine-id|\.pwd\.lock)$|^\./var/lib/systemd/|^\./var/tmp/' | sort
}

# ---- its systemd ----

first_process() { # PROCESS: the child that is the first of its namespace
    local children
    read -r children <"/proc/$1/task/$1/children"
    echo "${children%% *}"
}

booted() { # COMMAND...: in the running Debian
    nsenter --target "$leader" --mount --pid --net --uts --ipc --cgroup --root --wdns=/ \
        /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

boot() {
    "$here/boot.sh" "$work/debian" >"$work/boot.log" 2>&1 </dev/null &
    init=$!
    local i
    for ((i = 0; i < 300; i++)); do
        leader=$(first_process "$init" 2>/dev/null) || leader=
        if [ -n "$leader" ] && [[ $(booted systemctl is-system-running 2>/dev/null) == @(running|degraded) ]]; then
            return
        fi
        kill -0 "$init" 2>/dev/null || break
        sleep 0.1
    done
    cat "$work/boot.log" >&2
    fail "systemd does not run as the first process of a namespace here"
}

property() { # UNIT NAME
    booted systemctl show --value --property="$2" "$1"
}

expect() { # WHAT GOT WANTED
    [ "$2" = "$3" ] || {
        booted journalctl --no-pager -u turbotls-edge >&2 || true
        fail "$1: \"$2\" instead of \"$3\""
    }
}

until_true() { # WHAT COMMAND...
    local what=$1 i
    shift
    for ((i = 0; i < 100; i++)); do
        if "$@"; then return; fi
        sleep 0.1
    done
    booted journalctl --no-pager -u turbotls-edge >&2 || true
    fail "$what"
}

healthy() {
    # shellcheck disable=SC2016
    booted bash -c 'exec 3<>/dev/tcp/127.0.0.1/9443 && printf "GET /healthz HTTP/1.0\r\n\r\n" >&3 && head -n1 <&3' 2>/dev/null |
        grep -q ' 200 '
}

has_other_main() { # UNIT PROCESS
    local now
    now=$(property "$1" MainPID)
    [ "$now" != "$2" ] && [ "$now" != 0 ] && [ "$(property "$1" ActiveState)" = active ]
}

reload() {
    booted systemctl reload turbotls-edge && return
    booted journalctl --no-pager -u turbotls-edge >&2
    fail "reload"
}

status_of() { # PROCESS FIELD: of /proc/PROCESS/status
    booted sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}

check_process() { # UNIT CAPABILITIES
    local process
    process=$(property "$1" MainPID)
    expect "$1's user" "$(booted stat -c %U "/proc/$process")" turbotls-proxy
    expect "$1's capabilities" "$(status_of "$process" CapEff)" "$2"
    expect "$1's ambient capabilities" "$(status_of "$process" CapAmb)" "$2"
    expect "$1's privileges to gain" "$(status_of "$process" NoNewPrivs)" 1
    expect "$1's seccomp" "$(status_of "$process" Seccomp)" 2
    echo "$1 runs as turbotls-proxy; $(status_of "$process" Seccomp_filters) seccomp filters, capabilities $2"
}

[ "$(id -u)" = 0 ] || fail "needs root"
if [ -n "${only_if_kept-}" ] && [ ! -e "$cache/bookworm.tar" ]; then
    echo "no fresh Debian is kept: run tests/package/install.sh"
    exit 77
fi
work=$(mktemp -d /var/tmp/turbotls-package.XXXXXX)
trap clean_up EXIT

say "The package"
cpack --config "$build/CPackConfig.cmake" -B "$work/deb" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "cpack failed"; }
package=$(echo "$work"/deb/*.deb)
dpkg-deb --field "$package" Package Version Depends

say "A fresh Debian 12"
fresh_debian
files >"$work/before"
cp "$package" "$work/debian/opt/turbotls-proxy.deb"
inside dpkg-query -W -f '${Package}\n' | sort >"$work/packages-before"

say "Installed by apt"
apt_quiet update
apt_quiet install --no-install-recommends -y /opt/turbotls-proxy.deb
inside turbotls-proxy --version
inside turbotls-proxy --config /etc/turbotls-proxy/edge.txtpb --check
inside turbotls-proxy --config /etc/turbotls-proxy/sidecar.txtpb --check
for example in edge http-connect transparent starttls-edge; do
    inside turbotls-proxy --config "/usr/share/doc/turbotls-proxy/examples/$example.txtpb" --check
done
inside getent passwd turbotls-proxy

say "Run by systemd"
boot
units=(turbotls-edge.service turbotls-sidecar.service turbotls-edge.socket turbotls-sidecar.socket)
booted systemd-analyze verify --man=no "${units[@]/#//lib/systemd/system/}" || fail "systemd-analyze verify"
for unit in turbotls-edge turbotls-sidecar; do
    booted systemd-analyze security --offline=yes --no-pager --threshold=20 "/lib/systemd/system/$unit.service" | tail -n 1 ||
        fail "systemd-analyze security: $unit is above 2.0"
done
expect "the edge before anybody asked for it" "$(property turbotls-edge ActiveState)" inactive
expect "the edge at the next start" "$(booted systemctl is-enabled turbotls-edge || true)" disabled
booted systemctl start turbotls-edge turbotls-sidecar || {
    booted journalctl --no-pager -u turbotls-edge -u turbotls-sidecar >&2
    fail "the units do not start"
}
expect "the edge" "$(property turbotls-edge ActiveState)" active
expect "the sidecar" "$(property turbotls-sidecar ActiveState)" active
check_process turbotls-edge 0000000000000400
check_process turbotls-sidecar 0000000000000000
until_true "/healthz of the edge" healthy
booted systemctl status --no-pager turbotls-edge | sed -n '1,/CPU/p'

say "A sidecar that marks its connections"
documents=/usr/share/doc/turbotls-proxy
config=/etc/turbotls-proxy/sidecar.txtpb
drop_in=/etc/systemd/system/turbotls-sidecar.service.d/intercept.conf
booted sh -c "echo 'process { mark: 0x7474 }' >>$config"
if booted systemctl restart turbotls-sidecar 2>/dev/null; then fail "it starts without the capability"; fi
[[ $(booted journalctl --no-pager -o cat -u turbotls-sidecar) == *"process.mark needs CAP_NET_RAW"* ]] ||
    fail "the journal does not say why it did not start"
booted install -D -m 644 "$documents/systemd/turbotls-sidecar-intercept.conf" "$drop_in"
booted systemctl daemon-reload
booted systemctl restart turbotls-sidecar
check_process turbotls-sidecar 0000000000002000
booted sh -c "rm -r ${drop_in%/*} && sed -i '\$d' $config && systemctl daemon-reload && systemctl restart turbotls-sidecar"
check_process turbotls-sidecar 0000000000000000

say "Reloaded, replaced, restarted"
reload
first=$(property turbotls-edge MainPID)
booted sh -c 'echo "listener { nonsense: 1 }" >>/etc/turbotls-proxy/edge.txtpb'
if booted systemctl reload turbotls-edge 2>"$work/log"; then fail "a bad configuration was reloaded"; fi
booted sed -i '$d' /etc/turbotls-proxy/edge.txtpb
reload
expect "the process after reloads" "$(property turbotls-edge MainPID)" "$first"
# The same package over itself: postinst hands over.
booted dpkg -i /opt/turbotls-proxy.deb >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "the upgrade"; }
until_true "no process took over from $first" has_other_main turbotls-edge "$first"
check_process turbotls-edge 0000000000000400
until_true "/healthz of the successor" healthy
expect "restarts" "$(property turbotls-edge NRestarts)" 0
echo "the binary was replaced: process $first, now $(property turbotls-edge MainPID)"

say "Ports held by systemd"
booted systemctl stop turbotls-edge
booted systemctl start turbotls-edge.socket turbotls-edge.service
expect "the edge with sockets from systemd" "$(property turbotls-edge ActiveState)" active
until_true "/healthz of the edge with sockets" healthy
booted journalctl --no-pager -o cat -u turbotls-edge -p warning | sed 's/^/journal, warning or graver: /'

say "Purged"
booted systemctl enable turbotls-edge turbotls-edge.socket 2>/dev/null
booted apt-get -qq -o Dpkg::Use-Pty=0 purge -y turbotls-proxy >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "apt-get purge"; }
expect "processes" "$(booted sh -c 'cat /proc/[0-9]*/comm | grep -c turbotls || true')" 0
booted systemctl poweroff >/dev/null 2>&1 || true
kill -KILL "$init" 2>/dev/null || true
wait "$init" 2>/dev/null || true
init=
apt_quiet autoremove --purge -y
rm -f "$work/debian/opt/turbotls-proxy.deb"
inside dpkg-query -W -f '${Package}\n' | sort | diff "$work/packages-before" - || fail "packages are left"
files | diff "$work/before" - || fail "files are left, or gone"
if inside getent passwd turbotls-proxy || inside getent group turbotls-proxy; then fail "the user is left"; fi
echo "nothing is left"
