"""The peer that speaks Sandwich's dialect by its rules alone: what it can, and that each of its weaknesses is there."""

import os
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path
from typing import Iterator

import pytest

from harness.hello import read_exactly
from harness.pki import SERVER_NAME, Pki
from harness.sandwich import FIRST_FLIGHT, HEADER_BYTES, ID_BYTES, PAYLOAD_MAX, Broken, Client, Server, packet
from harness.sockets import connect, wait_until_taken
from harness.tls import MemoryClient
from harness.udp import Datagram, Rule, UdpForwarder, deliver, drop, repeat
from harness.wait import DEADLINE_S, SILENCE_S, wait_until

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
MUCH = 200_000
APPLICATION_DATA = 23
CHANGE_CIPHER_SPEC = bytes.fromhex("140303000101")
CLIENT_HELLO = 1
HANG_S = 1
"""How long a client waits for what will not come."""
RETRY_GROUP = "secp384r1"
"""A group for which OpenSSL's client offers no share at first."""


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> ssl.TLSVersion:
    return VERSIONS[request.param]


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def answered(client: Client, size: int = 1000) -> bytes:
    """A question and its answer by an echo, to the end of both directions."""
    question = os.urandom(size)
    client.sendall(question)
    answer = read_exactly(client, size)
    client.end()
    assert client.recv(1) == b""
    return answer == question


# ---- what it can ----

def test_a_question_is_answered(pki: Pki, version: ssl.TLSVersion) -> None:
    with (Server(pki.server_context()) as server,
          Client(pki.client_context(version), server.port, server_name=SERVER_NAME) as client):
        assert answered(client)
        assert server.result() == 1000
        assert client.tls.version() == version.name.replace("v1_", "v1.")


def test_much_is_answered(pki: Pki, version: ssl.TLSVersion) -> None:
    with (Server(pki.server_context()) as server,
          Client(pki.client_context(version), server.port, server_name=SERVER_NAME) as client):
        assert answered(client, MUCH)


def test_a_client_may_be_asked_for_another_hello(pki: Pki) -> None:
    context = pki.server_context()
    context.set_ecdh_curve(RETRY_GROUP)
    with Server(context) as server, UdpForwarder(server.port) as udp:
        with Client(pki.client_context(), server.port, udp_port=udp.port, server_name=SERVER_NAME) as client:
            assert answered(client)
        again = udp.requests[FIRST_FLIGHT][HEADER_BYTES:]
        assert again.startswith(CHANGE_CIPHER_SPEC) and again[len(CHANGE_CIPHER_SPEC) + 5] == CLIENT_HELLO


def test_clients_have_certificates(pki: Pki, version: ssl.TLSVersion) -> None:
    with (Server(asking_for_certificates(pki), lambda session: session.tls.getpeercert()["subject"]) as server,
          Client(pki.client_context(version, with_certificate=True), server.port, server_name=SERVER_NAME) as client):
        client.sendall(b"x")
        assert server.result() == ((("commonName", "Test Client"),),)


def asking_for_certificates(pki: Pki) -> ssl.SSLContext:
    context = pki.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(pki.ca)
    return context


def test_sessions_are_resumed(pki: Pki, version: ssl.TLSVersion) -> None:
    context, session = pki.client_context(version), None
    with Server(pki.server_context()) as server:
        for resumed in (False, True):
            with Client(context, server.port, server_name=SERVER_NAME, session=session) as client:
                assert client.tls.session_reused is resumed
                assert answered(client)
                session = client.tls.session


def test_a_chain_of_ten_certificates_fits(pki: Pki, version: ssl.TLSVersion) -> None:
    with (Server(pki.server_context("long-chain")) as server,
          Client(pki.client_context(version), server.port, server_name=SERVER_NAME) as client):
        assert answered(client)
        assert client.last > 7


def test_a_server_has_many_connections_at_once(pki: Pki, opened: ExitStack) -> None:
    server = opened.enter_context(Server(pki.server_context()))
    clients = [opened.enter_context(Client(pki.client_context(), server.port, server_name=SERVER_NAME)) for _ in range(50)]
    assert all(answered(client) for client in reversed(clients))


# ---- the client's rules ----

class Watched:
    """A client whose TCP goes where a test reads it, and whose UDP goes to a server."""

    def __init__(self, opened: ExitStack, pki: Pki, version: ssl.TLSVersion | None = None) -> None:
        self._listener = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.server = opened.enter_context(Server(pki.server_context("rsa-chain")))
        self.udp = opened.enter_context(UdpForwarder(self.server.port))
        self.client = opened.enter_context(Client(
            pki.client_context(version), self._listener.getsockname()[1], udp_port=self.udp.port, server_name=SERVER_NAME))
        self.tcp = opened.enter_context(self._listener.accept()[0])
        self.tcp.settimeout(DEADLINE_S)
        wait_until("the client's last flight is on its way", lambda: len(self.udp.requests) > FIRST_FLIGHT)


def is_silent(connection: socket.socket) -> bool:
    connection.settimeout(SILENCE_S)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(DEADLINE_S)
    return False


def test_the_first_flight_ends_at_14_and_the_next_goes_on_from_15(pki: Pki, opened: ExitStack) -> None:
    watched = Watched(opened, pki)
    requests = watched.udp.requests
    assert [request[ID_BYTES] for request in requests[:FIRST_FLIGHT + 1]] == list(range(1, FIRST_FLIGHT + 2))
    assert {request[:ID_BYTES] for request in requests} == {watched.client.id}
    assert all(len(request) == HEADER_BYTES for request in requests[1:FIRST_FLIGHT])
    assert len(requests[FIRST_FLIGHT]) > HEADER_BYTES, "Finished"


def test_one_tombstone_stands_before_the_first_write(pki: Pki, version: ssl.TLSVersion, opened: ExitStack) -> None:
    watched = Watched(opened, pki, version)
    assert is_silent(watched.tcp), "a client that writes nothing has nothing to say on TCP"
    watched.client.sendall(b"first")
    begin = read_exactly(watched.tcp, HEADER_BYTES + 5)
    last = watched.client.last
    assert begin[:HEADER_BYTES + 1] == watched.client.id + bytes([last, APPLICATION_DATA])
    sizes = [len(response) - HEADER_BYTES for response in watched.udp.responses[:last]]
    assert max(sizes) == PAYLOAD_MAX and last >= 3
    read_exactly(watched.tcp, int.from_bytes(begin[-2:], "big"))
    watched.client.sendall(b"second")
    assert read_exactly(watched.tcp, 1)[0] == APPLICATION_DATA


def test_tickets_are_not_read_from_udp(pki: Pki, opened: ExitStack) -> None:
    """The server has sent them there, and they do not count."""
    watched = Watched(opened, pki)
    watched.client.sendall(b"x")
    wait_until("the tickets have come by UDP", lambda: len(watched.udp.responses) > watched.client.last)


def fails(pki: Pki, opened: ExitStack, *, requests: Rule = deliver, responses: Rule = deliver) -> tuple[Exception, UdpForwarder]:
    """How a handshake with a server of some datagrams ends over this path, which it must not survive."""
    server = opened.enter_context(Server(pki.server_context("rsa-chain")))
    udp = opened.enter_context(UdpForwarder(server.port, requests=requests, responses=responses))
    with pytest.raises((Broken, TimeoutError)) as failure:
        Client(pki.client_context(), server.port, udp_port=udp.port, server_name=SERVER_NAME, deadline_s=HANG_S)
    return failure.value, udp


def test_a_repeated_response_is_fatal(pki: Pki, opened: ExitStack) -> None:
    failure, _ = fails(pki, opened, responses=repeat(2))
    assert isinstance(failure, Broken) and "response 1 came when 2 was due" in str(failure)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_lost_response_hangs_and_nothing_is_sent_again(pki: Pki, number: int, opened: ExitStack) -> None:
    failure, udp = fails(pki, opened, responses=drop(number))
    assert str(failure) == f"response {number} does not come"
    assert len(udp.requests) == FIRST_FLIGHT


def test_a_lost_request_hangs_and_nothing_is_sent_again(pki: Pki, opened: ExitStack) -> None:
    failure, udp = fails(pki, opened, requests=drop(1))
    assert isinstance(failure, TimeoutError)
    assert (len(udp.requests), len(udp.responses)) == (FIRST_FLIGHT, 0)


def test_the_order_does_not_matter(pki: Pki, opened: ExitStack) -> None:
    server = opened.enter_context(Server(pki.server_context("rsa-chain")))
    udp = opened.enter_context(UdpForwarder(server.port, requests=last_first(FIRST_FLIGHT), responses=last_first(3)))
    client = opened.enter_context(
        Client(pki.client_context(), server.port, udp_port=udp.port, server_name=SERVER_NAME))
    assert answered(client)


def last_first(count: int) -> Rule:
    """The first `count` datagrams go on when all of them have come, in the opposite order."""
    held: list[Datagram] = []

    def rule(number: int, datagram: Datagram) -> list[Datagram]:
        if number > count:
            return [datagram]
        held.insert(0, datagram)
        return held if number == count else []

    return rule


def test_who_only_reads_gets_nothing(pki: Pki, opened: ExitStack) -> None:
    """The server's words wait for the tombstone, the tombstone for the client's."""
    server = opened.enter_context(Server(pki.server_context(), lambda session: session.sendall(b"welcome")))
    client = opened.enter_context(Client(pki.client_context(), server.port, server_name=SERVER_NAME, deadline_s=HANG_S))
    with pytest.raises(TimeoutError):
        client.recv(7)
    client.sendall(b"say it")
    assert read_exactly(client, 7) == b"welcome"


def test_a_datagram_that_is_more_than_the_handshake_breaks_it(pki: Pki, opened: ExitStack) -> None:
    """It does not count as consumed, so that its first part comes twice."""
    ticket = bytes([APPLICATION_DATA, 3, 3, 0, 20]) + bytes(20)
    server = opened.enter_context(Server(pki.server_context()))
    udp = opened.enter_context(UdpForwarder(
        server.port, responses=lambda number, datagram: [datagram + (ticket if number == 2 else b"")]))
    client = opened.enter_context(Client(pki.client_context(), server.port, udp_port=udp.port, server_name=SERVER_NAME))
    assert client.last == 1
    client.sendall(b"x")
    with pytest.raises(ssl.SSLError):
        client.recv(1)


# ---- the server's rules ----

class Raw:
    """Requests one by one, and what they bring."""

    def __init__(self, opened: ExitStack, port: int, context: ssl.SSLContext) -> None:
        self.tls = MemoryClient(context, SERVER_NAME)
        self.id = os.urandom(ID_BYTES)
        self._udp = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._udp.connect(("127.0.0.1", port))

    def request(self, index: int, payload: bytes = b"") -> None:
        self._udp.send(packet(self.id, index, payload))

    def responses(self, count: int) -> list[int]:
        """The indices of so many; and then there must be no more."""
        self._udp.settimeout(DEADLINE_S)
        indices = []
        for _ in range(count):
            indices.append(self._udp.recv(2048)[ID_BYTES])
        assert is_silent(self._udp), "no more than that"
        return indices


@pytest.fixture
def server(pki: Pki, opened: ExitStack) -> Server:
    """Its flight takes three datagrams or more."""
    return opened.enter_context(Server(pki.server_context("rsa-chain")))


@pytest.fixture
def raw(pki: Pki, server: Server, opened: ExitStack) -> Raw:
    return Raw(opened, server.port, pki.client_context())


def test_each_response_waits_for_the_requests_up_to_its_own(raw: Raw) -> None:
    raw.request(1, raw.tls.hello)
    assert raw.responses(1) == [1]
    raw.request(3)
    assert raw.responses(0) == []
    raw.request(2)
    assert raw.responses(2) == [2, 3]
    raw.request(2)
    raw.request(1, raw.tls.hello)
    assert raw.responses(0) == [], "repeated requests bring nothing, and do no harm"


def test_more_than_14_responses_need_more_requests(pki: Pki, folder: Path, opened: ExitStack) -> None:
    certificate, key = pki.server("long-chain")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    longer = folder / "longer.pem"
    longer.write_text(certificate.read_text() + certificate.read_text())
    context.load_cert_chain(longer, key)
    server = opened.enter_context(Server(context))
    with pytest.raises(TimeoutError, match="response 15 does not come"):
        Client(pki.client_context(), server.port, server_name=SERVER_NAME, deadline_s=HANG_S)
    raw = Raw(opened, server.port, pki.client_context())
    raw.request(1, raw.tls.hello)
    for index in range(2, FIRST_FLIGHT + 1):
        raw.request(index)
    assert raw.responses(FIRST_FLIGHT) == list(range(1, FIRST_FLIGHT + 1))
    raw.request(FIRST_FLIGHT + 1)
    assert raw.responses(1) == [FIRST_FLIGHT + 1]


def test_what_the_tombstone_leaves_out_comes_again_on_tcp(pki: Pki, opened: ExitStack) -> None:
    """Tickets, for everybody who keeps to the rules; anything, for who says too little."""
    server = opened.enter_context(Server(pki.server_context("rsa-chain")))
    udp = opened.enter_context(UdpForwarder(server.port))
    client = opened.enter_context(Client(pki.client_context(), server.port, udp_port=udp.port, server_name=SERVER_NAME))
    wait_until("the tickets have come by UDP", lambda: len(udp.responses) > client.last)
    client.sendall(b"x")
    tickets = b"".join(response[HEADER_BYTES:] for response in udp.responses[client.last:])
    assert read_exactly(client.tcp, len(tickets)) == tickets


def test_plain_tls_on_tcp_is_held_open_and_never_served(pki: Pki, server: Server, opened: ExitStack) -> None:
    connection = opened.enter_context(connect(server.port))
    connection.sendall(MemoryClient(pki.client_context(), SERVER_NAME).hello)
    assert is_silent(connection)


def test_an_id_on_tcp_before_the_first_datagram_breaks_it(server: Server, raw: Raw, opened: ExitStack) -> None:
    connection = opened.enter_context(connect(server.port))
    connection.sendall(packet(raw.id, 0))
    wait_until_taken(connection)
    wait_until("the server has looked at it", lambda: server.joined(raw.id))
    raw.request(1, raw.tls.hello)
    assert raw.responses(0) == []
    assert is_silent(connection)


def test_a_tombstone_may_overtake_what_ends_the_handshake(pki: Pki, opened: ExitStack) -> None:
    released: list[Datagram] = []

    def hold_finished(number: int, datagram: Datagram) -> list[Datagram]:
        if number <= FIRST_FLIGHT:
            return [datagram]
        released.append(datagram)
        return []

    server = opened.enter_context(Server(pki.server_context()))
    udp = opened.enter_context(UdpForwarder(server.port, requests=hold_finished))
    client = opened.enter_context(Client(pki.client_context(), server.port, udp_port=udp.port, server_name=SERVER_NAME))
    client.sendall(b"x")
    wait_until("TCP has been joined", lambda: server.joined(client.id))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
        for datagram in released:
            late.sendto(datagram, ("127.0.0.1", server.port))
    assert read_exactly(client, 1) == b"x"
