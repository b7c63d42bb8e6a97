"""What many sessions take is the system's again when they are over, though the process lives on."""

from collections.abc import Callable

from harness.hello import client_hello
from harness.programs import release_proxy
from harness.proxy import Proxies, Proxy
from harness.scripted import flight_then_echo
from harness.servers import TcpServer
from harness.wait import wait_until
from harness.wire import ABORT, Packet, WireClient, random_id

SESSIONS = 1000
TOUCHED_BYTES = 4096
"""Of each session's block, at least, before its ClientHello is complete; twice as much really, but a few are there already."""

OPTIONS = ["--session-rate", "100000", "--source-rate", "100000", "--workers", "2"]
"""No limit; and each worker keeps the memory of some sessions, which with many workers would be that of all."""


def send_until(client: WireClient, datagrams: list[bytes], what: str, holds: Callable[[], bool]) -> None:
    """Again and again, since some find the socket full; it does no harm to those that did not."""
    def sent() -> bool:
        if holds():
            return True
        for datagram in datagrams:
            client.send(datagram)
        return False

    wait_until(what, sent)


def begin_and_end_sessions(edge: Proxy, client: WireClient) -> None:
    """What they took more is given back, but for a quarter, when they are over."""
    part = client_hello()[:100]
    ids = [random_id() for _ in range(SESSIONS)]
    before = edge.rss_bytes()
    send_until(client, [Packet(each, 1, part).encode() for each in ids], "the sessions are there",
               lambda: edge.rss_bytes() > before + SESSIONS * TOUCHED_BYTES)
    left = before + (edge.rss_bytes() - before) / 4
    send_until(client, [Packet(each, 2, flags=ABORT).encode() for each in ids], "their memory is given back",
               lambda: edge.rss_bytes() < left)


def test_memory_returns_after_a_peak_and_again_after_the_next(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server:
        edge = proxies.edge(server.port, binary=release_proxy(), options=OPTIONS)
        with WireClient(edge) as client:
            for _ in range(2):
                begin_and_end_sessions(edge, client)
