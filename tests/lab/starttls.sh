#!/bin/bash
# STARTTLS through both proxies: whatever is said before TLS, the client's first bytes in it leave after one round trip
# and are answered after two. Real servers and clients; what is counted and how: docs/starttls.md.
set -euo pipefail
# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"

# In namespaces where it can be helped, with netem or without. In User-Mode Linux PostgreSQL takes 50 ms to have a process
# for a connection, which is longer than a sidecar waits (docs/protocol.md §6.5): there it goes without.
if [ -z "${LAB_INSIDE-}${LAB_KIND-}" ] && unshare --net --mount --pid --fork true 2>/dev/null; then
    export LAB_KIND=host
fi
enter_lab 150 "$0" "$@"

# Connections for a figure. The median of several is not the first, in which programs load their libraries; what the proxies
# are only compared with is measured once.
readonly RTT=100 COUNT=${LAB_CONNECTIONS:-3} ONCE=${LAB_CONNECTIONS:-1}

# PROTOCOL PORT IMPLICIT_PORT CLIENT: where the server is, where TLS begins at once there, and what asks it.
protocols=(
    "smtp 587 465 swaks"
    "imap 143 993 curl"
    "pop3 110 995 curl"
    "ldap 389 636 ldapsearch"
    "postgresql 5432 5433 psql"
)
[ "$LAB_INSIDE" = host ] || unset 'protocols[4]'
readonly protocols
# What a server's port has added where a proxy listens for it.
readonly PAIR=10000 NEAR=20000 FAR=30000 EDGE=40000
# The servers' own (tests/e2e/harness/starttls_servers.py).
readonly USER_NAME=reader PASSWORD=secret-of-the-reader BASE=dc=example,dc=test

# ---- servers ----

start_servers() {
    local row protocol port implicit
    for row in "${protocols[@]}"; do
        read -r protocol port implicit _ <<<"$row"
        service_start "$protocol" lab_exec server \
            env PYTHONPATH="$root/tests/e2e" PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -s -m harness.starttls_servers \
            "$protocol" --folder "$LAB_RUN/$protocol" --address "$LAB_SERVER" --port "$port" --implicit-port "$implicit" \
            --certificate "$LAB_PKI/ecdsa.pem" --key "$LAB_PKI/ecdsa.key"
    done
    for row in "${protocols[@]}"; do
        read -r protocol _ <<<"$row"
        wait_until 30 service_ready_or_gone "$protocol" "$SERVICES/$protocol.out" && service_running "$protocol" ||
            service_failed "$protocol" "does not become ready"
    done
}

# ---- proxies ----

# listener NAME PROTOCOL ADDRESS UPSTREAM [FIELD...] and upstream NAME PROTOCOL PORT [FIELD...]: to the server.
listener() {
    echo "listener { name: \"$1\" protocol: $2 address: \"$3\" route { upstream: \"$4\" } ${*:5} }"
}

upstream() {
    echo "upstream { name: \"$1\" protocol: $2 server { address: \"$LAB_SERVER:$3\" } ${*:4} }"
}

sidecar_configuration() {
    local protocol port implicit starttls
    for row in "${protocols[@]}"; do
        read -r protocol port implicit _ <<<"$row"
        starttls="starttls: ${protocol^^}"
        listener "$protocol" TCP "127.0.0.1:$((PAIR + port))" "$protocol" "$starttls"
        upstream "$protocol" TURBO $((EDGE + port)) turbo: TRY
        listener "$protocol-near" TCP "127.0.0.1:$((NEAR + port))" "$protocol-near" "$starttls"
        upstream "$protocol-near" TCP "$implicit"
    done
    echo "log { format: JSON }"
}

edge_configuration() {
    local protocol port
    for row in "${protocols[@]}"; do
        read -r protocol port _ <<<"$row"
        listener "$protocol" TURBO "$LAB_SERVER:$((EDGE + port))" "$protocol"
        listener "$protocol-far" TCP "$LAB_SERVER:$((FAR + port))" "$protocol"
        upstream "$protocol" TCP "$port" "starttls: ${protocol^^}"
    done
    echo "log { format: JSON }"
}

start_proxies() {
    sidecar_configuration >"$LAB_RUN/sidecar.txtpb"
    edge_configuration >"$LAB_RUN/edge.txtpb"
    lab_proxy edge server --config "$LAB_RUN/edge.txtpb"
    lab_proxy sidecar client --config "$LAB_RUN/sidecar.txtpb"
}

# ---- clients ----

# Clients want the name that the certificate has, and nobody is to wait for a name server.
prepare_names() {
    printf '127.0.0.1 localhost\n%s example.test\n%s client.test\n' "$LAB_SERVER" "$LAB_CLIENT" >"$LAB_RUN/hosts"
    echo 'nameserver 127.0.0.1' >"$LAB_RUN/resolv.conf"
    mount --bind "$LAB_RUN/hosts" /etc/hosts
    mount --bind "$LAB_RUN/resolv.conf" "$(realpath /etc/resolv.conf)"
}

prepare_psql() {
    printf '%s\n' 'openssl_conf = all' '[all]' 'ssl_conf = programs' '[programs]' 'system_default = default' \
        '[default]' 'Groups = P-256:X25519' >"$LAB_RUN/openssl.cnf"
}

# ask_PROTOCOL HOST PORT starttls|tls: one connection by a program that insists on TLS and on the certificate.
ask_smtp() {
    local begin=--tls
    [ "$3" = starttls ] || begin=--tls-on-connect
    lab_in client swaks --server "$1" --port "$2" "$begin" --tls-verify --tls-ca-path "$LAB_PKI/ca.pem" \
        --ehlo client.test --quit-after HELO
}

ask_imap() {
    local scheme=imap
    [ "$3" = starttls ] || scheme=imaps
    ask_mailbox "$scheme://$1:$2/"
}

ask_pop3() {
    local scheme=pop3
    [ "$3" = starttls ] || scheme=pop3s
    ask_mailbox "$scheme://$1:$2/"
}

ask_mailbox() { # URL
    lab_in client curl --silent --show-error --cacert "$LAB_PKI/ca.pem" --ssl-reqd --user "$USER_NAME:$PASSWORD" \
        --max-time 20 "$1"
}

ask_ldap() {
    local how=(-ZZ -H "ldap://$1:$2")
    [ "$3" = starttls ] || how=(-H "ldaps://$1:$2")
    LDAPTLS_CACERT=$LAB_PKI/ca.pem lab_in client ldapsearch "${how[@]}" -x -D "cn=$USER_NAME,$BASE" -w "$PASSWORD" \
        -s base -b "$BASE"
}

# OpenSSL begins with the group X25519, PostgreSQL before version 18 knows P-256 only and asks for another ClientHello: a
# round trip that is neither STARTTLS's nor ours.
ask_postgresql() {
    OPENSSL_CONF=$LAB_RUN/openssl.cnf PGPASSWORD=$PASSWORD lab_in client psql --no-psqlrc --command 'SELECT 1' \
        "host=$1 port=$2 user=$USER_NAME dbname=postgres sslmode=verify-full channel_binding=require sslrootcert=$LAB_PKI/ca.pem"
}

# What there is beside direct and the pair. Where TLS begins at once mail servers greet in TLS, and behind STARTTLS they
# do not: one proxy alone cannot convert that, but IMAP clients do not mind a greeting more. For PostgreSQL it takes
# version 17, at both ends.
ways() { # PROTOCOL
    case $1 in
        imap) echo direct pair near ;;
        ldap) echo direct pair near far ;;
        *) echo direct pair ;;
    esac
}

# What the capture knows the connections by.
port_of() { # PORT WAY
    case $2 in
        direct) echo "$1" ;;
        pair) echo $((PAIR + $1)) ;;
        near) echo $((NEAR + $1)) ;;
        far) echo $((FAR + $1)) ;;
    esac
}

# ask PROTOCOL PORT WAY: a connection, whose client must be content with it.
ask() {
    local host=example.test begin=starttls output=$LAB_RUN/$1-$3.said code=0
    case $3 in
        pair | near) host=127.0.0.1 ;;
        far) begin=tls ;;
    esac
    "ask_$1" "$host" "$(port_of "$2" "$3")" "$begin" >"$output" 2>&1 || code=$?
    [ "$code" = 0 ] || echo "$1, $3: the client ends with $code: $(tail -n 20 "$output")" >>"$LAB_RUN/problems"
}

# ---- what is measured ----

capture_begin() {
    service_start capture lab_exec client tcpdump -i any -y LINUX_SLL2 -s 66000 -B 16384 -Z root --immediate-mode -U \
        -w "$LAB_RUN/$1" tcp
    wait_until 10 grep -qs listening "$SERVICES/capture.log"
}

# One after another, straight to the servers.
measure_work() {
    local row protocol port number
    capture_begin work
    for row in "${protocols[@]}"; do
        read -r protocol port _ <<<"$row"
        for ((number = 1; number <= COUNT; number++)); do
            ask "$protocol" "$port" direct
        done
    done
    service_stop capture
}

count_of() { # WAY
    if [ "$1" = pair ]; then echo "$COUNT"; else echo "$ONCE"; fi
}

# One after another: at once they would wait for each other's work.
measure_ways() {
    local row protocol port number way
    capture_begin ways
    for row in "${protocols[@]}"; do
        read -r protocol port _ <<<"$row"
        for way in $(ways "$protocol"); do
            for ((number = $(count_of "$way"); number > 0; number--)); do
                ask "$protocol" "$port" "$way"
            done
        done
    done
    service_stop capture
}

rows() {
    local row protocol port client way
    for row in "${protocols[@]}"; do
        read -r protocol port _ client <<<"$row"
        for way in $(ways "$protocol"); do
            echo "$protocol $client $way $(count_of "$way") $(port_of "$port" "$way") $port"
        done
    done
}

# How many of the pair's connections the sidecar has logged with an OUTCOME; those of a near side alone are classic.
pairs() { # OUTCOME
    grep '"listener":' "$SERVICES/sidecar.log" | grep -v -e '-near"' | grep -c "\"outcome\": \?\"$1\"" || true
}

all_logged() {
    [ "$(pairs '[a-z-]*')" = "$all" ]
}

judge() {
    local all=$((COUNT * ${#protocols[@]}))
    PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -s "$root/tests/lab/starttls/judge.py" \
        "$RTT" "$COUNT" "$LAB_RUN/work" "$LAB_RUN/ways" < <(rows) || FAILED=1
    wait_until 10 all_logged || true
    holds "of the pair's $all connections $(pairs turbo) are turbo, three quarters or more" \
        test "$(pairs turbo)" -ge $((all * 3 / 4))
    [ ! -s "$LAB_RUN/problems" ] || failed "$(cat "$LAB_RUN/problems")"
}

prepare_names
prepare_psql
start_servers
start_proxies
measure_work
lab_delay $RTT
lab_show
# A stall of a machine that is shared with others is not the proxies': what does not hold is measured again, twice at most.
for series in 1 2 3; do
    echo
    echo "Series $series, over $RTT ms: round trips from the client's SYN until its first bytes in TLS are sent, and are answered,"
    echo "less the work of client and server; medians of $COUNT connections ($ONCE but for the pair), and in ms as the clock shows them"
    clear_log sidecar
    FAILED=0
    measure_ways
    judge
    [ "$FAILED" != 0 ] || break
    : >"$LAB_RUN/problems"
done
finish sidecar edge
