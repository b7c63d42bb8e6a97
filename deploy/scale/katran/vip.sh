#!/usr/bin/env bash
# Katran: one address and port, both protocols, hashed without the client's port. Uses the katranc of Katran's example_grpc.
#
#   vip.sh ADDRESS:PORT EDGE...        KATRANC=path of katranc (default: in PATH)
#   DRY_RUN=1 vip.sh ...               prints the commands
set -euo pipefail

case ${1-} in
'' | -h | --help)
    sed -n '2,5s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
[ $# -ge 2 ] || { echo "there must be an edge: $0 192.0.2.10:443 10.0.1.1 10.0.1.2" >&2; exit 2; }
vip=$1
shift

katranc() {
    if [ -n "${DRY_RUN-}" ]; then
        echo "${KATRANC:-katranc} $*"
    else
        "${KATRANC:-katranc}" "$@"
    fi
}

# A VIP is an address, a port and a protocol: there are two, and they must be alike in all else.
for protocol in -t -u; do
    katranc -A "$protocol" "$vip" -f NO_SPORT
    for edge; do
        katranc -a "$protocol" "$vip" -r "$edge" -w 1
    done
done
