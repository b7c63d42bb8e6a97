#!/usr/bin/env python3
"""The tables of a measurement by run.sh, from its CSV: report.py FILE... (of several files all rows count)."""

import collections
import csv
import statistics
import sys

COLUMNS = ["group", "case", "subject", "process", "round", "metric", "value"]
PEERS = ["haproxy", "haproxy-splice", "nginx", "nginx-64k", "sniproxy"]


class Medians:
    """Of the rounds of one group: {(subject, process): {(case, metric): median}}, in the order measured."""

    def __init__(self, rows, group):
        values = collections.defaultdict(lambda: collections.defaultdict(list))
        for row in rows:
            if row["group"] == group:
                values[row["subject"], row["process"]][row["case"], row["metric"]].append(float(row["value"]))
        self.values = {
            key: {column: statistics.median(found) for column, found in columns.items()}
            for key, columns in values.items()
        }

    def of(self, subject, process, case, metric):
        return self.values.get((subject, process), {}).get((case, metric))

    def total(self, subject, case, metric):
        """Of all processes of a subject, and whatever was noted of it as a whole."""
        found = [
            columns[case, metric]
            for (name, _), columns in self.values.items()
            if name == subject and (case, metric) in columns
        ]
        return sum(found) if found else None

    def subjects(self):
        return list(dict.fromkeys(subject for subject, _ in self.values))

    def processes(self, subject):
        return [process for name, process in self.values if name == subject and process]

    def cases(self):
        return list(dict.fromkeys(case for columns in self.values.values() for case, _ in columns))

    def best_peer(self, case, metric, best=min):
        found = [value for peer in PEERS if (value := self.total(peer, case, metric)) is not None]
        return best(found) if found else None


def number(value):
    if value is None:
        return ""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def ratio_row(medians, subject, columns):
    """`columns`: (case, metric, whether more is better)."""
    cells = [f"{subject} ÷ best peer"]
    for case, metric, more in columns:
        mine, peer = medians.total(subject, case, metric), medians.best_peer(case, metric, max if more else min)
        cells.append(f"**{mine / peer:.2f}**" if mine is not None and peer else "")
    return cells


def table(medians, columns, heads, compared, split=False):
    """A row for each subject, with `split` one more for each of its processes where it has several."""
    rows = []
    for subject in medians.subjects():
        cells = [number(medians.total(subject, case, metric)) for case, metric, _ in columns]
        if any(cells):
            rows.append([subject, *cells])
        processes = medians.processes(subject)
        for process in processes if split and len(processes) > 1 else []:
            cells = [number(medians.of(subject, process, case, metric)) for case, metric, _ in columns]
            rows.append([f"{subject}: {process}", *cells])
    rows += [
        ratio_row(medians, name, columns)
        for name in compared
        if name in medians.subjects() and any(peer in medians.subjects() for peer in PEERS)
    ]
    return markdown(["", *heads], rows)


def ratio_line(text, value, base):
    return f"* {text}: **{value / base:.2f}**\n" if value is not None and base else ""


def connections(medians):
    parts = []
    for case in medians.cases():
        columns = [(case, "per_second", True), (case, "cpu_us", False)]
        heads = [f"{case}: new connections/s", "CPU µs per connection"]
        parts.append(table(medians, columns, heads, ["tcp-tcp", "edge-classic"], split=True))
        turbo = medians.of("pair", "edge", case, "cpu_us")
        classic = medians.of("pair-classic", "edge", case, "cpu_us")
        parts.append(ratio_line("edge: turbo ÷ classic, both behind a sidecar (goal: ≤ 1.5)", turbo, classic))
        turbo = medians.of("pair", "sidecar", case, "cpu_us")
        classic = medians.of("pair-classic", "sidecar", case, "cpu_us")
        parts.append(ratio_line("sidecar: turbo ÷ classic", turbo, classic))
    return "\n".join(parts)


def bulk(medians):
    cases = medians.cases()
    gbit = [(case, "gbit", True) for case in cases]
    cpu = [(case, "cpu_s_per_gib", False) for case in cases]
    return "\n".join([
        table(medians, gbit, [f"Gbit/s, {case}" for case in cases], ["tcp-tcp", "pair"]),
        table(medians, cpu, [f"CPU-s/GiB, {case}" for case in cases], ["tcp-tcp"], split=True),
    ])  # fmt: skip


def memory(medians):
    cases = medians.cases()
    columns = [(case, "bytes", False) for case in cases]
    return table(medians, columns, [f"bytes each, {case}" for case in cases], [], split=True)


def latency(medians):
    columns = [(case, quantile, False) for case in medians.cases() for quantile in ("p50_us", "p99_us")]
    for subject in medians.subjects():
        if subject == "direct":
            continue
        for case in medians.cases():
            mine, direct = medians.total(subject, case, "p50_us"), medians.total("direct", case, "p50_us")
            if direct is not None:
                medians.values[subject, ""][case, "added_us"] = mine - direct
    columns = [(case, metric, False) for case in medians.cases() for metric in ("p50_us", "added_us", "p99_us")]
    heads = [f"{case}, {metric.replace('_us', '')}, µs" for case, metric, _ in columns]
    return table(medians, columns, heads, ["tcp-tcp", "edge-classic"])


def growth(medians):
    cases = medians.cases()
    columns = [(case, "cpu_us", False) for case in cases]
    lines = []
    for subject, process in medians.values:
        for none, many in zip(cases[::2], cases[1::2]):
            found = [medians.of(subject, process, case, "cpu_us") for case in (many, none)]
            lines.append(ratio_line(f"{subject} ({process}): {many} ÷ {none} (goal: ≤ 1.1)", *found))
    heads = [f"CPU µs per connection, {case}" for case in cases]
    return table(medians, columns, heads, [], split=True) + "\n" + "".join(lines)


def workers(medians):
    cases = medians.cases()
    columns = [(case, metric, False) for case in cases for metric in ("per_second", "cpu_us")]
    names = {"per_second": "connections/s", "cpu_us": "CPU µs per connection"}
    heads = [f"{case} workers: {names[metric]}" for case, metric, _ in columns]
    lines = []
    for subject in medians.subjects():
        for fewer, more in zip(cases, cases[1:]):
            process = "edge" if subject == "pair" else subject
            lines.append(
                ratio_line(
                    f"{subject} ({process}), CPU per connection, {more} workers ÷ {fewer} (goal: ≤ 1.1)",
                    medians.of(subject, process, more, "cpu_us"),
                    medians.of(subject, process, fewer, "cpu_us"),
                )
            )
    return table(medians, columns, heads, [], split=True) + "\n" + "".join(lines)


TITLES = {
    "connections": ("New connections", connections),
    "tls": ("New connections of real TLS", connections),
    "bulk": ("Bytes", bulk),
    "memory": ("Private memory per connection", memory),
    "latency": ("Latency", latency),
    "growth": ("New connections beside idle ones", growth),
    "workers": ("Workers", workers),
}


def text(rows):
    parts = []
    for group, (title, make) in TITLES.items():
        medians = Medians(rows, group)
        if medians.values:
            parts.append(f"### {title}\n\n{make(medians)}")
    return "\n".join(parts)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    rows = []
    for name in sys.argv[1:]:
        with open(name, newline="", encoding="utf-8") as file:
            rows += csv.DictReader(file)
    print(text(rows))


if __name__ == "__main__":
    main()
