#!/usr/bin/env python3
"""The part of syscalls.sh that counts, in a network namespace of its own."""

import argparse
import collections
import pathlib
import re
import subprocess
import sys
import tempfile

import report
from measure import Bench, backends, clean_up_when_ended, say
from processes import STOP_SECONDS, Failed, wait_until

SUBJECTS = ["haproxy", "nginx", "sniproxy", "tcp_tcp", "edge_classic", "pair"]


class Strace:
    """Counts the system calls of a process, and of those it starts, from now until `counts`."""

    def __init__(self, process, log):
        self.log = log
        pids = [word for pid in process.pids() for word in ("-p", str(pid))]
        self.popen = subprocess.Popen(
            ["strace", "-f", "-c", "-S", "calls", "-U", "calls,name", "-o", log, *pids], stderr=subprocess.DEVNULL
        )
        tracers = pathlib.Path(f"/proc/{process.popen.pid}/status")
        wait_until(lambda: not re.search(r"^TracerPid:\s*0$", tracers.read_text(), re.M), "strace has attached itself")

    def counts(self):
        self.popen.terminate()
        self.popen.wait(STOP_SECONDS)
        rows = re.findall(r"^ *(\d+) +(\w+)$", self.log.read_text(), re.M)
        return {name: int(count) for count, name in rows if name != "total"}


def count_calls(bench, name, count, directory):
    """{process: {call: how often for each connection}}"""
    with bench.subject(name) as subject:
        bench.warm_up(subject)
        traces = {process.name: Strace(process, directory / f"{name}-{process.name}") for process in subject.processes}
        bench.connections(subject, count)
        counted = {process: trace.counts() for process, trace in traces.items()}
    return {
        process: {call: calls / count for call, calls in counts.items()} for process, counts in counted.items()
    }


def table(columns):
    totals = collections.Counter()
    for calls in columns.values():
        totals.update(calls)
    names = [name for name, total in totals.most_common() if total >= 0.01 * len(columns)]
    rows = [["**all**", *(f"**{sum(calls.values()):.1f}**" for calls in columns.values())]]
    rows += [[name, *(f"{calls[name]:.2f}" if name in calls else "" for calls in columns.values())] for name in names]
    return report.markdown(["calls per connection", *columns], rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--subjects", type=lambda text: text.split(","))
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--program", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    arguments.size, arguments.rounds, arguments.proxy_core, arguments.load_core = "quick", 1, "0", "1"
    arguments.other = None
    clean_up_when_ended()
    columns = {}
    with tempfile.TemporaryDirectory(prefix="bench-relay-") as directory:
        directory = pathlib.Path(directory)
        directory.chmod(0o755)
        try:
            with backends(arguments, directory):
                bench = Bench(arguments, directory, None)
                for name in bench.wanted(SUBJECTS):
                    found = count_calls(bench, name, arguments.count, directory)
                    label = name.replace("_", "-")
                    columns |= {label if len(found) == 1 else f"{label}: {key}": value for key, value in found.items()}
                    say(label)
        except Failed as failure:
            sys.exit(f"syscalls.sh: {failure}")
    print(table(columns))


if __name__ == "__main__":
    main()
