# What the interop tests share beyond tests/lab/lib.sh; sourced by each of them after `set -euo pipefail`.
# shellcheck shell=bash
#
# They are modelled on the cases of the QUIC interop runner, with conversations (see conversation.py) where many
# connections or their count at the server matter, and with curl and nginx elsewhere.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
interop=$root/tests/lab/interop

# python NAMESPACE SCRIPT [ARGUMENT...]: not the environment's Python, whose start may cost more than the test.
python() {
    lab_in "$1" /usr/bin/python3 -s "${@:2}"
}

# conversation_server PORT FLIGHT_BYTES [NAME]: a server named `server`, at that port of the server namespace.
conversation_server() {
    local name=${3-server}
    service_start "$name" lab_exec server /usr/bin/python3 -s "$interop/conversation.py" serve 0.0.0.0 "$1" --flight "$2"
    wait_until 10 service_ready_or_gone "$name" "$SERVICES/$name.out"
    FLIGHT=$2
}

# converse WORDS PORT ADDRESS COUNT AT_ONCE [OPTION...]: leaves in $result how they ended.
converse() {
    local words=$1 code=0
    result=$(talk "${@:2}" --names "$LAB_RUN/names" --late-names "$LAB_RUN/late") || code=$?
    holds "$words: $result" test "$code" = 0
}

talk() { # PORT ADDRESS COUNT AT_ONCE [OPTION...]
    python client "$interop/conversation.py" converse "$2" "$1" --flight "$FLIGHT" --count "$3" --at-once "$4" "${@:5}"
}

# The server has accepted one connection for each ClientHello of the last `converse`, and none besides; of those that were
# late one or none.
one_connection_each() {
    local expected
    expected=$(($(wc -l <"$LAB_RUN/names") - $(wc -l <"$LAB_RUN/late")))
    wait_until 20 accepted "$expected" || true
    holds "the server accepted $(accepted_names | wc -l) connections for $(wc -l <"$LAB_RUN/names") ClientHellos, one each" \
        one_each
    echo listening >"$SERVICES/server.out"
}

one_each() {
    [ -z "$(accepted_names | uniq -d)" ] && cmp -s <(accepted_names | not_late) <(sort "$LAB_RUN/names" | not_late)
}

not_late() {
    grep -vxFf "$LAB_RUN/late"
}

accepted() { # COUNT
    [ "$(accepted_names | wc -l)" -ge "$1" ]
}

accepted_names() {
    grep -v '^listening' "$SERVICES/server.out" | sort
}

# new_sidecar EDGE_PORT: one that knows nothing yet, instead of the last one. Leaves its name in $sidecar, its port in
# $port.
sidecars=0
new_sidecar() {
    [ "$sidecars" = 0 ] || service_stop "$sidecar"
    sidecar=sidecar-$((sidecars += 1))
    start_sidecar "$sidecar" "$1"
    port=$(proxy_port "$sidecar")
}

# capture_begin and capture_end PORT...: every datagram as the server's network card sees it, judged.
capture_begin() {
    service_start capture lab_exec server tcpdump -i eth0 -s 100 -B 16384 -Z root -U -w "$LAB_RUN/capture" udp
    wait_until 10 grep -qs listening "$SERVICES/capture.log"
}

capture_end() {
    local result code=0
    service_stop capture
    result=$(/usr/bin/python3 -I "$interop/amplification.py" "$LAB_RUN/capture" "$@") || code=$?
    holds "amplification: $result" test "$code" = 0
    holds "the capture is complete" grep -q '^0 packets dropped by kernel' "$SERVICES/capture.log"
}

# case_begin WORDS and case_end: how long it took, too.
case_begin() {
    printf '== %s\n' "$*"
    case_began=$SECONDS
}

case_end() {
    printf '        (%s s)\n' $((SECONDS - case_began))
}

# How many UDP datagrams the client's and the server's kernel have dropped for their checksum.
checksum_errors() {
    local side
    for side in client server; do
        lab_in "$side" awk '/^Udp:/ { n++ } n == 1 { for (i = 1; i <= NF; i++) if ($i == "InCsumErrors") c = i }
            n == 2 { print $c; n++ }' /proc/net/snmp
    done | awk '{ sum += $1 } END { print sum }'
}
