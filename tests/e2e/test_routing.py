"""One edge in front of several servers: by name, protocol and network; and servers that go and come back."""

import signal
import socket
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.hello import client_hello, read_client_hello, read_to_end
from harness.names import Names
from harness.pki import Pki
from harness.process import Child
from harness.proxied import ProxiedHaproxy
from harness.proxy import Proxies, Proxy, assert_turbo
from harness.scripted import FLIGHT, finish, flight_then_echo
from harness.servers import PAGE_PATH, GnuTlsServer, Nginx, OpenSslServer, TlsServer, accepts
from harness.sockets import DeadPort, TcpServer, connect, is_reset, meets_reset
from harness.wait import DEADLINE_S, wait_until
from harness.wire import PROFILE1, REFUSED, WireClient, tombstone

REQUEST = f"GET {PAGE_PATH} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()

ELSEWHERE = "127.0.0.9"
DENIED = "127.0.0.66"


@dataclass(frozen=True)
class Asking:
    """What a client asks for."""

    name: str | None = None
    alpn: str | None = None

    def context(self) -> ssl.SSLContext:
        """The certificate is for another name: which server it is, is what the tests are about."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if self.alpn:
            context.set_alpn_protocols([self.alpn])
        return context

    def hello(self) -> bytes:
        return client_hello(self.name, self.context())


def page(port: int, asking: Asking, source: str | None = None) -> bytes:
    with asking.context().wrap_socket(connect(port, source=source), server_hostname=asking.name) as tls:
        tls.sendall(REQUEST)
        try:
            return read_to_end(tls)
        except ssl.SSLEOFError:  # gnutls-serv ends without close_notify
            return b""


# ---- four servers ----

@pytest.fixture(scope="module")
def servers(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, TlsServer]]:
    kinds = {"nginx": Nginx, "openssl": OpenSslServer, "gnutls": GnuTlsServer, "haproxy": ProxiedHaproxy}
    running = {name: kind(pki, tmp_path_factory.mktemp(name)) for name, kind in kinds.items()}
    yield running
    for each in running.values():
        each.close()


@pytest.fixture
def edge(proxies: Proxies, servers: dict[str, TlsServer], tmp_path: Path) -> Proxy:
    ports = {name: server.port for name, server in servers.items()}
    return proxies.configured(tmp_path, f"""
        listener {{
          address: "127.0.0.1:0"
          access_rule {{ action: DENY network: "{DENIED}" network: "2001:db8::/32" }}
          route {{ name: "both" server_name: ["one.test", "both.test"] alpn: "both" upstream: "haproxy" }}
          route {{ name: "exact" server_name: "one.test" server_name: "two.test" upstream: "nginx" }}
          route {{ name: "below" server_name: "*.wild.test" upstream: "openssl" }}
          route {{ name: "protocol" alpn: "h3" alpn: "special" upstream: "haproxy" }}
          route {{ name: "network" source: "127.0.0.1/32" source: "10.0.0.0/8" upstream: "gnutls" }}
        }}
        upstream {{ name: "nginx" server {{ address: "127.0.0.1:{ports['nginx']}" }} }}
        upstream {{ name: "openssl" server {{ address: "127.0.0.1:{ports['openssl']}" }} }}
        upstream {{ name: "gnutls" server {{ address: "127.0.0.1:{ports['gnutls']}" }} }}
        upstream {{
          name: "haproxy" proxy_protocol: V2
          server {{ address: "127.0.0.1:{ports['haproxy']}" }}
        }}""")


ROUTED = {
    "exact": (Asking("two.test"), "nginx", "exact"),
    "in another case": (Asking("TWO.Test"), "nginx", "exact"),
    "below": (Asking("a.wild.test"), "openssl", "below"),
    "far below": (Asking("a.b.c.wild.test"), "openssl", "below"),
    "protocol": (Asking("other.test", "special"), "haproxy", "protocol"),
    "protocol alone": (Asking(None, "special"), "haproxy", "protocol"),
    "both": (Asking("one.test", "both"), "haproxy", "both"),
    "half of both": (Asking("both.test"), "gnutls", "network"),
    "network": (Asking("wild.test"), "gnutls", "network"),
    "network alone": (Asking(), "gnutls", "network"),
}

every_way = pytest.mark.parametrize("case", ROUTED)


@every_way
def test_a_classic_client_is_led_to_its_server(edge: Proxy, servers: dict[str, TlsServer], case: str) -> None:
    asking, server, route = ROUTED[case]
    assert servers[server].expected in page(edge.port, asking)
    record = edge.record()
    assert (record["outcome"], record["route"], record["upstream"]) == ("classic", route, server)
    assert record["server"] == f"tcp:127.0.0.1:{servers[server].port}"


@every_way
def test_a_turbo_client_is_led_to_its_server(proxies: Proxies, edge: Proxy, servers: dict[str, TlsServer],
                                             case: str) -> None:
    asking, server, route = ROUTED[case]
    sidecar = proxies.sidecar(edge.port)

    def fetch() -> None:
        assert servers[server].expected in page(sidecar.port, asking)

    assert_turbo((sidecar, edge), fetch)
    assert {(record["route"], record["upstream"]) for record in edge.records()} == {(route, server)}


UNROUTED = {"name": Asking("wild.test"), "protocol": Asking("other.test", "speciall"), "nothing": Asking()}


@pytest.mark.parametrize("case", UNROUTED)
def test_what_no_route_matches_is_reset(edge: Proxy, case: str) -> None:
    with connect(edge.port, source=ELSEWHERE) as tcp:
        assert is_reset(tcp, UNROUTED[case].hello())
    record = edge.record()
    assert (record["outcome"], record["reason"], record["route"]) == ("failed", "no-route", None)
    with WireClient(edge, UNROUTED[case].hello(), source=ELSEWHERE) as client:
        client.send_hello()
        assert client.receive().flags == PROFILE1 | REFUSED


def test_a_name_is_enough_for_who_is_elsewhere(edge: Proxy, servers: dict[str, TlsServer]) -> None:
    assert servers["nginx"].expected in page(edge.port, Asking("one.test"), ELSEWHERE)


def test_what_is_no_tls_goes_where_nothing_is_asked(edge: Proxy) -> None:
    with connect(edge.port, source=ELSEWHERE) as tcp:
        assert is_reset(tcp, b"no TLS")
    assert edge.record()["reason"] == "no-route"
    with connect(edge.port) as tcp:
        tcp.sendall(b"no TLS, but from there")
        tcp.shutdown(socket.SHUT_WR)
    record = edge.wait_for_records(2)[1]
    assert (record["outcome"], record["route"]) == ("opaque", "network")


def test_a_network_that_is_denied_has_no_tcp_and_no_udp(edge: Proxy) -> None:
    hello = Asking("one.test").hello()
    assert meets_reset(edge.port, hello, DENIED)
    assert edge.record()["reason"] == "denied"
    with WireClient(edge, hello, source=DENIED) as client:
        client.send_hello()
        assert client.receive().flags == PROFILE1 | REFUSED
    assert meets_reset(edge.port, b"", DENIED)


def test_a_rule_that_allows_may_precede_one_that_denies(proxies: Proxies, tmp_path: Path) -> None:
    with TcpServer(flight_then_echo) as server:
        edge = proxies.configured(tmp_path, f"""
            listener {{
              address: "127.0.0.1:0"
              access_rule {{ action: ALLOW network: "{ELSEWHERE}" }}
              access_rule {{ action: DENY network: "127.0.0.0/24" }}
              route {{ upstream: "server" }}
            }}
            upstream {{ name: "server" server {{ address: "127.0.0.1:{server.port}" }} }}""")
        assert meets_reset(edge.port, client_hello())
        for source in (ELSEWHERE, "127.0.1.1"):
            with connect(edge.port, source=source) as tcp:
                tcp.sendall(client_hello() + b"x")
                assert finish(tcp) == FLIGHT + b"x"
        with WireClient(edge, source=ELSEWHERE) as client:
            client.send_hello()
            client.receive_stream(len(FLIGHT))
            # A join passes the rules for its own address (protocol §7.4).
            assert meets_reset(edge.port, tombstone(client.session, client.consumed()) + client.hello)
            with client.join(b"y") as tcp:
                assert finish(tcp) == b"y"


# ---- several servers of one upstream ----

WORKERS = 2
"""Each gives the servers their turns by itself: with one a core, a few visits would be the first turn of each."""


def named(name: bytes) -> Callable[[socket.socket], None]:
    """A server that says who it is, for each ClientHello."""
    def serve(connection: socket.socket) -> None:
        try:
            read_client_hello(connection)
        except EOFError:  # only looking whether the port is open
            return
        connection.sendall(name)
    return serve


def who_serves(port: int) -> str:
    """The server's name; "" for a connection that failed."""
    try:
        with connect(port) as tcp:
            tcp.sendall(client_hello())
            return read_to_end(tcp).decode()
    except ConnectionResetError:
        return ""


def test_the_weights_are_the_servers_shares(proxies: Proxies, tmp_path: Path) -> None:
    with TcpServer(named(b"one")) as one, TcpServer(named(b"three")) as three, TcpServer(named(b"spare")) as spare:
        edge = proxies.configured(tmp_path, f"""
            listener {{ address: "127.0.0.1:0" route {{ upstream: "many" }} }}
            upstream {{
              name: "many"
              server {{ address: "127.0.0.1:{one.port}" }}
              server {{ address: "127.0.0.1:{three.port}" weight: 3 }}
              server {{ address: "127.0.0.1:{spare.port}" weight: 0 }}
            }}
            process {{ workers: {WORKERS} }}""")
        served = [who_serves(edge.port) for _ in range(40)]
        assert served.count("spare") == 0 and served.count("one") + served.count("three") == 40
        assert 8 <= served.count("one") <= 12


def test_one_that_no_one_else_can_stand_in_for_is_the_spare(proxies: Proxies, tmp_path: Path) -> None:
    with DeadPort() as dead, TcpServer(named(b"spare")) as spare:
        edge = proxies.configured(tmp_path, f"""
            listener {{ address: "127.0.0.1:0" route {{ upstream: "many" }} }}
            upstream {{
              name: "many"
              server {{ address: "127.0.0.1:{dead.port}" }}
              server {{ address: "127.0.0.1:{spare.port}" weight: 0 }}
            }}""")
        assert [who_serves(edge.port) for _ in range(3)] == ["spare"] * 3


class MortalNginx(Nginx):
    """Can be killed and brought back, on the same port."""

    def kill(self) -> None:
        self._child.signal(signal.SIGKILL)
        self._child.wait()

    def revive(self) -> None:
        self._child: Child = self._run(self.port)
        wait_until("nginx is back", lambda: accepts(self.port))


@dataclass
class Many:
    """An edge with two servers that do the same, of which one is mortal."""

    edge: Proxy
    port: int
    mortal: MortalNginx
    names: set[str]

    def mortal_name(self) -> str:
        return f"tcp:127.0.0.1:{self.mortal.port}"


@pytest.fixture(params=["classic", "turbo"])
def many(request: pytest.FixtureRequest, proxies: Proxies, pki: Pki, tmp_path: Path,
         servers: dict[str, TlsServer]) -> Iterator[Many]:
    """As `port` unmodified clients see it, with or without a sidecar."""
    home = tmp_path / "mortal"
    home.mkdir()
    with MortalNginx(pki, home) as mortal:
        ports = mortal.port, servers["nginx"].port
        edge = proxies.configured(tmp_path, f"""
            listener {{ address: "127.0.0.1:0" route {{ upstream: "many" }} }}
            upstream {{
              name: "many"
              server {{ address: "127.0.0.1:{ports[0]}" }}
              server {{ address: "127.0.0.1:{ports[1]}" }}
              health {{ back_off_seconds: 0.3 max_back_off_seconds: 0.6 }}
            }}
            process {{ workers: {WORKERS} }}""")
        port = proxies.sidecar(edge.port).port if request.param == "turbo" else edge.port
        yield Many(edge, port, mortal, {f"tcp:127.0.0.1:{each}" for each in ports})


def test_a_server_is_killed_and_comes_back(many: Many) -> None:
    def serving() -> set[str]:
        """The servers of 6 more visits, of which none may fail."""
        before = len(many.edge.records())
        for _ in range(6):
            assert Nginx.expected in page(many.port, Asking("localhost"))
        return {record["server"] for record in many.edge.wait_for_records(before + 6)[before:]}

    assert serving() == many.names
    many.mortal.kill()
    assert serving() == many.names - {many.mortal_name()}
    many.mortal.revive()
    wait_until("the one that is back gets its share", lambda: serving() == many.names)
    assert "failed" not in {record["outcome"] for record in many.edge.records()}


class Visitor:
    """A client that fetches the page over and over, in a thread of its own."""

    def __init__(self, port: int) -> None:
        self.visits = 0
        self.failed: list[int] = []
        """The numbers of the visits that did not bring the page."""
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                whole = Nginx.expected in page(self._port, Asking("localhost"))
            except (OSError, ssl.SSLError):
                whole = False
            if not whole:
                self.failed.append(self.visits)
            self.visits += 1

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(DEADLINE_S)


def test_those_who_are_there_when_it_dies_see_one_failure_at_most(many: Many) -> None:
    visitors = [Visitor(many.port) for _ in range(3)]
    try:
        def all_have_made(more: int, since: list[int]) -> bool:
            return all(each.visits >= count + more for each, count in zip(visitors, since))

        wait_until("everybody was there", lambda: all_have_made(3, [0] * 3))
        many.mortal.kill()
        killed = [each.visits for each in visitors]
        wait_until("everybody was there again", lambda: all_have_made(6, killed))
        many.mortal.revive()
        back = [each.visits for each in visitors]
        wait_until("and again", lambda: all_have_made(6, back))
    finally:
        for each in visitors:
            each.stop()
    for each, count in zip(visitors, killed):
        # The visit under way, or the one that the dying one still accepted.
        assert len(each.failed) <= 1 and all(failure <= count + 1 for failure in each.failed)


def test_an_active_check_finds_out_before_a_client_does(proxies: Proxies, tmp_path: Path) -> None:
    with DeadPort() as dead, TcpServer(named(b"alive")) as alive:
        edge = proxies.configured(tmp_path, f"""
            listener {{ address: "127.0.0.1:0" route {{ upstream: "many" }} }}
            upstream {{
              name: "many"
              server {{ address: "127.0.0.1:{dead.port}" weight: 1000 }}
              server {{ address: "127.0.0.1:{alive.port}" }}
              health {{ check_interval_seconds: 0.1 }}
            }}""")
        wait_until("the servers are checked", lambda: alive.accepted >= 2)
        assert who_serves(edge.port) == "alive"
        assert alive.accepted >= 3


# ---- names ----

def test_a_name_that_does_not_resolve_keeps_nothing_else_from_working(proxies: Proxies, tmp_path: Path) -> None:
    names = Names(tmp_path, {"known.test": ["127.0.0.1"]})
    with TcpServer(named(b"known")) as server:
        edge = proxies.configured(tmp_path / "root", f"""
            listener {{
              address: "127.0.0.1:0"
              route {{ server_name: "lost.test" upstream: "lost" }}
              route {{ upstream: "partly" }}
            }}
            upstream {{ name: "lost" server {{ address: "nowhere.test:443" }} }}
            upstream {{
              name: "partly"
              server {{ address: "nowhere.test:443" }}
              server {{ address: "known.test:{server.port}" }}
            }}
            process {{ sandbox: false }}""", names=names)
        assert [who_serves(edge.port) for _ in range(3)] == ["known"] * 3
        with connect(edge.port) as tcp:
            assert is_reset(tcp, client_hello("lost.test"))
        record = edge.wait_for_records(4)[3]
        assert (record["outcome"], record["reason"]) == ("failed", "upstream-unreached")
