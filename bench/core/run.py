#!/usr/bin/python3
"""Measures libturbo alone, without sockets: instructions, nanoseconds and bytes.

Instructions are counted by valgrind (callgrind), which is exact and the same at each run: of a handshake with a flight of three
chunks (client end and server end together; a second one with a chunk lost), and of datagrams that an endpoint drops. They are
kept in instructions.txt beside this program, and --check fails where one has grown by more than 5 %.

They depend on the compiler and its flags (release preset; Debian 12's gcc 12) and a little on the C library; of the machine
they do not depend, since the library's choices by processor (memcpy) are switched off. SHA-256 is a stand-in: it is its library's.

Prints CSV: what, unit, value.
"""
import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
KEPT = HERE / "instructions.txt"
MAY_GROW = 1.05
FEW, MANY = 50, 250
# memcpy and its like as on any x86-64, whatever the processor has.
PLAIN_LIBC = "glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX512VL,-AVX512BW,-ERMS,-FSRM,-SSE4_1,-SSE4_2,-SSSE3"


def collected(core: Path, work: str, times: int) -> int:
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(core), work, str(times)],
                          env={**os.environ, "GLIBC_TUNABLES": PLAIN_LIBC}, stderr=subprocess.PIPE, text=True, check=False)
    found = re.search(r"Collected\s*:\s*(\d+)", done.stderr)
    if done.returncode != 0 or found is None:
        sys.exit(f"run.py: counting {work} failed:\n{done.stderr}")
    return int(found.group(1))


def count_all(core: Path) -> dict[str, int]:
    """Instructions that one time takes, of each kind of work: what comes once, at the start, is left out."""
    names = subprocess.run([str(core), "names"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    counts = {}
    for name in names:
        print(f"counting {name}", file=sys.stderr)
        counts[name] = round((collected(core, name, MANY) - collected(core, name, FEW)) / (MANY - FEW))
    return counts


def kept() -> dict[str, int]:
    lines = [line.split() for line in KEPT.read_text().splitlines() if line and not line.startswith("#")]
    return {name: int(value) for name, value in lines}


def accept(counts: dict[str, int]) -> None:
    lines = ["# Instructions, by bench/core/run.py --accept: Debian 12's gcc 12, release preset.",
             *(f"{name} {value}" for name, value in counts.items())]
    KEPT.write_text("\n".join(lines) + "\n")


def check(counts: dict[str, int]) -> int:
    """The exit code: 1 where something costs more than it did."""
    before, code = kept(), 0
    for name, value in counts.items():
        if name not in before:
            print(f"{name}: {value} instructions, and none are kept in {KEPT.name}: run.py --accept keeps them")
            code = 1
        elif value > before[name] * MAY_GROW:
            print(f"{name}: {value} instructions, {value / before[name] - 1:.1%} more than the {before[name]} in {KEPT.name}. "
                  "Make it cheaper, or accept it with bench/core/run.py --accept and say why in the commit")
            code = 1
        else:
            print(f"{name}: {value} instructions, {value / before[name] - 1:+.1%}")
    return code


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=HERE.parent.parent / "build", help="the release build (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="only compare instructions with instructions.txt")
    parser.add_argument("--accept", action="store_true", help="only count instructions, and keep them in instructions.txt")
    options = parser.parse_args()
    core = options.build / "bench" / "core" / "core"
    if not core.exists():
        parser.error(f"{core} is missing: build it with `cmake --build --preset release --target bench_core`")
    counts = count_all(core)
    if options.accept:
        accept(counts)
    if options.check:
        return check(counts)
    print("what,unit,value")
    for name, value in counts.items():
        print(f"{name},instructions,{value}")
    if not options.accept:
        print("timing", file=sys.stderr)
        subprocess.run([str(core)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
