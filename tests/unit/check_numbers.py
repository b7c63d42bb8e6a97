#!/usr/bin/python3
"""docs/protocol.md §8 and turbo/protocol.h say the same numbers. Usage: check_numbers.py REPOSITORY"""

import re
import sys
from pathlib import Path

SECONDS = {"ms": 1_000, "s": 1_000_000}  # in the header's microseconds


def header(text: str) -> dict[str, float]:
    """Every constant, its expression evaluated."""
    values: dict[str, float] = {}
    for name, expression in re.findall(r"^#define ((?:TURBO|SANDWICH)_\w+)\s+([^/\n]+)", text.replace("\\\n", ""), re.M):
        for known in sorted(values, key=len, reverse=True):
            expression = expression.replace(known, str(values[known]))
        values[name] = eval(re.sub(r"(?<=\d)u(ll)?\b", "", expression))  # our own header
    return values


def table(text: str) -> dict[str, float]:
    """The constants of the document's table; a time is turned into microseconds."""
    rows = re.findall(r"`((?:TURBO|SANDWICH)_\w+)` \| ([0-9a-fx.]+)(?: (ms|s))? \|", text)
    return {name: int(number, 16) if number.startswith("0x") else float(number) * SECONDS.get(unit, 1)
            for name, number, unit in rows}


def main() -> int:
    root = Path(sys.argv[1])
    code = header((root / "turbo/include/turbo/protocol.h").read_text())
    document = table((root / "docs/protocol.md").read_text())
    units = {"TURBO_MILLISECOND", "TURBO_SECOND"}
    wrong = [f"{name}: the header says {code.get(name)}, the document {document.get(name)}"
             for name in sorted((code.keys() | document.keys()) - units)
             if code.get(name) != document.get(name)]
    print("\n".join(wrong) or f"{len(document)} numbers agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
