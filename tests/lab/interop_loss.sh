#!/bin/bash
# Heavy loss, corruption, a path that dies for a while, and a very long one: real programs, and every one completes, but
# for those whose TCP has backed off too far: LATE seconds, when an edge no longer keeps a flight for it (protocol §7.3).
#
# At 30 % loss each way a segment or its acknowledgement is lost every other time, and TCP doubles its wait each time, from
# what it has measured at the retransmissions before: 20 to 90 s then. One in a hundred is late, direct or not. So many of
# them are allowed as have a chance below 1e-5 (Poisson); whatever ends incomplete before is a failure, as is a wrong byte.
# LAB_LOSSY (default 100) is how many connections of each kind the comparison at 30 % loss is made of.
set -euo pipefail
# shellcheck source=tests/lab/interop/lib.sh
. "$(dirname "$0")/interop/lib.sh"
enter_lab 600 "$0" "$@"

LOSSY=${LAB_LOSSY:-100}
readonly LATE=30
readonly at_once=(--parallel --parallel-immediate --parallel-max 300)

# both MEASURE NAME COUNT [CURL_OPTION...]: direct and through the proxies, at the same time.
both() {
    local way=$1
    shift
    new_sidecar 4431
    { direct "$@" || true; } &
    "$way" "$1-pair" "$2" "$port" 127.0.0.1 1.3 --max-time 50 "${@:3}"
    wait $!
    table_head "  $2 each (ms)"
    table_row "$1-direct" "  direct"
    table_row "$1-pair" "  through the proxies"
    echo "        outcomes: $(outcomes "$sidecar")"
}

# As `measure`, but six may be late, or still under way when the time is up; what they have of the body must be right.
measure_patiently() { # NAME COUNT PORT ADDRESS TLS_VERSION --max-time SECONDS [CURL_OPTION...]
    local name=$1 count=$2 result=$LAB_RUN/$1 page=$LAB_RUN/nginx/www/index.html whole late broken body
    lab_curl "$count" "$result" "https://example.test:$3/" "$4" "--tlsv$5" --tls-max "$5" "${@:6}" || true
    whole="200 $(stat -c %s "$page") 1"
    late=$(awk -v whole="$whole" -v s="$LATE" '$5 " " $6 " " $7 != whole && $4 >= s' "$result" | wc -l)
    broken=$(awk -v whole="$whole" -v s="$LATE" '$5 " " $6 " " $7 != whole && $4 < s' "$result" | wc -l)
    holds "$name: $late of $count were not complete, but for longer than $LATE s, at most 6" at_most "$late" 6
    if [ "$broken" != 0 ] || [ "$(wc -l <"$result")" != "$count" ]; then
        failed "$name: $broken of $count ended before they had all, within $LATE s:"
        cat "$result"
    fi
    for body in "$result".body.*; do
        cmp -s -n "$(stat -c %s "$body")" "$body" "$page" || failed "$name: a body differs from what nginx has"
    done
    rm -f "$result".body.*
}

# For comparison, so it may lose connections.
direct() {
    lab_curl "$2" "$LAB_RUN/$1-direct" https://example.test:8441/ "$LAB_SERVER" --tlsv1.3 --max-time 10 "${@:3}"
    rm -f "$LAB_RUN/$1-direct".body.*
}

# conversations_each COUNT AT_ONCE: as `both`, of many more; compares the medians.
conversations_each() {
    new_sidecar 4432
    talk 8001 "$LAB_SERVER" "$@" --timeout 15 >"$LAB_RUN/direct" &
    converse "through the proxies" "$port" 127.0.0.1 "$@" --every 20 --late-after "$LATE" --late-most 8
    wait $! || true
    one_connection_each
    echo "        direct: $(cat "$LAB_RUN/direct")"
    echo "        outcomes: $(outcomes "$sidecar")"
    # TCP's connect takes 60 s at most (protocol §6.8): what ends there is a reset.
    grep 'cannot connect to a server\|a server is left out' "$SERVICES/$sidecar.log" || true
    holds "the median is not above direct's" at_most "$(median <<<"$result")" "$(median <"$LAB_RUN/direct")"
}

median() {
    sed -nE 's/.*; ([0-9.]+) ms median.*/\1/p'
}

# path_dies_after client|server BYTES: when that much more has come to the path from there, it dies for 2 s.
path_dies_after() {
    local enough
    enough=$(($(lab_forwarded "$1") + $2))
    wait_until 30 forwarded "$1" "$enough" && lab_path_dies 2
}

forwarded() { # client|server BYTES
    [ "$(lab_forwarded "$1")" -ge "$2" ]
}

page 3000
start_edge edge 8441 4431
conversation_server 8000 3000
conversation_server 8001 3000 server-direct
start_edge edge-conversation 8000 4432
capture_begin

case_begin "30 % loss each way, RTT 30 ms, $LOSSY each, 50 at once at most"
lab_path 30 30
conversations_each "$LOSSY" 50
case_end

case_begin "handshakeloss: 30 % of the packets of each direction, RTT 30 ms"
both measure_patiently loss 50 "${at_once[@]}"
case_end

case_begin "handshakecorruption: 15 % of the packets of each direction have a wrong bit"
lab_path 30 0 corrupt 15%
before=$(checksum_errors)
# Some 8 a time, but as few as the connections that still ask by UDP; the rest are TCP's.
for _ in 1 2 3; do
    both measure_patiently corruption 30 "${at_once[@]}"
    at_most "$(checksum_errors)" "$before" || break
done
holds "client and server have seen wrong UDP checksums: $(($(checksum_errors) - before))" \
    test "$(checksum_errors)" -gt "$before"
case_end

case_begin "longrtt: 750 ms"
lab_path 750
both measure longrtt 3
# The soonest: a stall of this machine of 50 ms, which UDP is waited for, costs one the whole round trip.
saved=$(difference "$(soonest longrtt-direct)" "$(soonest longrtt-pair)")
holds "the soonest handshake is $saved ms sooner than direct, nine tenths of the round trip or more" at_least "$saved" 675
case_end

case_begin "blackhole: the path dies for 2 s in the middle of a transfer"
page 500000
lab_path 50 0 rate 10mbit
new_sidecar 4431
path_dies_after server 1000000 &
measure transfer 6 "$port" 127.0.0.1 1.3 "${at_once[@]}"
wait $!
took=$(lab_figures "$LAB_RUN/transfer" 4 | cut -d ' ' -f 3)
holds "the longest of 6 transfers of 500 KB took $took ms: it met the gap" at_least "$took" 2000
case_end

lab_path 400
for from in client server; do
    case_begin "blackhole: the path dies for 2 s when the first bytes came from the $from"
    new_sidecar 4432
    path_dies_after $from 1 &
    converse "through the proxies" "$port" 127.0.0.1 10 10
    wait $!
    one_connection_each
    echo "        outcomes: $(outcomes "$sidecar")"
    case_end
done

capture_end 4431 4432
finish edge edge-conversation "$sidecar"
