#!/usr/bin/env bash
# headers.sh INCLUDE_DIR: each public header of libtunnel compiles alone, as C17 and as C++17, without a warning.
set -euo pipefail

include=${1:?usage: headers.sh INCLUDE_DIR}
flags=(-I "$include" -Wall -Wextra -Wpedantic -pedantic-errors -Wundef -Werror -fsyntax-only)
for header in "$include"/tunnel/*.h; do
    name=tunnel/$(basename "$header")
    # Twice: it is guarded.
    printf '#include <%s>\n#include <%s>\nint main(void) { return 0; }\n' "$name" "$name" | cc -std=c17 -Wstrict-prototypes "${flags[@]}" -x c -
    printf '#include <%s>\n#include <%s>\nint main() { return 0; }\n' "$name" "$name" | clang++ -std=c++17 "${flags[@]}" -x c++ -
done
echo "the headers compile as C and as C++"
