#!/bin/bash
# A TLS server without an edge, behind a sidecar that hopes for one: every connection completes as classic TLS.
set -euo pipefail
# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
enter_lab 120 "$0" "$@"

readonly RTT=100
readonly LIMIT=$((2 * RTT + 25))
COUNT=$((HANDSHAKES < 20 ? HANDSHAKES : 20))

page 100000
lab_path $RTT
lab_show
# Nobody listens on the server's UDP port: its kernel answers with ICMP.
start_sidecar sidecar-rsa-chain 8442
start_sidecar sidecar-ecdsa 8441
measure rsa-chain "$COUNT" "$(proxy_port sidecar-rsa-chain)" 127.0.0.1 1.2
measure ecdsa "$COUNT" "$(proxy_port sidecar-ecdsa)" 127.0.0.1 1.3

echo
table_head "no edge, RTT $RTT ms, $COUNT each (ms)"
table_row ecdsa "  sidecar, TLS 1.3, ecdsa"
table_row rsa-chain "  sidecar, TLS 1.2, rsa-chain"
took=$(figure ecdsa handshake max)
holds "TLS 1.3: the slowest handshake took $took ms, at most $LIMIT" at_most "$took" $LIMIT
took=$(figure rsa-chain handshake max)
holds "TLS 1.2: the slowest handshake took $took ms, at most $((LIMIT + RTT))" at_most "$took" $((LIMIT + RTT))
expect_outcomes sidecar-ecdsa "$COUNT" classic
expect_outcomes sidecar-rsa-chain "$COUNT" classic
finish sidecar-ecdsa sidecar-rsa-chain
