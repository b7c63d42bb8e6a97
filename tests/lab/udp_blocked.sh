#!/bin/bash
# Where the path lets no UDP through, silently or with ICMP, every handshake is as good as a classic one.
set -euo pipefail
# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
enter_lab 120 "$0" "$@"

readonly RTT=100
readonly LIMIT=$((2 * RTT + 25))
COUNT=$((HANDSHAKES < 20 ? HANDSHAKES : 20))

# A page of many segments: what follows the handshake must be whole, too.
page 100000
start_edge edge 8441 4431
lab_path $RTT
for way in drop reject; do
    lab_udp "$way"
    lab_show
    # A new sidecar for each, so that it knows nothing yet.
    start_sidecar "sidecar-$way" 4431
    measure "direct-$way" 5 8441 "$LAB_SERVER" 1.3
    measure "pair-$way" "$COUNT" "$(proxy_port "sidecar-$way")" 127.0.0.1 1.3
done
lab_udp pass

echo
table_head "TLS 1.3, ecdsa, RTT $RTT ms, $COUNT each (ms)"
for way in drop reject; do
    table_row "direct-$way" "  direct, UDP: $way"
    table_row "pair-$way" "  pair, UDP: $way"
done
for way in drop reject; do
    took=$(figure "pair-$way" handshake max)
    holds "UDP $way: the slowest handshake took $took ms, at most $LIMIT" at_most "$took" $LIMIT
    expect_outcomes "sidecar-$way" "$COUNT" classic
done
expect_outcomes edge $((2 * COUNT)) classic
finish sidecar-drop sidecar-reject edge
