#!/usr/bin/env python3
"""The part of run.sh that measures, in a network namespace of its own; run.sh --help tells what."""

import argparse
import contextlib
import csv
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import openings
import report
from processes import Failed, Process, listens, pinned, wait_until
from subjects import BACKEND_PORT, TLS_BACKEND_PORT, Starter

PEERS = ["haproxy", "nginx", "sniproxy"]
OURS = ["tcp_tcp", "edge_classic", "pair_classic", "pair"]
PARALLEL = 64
PARALLEL_PAIRS = 16  # UDP counts as lost after 50 ms
FINER = 4  # as many rounds more, of smaller samples, where they can be
TLS_COSTS = 4  # as many connections fewer at once
TURBO = r'^turbotls_connections_total{.*outcome="turbo"'
PENDING = r"^turbotls_sessions_pending{"
GIB = 1 << 30
# Samples are small and rounds many: a machine that is shared changes its speed from second to second.
SIZES = {
    "full": {
        "rounds": 21, "memory_rounds": 1, "turbo_share": 0.99, "connections": 4000, "tls": 300, "pending": 1024,
        "bytes": GIB // 2, "idle": [5000, 9500], "settle": 4, "latency": 500, "ping_pong": 5000,
    },
    "quick": {
        "rounds": 3, "memory_rounds": 1, "turbo_share": 0.99, "connections": 4000, "tls": 300, "pending": 1024,
        "bytes": GIB // 2, "idle": [2000], "settle": 4, "latency": 500, "ping_pong": 5000,
    },
    "smoke": {
        "rounds": 1, "memory_rounds": 1, "turbo_share": 0.01, "connections": 100, "tls": 10, "pending": 64,
        "bytes": GIB // 256, "idle": [100], "settle": 0.1, "latency": 20, "ping_pong": 100,
    },
}  # fmt: skip


def say(text):
    print(f"{time.strftime('%T')} {text}", file=sys.stderr, flush=True)


def parallel(subject):
    return PARALLEL_PAIRS if subject.name.startswith("pair") else PARALLEL


class Bench:
    """Starter, load generator, sizes, and where the rows go."""

    def __init__(self, arguments, directory, writer):
        self.build = arguments.build
        self.size = SIZES[arguments.size]
        self.rounds = arguments.rounds or self.size["rounds"]
        self.load_core = arguments.load_core
        self.starter = Starter(directory, arguments.program, arguments.proxy_core, arguments.other)
        self.writer = writer
        self.subjects = arguments.subjects
        self.rows = []

    def wanted(self, names):
        names = [name for name in names if self.subjects is None or name.replace("_", "-") in self.subjects]
        return [*names, "other"] if self.starter.other_program else names

    def note(self, group, case, subject, process, number, **values):
        for metric, value in values.items():
            row = {
                "group": group, "case": case, "subject": subject.replace("_", "-"), "process": process,
                "round": number, "metric": metric, "value": f"{value:.6g}",
            }  # fmt: skip
            self.rows.append(row)
            self.writer.writerow(row)

    def load_command(self, command, port, **options):
        program = self.build / "bin" / "relay_load"
        words = [program, command, "--to", f"127.0.0.1:{port}"]
        for name, value in options.items():
            words += [f"--{name}", value]
        return words

    def load(self, command, subject, **options):
        return self.run(self.load_command(command, subject.port, **options), subject)

    def run(self, words, subject):
        """What the load generator prints, by name."""
        done = subprocess.run(pinned(self.load_core, words), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"{subject.name}: {words[1]}: {done.stdout}{done.stderr}")
        return {name: float(value) for name, value in map(str.split, done.stdout.splitlines())}

    @contextlib.contextmanager
    def subject(self, name, *arguments, **options):
        started = getattr(self.starter, name)(*arguments or (BACKEND_PORT,), **options)
        try:
            yield started
        finally:
            started.stop()

    def connections(self, subject, count):
        subject.opened += count
        return self.load("connections", subject, count=count, parallel=parallel(subject))

    def tls_connections(self, subject, count):
        program = self.build / "bin" / "relay_tls"
        subject.opened += count
        words = [program, "connect", f"127.0.0.1:{subject.port}", count, parallel(subject) // TLS_COSTS]
        return self.run(words, subject)

    def warm_up(self, subject):
        self.connections(subject, min(500, self.size["connections"]))

    def in_turns(self, subjects, group, measure, backend=BACKEND_PORT, repeat=1):
        """Starts all of them, and measures each in each round: from the first to the last, then back again."""
        rounds = self.rounds * repeat
        with contextlib.ExitStack() as stack:
            started = [stack.enter_context(self.subject(name, backend)) for name in self.wanted(subjects)]
            for subject in started:
                if backend == BACKEND_PORT:
                    self.warm_up(subject)
            for number in range(1, rounds + 1):
                for subject in started if number % 2 else reversed(started):
                    measure(subject, number)
                if number % repeat == 0:
                    say(f"{group}: round {number} of {rounds}")


def cpu_of(subject, work):
    """What `work` returns, and the nanoseconds each process of the subject took meanwhile."""
    before = subject.cpu_ns()
    result = work()
    after = subject.cpu_ns()
    return result, {name: after[name] - before[name] for name in after}


def check_turbo(bench, subject):
    """A pair's connections are not measured as turbo unless they were; they are counted when they have ended."""
    share = bench.size["turbo_share"]
    what = f"{share:.0%} of the {subject.opened} connections until now had used UDP"
    expect(subject, TURBO, share * subject.opened, what)


def expect(subject, pattern, least, what):
    """Waits until a metric of the edge says so."""
    try:
        wait_until(lambda: subject.metric(pattern) >= least, what)
    except Failed as failure:
        lines = "\n".join(subject.metrics("^turbotls_(connections_total|sessions_|udp_)"))
        raise Failed(f"{subject.name}: {failure}. The edge says:\n{lines}") from failure


def connections_once(bench, subject, number, group, case, count, connect=Bench.connections):
    result, spent = cpu_of(subject, lambda: connect(bench, subject, count))
    if subject.name == "pair":
        check_turbo(bench, subject)
    bench.note(group, case, subject.name, "", number, per_second=count / result["seconds"])
    for process, nanoseconds in spent.items():
        bench.note(group, case, subject.name, process, number, cpu_us=nanoseconds / 1e3 / count)


def measure_connections(bench):
    def once(subject, number):
        connections_once(bench, subject, number, "connections", "pseudo", bench.size["connections"] // FINER)

    bench.in_turns(["direct", *PEERS, *OURS], "connections", once, repeat=FINER)


def measure_tls(bench):
    def once(subject, number):
        count = bench.size["tls"]
        connections_once(bench, subject, number, "tls", "TLS 1.3", count, Bench.tls_connections)

    bench.in_turns(["direct", *PEERS, *OURS], "tls", once, TLS_BACKEND_PORT)


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

    subjects = ["direct", "haproxy", "haproxy_splice", "nginx", "nginx_64k", "sniproxy", "tcp_tcp", "pair_classic", "pair"]
    bench.in_turns(subjects, "bulk", once)


class Held:
    """Idle connections through each port of a subject, by load generators that wait for commands."""

    def __init__(self, bench, subject, count):
        self.count = count // len(subject.ports)
        self.loads = []
        for port in subject.ports:
            command = bench.load_command("hold", port, count=self.count, parallel=parallel(subject))
            command = pinned(bench.load_core, command)
            self.loads.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            self.expect(self.loads[-1], "held")

    def expect(self, load, word):
        line = load.stdout.readline().split()
        if line != [word, str(self.count)]:
            raise Failed(f"not all of {self.count} connections were {word}: {line}")

    def exchange(self):
        for load in self.loads:
            load.stdin.write("exchange\n")
            load.stdin.flush()
            self.expect(load, "exchanged")

    def close(self):
        for load in self.loads:
            load.communicate("close\n")


def settled_memory(bench, subject):
    """Private memory, a while later: a TurboTLS session is given up 2 s after its opening, at the latest."""
    time.sleep(bench.size["settle"])
    return subject.memory()


def memory_once(bench, name, count, number):
    # A connection to a turbo upstream may take three open files, of 20,000.
    options = {"sidecars": 2} if name == "pair" and count > 6000 else {}
    with bench.subject(name, **options) as subject:
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
    names = bench.wanted([*PEERS, "tcp_tcp", "edge_classic", "pair"])
    for number in range(1, bench.size["memory_rounds"] + 1):
        for name in names if number % 2 else reversed(names):
            for count in bench.size["idle"]:
                memory_once(bench, name, count, number)
            say(f"memory: {name.replace('_', '-')}")


def measure_latency(bench):
    def once(subject, number):
        for case, size in (("first-byte", "latency"), ("ping-pong", "ping_pong")):
            result = bench.load(case, subject, count=bench.size[size])
            bench.note("latency", case, subject.name, "", number, **result)

    bench.in_turns(["direct", *PEERS, *OURS], "latency", once)


def measure_growth(bench):
    """One process with nothing else to do and another beside it that has much, in turns."""
    for name in bench.wanted([*PEERS, "tcp_tcp", "edge_classic"]):
        growth_of_idle(bench, name)
        say(f"growth: {name.replace('_', '-')}, idle connections")
    for name in bench.wanted(["edge_classic", "pair"]):
        growth_of_pending(bench, name)
        say(f"growth: {name.replace('_', '-')}, pending sessions")


def growth_in_turns(bench, calm, busy, cases, prepare=lambda: None):
    bench.warm_up(calm)
    bench.warm_up(busy)
    for number in range(1, FINER * bench.rounds + 1):
        both = list(zip((calm, busy), cases))
        for subject, case in both if number % 2 else reversed(both):
            prepare()
            connections_once(bench, subject, number, "growth", case, bench.size["connections"] // FINER)


def growth_of_idle(bench, name):
    count = bench.size["idle"][-1]
    with bench.subject(name) as calm, bench.subject(name) as busy:
        held = Held(bench, busy, count)
        growth_in_turns(bench, calm, busy, ("0 idle", f"{count} idle"))
        held.close()


def growth_of_pending(bench, name):
    """Sessions that wait in vain for TCP: as many as may be, or for a pair, whose own need room, nearly as many."""
    count = bench.size["pending"]
    limit = count + (4 * PARALLEL_PAIRS if name == "pair" else 0)
    options = {"names": openings.NAMES, "sessions": limit}
    with bench.subject(name, **options) as calm, bench.subject(name, **options) as busy:

        def prepare():
            openings.flood(busy.udp_port, int(count - busy.metric(PENDING)))
            expect(busy, PENDING, count * 0.99, f"{count} sessions were pending")

        growth_in_turns(bench, calm, busy, ("0 pending", f"{count} pending"), prepare)


def measure_workers(bench):
    """CPU per connection with 1, 2 and 8 workers, which may use every core, as may all else."""
    if not bench.starter.takes_workers:
        say("workers: this program has no --workers; left out")
        return
    cores = f"{bench.starter.cores},{bench.load_core}"
    with contextlib.ExitStack() as stack:
        started = []
        for kind in (name for name in bench.wanted(["tcp_tcp", "edge_classic", "pair"]) if name != "other"):
            for workers in (1, 2, 8):
                subject = stack.enter_context(bench.subject(kind, workers=workers, cores=cores))
                bench.warm_up(subject)
                started.append((workers, subject))
        for number in range(1, bench.rounds + 1):
            for workers, subject in started if number % 2 else reversed(started):
                count = bench.size["connections"]
                connections_once(bench, subject, number, "workers", "1 worker" if workers == 1 else f"{workers} workers", count)
            say(f"workers: round {number} of {bench.rounds}")


GROUPS = {
    "connections": measure_connections,
    "tls": measure_tls,
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
    parser.add_argument("--subjects", type=lambda text: text.split(","))
    parser.add_argument("--csv", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--program", type=pathlib.Path, required=True)
    parser.add_argument("--other", type=pathlib.Path)
    parser.add_argument("--proxy-core", default="0")
    parser.add_argument("--load-core", default="1")
    return parser.parse_args()


def make_certificate(directory):
    files = [directory / "certificate.pem", directory / "key.pem"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=relay.bench.test", "-out", files[0], "-keyout", files[1]]
    subprocess.run(command, check=True, capture_output=True)
    return files


@contextlib.contextmanager
def backends(arguments, directory):
    """The servers that all relays lead to."""
    programs = arguments.build / "bin"
    started = [
        (BACKEND_PORT, [programs / "relay_backend", f"0.0.0.0:{BACKEND_PORT}"]),
        (TLS_BACKEND_PORT, [programs / "relay_tls", "serve", f"0.0.0.0:{TLS_BACKEND_PORT}"]),
    ]
    started[1][1].extend(make_certificate(directory))
    with contextlib.ExitStack() as stack:
        for port, command in started:
            process = Process(command[0].name, command, arguments.load_core, directory / f"backend-{port}.log")
            stack.callback(process.stop)
            wait_until(lambda process=process, port=port: process.check() or listens(port), "the backend listens")
        yield


def measure(arguments):
    with tempfile.TemporaryDirectory(prefix="bench-relay-") as directory, arguments.csv.open("w", newline="", buffering=1) as file:
        directory = pathlib.Path(directory)
        directory.chmod(0o755)
        writer = csv.DictWriter(file, report.COLUMNS, lineterminator="\n")
        writer.writeheader()
        bench = Bench(arguments, directory, writer)
        with backends(arguments, directory):
            for group in arguments.only.split(","):
                GROUPS[group](bench)
        return bench.rows


def clean_up_when_ended():
    """What was started is stopped then, too."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def main():
    arguments = parse()
    clean_up_when_ended()
    try:
        rows = measure(arguments)
    except Failed as failure:
        sys.exit(f"run.sh: {failure}")
    print(report.text(rows))


if __name__ == "__main__":
    main()
