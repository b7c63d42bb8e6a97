"""Whatever happens to datagrams: the bytes are right, and TCP brings what UDP did not."""

import os
import socket
from typing import Callable

import pytest

from harness.hello import client_hello, large_client_hello, read_exactly, read_to_end
from harness.pki import SERVER_NAME, Pki
from harness.proxy import Proxies, Proxy
from harness.scripted import FLIGHT, converse, flight_then_echo
from harness.servers import tls_echo_server
from harness.sockets import DeadPort, TcpServer, connect, meets_reset
from harness.udp import (Datagram, Rule, SilentUdpPort, UdpForwarder, deliver, drop, drop_all, repeat,
                         swap_pairs)
from harness.wait import DEADLINE_S
from harness.wire import CHUNKS_MAX, PROFILE1, REFUSED, Packet, decode, random_id

BY_UDP = {"turbo", "resumed-on-tcp"}
QUESTION = b"a question " * 50
ATTEMPTS = 8


class Path:
    """Client, sidecar, a UDP path with its faults, edge and server."""

    def __init__(self, proxies: Proxies, *, requests: Rule = deliver, responses: Rule = deliver) -> None:
        self.server = TcpServer(flight_then_echo)
        self.edge = proxies.edge(self.server.port)
        self.udp = UdpForwarder(self.edge.udp_port, requests=requests, responses=responses)
        self.sidecar = proxies.sidecar(self.edge.port, udp_port=self.udp.port)

    def connect(self, hello: bytes | None = None) -> str:
        """One whole connection, every byte compared; how it went, as the sidecar saw it."""
        before = len(self.sidecar.records())
        hello = converse(self.sidecar.port, QUESTION, hello=hello)
        assert self.server.result() == (hello, QUESTION)
        return self.sidecar.wait_for_records(before + 1)[-1]["outcome"]

    def __enter__(self) -> "Path":
        return self

    def __exit__(self, *details: object) -> None:
        self.udp.close()
        self.server.__exit__(*details)


def assert_by_udp(proxies: Proxies, outcomes: set[str], hello: bytes | None = None,
                  **rules: Callable[[], Rule]) -> None:
    """The first connection over a path with these faults is byte-exact and went one of these ways.

    A machine that stalls for longer than the sidecar waits may spoil some paths, not so many in a row.
    """
    seen = []
    for _ in range(ATTEMPTS):
        with Path(proxies, **{name: make() for name, make in rules.items()}) as path:
            seen.append(path.connect(hello))
            assert path.server.accepted == 1, "one ClientHello, one connection to the server"
        if seen[-1] in outcomes:
            return
    raise AssertionError(f"{seen} instead of {outcomes}")


def test_an_undisturbed_path_is_turbo(proxies: Proxies) -> None:
    """What the other tests disturb."""
    assert_by_udp(proxies, {"turbo"})


@pytest.mark.parametrize("number", range(1, 17))
def test_the_loss_of_one_request_costs_no_byte(proxies: Proxies, number: int) -> None:
    assert_by_udp(proxies, BY_UDP, requests=lambda: drop(number))


@pytest.mark.parametrize("number", range(1, 17))
def test_the_loss_of_one_response_costs_no_byte(proxies: Proxies, number: int) -> None:
    assert_by_udp(proxies, BY_UDP, responses=lambda: drop(number))


@pytest.mark.parametrize("numbers", [(1, 2), (2, 3), (1, 3), (1, 2, 3), (2, 3, 4, 5, 6, 7, 8)])
def test_the_loss_of_several_responses_costs_no_byte(proxies: Proxies, numbers: tuple[int]) -> None:
    assert_by_udp(proxies, BY_UDP, responses=lambda: drop(*numbers))


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_loss_of_a_part_of_a_large_hello_costs_no_byte(proxies: Proxies, number: int) -> None:
    assert_by_udp(proxies, BY_UDP, large_client_hello(3000), requests=lambda: drop(number))


def test_repeated_datagrams_are_harmless(proxies: Proxies) -> None:
    assert_by_udp(proxies, {"turbo"}, requests=lambda: repeat(3), responses=lambda: repeat(3))


def test_swapped_requests_are_harmless(proxies: Proxies) -> None:
    assert_by_udp(proxies, {"turbo"}, large_client_hello(3000), requests=swap_pairs)


def test_swapped_responses_are_harmless(proxies: Proxies) -> None:
    assert_by_udp(proxies, BY_UDP, responses=swap_pairs)


def test_requests_that_never_arrive_make_it_classic(proxies: Proxies) -> None:
    with Path(proxies, requests=drop_all) as path:
        assert path.connect() == "classic"
        assert path.edge.record()["outcome"] == "classic"


def test_responses_that_never_arrive_make_it_classic_on_the_same_server_connection(
        proxies: Proxies) -> None:
    """The edge adopts the session that UDP began."""
    with Path(proxies, responses=drop_all) as path:
        assert path.connect() == "classic"
        assert path.server.accepted == 1


def keep_and_replay() -> tuple[list[Datagram], Rule]:
    """A rule that delivers everything, and what it delivered."""
    kept: list[Datagram] = []

    def rule(_: int, datagram: Datagram) -> list[Datagram]:
        kept.append(datagram)
        return [datagram]

    return kept, rule


def test_requests_replayed_later_start_nothing(proxies: Proxies) -> None:
    kept, rule = keep_and_replay()
    with Path(proxies, requests=rule) as path:
        path.connect()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
            for datagram in kept * 3:
                attacker.sendto(datagram, ("127.0.0.1", path.edge.udp_port))
        path.connect()  # whose requests come after the replay
        assert path.server.accepted == 2


FORGERIES = {
    "empty": lambda packet: b"",
    "cut within the header": lambda packet: packet.encode()[:15],
    "another session": lambda packet: Packet(random_id(), packet.sequence, packet.payload,
                                             packet.flags).encode(),
    "an unknown flag": lambda packet: Packet(packet.session, packet.sequence, b"forged",
                                             packet.flags | 0x80).encode(),
    "a flag of the other direction": lambda packet: Packet(packet.session, packet.sequence, b"forged",
                                                           packet.flags | 0x02).encode(),
    "number 0": lambda packet: Packet(packet.session, 0, b"forged", PROFILE1).encode(),
    "a number above the last": lambda packet: Packet(packet.session, CHUNKS_MAX + 1, b"forged",
                                                     PROFILE1).encode(),
    "too long": lambda packet: Packet(packet.session, packet.sequence, os.urandom(1183),
                                      PROFILE1).encode(),
    "noise": lambda packet: os.urandom(200),
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_malformed_responses_are_ignored(proxies: Proxies, forgery) -> None:
    def around(_: int, datagram: Datagram) -> list[Datagram]:
        forged = forgery(decode(datagram))
        return [forged, datagram, forged]

    assert_by_udp(proxies, {"turbo"}, responses=lambda: around)


def test_a_refusal_after_a_response_is_ignored(proxies: Proxies) -> None:
    def refuse_afterwards(_: int, datagram: Datagram) -> list[Datagram]:
        session = decode(datagram).session
        return [datagram, Packet(session, 0, flags=PROFILE1 | REFUSED).encode()]

    assert_by_udp(proxies, {"turbo"}, responses=lambda: refuse_afterwards)


def test_a_refusal_instead_of_a_response_makes_it_classic(proxies: Proxies) -> None:
    def refuse(_: int, datagram: Datagram) -> list[Datagram]:
        return [Packet(decode(datagram).session, 0, flags=PROFILE1 | REFUSED).encode()]

    with Path(proxies, responses=refuse) as path:
        assert path.connect() == "classic"


def test_responses_from_an_address_that_was_not_asked_are_ignored(proxies: Proxies) -> None:
    """Whoever guesses the id and the port still is not the edge."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(DEADLINE_S)
        with TcpServer(flight_then_echo) as server:
            edge = proxies.edge(server.port)
            sidecar = proxies.sidecar(edge.port, udp_port=silent.getsockname()[1])
            with connect(sidecar.port) as client:
                client.sendall(client_hello())
                request, asker = silent.recvfrom(2048)
                forged = Packet(decode(request).session, 1, b"forged" * 100, PROFILE1)
                stranger.sendto(forged.encode(), asker)
                client.shutdown(socket.SHUT_WR)
                assert read_to_end(client) == FLIGHT
            assert sidecar.record()["outcome"] == "classic"


def test_requests_keep_the_layout(proxies: Proxies) -> None:
    """A sidecar sends the ClientHello's chunks, copies of them and empty requests, within limits."""
    with Path(proxies) as path:
        hello = large_client_hello(3000)
        path.connect(hello)
        packets = [decode(datagram) for datagram in path.udp.requests]
    assert len(packets) <= 16
    assert sum(map(len, path.udp.requests)) <= 14_720
    assert all(packet.flags == 0 and packet.sequence >= 1 for packet in packets)
    assert all(len(datagram) <= 1200 for datagram in path.udp.requests)
    by_number = {packet.sequence: packet.payload for packet in packets}
    assert all(by_number[packet.sequence] == packet.payload for packet in packets)
    assert sorted(by_number) == list(range(1, max(by_number) + 1))
    assert b"".join(by_number[number] for number in sorted(by_number)) == hello


@pytest.mark.parametrize("kind", ["closed", "silent"])
def test_a_dead_udp_port_makes_it_classic(proxies: Proxies, kind: str) -> None:
    """Rejected with ICMP, or dropped without a word."""
    with TcpServer(flight_then_echo) as server:
        edge = proxies.edge(server.port)
        with SilentUdpPort() as silent:
            port = silent.port
            if kind == "closed":
                silent.close()
            sidecar = proxies.sidecar(edge.port, udp_port=port)
            hello = converse(sidecar.port, QUESTION)
            assert server.result() == (hello, QUESTION)
        assert_classic(sidecar)
        assert_classic(edge)


def test_a_plain_server_behind_a_sidecar_is_classic(proxies: Proxies, pki: Pki) -> None:
    """An upstream that never heard of the protocol sees ordinary TLS."""
    message = os.urandom(300_000)
    with tls_echo_server(pki) as server:
        sidecar = proxies.sidecar(server.port)
        with pki.client_context().wrap_socket(connect(sidecar.port),
                                              server_hostname=SERVER_NAME) as tls:
            tls.sendall(message)
            assert read_exactly(tls, len(message)) == message
        assert_classic(sidecar)


def assert_classic(proxy: Proxy) -> None:
    record = proxy.record()
    assert record["outcome"] == "classic"
    assert record["reason"] not in (None, "", "-"), "a classic connection says why"


def test_an_edge_whose_server_is_down_lets_the_sidecar_know_at_once(proxies: Proxies) -> None:
    with DeadPort() as dead:
        edge = proxies.edge(dead.port)
        sidecar = proxies.sidecar(edge.port, udp_port=edge.udp_port)
        assert meets_reset(sidecar.port, client_hello())
        assert sidecar.record()["duration_us"] < 5_000_000
