#!/bin/bash
# Shows what turbotls-proxy does, from nothing: installs, builds, measures. Run with --help.
set -euo pipefail
umask 022

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=deploy/lab/debian.sh
. "$root/deploy/lab/debian.sh"
# shellcheck source=deploy/lab/services.sh
. "$root/deploy/lab/services.sh"

PROXY=$root/build/bin/turbotls-proxy
# On /run, so that nothing is left after a restart of the machine either.
readonly KEPT=/run/turbotls-quickstart
SERVICES=$KEPT

usage() {
    cat <<TEXT
usage: deploy/quickstart.sh [--keep | --stop]

Shows the main job of turbotls-proxy on this machine (Debian 12, as root):

  1. installs the Debian packages it needs and says which
  2. builds the program: build/bin/turbotls-proxy
  3. puts nginx and an edge on one side of a path of 100 ms round trip, a sidecar and curl on the other, and
     measures curl with and without the two proxies. The path is made of network namespaces and tc netem;
     where this machine's kernel has no netem, of the same inside User-Mode Linux.
  4. says how to run the pair in front of a server of your own

It takes one to three minutes the first time and may be repeated. Nothing keeps running and no configuration
of this machine is changed; packages and the folder build/ stay
(nginx's own service is not started, and not enabled when this installs it).

  --keep   afterwards starts nginx, an edge and a sidecar on this machine's loopback, to play with, and
           prints their ports and logs
  --stop   stops what --keep has started
  --help   this text

Exit codes: 0 done, 1 failed (the reason is the last line), 2 wrong usage.
TEXT
}

fail() {
    echo "quickstart.sh: $*" >&2
    exit 1
}

# step WORDS COMMAND...: says what happens, that it still does, and how long it took; COMMAND's output when it fails.
step() {
    local words=$1 log begin=$SECONDS code=0 over
    shift
    log=$(mktemp)
    echo "$words"
    exec {over}> >(report_progress)
    local reporter=$!
    "$@" >"$log" 2>&1 {over}>&- || code=$?
    exec {over}>&-
    wait "$reporter" || true
    if [ "$code" != 0 ]; then
        cat "$log" >&2
        rm -f "$log"
        fail "this failed: $words"
    fi
    rm -f "$log"
    echo "    done in $((SECONDS - begin)) s"
}

# A line every five seconds until its standard input ends.
report_progress() {
    local begin=$SECONDS code=0
    while true; do
        read -r -t 5 || code=$?
        [ "$code" -gt 128 ] || return 0
        echo "    ... $((SECONDS - begin)) s"
    done
}

install_needed() {
    local wanted missing
    mapfile -t wanted < <(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$root/deploy/packages.txt")
    wanted+=(ip:iproute2 ethtool:ethtool iptables:iptables nginx:nginx-light curl:curl openssl:openssl)
    missing=$(packages_missing "${wanted[@]}")
    if [ -z "$missing" ]; then
        echo "[1/4] All Debian packages that are needed are installed."
        return 0
    fi
    step "[1/4] Installing Debian packages: $missing" packages_install "${wanted[@]}"
}

build() {
    cd "$root" &&
        cmake --preset release &&
        cmake --build --preset release --target turbotls-proxy
}

show() {
    local kind words="network namespaces of this kernel"
    "$root/deploy/lab/lab.sh" install || fail "the lab's packages could not be installed"
    kind=$("$root/deploy/lab/lab.sh" kind)
    [ "$kind" = host ] || words="User-Mode Linux, because this kernel has no netem"
    echo "[3/4] Measuring curl over a path of 100 ms, in $words (half a minute)"
    "$root/deploy/lab/lab.sh" run --time-limit 180 "$root/deploy/lab/show.sh" "$PROXY" ||
        fail "the measurement failed (exit code $?)"
}

teach() {
    cat <<TEXT
[4/4] For a server of your own

    On the server's machine, in front of a TLS server at port 8443 there (open port 443 for TCP and UDP):

        turbotls-proxy --listen turbo:0.0.0.0:443 --upstream tcp:127.0.0.1:8443

    On a client's machine, for the clients there:

        turbotls-proxy --listen tcp:127.0.0.1:4433 --upstream turbo:YOUR.SERVER:443

        curl --connect-to YOUR.SERVER:443:127.0.0.1:4433 https://YOUR.SERVER/

    The program is build/bin/turbotls-proxy; \`cmake --install build\` puts it into /usr/local.
    The server's key and certificate stay where they are. Clients without a sidecar use the edge as before.
TEXT
}

start_kept() {
    local port number
    stop_kept >/dev/null
    trap 'stop_kept >/dev/null' EXIT
    mkdir -p "$KEPT"
    "$root/deploy/lab/pki.sh" "$KEPT/pki"
    for ((number = 0; ; number++)); do
        port=$((20000 + RANDOM % 10000))
        nginx_configure "$KEPT/nginx" "$KEPT/pki" "127.0.0.1:$port:ecdsa"
        nginx_start "$KEPT/nginx" setsid 2>"$KEPT/nginx.trouble" && break
        # The port may be in use; another reason repeats itself.
        [ "$number" -lt 5 ] || fail "nginx does not start: $(cat "$KEPT/nginx.trouble")"
    done
    echo "It works." >"$KEPT/nginx/www/index.html"
    proxy_start edge setsid -- --listen turbo:127.0.0.1:0 --upstream "tcp:127.0.0.1:$port"
    proxy_start sidecar setsid -- --listen tcp:127.0.0.1:0 --upstream "turbo:127.0.0.1:$(proxy_port edge),turbo=always"
    curl_kept --silent --show-error --output /dev/null || fail "curl through the kept pair failed"
    trap - EXIT
    explain_kept "$port"
}

curl_kept() {
    curl --cacert "$KEPT/pki/ca.pem" --connect-to "example.test:443:127.0.0.1:$(proxy_port sidecar)" "$@" https://example.test/
}

explain_kept() { # NGINX_PORT
    cat <<TEXT

Running on loopback until you stop it:

    curl -> sidecar 127.0.0.1:$(proxy_port sidecar) -> edge 127.0.0.1:$(proxy_port edge) (TCP and UDP) -> nginx 127.0.0.1:$1

    try it     curl --cacert $KEPT/pki/ca.pem --connect-to example.test:443:127.0.0.1:$(proxy_port sidecar) https://example.test/
    its logs   tail $KEPT/sidecar.log $KEPT/edge.log
    its pages  $KEPT/nginx/www
    stop it    deploy/quickstart.sh --stop

    (The sidecar's upstream says \`always\`: on loopback TCP is up at once, and UDP would not be used otherwise.)
TEXT
}

stop_kept() {
    local name found=0
    for name in sidecar edge nginx; do
        if service_running "$name"; then
            service_stop "$name"
            echo "stopped $name"
            found=1
        fi
    done
    rm -rf "$KEPT"
    [ "$found" = 1 ] || echo "nothing of --keep was running"
}

main() {
    local keep=0
    case ${1-} in
        '') ;;
        --keep) keep=1 ;;
        --stop) debian_proc "$0" "$@"; stop_kept; exit 0 ;;
        -h | --help) usage; exit 0 ;;
        *) echo "quickstart.sh: \"$1\" is not an option; --keep, --stop or --help" >&2; exit 2 ;;
    esac
    [ $# -le 1 ] || { echo "quickstart.sh: one option at most; see --help" >&2; exit 2; }
    [ "$(id -u)" = 0 ] || fail "needs root: it installs packages and makes network namespaces"
    debian_proc "$0" "$@"
    install_needed
    step "[2/4] Building build/bin/turbotls-proxy" build
    show
    teach
    [ "$keep" = 0 ] || start_kept
}

main "$@"
