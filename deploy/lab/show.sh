#!/bin/bash
# The main job, measured: curl to nginx over a path of 100 ms, straight and through sidecar and edge.
# Runs in the lab: deploy/lab/lab.sh run deploy/lab/show.sh PROXY. quickstart.sh does that.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/lab/lib.sh
. "$here/lib.sh"

PROXY=$1
readonly RTT=100 COUNT=9

row() { # TITLE RESULT
    local column
    printf '    %-26s' "$1"
    for column in 1 2 3; do
        printf '%14s' "$(median "$2" "$column")"
    done
    printf '\n'
}

median() { # RESULT COLUMN
    lab_figures "$1" "$2" | cut -d ' ' -f 1
}

# saved COLUMN NAME: of which figure, and under what name.
saved() {
    awk -v direct="$(median "$LAB_RUN/direct" "$1")" -v pair="$(median "$LAB_RUN/pair" "$1")" -v name="$2" \
        'BEGIN { printf "    %s: %.0f ms sooner\n", name, direct - pair }'
}

compare() { # TLS_VERSION
    lab_curl $COUNT "$LAB_RUN/direct" https://example.test:8441/ "$LAB_SERVER" --tlsv"$1" --tls-max "$1"
    lab_curl $COUNT "$LAB_RUN/pair" "https://example.test:$(proxy_port sidecar)/" 127.0.0.1 --tlsv"$1" --tls-max "$1"
    printf '    %-26s%14s%14s%14s\n' "TLS $1" "TCP connected" "TLS done" "first byte"
    row "curl straight to nginx" "$LAB_RUN/direct"
    row "curl through the proxies" "$LAB_RUN/pair"
    saved 2 "TLS done"
    saved 3 "first byte"
    echo
}

LAB_PKI=$LAB_RUN/pki
"$here/pki.sh" "$LAB_PKI"
lab_topology
lab_nginx "$LAB_PKI"
echo "It works." >"$LAB_RUN/nginx/www/index.html"
lab_proxy edge server --listen "turbo:$LAB_SERVER:443" --upstream tcp:127.0.0.1:8441
lab_proxy sidecar client --listen tcp:127.0.0.1:0 --upstream "turbo:$LAB_SERVER:443"
lab_path $RTT

cat <<TEXT

    curl -- sidecar ------ $RTT ms round trip ------ edge -- nginx     median of $COUNT new connections, in ms

TEXT
compare 1.3
compare 1.2
cat <<TEXT
    (TCP connected: through the proxies curl's own connection ends at the sidecar next to it.
     The proxies hold no key: curl has checked nginx's certificate in every one of these handshakes.)

    the path, as the kernel shows it:
$(lab_show | sed 's/^/      /')
    the sidecar's last connection:
      $(tail -n 1 "$SERVICES/sidecar.log")
TEXT
