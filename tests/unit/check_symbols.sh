#!/usr/bin/env bash
# check_symbols.sh LIBTURBO.a: the library does no I/O, reads no clock and allocates no memory.
#
# What the archive leaves undefined may only be what a compiler needs: moving and comparing memory (clang
# says bcmp), failed assertions, and the checks of hardened builds. Not for sanitizer builds.
set -euo pipefail

archive=${1:?usage: check_symbols.sh LIBTURBO.a}
allowed='bcmp|mem(cpy|move|set|cmp)|__mem(cpy|move|set)_chk|__assert_fail|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_'

# Each line: "member:[address] type name". U is undefined, w and v are weak and undefined; capitals
# of all other kinds are defined for everyone.
symbols=$(nm -A -g "$archive")
defined=$(awk '$(NF-1) ~ /^[A-TV-Z]$/ {print $NF}' <<<"$symbols" | sort -u)
undefined=$(awk '$(NF-1) ~ /^[Uwv]$/ {print $NF}' <<<"$symbols" | sort -u)

if ! grep -q '^turbo_' <<<"$defined"; then
    echo "$archive defines no turbo_ symbol: is it the library?" >&2
    exit 2
fi

foreign=$(comm -23 <(echo "$undefined") <(echo "$defined") | grep -vxE "$allowed|" || true)
if [ -n "$foreign" ]; then
    echo "libturbo must be free of I/O, clocks and allocation (turbo/turbo.h), but it uses:" >&2
    while read -r name; do
        grep -E "[Uwv] $name\$" <<<"$symbols" | sed 's/: *[Uwv] /: /; s/^/  /' >&2
    done <<<"$foreign"
    exit 1
fi
echo "$archive: $(wc -l <<<"$undefined") undefined names, none foreign"
