#!/bin/bash
# Edges behind IPVS come and go, a short form of tests/scale.py. In User-Mode Linux, where there is one: its kernel has
# IPVS, and this machine's is left as it is.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
proxy=$(realpath "${1-$root/build/bin/turbotls-proxy}")
[ "$(uname -m)" != x86_64 ] || export LAB_KIND=uml
export PYTHONDONTWRITEBYTECODE=1
pki=$(mktemp -d)
trap 'rm -rf "$pki"' EXIT
"$root/deploy/lab/pki.sh" "$pki"
"$root/deploy/lab/lab.sh" run --time-limit 240 /usr/bin/python3 -s "$root/tests/scale.py" --balancer ipvs \
    --connections 12 --at-once 6 --clients 20 --proxy "$proxy" --pki "$pki"
