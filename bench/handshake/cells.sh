#!/bin/bash
# The part of run.sh that runs in the lab: measures every cell, and writes rows and logs to $OUT for report.py.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/lab/lib.sh
. "$here/../../deploy/lab/lib.sh"

# shellcheck source=bench/handshake/servers.sh
. "$here/servers.sh"

readonly EDGE_PORT=443
# shellcheck disable=SC2034 # lab_proxy's
PROXY=$BUILD/bin/turbotls-proxy

measure() { # WAY COUNT
    local nginx=$LAB_SERVER:$TLS_PORT quic=$LAB_SERVER:$QUIC_PORT
    local common=(--parallel "$PARALLEL")
    case $1 in
        direct) times tls_times "$2" "$nginx" --warm-up "$nginx" "${common[@]}" ;;
        tfo) times tls_times "$2" "$nginx" --warm-up "$nginx" "${common[@]}" --fastopen ;;
        quic) times quic_times "$2" "$quic" --warm-up "$quic" "${common[@]}" ;;
        pair) times tls_times "$2" "127.0.0.1:$(proxy_port sidecar)" --warm-up "$nginx" "${common[@]}" ;;
    esac
}

start_pair() {
    lab_proxy edge server --listen "turbo:$LAB_SERVER:$EDGE_PORT" --upstream "tcp:127.0.0.1:$TLS_PORT" \
        --log-format json
    lab_proxy sidecar client --listen tcp:127.0.0.1:0 --upstream "turbo:$LAB_SERVER:$EDGE_PORT" --log-format json
}

# Connections are logged at their end, which on a lossy path comes later than the answer.
stop_pair() { # RTT LOSS
    wait_until 60 logged sidecar "$HANDSHAKES" || echo "the sidecar has not logged every connection" >&2
    local name
    for name in sidecar edge; do
        service_stop "$name"
        cp "$SERVICES/$name.log" "$OUT/logs/$name-$1-$2.json"
    done
}

logged() { # NAME COUNT
    [ "$(grep -c '"outcome":' "$SERVICES/$1.log")" -ge "$2" ]
}

# The ways in the order of this block: from the first to the last and back again.
ways_of_block() { # NUMBER
    tr , '\n' <<<"$WAYS" | if [ $(($1 % 2)) = 1 ]; then cat; else tac; fi
}

measure_blocks() { # RTT LOSS
    local block=1 done_before=0 count way
    while [ "$done_before" -lt "$HANDSHAKES" ]; do
        count=$((HANDSHAKES - done_before < BLOCK ? HANDSHAKES - done_before : BLOCK))
        for way in $(ways_of_block $block); do
            measure "$way" "$count" >"$LAB_RUN/rows" || echo "$way: no connection of this block was all right" >&2
            sed "1d; s/^/$1,$2,$way,$block,/" "$LAB_RUN/rows" >>"$OUT/handshakes.csv"
        done
        done_before=$((done_before + count))
        block=$((block + 1))
        echo "$(date +%T) RTT $1 ms, loss $2 %: $done_before of $HANDSHAKES each way" >&2
    done
}

netem_counters() {
    local side
    for side in client server; do
        echo "packets to $side:$(tc -n path -s qdisc show dev "$side" | sed -n '2s/ *Sent \(.*\)/ \1/p')"
    done
}

measure_cell() { # RTT LOSS
    # Without a delay first: netem counts from the beginning again.
    lab_path 0
    if [ "$2" = 0 ]; then lab_path "$1"; else lab_path "$1" "$2"; fi
    [[ $WAYS != *pair* ]] || start_pair
    { echo "=== RTT $1 ms, loss $2 %"; lab_show; } | tee -a "$OUT/lab.txt"
    measure_blocks "$1" "$2"
    netem_counters | tee -a "$OUT/lab.txt"
    [[ $WAYS != *pair* ]] || stop_pair "$1" "$2"
}

echo "rtt_ms,loss_percent,way,block,index,local_port,connect_us,handshake_us,first_byte_us,detail,result" \
    >"$OUT/handshakes.csv"
start_servers
[[ $WAYS != *tfo* ]] || get_fastopen_cookie
{
    echo "measuring $(sha256sum "$PROXY"), $("$PROXY" --version)"
    lab_show_all
} | tee "$OUT/lab.txt"
for rtt in ${RTTS//,/ }; do
    for loss in ${LOSSES//,/ }; do
        measure_cell "$rtt" "$loss"
    done
done
