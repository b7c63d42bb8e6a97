#!/bin/bash
# The lab delays, loses and blocks what it says, and reports how its script ended.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
lab=$here/../../deploy/lab/lab.sh

inside() {
    # shellcheck source=deploy/lab/lib.sh
    . "$here/../../deploy/lab/lib.sh"
    lab_topology
    lab_path 40
    lab_show_all
    cp "$here/udp_probe.py" "$LAB_RUN"
    service_start echo lab_exec server /usr/bin/python3 -I "$LAB_RUN/udp_probe.py" echo "$LAB_SERVER" 7000
    wait_until 10 grep -qs listening "$SERVICES/echo.out"
    probe() {
        lab_in client /usr/bin/python3 -I "$LAB_RUN/udp_probe.py" "$@"
    }
    probe round-trip "$LAB_SERVER" 7000 40
    probe rejected "$LAB_SERVER" 7001
    lab_udp drop
    probe silent "$LAB_SERVER" 7000
    lab_udp reject
    probe rejected "$LAB_SERVER" 7000
    lab_udp pass
    lab_path 0 100
    probe silent "$LAB_SERVER" 7000
    lab_path 0
    probe round-trip "$LAB_SERVER" 7000 0
    [ "$1" = "two words" ] && [ "$COLOUR" = "deep blue" ]
    exit 42
}

expect() { # CODE COMMAND...
    local expected=$1 code=0
    shift
    "$@" || code=$?
    [ "$code" = "$expected" ] || { echo "FAIL: exit code $code instead of $expected: $*"; exit 1; }
    echo "ok: exit code $code: ${*##*/}"
}

if [ -n "${LAB_INSIDE-}" ]; then
    inside "$@"
fi
expect 42 env COLOUR="deep blue" "$lab" run "$0" "two words"
expect 124 "$lab" run --time-limit 1 sleep 60
expect 2 "$lab" run --time-limit soon true
