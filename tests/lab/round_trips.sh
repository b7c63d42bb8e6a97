#!/bin/bash
# Over a path of 100 ms, the pair of proxies takes one round trip from each handshake and from the first byte.
set -euo pipefail
# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
enter_lab 400 "$0" "$@"

readonly RTT=100
readonly proxies=(edge-ecdsa edge-rsa-chain sidecar-ecdsa sidecar-rsa-chain)

# case_name TLS CERTIFICATE WAY RTT
name_of() {
    echo "tls$1-$2-$3-$4"
}

measure_case() { # RTT TLS CERTIFICATE NGINX_PORT COUNT
    measure "$(name_of "$2" "$3" direct "$1")" "$5" "$4" "$LAB_SERVER" "$2"
    measure "$(name_of "$2" "$3" pair "$1")" "$5" "$(proxy_port "sidecar-$3")" 127.0.0.1 "$2"
}

measure_all() { # RTT COUNT
    local tls
    for tls in 1.3 1.2; do
        measure_case "$1" "$tls" ecdsa 8441 "$2"
        measure_case "$1" "$tls" rsa-chain 8442 "$2"
        echo "measured: RTT $1 ms, TLS $tls" >&2
    done
}

# TLS CERTIFICATE ROUND_TRIPS: what a direct handshake takes, TCP's round trip included.
judge() {
    local tls=$1 certificate=$2 trips=$3 way took saved
    table_head "TLS $tls, $certificate (ms)"
    for way in direct pair; do
        table_row "$(name_of "$tls" "$certificate" "$way" 0)" "  $way, RTT 0"
        table_row "$(name_of "$tls" "$certificate" "$way" $RTT)" "  $way, RTT $RTT"
    done

    took=$(added direct handshake)
    holds "direct: the path adds $took ms to the handshake, about $trips RTT: this lab measures what it should" \
        within "$took" "$trips"
    took=$(added pair handshake)
    holds "pair: the path adds $took ms to the handshake, at most $((trips - 1)).10 RTT" \
        at_most "$took" $(((trips - 1) * RTT + RTT / 10))
    saved=$(difference "$(added direct first)" "$(added pair first)")
    holds "pair: of the path, the first byte waits $saved ms less than direct, one RTT less at most a tenth" \
        at_least "$saved" $((RTT - RTT / 10))
    echo "        (as the clock shows it, with the proxies' own work: $(sooner) ms sooner than direct)"
}

sooner() {
    difference "$(figure "$(name_of "$tls" "$certificate" direct $RTT)" first median)" \
        "$(figure "$(name_of "$tls" "$certificate" pair $RTT)" first median)"
}

# added WAY KIND: the median over RTT 0; uses judge's $tls, $certificate.
added() {
    difference "$(figure "$(name_of "$tls" "$certificate" "$1" $RTT)" "$2" median)" \
        "$(figure "$(name_of "$tls" "$certificate" "$1" 0)" "$2" median)"
}

# shellcheck disable=SC2317 # called by holds
within() { # TOOK ROUND_TRIPS: netem is never early; a busy machine is late
    at_least "$1" $(($2 * RTT - RTT / 20)) && at_most "$1" $(($2 * RTT + RTT / 5))
}

page 1000
for certificate in ecdsa:8441:4431 rsa-chain:8442:4432; do
    IFS=: read -r name nginx_port edge_port <<<"$certificate"
    start_edge "edge-$name" "$nginx_port" "$edge_port"
    start_sidecar "sidecar-$name" "$edge_port"
done

lab_path 0
lab_show
measure_all 0 "$HANDSHAKES"
lab_path $RTT
lab_show
for name in "${proxies[@]}"; do
    wait_until 10 logged "$name" $((2 * HANDSHAKES)) || failed "$name has not logged every connection"
    clear_log "$name"
done
measure_all $RTT "$HANDSHAKES"

echo
echo "$HANDSHAKES handshakes each, curl's time_appconnect and time_starttransfer, median, 90th percentile, maximum"
judge 1.3 ecdsa 2
judge 1.3 rsa-chain 2
judge 1.2 ecdsa 3
judge 1.2 rsa-chain 3
echo "Outcomes at RTT $RTT ms"
for name in "${proxies[@]}"; do
    expect_outcomes "$name" $((2 * HANDSHAKES)) turbo
done
finish "${proxies[@]}"
