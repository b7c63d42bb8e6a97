#!/usr/bin/env python3
"""The table of a measurement by run.sh: report.py DIR.

Reads DIR/handshakes.csv and the sidecars' logs, notes in handshakes.csv what the sidecar logged of each connection,
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
PERCENTS = (50, 90, 99, 100)
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


def logged_outcomes(path):
    """By the client's port, in the order in which the connections ended: what became of each."""
    outcomes = collections.defaultdict(collections.deque)
    with path.open() as file:
        for line in file:
            record = json.loads(line)
            if "outcome" in record:
                reason = f":{record['reason']}" if record["reason"] else ""
                outcomes[record["client"].rpartition(":")[2]].append(record["outcome"] + reason)
    return outcomes


def add_outcomes(rows, logs):
    """Fills in the detail of connections through the pair."""
    cells = {}
    for row in rows:
        if row["way"] != "pair":
            continue
        cell = f"{row['rtt_ms']}-{row['loss_percent']}"
        if cell not in cells:
            cells[cell] = logged_outcomes(logs / f"sidecar-{cell}.json")
        outcomes = cells[cell][row["local_port"]]
        row["detail"] = outcomes.popleft() if outcomes else "not-logged"


def percentile(values, percent):
    """Of sorted values, by the nearest rank; None of none."""
    return values[max(math.ceil(len(values) * percent / 100), 1) - 1] if values else None


def times_of(rows):
    """Name and milliseconds of each percentile."""
    good = [row for row in rows if row["result"] == "ok"]
    for name, column in TIMES.items():
        values = sorted(int(row[column]) / 1000 for row in good)
        for percent in PERCENTS:
            label = "max" if percent == 100 else f"p{percent}"
            yield f"{name}_{label}_ms", percentile(values, percent)


def share(rows, holds):
    return 100 * sum(map(holds, rows)) / len(rows)


def summarise(rtt, loss, way, rows):
    def within(row):
        return row["result"] == "ok" and int(row["handshake_us"]) <= (float(rtt) + ALLOWANCE_MS) * 1000

    summary = {"rtt_ms": rtt, "loss_percent": loss, "way": way, "handshakes": len(rows)}
    summary["failed"] = sum(row["result"] != "ok" for row in rows)
    summary.update((name, None if ms is None else f"{ms:.1f}") for name, ms in times_of(rows))
    summary["within_percent"] = f"{share(rows, within):.1f}"
    for outcome in OUTCOMES:
        mine = way == "pair"
        part = share(rows, lambda row, outcome=outcome: row["detail"].split(":")[0] == outcome)
        summary[outcome.replace("-", "_") + "_percent"] = f"{part:.1f}" if mine else None
    return summary


def groups(rows):
    """The rows of each way in each cell, the ways of a cell in the same order."""
    result = {}
    for row in rows:
        result.setdefault((row["rtt_ms"], row["loss_percent"], row["way"]), []).append(row)
    return result


def print_cell(rtt, loss, summaries, details):
    within = f"<= {rtt}+{ALLOWANCE_MS}"
    print(f"\nRTT {rtt} ms, {loss} % lost in each direction (ms)")
    print(f"{'':8}{'n':>6}{'failed':>7}  {'TLS done':>8}{'p90':>8}{'p99':>8}{'max':>8}"
          f"  {'1st byte':>8}{'p90':>8}{'p99':>8}{'max':>8}  {within:>10}")
    for summary in summaries:
        values = list(summary.values())[5:13]
        cells = [f"{value or '-':>8}" for value in values]
        print(f"{summary['way']:8}{summary['handshakes']:>6}{summary['failed']:>7}  {''.join(cells[:4])}"
              f"  {''.join(cells[4:])}  {summary['within_percent'] + ' %':>10}")
    for way, counts in details.items():
        total = sum(counts.values())
        print(f"  {way}: " + ", ".join(f"{name} {100 * count / total:.1f} %" for name, count in counts.most_common()))


def details_of(rows):
    """What there is to say about the connections of each way: outcomes, whether Fast Open worked, errors."""
    result = collections.defaultdict(collections.Counter)
    for row in rows:
        if row["result"] != "ok":
            result[f"{row['way']}, failed"][row["result"]] += 1
        if row["detail"] != "-":
            result[row["way"]][row["detail"]] += 1
    return result


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    rows = read_rows(out / "handshakes.csv")
    if not rows:
        sys.exit(f"{out / 'handshakes.csv'} has no rows")
    add_outcomes(rows, out / "logs")
    write_rows(out / "handshakes.csv", rows)
    summaries = [summarise(*key, mine) for key, mine in groups(rows).items()]
    write_rows(out / "summary.csv", summaries)
    for cell in dict.fromkeys((summary["rtt_ms"], summary["loss_percent"]) for summary in summaries):
        mine = [row for row in rows if (row["rtt_ms"], row["loss_percent"]) == cell]
        print_cell(*cell, [summary for summary in summaries
                           if (summary["rtt_ms"], summary["loss_percent"]) == cell], details_of(mine))


if __name__ == "__main__":
    main()
