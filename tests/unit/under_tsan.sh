#!/usr/bin/env bash
# Builds the test that is named, with what it needs, in a directory of its own with ThreadSanitizer, and
# runs it there. The TLS libraries are not built so: what they do among themselves is not looked at.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cmake --preset thread >/dev/null
cmake --build --preset thread --target "$1"
# Addresses that are too random are not where it looks for them.
TSAN_OPTIONS="halt_on_error=1 ignore_noninstrumented_modules=1 ${TSAN_OPTIONS:-}" \
    exec setarch "$(uname -m)" --addr-no-randomize "build-thread/tests/$1"
