#!/usr/bin/env python3
"""Three edges behind a balancer of deploy/scale, thousands of connections, and what becomes of them while edges come and go.

    tests/scale.py [--balancer nftables|ipvs] [--connections 5000] [--at-once 64] [--clients 64] [--proxy PROGRAM]
    LAB_KIND=uml deploy/lab/lab.sh run tests/scale.py --balancer ipvs --connections 200 --at-once 12

Network namespaces, so root; minutes. Real TLS clients, four in five through a sidecar, one in five classic; each edge has
an nginx behind it. One IPv6 client in four. The sidecar asks by UDP though TCP is up at once here (turbo=always).
Ends with 1 at the first thing that does not hold.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "e2e"))

from harness import courses  # noqa: E402
from harness.fleet import Fleet  # noqa: E402
from harness.ipvs import IpvsFleet  # noqa: E402
from harness.pki import Pki  # noqa: E402
from harness.programs import REPOSITORY  # noqa: E402
from harness.proxy import Proxies  # noqa: E402

JOINED_SHARE = 0.95
RECENT_S = 30
"""Of balancer.nft: for so long clients are kept to an edge."""
PAUSE_S = 30
"""Protocol §6.9: at first; and twice as long the next time."""


def calm(fleet: Fleet, connections: int, at_once: int) -> set[str | None]:
    """The edges that had clients."""
    course = courses.calm(fleet, connections, at_once)
    print(course.text(), flush=True)
    print(f"  turbo {course.turbo_share:.1%}; joined, though TCP may have brought some of the flight: {course.joined_share:.1%}")
    assert course.joined_share >= JOINED_SHARE, f"not {JOINED_SHARE:.0%} have joined"
    return {visit.edge for visit in course.visits}


def apart(fleet: Fleet) -> None:
    """UDP to one edge, TCP to another: the sidecar's connection by connection. It has one worker: each learns by itself."""
    def visit(what: str, *expected: tuple[str, str | None]) -> None:
        seen = len(fleet.sidecar.records())
        load = fleet.load(len(expected), 1, clients=[1])
        load.wait_for(len(expected))
        load.finish()
        told = [(record["outcome"], record["reason"]) for record in fleet.sidecar.wait_for_records(seen + len(expected))[seen:]]
        print(f"{what}: {', '.join(' '.join(filter(None, each)) for each in told)}", flush=True)
        assert told == list(expected), f"expected {expected}"

    classic = ("classic", "udp-elsewhere")
    fleet.tear(fleet.edges[0], fleet.edges[1])
    visit("UDP and TCP are led apart", ("failed", "udp-elsewhere"), *3 * [classic])
    time.sleep(PAUSE_S + 1)
    visit(f"{PAUSE_S} s later", ("failed", "udp-elsewhere"), *3 * [classic])
    fleet.mend()
    visit("led to one again", classic)
    time.sleep(2 * PAUSE_S + 1)
    visit(f"{2 * PAUSE_S} s later", *3 * [("turbo", None)])


def ipvs(pki: Pki, folder: Path, connections: int, at_once: int, clients: int, proxy: Path) -> None:
    """Who has been here is kept by persistence for minutes; newcomers see which edges there are."""
    proxies = Proxies()
    with IpvsFleet(proxies, pki, folder, clients=clients, hosts=4, edges=3, binary=proxy) as fleet:
        first, second, third, fourth = fleet.edges
        fleet.visitors = range(clients // 2)
        print(courses.calm(fleet, connections, at_once).text(), flush=True)
        print(courses.added(fleet, fourth, connections, at_once).text(), flush=True)
        print(courses.drained(fleet, third, connections, at_once).text(), flush=True)
        fleet.visitors = range(clients // 2, clients)
        course = courses.calm(fleet, connections, at_once)
        print(course.text(), flush=True)
        served = {visit.edge for visit in course.visits}
        assert served == {first.name, second.name, fourth.name}, f"newcomers were at {served}"
        print(courses.killed(fleet, second, connections, at_once).text(), flush=True)
        print(courses.vanished(fleet, first, connections, at_once).text(), flush=True)
        fleet.part(third, fourth)
        parted = courses.unwatched(fleet, "TCP and UDP are two services", connections, at_once)
        print(parted.text(), flush=True)
        assert parted.outcomes["failed", "udp-elsewhere"], "and yet they are led to the same edges"
        proxies.stop()


def nftables(pki: Pki, folder: Path, connections: int, at_once: int, clients: int, proxy: Path) -> None:
    proxies = Proxies()
    with Fleet(proxies, pki, folder, clients=clients, hosts=4, edges=3, binary=proxy) as fleet:
        fleet.stay_s = 3
        calm(fleet, connections, at_once)
        print(courses.added(fleet, fleet.edges[3], connections, at_once).text(), flush=True)
        time.sleep(RECENT_S + 1)
        assert fleet.edges[3].name in calm(fleet, connections, at_once), "the new edge has no clients"
        print(courses.killed(fleet, fleet.edges[2], connections, at_once).text(), flush=True)
        print(courses.vanished(fleet, fleet.edges[1], connections // 5, at_once).text(), flush=True)
        proxies.stop()
    with Fleet(proxies, pki, folder, clients=2, hosts=2, edges=2, binary=proxy, sidecar_workers=1) as fleet:
        apart(fleet)
        proxies.stop()


def run(balancer: str, pki: Path | None, *settings: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chmod(folder, 0o755)
        {"nftables": nftables, "ipvs": ipvs}[balancer](Pki(pki or folder / "pki"), folder, *settings)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--balancer", choices=("nftables", "ipvs"), default="nftables",
                        help="(nftables); ipvs in User-Mode Linux, where few others have the modules")
    parser.add_argument("--connections", type=int, default=5000, help="of each course (5000)")
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--clients", type=int, default=64, help="addresses (64, the most: each has a listener of the sidecar)")
    parser.add_argument("--proxy", type=Path, default=REPOSITORY / "build" / "bin" / "turbotls-proxy")
    parser.add_argument("--pki", type=Path, help="of deploy/lab/pki.sh, which takes ten seconds in User-Mode Linux")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("network namespaces take root")
    try:
        run(arguments.balancer, arguments.pki, arguments.connections, arguments.at_once, arguments.clients,
            arguments.proxy.absolute())
    except AssertionError as problem:
        print(f"does not hold: {problem}", file=sys.stderr)
        return 1
    print("all of it held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
