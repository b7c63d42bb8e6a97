#!/bin/bash
# Many sessions at once on an edge's one UDP socket; and over a lossy path, one connection at the server for each
# ClientHello. LAB_CONNECTIONS (default 1000) is how many; 10000 take a minute and a half.
set -euo pipefail
# shellcheck source=tests/lab/interop/lib.sh
. "$(dirname "$0")/interop/lib.sh"
enter_lab 600 "$0" "$@"

CONNECTIONS=${LAB_CONNECTIONS:-1000}

conversation_server 8000 3000
start_edge edge 8000 4431
start_sidecar sidecar 4431
port=$(proxy_port sidecar)
capture_begin

# A session is pending for about a round trip: about 30 of them always.
case_begin "multiplexing: a new connection every 25 ms, RTT 800 ms"
lab_path 800
converse "through the proxies" "$port" 127.0.0.1 200 200 --every 25
one_connection_each
echo "        the sidecar's outcomes: $(outcomes sidecar)"
case_end

# More than may be pending (protocol §7.1c), and more than one processor can tell apart in a round trip.
case_begin "multiplexing: 400 connections at once, RTT 100 ms"
lab_path 100
clear_log sidecar
converse "through the proxies" "$port" 127.0.0.1 400 400
one_connection_each
echo "        the sidecar's outcomes: $(outcomes sidecar)"
case_end

case_begin "one ClientHello, one connection: $CONNECTIONS connections, 20 at once, RTT 20 ms, 5 % loss each way"
lab_path 20 5
clear_log sidecar
converse "through the proxies" "$port" 127.0.0.1 "$CONNECTIONS" 20
one_connection_each
echo "        the sidecar's outcomes: $(outcomes sidecar)"
case_end

capture_end 4431
finish edge sidecar
