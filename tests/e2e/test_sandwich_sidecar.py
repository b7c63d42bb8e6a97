"""A sidecar that dials a native Sandwich server, for clients that know nothing of it."""

import os
import socket
import ssl
import subprocess
from contextlib import contextmanager
from typing import Iterator

import pytest

from harness.hello import read_exactly
from harness.pki import SERVER_NAME, Pki
from harness.programs import sanitized_proxy
from harness.proxy import Proxies, Proxy
from harness.sandwich import FIRST_FLIGHT, HEADER_BYTES, ID_BYTES, Server, Session
from harness.sockets import connect, is_reset, meets_reset
from harness.udp import Rule, SilentUdpPort, UdpForwarder, deliver
from harness.wait import wait_until

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
MUCH = 200_000
RETRY_GROUP = "secp384r1"


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> ssl.TLSVersion:
    return VERSIONS[request.param]


def sidecar_for(proxies: Proxies, port: int, udp_port: int | None = None) -> Proxy:
    udp = f",udp={udp_port}" if udp_port else ""
    return proxies.start(listen="tcp:127.0.0.1:0", upstream=f"turbo:127.0.0.1:{port}{udp},dialect=sandwich")


def visit(port: int, context: ssl.SSLContext, size: int = 1000, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
    """A question and its answer by an echo, to the end of both directions."""
    question = os.urandom(size)
    with context.wrap_socket(connect(port), server_hostname=SERVER_NAME, session=session) as client:
        for at in range(0, size, 16384):  # an echo that nobody reads stops reading
            client.sendall(question[at:at + 16384])
            assert read_exactly(client, len(question[at:at + 16384])) == question[at:at + 16384]
        client.unwrap()
        return client


def was_turbo(sidecar: Proxy, count: int = 1) -> bool:
    return sidecar.outcomes(count) == {"turbo"}


def asking_for_certificates(pki: Pki) -> ssl.SSLContext:
    context = pki.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(pki.ca)
    return context


# ---- what goes through ----

@pytest.mark.parametrize("kind", ["ecdsa", "long-chain"])
def test_a_client_reaches_a_sandwich_server(pki: Pki, proxies: Proxies, version: ssl.TLSVersion, kind: str) -> None:
    with Server(pki.server_context(kind)) as server:
        sidecar = sidecar_for(proxies, server.port)
        visit(sidecar.port, pki.client_context(version), MUCH)
        assert server.result() == MUCH
        assert was_turbo(sidecar)


def test_the_handshake_goes_by_udp(pki: Pki, proxies: Proxies, version: ssl.TLSVersion) -> None:
    """All of it: the client's last words as well; and nothing of what follows."""
    with Server(pki.server_context()) as server, UdpForwarder(server.port) as udp:
        sidecar = sidecar_for(proxies, server.port, udp.port)
        visit(sidecar.port, pki.client_context(version), MUCH)
        assert was_turbo(sidecar)
    indices = [request[ID_BYTES] for request in udp.requests]
    assert indices[:FIRST_FLIGHT] == list(range(1, FIRST_FLIGHT + 1))
    assert max(indices) > FIRST_FLIGHT
    assert sum(len(request) - HEADER_BYTES for request in udp.requests) < 3000


def test_a_client_may_be_asked_for_another_hello(pki: Pki, proxies: Proxies) -> None:
    context = pki.server_context()
    context.set_ecdh_curve(RETRY_GROUP)
    with Server(context) as server:
        sidecar = sidecar_for(proxies, server.port)
        visit(sidecar.port, pki.client_context())
        assert was_turbo(sidecar)


def test_clients_have_certificates(pki: Pki, proxies: Proxies, version: ssl.TLSVersion) -> None:
    def subject(session: Session) -> object:
        session.sendall(session.recv(1))
        return session.tls.getpeercert()["subject"]

    with Server(asking_for_certificates(pki), subject) as server:
        sidecar = sidecar_for(proxies, server.port)
        context = pki.client_context(version, with_certificate=True)
        with context.wrap_socket(connect(sidecar.port), server_hostname=SERVER_NAME) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        assert server.result() == ((("commonName", "Test Client"),),)


def test_sessions_are_resumed(pki: Pki, proxies: Proxies, version: ssl.TLSVersion) -> None:
    context, session = pki.client_context(version), None
    with Server(pki.server_context()) as server:
        sidecar = sidecar_for(proxies, server.port)
        for resumed in (False, True):
            question = os.urandom(100)
            with context.wrap_socket(connect(sidecar.port), server_hostname=SERVER_NAME, session=session) as client:
                assert client.session_reused is resumed
                client.sendall(question)
                assert read_exactly(client, 100) == question
                session = client.session
        assert was_turbo(sidecar, 2)


def test_a_server_may_speak_first(pki: Pki, proxies: Proxies, version: ssl.TLSVersion) -> None:
    """The tombstone comes without a word of the client's."""
    with Server(pki.server_context(), lambda session: session.sendall(b"220 welcome")) as server:
        sidecar = sidecar_for(proxies, server.port)
        with pki.client_context(version).wrap_socket(connect(sidecar.port), server_hostname=SERVER_NAME) as client:
            assert read_exactly(client, 11) == b"220 welcome"


# ---- loss ----

def once(unwanted: set[int]) -> Rule:
    """Loses the datagrams of these numbers of the first id, once each."""
    left = set(unwanted)
    ids: list[bytes] = []

    def rule(_: int, datagram: bytes) -> list[bytes]:
        ids.append(datagram[:ID_BYTES])
        if datagram[:ID_BYTES] == ids[0] and datagram[ID_BYTES] in left:
            left.discard(datagram[ID_BYTES])
            return []
        return [datagram]

    return rule


@contextmanager
def lossy(pki: Pki, proxies: Proxies, requests: Rule = deliver, responses: Rule = deliver) -> Iterator[tuple[Proxy, UdpForwarder]]:
    with Server(pki.server_context("rsa-chain")) as server:
        with UdpForwarder(server.port, requests=requests, responses=responses) as udp:
            yield sidecar_for(proxies, server.port, udp.port), udp


@pytest.mark.parametrize("lost", [{1}, {3}, {14}, {15}, set(range(1, 17))], ids=str)
def test_lost_requests_are_repeated(pki: Pki, proxies: Proxies, version: ssl.TLSVersion, lost: set[int]) -> None:
    with lossy(pki, proxies, requests=once(lost)) as (sidecar, udp):
        visit(sidecar.port, pki.client_context(version))
        assert was_turbo(sidecar)
        assert len({request[:ID_BYTES] for request in udp.requests}) == 1


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_lost_response_begins_anew(pki: Pki, proxies: Proxies, lost: int) -> None:
    with lossy(pki, proxies, responses=once({lost})) as (sidecar, udp):
        visit(sidecar.port, pki.client_context())
        assert was_turbo(sidecar)
        assert len({request[:ID_BYTES] for request in udp.requests}) == 2


def test_a_response_that_is_always_lost_resets_the_client(pki: Pki, proxies: Proxies) -> None:
    def second(_: int, datagram: bytes) -> list[bytes]:
        return [] if datagram[ID_BYTES] == 2 else [datagram]

    with lossy(pki, proxies, responses=second) as (sidecar, udp):
        with pytest.raises((ConnectionResetError, ssl.SSLError)):
            visit(sidecar.port, pki.client_context())
        assert (sidecar.record()["outcome"], sidecar.record()["reason"]) == ("failed", "datagram-lost")
        assert len({request[:ID_BYTES] for request in udp.requests}) == 3


# ---- no other way ----

def test_what_is_not_tls_is_reset(pki: Pki, proxies: Proxies) -> None:
    with Server(pki.server_context()) as server:
        sidecar = sidecar_for(proxies, server.port)
        assert meets_reset(sidecar.port, b"GET / HTTP/1.0\r\n\r\n")
        assert (sidecar.record()["outcome"], sidecar.record()["reason"]) == ("failed", "not-tls")


def test_without_udp_clients_are_reset(pki: Pki, proxies: Proxies) -> None:
    with Server(pki.server_context()) as server, SilentUdpPort() as udp:
        sidecar = sidecar_for(proxies, server.port, udp.port)
        udp.close()
        with pytest.raises((ConnectionResetError, ssl.SSLError)):
            visit(sidecar.port, pki.client_context())
        assert (sidecar.record()["outcome"], sidecar.record()["reason"]) == ("failed", "udp-unreachable")


def test_a_client_that_goes_away_leaves_nothing(pki: Pki, proxies: Proxies) -> None:
    with Server(pki.server_context()) as server, SilentUdpPort() as udp:
        sidecar = sidecar_for(proxies, server.port, udp.port)
        before = sidecar.open_files()
        with connect(sidecar.port) as client:
            client.sendall(b"\x16\x03\x01")
            wait_until("the connection has begun", lambda: sidecar.open_files() > before)
        sidecar.wait_until_idle(before)


def test_never_is_no_answer_to_it() -> None:
    refused = subprocess.run(
        [sanitized_proxy(), "--listen", "tcp:127.0.0.1:0", "--upstream", "turbo:localhost:443,dialect=sandwich,turbo=never"],
        capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "NEVER does not go with dialect: SANDWICH" in refused.stderr
