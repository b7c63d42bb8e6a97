#!/usr/bin/env bash
# check_exports.sh LIBTUNNEL.so HEADER…: the library exports what its public headers declare, all of it and
# nothing else.
set -euo pipefail

library=${1:?usage: check_exports.sh LIBTUNNEL.so HEADER...}
shift

exported=$(nm -D --defined-only "$library" | awk '$2 != "A" {print $3}' | sed 's/@.*//' | sort -u)
# Functions: a name in front of a parenthesis at the head of a declaration.
declared=$(cat "$@" | sed -nE 's/^[a-z][a-z0-9_ *]*[ *](tunnel_[a-z0-9_]+)\(.*/\1/p' | sort -u)

if [ "$(wc -l <<<"$declared")" -lt 30 ]; then
    echo "the headers declare next to nothing: are these the public ones?" >&2
    exit 2
fi
foreign=$(comm -23 <(echo "$exported") <(echo "$declared"))
missing=$(comm -13 <(echo "$exported") <(echo "$declared"))
[ -z "$foreign" ] || echo "exported, and in no public header:" $foreign >&2
[ -z "$missing" ] || echo "declared, and not exported:" $missing >&2
[ -z "$foreign$missing" ] || exit 1
echo "$library: $(wc -l <<<"$exported") names, each in a header"
