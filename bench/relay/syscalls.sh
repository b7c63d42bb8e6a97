#!/bin/bash
# Counts the system calls that a relayed connection costs. Run with --help.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

usage() {
    cat <<'TEXT'
usage: bench/relay/syscalls.sh [OPTION...]

By strace -f -c: the system calls for each new connection (a ClientHello, 3,000 bytes of answer, 100 more, the end) of
haproxy, nginx, sniproxy, and of turbotls-proxy as tcp-tcp, as edge-classic, and as sidecar and edge of a pair. The work
is that of run.sh's group "connections", in a network namespace of its own; 16 connections at once through the pair, 64
through the others. strace makes everything slow, so that one turn of the loop serves more connections than otherwise.

  --count N        connections (1000)
  --subjects LIST  of these (all)
  --build DIR      where the programs were built (build)
  --program FILE   the turbotls-proxy to look at (DIR/bin/turbotls-proxy)

Exit codes: 0 counted, 1 something failed, 2 wrong usage.
TEXT
}

# shellcheck source=bench/relay/common.sh
. "$here/common.sh"

read_arguments() {
    arguments=() build=$root/build program=''
    while [ $# -gt 0 ]; do
        case $1 in -h | --help) usage; exit 0 ;; esac
        [ $# -ge 2 ] || wrong "$1 is unknown or wants a value"
        case $1 in
            --count) is_number "$1" "$2"; arguments+=("$1" "$2") ;;
            *) take_common "$1" "$2" || wrong "unknown option $1" ;;
        esac
        shift 2
    done
    program=${program:-$build/bin/turbotls-proxy}
}

read_arguments "$@"
require_programs "$build" "$program"
require_packages strace
in_namespace /usr/bin/python3 "$here/syscalls.py" --build "$build" --program "$program" "${arguments[@]}"
