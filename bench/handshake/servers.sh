# The servers of the measurement and the programs that time them; sourced by cells.sh and test.sh, which run in the lab.
# shellcheck shell=bash

readonly TLS_PORT=8441 QUIC_PORT=4433
# Connections that start together would wait for each other's cryptography on one CPU.
readonly SPACING_MS=20
WWW=$LAB_RUN/nginx/www

# The network and what serves in it; gtlsserver only when $WAYS has quic.
start_servers() {
    LAB_PKI=$LAB_RUN/pki
    # shellcheck disable=SC2154 # deploy/lab/lib.sh has it
    "$lab_library/pki.sh" "$LAB_PKI"
    lab_topology
    nginx_configure "$LAB_RUN/nginx" "$LAB_PKI" "0.0.0.0:$TLS_PORT fastopen=256:ecdsa"
    nginx_start "$LAB_RUN/nginx" lab_exec server
    head -c 1000 /dev/urandom >"$WWW/index.html"
    [[ $WAYS != *quic* ]] || start_quic_server
}

# Its defaults end a handshake after 10 s and give up an idle connection after 30 s; the others are given 120 s.
start_quic_server() {
    service_start quic lab_exec server gtlsserver --quiet --no-pmtud --timeout=120s --handshake-timeout=120s \
        --htdocs="$WWW" "$LAB_SERVER" "$QUIC_PORT" "$LAB_PKI/ecdsa.key" "$LAB_PKI/ecdsa.pem"
    wait_until 10 udp_listens "$QUIC_PORT" || service_failed quic "does not start to listen"
}

udp_listens() { # PORT
    lab_in server ss -Hlun "sport = :$1" | grep -q .
}

# times PROGRAM COUNT SERVER [OPTION...]: CSV rows of COUNT connections.
times() {
    local program=$1 count=$2 server=$3
    shift 3
    lab_in client "$BUILD/bin/$program" --server "$server" --count "$count" --ca "$LAB_PKI/ca.pem" \
        --expect "$WWW/index.html" --spacing "$SPACING_MS" "$@"
}

# The kernel keeps the cookie it gets with the first connection.
get_fastopen_cookie() {
    local side rows
    for side in client server; do
        lab_in "$side" sh -c '
            echo 3 >/proc/sys/net/ipv4/tcp_fastopen
            echo 0 >/proc/sys/net/ipv4/tcp_fastopen_blackhole_timeout_sec'
    done
    rows=$(times tls_times 2 "$LAB_SERVER:$TLS_PORT" --fastopen)
    [[ ${rows##*$'\n'} == *,syn-data,ok ]] || { echo "TCP Fast Open does not work here: $rows" >&2; return 1; }
}
