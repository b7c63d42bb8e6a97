#!/bin/bash
# Where the path lets no UDP through, silently or with ICMP, the first two handshakes cost at most the wait (protocol
# §6.5), and those after them nothing (§6.9a).
set -euo pipefail
# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
enter_lab 400 "$0" "$@"

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

# The soonest, not the median: the least that a proxy ever waits for UDP is 5 ms. Whether it has asked at all is told by the
# reason that it logs.
later_than() { # RESULT: how much later the soonest from the third on is than the soonest of that
    difference "$(soonest "$(rows "UDP $way-best" 3 "$COUNT")")" "$(soonest "$1")"
}

# after_series: a sidecar has had its connections; is there no need for another series?
after_series() {
    paused=$(grep -c '"reason":"udp-paused"' "$SERVICES/$sidecar.log" || true)
    [ "$paused" = $((COUNT - 2)) ] || failed "$sidecar: $paused of $COUNT connections were without UDP, not all from the third on"
    at_most "$(later_than plain)" 3 && at_most "$(later_than direct)" 3
}

for way in drop reject; do
    lab_udp "$way"
    lab_show
    clear_log edge
    every_handshake "UDP $way" 4431 1.3 2 after_series
    table_row "$(rows "UDP $way-best" 1 2)" "  the first two, the best of each"
    table_row "$(rows "UDP $way-best" 3 "$COUNT")" "  the others, the best of each"
    for other in plain direct; do
        late=$(later_than "$other")
        holds "UDP $way: from the third on the soonest is $late ms later than that of $other, at most 3" at_most "$late" 3
    done
    holds "the edge logged: $(outcomes edge)" only_classic edge
done
finish edge
