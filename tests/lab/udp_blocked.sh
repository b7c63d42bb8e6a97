#!/bin/bash
# Where the path lets no UDP through, silently or with ICMP, every handshake is as good as a classic one.
set -euo pipefail
# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
enter_lab 180 "$0" "$@"

readonly RTT=100
COUNT=$((HANDSHAKES < 20 ? HANDSHAKES : 20))

# A page of many segments: what follows the handshake must be whole, too.
page 100000
start_edge edge 8441 4431
processing 8441 1.3

for way in drop reject; do
    lab_udp "$way"
    lab_show
    clear_log edge
    table_head "TLS 1.3, ecdsa, RTT $RTT ms, $COUNT each"
    measure "direct" 5 8441 "$LAB_SERVER" 1.3
    table_row "direct" "  direct"
    every_handshake "UDP $way" 4431 1.3 2
    holds "the edge logged: $(outcomes edge)" only_classic edge
done
finish edge
