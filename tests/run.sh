#!/usr/bin/env bash
# The README's second command: installs what the tests need, builds, and runs all of them.
#
#   tests/run.sh               everything
#   tests/run.sh -L unit       what ctest's arguments select (labels: unit, valgrind, e2e, lab)
#   tests/run.sh --install-only
#
# TURBOTLS_NO_INSTALL=1 leaves the system's packages alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\n== %s\n' "$*"; }

# Only what is missing, so that a second run needs neither root nor a network. A second word on a line
# names a command that will do as well, where it came from elsewhere (npm with Node's own packages).
install_packages() {
    local missing=() package command
    while read -r package command; do
        [ -z "$command" ] || ! command -v "$command" >/dev/null || continue
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing+=("$package")
    done < <(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' tests/packages.txt deploy/packages.txt | sort -u)
    [ ${#missing[@]} -eq 0 ] && return
    say "Installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -q -y --no-install-recommends "${missing[@]}"
}

build() {
    say "Building preset $1"
    cmake --preset "$1" >/dev/null
    cmake --build --preset "$1"
}

[ -n "${TURBOTLS_NO_INSTALL:-}" ] || install_packages
[ "${1:-}" != --install-only ] || exit 0
for preset in release sanitize; do
    build "$preset"
done

say "Testing"
export ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"
exec ctest --test-dir build-sanitize --output-on-failure --no-tests=error "$@"
