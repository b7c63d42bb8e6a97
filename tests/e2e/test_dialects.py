"""Sandwich's dialect through the proxies: its clients reach ordinary servers, ordinary clients reach its servers.

What a sidecar makes of its servers' weaknesses is in test_sandwich_sidecar.py.
"""

import os
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Iterator

import pytest

from harness.clients import CLIENTS, REQUEST, Visit
from harness.hello import read_exactly
from harness.pki import SERVER_NAME, Pki
from harness.proxy import Proxies, Proxy
from harness.sandwich import FIRST_FLIGHT, HEADER_BYTES, ID_BYTES, Client, Server, Session, packet
from harness.servers import PAGE, SERVERS, tls_echo_server
from harness.sockets import DeadPort, connect, meets_reset
from harness.tls import MemoryClient
from harness.udp import Datagram, Rule, UdpForwarder, deliver, drop, repeat
from harness.wait import DEADLINE_S, SILENCE_S, wait_until

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
BUDGET_FACTOR = 3
EACH = 100
AT_ONCE = 32
SINGLE_SOURCE = ["--source-rate", "10000"]
"""All clients of a test come from one address."""

every_version = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def edge(proxies: Proxies, server_port: int, **arguments: Any) -> Proxy:
    return proxies.edge(server_port, listen="turbo:127.0.0.1:0,dialect=sandwich", **arguments)


def sidecar(proxies: Proxies, server_port: int, udp_port: int | None = None, listen: str = "tcp:127.0.0.1:0") -> Proxy:
    udp = f",udp={udp_port}" if udp_port else ""
    return proxies.start(listen=listen, upstream=f"turbo:127.0.0.1:{server_port}{udp},dialect=sandwich")


def everything(stream: Any) -> bytes:
    """To the end of TLS, or of TCP where a server ends that first."""
    data = bytearray()
    try:
        while piece := stream.recv(1 << 16):
            data += piece
    except EOFError:
        pass
    return bytes(data)


def answered(stream: Any, size: int = 1000) -> bool:
    """By an echo."""
    question = os.urandom(size)
    stream.sendall(question)
    return read_exactly(stream, size) == question


# ---- Sandwich's client, ordinary servers ----

@every_version
@pytest.mark.parametrize("server", ["nginx", "openssl", "gnutls"])
def test_a_client_fetches_a_page(proxies: Proxies, pki: Pki, tmp_path: Path, server: str, version: str) -> None:
    with SERVERS[server](pki, tmp_path) as target:
        front = edge(proxies, target.port)
        with Client(pki.client_context(VERSIONS[version]), front.port, server_name=SERVER_NAME) as client:
            client.sendall(REQUEST)
            assert target.expected in everything(client)
        record = front.record()
        assert (record["outcome"], record["server_name"], record["dialect"]) == ("turbo", SERVER_NAME, "sandwich")


class Front:
    """An edge before an echo, and a UDP path to it."""

    def __init__(self, proxies: Proxies, pki: Pki, opened: ExitStack, kind: str = "ecdsa", *, requests: Rule = deliver,
                 responses: Rule = deliver) -> None:
        self._pki = pki
        self.server = opened.enter_context(Echo(pki, kind))
        self.edge = edge(proxies, self.server.port)
        self.udp = opened.enter_context(UdpForwarder(self.edge.udp_port, requests=requests, responses=responses))
        self._opened = opened

    def client(self) -> Client:
        return self._opened.enter_context(
            Client(self._pki.client_context(), self.edge.port, udp_port=self.udp.port, server_name=SERVER_NAME))


class Echo:
    """An ordinary TLS server that echoes."""

    def __init__(self, pki: Pki, kind: str = "ecdsa") -> None:
        self._server = tls_echo_server(pki, kind)
        self.port = self._server.port

    def __enter__(self) -> "Echo":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()


def test_no_index_is_sent_twice_whatever_the_client_repeats(proxies: Proxies, pki: Pki, opened: ExitStack) -> None:
    front = Front(proxies, pki, opened, "rsa-chain", requests=repeat(3))
    assert answered(front.client())
    indices = [response[ID_BYTES] for response in front.udp.responses]
    assert sorted(set(indices)) == sorted(indices)
    assert all(len(response) > HEADER_BYTES for response in front.udp.responses), "none is empty"


@pytest.mark.parametrize("number", [2, 7, FIRST_FLIGHT])
def test_lost_padding_does_no_harm(proxies: Proxies, pki: Pki, opened: ExitStack, number: int) -> None:
    assert answered(Front(proxies, pki, opened, requests=drop(number)).client())


def test_a_client_may_be_idle_before_it_says_its_first_word(proxies: Proxies, pki: Pki, opened: ExitStack) -> None:
    client = Front(proxies, pki, opened).client()
    assert not wait_for_silence(client)
    assert answered(client)


def wait_for_silence(client: Client) -> bytes:
    """What came on TCP meanwhile: nothing, as nobody has said anything there."""
    client.tcp.settimeout(4 * SILENCE_S)
    try:
        return client.tcp.recv(1)
    except TimeoutError:
        return b""
    finally:
        client.tcp.settimeout(DEADLINE_S)


def test_tcp_may_overtake_the_end_of_the_handshake(proxies: Proxies, pki: Pki, opened: ExitStack) -> None:
    held: list[Datagram] = []

    def hold(number: int, datagram: Datagram) -> list[Datagram]:
        if number <= FIRST_FLIGHT:
            return [datagram]
        held.append(datagram)
        return []

    front = Front(proxies, pki, opened, requests=hold)
    client = front.client()
    client.sendall(b"x" * 1000)
    assert not wait_for_silence(client)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
        for datagram in held:
            late.sendto(datagram, ("127.0.0.1", front.edge.udp_port))
    assert read_exactly(client, 1000) == b"x" * 1000


def test_a_handshake_that_never_ends_is_reset_though_nothing_else_happens(
        proxies: Proxies, pki: Pki, opened: ExitStack) -> None:
    """The time runs from the join on, and nothing wakes the proxy meanwhile."""
    front = Front(proxies, pki, opened, requests=lambda number, datagram: [datagram] if number <= FIRST_FLIGHT else [])
    client = front.client()
    client.sendall(b"x")
    client.tcp.settimeout(DEADLINE_S)
    with pytest.raises(ConnectionResetError):
        client.tcp.recv(1)


def test_ten_certificates_come_once_tcp_has(proxies: Proxies, pki: Pki, opened: ExitStack) -> None:
    """Before that, an edge answers with three times the bytes that it got, at most."""
    server = opened.enter_context(Echo(pki, "long-chain"))
    front = edge(proxies, server.port)
    hello = MemoryClient(pki.client_context(), SERVER_NAME).hello
    number = os.urandom(ID_BYTES)
    udp = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    udp.connect(("127.0.0.1", front.udp_port))
    for index in range(1, FIRST_FLIGHT + 1):
        udp.send(packet(number, index, hello if index == 1 else b""))
    sent = len(hello) + FIRST_FLIGHT * HEADER_BYTES
    before = until_silent(udp)
    assert 0 < sum(map(len, before)) <= BUDGET_FACTOR * sent
    opened.enter_context(connect(front.port))
    after = until_silent(udp)
    assert [response[ID_BYTES] for response in before + after] == list(range(1, len(before + after) + 1))
    assert len(before + after) > 8

    with Client(pki.client_context(), front.port, server_name=SERVER_NAME) as client:
        assert answered(client)


def until_silent(udp: socket.socket) -> list[bytes]:
    received = []
    udp.settimeout(DEADLINE_S)
    try:
        while True:
            received.append(udp.recv(2048))
            udp.settimeout(SILENCE_S)
    except TimeoutError:
        return received


def test_without_being_asked_a_listener_does_not_speak_it(proxies: Proxies, pki: Pki, opened: ExitStack) -> None:
    server = opened.enter_context(Echo(pki))
    front = proxies.edge(server.port)
    with pytest.raises(TimeoutError, match="response 1 does not come"):
        Client(pki.client_context(), front.port, server_name=SERVER_NAME, deadline_s=4 * SILENCE_S)


# ---- ordinary clients, Sandwich's server ----

def page(session: Session) -> None:
    request = b""
    while b"\r\n\r\n" not in request:
        request += session.recv(1 << 16)
    session.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PAGE) + PAGE)
    session.end()


@every_version
@pytest.mark.parametrize("client", ["curl", "openssl", "gnutls", "python"])
def test_a_page_is_fetched_from_its_server(proxies: Proxies, pki: Pki, tmp_path: Path, client: str, version: str) -> None:
    with Server(pki.server_context("rsa-chain"), page) as server:
        near = sidecar(proxies, server.port)
        assert PAGE in CLIENTS[client](Visit(near.port, pki, tmp_path, version))
        assert near.record()["outcome"] == "turbo"


def through(opened: ExitStack, pki: Pki, port: int) -> ssl.SSLSocket:
    return opened.enter_context(pki.client_context().wrap_socket(connect(port), server_hostname=SERVER_NAME))


def test_repeated_datagrams_do_no_harm(proxies: Proxies, pki: Pki, opened: ExitStack) -> None:
    server = opened.enter_context(Server(pki.server_context("rsa-chain")))
    udp = opened.enter_context(UdpForwarder(server.port, requests=repeat(2), responses=repeat(2)))
    assert answered(through(opened, pki, sidecar(proxies, server.port, udp.port).port))


def test_a_flight_of_more_than_14_datagrams_is_asked_for(proxies: Proxies, pki: Pki, folder: Path, opened: ExitStack) -> None:
    certificate, key = pki.server("long-chain")
    longer = folder / "longer.pem"
    longer.write_text(certificate.read_text() + certificate.read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(longer, key)
    server = opened.enter_context(Server(context))
    assert answered(through(opened, pki, sidecar(proxies, server.port).port))


def test_where_nobody_speaks_it_the_client_is_reset_and_the_log_says_why(
        proxies: Proxies, pki: Pki, opened: ExitStack) -> None:
    hello = MemoryClient(pki.client_context(), SERVER_NAME).hello
    for port in (opened.enter_context(DeadPort()).port, opened.enter_context(Echo(pki)).port):
        near = sidecar(proxies, port)
        assert meets_reset(near.port, hello)
        assert near.record()["reason"]


# ---- both ----

@every_version
def test_a_proxy_between_two_of_its_own_ends(proxies: Proxies, pki: Pki, version: str) -> None:
    with Server(pki.server_context()) as server:
        hop = sidecar(proxies, server.port, listen="turbo:127.0.0.1:0,dialect=sandwich")
        with Client(pki.client_context(VERSIONS[version]), hop.port, server_name=SERVER_NAME) as client:
            assert answered(client, 200_000)


def test_all_kinds_of_clients_share_a_port(proxies: Proxies, pki: Pki, opened: ExitStack) -> None:
    """A hundred of each, all at the same time."""
    server = opened.enter_context(Echo(pki))
    front = edge(proxies, server.port, options=SINGLE_SOURCE)
    near = proxies.sidecar(front.port)
    context = pki.client_context()

    def of_sandwich() -> bool:
        with Client(context, front.port, server_name=SERVER_NAME) as client:
            return answered(client)

    def plain(port: int) -> bool:
        with context.wrap_socket(connect(port), server_hostname=SERVER_NAME) as tls:
            return answered(tls)

    with ThreadPoolExecutor(AT_ONCE) as at_once:
        kinds = (of_sandwich,), (plain, near.port), (plain, front.port)
        visits = [at_once.submit(*each) for _ in range(EACH) for each in kinds]
        assert all(visit.result() for visit in visits)
    wait_until("each has its record", lambda: len(front.records()) >= 3 * EACH)
    outcomes = [record["outcome"] for record in front.records()]
    assert outcomes.count("turbo") > EACH, "or it would be a test of something else"
    assert outcomes.count("classic") >= EACH
