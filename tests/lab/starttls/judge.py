"""Round trips until TLS carries its first application bytes, and whether they are as few as they should be.

    judge.py RTT_MS COUNT WORK WAYS <ROWS

WORK and WAYS are captures (see first_bytes.py): of a path without delay, straight to the servers, and of the path that is
measured. A row is "PROTOCOL CLIENT WAY NUMBER PORT WORK_PORT", NUMBER connections to PORT in WAYS. Round trips are their
median, less that of the COUNT to WORK_PORT in WORK, the time that client and server compute; the proxies' own counts.
Prints a table, and a line for each bound as the other lab tests do; exit code 1 where one does not hold.
"""

import collections
import statistics
import sys
from pathlib import Path

from first_bytes import FirstBytes, Incomplete, connections

# The proxies' own work, and the stalls of a machine that is shared with others.
SPARE = 0.3
# Until the first bytes are sent; answers take one more. TurboTLS: TCP and TLS in one round trip.
TRIPS = {"pair": 1, "near": 2, "far": 2}
# Direct, until they are answered, with the work: LDAP and PostgreSQL have the shortest preludes. Delay is never early.
DIRECT_MIN = 4


class Judge:
    def __init__(self) -> None:
        self.failed = False

    def holds(self, words: str, verdict: bool) -> None:
        print(f"  {'ok  ' if verdict else 'FAIL'}  {words}")
        self.failed |= not verdict


def by_port(capture: Path, ports: set[int], judge: Judge) -> dict[int, list[FirstBytes]]:
    found = collections.defaultdict(list)
    with capture.open("rb") as file:
        for connection in connections(file):
            if connection.port not in ports:
                continue
            try:
                found[connection.port].append(connection.first_bytes())
            except Incomplete as problem:
                judge.holds(f"a connection to port {connection.port}: {problem}", False)
    return found


def medians(first_bytes: list[FirstBytes]) -> tuple[float, float]:
    """Of what was sent and what was received, in ms."""
    return tuple(statistics.median(getattr(each, name) for each in first_bytes) * 1000
                 for name in ("sent", "received"))


def main() -> None:
    rtt, count = int(sys.argv[1]), int(sys.argv[2])
    judge = Judge()
    rows = [line.split() for line in sys.stdin]
    work = by_port(Path(sys.argv[3]), {int(row[5]) for row in rows}, judge)
    ways = by_port(Path(sys.argv[4]), {int(row[4]) for row in rows}, judge)
    trips, clocks = {}, {}
    print("| protocol, client       | way    | TLS | sent | received | sent, ms | received, ms |\n"
          "|------------------------|--------|-----|------|----------|----------|--------------|")
    for protocol, client, way, number, port, work_port in rows:
        found, alone = ways[int(port)], work[int(work_port)]
        if len(found) != int(number) or len(alone) != count:
            judge.holds(f"{protocol}, {way}: {len(found)} of {number} connections are whole, {len(alone)} of {count} "
                        "without delay", False)
            continue
        clocks[protocol, way] = clock = medians(found)
        trips[protocol, way] = [(took - least) / rtt for took, least in zip(clock, medians(alone))]
        versions = ", ".join(sorted({each.version for each in found}))
        print(f"| {protocol + ', ' + client:22} | {way:6} | {versions} | {trips[protocol, way][0]:4.2f} "
              f"| {trips[protocol, way][1]:8.2f} | {clock[0]:8.1f} | {clock[1]:12.1f} |")
    for (protocol, way), took in trips.items():
        if way == "direct":
            received = clocks[protocol, way][1]
            judge.holds(f"{protocol}: direct takes {received:.1f} ms, at least {DIRECT_MIN} round trips: this lab measures "
                        "what it should", received >= DIRECT_MIN * rtt)
            continue
        for what, figure, straight, limit in zip(
                ("sent", "answered"), took, trips.get((protocol, "direct"), took), (TRIPS[way], TRIPS[way] + 1)):
            judge.holds(f"{protocol}, {way}: first bytes {what} after {figure:.2f} round trips, at most {limit + SPARE} "
                        f"(direct: {straight:.2f})", figure <= limit + SPARE)
    sys.exit(judge.failed)


main()
