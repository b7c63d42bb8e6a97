"""Discovery: what the DNS says of a server, and what an operator publishes (protocol §10)."""

from pathlib import Path

from harness.knot import Knot, Tap
from harness.names import Names
from harness.proxy import Proxies
from harness.scripted import converse, flight_then_echo
from harness.sockets import TcpServer

_TYPE_A = 1


def test_upstreams_are_found_where_the_dns_says(proxies: Proxies, tmp_path: Path) -> None:
    with Knot(tmp_path, {"example.test": "www 60 A 127.0.0.1"}) as knot, Tap(knot.host) as tap, \
            TcpServer(flight_then_echo) as server:
        names = Names(tmp_path, {}, servers=[tap.host])
        proxy = proxies.start(listen="tcp:127.0.0.1:0", names=names, upstream=f"tcp:www.example.test:{server.port}")
        converse(proxy.port)
        converse(proxy.port)
        assert tap.asked("www.example.test", _TYPE_A) == 1
