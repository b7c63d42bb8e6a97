#!/bin/bash
# Runs a script in a network laboratory of its own. Run with --help.
#
# Two kinds of laboratory, the same inside:
#   host  new network, mount and process namespaces of this kernel, where it has netem (Debian's own kernels do);
#   uml   User-Mode Linux on this machine's files, where it has not. One CPU and slow system calls: right for
#         measuring waits, wrong for measuring throughput.
# Either way all that the script creates (namespaces, interfaces, processes, /run) ends with it, however it ends.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/lab/debian.sh
. "$here/debian.sh"

usage() {
    cat <<'TEXT'
usage: lab.sh run [--time-limit SECONDS] SCRIPT [ARGUMENT...]
       lab.sh kind
       lab.sh install

run      installs what the lab needs (Debian packages), runs SCRIPT in it with this environment and working
         directory, passes its output on and exits with its exit code. SCRIPT sources deploy/lab/lib.sh for
         namespaces, delay, loss and blocked UDP. After SECONDS (default 300) it is ended.
kind     prints which kind of lab this machine gets: `host` (namespaces; the kernel has netem) or `uml`.
install  only installs what `run` would.

A script, for example (curl's own figures over 80 ms, with one packet in fifty lost):

  . deploy/lab/lib.sh
  LAB_PKI=/tmp/pki; deploy/lab/pki.sh "$LAB_PKI"
  lab_topology
  lab_nginx "$LAB_PKI"
  lab_path 80 2
  lab_show
  lab_curl 20 "$LAB_RUN/result" https://example.test:8441/ "$LAB_SERVER"
  lab_figures "$LAB_RUN/result" 2      # median, 90th percentile and maximum of "TLS done"

Environment: LAB_KIND=host or LAB_KIND=uml insists on one kind.
Needs root. Exit codes of its own: 2 wrong usage, 124 time limit reached, 125 the lab itself failed.
TEXT
}

fail() { # EXIT_CODE WORDS...
    local code=$1
    shift
    echo "lab.sh: $*" >&2
    exit "$code"
}

# Asked in namespaces that end with the question. (A plain chroot cannot have a mount namespace of its own.)
host_has_netem() {
    unshare --net --mount --pid --fork sh -c '
        ip link add labprobe0 type veth peer name labprobe1 &&
        tc qdisc add dev labprobe0 root netem delay 1ms' >/dev/null 2>&1
}

lab_kind() {
    case ${LAB_KIND-} in
        host | uml) echo "$LAB_KIND" ;;
        '') if host_has_netem; then echo host; else echo uml; fi ;;
        *) fail 2 "LAB_KIND is \"$LAB_KIND\"; it must be host or uml" ;;
    esac
}

# See uml_xstate.c.
needs_xstate_shim() {
    grep -qsw amx_tile /proc/cpuinfo
}

install_packages() { # KIND
    local wanted=(ethtool:ethtool iptables:iptables nginx:nginx-light curl:curl openssl:openssl)
    if [ "$1" = uml ]; then
        wanted+=(linux.uml:user-mode-linux modprobe:kmod)
        if needs_xstate_shim; then
            wanted+=(gcc:gcc /usr/include/elf.h:libc6-dev)
        fi
    fi
    packages_install "${wanted[@]}"
}

# What the shell inside needs to be where this one is.
save_caller() {
    export -p >"$work/environment"
    pwd >"$work/directory"
    printf '%s\0' "$@" >"$work/command"
}

# What is measured should not wait for whatever else this machine computes. Where sessions share the processors between
# them (autogroup), the session needs the priority, not the process. Without permission it goes without.
# shellcheck disable=SC2016
readonly host_ahead=(setsid sh -c '{ echo -20 >/proc/self/autogroup; renice -n -20 -p $$; } >/dev/null 2>&1; exec "$@"' ahead)

# User-Mode Linux makes sessions of its own, so that does not reach it; a real-time class does. It occupies one
# processor at most, and only while the script inside computes.
uml_ahead() {
    if chrt --rr 1 true 2>/dev/null; then echo chrt --rr 1; fi
}

# The lab's processes live in a process namespace: with its first process all of them end.
# `--pdeathsig` and `--kill-child` carry that on to the case where this script is killed itself.
start_host() {
    setpriv --pdeathsig KILL "${host_ahead[@]}" unshare --net --mount --pid --fork --kill-child=KILL --mount-proc \
        bash "$here/inside.sh" host "$work" </dev/null &
    child=$!
}

start_uml() {
    local around
    # shellcheck disable=SC2207
    around=(setpriv --pdeathsig KILL $(uml_ahead))
    # A container may forbid process namespaces to its root, but not User-Mode Linux.
    if unshare --pid --fork true 2>/dev/null; then
        around+=(unshare --pid --fork --kill-child=KILL)
    fi
    if needs_xstate_shim; then
        gcc -std=c17 -O2 -shared -fPIC -o "$work/uml_xstate.so" "$here/uml_xstate.c"
        around+=(env LD_PRELOAD="$work/uml_xstate.so")
    fi
    # The kernel command line has no quoting: what has spaces goes through files in $work.
    cp "$here/inside.sh" "$work/init"
    "${around[@]}" linux.uml quiet mem=512M rootfstype=hostfs rootflags=/ rw "init=$work/init" \
        "uml_dir=$work/" umid=lab "LAB_WORK=$work" con=null con0=null,fd:3 con1=null,fd:1 con2=null,fd:4 \
        3>"$work/kernel.log" 4>&2 2>>"$work/kernel.log" </dev/null &
    child=$!
}

end_child() {
    if [ -n "$child" ]; then
        kill -KILL "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
        child=
    fi
}

clean_up() {
    trap '' INT TERM
    end_child
    rm -rf "$work"
}

# Returns 1 when the time was up. A watchdog that ends by itself with its parent, and costs no polling.
wait_for_child() { # SECONDS
    setpriv --pdeathsig KILL sleep "$1" &
    local watchdog=$! ended
    wait -n -p ended "$child" "$watchdog" || true
    kill "$watchdog" 2>/dev/null || true
    wait "$watchdog" 2>/dev/null || true
    [ "$ended" != "$watchdog" ]
}

run() {
    local time_limit=300 kind
    while [ $# -gt 0 ]; do
        case $1 in
            --time-limit)
                [[ ${2-} =~ ^[1-9][0-9]*$ ]] || fail 2 "--time-limit wants seconds, got \"${2-}\""
                time_limit=$2
                shift 2
                ;;
            --) shift; break ;;
            -*) fail 2 "unknown option $1 (lab.sh --help shows what there is)" ;;
            *) break ;;
        esac
    done
    [ $# -ge 1 ] || fail 2 "which script? (lab.sh run SCRIPT [ARGUMENT...])"
    [ "$(id -u)" = 0 ] || fail 125 "needs root: it creates network namespaces and installs packages"
    packages_install ip:iproute2
    kind=$(lab_kind)
    install_packages "$kind"

    work=$(mktemp -d /tmp/lab.XXXXXX)
    child=
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    save_caller "$@"
    "start_$kind"
    wait_for_child "$time_limit" || fail 124 "the time limit of $time_limit s was reached; the lab was ended: $*"
    if [ ! -s "$work/exit-code" ]; then
        [ ! -s "$work/kernel.log" ] || sed 's/^/lab.sh: kernel: /' "$work/kernel.log" >&2
        fail 125 "the lab ($kind) ended before its script did: $*"
    fi
    exit "$(cat "$work/exit-code")"
}

debian_proc "$0" "$@"
case ${1-} in
    run) shift; run "$@" ;;
    kind) packages_install ip:iproute2; lab_kind ;;
    install) packages_install ip:iproute2; install_packages "$(lab_kind)" ;;
    -h | --help) usage ;;
    *) usage >&2; exit 2 ;;
esac
