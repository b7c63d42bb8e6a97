# The laboratory's network; sourced by scripts that run under `lab.sh run`.
# shellcheck shell=bash
#
#   client 10.77.1.2 ---- 10.77.1.1 path 10.77.2.1 ---- 10.77.2.2 server
#
# Three network namespaces. The path is a router that delays both directions by half the round trip, and is where
# packets are lost or UDP is blocked, as on the Internet.

[ -n "${LAB_INSIDE-}" ] || { echo "this script must run in the lab: deploy/lab/lab.sh run $0" >&2; exit 2; }

lab_library=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/lab/services.sh
. "$lab_library/services.sh"

readonly LAB_CLIENT=10.77.1.2
readonly LAB_SERVER=10.77.2.2
SERVICES=$LAB_RUN/services
mkdir -p "$SERVICES"

# lab_in NAMESPACE COMMAND...
lab_in() {
    local namespace=$1
    shift
    nsenter --net="/run/netns/$namespace" "$@"
}

lab_topology() {
    ip netns add client
    ip netns add path
    ip netns add server
    lab_link client "$LAB_CLIENT" 10.77.1.1 02:00:00:00:01
    lab_link server "$LAB_SERVER" 10.77.2.1 02:00:00:00:02
    lab_in path sh -c '
        echo 1 >/proc/sys/net/ipv4/ip_forward
        echo 0 >/proc/sys/net/ipv4/icmp_ratelimit'
    # Each connection starts from scratch: what an earlier one learned about the path must not help it.
    lab_in client sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_no_metrics_save'
    lab_in server sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_no_metrics_save'
}

# lab_link NAMESPACE ADDRESS ROUTER MAC_PREFIX: connects the namespace with the path. Packets must be on the wire what
# they are on the Internet: no segmentation offloads. Addresses are known: an ARP exchange would count as a round trip.
lab_link() {
    local namespace=$1 address=$2 router=$3 mac=$4
    ip -n "$namespace" link add eth0 address "$mac:02" type veth peer name "$namespace" address "$mac:01" netns path
    lab_in "$namespace" ethtool -K eth0 tso off gso off gro off tx-udp-segmentation off
    lab_in path ethtool -K "$namespace" tso off gso off gro off tx-udp-segmentation off
    ip -n "$namespace" link set lo up
    ip -n "$namespace" address add "$address/24" dev eth0
    ip -n path address add "$router/24" dev "$namespace"
    ip -n "$namespace" link set eth0 up
    ip -n path link set "$namespace" up
    ip -n "$namespace" neighbour replace "$router" lladdr "$mac:01" dev eth0 nud permanent
    ip -n path neighbour replace "$address" lladdr "$mac:02" dev "$namespace" nud permanent
    ip -n "$namespace" route add default via "$router"
}

# lab_path RTT_MS [LOSS_PERCENT [NETEM_OPTION...]]: the path's round trip, how many packets of each direction get lost,
# and what else happens to them (corrupt 5%, duplicate 1%, rate 10mbit, loss gemodel ..., see tc-netem(8)). What is on
# its way meanwhile is lost.
lab_path() {
    local side half_us=$(($1 * 1000 / 2)) faults=("${@:3}")
    [ "${2-0}" = 0 ] || faults+=(loss "$2%")
    for side in client server; do
        tc -n path qdisc del dev "$side" root 2>/dev/null || true
        if [ "$half_us" != 0 ] || [ ${#faults[@]} != 0 ]; then
            tc -n path qdisc add dev "$side" root netem limit 10000 delay "${half_us}us" "${faults[@]}"
        fi
    done
}

# lab_path_by_protocol TCP_RTT_MS UDP_RTT_MS
lab_path_by_protocol() {
    local side
    for side in client server; do
        tc -n path qdisc del dev "$side" root 2>/dev/null || true
        tc -n path qdisc add dev "$side" root handle 1: prio bands 2 priomap 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
        tc -n path qdisc add dev "$side" parent 1:1 netem limit 10000 delay $(($1 * 500))us
        tc -n path qdisc add dev "$side" parent 1:2 netem limit 10000 delay $(($2 * 500))us
        tc -n path filter add dev "$side" parent 1: protocol ip u32 match ip protocol 17 0xff flowid 1:2
    done
}

# lab_path_dies SECONDS: nothing passes meanwhile, but what is behind the router already arrives.
lab_path_dies() {
    lab_firewall -I FORWARD -j DROP
    sleep "$1"
    lab_firewall -D FORWARD -j DROP
}

# lab_forwarded client|server: how many bytes have come to the path from there.
lab_forwarded() {
    lab_in path sed -nE "s/^ *$1: *([0-9]+) .*/\1/p" /proc/net/dev
}

# lab_udp pass|drop|reject|first|first-response: what the path does with UDP; `reject` answers ICMP "port unreachable",
# `first` passes one datagram of each flow and direction, `first-response` all requests and one response.
lab_udp() {
    lab_firewall -F FORWARD
    case $1 in
        pass) ;;
        drop) lab_firewall -A FORWARD -p udp -j DROP ;;
        reject) lab_firewall -A FORWARD -p udp -j REJECT --reject-with icmp-port-unreachable ;;
        first) lab_only_first original; lab_only_first reply ;;
        first-response) lab_only_first reply ;;
        *) echo "lab_udp: there is no $1" >&2; return 2 ;;
    esac
}

lab_only_first() { # original|reply
    lab_firewall -A FORWARD -p udp -m connbytes --connbytes 2: --connbytes-dir "$1" --connbytes-mode packets -j DROP
}

# lab_udp_from ADDRESS[-ADDRESS]: a NAT pool: UDP reaches the server from there, TCP from the client's own address.
# The addresses must not be in a network of the lab's: 10.77.3.x.
lab_udp_from() {
    lab_firewall -t nat -A POSTROUTING -o server -p udp -j SNAT --to-source "$1"
}

# lab_udp_moves ADDRESS: as when a NAT forgets in the middle of a flow: every other request (by its sequence number, the
# datagram's byte 15) reaches the server from ADDRESS. Nothing is remembered, so it is neither a conntrack's flow.
lab_udp_moves() {
    local own=$LAB_CLIENT/32 other=$1/32
    local odd=(match ip protocol 17 0xff match ip src "$own" match u8 0x01 0x01 at 43)
    tc -n path qdisc add dev server clsact
    tc -n path filter add dev server egress protocol ip u32 "${odd[@]}" action nat egress "$own" "$1"
    tc -n path filter add dev server ingress protocol ip u32 match ip dst "$other" action nat ingress "$other" "$LAB_CLIENT"
}

# lab_other_host PORT TCP_PORT: a balancer's mistake: what TCP says to the server's PORT goes to TCP_PORT, UDP does not.
lab_other_host() {
    lab_firewall -t nat -A PREROUTING -i client -p tcp --dport "$1" -j DNAT --to-destination "$LAB_SERVER:$2"
}

# lab_same_addresses: ends lab_udp_from, lab_udp_moves and lab_other_host.
lab_same_addresses() {
    lab_firewall -t nat -F
    tc -n path qdisc del dev server clsact 2>/dev/null || true
}

# User-Mode Linux has only the older kind of tables, a host perhaps only the newer one.
lab_firewall() {
    local program=iptables
    [ "$LAB_INSIDE" = host ] || program=iptables-legacy
    XTABLES_LOCKFILE=$LAB_RUN/xtables.lock lab_in path "$program" "$@"
}

# What the path is made of, as the kernel says it.
lab_show() {
    echo "lab: $LAB_INSIDE, kernel $(uname -r), $(nproc) CPU"
    local side
    for side in client server; do
        echo "path to $side: $(tc -n path qdisc show dev "$side" | sed -n 1p)"
    done
    echo "path firewall: $(lab_firewall -S FORWARD | paste -s -d ';')"
}

# The long form: interfaces, offloads and neighbours too.
lab_show_all() {
    lab_show
    local where
    for where in client:eth0 path:client path:server server:eth0; do
        echo "== $where"
        ip -n "${where%:*}" -brief address show dev "${where#*:}"
        ip -n "${where%:*}" neighbour show dev "${where#*:}"
        lab_in "${where%:*}" ethtool -k "${where#*:}" | grep -E '^(tcp-seg|generic-seg|generic-rec)' | paste -s -d ' '
    done
}

# lab_nginx PKI: nginx in the server namespace: the ECDSA certificate on port 8441, the RSA chain on 8442.
lab_nginx() {
    local dir=$LAB_RUN/nginx
    nginx_configure "$dir" "$1" "0.0.0.0:8441:ecdsa" "0.0.0.0:8442:rsa-chain"
    nginx_start "$dir" lab_exec server
}

# As lab_in, for services: becomes COMMAND, so that the service's process id is its own.
lab_exec() {
    local namespace=$1
    shift
    exec nsenter --net="/run/netns/$namespace" "$@"
}

# lab_proxy NAME NAMESPACE ARGUMENT...
lab_proxy() {
    local name=$1 namespace=$2
    shift 2
    proxy_start "$name" lab_exec "$namespace" -- "$@"
}

# lab_curl COUNT RESULT URL ADDRESS [OPTION...]: COUNT requests one after another, a new connection and a full handshake
# each, by one curl in the client namespace. The name in URL is taken to be at ADDRESS. One line of RESULT per request:
#   time_connect time_appconnect time_starttransfer time_total (s)  http_code size_download num_connects
# Bodies go to RESULT.body.1 …. One more request, straight to nginx, goes ahead and is not counted: a process's first
# handshake loads libraries (in User-Mode Linux that takes 100 ms). With --parallel all of them go at once.
lab_curl() {
    local count=$1 result=$2 url=$3 address=$4 number authority
    shift 4
    authority=${url#https://}
    authority=${authority%%/*}
    local figures='%{urlnum} %{time_connect} %{time_appconnect} %{time_starttransfer} %{time_total}'
    figures+=' %{http_code} %{size_download} %{num_connects}\n'
    {
        printf 'url = "https://%s:%s/"\noutput = /dev/null\n' example.test 8441
        for ((number = 1; number <= count; number++)); do
            printf 'url = "%s"\noutput = "%s.body.%s"\n' "$url" "$result" "$number"
        done
    } >"$result.requests"
    lab_in client curl --silent --show-error --no-progress-meter --no-sessionid --max-time 30 --cacert "$LAB_PKI/ca.pem" \
        --resolve "example.test:8441:$LAB_SERVER" --resolve "${authority%:*}:${authority##*:}:$address" \
        --write-out "$figures" "$@" --config "$result.requests" >"$result.all"
    sort -n "$result.all" | sed '1d; s/^[0-9]* //' >"$result"
}

# lab_figures RESULT COLUMN: median, 90th percentile and maximum in ms.
lab_figures() {
    awk -v column="$2" '{ print $column * 1000 }' "$1" | sort -n | awk '
        { value[NR] = $1 }
        END {
            if (NR == 0) exit 1
            median = NR % 2 ? value[(NR + 1) / 2] : (value[NR / 2] + value[NR / 2 + 1]) / 2
            rank = NR * 0.9; rank = rank > int(rank) ? int(rank) + 1 : rank
            printf "%.1f %.1f %.1f\n", median, value[rank], value[NR]
        }'
}
