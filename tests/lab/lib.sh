# What the lab tests share; sourced by each of them after `set -euo pipefail`.
# shellcheck shell=bash
#
# A test is a plain script: TEST [PROXY], exit code 0 when it holds. It starts the lab around itself.
# Environment: LAB_HANDSHAKES (default 50) is how many handshakes each figure is made of.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# enter_lab TIME_LIMIT SCRIPT [PROXY]
enter_lab() {
    local time_limit=$1 script proxy=${3-$root/build/bin/turbotls-proxy}
    script=$(realpath "$2")
    if [ -z "${LAB_INSIDE-}" ]; then
        [ -x "$proxy" ] || {
            echo "there is no $proxy; build it: cmake --preset release && cmake --build --preset release" >&2
            exit 1
        }
        exec "$root/deploy/lab/lab.sh" run --time-limit "$time_limit" "$script" "$(realpath "$proxy")"
    fi
    PROXY=$proxy
    # shellcheck source=deploy/lab/lib.sh
    . "$root/deploy/lab/lib.sh"
    # shellcheck disable=SC2034
    HANDSHAKES=${LAB_HANDSHAKES:-50}
    FAILED=0
    LAB_PKI=$LAB_RUN/pki
    "$root/deploy/lab/pki.sh" "$LAB_PKI"
    lab_topology
    lab_nginx "$LAB_PKI"
}

# lab_delay RTT_MS: the path's round trip, by netem or else by hand.
lab_delay() {
    lab_path "$1" 2>/dev/null && return
    local side
    for side in client server; do
        lab_in "$side" ethtool -K eth0 tx off >/dev/null
    done
    lab_in path sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'
    service_start wire lab_exec path /usr/bin/python3 -I "$root/tests/lab/wire.py" $(($1 / 2)) \
        client 02:00:00:00:01:02 server 02:00:00:00:02:02
    wait_until 10 service_ready_or_gone wire "$SERVICES/wire.out" && service_running wire ||
        service_failed wire "does not carry packets"
    echo "the path's delay is made by hand: this kernel has no netem"
}

# page BYTES: what nginx serves.
page() {
    head -c "$1" /dev/urandom >"$LAB_RUN/nginx/www/index.html"
}

# start_edge NAME UPSTREAM_PORT PORT and start_sidecar NAME UPSTREAM_PORT: JSON logs, for outcomes.
start_edge() {
    lab_proxy "$1" server --listen "turbo:$LAB_SERVER:$3" --upstream "tcp:127.0.0.1:$2" --log-format json
}

start_sidecar() {
    lab_proxy "$1" client --listen tcp:127.0.0.1:0 --upstream "turbo:$LAB_SERVER:$2" --log-format json
}

# measure NAME COUNT PORT ADDRESS TLS_VERSION [CURL_OPTION...]: writes $LAB_RUN/NAME, and checks that each request was a
# new connection and each body complete.
measure() {
    local name=$1 count=$2 result=$LAB_RUN/$1 expected wrong
    lab_curl "$count" "$result" "https://example.test:$3/" "$4" "--tlsv$5" --tls-max "$5" "${@:6}" ||
        failed "$name: curl reports an error (exit code $?)"
    expected="200 $(stat -c %s "$LAB_RUN/nginx/www/index.html") 1"
    wrong=$(awk -v expected="$expected" '$5 " " $6 " " $7 != expected' "$result" | wc -l)
    if [ "$wrong" != 0 ] || [ "$(wc -l <"$result")" != "$count" ]; then
        failed "$name: not all $count requests were answered whole, on a connection each:"
        cat "$result"
    fi
    same_bodies "$result" "$count" || failed "$name: a body differs from what nginx has"
    rm -f "$result".body.*
}

same_bodies() { # RESULT COUNT
    local sums
    sums=$(sha256sum "$LAB_RUN/nginx/www/index.html" "$1".body.* | cut -d ' ' -f 1 | sort | uniq -c)
    [ "$(wc -l <<<"$sums")" = 1 ] && [ "$(awk '{ print $1 }' <<<"$sums")" = $(($2 + 1)) ]
}

# outcomes NAME: how many connections of each kind a proxy has logged, as "20 classic 30 turbo".
outcomes() {
    sed -nE 's/.*"outcome": ?"([a-z-]+)".*/\1/p' "$SERVICES/$1.log" | sort | uniq -c |
        awk '{ printf "%s%s %s", s, $1, $2; s = " " }'
}

logged() { # NAME COUNT
    [ "$(grep -c '"outcome":' "$SERVICES/$1.log")" -ge "$2" ]
}

# expect_outcomes NAME COUNT OUTCOME: all of the COUNT connections since the log was cleared went that way.
expect_outcomes() {
    wait_until 10 logged "$1" "$2" || true
    holds "$1 logged: $(outcomes "$1")" test "$(outcomes "$1")" = "$2 $3"
}

only_classic() { # NAME
    [[ $(outcomes "$1") =~ ^[0-9]+\ classic$ ]]
}

clear_log() { # NAME
    : >"$SERVICES/$1.log"
}

table_head() {
    printf '%-40s %8s %8s %8s %10s %8s %8s\n' "$1" "TLS done" p90 max "first byte" p90 max
}

table_row() { # NAME TITLE
    # shellcheck disable=SC2046,SC2183
    printf '%-40s %8s %8s %8s %10s %8s %8s\n' "$2" $(lab_figures "$LAB_RUN/$1" 2) $(lab_figures "$LAB_RUN/$1" 3)
}

# figure NAME handshake|first median|p90|max
figure() {
    local column=2 place
    [ "$2" = handshake ] || column=3
    case $3 in median) place=1 ;; p90) place=2 ;; max) place=3 ;; esac
    lab_figures "$LAB_RUN/$1" "$column" | cut -d ' ' -f "$place"
}

# soonest NAME: the milliseconds of its quickest handshake. What another's work takes from this machine only adds.
soonest() {
    awk '{ print $2 * 1000 }' "$LAB_RUN/$1" | sort -n | sed -n 1p
}

# processing NGINX_PORT TLS_VERSION: the milliseconds of a handshake straight to nginx where the path takes nothing: the
# work of curl and nginx alone, some 6 ms in User-Mode Linux. The proxies' own work counts as theirs.
processing() {
    lab_path 0
    # shellcheck disable=SC2153 # the test's own
    measure processing "$COUNT" "$1" "$LAB_SERVER" "$2"
    work=$(figure processing handshake median)
    lab_path "$RTT"
}

# every_handshake NAME UPSTREAM_PORT TLS_VERSION ROUND_TRIPS [COMMAND...]: $COUNT handshakes through a new sidecar (it knows
# nothing yet), each of them classic and within ROUND_TRIPS + 25 ms above $work (see processing). Where the machine is
# shared with others a stall of it is not the proxies', and stalls only add: so there are up to 10 series, the first, second,
# ... handshake of one of them must be within the limit, and half of all. (Where one in five stalls, 8 in 0.2^10 fail.)
# Leaves the best of each place in $LAB_RUN/NAME-best; ends when COMMAND, asked after each series, is content as well.
every_handshake() {
    local name=$1 port=$2 tls=$3 limit=$(($4 * RTT + 25)) best=$LAB_RUN/$1-best slowest series in_time
    # shellcheck disable=SC2153 # the test's own
    local count=$COUNT
    : >"$LAB_RUN/$name-all"
    for series in 1 2 3 4 5 6 7 8 9 10; do
        sidecar=sidecar-$name-$series
        start_sidecar "$sidecar" "$port"
        measure "$name" "$count" "$(proxy_port "$sidecar")" 127.0.0.1 "$tls"
        table_row "$name" "  sidecar, $name, series $series"
        expect_outcomes "$sidecar" "$count" classic
        service_stop "$sidecar"
        cat "$LAB_RUN/$name" >>"$LAB_RUN/$name-all"
        [ "$series" != 1 ] || cp "$LAB_RUN/$name" "$best"
        paste -d ' ' "$best" "$LAB_RUN/$name" |
            awk '{ for (i = 1; i <= 4; i++) if ($(i + 7) < $i) $i = $(i + 7); print $1, $2, $3, $4, $5, $6, $7 }' >"$best.new"
        mv "$best.new" "$best"
        slowest=$(difference "$(figure "$name-best" handshake max)" "$work")
        in_time=$(awk -v most="$limit" -v work="$work" '$2 * 1000 - work <= most' "$LAB_RUN/$name-all" | wc -l)
        if at_most "$slowest" "$limit" && [ $((2 * in_time)) -ge $((series * count)) ] && "${@:5}"; then
            break
        fi
    done
    holds "$name: each of $count handshakes took $slowest ms or less above the $work ms of curl's and nginx's work, at most $limit" \
        at_most "$slowest" "$limit"
    holds "$name: so did $in_time of all $((series * count)), at least half" test $((2 * in_time)) -ge $((series * count))
}

# holds WORDS COMMAND...: reports a bound.
holds() {
    local words=$1
    shift
    if "$@"; then
        echo "  ok    $words"
    else
        echo "  FAIL  $words"
        FAILED=1
    fi
}

failed() {
    echo "  FAIL  $*"
    FAILED=1
}

# at_most VALUE LIMIT, at_least VALUE LIMIT: decimals.
at_most() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a <= b) }'; }
at_least() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a >= b) }'; }
difference() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f", a - b }'; }

# finish NAME...: the verdict; with the logs of the named services when it is bad.
finish() {
    local name
    if [ "$FAILED" = 0 ]; then
        echo "all bounds held"
        exit 0
    fi
    echo "a bound was not held"
    for name; do
        echo "== last lines of $name that are not of a turbo connection"
        grep -v "\"outcome\": \?\"turbo\"" "$SERVICES/$name.log" | tail -n 20 || true
    done
    exit 1
}
