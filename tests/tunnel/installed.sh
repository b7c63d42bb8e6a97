#!/usr/bin/env bash
# installed.sh BUILD_DIR: libtunnel as a user has it. It is installed into a directory of its own, found by
# pkg-config, and every example is compiled and linked outside of this tree; one runs.
set -euo pipefail

build=$(realpath "${1:?usage: installed.sh BUILD_DIR}")
place=$(mktemp -d)
examples=$place/usr/share/libtunnel/examples
trap 'rm -rf "$place"' EXIT

cmake --install "$build" --prefix "$place/usr" --component tunnel >/dev/null
cd "$place"
PKG_CONFIG_PATH=$place/$(dirname "$(find usr -name libtunnel.pc)")
export PKG_CONFIG_PATH
flags=$(pkg-config --cflags --libs libtunnel)
library=$(pkg-config --variable=libdir libtunnel)

for source in "$examples"/*.c; do
    # shellcheck disable=SC2086 # several words
    cc -std=c17 -Wall -Werror "$source" -o "$(basename "$source" .c)" $flags
done
# Not by `ldd | grep -q`: ldd writes line by line, and fails where grep has gone after the one it looks for.
if [[ $(ldd echo_client) == *"$build"* ]]; then
    echo "an example found the library in the build tree, not where it was installed" >&2
    exit 1
fi
# It is loaded from there, and works.
[[ $(LD_LIBRARY_PATH=$library ldd echo_client) == *"libtunnel.so.0 => $library/"* ]]
said=$(LD_LIBRARY_PATH=$library ./upgradeable_client 1 /nowhere/client.txtpb name 2>&1 || true)
grep -q "/nowhere/client.txtpb: cannot be read" <<<"$said"
echo "libtunnel $(pkg-config --modversion libtunnel): installed, found, and used by $(ls "$examples" | wc -l) examples"
