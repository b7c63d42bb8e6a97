#!/bin/bash
# run.py runs, and every figure is there. None is judged: nothing here depends on how fast the machine is.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

figures=$("$here/run.py" --build "$1" --rounds 1 --seconds 0.3 --only sessions,junk,pending)

has() { # PART CASE WHAT
    grep -Eq "^$1,$2,$3,-?[0-9.]+" <<<"$figures" || {
        printf 'FAIL: the figures lack %s\n%s\n' "$*" "$figures" >&2
        exit 1
    }
}

for way in turbo classic; do
    has sessions "$way" cpu_us
    has junk none "${way}_median_us"
    has pending 1000 "${way}_cpu_us"
done
for kind in random orphan payload wrong-id hello short long; do
    has junk "$kind" taken_per_second
    has junk "$kind" user_us_per_datagram
    has junk "$kind" turbo_served_percent
done
