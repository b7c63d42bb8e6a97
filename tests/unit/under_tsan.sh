#!/usr/bin/env bash
# under_tsan.sh TARGET [COMMAND…]: builds the target, with what it needs, in a directory of its own with ThreadSanitizer, and
# runs COMMAND, or the test of that name. Libraries are not built so: what they do among themselves is not looked at. Of
# libev that is what we want: what a loop calls of ours is looked at, and ours alone says who may touch a loop.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

target=$1
shift
cmake --preset thread >/dev/null
cmake --build --preset thread --target "$target"
[ $# -gt 0 ] || set -- "build-thread/tests/$target"
# Addresses that are too random are not where it looks for them.
TSAN_OPTIONS="halt_on_error=1 ignore_noninstrumented_modules=1 ${TSAN_OPTIONS:-}" \
    exec setarch "$(uname -m)" --addr-no-randomize "$@"
