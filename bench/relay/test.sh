#!/bin/bash
# run.sh runs, and every figure is there. None is judged: nothing here depends on how fast the machine is.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "FAIL: $*" >&2
    exit 1
}

has() { # GROUP CASE SUBJECT PROCESS METRIC
    grep -Eq "^$1,$2,$3,$4,1,$5,[0-9.e+-]+$" "$work/values.csv" || fail "values.csv lacks $*"
}

"$here/run.sh" --smoke --csv "$work/values.csv" | tee "$work/table"
for subject in haproxy nginx sniproxy tcp-tcp edge-classic; do
    has connections pseudo "$subject" "$subject" cpu_us
    has memory '100 idle' "$subject" "$subject" bytes
    has latency ping-pong "$subject" '' p50_us
    has growth '100 idle' "$subject" "$subject" cpu_us
    has tls 'TLS 1.3' "$subject" "$subject" cpu_us
    grep -q "^| $subject | [0-9]" "$work/table" || fail "$subject is not in the table"
done
for process in sidecar edge; do
    has connections pseudo pair "$process" cpu_us
    has connections pseudo pair-classic "$process" cpu_us
    has growth '64 pending' pair "$process" cpu_us
    has bulk '8 down' pair "$process" cpu_s_per_gib
    has memory '100 after 32 KiB' pair "$process" bytes
done
for subject in direct haproxy-splice nginx-64k sniproxy tcp-tcp pair; do
    for streams in 1 8; do
        has bulk "$streams up" "$subject" '' gbit
        has bulk "$streams down" "$subject" '' gbit
    done
done
[ "$("$here/report.py" "$work/values.csv")" = "$(grep -v '^every value is in ' "$work/table")" ] ||
    fail "report.py says something else than run.sh"
"$here/syscalls.sh" --count 50 --subjects nginx,tcp-tcp | tee "$work/calls"
grep -Eq '^\| accept4 \| [0-9.]+ \| [0-9.]+ \|$' "$work/calls" || fail "the calls of nginx and tcp-tcp are not counted"
