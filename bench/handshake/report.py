#!/usr/bin/env python3
"""The table of a measurement by run.sh: report.py DIR.

Reads DIR/handshakes.csv and the proxies' logs, notes in handshakes.csv what the sidecar logged of each connection,
writes DIR/summary.csv and prints it as a table. Percentiles are of the nearest rank, over the connections that were all
right; a share is of all.
"""

import collections
import csv
import json
import math
import pathlib
import sys

# What a handshake may take above one round trip to count as "within".
ALLOWANCE_MS = 30
PERCENTILES = {"p50": 50, "p90": 90, "p99": 99, "max": 100}
OUTCOMES = ("turbo", "resumed-on-tcp", "classic")
TIMES = {"tls_done": "handshake_us", "first_byte": "first_byte_us"}


def read_rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def logged_connections(path):
    """What a proxy logged of each connection, in the order in which they ended: the client's port and the outcome."""
    with path.open() as file:
        for record in map(json.loads, file):
            if "outcome" in record:
                reason = f":{record['reason']}" if record["reason"] else ""
                yield record["client"].rpartition(":")[2], record["outcome"] + reason


def outcomes_by_port(path):
    outcomes = collections.defaultdict(collections.deque)
    for port, outcome in logged_connections(path):
        outcomes[port].append(outcome)
    return outcomes


def add_outcomes(cells, logs):
    """Fills in the detail of connections through the pair."""
    for (rtt, loss), ways in cells.items():
        outcomes = outcomes_by_port(logs / f"sidecar-{rtt}-{loss}.json") if "pair" in ways else {}
        for row in ways.get("pair", []):
            mine = outcomes[row["local_port"]]
            row["detail"] = mine.popleft() if mine else "not-logged"


def percentile(values, percent):
    """Of sorted values, by the nearest rank; None of none."""
    return values[max(math.ceil(len(values) * percent / 100), 1) - 1] if values else None


def times_of(rows):
    """Milliseconds by the names of summary.csv."""
    good = [row for row in rows if row["result"] == "ok"]
    result = {}
    for name, column in TIMES.items():
        values = sorted(int(row[column]) / 1000 for row in good)
        for label, percent in PERCENTILES.items():
            value = percentile(values, percent)
            result[f"{name}_{label}_ms"] = None if value is None else f"{value:.1f}"
    return result


def share(rows, holds):
    return 100 * sum(map(holds, rows)) / len(rows)


def outcome_share(rows, outcome):
    return share(rows, lambda row: row["detail"].split(":")[0] == outcome)


def summarise(rtt, loss, way, rows):
    def within(row):
        return row["result"] == "ok" and int(row["handshake_us"]) <= (float(rtt) + ALLOWANCE_MS) * 1000

    summary = {"rtt_ms": rtt, "loss_percent": loss, "way": way, "handshakes": len(rows)}
    summary["failed"] = sum(row["result"] != "ok" for row in rows)
    summary |= times_of(rows)
    summary["within_percent"] = f"{share(rows, within):.1f}"
    for outcome in OUTCOMES:
        column = outcome.replace("-", "_") + "_percent"
        summary[column] = f"{outcome_share(rows, outcome):.1f}" if way == "pair" else None
    return summary


def by_cell(rows):
    """{(rtt, loss): {way: rows}}, in the order in which they were measured."""
    cells = {}
    for row in rows:
        cells.setdefault((row["rtt_ms"], row["loss_percent"]), {}).setdefault(row["way"], []).append(row)
    return cells


def print_table(rtt, loss, summaries):
    print(f"\nRTT {rtt} ms, {loss} % lost in each direction (ms)")
    heads = "".join(f"  {name:>8}{'p90':>8}{'p99':>8}{'max':>8}" for name in ("TLS done", "1st byte"))
    print(f"{'':8}{'n':>6}{'failed':>7}{heads}  {f'<= {rtt}+{ALLOWANCE_MS}':>10}")
    for summary in summaries:
        times = ""
        for name in TIMES:
            times += "  " + "".join(f"{summary[f'{name}_{label}_ms'] or '-':>8}" for label in PERCENTILES)
        print(f"{summary['way']:8}{summary['handshakes']:>6}{summary['failed']:>7}{times}"
              f"  {summary['within_percent'] + ' %':>10}")


def print_shares(title, names):
    counts = collections.Counter(names)
    parts = (f"{name} {100 * count / counts.total():.1f} %" for name, count in counts.most_common())
    if counts:
        print(f"  {title} ({counts.total()}): {', '.join(parts)}")


def print_cell(cell, ways, summaries, logs):
    """The table, and what else there is to say: outcomes, whether Fast Open worked, errors."""
    print_table(*cell, summaries)
    for way, rows in ways.items():
        print_shares(way, (row["detail"] for row in rows if row["detail"] != "-"))
        print_shares(f"{way}, failed", (row["result"] for row in rows if row["result"] != "ok"))
    edge = logs / f"edge-{cell[0]}-{cell[1]}.json"
    if "pair" in ways and edge.exists():
        print_shares("edge", (outcome for _, outcome in logged_connections(edge)))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    rows = read_rows(out / "handshakes.csv")
    if not rows:
        sys.exit(f"{out / 'handshakes.csv'} has no rows")
    cells = by_cell(rows)
    add_outcomes(cells, out / "logs")
    write_rows(out / "handshakes.csv", rows)
    summaries = {cell: [summarise(*cell, *way) for way in ways.items()] for cell, ways in cells.items()}
    write_rows(out / "summary.csv", sum(summaries.values(), []))
    for cell, ways in cells.items():
        print_cell(cell, ways, summaries[cell], out / "logs")


if __name__ == "__main__":
    main()
