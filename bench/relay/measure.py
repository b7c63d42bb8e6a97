#!/usr/bin/env python3
"""The part of run.sh that measures, in a network namespace of its own; run.sh --help tells what."""

import argparse
import contextlib
import csv
import pathlib
import subprocess
import sys
import tempfile
import time

import report
from processes import Failed, Process, listens, pinned, wait_until
from subjects import BACKEND_PORT, Starter

PEERS = ["haproxy", "nginx", "sniproxy"]
OURS = ["tcp_tcp", "edge_classic", "pair_classic", "pair"]
PARALLEL = 64
TURBO_SHARE = 0.99  # of a pair's connections that must have used UDP
TURBO = r'^turbotls_connections_total{.*outcome="turbo"'
GIB = 1 << 30
SIZES = {
    "full": {
        "rounds": 5, "connections": 20000, "bytes": 2 * GIB, "idle": [5000, 9500], "memory_rounds": 1,
        "settle": 4, "latency": 2000, "ping_pong": 20000,
    },
    "quick": {
        "rounds": 1, "connections": 5000, "bytes": GIB // 2, "idle": [2000], "memory_rounds": 1,
        "settle": 4, "latency": 500, "ping_pong": 5000,
    },
    "smoke": {
        "rounds": 1, "connections": 300, "bytes": GIB // 64, "idle": [100], "memory_rounds": 1,
        "settle": 0.1, "latency": 20, "ping_pong": 100,
    },
}  # fmt: skip


def say(text):
    print(f"{time.strftime('%T')} {text}", file=sys.stderr, flush=True)


class Bench:
    """Starter, load generator, sizes, and where the rows go."""

    def __init__(self, arguments, directory, writer):
        self.build = arguments.build
        self.size = SIZES[arguments.size]
        self.rounds = arguments.rounds or self.size["rounds"]
        self.load_core = arguments.load_core
        self.starter = Starter(directory, arguments.program, arguments.proxy_core)
        self.writer = writer
        self.rows = []

    def note(self, group, case, subject, process, number, **values):
        for metric, value in values.items():
            row = {
                "group": group, "case": case, "subject": subject.replace("_", "-"), "process": process,
                "round": number, "metric": metric, "value": f"{value:.6g}",
            }  # fmt: skip
            self.rows.append(row)
            self.writer.writerow(row)

    def load_command(self, command, subject, **options):
        program = self.build / "bin" / "relay_load"
        words = [program, command, "--to", f"127.0.0.1:{subject.port}"]
        for name, value in options.items():
            words += [f"--{name}", value]
        return pinned(self.load_core, words)

    def load(self, command, subject, **options):
        """What the load generator prints, by name."""
        words = self.load_command(command, subject, **options)
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"{subject.name}: {command}: {done.stdout}{done.stderr}")
        return {name: float(value) for name, value in map(str.split, done.stdout.splitlines())}

    @contextlib.contextmanager
    def subject(self, name, *arguments, **options):
        started = getattr(self.starter, name)(*arguments or (BACKEND_PORT,), **options)
        try:
            yield started
        finally:
            started.stop()

    def in_turns(self, subjects, group, measure):
        """Starts all of them, and measures each in each round: from the first to the last, then back again."""
        with contextlib.ExitStack() as stack:
            started = [stack.enter_context(self.subject(name)) for name in subjects]
            for subject in started:
                self.load("connections", subject, count=min(500, self.size["connections"]), parallel=PARALLEL)
            for number in range(1, self.rounds + 1):
                for subject in started if number % 2 else reversed(started):
                    measure(subject, number)
                say(f"{group}: round {number} of {self.rounds}")


def cpu_of(subject, work):
    """What `work` returns, and the nanoseconds each process of the subject took meanwhile."""
    before = subject.cpu_ns()
    result = work()
    after = subject.cpu_ns()
    return result, {name: after[name] - before[name] for name in after}


def check_turbo(subject, before, count):
    """A pair's connections are not measured as turbo unless they were."""
    try:
        wait_until(lambda: subject.metric(TURBO) - before >= TURBO_SHARE * count, "they were turbo")
    except Failed as failure:
        outcomes = "\n".join(subject.metrics("^turbotls_(connections_total|sessions_|udp_)"))
        raise Failed(f"not {TURBO_SHARE:.0%} of {count} connections used UDP. Of all:\n{outcomes}") from failure


def connections_once(bench, subject, number, group, case, count):
    before = subject.metric(TURBO) if subject.name == "pair" else 0
    result, spent = cpu_of(subject, lambda: bench.load("connections", subject, count=count, parallel=PARALLEL))
    if subject.name == "pair":
        check_turbo(subject, before, count)
    bench.note(group, case, subject.name, "", number, per_second=count / result["seconds"])
    for process, nanoseconds in spent.items():
        bench.note(group, case, subject.name, process, number, cpu_us=nanoseconds / 1e3 / count)


def measure_connections(bench):
    def once(subject, number):
        connections_once(bench, subject, number, "connections", "pseudo", bench.size["connections"])

    bench.in_turns(["direct", *PEERS, *OURS], "connections", once)


def measure_bulk(bench):
    def once(subject, number):
        for direction in ("up", "down"):
            for streams in (1, 8):
                total = bench.size["bytes"]
                result, spent = cpu_of(
                    subject, lambda: bench.load(direction, subject, count=streams, bytes=total // streams)
                )
                case = f"{streams} {direction}"
                bench.note("bulk", case, subject.name, "", number, gbit=total * 8 / 1e9 / result["seconds"])
                for process, nanoseconds in spent.items():
                    per_gib = nanoseconds / 1e9 / (total / GIB)
                    bench.note("bulk", case, subject.name, process, number, cpu_s_per_gib=per_gib)

    subjects = ["direct", "haproxy", "haproxy_splice", "nginx", "nginx_64k", "sniproxy", "tcp_tcp", "pair"]
    bench.in_turns(subjects, "bulk", once)


class Held:
    """Idle connections through a subject, by a load generator that waits for commands."""

    def __init__(self, bench, subject, count):
        self.count = count
        self.popen = subprocess.Popen(
            bench.load_command("hold", subject, count=count, parallel=PARALLEL),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.expect("held")

    def expect(self, word):
        line = self.popen.stdout.readline().split()
        if line != [word, str(self.count)]:
            raise Failed(f"not all of {self.count} connections were {word}: {line}")

    def exchange(self):
        self.popen.stdin.write("exchange\n")
        self.popen.stdin.flush()
        self.expect("exchanged")

    def close(self):
        self.popen.communicate("close\n")


def settled_memory(bench, subject):
    """Private memory, a while later: a TurboTLS session is given up 2 s after its opening, at the latest."""
    time.sleep(bench.size["settle"] if subject.name == "pair" else min(1, bench.size["settle"]))
    return {name: values["Private_Dirty"] for name, values in subject.memory().items()}


def memory_once(bench, name, count, number):
    with bench.subject(name) as subject:
        empty = settled_memory(bench, subject)

        def note(case):
            for process, now in settled_memory(bench, subject).items():
                per_connection = (now - empty[process]) / count
                bench.note("memory", f"{count} {case}", subject.name, process, number, bytes=per_connection)

        held = Held(bench, subject, count)
        note("idle")
        held.exchange()
        note("after 32 KiB")
        held.close()
        note("closed")


def measure_memory(bench):
    names = ["haproxy", "nginx", "sniproxy", "tcp_tcp", "edge_classic", "pair"]
    for number in range(1, bench.size["memory_rounds"] + 1):
        for name in names if number % 2 else reversed(names):
            for count in bench.size["idle"]:
                memory_once(bench, name, count, number)
            say(f"memory: {name}")


def measure_latency(bench):
    def once(subject, number):
        for case, size in (("first-byte", "latency"), ("ping-pong", "ping_pong")):
            result = bench.load(case, subject, count=bench.size[size])
            bench.note("latency", case, subject.name, "", number, **result)

    bench.in_turns(["direct", *PEERS, *OURS], "latency", once)


def measure_growth(bench):
    """The same connections beside none, beside many idle ones, and beside none again."""
    count, idle = bench.size["connections"], bench.size["idle"][-1]
    names = ["haproxy", "nginx", "sniproxy", "tcp_tcp", "edge_classic"]
    for number in range(1, bench.rounds + 1):
        for name in names if number % 2 else reversed(names):
            with bench.subject(name) as subject:
                bench.load("connections", subject, count=min(500, count), parallel=PARALLEL)
                connections_once(bench, subject, number, "growth", "0 idle", count)
                held = Held(bench, subject, idle)
                connections_once(bench, subject, number, "growth", f"{idle} idle", count)
                held.close()
        say(f"growth: round {number} of {bench.rounds}")


def measure_workers(bench):
    """CPU per connection with 1, 2 and 8 workers, which may use every core, as may all else."""
    if not bench.starter.takes_workers:
        say("workers: this program has no --workers; left out")
        return
    cores = f"{bench.starter.cores},{bench.load_core}"
    with contextlib.ExitStack() as stack:
        started = []
        for kind in ("tcp_tcp", "edge_classic", "pair"):
            for workers in (1, 2, 8):
                subject = stack.enter_context(bench.subject(kind, workers=workers, cores=cores))
                bench.load("connections", subject, count=min(500, bench.size["connections"]), parallel=PARALLEL)
                started.append((workers, subject))
        for number in range(1, bench.rounds + 1):
            for workers, subject in started if number % 2 else reversed(started):
                count = bench.size["connections"]
                connections_once(bench, subject, number, "workers", f"{workers}", count)
            say(f"workers: round {number} of {bench.rounds}")


GROUPS = {
    "connections": measure_connections,
    "bulk": measure_bulk,
    "memory": measure_memory,
    "latency": measure_latency,
    "growth": measure_growth,
    "workers": measure_workers,
}


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--only", default=",".join(GROUPS))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--csv", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--program", type=pathlib.Path, required=True)
    parser.add_argument("--proxy-core", default="0")
    parser.add_argument("--load-core", default="1")
    return parser.parse_args()


def measure(arguments):
    with tempfile.TemporaryDirectory(prefix="bench-relay-") as directory, arguments.csv.open("w", newline="") as file:
        directory = pathlib.Path(directory)
        directory.chmod(0o755)
        writer = csv.DictWriter(file, report.COLUMNS, lineterminator="\n")
        writer.writeheader()
        bench = Bench(arguments, directory, writer)
        backend_program = arguments.build / "bin" / "relay_backend"
        command = [backend_program, f"0.0.0.0:{BACKEND_PORT}"]
        backend = Process("relay_backend", command, arguments.load_core, directory / "backend.log")
        try:
            wait_until(lambda: backend.check() or listens(BACKEND_PORT), "the backend listens")
            for group in arguments.only.split(","):
                GROUPS[group](bench)
                file.flush()
        finally:
            backend.stop()
        return bench.rows


def main():
    arguments = parse()
    try:
        rows = measure(arguments)
    except Failed as failure:
        sys.exit(f"run.sh: {failure}")
    print(report.text(rows))


if __name__ == "__main__":
    main()
