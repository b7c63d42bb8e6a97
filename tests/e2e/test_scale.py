"""Several edges behind a balancer: deploy/scale/nftables, in network namespaces.

A short form of tests/scale.py, which has thousands of connections and says how they went.
"""

import os
from pathlib import Path
from typing import Iterator

import pytest

from harness import courses
from harness.fleet import Fleet
from harness.pki import Pki
from harness.proxy import Proxies

CONNECTIONS, AT_ONCE = 90, 24
CLIENTS = 20

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can have network namespaces")


@pytest.fixture
def fleet(proxies: Proxies, pki: Pki, tmp_path: Path) -> Iterator[Fleet]:
    os.chmod(tmp_path, 0o755)
    with Fleet(proxies, pki, tmp_path, clients=CLIENTS, hosts=3, edges=2) as fleet:
        yield fleet
        proxies.stop()


def test_edges_come_and_go_under_load(fleet: Fleet) -> None:
    courses.calm(fleet, CONNECTIONS, AT_ONCE)
    courses.added(fleet, fleet.edges[2], CONNECTIONS, AT_ONCE)
    courses.killed(fleet, fleet.edges[0], CONNECTIONS, AT_ONCE)


def test_where_udp_and_tcp_are_led_apart_the_sidecar_notices(fleet: Fleet) -> None:
    """The first connection is lost, and says so; the next ones are classic and succeed."""
    fleet.tear(fleet.edges[0], fleet.edges[1])
    load = fleet.load(4, 1, clients=[1])
    load.wait_for(4)
    first, *later = load.finish()
    assert first.problem and first.edge is None
    assert all(visit.edge == fleet.edges[1].name for visit in later)
    told = [(record["outcome"], record["reason"]) for record in fleet.sidecar.wait_for_records(4)]
    assert told == [("failed", "udp-elsewhere")] + 3 * [("classic", "udp-elsewhere")]
