#!/bin/bash
# Measures how long TLS handshakes take over lossy paths, in four ways. Run with --help.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

usage() {
    cat <<'TEXT'
usage: bench/handshake/run.sh [OPTION...]

In the lab (deploy/lab), for each round trip and loss, times new connections that each make a full TLS 1.3 handshake and
ask for 1000 bytes:

  direct  TLS over TCP
  tfo     TLS over TCP Fast Open; the cookie is known, the ClientHello leaves with the SYN
  quic    QUIC and HTTP/3: our client and Debian's gtlsserver, both on libngtcp2
  pair    TLS through a sidecar beside the client and an edge beside the server, started anew for each cell

The server has the same ECDSA certificate each way, and the clients verify it. direct, tfo and pair have the same client
and the same nginx. The ways take turns, block by block.

  --rtt LIST       round trips in ms (10,50,100,200)
  --loss LIST      percent of packets lost, in each direction (0,1,2,5)
  --handshakes N   for each way in each cell (300)
  --ways LIST      (direct,tfo,quic,pair)
  --parallel P     connections under way at once, at most (4), started 20 ms apart or more
  --block N        handshakes of one way before the next has its turn (50)
  --build DIR      where the programs were built (build)
  --out DIR        where the results go (build/bench/DATE-TIME); made when it is missing

Prints a table and writes to the output folder handshakes.csv (a row for each handshake), summary.csv (a row for each
way in each cell), lab.txt (the lab as the kernel shows it) and logs/ (the proxies'). All cells with the defaults
take about 30 minutes; `--rtt 100 --handshakes 1000` takes about 25.
`bench/handshake/report.py DIR` prints the table again.
Exit codes: 0 measured, 1 something failed, 2 wrong usage, others as deploy/lab/lab.sh.
TEXT
}

wrong() {
    echo "run.sh: $* (run.sh --help shows what there is)" >&2
    exit 2
}

is_list() { # PATTERN_OF_ONE VALUE
    [[ $2 =~ ^($1)(,($1))*$ ]]
}

read_arguments() {
    RTTS=10,50,100,200 LOSSES=0,1,2,5 WAYS=direct,tfo,quic,pair HANDSHAKES=300 PARALLEL=4 BLOCK=50
    BUILD=$root/build OUT=$root/build/bench/$(date +%Y%m%d-%H%M%S)
    while [ $# -gt 0 ]; do
        case $1 in -h | --help) usage; exit 0 ;; esac
        [ $# -ge 2 ] || wrong "$1 is unknown or wants a value"
        case $1 in
            --rtt) RTTS=$2; is_list '[1-9][0-9]{0,3}' "$2" || wrong "--rtt wants milliseconds, got \"$2\"" ;;
            --loss) LOSSES=$2; is_list '[0-9]{1,2}(\.[0-9]+)?' "$2" || wrong "--loss wants percents, got \"$2\"" ;;
            --ways) WAYS=$2; is_list 'direct|tfo|quic|pair' "$2" || wrong "--ways does not know \"$2\"" ;;
            --handshakes) HANDSHAKES=$2; is_count "$2" || wrong "--handshakes wants a number, got \"$2\"" ;;
            --parallel) PARALLEL=$2; is_count "$2" || wrong "--parallel wants a number, got \"$2\"" ;;
            --block) BLOCK=$2; is_count "$2" || wrong "--block wants a number, got \"$2\"" ;;
            --build) BUILD=$(realpath -m "$2") ;;
            --out) OUT=$(realpath -m "$2") ;;
            *) wrong "unknown option $1" ;;
        esac
        shift 2
    done
}

is_count() {
    [[ $1 =~ ^[1-9][0-9]{0,5}$ ]]
}

require_programs() {
    local name names=(turbotls-proxy tls_times)
    [[ $WAYS != *quic* ]] || names+=(quic_times)
    for name in "${names[@]}"; do
        [ -x "$BUILD/bin/$name" ] || {
            echo "there is no $BUILD/bin/$name; build it (cmake --build --preset release)" >&2
            echo "(tls_times needs libssl-dev; quic_times libngtcp2-dev, libngtcp2-crypto-gnutls-dev, libgnutls28-dev)" >&2
            exit 1
        }
    done
}

read_arguments "$@"
require_programs
# shellcheck source=deploy/lab/debian.sh
. "$root/deploy/lab/debian.sh"
packages_install python3:python3
[[ $WAYS != *quic* ]] || packages_install gtlsserver:ngtcp2-server
mkdir -p "$OUT/logs"
export RTTS LOSSES WAYS HANDSHAKES PARALLEL BLOCK BUILD OUT
"$root/deploy/lab/lab.sh" run --time-limit 36000 "$here/cells.sh"
"$here/report.py" "$OUT"
echo
echo "results are in $OUT"
