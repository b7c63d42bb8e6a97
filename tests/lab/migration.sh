#!/bin/bash
# Every client with every server (docs/migration.md): how many round trips pass from the client's first packet until its
# first bytes in TLS are sent, and are answered. From packets at the client, less what the same ends take without delay.
set -euo pipefail
# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"

# In namespaces where it can be helped, with netem or without: in User-Mode Linux Python takes too long to be counted out.
if [ -z "${LAB_INSIDE-}${LAB_KIND-}" ] && unshare --net --mount --pid --fork true 2>/dev/null; then
    export LAB_KIND=host
fi
enter_lab 150 "$0" "$@"

# Of several connections the least counts; without delay they take next to nothing.
readonly RTT=100 COUNT=${LAB_CONNECTIONS:-2} UNDELAYED=5
# Of the server's host, and of the client's.
readonly PLAIN=9001 SANDWICH=9002 NATIVE=9003 EDGE=9004 HOP=9005
readonly TO_PLAIN=9101 TO_SANDWICH=9102 TO_NATIVE=9103 TO_EDGE=9104 HOP_AT_CLIENT=9105
readonly both='dialect: [PROFILE1, SANDWICH]'

python() { # NAMESPACE MODULE ARGUMENT...
    lab_exec "$1" env PYTHONPATH="$root/tests/e2e" PYTHONDONTWRITEBYTECODE=1 TURBOTLS_PROXY="$PROXY" \
        /usr/bin/python3 -s -m "harness.$2" "${@:3}"
}

server() { # NAME COMMAND...: says a line once it listens
    service_start "$@"
    wait_until 20 grep -qs . "$SERVICES/$1.out" "$SERVICES/$1.log" && service_running "$1" ||
        service_failed "$1" "does not become ready"
}

# route NAME LISTENER UPSTREAM: a listener's fields, and those of where its connections go.
route() {
    echo "listener { name: \"$1\" $2 route { upstream: \"$1\" } }"
    echo "upstream { name: \"$1\" $3 }"
}

at() { # PORT
    echo "server { address: \"$LAB_SERVER:$1\" }"
}

proxies_beside_the_server() {
    route edge "protocol: TURBO $both address: \"$LAB_SERVER:$EDGE\"" "protocol: TCP $(at $PLAIN)"
    route hop "protocol: TURBO $both address: \"$LAB_SERVER:$HOP\"" "protocol: TURBO dialect: SANDWICH $(at $SANDWICH)"
}

proxies_beside_the_client() {
    route plain "protocol: TCP address: \"127.0.0.1:$TO_PLAIN\"" "protocol: TURBO $(at $PLAIN)"
    route edge "protocol: TCP address: \"127.0.0.1:$TO_EDGE\"" "protocol: TURBO $(at $EDGE)"
    route native "protocol: TCP address: \"127.0.0.1:$TO_NATIVE\"" "protocol: TURBO $(at $NATIVE)"
    route sandwich "protocol: TCP address: \"127.0.0.1:$TO_SANDWICH\"" "protocol: TURBO dialect: SANDWICH $(at $SANDWICH)"
    route hop "protocol: TURBO $both address: \"127.0.0.1:$HOP_AT_CLIENT\"" "protocol: TURBO $(at $PLAIN)"
}

start_all() {
    server plain python server migration --pki "$LAB_PKI" serve "$LAB_SERVER:$PLAIN"
    server sandwich python server sandwich --listen "$LAB_SERVER:$SANDWICH" --certificate "$LAB_PKI/ecdsa.pem" \
        --key "$LAB_PKI/ecdsa.key"
    server native lab_exec server "$(dirname "$PROXY")/turbotls-server" --turbo --dialect sandwich \
        --listen "$LAB_SERVER:$NATIVE" --cert "$LAB_PKI/ecdsa.pem" --key "$LAB_PKI/ecdsa.key"
    proxies_beside_the_server >"$LAB_RUN/server.txtpb"
    proxies_beside_the_client >"$LAB_RUN/client.txtpb"
    lab_proxy beside-server server --config "$LAB_RUN/server.txtpb"
    lab_proxy beside-client client --config "$LAB_RUN/client.txtpb"
}

# CLIENT SERVER HOST PORT UDP_PORT DIALECT: where each client goes for each server.
cells() {
    local client
    for client in plain native; do
        echo "$client plain $LAB_SERVER $PLAIN $PLAIN profile1"
        echo "$client edge $LAB_SERVER $EDGE $EDGE profile1"
        echo "$client native $LAB_SERVER $NATIVE $NATIVE profile1"
    done
    echo "plain sandwich $LAB_SERVER $HOP $HOP profile1"
    echo "native sandwich $LAB_SERVER $SANDWICH $SANDWICH sandwich"
    echo "sidecar plain 127.0.0.1 $TO_PLAIN 0 -"
    echo "sidecar edge 127.0.0.1 $TO_EDGE 0 -"
    echo "sidecar native 127.0.0.1 $TO_NATIVE 0 -"
    echo "sidecar sandwich 127.0.0.1 $TO_SANDWICH 0 -"
    echo "sandwich plain 127.0.0.1 $HOP_AT_CLIENT $HOP_AT_CLIENT sandwich"
    echo "sandwich edge $LAB_SERVER $EDGE $EDGE sandwich"
    echo "sandwich native $LAB_SERVER $NATIVE $NATIVE sandwich"
    echo "sandwich sandwich $LAB_SERVER $SANDWICH $SANDWICH sandwich"
}

# rows COUNT [BAD]: with versions and how often; of all cells or of those in a file of "CLIENT SERVER VERSION".
rows() {
    local cell version client server
    while read -r cell; do
        read -r client server _ <<<"$cell"
        for version in 1.2 1.3; do
            if [ $# = 1 ] || grep -qx "$client $server $version" "$2"; then
                echo "$cell $version $1"
            fi
        done
    done < <(cells)
}

measure_rows() { # RESULT CAPTURE, from the standard input
    service_start capture lab_exec client tcpdump -i eth0 -s 128 -B 16384 -Z root --immediate-mode -U \
        -w "$LAB_RUN/$2.pcap" tcp or udp
    wait_until 10 grep -qs listening "$SERVICES/capture.log"
    (python client migration --pki "$LAB_PKI" measure) >>"$LAB_RUN/$1"
    service_stop capture
}

judge() {
    PYTHONPATH="$root/tests/e2e" PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -s "$root/tests/lab/migration/judge.py" \
        $RTT "$LAB_RUN/work" "$LAB_RUN/ways" "$LAB_RUN/bad"
}

start_all
rows $UNDELAYED | measure_rows work work
lab_delay $RTT
lab_show
rows "$COUNT" | measure_rows ways ways
# A stall of a machine that is shared with others is not the proxies': what does not hold is measured again, twice at most.
for series in 1 2 3; do
    echo
    echo "Series $series, over $RTT ms: round trips from the client's first packet until its first bytes in TLS are sent,"
    echo "and are answered; the least of $COUNT connections and more"
    judge && break
    [ "$series" = 3 ] || rows "$COUNT" "$LAB_RUN/bad" | measure_rows ways "ways.$series"
done
holds "every cell takes as many round trips as docs/migration.md says" test ! -s "$LAB_RUN/bad"
finish beside-client beside-server
