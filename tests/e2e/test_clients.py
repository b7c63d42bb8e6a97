"""Unmodified clients reach unmodified servers through sidecar and edge, and UDP carries the first flight."""

import itertools
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.clients import CLIENTS, Visit
from harness.pki import SERVER_NAME, Pki
from harness.process import Child
from harness.programs import program
from harness.proxy import Proxies
from harness.servers import SERVERS, Nginx, TlsServer, accept_port
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

    def visit() -> None:
        assert target.expected in CLIENTS[client](Visit(pair.port, pki, tmp_path, version))

    pair.assert_turbo(visit)
    for proxy in (pair.sidecar, pair.edge):
        assert proxy.records()[-1]["server_name"] == SERVER_NAME


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

    def visit() -> None:
        reply = CLIENTS[client](Visit(pair.port, pki, tmp_path, version, resume=True))
        assert target.expected in reply
        assert target.resumed(reply)

    pair.assert_turbo(visit, connections=2)


@every_version
@every_server
@every_client
def test_a_client_certificate_passes_the_proxies(
        proxies: Proxies, servers: Servers, pki: Pki, tmp_path: Path,
        client: str, server: str, version: str) -> None:
    target = servers(server, True)
    pair = proxies.pair(target.port)

    def visit() -> None:
        reply = CLIENTS[client](Visit(pair.port, pki, tmp_path, version, certificate=True))
        assert target.expected in reply

    pair.assert_turbo(visit)


@every_version
@every_client
def test_a_chain_of_three_rsa_certificates_fits_the_first_flight(
        proxies: Proxies, pki: Pki, folder: Path, client: str, version: str) -> None:
    with Nginx(pki, folder, kind="rsa-chain") as target:
        pair = proxies.pair(target.port)

        def visit() -> None:
            assert target.expected in CLIENTS[client](Visit(pair.port, pki, folder, version))

        pair.assert_turbo(visit)


class EarlyData:
    """openssl s_client sends early data to openssl s_server, which accepts it."""

    MARKER = "GET /pay-once HTTP/1.0"

    def __init__(self, pki: Pki, tmp_path: Path) -> None:
        self._pki = pki
        self._early = tmp_path / "early"
        self._early.write_text(self.MARKER + "\r\n\r\n")
        self._session = tmp_path / "session.pem"
        self._openssl = program("openssl", "openssl")

    def server(self) -> Child:
        certificate, key = self._pki.server()
        return Child([self._openssl, "s_server", "-accept", "127.0.0.1:0", "-early_data",
                      "-cert", certificate, "-key", key], stdin=True)

    def _client(self, port: int, *options: str | Path) -> Child:
        return Child([self._openssl, "s_client", "-connect", f"127.0.0.1:{port}",
                      "-CAfile", self._pki.ca, "-servername", SERVER_NAME, *options], stdin=True)

    def visit(self, port: int, server: Child) -> None:
        """Two connections: one for a ticket, one that uses it."""
        self._session.unlink(missing_ok=True)
        with self._client(port, "-sess_out", self._session) as first:
            wait_until("the session ticket is saved", self._is_saved)
            first.write(b"Q\n")
            assert first.wait() == 0
        arrived = len(self.arrivals(server))
        with self._client(port, "-sess_in", self._session, "-early_data", self._early) as second:
            server.stdout.wait_for(lambda line: "End of early data" in line, arrived + 1)
            second.write(b"Q\n")
            assert second.wait() == 0
            assert "Early data was accepted" in second.stdout.text()
        assert len(self.arrivals(server)) == arrived + 1

    def arrivals(self, server: Child) -> list[str]:
        return server.stdout.matching(lambda line: self.MARKER in line)

    def _is_saved(self) -> bool:
        return self._session.exists() and "END SSL SESSION" in self._session.read_text()


def test_early_data_arrives_exactly_once(proxies: Proxies, pki: Pki, tmp_path: Path) -> None:
    """It leaves with the ClientHello, but waits for TCP: UDP can never be the cause of a replay."""
    early = EarlyData(pki, tmp_path)
    with early.server() as server:
        pair = proxies.pair(accept_port(server))
        pair.assert_turbo(lambda: early.visit(pair.port, server), connections=2)
