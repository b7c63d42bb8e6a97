#!/usr/bin/env bash
# The README's second command: installs what the tests need, builds, and runs all of them.
#
#   tests/run.sh                  everything
#   tests/run.sh -L unit          what ctest's arguments select (labels: unit, valgrind, alloc, e2e,
#                                 attack, fuzz, sim, lab, package)
#   tests/run.sh --install-only   the Debian packages, as root
#
# TURBOTLS_TEST_WORKERS=16 gives the proxies of the end-to-end tests so many workers as a machine with 16 processors would.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
# shellcheck source=deploy/lab/debian.sh
. deploy/lab/debian.sh

say() {
    printf '\n== %s\n' "$*"
}

install_needed() {
    local wanted
    mapfile -t wanted < <(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' deploy/packages.txt tests/packages.txt)
    packages_install "${wanted[@]}"
    deploy/lab/lab.sh install
}

build() { # PRESET [TARGET...]
    local targets=()
    [ $# = 1 ] || targets=(--target "${@:2}")
    say "Building preset $1"
    cmake --preset "$1" >/dev/null
    cmake --build --preset "$1" "${targets[@]}"
}

case ${1-} in
-h | --help)
    sed -n 's/^# \{0,1\}//p' "$0" | sed 1d
    exit 0
    ;;
esac
debian_proc "$0" "$@"
say "Packages"
install_needed
[ "${1-}" != --install-only ] || exit 0
# Of the release build's tests only those that run: most run with sanitizers.
build release proto/all turbo/all tunnel/all proxy/all bench/all package_files release_tests
build sanitize

say "Testing"
export ASAN_OPTIONS="detect_leaks=1:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"
# One more than there are processors: many tests wait.
ctest --test-dir build-sanitize --output-on-failure --no-tests=error --parallel "$(($(nproc) + 1))" "$@"
