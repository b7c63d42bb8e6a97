"""Round trips until the client's first bytes within TLS are sent, and are answered, and whether they are as the table says.

    judge.py RTT_MS WORK WAYS BAD

WORK and WAYS are what `harness.migration measure` printed without and with the path's delay; beside each lies the capture
(.pcap, .1.pcap, … of one run after another). Delay is never early: of several connections the least is the path's, less
what the same ends take without delay. Writes to BAD the lines "CLIENT SERVER VERSION" that do not hold; exit code 1 for any.
"""

import json
import sys
from pathlib import Path

from harness.migration import CELLS, CLIENTS, SERVERS
from packets import Moments, moments, packets

EARLY, LATE = 0.1, 0.3
"""Round trips that a figure may be off: the proxies' own work, and the stalls of a machine that is shared with others."""

Row = tuple[str, str, str]


def least(results: Path) -> dict[Row, Moments]:
    capture = sorted((packet for file in results.parent.glob(results.name + "*.pcap") for packet in packets(file)),
                     key=lambda packet: packet.time)
    found: dict[Row, Moments] = {}
    for line in results.read_text().splitlines():
        row = json.loads(line)
        key = row["client"], row["server"], row["version"]
        took = moments(capture, row["began"], row["ended"])
        if took is None or "problem" in row:
            print(f"  {', '.join(key)}: {row.get('problem', 'the capture lacks some of it')}")
            continue
        before = found.get(key, took)
        found[key] = Moments(min(took.sent, before.sent), min(took.answered, before.answered))
    return found


def main() -> int:
    rtt_s = int(sys.argv[1]) / 1000
    work, ways = (least(Path(name)) for name in sys.argv[2:4])
    bad = []
    print("| client   | server   | TLS | sent | answered | as the table says |\n"
          "|----------|----------|-----|------|----------|-------------------|")
    for row in ((client, server, version) for client in CLIENTS for server in SERVERS for version in ("1.2", "1.3")):
        client, server, version = row
        wanted = CELLS[client, server].trips(version)
        took = [float("nan")] * 2
        if row in work and row in ways:
            took = [(ways[row].sent - work[row].sent) / rtt_s, (ways[row].answered - work[row].answered) / rtt_s]
        good = all(least - EARLY <= trips <= least + LATE for trips, least in zip(took, wanted))
        print(f"| {client:8} | {server:8} | {version} | {took[0]:4.2f} | {took[1]:8.2f} "
              f"| {'yes' if good else 'NO':3}, {wanted[0]} / {wanted[1]:<8} |")
        bad += [] if good else [" ".join(row)]
    Path(sys.argv[4]).write_text("".join(f"{row}\n" for row in bad))
    return 1 if bad else 0


sys.exit(main())
