#!/usr/bin/env python3
"""The tables of a measurement by run.sh, from its CSV: report.py FILE... (of several files all rows count)."""

import collections
import csv
import statistics
import sys

COLUMNS = ["group", "case", "subject", "process", "round", "metric", "value"]
BUILDS = ("tcp-tcp", "other")
PEERS = ["haproxy", "haproxy-splice", "nginx", "nginx-64k", "sniproxy"]


class Values:
    """Of one group; each is found as {round: value}."""

    def __init__(self, rows, group):
        self.values = {}
        self.subjects = []
        self.cases = []
        for row in rows:
            if row["group"] == group:
                self.add(row["subject"], row["process"], row["case"], row["metric"], row["round"], float(row["value"]))

    def add(self, subject, process, case, metric, number, value):
        self.values.setdefault((subject, process, case, metric), {})[number] = value
        if subject not in self.subjects:
            self.subjects.append(subject)
        if case not in self.cases:
            self.cases.append(case)

    def of(self, subject, process, case, metric):
        return self.values.get((subject, process, case, metric), {})

    def total(self, subject, case, metric):
        """Of all processes of a subject, and whatever was noted of it as a whole."""
        total = collections.defaultdict(float)
        for key, rounds in self.values.items():
            if key[0] == subject and key[2:] == (case, metric):
                for number, value in rounds.items():
                    total[number] += value
        return total

    def processes(self, subject):
        return list(dict.fromkeys(key[1] for key in self.values if key[0] == subject and key[1]))

    def best_peer(self, case, metric, more):
        """Of the peer with the best median."""
        found = [total for peer in PEERS if (total := self.total(peer, case, metric))]
        return (max if more else min)(found, key=median, default={})


def median(rounds):
    return statistics.median(rounds.values()) if rounds else None


def ratio(mine, base):
    """The median of the rounds' ratios: what a machine does at one time it does to both."""
    found = [mine[number] / base[number] for number in mine if base.get(number)]
    return statistics.median(found) if found else None


def number(value):
    if value is None:
        return ""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def bold(value):
    return "" if value is None else f"**{value:.2f}**"


def ratio_row(label, mine_and_base):
    cells = [bold(ratio(mine, base)) for mine, base in mine_and_base]
    return [[label, *cells]] if any(cells) else []


def table(values, columns, heads, compared=(), split=False, others=()):
    """
    A row for each subject, with `split` one more for each of its processes where it has several; then ratios, of those
    `compared` with the best peer, and of pairs of subjects. `columns`: (case, metric, whether more is better).
    """
    rows = []
    for subject in values.subjects:
        cells = [number(median(values.total(subject, case, metric))) for case, metric, _ in columns]
        if any(cells):
            rows.append([subject, *cells])
        processes = values.processes(subject)
        for process in processes if split and len(processes) > 1 else []:
            cells = [number(median(values.of(subject, process, case, metric))) for case, metric, _ in columns]
            rows.append([f"{subject}: {process}", *cells])
    for subject in compared:
        both = [(values.total(subject, case, metric), values.best_peer(case, metric, more)) for case, metric, more in columns]
        rows += ratio_row(f"{subject} ÷ best peer", both)
    for subject, other in others:
        both = [(values.total(subject, case, metric), values.total(other, case, metric)) for case, metric, _ in columns]
        rows += ratio_row(f"{subject} ÷ {other}", both)
    return markdown(["", *heads], rows)


def ratio_line(text, mine, base):
    found = ratio(mine, base)
    return "" if found is None else f"* {text}: {bold(found)}\n"


def connections(values):
    parts = []
    for case in values.cases:
        columns = [(case, "per_second", True), (case, "cpu_us", False)]
        heads = [f"{case}: new connections/s", "CPU µs per connection"]
        parts.append(table(values, columns, heads, ["tcp-tcp", "edge-classic"], split=True, others=[BUILDS]))
        for process in ("edge", "sidecar"):
            both = [values.of(subject, process, case, "cpu_us") for subject in ("pair", "pair-classic")]
            parts.append(ratio_line(f"{process}: CPU per turbo connection ÷ per classic one, both in a pair", *both))
    return "\n".join(filter(None, parts))


def bulk(values):
    pairs = [("pair", "pair-classic"), BUILDS]
    gbit = [(case, "gbit", True) for case in values.cases]
    cpu = [(case, "cpu_s_per_gib", False) for case in values.cases]
    return "\n".join([
        table(values, gbit, [f"Gbit/s, {case}" for case in values.cases], ["tcp-tcp"], others=pairs),
        table(values, cpu, [f"CPU-s/GiB, {case}" for case in values.cases], ["tcp-tcp"], split=True, others=pairs),
    ])  # fmt: skip


def memory(values):
    columns = [(case, "bytes", False) for case in values.cases]
    return table(values, columns, [f"bytes each, {case}" for case in values.cases], split=True, others=[BUILDS])


def latency(values):
    for subject in values.subjects:
        for case in values.cases if subject != "direct" else []:
            direct = values.total("direct", case, "p50_us")
            for turn, value in values.total(subject, case, "p50_us").items():
                if turn in direct:
                    values.add(subject, "", case, "added_us", turn, value - direct[turn])
    columns = [(case, metric, False) for case in values.cases for metric in ("p50_us", "added_us", "p99_us")]
    heads = [f"{case}, {metric.replace('_us', '')}, µs" for case, metric, _ in columns]
    return table(values, columns, heads, ["tcp-tcp", "edge-classic"], others=[BUILDS])


def growth(values):
    columns = [(case, "cpu_us", False) for case in values.cases]
    lines = []
    for subject in values.subjects:
        for process in values.processes(subject):
            for none, many in zip(values.cases[::2], values.cases[1::2]):
                both = [values.of(subject, process, case, "cpu_us") for case in (many, none)]
                label = subject if subject == process else f"{subject}: {process}"
                lines.append(ratio_line(f"{label}: {many} ÷ {none}", *both))
    heads = [f"CPU µs per connection, {case}" for case in values.cases]
    return table(values, columns, heads, split=True) + "\n" + "".join(lines)


def workers(values):
    columns = [(case, metric, False) for case in values.cases for metric in ("per_second", "cpu_us")]
    names = {"per_second": "connections/s", "cpu_us": "CPU µs per connection"}
    heads = [f"{case}: {names[metric]}" for case, metric, _ in columns]
    lines = []
    for subject in values.subjects:
        process = "edge" if subject == "pair" else subject
        for fewer, more in zip(values.cases, values.cases[1:]):
            both = [values.of(subject, process, case, "cpu_us") for case in (more, fewer)]
            label = subject if subject == process else f"{subject}: {process}"
            lines.append(ratio_line(f"{label}: CPU per connection, {more} ÷ {fewer}", *both))
    return table(values, columns, heads, split=True) + "\n" + "".join(lines)


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
        values = Values(rows, group)
        if values.values:
            parts.append(f"### {title}\n\n{make(values)}")
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
