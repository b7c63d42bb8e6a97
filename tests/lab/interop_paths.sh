#!/bin/bash
# Whatever a path does to UDP besides losing it, each connection completes, and as one connection at the server.
set -euo pipefail
# shellcheck source=tests/lab/interop/lib.sh
. "$(dirname "$0")/interop/lib.sh"
enter_lab 300 "$0" "$@"

readonly RTT=100 COUNT=12

# through_path WORDS [OPTION...]: COUNT conversations; leaves their outcomes in $ways.
through_path() {
    case_begin "$1"
    new_sidecar 4431
    converse "through the proxies" "$port" 127.0.0.1 $COUNT 2 --every 100 "${@:2}"
    one_connection_each
    wait_until 10 logged "$sidecar" $COUNT || true
    ways=$(outcomes "$sidecar")
    echo "        outcomes: $ways"
    case_end
}

# A stall of this machine may cost one the round trip.
expect_turbo() {
    local turbo
    turbo=$(sed -nE 's/.*\b([0-9]+) turbo.*/\1/p' <<<"$ways")
    holds "three quarters of them or more are turbo" test "${turbo:-0}" -ge $((COUNT * 3 / 4))
}

conversation_server 8000 3000
start_edge edge 8000 4431
capture_begin

lab_path $RTT
through_path "nothing is wrong, RTT $RTT ms"
expect_turbo

lab_udp_from 10.77.3.1-10.77.3.40
through_path "rebinding: UDP comes from a NAT pool, TCP from elsewhere"
expect_turbo
lab_same_addresses

lab_udp_moves 10.77.3.50
through_path "rebinding: every other request comes from another address"
expect_turbo
lab_same_addresses

lab_udp first-response
through_path "a firewall passes one response of each flow"
lab_udp first
through_path "a firewall passes one datagram of each flow and direction"
lab_udp pass

lab_path_by_protocol $RTT $((5 * RTT))
through_path "UDP takes $((5 * RTT)) ms: it arrives after TCP"

lab_path $RTT 0 duplicate 20%
through_path "a fifth of the packets come twice"
lab_path $RTT 0 delay $((RTT / 2))ms 20ms
through_path "each packet is up to 20 ms early or late, and they overtake each other"
lab_path $RTT 0 loss gemodel 10% 50%
through_path "losses come in bursts"

lab_path $RTT
through_path "the ClientHello's halves come 3 ms apart" --pause 3
expect_turbo
through_path "the ClientHello's halves come 300 ms apart, TCP is long up" --pause 300
case_begin "the same, straight to the edge"
converse "over TCP" 4431 "$LAB_SERVER" $COUNT $COUNT --pause 300
one_connection_each
case_end

capture_end 4431
finish edge
