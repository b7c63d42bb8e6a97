"""The PROXY protocol: servers are told the true client, and only trusted networks may tell the edge one.

Clients, proxies and servers share a machine: the addresses are loopback's own (127.0.0.2 …), and for IPv6, which
has but one, the ports tell who is who.
"""

import errno
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

import pytest

from harness.hello import client_hello, read_exactly, read_to_end
from harness.pki import SERVER_NAME, Pki
from harness.proxied import (ALPN, AUTHORITY, PROXIED, UNIQUE_ID, V2_SIGNATURE, End, ProxiedServer, Told,
                             end_of, header_v1, header_v2, told_then)
from harness.proxy import Proxies, Proxy, assert_turbo
from harness.scripted import FLIGHT, finish, flight_then_echo
from harness.sockets import TcpServer, connect, is_reset, meets_reset, name_of, wait_until_taken
from harness.tls import MemoryClient
from harness.wire import WireClient

REQUEST = f"GET / HTTP/1.0\r\nHost: {SERVER_NAME}\r\n\r\n".encode()

CLIENT = "127.0.0.2"
ELSEWHERE = "127.0.0.3"
BALANCER = "127.0.0.4"
"""Who is trusted, where somebody is."""

TOLD_CLIENT = End("203.0.113.7", 54321)
TOLD_SERVER = End("198.51.100.9", 443)
TOLD_V6 = End("2001:db8::7", 54321)

every_version = pytest.mark.parametrize("version", ["V1", "V2"])
every_server = pytest.mark.parametrize("server", PROXIED)
every_host = pytest.mark.parametrize("host", ["127.0.0.1", "::1"])


@pytest.fixture(scope="module")
def servers(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ProxiedServer]]:
    running = {name: server(pki, tmp_path_factory.mktemp(name)) for name, server in PROXIED.items()}
    yield running
    for each in running.values():
        each.close()


@dataclass
class Edges:
    """Edges by a configuration of this file's kind."""

    proxies: Proxies
    folder: Path

    def __call__(self, server_port: int, version: str = "NONE", *, host: str = "127.0.0.1",
                 trusted: str = "", protocol: str = "TURBO", more: str = "") -> Proxy:
        address = f"[{host}]:0" if ":" in host else f"{host}:0"
        trust = f'proxy_protocol_from: "{trusted}"' if trusted else ""
        return self.proxies.configured(self.folder, f"""
            listener {{
              protocol: {protocol}
              address: "{address}"
              {trust} {more}
              route {{ upstream: "server" }}
            }}
            upstream {{
              name: "server"
              proxy_protocol: {version}
              server {{ address: "127.0.0.1:{server_port}" }}
            }}""")


@pytest.fixture
def edges(proxies: Proxies, tmp_path: Path) -> Edges:
    return Edges(proxies, tmp_path)


class Watch:
    """What a server is told from now on."""

    def __init__(self, server: ProxiedServer) -> None:
        self._server = server
        self._seen = server.told_count()

    def next(self) -> Told:
        self._seen += 1
        return self._server.told(self._seen)[self._seen - 1]


def visit(pki: Pki, connection: socket.socket) -> bytes:
    """One page over a connection, which ends with it."""
    with pki.client_context().wrap_socket(connection, server_hostname=SERVER_NAME) as tls:
        tls.sendall(REQUEST)
        return read_to_end(tls)


@dataclass(frozen=True)
class TurboVisit:
    reply: bytes
    client: End
    session: bytes


def visit_by_udp(pki: Pki, edge: Proxy, host: str, source: str | None) -> TurboVisit:
    """One page in the wire protocol: the handshake by UDP, the rest by TCP."""
    tls = MemoryClient(pki.client_context(), SERVER_NAME)
    with WireClient(edge, tls.hello, host=host, source=source) as client:
        client.send_hello()
        fed = 0
        while not tls.advance(client.stream()[fed:]):
            fed = len(client.stream())
            client.receive()
        with client.join(tls.encrypt(REQUEST)) as tcp:
            reply = tls.decrypt(read_to_end(tcp), 1 << 16)
        return TurboVisit(reply, end_of(client.name), client.session)


def source_for(host: str) -> str | None:
    """Another address than the proxies have, where there is one."""
    return CLIENT if host == "127.0.0.1" else None


# ---- out ----

@every_host
@every_version
@every_server
def test_a_server_is_told_a_classic_client(edges: Edges, servers: dict[str, ProxiedServer], pki: Pki,
                                           server: str, version: str, host: str) -> None:
    target = servers[server]
    edge = edges(target.port, version, host=host)
    watch = Watch(target)
    with connect(edge.port, host, source_for(host)) as tcp:
        name = name_of(tcp)
        assert target.expected in visit(pki, tcp)
    told = watch.next()
    assert (told.client, told.server) == (end_of(name), End(host, edge.port))
    assert edge.record()["client"] == name
    if (server, version) == ("haproxy", "V2"):
        assert told.tlvs == {AUTHORITY: SERVER_NAME.encode()}


@every_host
@every_version
@every_server
def test_a_server_is_told_where_a_turbo_clients_datagrams_come_from(
        edges: Edges, servers: dict[str, ProxiedServer], pki: Pki,
        server: str, version: str, host: str) -> None:
    target = servers[server]
    edge = edges(target.port, version, host=host)
    watch = Watch(target)
    turbo = visit_by_udp(pki, edge, host, source_for(host))
    assert target.expected in turbo.reply
    told = watch.next()
    assert (told.client, told.server) == (turbo.client, End(host, edge.port))
    if (server, version) == ("haproxy", "V2"):
        assert told.tlvs == {AUTHORITY: SERVER_NAME.encode(), UNIQUE_ID: turbo.session}
    assert edge.record()["outcome"] == "turbo"


@every_host
@every_version
@every_server
def test_a_server_is_told_the_sidecar_in_front(
        edges: Edges, proxies: Proxies, servers: dict[str, ProxiedServer], pki: Pki,
        server: str, version: str, host: str) -> None:
    target = servers[server]
    edge = edges(target.port, version, host=host)
    sidecar = proxies.sidecar(edge.port, host=f"[{host}]" if ":" in host else host)
    watch = Watch(target)
    told: list[Told] = []

    def fetch() -> None:
        assert target.expected in visit(pki, connect(sidecar.port))
        told.append(watch.next())

    assert_turbo((sidecar, edge), fetch)
    assert {each.server for each in told} == {End(host, edge.port)}
    # Its own address; the port of its datagrams nobody but the edge has seen.
    assert {each.client.host for each in told} == {host}
    assert [each.client for each in told] == [end_of(each["client"]) for each in edge.spoken()]


def test_version_2_tells_protocol_name_session_and_checksum(edges: Edges) -> None:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with TcpServer(told_then(flight_then_echo)) as server:
        edge = edges(server.port, "V2")
        with WireClient(edge, client_hello(context=context), source=CLIENT) as client:
            client.send_hello()
            client.receive_stream(len(FLIGHT))
            with client.join(b"x") as tcp:
                assert finish(tcp) == b"x"
            told, read = server.result()
            assert read == (client.hello, b"x")
            assert told.client == end_of(client.name)
            assert {kind: told.tlvs[kind] for kind in (ALPN, AUTHORITY, UNIQUE_ID)} == {
                ALPN: b"h2", AUTHORITY: SERVER_NAME.encode(), UNIQUE_ID: client.session}


@every_version
def test_what_is_no_tls_is_told_as_well(edges: Edges, version: str) -> None:
    with TcpServer(told_then(lambda connection: read_to_end(connection))) as server:
        edge = edges(server.port, version)
        with connect(edge.port, source=CLIENT) as tcp:
            tcp.sendall(b"no TLS")
            tcp.shutdown(socket.SHUT_WR)
            told, read = server.result()
            assert (told.client, read) == (end_of(name_of(tcp)), b"no TLS")
            assert not {ALPN, AUTHORITY, UNIQUE_ID} & told.tlvs.keys()


@every_version
def test_a_server_that_speaks_first_is_told_as_well(edges: Edges, version: str) -> None:
    def speak(connection: socket.socket) -> bytes:
        connection.sendall(b"220 ready")
        return read_to_end(connection)

    with TcpServer(told_then(speak)) as server:
        edge = edges(server.port, version, trusted=BALANCER, more="sniff_timeout_seconds: 0.02")
        for header, source in ((b"", CLIENT), (header_v1(TOLD_CLIENT, TOLD_SERVER), BALANCER)):
            with connect(edge.port, source=source) as tcp:
                client = TOLD_CLIENT if header else end_of(name_of(tcp))
                tcp.sendall(header)
                assert read_exactly(tcp, 9) == b"220 ready"
                assert finish(tcp) == b""
            told, read = server.result()
            assert (told.client, read) == (client, b"")


# ---- out: who may join (protocol §7.4) ----

def test_a_join_from_another_address_is_reset_when_the_address_was_told(edges: Edges) -> None:
    with TcpServer(told_then(flight_then_echo)) as server:
        edge = edges(server.port, "V2")
        with WireClient(edge, source=CLIENT) as client:
            client.send_hello()
            client.receive_stream(len(FLIGHT))
            with client.join(b"stolen", source=ELSEWHERE) as tcp:
                assert is_reset(tcp)
            with client.join(b"mine") as tcp:
                assert finish(tcp) == b"mine"
            told, read = server.result()
            assert (told.client, read) == (end_of(client.name), (client.hello, b"mine"))
        assert server.accepted == 1


def test_it_is_welcome_when_it_was_not(edges: Edges) -> None:
    with TcpServer(flight_then_echo) as server:
        with WireClient(edges(server.port), source=CLIENT) as client:
            client.send_hello()
            client.receive_stream(len(FLIGHT))
            with client.join(b"x", source=ELSEWHERE) as tcp:
                assert finish(tcp) == b"x"
            assert server.result() == (client.hello, b"x")
        assert server.accepted == 1


def test_a_classic_opening_from_another_address_starts_afresh(edges: Edges) -> None:
    with TcpServer(told_then(flight_then_echo)) as server:
        edge = edges(server.port, "V1")
        with WireClient(edge, source=CLIENT) as client:
            client.send_hello()
            client.receive_stream(len(FLIGHT))
            with connect(edge.port, source=ELSEWHERE) as tcp:
                name = name_of(tcp)
                tcp.sendall(client.hello + b"x")
                assert finish(tcp) == FLIGHT + b"x"
            told, read = server.result()
            assert (told.client, read) == (end_of(name), (client.hello, b"x"))
            with client.join(b"y") as tcp:
                assert finish(tcp) == b"y"
            told, read = server.result()
            assert (told.client, read) == (end_of(client.name), (client.hello, b"y"))
        assert server.accepted == 2


def test_one_from_the_same_address_adopts_the_session(edges: Edges) -> None:
    with TcpServer(told_then(flight_then_echo)) as server:
        edge = edges(server.port, "V1")
        with WireClient(edge, source=CLIENT) as client:
            client.send_hello()
            client.receive_stream(len(FLIGHT))
            with connect(edge.port, source=CLIENT) as tcp:
                tcp.sendall(client.hello + b"x")
                assert finish(tcp) == FLIGHT + b"x"
            told, _ = server.result()
            assert told.client == end_of(client.name)
        assert server.accepted == 1


# ---- in ----

HEADERS = {"v1": header_v1(TOLD_CLIENT, TOLD_SERVER), "v2": header_v2(TOLD_CLIENT, TOLD_SERVER)}
V6_HEADERS = {"v1": header_v1(TOLD_V6, TOLD_V6), "v2": header_v2(TOLD_V6, TOLD_V6)}
CUTS = {"whole": 0, "byte by byte": 60}
every_cut = pytest.mark.parametrize("cut", CUTS)
every_header = pytest.mark.parametrize("header", HEADERS)


@every_header
@every_version
@every_server
def test_a_trusted_one_is_believed(edges: Edges, servers: dict[str, ProxiedServer], pki: Pki,
                                   server: str, version: str, header: str) -> None:
    target = servers[server]
    edge = edges(target.port, version, trusted=f"{BALANCER}/32")
    watch = Watch(target)
    for told_client, told_server, headers in ((TOLD_CLIENT, TOLD_SERVER, HEADERS),
                                              (TOLD_V6, TOLD_V6, V6_HEADERS)):
        with connect(edge.port, source=BALANCER) as tcp:
            tcp.sendall(headers[header])
            assert target.expected in visit(pki, tcp)
        told = watch.next()
        assert (told.client, told.server) == (told_client, told_server)
        assert edge.wait_for_records(1)[0]["outcome"] == "classic"
    assert [record["client"] for record in edge.wait_for_records(2)] == [str(TOLD_CLIENT), str(TOLD_V6)]


@every_header
def test_others_speak_for_themselves_beside_it(edges: Edges, servers: dict[str, ProxiedServer], pki: Pki,
                                               header: str) -> None:
    """Who is not in the network needs no header, and may not send one."""
    target = servers["nginx"]
    edge = edges(target.port, "V2", trusted=BALANCER)
    watch = Watch(target)
    with connect(edge.port, source=CLIENT) as tcp:
        name = name_of(tcp)
        assert target.expected in visit(pki, tcp)
    assert watch.next().client == end_of(name)
    assert edge.record()["outcome"] == "classic"
    with connect(edge.port, source=CLIENT) as tcp:
        assert is_reset(tcp, HEADERS[header] + client_hello())
    assert_refused(edge, 2)


def assert_refused(edge: Proxy, count: int = 1) -> None:
    record = edge.wait_for_records(count)[count - 1]
    assert (record["outcome"], record["reason"]) == ("failed", "proxy-header")


LISTENERS = {"turbo": ("TURBO", ""), "turbo beside trusted ones": ("TURBO", BALANCER),
             "tcp beside trusted ones": ("TCP", BALANCER)}


@pytest.mark.parametrize("listener", LISTENERS)
@every_cut
@every_header
def test_a_header_from_who_is_not_trusted_is_refused(edges: Edges, header: str, cut: str,
                                                     listener: str) -> None:
    """Even where the server would believe it, and however it is cut."""
    protocol, trusted = LISTENERS[listener]
    with TcpServer(told_then(read_to_end)) as server:
        edge = edges(server.port, protocol=protocol, trusted=trusted)
        with connect(edge.port, source=CLIENT) as tcp:
            assert meets_refusal(tcp, HEADERS[header] + client_hello(), CUTS[cut])
        assert_refused(edge)
        assert server.accepted == 0


def send(tcp: socket.socket, data: bytes, cut: int) -> None:
    """The first bytes one by one, the others together."""
    for number in range(cut):
        tcp.sendall(data[number:number + 1])
        wait_until_taken(tcp)
    tcp.sendall(data[cut:])


def meets_refusal(tcp: socket.socket, data: bytes, cut: int) -> bool:
    """Whether a reset comes, at whichever step."""
    try:
        send(tcp, data, cut)
        return is_reset(tcp)
    except ConnectionError:
        return True
    except OSError as problem:  # asked for the peer of a connection that was reset
        return problem.errno == errno.ENOTCONN


@every_cut
@every_header
def test_a_header_may_come_in_any_pieces(edges: Edges, header: str, cut: str) -> None:
    """Byte by byte, or together with the ClientHello and what follows it."""
    with TcpServer(told_then(flight_then_echo)) as server:
        edge = edges(server.port, "V1", trusted=f"{BALANCER}/32")
        hello = client_hello()
        with connect(edge.port, source=BALANCER) as tcp:
            send(tcp, HEADERS[header] + hello + b"x", CUTS[cut])
            assert finish(tcp) == FLIGHT + b"x"
        told, read = server.result()
        assert (told.client, told.server, read) == (TOLD_CLIENT, TOLD_SERVER, (hello, b"x"))


SPEAKING_FOR_ITSELF = {
    "UNKNOWN": b"PROXY UNKNOWN\r\n",
    "UNKNOWN with more": b"PROXY UNKNOWN 192.0.2.1 or so\r\n",
    "LOCAL": V2_SIGNATURE + b"\x20\x00\x00\x00",
    "LOCAL with more": V2_SIGNATURE + b"\x20\x11\x00\x05what?",
    "UNSPEC": V2_SIGNATURE + b"\x21\x00\x00\x00",
}


@pytest.mark.parametrize("header", SPEAKING_FOR_ITSELF)
def test_a_balancer_may_speak_for_itself(edges: Edges, header: str) -> None:
    with TcpServer(told_then(flight_then_echo)) as server:
        edge = edges(server.port, "V2", trusted=BALANCER)
        with connect(edge.port, source=BALANCER) as tcp:
            tcp.sendall(SPEAKING_FOR_ITSELF[header] + client_hello() + b"x")
            assert finish(tcp) == FLIGHT + b"x"
            told, _ = server.result()
            assert (told.client, told.server) == (end_of(name_of(tcp)), End("127.0.0.1", edge.port))


BROKEN = {
    "none, but a ClientHello": client_hello,
    "none, but something else": lambda: b"GET / HTTP/1.0\r\n\r\n",
    "v1 without an address": lambda: b"PROXY TCP4 \r\n",
    "v1 without an end": lambda: b"PROXY UNKNOWN " + b"x" * 100,
    "v1 with a lone LF": lambda: b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
    "v2 of version 3": lambda: V2_SIGNATURE + b"\x31\x11\x00\x0c" + bytes(12),
    "v2 without the addresses": lambda: V2_SIGNATURE + b"\x21\x11\x00\x00",
    "v2 of 64 KiB": lambda: V2_SIGNATURE + b"\x21\x11\xff\xff",
    "v2 with TLVs that do not fit": lambda: header_v2(TOLD_CLIENT, TOLD_SERVER, b"\x04\x00\x05xx"),
    "v2 with a wrong checksum": lambda: header_v2(TOLD_CLIENT, TOLD_SERVER, b"\x03\x00\x04abcd"),
}


@pytest.mark.parametrize("header", BROKEN)
def test_a_trusted_one_without_a_good_header_is_refused(edges: Edges, header: str) -> None:
    with TcpServer(read_to_end) as server:
        edge = edges(server.port, trusted=BALANCER)
        with connect(edge.port, source=BALANCER) as tcp:
            assert is_reset(tcp, BROKEN[header]())
        assert_refused(edge)
        assert server.accepted == 0


def test_rules_and_routes_are_about_the_client_that_is_told(edges: Edges) -> None:
    """Those for the balancer's own address are for what it says of itself."""
    rules = f"""
        access_rule {{ action: DENY network: "{TOLD_CLIENT.host}" network: "{BALANCER}" network: "{ELSEWHERE}" }}
        route {{ name: "told" source: "{TOLD_V6.host}" upstream: "server" }}"""
    with TcpServer(flight_then_echo) as server:
        edge = edges(server.port, trusted=BALANCER, more=rules)
        for header in (header_v1(TOLD_CLIENT, TOLD_SERVER), SPEAKING_FOR_ITSELF["LOCAL"]):
            with connect(edge.port, source=BALANCER) as tcp:
                assert is_reset(tcp, header + client_hello())
        assert meets_reset(edge.port, source=ELSEWHERE)  # before it has said anything
        with connect(edge.port, source=BALANCER) as tcp:
            tcp.sendall(header_v1(TOLD_V6, TOLD_V6) + client_hello() + b"x")
            assert finish(tcp) == FLIGHT + b"x"
        denied, itself, elsewhere, told = edge.wait_for_records(4)
        assert {each["reason"] for each in (denied, itself, elsewhere)} == {"denied"}
        assert (told["client"], told["route"]) == (str(TOLD_V6), "told")
        assert server.accepted == 1


def test_a_session_may_be_joined_through_a_balancer_that_tells_its_client(edges: Edges) -> None:
    """TCP comes by way of a balancer, UDP does not: it is the same client all the same."""
    with TcpServer(told_then(flight_then_echo)) as server:
        edge = edges(server.port, "V2", trusted=BALANCER)
        with WireClient(edge, source=CLIENT) as client:
            client.send_hello()
            client.receive_stream(len(FLIGHT))
            with connect(edge.port, source=BALANCER) as tcp:
                tcp.sendall(header_v2(End(CLIENT, 1), TOLD_SERVER) + client.hello + b"x")
                assert finish(tcp) == FLIGHT + b"x"
            told, _ = server.result()
            assert told.client == end_of(client.name)
        assert server.accepted == 1
