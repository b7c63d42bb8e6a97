#!/usr/bin/python3
"""Draws docs/states.md from the state tables in turbo/.

    docs/draw_states.py           writes it
    docs/draw_states.py --check   says whether it is up to date (exit code 1: it is not)
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "docs/states.md"

MACHINES = [
    # title, the table, its states' declaration and prefix, the events' declaration
    ("The client end (protocol §6)", "turbo/client_machine.c", "turbo/include/turbo/client.h",
     "TURBO_CLIENT_", "turbo/client_session.h"),
    ("A session at the server end (protocol §7)", "turbo/server_machine.c", "turbo/server_session.h",
     "SERVER_", "turbo/server_session.h"),
]

HEAD = """# State machines

Drawn by `docs/draw_states.py` from the tables in the code; a test says when it has to be drawn again.
An arrow is `event / action`. What is not drawn cannot happen: the machine asserts. Events that change nothing are
listed below each diagram.
"""


def without_newlines(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def meanings(path: str, prefix: str) -> dict[str, str]:
    """What the comments beside enumerators say."""
    text = (ROOT / path).read_text()
    found = re.findall(rf"^\s*{prefix}(\w+),\s*/\*(.*?)\*/", text, re.M | re.S)
    return {name: without_newlines(meaning) for name, meaning in found}


def table(path: str, prefix: str) -> dict[str, list[tuple[str, str, str, str]]]:
    """State -> (event, kind, next state, action)."""
    text = re.sub(r"/\*.*?\*/", "", (ROOT / path).read_text(), flags=re.S)
    body = text[text.index("table[STATE_COUNT]"):]
    states = re.findall(rf"\[{prefix}(\w+)\]\s*=\s*\{{(.*?)\n\s*\}},", body[:body.index("};")], re.S)
    cell = re.compile(r"\[EVENT_(\w+)\]\s*=\s*(GO|DO|IGNORE)(?:\((\w+)(?:,\s*(\w+))?\))?")
    return {state: cell.findall(cells) for state, cells in states}


def words(name: str) -> str:
    return name.lower().replace("_", " ")


def draw(title: str, source: str, states_at: str, prefix: str, events_at: str) -> str:
    cells = table(source, prefix)
    lines = [f"\n## {title}\n", f"From `{source}`.\n", "```mermaid", "stateDiagram-v2",
             f"    [*] --> {next(iter(cells))}"]
    ignored = []
    for state, row in cells.items():
        for event, kind, following, action in row:
            if kind == "IGNORE":
                ignored.append((state, event))
            else:
                label = words(event) + (f" / {words(action)}" if action else "")
                lines.append(f"    {state} --> {following} : {label}")
    lines += ["```\n", "| state | meaning |", "|---|---|"]
    lines += [f"| {name} | {meanings(states_at, prefix).get(name, '')} |" for name in cells]
    explained = {name: text for name, text in meanings(events_at, "EVENT_").items()
                 if any(name == cell[0] for row in cells.values() for cell in row)}
    if explained:
        lines += ["", "| event | meaning |", "|---|---|"]
        lines += [f"| {words(name)} | {text} |" for name, text in explained.items()]
    if ignored:
        by_state: dict[str, list[str]] = {}
        for state, event in ignored:
            by_state.setdefault(state, []).append(words(event))
        lines += ["", "Without effect: " + "; ".join(
            f"in {state} {', '.join(events)}" for state, events in by_state.items()) + "."]
    return "\n".join(lines) + "\n"


def main() -> int:
    drawn = HEAD + "".join(draw(*machine) for machine in MACHINES)
    if "--check" in sys.argv[1:]:
        if OUTPUT.exists() and OUTPUT.read_text() == drawn:
            print(f"{OUTPUT.name} shows the tables as they are")
            return 0
        print(f"{OUTPUT.relative_to(ROOT)} does not show the tables as they are: run docs/draw_states.py")
        return 1
    OUTPUT.write_text(drawn)
    return 0


if __name__ == "__main__":
    sys.exit(main())
