"""A sidecar that clients tell where they want to go, by CONNECT and SOCKS5; and servers that the DNS says speak TurboTLS."""

import asyncio
import hashlib
import itertools
import signal
import socket
import ssl
import subprocess
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.admin import Admin
from harness.forward import ATTEMPTS, LOGIN, ROUTE, Sidecar, listeners, upstream
from harness.hello import client_hello, read_exactly, read_to_end
from harness.knot import HTTPS
from harness.programs import sanitized_proxy
from harness.proxy import BY_UDP, Proxies, Proxy
from harness.requests import (Login, Refused, connect_request, http_connect, read_head, socks5, socks_greet, socks_reply,
                              socks_request, status)
from harness.scripted import FLIGHT, continue_after_hello, echo, finish, flight_then_echo
from harness.sites import (BIG, BLACK_HOLE, DELAY_S, EDGE, NEAR, NO_WAY, NOBODY, OTHER_PORT, PLAIN, PLAIN6,
                           SITE_PORT, TURBO, ZONE, Sites)
from harness.sockets import TcpServer, is_reset, wait_until_taken
from harness.tls import MemoryClient
from harness.wait import DEADLINE_S, wait_until

A = 1
"""The type of an address record."""
CONNECT_S = 1
"""What connecting may take, where a test waits for it."""
BANNER = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"
CROWD = 200
GREEDY = 16
"""Clients that say ten megabytes each before they may."""
MEMORY_MAX_BYTES = 16 << 20


# ---- the scene ----

@pytest.fixture(autouse=True)
def the_dns_as_ever(sites: Sites) -> Iterator[None]:
    yield
    sites.tap.held.clear()


@pytest.fixture
def sidecar(proxies: Proxies, sites: Sites, edges: Proxy, tmp_path: Path) -> Sidecar:
    return Sidecar(proxies, sites, tmp_path)


@contextmanager
def server(sites: Sites, handler: Callable[[socket.socket], object] = flight_then_echo) -> Iterator[TcpServer]:
    """A plain one whose behaviour the test knows, far away, at OTHER_PORT."""
    with sites.far.entered():
        running = TcpServer(handler, host=PLAIN, port=OTHER_PORT)
    with running:
        yield running


# ---- real clients ----

@pytest.mark.parametrize("way", ["http", "socks", "login"])
def test_curl_goes_to_sites_that_the_dns_says_are_turbo_and_to_others(sidecar: Sidecar, way: str) -> None:
    for site in ("turbo", "six", "other", f"other:{OTHER_PORT}"):
        sidecar.expect_turbo(site, way)
    for site in ("plain", "plain6", "alpn", PLAIN, PLAIN6):
        assert sidecar.visit(site, way) == ("classic", "not-known")


def test_who_asks_for_addresses_is_not_known_to_mean_a_name(sidecar: Sidecar) -> None:
    asked = sidecar.sites.asked("turbo")
    for site in ("turbo", "plain", PLAIN6):
        assert sidecar.visit(site, "socks, addresses") == ("classic", "not-known")
    assert sidecar.sites.asked("turbo") == asked


def test_transfers_are_whole(sidecar: Sidecar) -> None:
    expected = hashlib.sha256((sidecar.sites.folder / "big").read_bytes()).hexdigest()
    for way, site in itertools.product(("http", "login"), ("turbo", "plain")):
        got = sidecar.sites.folder / "got"
        assert sidecar.curl(way, f"https://{site}.{ZONE}/big", "--output", str(got)).returncode == 0
        assert hashlib.sha256(got.read_bytes()).hexdigest() == expected
        assert sidecar.next_record()["bytes_s2c"] > BIG


# ---- which servers are known ----

MODES = {
    "NEVER": {"turbo": "classic", "silent": "classic"},
    "AUTO": {"turbo": "turbo", "silent": ("classic", "not-known"), "plain": ("classic", "not-known")},
    "TRY": {"turbo": "turbo", "silent": "turbo", "plain": "classic"},
    "ALWAYS": {"turbo": "turbo", "silent": "turbo", "plain": "classic"},
}


@pytest.mark.parametrize("mode", MODES)
def test_turbo_is_spoken_with_whom_the_operator_says(proxies: Proxies, sites: Sites, edges: Proxy, tmp_path: Path,
                                                     mode: str) -> None:
    sidecar = Sidecar(proxies, sites, tmp_path, listeners() + upstream(mode))
    asked = sites.asked("turbo")
    for site, expected in MODES[mode].items():
        if expected == "turbo":
            sidecar.expect_turbo(site)
        else:
            assert expected in (outcome := sidecar.visit(site), outcome[0]), site
    if mode == "NEVER":
        assert sites.asked("turbo") == asked


@pytest.mark.parametrize("mode, expected", [("TRY", [("classic", "tcp-first")]),
                                            ("ALWAYS", [(outcome, None) for outcome in BY_UDP])])
def test_only_always_uses_udp_when_tcp_was_first(proxies: Proxies, sites: Sites, edges: Proxy, tmp_path: Path, mode: str,
                                                 expected: list[tuple[str, str | None]]) -> None:
    sidecar = Sidecar(proxies, sites, tmp_path, listeners() + upstream(mode))
    seen = []
    for _ in range(ATTEMPTS):
        with sidecar.tunnel(f"silent.{ZONE}", SITE_PORT) as connection:
            time.sleep(10 * DELAY_S)  # TCP takes two of these
            fetch(connection, sidecar, "silent")
        seen.append(sidecar.outcome())
        if seen[-1] in expected:
            return
    raise AssertionError(seen)


def tls(sidecar: Sidecar, site: str) -> MemoryClient:
    return MemoryClient(ssl.create_default_context(cafile=sidecar.sites.ca), f"{site}.{ZONE}")


def fetch(connection: socket.socket, sidecar: Sidecar, site: str) -> None:
    """A page by the tunnel, with TLS of our own."""
    client = tls(sidecar, site)
    connection.sendall(client.hello)
    finish_fetch(connection, client, site)


def finish_fetch(connection: socket.socket, client: MemoryClient, site: str) -> None:
    client.handshake(connection)
    client.write(connection, f"GET / HTTP/1.0\r\nHost: {site}.{ZONE}\r\n\r\n".encode())
    assert client.read(connection, 12) == b"HTTP/1.1 200"


def test_a_record_never_sends_udp_to_a_private_address(sidecar: Sidecar) -> None:
    assert sidecar.visit("private") == ("classic", "not-known")
    assert sidecar.sites.asked("private") >= 1


def test_no_connection_waits_for_the_record(sidecar: Sidecar) -> None:
    """The DNS never says whether there is one: the page is there before it is asked for the last time."""
    sites = sidecar.sites
    sites.tap.held.add(HTTPS)
    before = sites.asked("turbo")
    assert sidecar.visit("turbo") == ("classic", "not-known")
    asked = sites.asked("turbo")
    assert asked > before
    sites.tap.wait_until_asked(f"turbo.{ZONE}", times=asked + 1)


@contextmanager
def also(sites: Sites, records: str) -> Iterator[None]:
    sites.knot.change(ZONE, f"{sites.records}\n{records}")
    try:
        yield
    finally:
        sites.knot.change(ZONE, sites.records)


@pytest.fixture
def alone(proxies: Proxies, sites: Sites, edges: Proxy, tmp_path: Path) -> Sidecar:
    """With one worker: each remembers for itself what it has learned."""
    return Sidecar(proxies, sites, tmp_path, listeners() + upstream() + "process { workers: 1 }\n")


def test_a_record_counts_until_its_ttl_has_passed(alone: Sidecar) -> None:
    sites, sidecar = alone.sites, alone
    addresses = f"brief 60 A {EDGE}\n lasting 60 A {EDGE}\n"
    with also(sites, f"{addresses} brief 1 HTTPS {TURBO}\n lasting 60 HTTPS {TURBO}"):
        sidecar.expect_turbo("brief")
        sidecar.expect_turbo("lasting")
    with also(sites, addresses):
        wait_until("it is classic again", lambda: sidecar.visit("brief") == ("classic", "not-known"))
        sidecar.expect_turbo("lasting")
        assert sites.asked("lasting") == 1


def test_who_spoke_turbo_before_does_while_the_dns_is_silent(alone: Sidecar) -> None:
    sites, sidecar = alone.sites, alone
    with also(sites, f"again 1 A {EDGE}\n again 1 HTTPS {TURBO}"):
        sidecar.expect_turbo("again")
        sites.tap.held.add(HTTPS)
        asked = sites.asked("again")
        while sites.asked("again") == asked:
            sidecar.visit("again")
        sidecar.expect_turbo("again")


@pytest.mark.parametrize("way", ["http", "socks"])
def test_who_speaks_turbo_is_not_waited_for(proxies: Proxies, sites: Sites, tmp_path: Path, way: str) -> None:
    """The client may go on at once; that nobody is there it learns by a reset, since the answer has been given."""
    sidecar = Sidecar(proxies, sites, tmp_path, listeners() + upstream(connect_s=CONNECT_S))
    with also(sites, f"vanished 60 A {BLACK_HOLE}\n vanished 60 HTTPS {TURBO}"):
        with sidecar.tunnel(f"vanished.{ZONE}", SITE_PORT, way) as connection:
            assert is_reset(connection, client_hello())
    assert sidecar.outcome() == ("failed", "upstream-unreached")


def test_names_are_the_same_in_any_case_and_with_a_dot(sidecar: Sidecar) -> None:
    with sidecar.tunnel("PLAIN.Sites.Test.", SITE_PORT) as connection:
        fetch(connection, sidecar, "plain")
    record = sidecar.next_record()
    assert (record["requested"], record["server_name"]) == ("plain.sites.test:443", "plain.sites.test")


def test_what_is_asked_for_may_be_a_server_of_the_configuration(proxies: Proxies, sites: Sites, edges: Proxy,
                                                                tmp_path: Path) -> None:
    """Nobody looks its name up, and whether it speaks TurboTLS is known."""
    fixed = 'route { name: "fixed" upstream: "fixed" requested_host: "nowhere.sites.test" }'
    sidecar = Sidecar(proxies, sites, tmp_path, listeners(fixed + ROUTE) + upstream() + f"""
        upstream {{ name: "fixed" protocol: TURBO server {{ address: "{EDGE}:{SITE_PORT}" }} }}""")
    sidecar.expect_turbo("nowhere")
    assert sidecar.proxy.records()[-1]["route"] == "fixed"
    assert sites.asked("nowhere") == sites.asked("nowhere", A) == 0


# ---- who is refused ----

HTTP_REFUSALS = {
    "a host that is not listed": (connect_request("www.example.com", SITE_PORT), 403, "forbidden"),
    "a port that is not": (connect_request(f"plain.{ZONE}", 80), 403, "forbidden"),
    "this machine": (connect_request("127.0.0.1", SITE_PORT), 403, "forbidden"),
    "a name of this machine": (connect_request(f"rebound.{ZONE}", SITE_PORT), 403, "forbidden"),
    "a name within private networks": (connect_request(f"inside.{ZONE}", SITE_PORT), 403, "forbidden"),
    "another method": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 405, "bad-request"),
    "a plain page": (b"GET http://plain.sites.test/ HTTP/1.1\r\nHost: plain.sites.test\r\n\r\n", 405, "bad-request"),
    "no port": (b"CONNECT plain.sites.test HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad-request"),
    "no HTTP": (b"EHLO plain.sites.test\r\n\r\n", 400, "bad-request"),
    "a long target": (connect_request("x" * 9000, SITE_PORT), 414, "bad-request"),
    "a long head": (connect_request(f"plain.{ZONE}", SITE_PORT, "X: " + "x" * 9000), 431, "bad-request"),
    "another version": (b"CONNECT plain.sites.test:443 HTTP/2.0\r\nHost: x\r\n\r\n", 505, "bad-request"),
    "no such name": (connect_request(f"missing.{ZONE}", SITE_PORT), 502, "name-not-found"),
    "nobody there": (connect_request(f"nobody.{ZONE}", SITE_PORT), 502, "upstream-unreached"),
    "no way there": (connect_request(f"no-way.{ZONE}", SITE_PORT), 502, "upstream-unreached"),
    "no answer": (connect_request(f"black-hole.{ZONE}", SITE_PORT), 504, "upstream-unreached"),
}


@pytest.fixture
def hasty(proxies: Proxies, sites: Sites, tmp_path: Path) -> Sidecar:
    return Sidecar(proxies, sites, tmp_path, listeners() + upstream(connect_s=CONNECT_S))


def test_connect_is_refused_with_the_right_status(hasty: Sidecar) -> None:
    for name, (request, code, reason) in HTTP_REFUSALS.items():
        with hasty.connected() as connection:
            connection.sendall(request)
            head = read_head(connection)
            assert status(head) == code, f"{name}: {head}"
            assert "Connection: close" in head and read_to_end(connection).endswith(b"\n"), name
        assert hasty.outcome() == ("failed", reason), name
    reasons = [reason for _, _, reason in HTTP_REFUSALS.values()]
    with hasty.sites.near.entered():
        metrics = Admin(hasty.proxy).metrics()
    for reason in set(reasons):
        assert metrics.sum("turbotls_connections_total", listener="http", reason=reason) == reasons.count(reason)


SOCKS_REFUSALS = {
    "a host that is not listed": ("www.example.com", SITE_PORT, 2, "forbidden"),
    "a port that is not": (PLAIN, 80, 2, "forbidden"),
    "this machine": ("::1", SITE_PORT, 2, "forbidden"),
    "a name of this machine": (f"rebound.{ZONE}", SITE_PORT, 2, "forbidden"),
    "no way there": (NO_WAY, SITE_PORT, 3, "upstream-unreached"),
    "no such name": (f"missing.{ZONE}", SITE_PORT, 4, "name-not-found"),
    "no answer": (BLACK_HOLE, SITE_PORT, 4, "upstream-unreached"),
    "nobody there": (NOBODY, SITE_PORT, 5, "upstream-unreached"),
}


def test_socks_is_refused_with_the_right_reply(hasty: Sidecar) -> None:
    for name, (host, port, code, reason) in SOCKS_REFUSALS.items():
        with pytest.raises(Refused) as refused, hasty.tunnel(host, port, "socks"):
            pass
        assert refused.value.code == code, name
        assert hasty.outcome() == ("failed", reason), name


BIND, ASSOCIATE, NO_METHOD = 2, 3, 0xFF
A_DOMAIN_OF_THE_FUTURE = 9


def test_of_socks_only_connect_is_spoken(sidecar: Sidecar) -> None:
    for command in (BIND, ASSOCIATE):
        with pytest.raises(Refused, match="^7 "), sidecar.connected("socks") as connection:
            socks_greet(connection)
            connection.sendall(socks_request(PLAIN, SITE_PORT, command))
            socks_reply(connection)
    with pytest.raises(Refused, match="^8 "), sidecar.connected("socks") as connection:
        socks_greet(connection)
        connection.sendall(bytes([5, 1, 0, A_DOMAIN_OF_THE_FUTURE]) + bytes(6))
        socks_reply(connection)


def test_nobody_comes_in_without_a_login_where_one_is_asked_for(sidecar: Sidecar) -> None:
    wrong = [Login(LOGIN.user, "other"), Login("other", LOGIN.password), Login(LOGIN.user, LOGIN.password + "!"),
             Login("nobody", "x")]
    for login in wrong:
        with pytest.raises(Refused, match="login"), sidecar.connected("login") as connection:
            socks5(connection, PLAIN, SITE_PORT, login)
        assert sidecar.outcome() == ("failed", "no-login")
    for way, login in (("login", None), ("socks", LOGIN)):
        with pytest.raises(Refused, match=f"^{NO_METHOD} "), sidecar.connected(way) as connection:
            socks5(connection, PLAIN, SITE_PORT, login)
    with sidecar.connected("login") as connection:  # who does not ask first
        connection.sendall(bytes([5, 1, 0]) + socks_request(PLAIN, SITE_PORT))
        assert read_exactly(connection, 2) == bytes([5, NO_METHOD])
    assert LOGIN.password not in sidecar.proxy.stderr.text()


HTTP_PORT, ADMIN_PORT = 3128, 9100
"""The near host has no others, so nobody takes them."""
THIS_MACHINE = ("127.0.0.1", "127.1.2.3", "localhost", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", f"rebound.{ZONE}")


def test_it_is_no_open_proxy(proxies: Proxies, sites: Sites, tmp_path: Path) -> None:
    """Where every host may be asked for, this machine and private networks are none of them."""
    route = f"""route {{
        upstream: "asked" requested_host: "*" requested_port: [{SITE_PORT}, {HTTP_PORT}, {ADMIN_PORT}] }}"""
    text = listeners(route, http=f"127.0.0.1:{HTTP_PORT}") + upstream().replace("127.0.0.1:0", f"127.0.0.1:{ADMIN_PORT}")
    sidecar = Sidecar(proxies, sites, tmp_path, text)
    asked = [*itertools.product(THIS_MACHINE, (HTTP_PORT, ADMIN_PORT)), (f"inside.{ZONE}", SITE_PORT)]
    for host, port in asked:
        for way, code in (("http", 403), ("socks", 2)):
            with pytest.raises(Refused) as refused, sidecar.tunnel(host, port, way):
                pass
            assert refused.value.code == code, f"{host}:{port}"
            assert sidecar.outcome() == ("failed", "forbidden"), f"{host}:{port}"
    with sites.near.entered():
        metrics = Admin(sidecar.proxy).metrics()
    assert metrics.sum("turbotls_connections_total") == 2 * len(asked), "it has connected to itself"


@pytest.mark.parametrize("at, hosts", [(NEAR[0], NEAR[:1]), ("0.0.0.0", NEAR[:1]), ("*", NEAR)])
def test_it_does_not_go_to_itself(proxies: Proxies, sites: Sites, tmp_path: Path, at: str, hosts: tuple[str, ...]) -> None:
    """Or one client could ask again in what it is relayed, and again, until all connections are taken."""
    route = f'route {{ upstream: "asked" requested_host: "*" requested_port: {HTTP_PORT} }}'
    sidecar = Sidecar(proxies, sites, tmp_path, listeners(route, "access_rule { action: ALLOW }",
                                                          http=f"{at}:{HTTP_PORT}") + upstream())
    for host in hosts:
        with pytest.raises(Refused) as refused, sidecar.tunnel(host, HTTP_PORT, "socks"):
            pass
        assert refused.value.code == 5


def test_a_proxy_for_everybody_is_no_configuration(tmp_path: Path) -> None:
    config = tmp_path / "open.txtpb"
    config.write_text(listeners(http="0.0.0.0:0") + upstream())
    done = subprocess.run([sanitized_proxy(), "--config", config, "--check"], capture_output=True, text=True,
                          timeout=DEADLINE_S, check=False)
    assert done.returncode != 0 and "open proxy" in done.stderr, done


# ---- clients that are slow, or say too much ----

every_way = pytest.mark.parametrize("way", ["http", "socks"])
OPENING_S = 0.5


@every_way
def test_a_request_may_come_byte_by_byte(sidecar: Sidecar, way: str) -> None:
    with server(sidecar.sites), sidecar.connected(way) as connection:
        if way == "http":
            send_slowly(sidecar, connection, connect_request(PLAIN, OTHER_PORT, "User-Agent: slow"))
            assert status(read_head(connection)) == 200
        else:
            send_slowly(sidecar, connection, bytes([5, 2, 2, 0]))
            assert read_exactly(connection, 2) == bytes([5, 0])
            send_slowly(sidecar, connection, socks_request(PLAIN, OTHER_PORT))
            socks_reply(connection)
        connection.sendall(client_hello())
        continue_after_hello(connection, b"in one piece")


def send_slowly(sidecar: Sidecar, connection: socket.socket, words: bytes) -> None:
    with sidecar.sites.near.entered():
        for byte in words:
            connection.sendall(bytes([byte]))
            wait_until_taken(connection)


BEGINNINGS = {"http": (b"", b"C", connect_request(PLAIN, OTHER_PORT)[:-2]),
              "socks": (b"", bytes([5]), bytes([5, 1, 0]), bytes([5, 1, 0]) + socks_request(PLAIN, OTHER_PORT)[:-1])}


@every_way
def test_who_does_not_go_on_is_ended(proxies: Proxies, sites: Sites, tmp_path: Path, way: str) -> None:
    sidecar = Sidecar(proxies, sites, tmp_path, listeners(more=f"opening_timeout_seconds: {OPENING_S}") + upstream())
    with ExitStack() as opened:
        waiting = [(opened.enter_context(sidecar.connected(way)), words) for words in BEGINNINGS[way]]
        for connection, words in waiting:
            connection.sendall(words)
        for connection, _ in waiting:
            is_reset(connection)
    for _ in waiting:
        assert sidecar.outcome() == ("failed", "opening-timeout")


def test_a_trickle_does_not_keep_a_request_open(proxies: Proxies, sites: Sites, tmp_path: Path) -> None:
    sidecar = Sidecar(proxies, sites, tmp_path, listeners(more=f"opening_timeout_seconds: {OPENING_S}") + upstream())
    with sidecar.connected() as connection, pytest.raises(ConnectionError):
        for byte in itertools.cycle(b"X: y\r\n"):
            connection.sendall(bytes([byte]))
            time.sleep(OPENING_S / 10)
    assert sidecar.outcome() == ("failed", "opening-timeout")


def test_who_does_not_begin_after_the_answer_is_ended(proxies: Proxies, sites: Sites, tmp_path: Path) -> None:
    sidecar = Sidecar(proxies, sites, tmp_path, listeners(more=f"opening_timeout_seconds: {OPENING_S}") + upstream())
    with server(sites, read_to_end), sidecar.tunnel(PLAIN) as connection:
        is_reset(connection)
    assert sidecar.outcome()[1] == "opening-timeout"


@every_way
def test_what_is_too_much_is_not_kept(sidecar: Sidecar, way: str) -> None:
    before = sidecar.proxy.rss_bytes()
    heap = b"\r\n".join([b"CONNECT plain.sites.test:443 HTTP/1.1"] + [b"X-Filler: " + b"x" * 5000] * 2000)
    with ExitStack() as opened:
        for _ in range(GREEDY):
            connection = opened.enter_context(sidecar.connected(way))
            with suppress(ConnectionError):
                connection.sendall(heap)
                while connection.recv(1 << 16):
                    pass
        assert sidecar.proxy.peak_rss_bytes() - before < MEMORY_MAX_BYTES
    for _ in range(GREEDY):
        assert sidecar.outcome() == ("failed", "bad-request")


# ---- what passes ----

@every_way
def test_a_client_hello_may_come_with_the_request(sidecar: Sidecar, way: str) -> None:
    """Early, as RFC 9110 §9.3.6 lets it; and it is TurboTLS all the same."""
    seen = []
    for site in ("plain", *["turbo"] * ATTEMPTS):
        client = tls(sidecar, site)
        with sidecar.connected(way) as connection:
            if way == "http":
                http_connect(connection, f"{site}.{ZONE}", SITE_PORT, behind=client.hello)
            else:
                connection.sendall(bytes([5, 1, 0]) + socks_request(f"{site}.{ZONE}", SITE_PORT) + client.hello)
                assert read_exactly(connection, 2) == bytes([5, 0])
                socks_reply(connection)
            finish_fetch(connection, client, site)
        seen.append(sidecar.outcome())
        if seen[-1][0] in BY_UDP:
            break
    assert seen[0] == ("classic", "not-known") and seen[-1][0] in BY_UDP, seen


@every_way
def test_ends_and_bytes_pass_as_they_are(sidecar: Sidecar, way: str) -> None:
    with server(sidecar.sites) as target:
        with sidecar.tunnel(PLAIN, way=way) as connection:
            hello = client_hello()
            connection.sendall(hello)
            continue_after_hello(connection, b"a question before a half-close" * 10_000)
        assert target.result()[0] == hello
        assert sidecar.outcome() == ("classic", "not-known")


def ssh(connection: socket.socket) -> bytes:
    connection.sendall(BANNER)
    return read_to_end(connection)


def test_a_server_that_speaks_first_is_heard(proxies: Proxies, sites: Sites, tmp_path: Path) -> None:
    opaque = ROUTE.replace('name: "sites"', 'name: "sites" opaque: true')
    for number, (route, more) in enumerate(((ROUTE, "sniff_timeout_seconds: 0.1"), (opaque, ""))):
        (folder := tmp_path / str(number)).mkdir()
        sidecar = Sidecar(proxies, sites, folder, listeners(route, more) + upstream())
        for way in ("http", "socks"):
            with server(sites, ssh) as target, sidecar.tunnel(PLAIN, way=way) as connection:
                assert read_exactly(connection, len(BANNER)) == BANNER
                connection.sendall(b"SSH-2.0-client\r\n")
                assert finish(connection) == b""
                assert target.result() == b"SSH-2.0-client\r\n"
            assert sidecar.outcome()[0] == "opaque"


def test_what_is_opaque_may_be_anything(proxies: Proxies, sites: Sites, edges: Proxy, tmp_path: Path) -> None:
    opaque = ROUTE.replace('name: "sites"', 'name: "sites" opaque: true')
    sidecar = Sidecar(proxies, sites, tmp_path, listeners(opaque) + upstream())
    with server(sites, echo), sidecar.tunnel(PLAIN) as connection:
        connection.sendall(b"no TLS at all")
        assert finish(connection) == b"no TLS at all"
    assert sidecar.outcome()[0] == "opaque"
    assert sidecar.visit("turbo")[0] == "opaque"


def test_two_hundred_at_once(sidecar: Sidecar) -> None:
    sites = sidecar.sites
    with server(sites):
        with sites.near.entered():
            asyncio.run(Crowd(sidecar.ports).visit())
        for _ in range(CROWD):
            assert sidecar.outcome() == ("classic", "not-known")


class Crowd:
    """Clients that are all connected before any of them goes on."""

    def __init__(self, ports: dict[str, int]) -> None:
        self._ports = ports
        self._inside = 0
        self._all_inside = asyncio.Event()

    async def visit(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(*(self._visit(number) for number in range(CROWD)))

    async def _visit(self, number: int) -> None:
        way = ("http", "socks")[number % 2]
        reader, writer = await asyncio.open_connection("127.0.0.1", self._ports[way])
        if way == "http":
            writer.write(connect_request(PLAIN, OTHER_PORT))
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        else:
            writer.write(bytes([5, 1, 0]) + socks_request(PLAIN, OTHER_PORT))
            assert (await reader.readexactly(2 + 10))[3] == 0
        self._inside += 1
        if self._inside == CROWD:
            self._all_inside.set()
        await self._all_inside.wait()
        writer.write(client_hello())
        assert await reader.readexactly(len(FLIGHT)) == FLIGHT
        words = f"I am {number}".encode() * 1000
        writer.write(words)
        writer.write_eof()
        assert await reader.read(-1) == words
        writer.close()


# ---- changes, and the end ----

def test_an_open_tunnel_outlives_a_reload_that_forbids_it(sidecar: Sidecar, tmp_path: Path) -> None:
    config = Path(sidecar.proxy.name)
    with server(sidecar.sites), sidecar.tunnel(PLAIN) as connection:
        connection.sendall(client_hello())
        assert read_exactly(connection, len(FLIGHT)) == FLIGHT
        config.write_text(config.read_text().replace("203.0.113.0/24", "203.0.113.128/25"))
        sidecar.proxy.signal(signal.SIGHUP)
        sidecar.proxy.stderr.wait_for(lambda line: "the configuration was reloaded" in line)
        with pytest.raises(Refused, match="^403 "), sidecar.tunnel(PLAIN):
            pass
        connection.sendall(b"still here")
        assert finish(connection) == b"still here"


def test_an_open_tunnel_is_finished_before_the_end(sidecar: Sidecar) -> None:
    with server(sidecar.sites), sidecar.tunnel(PLAIN) as connection:
        connection.sendall(client_hello())
        assert read_exactly(connection, len(FLIGHT)) == FLIGHT
        sidecar.proxy.signal(signal.SIGTERM)
        wait_until("nobody else comes in", lambda: is_closed(sidecar))
        connection.sendall(b"still here")
        assert finish(connection) == b"still here"
    assert sidecar.proxy.wait() == 0


def is_closed(sidecar: Sidecar) -> bool:
    try:
        with sidecar.connected():
            return False
    except ConnectionRefusedError:
        return True
