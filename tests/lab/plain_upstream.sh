#!/bin/bash
# A TLS server without an edge, behind a sidecar that hopes for one: every connection completes as classic TLS.
set -euo pipefail
# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
enter_lab 400 "$0" "$@"

readonly RTT=100
COUNT=$((HANDSHAKES < 10 ? HANDSHAKES : 10))

# plain TITLE UPSTREAM_PORT TLS_VERSION ROUND_TRIPS
plain() {
    processing "$2" "$3"
    every_handshake "$@"
}

page 100000
lab_path $RTT
lab_show
table_head "no edge, RTT $RTT ms, $COUNT each (ms)"
# Nobody listens on the server's UDP port. Its kernel answers with ICMP, but not more than one a second: some handshakes
# meet an error, others silence.
plain "TLS 1.3, ecdsa" 8441 1.3 2
plain "TLS 1.2, rsa-chain" 8442 1.2 3
finish
