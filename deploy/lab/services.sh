# Starting nginx and proxies and waiting for them; sourced by lib.sh and quickstart.sh.
# shellcheck shell=bash
#
# A service NAME started by service_start has in $SERVICES: NAME.out (its standard output), NAME.log (its standard
# error), NAME.pid and NAME.started.

# wait_until SECONDS COMMAND...: polls, for events that nobody announces.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.05
    done
}

# service_start NAME COMMAND...: COMMAND must be the program itself, or something that becomes it by exec.
service_start() {
    local name=$1
    shift
    : >"$SERVICES/$name.out"
    : >"$SERVICES/$name.log"
    # Appending: a log may be emptied while the service writes it.
    "$@" >>"$SERVICES/$name.out" 2>>"$SERVICES/$name.log" </dev/null &
    echo $! >"$SERVICES/$name.pid"
    process_stat $! 20 >"$SERVICES/$name.started"
}

# A process id alone may belong to another process by the time it is used: the time when it started tells.
service_running() { # NAME
    local pid
    [ -s "$SERVICES/$1.pid" ] && [ -s "$SERVICES/$1.started" ] || return 1
    pid=$(cat "$SERVICES/$1.pid")
    [ "$(process_stat "$pid" 20)" = "$(cat "$SERVICES/$1.started")" ] && ! process_is_gone "$pid"
}

service_failed() { # NAME WORDS...
    echo "$1 $2; it said:" >&2
    cat "$SERVICES/$1.out" "$SERVICES/$1.log" >&2
    return 1
}

service_stop() { # NAME
    local pid
    service_running "$1" || return 0
    pid=$(cat "$SERVICES/$1.pid")
    kill -TERM "$pid" 2>/dev/null || true
    wait_until 10 process_is_gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
    rm -f "$SERVICES/$1.pid"
}

process_is_gone() { # PID, one of our children or not
    case $(process_stat "$1" 1) in '' | Z) return 0 ;; *) return 1 ;; esac
}

# process_stat PID FIELD: of /proc/PID/stat, counted after the program's name: 1 is the state, 20 the start.
process_stat() {
    local line fields
    read -r line 2>/dev/null <"/proc/$1/stat" || return 0
    read -r -a fields <<<"${line##*) }"
    echo "${fields[$2 - 1]}"
}

service_ready_or_gone() { # NAME FILE
    grep -qs . "$2" || ! service_running "$1"
}

# proxy_start NAME [PREFIX...] -- ARGUMENT...: starts turbotls-proxy ($PROXY), waits until it accepts connections.
proxy_start() {
    local name=$1 prefix=()
    shift
    while [ "$1" != -- ]; do
        prefix+=("$1")
        shift
    done
    shift
    service_start "$name" "${prefix[@]}" "$PROXY" "$@"
    wait_until 10 service_ready_or_gone "$name" "$SERVICES/$name.out" ||
        { service_failed "$name" "does not start to listen"; return 1; }
    service_running "$name" || service_failed "$name" "did not start"
}

# proxy_port NAME: the port it said it listens on.
proxy_port() {
    sed -n 's/^listening [a-z]*:.*:\([0-9][0-9]*\).*$/\1/p' "$SERVICES/$1.out" | head -n 1
}

# nginx_configure DIR PKI ADDRESS:PORT:CERTIFICATE...: a static file server in DIR (files in DIR/www), one server per
# certificate in PKI. Each connection serves one request and is not resumed, so that every request is a full handshake.
nginx_configure() {
    local dir=$1 pki=$2 server
    shift 2
    mkdir -p "$dir/www" "$dir/tmp"
    {
        cat <<TEXT
pid $dir/nginx.pid;
error_log stderr warn;
daemon off;
worker_processes 1;
events { }
http {
    access_log off;
    default_type application/octet-stream;
    root $dir/www;
    keepalive_timeout 0;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache off;
    ssl_session_tickets off;
    client_body_temp_path $dir/tmp/body;
    proxy_temp_path $dir/tmp/proxy;
    fastcgi_temp_path $dir/tmp/fastcgi;
    uwsgi_temp_path $dir/tmp/uwsgi;
    scgi_temp_path $dir/tmp/scgi;
TEXT
        for server; do
            cat <<TEXT
    server {
        listen ${server%:*} ssl;
        ssl_certificate $pki/${server##*:}.pem;
        ssl_certificate_key $pki/${server##*:}.key;
    }
TEXT
        done
        echo "}"
    } >"$dir/nginx.conf"
}

# nginx_start DIR [PREFIX...]: nginx writes its pid file once it listens.
nginx_start() {
    local dir=$1
    shift
    service_start nginx "$@" /usr/sbin/nginx -e stderr -p "$dir" -c "$dir/nginx.conf"
    wait_until 10 service_ready_or_gone nginx "$dir/nginx.pid" ||
        { service_failed nginx "does not start to listen"; return 1; }
    service_running nginx || service_failed nginx "did not start"
}
