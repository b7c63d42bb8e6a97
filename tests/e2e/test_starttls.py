"""STARTTLS end to end: real clients and servers, and between them the two ends of a conversion, together and alone.

What direct connections show is the reference: the same client does the same thing with the same server.
"""

import contextlib
import json
import os
import re
import socket
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Iterator

import pytest

from harness.admin import Admin
from harness.clients import ClientFailed
from harness.pki import SERVER_NAME, Pki
from harness.programs import program
from harness.proxy import Proxies
from harness.sockets import connect
from harness.starttls import Ways, Witness
from harness.starttls_clients import IMPLICIT_CLIENTS, STARTTLS_CLIENTS, Visit, run, succeeds, swaks
from harness.starttls_servers import SERVERS, StarttlsServer
from harness.wait import DEADLINE_S, SILENCE_S

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start Postfix and Dovecot")


@contextlib.contextmanager
def all_servers(pki: Pki, folder: Path, *, tls: bool) -> Iterator[dict[str, StarttlsServer]]:
    def start(protocol: str) -> StarttlsServer:
        return StarttlsServer(protocol, pki, folder / protocol, tls=tls)
    with ThreadPoolExecutor(len(SERVERS)) as pool:
        started = dict(zip(SERVERS, pool.map(start, SERVERS)))
        yield started
        list(pool.map(StarttlsServer.close, started.values()))


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """One that other users may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="starttls-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def servers(pki: Pki, open_folder: Path) -> Iterator[dict[str, StarttlsServer]]:
    with all_servers(pki, open_folder / "tls", tls=True) as started:
        yield started


EVERY_STARTTLS = [(protocol, name) for protocol, clients in STARTTLS_CLIENTS.items() for name in clients]
EVERY_IMPLICIT = [(protocol, name) for protocol, clients in IMPLICIT_CLIENTS.items() for name in clients]
every_starttls = pytest.mark.parametrize("protocol,client", EVERY_STARTTLS)
every_implicit = pytest.mark.parametrize("protocol,client", EVERY_IMPLICIT)


# ---- the reference ----

@every_starttls
def test_starttls_directly(pki: Pki, servers: dict[str, StarttlsServer], protocol: str, client: str) -> None:
    server = servers[protocol]
    succeeds(server, STARTTLS_CLIENTS[protocol][client], Visit(server.port, pki))


@every_implicit
def test_implicit_tls_directly(pki: Pki, servers: dict[str, StarttlsServer], protocol: str, client: str) -> None:
    server = servers[protocol]
    succeeds(server, IMPLICIT_CLIENTS[protocol][client], Visit(server.implicit_port, pki, implicit=True))


# ---- converted ----

@every_starttls
def test_starttls_as_turbotls(ways: Ways, pki: Pki, servers: dict[str, StarttlsServer], protocol: str,
                              client: str) -> None:
    server = servers[protocol]
    pair = ways.both(protocol, server.port)
    pair.assert_turbo(lambda: succeeds(server, STARTTLS_CLIENTS[protocol][client], Visit(pair.port, pki)))


# ---- one end alone ----
#
# A server with TLS from the start greets within TLS, one behind STARTTLS does not greet again (RFC 3207 §4.2, 9051
# §6.2.1, 2595 §4); without its key nobody can mend that. So one end alone is for LDAP and PostgreSQL, which do not
# greet, and towards TLS from the start for IMAP, whose greeting may come at any time, and for POP3 with clients that ask
# for the capabilities first. openssl's client does not mind greetings: it shows that TLS is converted in any case.

GREETS = "smtp", "imap", "pop3"

to_implicit = pytest.mark.parametrize("protocol,client", [
    (protocol, name) for protocol, name in EVERY_STARTTLS if protocol != "smtp" or name == "openssl"])
from_implicit = pytest.mark.parametrize("protocol,client", [
    (protocol, name) for protocol, name in EVERY_IMPLICIT if protocol not in GREETS or name == "openssl"])


@to_implicit
def test_starttls_to_implicit_tls(ways: Ways, pki: Pki, servers: dict[str, StarttlsServer], protocol: str,
                                  client: str) -> None:
    server = servers[protocol]
    near = ways.near(protocol, upstream=f"tcp:127.0.0.1:{server.implicit_port}")
    succeeds(server, STARTTLS_CLIENTS[protocol][client], Visit(near.port, pki))
    assert near.record()["outcome"] == "classic"


@from_implicit
def test_implicit_tls_to_starttls(ways: Ways, pki: Pki, servers: dict[str, StarttlsServer], protocol: str,
                                  client: str) -> None:
    server = servers[protocol]
    far = ways.far(protocol, server.port)
    succeeds(server, IMPLICIT_CLIENTS[protocol][client], Visit(far.port, pki, implicit=True))
    assert far.record()["outcome"] == "opaque"  # over TCP on both sides nothing is looked at


def test_one_end_alone_cannot_take_the_greeting_away(ways: Ways, pki: Pki, servers: dict[str, StarttlsServer]) -> None:
    near = ways.near("smtp", upstream=f"tcp:127.0.0.1:{servers['smtp'].implicit_port}")
    with pytest.raises(ClientFailed, match=r"~> EHLO client\.test\n<~\* 220 example\.test"):
        swaks(Visit(near.port, pki))


@pytest.mark.parametrize("protocol", GREETS)
def test_one_end_alone_cannot_greet(ways: Ways, pki: Pki, servers: dict[str, StarttlsServer], protocol: str) -> None:
    far = ways.far(protocol, servers[protocol].port)
    with pki.client_context().wrap_socket(connect(far.port), server_hostname=SERVER_NAME) as tls:
        tls.settimeout(SILENCE_S)
        with pytest.raises(TimeoutError):
            tls.recv(1)


# ---- behind a request ----

REQUESTS = {"HTTP_CONNECT": "http", "SOCKS5": "socks5h"}


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("protocol", GREETS)
def test_starttls_behind_a_request(proxies: Proxies, pki: Pki, servers: dict[str, StarttlsServer], tmp_path: Path,
                                   protocol: str, request_: str) -> None:
    """One proxy is both ends: it is asked for the server, plays it, and then the client towards it."""
    server = servers[protocol]
    proxy = proxies.configured(tmp_path, f"""
        listener {{
          protocol: TCP
          address: "127.0.0.1:0"
          request: {request_}
          starttls: {protocol.upper()}
          route {{ requested_host: "{SERVER_NAME}" requested_port: {server.port} upstream: "server" }}
        }}
        upstream {{ name: "server" starttls: {protocol.upper()} server {{ address: "127.0.0.1:{server.port}" }} }}""")
    visit = Visit(server.port, pki, proxy=f"{REQUESTS[request_]}://127.0.0.1:{proxy.port}")
    succeeds(server, STARTTLS_CLIENTS[protocol]["curl"], visit)
    record = proxy.record()
    assert (record["outcome"], record["server"]) == ("classic", f"tcp:127.0.0.1:{server.port}")


# ---- PostgreSQL's TLS without an SSLRequest ----

def test_direct_tls_of_postgresql_is_converted_too(ways: Ways, pki: Pki, servers: dict[str, StarttlsServer]) -> None:
    server = servers["postgresql"]
    pair = ways.both("postgresql", server.port)
    pair.assert_turbo(lambda: succeeds(server, IMPLICIT_CLIENTS["postgresql"]["openssl"],
                                       Visit(pair.port, pki, implicit=True)))


@pytest.mark.parametrize("alpn", [[], ["-alpn", "http/1.1"]], ids=["none", "another"])
def test_direct_tls_without_its_alpn_is_refused(ways: Ways, servers: dict[str, StarttlsServer],
                                                alpn: list[str]) -> None:
    near = ways.near("postgresql", upstream=f"tcp:127.0.0.1:{servers['postgresql'].implicit_port}")
    with pytest.raises(ClientFailed):
        run([program("openssl", "openssl"), "s_client", "-connect", f"127.0.0.1:{near.port}", "-quiet", *alpn])
    record = near.record()
    assert (record["outcome"], record["reason"]) == ("failed", "no-tls")


# ---- servers that do no TLS, though the client was promised it ----

@pytest.fixture(scope="module")
def plain_servers(pki: Pki, open_folder: Path) -> Iterator[dict[str, StarttlsServer]]:
    with all_servers(pki, open_folder / "plain", tls=False) as started:
        yield started


class Tap(Witness):
    """On the way to a server."""

    def __init__(self, port: int) -> None:
        self._port = port
        super().__init__()

    def converse(self, connection: socket.socket, heard: bytearray) -> None:
        with connect(self._port) as server:
            back = threading.Thread(target=self._pump, args=(server, connection), daemon=True)
            back.start()
            while piece := connection.recv(1 << 16):
                heard += piece
                server.sendall(piece)
            server.shutdown(socket.SHUT_WR)
            back.join(DEADLINE_S)

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)


PRELUDE = {
    "smtp": rb"EHLO \[127\.0\.0\.1\]\r\n",
    "imap": rb"a STARTTLS\r\n",
    "pop3": rb"STLS\r\n",
    "ldap": re.escape(b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"),
    "postgresql": re.escape(b"\x00\x00\x00\x08\x04\xd2\x16\x2f"),
}
"""All that a server without TLS may be told."""

SAID = {
    "smtp": "(no STARTTLS among its extensions)",
    "imap": "a BAD TLS support isn't enabled.",
    "pop3": "-ERR TLS support isn't enabled.",
    "ldap": "unsupported extended operation",
    "postgresql": "(server does not do TLS)",
}
"""What the log says of it: the server's words, or in brackets ours where it has none."""

REFUSED = "a server does not begin TLS as its upstream's starttls says"


@pytest.mark.parametrize("protocol,client", [each for each in EVERY_STARTTLS if each[1] != "openssl"])
def test_a_server_without_tls_is_told_nothing(ways: Ways, pki: Pki, plain_servers: dict[str, StarttlsServer],
                                              protocol: str, client: str) -> None:
    with Tap(plain_servers[protocol].port) as tap:
        pair = ways.both(protocol, tap.port)
        with pytest.raises(ClientFailed):
            STARTTLS_CLIENTS[protocol][client](Visit(pair.port, pki))
        entry = json.loads(pair.edge.stderr.wait_for(lambda line: REFUSED in line)[0])
        assert (entry["level"], entry["server"]) == ("warning", f"tcp:127.0.0.1:{tap.port}")
        assert entry["said"] == SAID[protocol]
        assert {record["reason"] for record in pair.edge.wait_for_records()} == {"starttls-refused"}
        assert Admin(pair.edge).metrics().sum("turbotls_connections_total", outcome="failed",
                                              reason="starttls-refused") >= 1
        assert tap.heard
    assert all(re.fullmatch(PRELUDE[protocol], heard) for heard in tap.heard), tap.heard
