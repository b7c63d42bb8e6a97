#!/usr/bin/python3
"""Measures an edge's UDP side, with one worker: what sessions cost, and what unwanted datagrams do to it.

  sessions  new connections a second, turbo and classic ones, sixteen at once, and the edge's processor time for each: a
            ClientHello of 517 bytes, a flight of 3,000 in three chunks, an answer, a reply; without cryptography
  junk      a flood of each kind of datagram that nobody wants, as fast as one core sends it over the loopback, while 200
            clients a second are to be served: how many are, how fast, how many by UDP, and what a datagram costs the edge
            beyond what these clients cost without a flood. Kinds: random (bytes), orphan (a good header, no session),
            payload (chunk 1, but no TLS), wrong-id (a ClientHello under an id that is not its hash), hello (ClientHellos from
            1,024 addresses, far beyond the rate), short, long
  pending   processor time of a new connection beside none and beside 1,000 sessions that wait for the rest of their
            ClientHello, the edge's limit being 1,024
  memory    of the edge: before, at, and after a peak of 1,000 such sessions and 100 connections

Prints CSV: part, case, what, value (of several rounds the median), and says on stderr how far it is. The edge has one core, all
others share another; runs in a network namespace of its own (root, or unprivileged user namespaces). Exit codes: 0 measured,
1 something failed, 2 wrong usage.
"""

import argparse
import contextlib
import csv
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "relay"))
from processes import Failed, Process, listens, pinned, wait_until  # noqa: E402  pylint: disable=wrong-import-position

EDGE_PORT, SERVER_PORT, OTHER_EDGE_PORT = 7001, 7002, 7003
KINDS = "random", "orphan", "payload", "wrong-id", "hello", "short", "long"
PARTS = "sessions", "junk", "pending", "memory"
AT_ONCE = 16
VISITS_A_SECOND = 200
FIRST_WAIT_MS = 5
HELD = 1000
PENDING_SECONDS = 10
MANY = "50000"  # sessions a second that an edge lets in where that is not what is measured


class Edge(Process):
    """The proxy, as an edge in front of the server."""

    def __init__(self, bench, port=EDGE_PORT, rate=None):
        command = [bench.program, "--listen", f"turbo:127.0.0.1:{port}", "--upstream", f"tcp:127.0.0.1:{SERVER_PORT}"]
        command += ["--log-level", "warning", *bench.one_worker]
        if rate is not None:
            command += ["--session-rate", rate, "--source-rate", rate]
        super().__init__("edge", command, bench.options.edge_core, bench.folder / f"edge-{port}.log")
        self.port = port
        wait_until(lambda: self.check() is None and listens(port), "the edge listens")

    def spent(self):
        """Microseconds of user and system time; the kernel knows the sum exactly, and its parts by sampling."""
        total, user, system = self.cpu_ns() / 1000, 0, 0
        for pid in self.pids():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            user, system = user + int(fields[11]), system + int(fields[12])
        share = user / max(1, user + system)
        return total, total * share, total * (1 - share)

    def drops(self):
        """Datagrams that found its sockets full."""
        rows = (line.split() for line in pathlib.Path("/proc/net/udp").read_text().splitlines()[1:])
        return sum(int(row[12]) for row in rows if int(row[1].split(":")[1], 16) == self.port)


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.program = options.program or options.build / "bin" / "turbotls-proxy"
        self.load = options.build / "bench" / "udp" / "udp_load"
        for needed in (self.program, self.load):
            if not needed.exists():
                raise Failed(f"there is no {needed}; build it (cmake --build --preset release)")
        usage = subprocess.run([self.program, "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
        self.one_worker = ["--workers", "1"] if "--workers" in usage else []
        self.out = csv.writer(sys.stdout)

    def tell(self, part, case, what, value):
        self.out.writerow([part, case, what, f"{value:.2f}" if isinstance(value, float) else value])
        sys.stdout.flush()

    def tell_medians(self, part, case, samples):
        for what in samples[0]:
            self.tell(part, case, what, float(statistics.median(sample[what] for sample in samples)))

    @contextlib.contextmanager
    def running(self, *processes):
        try:
            yield
        finally:
            for process in processes:
                process.stop()

    def command(self, *arguments, first=True):
        """On the core that they share with the flood clients go first: the edge is measured, not that core."""
        if self.options.realtime:
            order = ["chrt", "--rr", "2" if first else "1"]
        else:
            order = ["nice", "-n", "0" if first else "10"]
        return [*order, *pinned(self.options.load_core, [self.load, *arguments])]

    def visits(self, edge, way, rate, at_once=AT_ONCE, wait_ms=50):
        """By way: how many went how, and how long they took. `wait_ms`: for the flight by UDP (protocol §6.5)."""
        seconds = self.options.seconds
        done = subprocess.run(self.command("visit", way, edge.port, at_once, rate, seconds, wait_ms), stdout=subprocess.PIPE, text=True, check=True)
        found = {}
        for name, per_second, turbo, resumed, classic, failed, median, late in csv.reader(done.stdout.splitlines()):
            served = int(turbo) + int(resumed) + int(classic)
            found[name] = {"per_second": float(per_second), "served": served, "by_udp": int(turbo), "failed": int(failed),
                           "median_us": float(median), "p99_us": float(late)}
        return found

    def cost(self, edge, way):
        """One sample: a closed loop of clients, and what one of them costs."""
        before = edge.spent()
        visits = self.visits(edge, way, 0)[way]
        total, user, system = (after - at for after, at in zip(edge.spent(), before))
        if visits["served"] == 0:
            raise Failed(f"no {way} client was served: {edge.log.read_text()[-1000:]}")
        return {"per_second": visits["per_second"], "cpu_us": total / visits["served"], "user_us": user / visits["served"],
                "system_us": system / visits["served"], "by_udp_percent": 100 * visits["by_udp"] / visits["served"],
                "failed": visits["failed"], "median_us": visits["median_us"]}

    # ---- parts ----

    def sessions(self):
        edge, samples = Edge(self, rate=MANY), {"turbo": [], "classic": []}
        with self.running(edge):
            for way in ("turbo", "classic") * self.options.rounds:
                note(f"sessions: {way}")
                samples[way].append(self.cost(edge, way))
        for way, of in samples.items():
            self.tell_medians("sessions", way, of)
        ratios = (turbo["cpu_us"] / classic["cpu_us"] for turbo, classic in zip(samples["turbo"], samples["classic"]))
        self.tell("sessions", "turbo to classic", "cpu_ratio", float(statistics.median(ratios)))

    def junk(self):
        edge = Edge(self)
        with self.running(edge):
            calm = self.under_flood(edge, None, (0, 0, 0))
            for kind in KINDS:
                self.under_flood(edge, kind, calm)

    def under_flood(self, edge, kind, calm):
        """Returns microseconds a second that the edge took in all, and beside them of user and system time."""
        note(f"junk: {kind or 'none'}")
        seconds, flood = self.options.seconds, None
        before, dropped, since = edge.spent(), edge.drops(), time.monotonic()
        if kind is not None:
            flood = subprocess.Popen(self.command("flood", kind, edge.port, 0, seconds, first=False), stdout=subprocess.PIPE, text=True)
        visits = self.visits(edge, "both", VISITS_A_SECOND, wait_ms=FIRST_WAIT_MS)
        sent = lasted = 0.0
        if flood is not None:
            sent, lasted = map(float, flood.communicate()[0].split(",")[1:])
        took = time.monotonic() - since
        a_second = tuple((after - at) / took for after, at in zip(edge.spent(), before))
        case = kind or "none"
        if flood is not None:
            taken = max(1.0, sent - (edge.drops() - dropped))
            self.tell("junk", case, "sent_per_second", sent / lasted)
            self.tell("junk", case, "taken_per_second", taken / lasted)
            for index, what in enumerate(("cpu_us", "user_us", "system_us")):
                self.tell("junk", case, f"{what}_per_datagram", (a_second[index] - calm[index]) * took / taken)
        for way, of in visits.items():
            tried = max(1, of["served"] + of["failed"])
            self.tell("junk", case, f"{way}_served_percent", 100 * of["served"] / tried)
            self.tell("junk", case, f"{way}_per_second", of["per_second"])
            self.tell("junk", case, f"{way}_median_us", of["median_us"])
            self.tell("junk", case, f"{way}_p99_us", of["p99_us"])
        turbo = visits["turbo"]
        self.tell("junk", case, "turbo_by_udp_percent", 100 * turbo["by_udp"] / max(1, turbo["served"]))
        return a_second

    def pending(self):
        none, full = Edge(self, rate=MANY), Edge(self, OTHER_EDGE_PORT, rate=MANY)
        seconds = 3 + 2 * self.options.rounds * 2 * (self.options.seconds + 1)
        holder = subprocess.Popen(self.command("hold", full.port, HELD, seconds))
        samples = {}
        with self.running(none, full):
            time.sleep(1)
            for _ in range(self.options.rounds):
                for way in ("turbo", "classic"):
                    for case, edge in (("none", none), (f"{HELD}", full)):
                        note(f"pending: {way}, {case}")
                        samples.setdefault((way, case), []).append(self.cost(edge, way))
            holder.terminate()
            holder.wait()
        for way in ("turbo", "classic"):
            of = [[sample["cpu_us"] for sample in samples[way, case]] for case in ("none", f"{HELD}")]
            self.tell("pending", "none", f"{way}_cpu_us", float(statistics.median(of[0])))
            self.tell("pending", HELD, f"{way}_cpu_us", float(statistics.median(of[1])))
            self.tell("pending", f"{HELD} to none", f"{way}_cpu_ratio", float(statistics.median(b / a for a, b in zip(*of))))

    def memory(self):
        edge = Edge(self, rate=MANY)
        with self.running(edge):
            self.visits(edge, "turbo", 20, 1)
            self.tell("memory", "before", "private_bytes", edge.memory())
            note("memory: the peak")
            holder = subprocess.Popen(self.command("hold", edge.port, HELD, 1 + self.options.seconds))
            time.sleep(1)
            self.visits(edge, "turbo", 0, 100)
            self.tell("memory", "peak", "private_bytes", edge.memory())
            holder.wait()
            note(f"memory: they end within {PENDING_SECONDS} s")
            time.sleep(PENDING_SECONDS + 1)
            self.visits(edge, "turbo", 20, 1)
            self.tell("memory", "after", "private_bytes", edge.memory())

    def run(self):
        server = Process("server", self.command("serve", SERVER_PORT), self.options.load_core, self.folder / "server.log")
        with self.running(server):
            wait_until(lambda: server.check() is None and listens(SERVER_PORT), "the server listens")
            self.out.writerow(["part", "case", "what", "value"])
            for part in self.options.only.split(","):
                getattr(self, part)()


def note(text):
    print(text, file=sys.stderr)


def read_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = HERE.parent.parent
    parser.add_argument("--only", default=",".join(PARTS), metavar="LIST", help="of these parts (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="samples of each (%(default)s); junk has one")
    parser.add_argument("--seconds", type=float, default=3, help="for each sample (%(default)s)")
    parser.add_argument("--build", type=pathlib.Path, default=root / "build", help="the release build (%(default)s)")
    parser.add_argument("--program", type=pathlib.Path, help="the turbotls-proxy to measure (BUILD/bin/turbotls-proxy)")
    parser.add_argument("--edge-core", default="0", help="where the edge runs (%(default)s)")
    parser.add_argument("--load-core", default="1", help="… and all the others (%(default)s)")
    parser.add_argument("--realtime", action="store_true", help="before everything else on these cores (chrt --rr 1; root): for a machine that others use as well")
    options = parser.parse_args()
    unknown = set(options.only.split(",")) - set(PARTS)
    if unknown:
        parser.error(f"--only does not know {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be above 0")
    return options


def enter_namespace(options):
    """A network of our own, with nothing but the loopback, and without memory of closed connections."""
    if os.environ.get("BENCH_UDP_INSIDE") is None:
        as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
        os.environ["BENCH_UDP_INSIDE"] = "1"
        before = ["chrt", "--rr", "1"] if options.realtime else []
        command = [*before, "unshare", "--net", *as_root, sys.executable, *sys.argv]
        os.execvp(command[0], command)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    pathlib.Path("/proc/sys/net/ipv4/tcp_max_tw_buckets").write_text("0")
    pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("10000 65000")


def main():
    options = read_options()
    enter_namespace(options)
    with tempfile.TemporaryDirectory() as folder:
        try:
            Bench(options, pathlib.Path(folder)).run()
        except Failed as problem:
            note(f"run.py: {problem}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
