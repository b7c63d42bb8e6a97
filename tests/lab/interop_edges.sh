#!/bin/bash
# What an edge gives to an address that never joins; and two edges behind one address that do not know each other.
set -euo pipefail
# shellcheck source=tests/lab/interop/lib.sh
. "$(dirname "$0")/interop/lib.sh"
enter_lab 300 "$0" "$@"

spoof() { # PORT
    PYTHONPATH=$root/tests/e2e python client "$interop/requests_only.py" "$LAB_SERVER" "$1" 20
}

# More than 60 KB by UDP, were it not for the limit.
conversation_server 8000 60000
start_edge edge-large 8000 4431
start_edge edge-chain 8442 4432
lab_path 20
capture_begin

case_begin "amplification: requests that nobody goes on with"
spoof 4431
spoof 4432
case_end

case_begin "amplification: whole connections, a flight of 60000 bytes"
start_sidecar sidecar-large 4431
converse "through the proxies" "$(proxy_port sidecar-large)" 127.0.0.1 20 5
case_end
capture_end 4431 4432
service_stop server
service_stop edge-large
service_stop edge-chain

# UDP to one edge, TCP to the other.
conversation_server 8000 3000
start_edge edge-udp 8000 4433
start_edge edge-tcp 8000 4434
lab_other_host 4433 4434
lab_path 200
start_sidecar sidecar-two 4433
port=$(proxy_port sidecar-two)

case_begin "two edges: a connection completes or is reset, and no byte is wrong"
converse "the first connections" "$port" 127.0.0.1 4 2 --every 50 --allow reset
holds "some of them were reset: the edges do not know each other" test "${result#*reset}" != "$result"
wait_until 10 logged sidecar-two 4 || failed "the sidecar has not logged every connection"
case_end

# Protocol §6.9d.
case_begin "two edges: from then on that upstream is classic"
clear_log sidecar-two
converse "the connections after them" "$port" 127.0.0.1 10 2
expect_outcomes sidecar-two 10 classic
case_end

finish edge-udp edge-tcp sidecar-two
