"""Unmodified clients reach unmodified servers through sidecar and edge, and UDP carries the first flight."""

import itertools
import re
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.clients import CLIENTS, Visit
from harness.pki import SERVER_NAME, Pki
from harness.process import Child
from harness.programs import program
from harness.proxy import Proxies
from harness.servers import SERVERS, TlsServer, accept_port
from harness.wait import wait_until

Servers = Callable[[str, bool], TlsServer]

every_client = pytest.mark.parametrize("client", CLIENTS)
every_server = pytest.mark.parametrize("server", SERVERS)
every_version = pytest.mark.parametrize("version", ["1.2", "1.3"])


@pytest.fixture(scope="module")
def servers(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Each server program once for all tests, and once more to demand client certificates."""
    running: dict[tuple[str, bool], TlsServer] = {}

    def get(name: str, client_certificate: bool) -> TlsServer:
        key = name, client_certificate
        if key not in running:
            home = tmp_path_factory.mktemp(name)
            running[key] = SERVERS[name](pki, home, client_certificate=client_certificate)
        return running[key]

    yield get
    for each in running.values():
        each.close()


@every_version
@every_server
@every_client
def test_a_client_reaches_a_server_with_its_first_flight_by_udp(
        proxies: Proxies, servers: Servers, pki: Pki, tmp_path: Path,
        client: str, server: str, version: str) -> None:
    target = servers(server, False)
    pair = proxies.pair(target.port)
    reply = CLIENTS[client](Visit(pair.port, pki, tmp_path, version))
    assert target.expected in reply
    pair.assert_turbo()
    assert pair.sidecar.record()["server_name"] == SERVER_NAME
    assert pair.edge.record()["server_name"] == SERVER_NAME


NEVER_RESUMED = {("curl", "node", "1.2")}
"""Debian 12's curl offers its session again, Node 24 declines: without any proxy too."""

RESUMPTIONS = [case for case in itertools.product(CLIENTS, SERVERS, ["1.2", "1.3"])
               if case not in NEVER_RESUMED]


@pytest.mark.parametrize("client, server, version", RESUMPTIONS)
def test_a_session_is_resumed_through_the_proxies(
        proxies: Proxies, servers: Servers, pki: Pki, tmp_path: Path,
        client: str, server: str, version: str) -> None:
    target = servers(server, False)
    pair = proxies.pair(target.port)
    reply = CLIENTS[client](Visit(pair.port, pki, tmp_path, version, resume=True))
    assert target.expected in reply
    assert target.resumed(reply)
    pair.assert_turbo(2)


@every_version
@every_server
@every_client
def test_a_client_certificate_passes_the_proxies(
        proxies: Proxies, servers: Servers, pki: Pki, tmp_path: Path,
        client: str, server: str, version: str) -> None:
    target = servers(server, True)
    pair = proxies.pair(target.port)
    reply = CLIENTS[client](Visit(pair.port, pki, tmp_path, version, certificate=True))
    assert target.expected in reply
    pair.assert_turbo()


@every_version
def test_a_chain_of_three_rsa_certificates_fits_the_first_flight(
        proxies: Proxies, pki: Pki, tmp_path: Path, version: str) -> None:
    argv = [program("openssl", "openssl"), "s_server", "-accept", "127.0.0.1:0", "-www",
            "-cert", pki.server("rsa-chain")[0], "-cert_chain", pki.server("rsa-chain")[0],
            "-key", pki.server("rsa-chain")[1]]
    with Child(argv) as s_server:
        pair = proxies.pair(accept_port(s_server))
        assert b"s_server" in CLIENTS["openssl"](Visit(pair.port, pki, tmp_path, version))
        pair.assert_turbo()


def test_early_data_arrives_exactly_once(proxies: Proxies, pki: Pki, tmp_path: Path) -> None:
    """It leaves with the ClientHello, but waits for TCP: UDP can never be the cause of a replay."""
    marker = "GET /pay-once HTTP/1.0"
    early = tmp_path / "early"
    early.write_text(marker + "\r\n\r\n")
    session = tmp_path / "session.pem"
    openssl = program("openssl", "openssl")
    certificate, key = pki.server()
    with Child([openssl, "s_server", "-accept", "127.0.0.1:0", "-early_data", "-naccept", "2",
                "-cert", certificate, "-key", key], stdin=True) as server:
        pair = proxies.pair(accept_port(server))
        client = [openssl, "s_client", "-connect", f"127.0.0.1:{pair.port}", "-CAfile", pki.ca,
                  "-servername", SERVER_NAME]
        with Child([*client, "-sess_out", session], stdin=True) as first:
            wait_until("the session ticket is saved", lambda: session_is_saved(session))
            first.write(b"Q\n")
            assert first.wait() == 0
        with Child([*client, "-sess_in", session, "-early_data", early], stdin=True) as second:
            server.stdout.wait_for(lambda line: "End of early data" in line)
            second.write(b"Q\n")
            assert second.wait() == 0
            assert "Early data was accepted" in second.stdout.text()
        assert server.wait() == 0
        assert len(re.findall(marker, server.stdout.text())) == 1
        pair.assert_turbo(2)


def session_is_saved(session: Path) -> bool:
    return session.exists() and "END SSL SESSION PARAMETERS" in session.read_text()
