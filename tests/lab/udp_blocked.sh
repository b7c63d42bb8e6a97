#!/bin/bash
# Where the path lets no UDP through, silently or with ICMP, the first two handshakes cost at most the wait (protocol
# §6.5), and those after them nothing (§6.9a).
set -euo pipefail
# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
enter_lab 180 "$0" "$@"

readonly RTT=100
COUNT=$((HANDSHAKES < 8 ? HANDSHAKES : 8))

# rows NAME FROM TO: those of the result.
rows() {
    sed -n "$2,$3p" "$LAB_RUN/$1" >"$LAB_RUN/$1-$2-$3"
    echo "$1-$2-$3"
}

# The same proxies without UDP: what they cost anyway.
start_plain() {
    lab_proxy plain client --listen tcp:127.0.0.1:0 --upstream "tcp:$LAB_SERVER:4431" --log-format json
}

# A page of many segments: what follows the handshake must be whole, too.
page 100000
start_edge edge 8441 4431
start_plain
processing 8441 1.3
table_head "TLS 1.3, ecdsa, RTT $RTT ms, $COUNT each"
measure "direct" "$COUNT" 8441 "$LAB_SERVER" 1.3
table_row "direct" "  direct"
measure "plain" "$COUNT" "$(proxy_port plain)" 127.0.0.1 1.3
table_row "plain" "  the proxies, tcp: upstream"

for way in drop reject; do
    lab_udp "$way"
    lab_show
    clear_log edge
    every_handshake "UDP $way" 4431 1.3 2
    table_row "$(rows "UDP $way" 1 2)" "  the first two"
    table_row "$(rows "UDP $way" 3 "$COUNT")" "  the others"
    late=$(difference "$(figure "UDP $way-3-$COUNT" handshake median)" "$(figure plain handshake median)")
    holds "UDP $way: from the third on the median is $late ms later than without UDP, at most 2" at_most "$late" 2
    late=$(difference "$(figure "UDP $way-3-$COUNT" handshake median)" "$(figure direct handshake median)")
    holds "UDP $way: from the third on the median is $late ms later than direct, at most 2" at_most "$late" 2
    holds "the edge logged: $(outcomes edge)" only_classic edge
done
finish edge
