"""Several edges behind a balancer: deploy/scale/nftables, in network namespaces; and the mark by which IPVS knows the service.

A short form of tests/scale.py, which has thousands of connections and says how they went; for IPVS it is tests/lab/ipvs.sh.
"""

import json
import os
import socket
from pathlib import Path
from typing import Iterator

import pytest

from harness import courses
from harness.fleet import Fleet
from harness.namespace import Host
from harness.pki import Pki
from harness.programs import REPOSITORY
from harness.proxy import Proxies

CONNECTIONS, AT_ONCE = 90, 24
CLIENTS = 20
WORKERS = 2
"""The sidecar's. Each learns by itself."""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can have network namespaces")


@pytest.fixture(scope="module")
def fleet(pki: Pki, folder: Path) -> Iterator[Fleet]:
    proxies = Proxies()
    with Fleet(proxies, pki, folder, clients=CLIENTS, hosts=3, edges=2, sidecar_workers=WORKERS) as fleet:
        yield fleet
        proxies.stop()


def test_where_udp_and_tcp_are_led_apart_the_sidecar_notices(fleet: Fleet) -> None:
    """The first connection is lost, and says so; the next ones are classic and succeed. It stays so for 30 s."""
    count, later = 12 * WORKERS, 4  # that one of the workers has had none before the last ones is as good as impossible
    fleet.tear(fleet.edges[0], fleet.edges[1])
    load = fleet.load(count, 1, clients=[1])
    load.wait_for(count)
    visits = load.finish()
    fleet.mend()
    lost = [visit for visit in visits if visit.problem]
    assert visits[0] in lost and len(lost) <= WORKERS and not any(visit.problem for visit in visits[-later:])
    assert all(visit.edge == (None if visit in lost else fleet.edges[1].name) for visit in visits)
    fleet.sidecar.wait_for_records(count)
    assert fleet.outcomes() == {("failed", "udp-elsewhere"): len(lost),
                                ("classic", "udp-elsewhere"): count - len(lost)}


def test_edges_come_and_go_under_load(fleet: Fleet) -> None:
    courses.calm(fleet, CONNECTIONS, AT_ONCE)
    courses.added(fleet, fleet.edges[2], CONNECTIONS, AT_ONCE)
    courses.killed(fleet, fleet.edges[0], CONNECTIONS, AT_ONCE)


def test_what_edges_py_says(fleet: Fleet) -> None:
    """The fleet has the second and the third edge by now, or is given them."""
    second, third = fleet.edges[1:]
    fleet.change("set", second, third)
    assert "nothing to change" in fleet.change("set", second, third)
    assert "nothing to change" in fleet.change("add", third)
    fleet.change("drain", third)
    shown = fleet.show()
    assert f"{third.addresses[0]}: drained" in shown and f"{second.addresses[0]}: 1024 of 1024 buckets" in shown
    assert "nothing to change" in fleet.change("drain", third)
    fleet.change("remove", third)
    assert third.addresses[0] not in fleet.show()
    with pytest.raises(AssertionError, match="no edge for IPv4 would be left"):
        fleet.change("remove", second)
    with pytest.raises(AssertionError, match="is not an address"):
        fleet.edges_py("add", "edge.example.com")
    assert "add element inet turbotls_edges buckets4" in fleet.edges_py("--dry-run", "add", *third.addresses)
    fleet.load_rules()  # again: edges stay
    shown = fleet.show()
    assert f"{second.addresses[0]}: 1024 of 1024 buckets" in shown and third.addresses[0] not in shown


_SEEN = """
    table inet seen {
        set seen { typeof meta nfproto . meta l4proto . th dport . meta mark; flags dynamic; }
        chain prerouting {
            type filter hook prerouting priority mangle + 1;
            th dport { 443, 444 } add @seen { meta nfproto . meta l4proto . th dport . meta mark }
        }
    }
"""


def test_tcp_and_udp_have_the_mark_of_one_ipvs_service() -> None:
    """And what is for another port has none."""
    with Host() as host:
        for address in ("192.0.2.10/32", "2001:db8::10/128"):
            host.ip(f"address add {address} dev lo")
        host.run("nft", "--file", REPOSITORY / "deploy" / "scale" / "ipvs" / "mark.nft")
        host.run("nft", "--file", "-", stdin=_SEEN)
        with host.entered():
            for family, address in ((socket.AF_INET, "192.0.2.10"), (socket.AF_INET6, "2001:db8::10")):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    for port in (443, 444):
                        with socket.socket(family, kind) as end, pytest.raises(ConnectionRefusedError):
                            end.connect((address, port))
                            end.send(b"x")
                            end.recv(1)
        told = json.loads(host.run("nft", "--json", "list", "set", "inet", "seen", "seen"))
    seen = next(part["set"]["elem"] for part in told["nftables"] if "set" in part)
    assert sorted(element["concat"] for element in seen) == sorted(
        [family, protocol, port, mark if port == 443 else 0]
        for family, mark in (("ipv4", 443), ("ipv6", 6443)) for protocol in ("tcp", "udp") for port in (443, 444))
