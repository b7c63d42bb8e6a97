#!/bin/bash
# Measures what a relay costs: ours, haproxy, nginx and sniproxy in the same run. Run with --help.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

usage() {
    cat <<'TEXT'
usage: bench/relay/run.sh [OPTION...]

Measures, in one run and taking turns, what goes through

  direct          nothing: load generator and backend
  haproxy         mode tcp, one thread; haproxy-splice: with option splice-request and splice-response
  nginx           stream with ssl_preread, one worker; nginx-64k: with proxy_buffer_size 64k
  sniproxy
  tcp-tcp         turbotls-proxy, tcp→tcp, one worker
  edge-classic    turbotls-proxy, turbo→tcp, with clients that speak classic TLS
  pair            a sidecar (tcp→turbo) and an edge (turbo→tcp); at least 99 % of the connections used UDP
  pair-classic    the same two without UDP

and prints tables: medians of the rounds, and how ours stands to the peer with the best median: the median of the rounds'
ratios, since what a machine does at one time it does to both. Groups:

  connections  new connections a second, and processor time of the proxy for each: a ClientHello of 517 bytes, 3,000
               bytes of answer, 100 more, and the end, all of it only looking like TLS; 64 at once, through pairs 16
  tls          the same with real TLS 1.3 (OpenSSL), which hides what a relay costs behind what TLS does
  bulk         Gbit/s, and CPU seconds per GiB; 1 and 8 connections, up (from the client) and down
  memory       private memory for each of many idle connections; after 32 KiB went each way through each; after all
               were closed again
  latency      from connecting to the first byte of an answer, and one byte there and back
  growth       processor time of a new connection beside none and beside 9,500 idle ones, by two processes in turns; and
               beside 1,024 TurboTLS sessions that no TCP ever joins
  workers      processor time of a connection with 1, 2 and 8 workers, on both cores

  --only LIST        of these groups (all)
  --subjects LIST    only these (all): direct,haproxy,haproxy-splice,nginx,nginx-64k,sniproxy,tcp-tcp,edge-classic,pair,…
  --quick            3 rounds, and fewer idle connections: about 4 minutes instead of 20
  --rounds N         samples of each (21)
  --csv FILE         every single value (build/bench/relay-DATE-TIME.csv); report.py FILE prints the tables again
  --build DIR        where the programs were built (build)
  --program FILE     the turbotls-proxy to measure (DIR/bin/turbotls-proxy)
  --other FILE       and another build of it, as "other": tcp→tcp, compared with the first
  --proxy-core N     where the proxies run (0) …
  --load-core N      … and load generator and backend (1)
  --realtime         before everything else on these cores (chrt --rr 1; root): for a machine that others use as well
  --smoke            only to see whether it runs: seconds, figures without a meaning

Everything runs in a network namespace of its own, which needs root or unprivileged user namespaces. No access logs; ours
with log level WARNING. The machine should have nothing else to do, and two cores. Connections in TIME_WAIT are dropped at
once, so that no port search is measured. Sizes that do not fit the limit of open files (20,000 for all) fail.
Exit codes: 0 measured, 1 something failed, 2 wrong usage.
TEXT
}

# shellcheck source=bench/relay/common.sh
. "$here/common.sh"

read_arguments() {
    arguments=() build=$root/build csv=$root/build/bench/relay-$(date +%Y%m%d-%H%M%S).csv program='' before=()
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) usage; exit 0 ;;
            --quick | --smoke) arguments+=(--size "${1#--}"); shift; continue ;;
            --realtime) before=(chrt --rr 1); shift; continue ;;
        esac
        [ $# -ge 2 ] || wrong "$1 is unknown or wants a value"
        case $1 in
            --only) is_list "$1" 'connections|tls|bulk|memory|latency|growth|workers' "$2"; arguments+=("$1" "$2") ;;
            --rounds | --proxy-core | --load-core) is_number "$1" "$2"; arguments+=("$1" "$2") ;;
            --csv) csv=$(realpath -m "$2") ;;
            --other) arguments+=("$1" "$(realpath -m "$2")") ;;
            *) take_common "$1" "$2" || wrong "unknown option $1" ;;
        esac
        shift 2
    done
    program=${program:-$build/bin/turbotls-proxy}
}

read_arguments "$@"
require_programs "$build" "$program"
require_packages
mkdir -p "$(dirname "$csv")"
in_namespace "${before[@]}" /usr/bin/python3 "$here/measure.py" --csv "$csv" --build "$build" --program "$program" "${arguments[@]}"
echo "every value is in $csv"
