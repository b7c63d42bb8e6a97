"""What one connection teaches a sidecar for the next ones to the same upstream."""

import os
import socket

import pytest

from harness.hello import client_hello, read_client_hello
from harness.proxy import Proxies, Proxy
from harness.scripted import FLIGHT, FLIGHT_CHUNKS, converse, echo, finish, flight_then_echo
from harness.sockets import TcpServer, connect, meets_reset
from harness.udp import Datagram, Rule, UdpForwarder, deliver, drop_all
from harness.wire import PARITY, PROFILE1, REFUSED, RESPONSE_PAYLOAD_MAX, Packet, decode

ATTEMPTS = 8
UNPROVEN_REQUESTS = 6
SPARE_REQUESTS = 3
ONE_WORKER = ("--workers", "1")
"""Each learns by itself."""


class Connections:
    """One connection after another to a server whose flights a test knows, over UDP with faults."""

    def __init__(self, proxies: Proxies, *, responses: Rule = deliver, flight: bytes = FLIGHT) -> None:
        self._flight = flight
        self._server = TcpServer(self._serve)
        edge = proxies.edge(self._server.port)
        self._udp = UdpForwarder(edge.udp_port, responses=responses)
        self._sidecar = proxies.sidecar(edge.port, udp_port=self._udp.port, options=ONE_WORKER)

    def _serve(self, connection: socket.socket) -> bytes:
        read_client_hello(connection)
        connection.sendall(self._flight)
        return echo(connection)

    def next(self) -> tuple[str, str, list[Packet]]:
        """The next one, every byte compared: outcome and reason at the sidecar, and the requests it sent."""
        requests, records = len(self._udp.requests), len(self._sidecar.records())
        with connect(self._sidecar.port) as client:
            client.sendall(client_hello())
            self._read_flight(client)
            client.sendall(b"an answer")
            assert finish(client) == b"an answer"
        assert self._server.result() == b"an answer"
        record = self._sidecar.wait_for_records(records + 1)[-1]
        return record["outcome"], record["reason"], [decode(r) for r in self._udp.requests[requests:]]

    def _read_flight(self, client: socket.socket) -> None:
        flight = b""
        while len(flight) < len(self._flight):
            piece = client.recv(len(self._flight) - len(flight))
            assert piece, f"the stream ended after {len(flight)} bytes of the flight"
            flight += piece
        assert flight == self._flight

    def outcomes(self, count: int) -> list[str]:
        return [self.next()[0] for _ in range(count)]

    def __enter__(self) -> "Connections":
        return self

    def __exit__(self, *details: object) -> None:
        self._udp.close()
        self._server.__exit__(*details)


def assert_paused(connections: Connections) -> None:
    outcome, reason, requests = connections.next()
    assert (outcome, reason, requests) == ("classic", "udp-paused", [])


def test_after_two_connections_without_udp_the_third_does_not_try_it(proxies: Proxies) -> None:
    with Connections(proxies, responses=drop_all) as connections:
        for _ in range(2):
            outcome, reason, requests = connections.next()
            assert (outcome, reason) == ("classic", "no-response")
            assert requests
        assert_paused(connections)
        assert_paused(connections)


def only_the_first(_: int, datagram: Datagram) -> list[Datagram]:
    packet = decode(datagram)
    return [datagram] if packet.sequence == 1 and not packet.flags & PARITY else []


def test_after_four_connections_with_a_part_of_the_flight_udp_is_not_tried(proxies: Proxies) -> None:
    """As behind a firewall that lets one answer pass."""
    with Connections(proxies, responses=lambda *args: only_the_first(*args)) as connections:
        assert set(connections.outcomes(4)) <= {"resumed-on-tcp", "classic"}
        assert_paused(connections)


def test_a_server_of_the_draft_is_not_asked_again(proxies: Proxies) -> None:
    def without_the_mark(_: int, datagram: Datagram) -> list[Datagram]:
        packet = decode(datagram)
        return [Packet(packet.session, packet.sequence, packet.payload).encode()]

    with Connections(proxies, responses=without_the_mark) as connections:
        assert connections.next()[:2] == ("classic", "draft-server")
        assert_paused(connections)


def test_refusals_do_not_keep_it_from_asking_again(proxies: Proxies) -> None:
    def refuse(_: int, datagram: Datagram) -> list[Datagram]:
        return [Packet(decode(datagram).session, 0, flags=PROFILE1 | REFUSED).encode()]

    with Connections(proxies, responses=refuse) as connections:
        for _ in range(4):
            outcome, reason, requests = connections.next()
            assert (outcome, reason) == ("classic", "refused")
            assert requests


def two_by_udp(proxies: Proxies, flight: bytes) -> list[list[Packet]]:
    """The requests of a sidecar's first two connections: both had answers by UDP, without which it learns nothing."""
    seen = []
    for _ in range(ATTEMPTS):  # a machine that stalls may spoil some, not so many in a row
        with Connections(proxies, flight=flight) as connections:
            both = [connections.next() for _ in range(2)]
        seen.append([outcome for outcome, _, _ in both])
        if "classic" not in seen[-1]:
            return [requests for _, _, requests in both]
    raise AssertionError(f"{seen}: not by UDP")


@pytest.mark.parametrize("chunks", [1, 3, 9])
def test_requests_are_as_many_as_the_flight_needs(proxies: Proxies, chunks: int) -> None:
    flight = os.urandom(chunks * RESPONSE_PAYLOAD_MAX)
    first, second = two_by_udp(proxies, flight)
    assert len(first) <= UNPROVEN_REQUESTS
    assert len(second) >= chunks + SPARE_REQUESTS
    assert sum(16 + len(p.payload) for p in second) * 3 >= len(flight) + 16 * chunks + 1200


@pytest.mark.parametrize("lost", range(1, FLIGHT_CHUNKS + 1))
def test_parity_mends_the_loss_of_a_chunk(proxies: Proxies, lost: int) -> None:
    """The chunk never comes, however often it is repeated."""
    def lose(_: int, datagram: Datagram) -> list[Datagram]:
        packet = decode(datagram)
        return [datagram] if packet.flags & PARITY or packet.sequence != lost else []

    seen = []
    for _ in range(ATTEMPTS):  # as above
        with Connections(proxies, responses=lose) as connections:
            seen.append(connections.next()[0])
        if seen[-1] == "turbo":
            return
    raise AssertionError(f"{seen}: not by UDP alone")


def udp_and_tcp_to_different_edges(proxies: Proxies, server_port: int) -> Proxy:
    by_udp, by_tcp = proxies.edge(server_port), proxies.edge(server_port)
    return proxies.sidecar(by_tcp.port, udp_port=by_udp.udp_port, options=ONE_WORKER)


def test_where_udp_and_tcp_reach_different_edges_it_goes_on_without_udp(proxies: Proxies) -> None:
    """The first connection cannot be continued, and says so by a reset; the next ones are classic."""
    with TcpServer(flight_then_echo) as server:
        sidecar = udp_and_tcp_to_different_edges(proxies, server.port)
        assert meets_reset(sidecar.port, client_hello())
        converse(sidecar.port)
        told = [(record["outcome"], record["reason"]) for record in sidecar.wait_for_records(2)]
        assert told == [("failed", "udp-elsewhere"), ("classic", "udp-elsewhere")]
