#!/bin/bash
# The measurement measures what it says: run.sh on one tiny cell, report.py on known rows, and the programs on servers
# that are not right. Nothing here depends on how fast the machine is.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() {
    echo "FAIL: $*" >&2
    exit 1
}

# expect RESULT PROGRAM SERVER [OPTION...]: that is what the only connection must end with.
expect() {
    local wanted=$1 rows
    shift
    rows=$(times "$1" 1 "${@:2}" --timeout 2 || true)
    [ "${rows##*,}" = "$wanted" ] || fail "\"$wanted\" was expected of $*, got: $rows"
    echo "ok: $wanted: $*"
}

# What is not right must not be counted as a handshake.
inside() {
    # shellcheck source=deploy/lab/lib.sh
    . "$here/../../deploy/lab/lib.sh"
    # shellcheck source=bench/handshake/servers.sh
    . "$here/servers.sh"
    start_servers
    head -c 1000 /dev/urandom >"$LAB_RUN/other"
    head -c 999 "$WWW/index.html" >"$LAB_RUN/shorter"
    lab_path 10
    local server refusal program address
    for server in "handshake-failed tls_times $LAB_SERVER:$TLS_PORT" "ERR_CRYPTO quic_times $LAB_SERVER:$QUIC_PORT"; do
        read -r refusal program address <<<"$server"
        expect ok "$program" "$address"
        expect wrong-answer "$program" "$address" --expect "$LAB_RUN/other"
        expect wrong-answer "$program" "$address" --expect "$LAB_RUN/shorter"
        expect "$refusal" "$program" "$address" --ca "$LAB_PKI/client.pem"
        expect "$refusal" "$program" "$address" --name other.test
    done
    expect connect-failed tls_times "$LAB_SERVER:1"
    expect timeout quic_times "$LAB_SERVER:1"
}

# 100 handshakes of 1 to 100 ms, then 100 through the pair, of which 75 had the outcome turbo and one failed.
known_rows() {
    echo "rtt_ms,loss_percent,way,block,index,local_port,connect_us,handshake_us,first_byte_us,detail,result"
    seq 100 | awk '{ printf "10,1,direct,1,%d,%d,1,%d000,%d500,-,ok\n", $1, $1, $1, $1 }'
    seq 99 | awk '{ printf "10,1,pair,1,%d,%d,1,%d000,%d500,-,ok\n", $1, $1, $1, $1 }'
    echo "10,1,pair,1,100,100,,,,-,timeout"
}

known_log() {
    echo '{"level":"info","message":"something else"}'
    seq 100 | awk '{
        printf "{\"client\":\"127.0.0.1:%d\",%s}\n", $1,
            $1 <= 75 ? "\"outcome\":\"turbo\",\"reason\":null" : "\"outcome\":\"classic\",\"reason\":\"refused\"" }'
}

report() {
    mkdir "$work/known" "$work/known/logs"
    known_rows >"$work/known/handshakes.csv"
    known_log >"$work/known/logs/sidecar-10-1.json"
    "$here/report.py" "$work/known"
    summary_has known 10,1,direct,100,0,50.0,90.0,99.0,100.0,50.5,90.5,99.5,100.5,40.0,,,
    summary_has known 10,1,pair,100,1,50.0,90.0,99.0,99.0,50.5,90.5,99.5,99.5,40.0,75.0,0.0,25.0
    grep -q '^10,1,pair,1,76,76,1,76000,76500,classic:refused,ok$' "$work/known/handshakes.csv" ||
        fail "the outcome is not in handshakes.csv"
}

summary_has() { # RUN LINE
    grep -qxF "$2" "$work/$1/summary.csv" || fail "summary.csv lacks $2: $(cat "$work/$1/summary.csv")"
}

tiny_run() {
    "$here/run.sh" --rtt 10 --loss 0 --handshakes 3 --block 2 --parallel 2 --out "$work/tiny" | tee "$work/table"
    local way
    for way in direct tfo quic pair; do
        [ "$(grep -c "^10,0,$way,.*,ok$" "$work/tiny/handshakes.csv")" = 3 ] || fail "not three rows of $way"
        grep -q "^$way *3 *0 " "$work/table" || fail "$way is not in the table"
    done
    [ "$(cut -d , -f 3,4 "$work/tiny/handshakes.csv" | uniq | paste -s -d ' ')" = \
        "way,block direct,1 tfo,1 quic,1 pair,1 pair,2 quic,2 tfo,2 direct,2" ] || fail "the ways do not take turns"
    [ "$(grep -c ",tfo,.*,syn-data,ok$" "$work/tiny/handshakes.csv")" = 3 ] || fail "tfo was not TCP Fast Open"
    ! grep -q not-logged "$work/tiny/handshakes.csv" || fail "an outcome was not found in the sidecar's log"
    grep -q "qdisc netem .* delay 5ms" "$work/table" || fail "the path is not in the output"
}

if [ -n "${LAB_INSIDE-}" ]; then
    inside
    exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
report
tiny_run
BUILD=$(cd "$here/../.." && pwd)/build WAYS=quic "$here/../../deploy/lab/lab.sh" run "$here/test.sh"
