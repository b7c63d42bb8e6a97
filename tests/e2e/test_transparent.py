"""Clients that know of no proxy: nftables leads their connections to a sidecar, by the rules in deploy/nftables.

    client ---- gateway ---- server: nginx for classic TLS on one port, and an edge in front of it on another

The sidecar is on the gateway, for clients that are behind it, or beside the clients on their own host.
"""

import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.clients import REQUEST
from harness.knot import Knot
from harness.namespace import CLIENT, GATEWAY_INSIDE, GATEWAY_OUTSIDE, SERVER, Host, Network
from harness.nftables import Rules
from harness.pki import SERVER_NAME, Pki
from harness.process import Child
from harness.programs import REPOSITORY, program, release_proxy
from harness.proxy import Proxies, Proxy, assert_turbo
from harness.servers import PAGE, PAGE_PATH
from harness.sockets import is_reset
from harness.wait import DEADLINE_S, wait_until

SIDECAR_PORT = 4433  # of the rules
MARK = 0x7474  # of the rules
TURBO_PORT, CLASSIC_PORT = 443, 993
NGINX_PORT = 8443  # behind the edge
INTERFACES = {'"eth1"': '"inside"'}
USER = "nobody"
FEWER_THAN_A_LOOP = 8
LOOPBACK = ("127.0.0.1", "::1")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can have network namespaces")

families = pytest.mark.parametrize("family", [0, 1], ids=["ipv4", "ipv6"])


# ---- who is there ----

@dataclass(frozen=True)
class Way:
    """How connections come to the sidecar."""

    name: str
    rules: str
    request: str
    on_gateway: bool
    addresses: tuple[str, ...]
    counter: str

    def listeners(self, more: str = "") -> str:
        return "".join(f'listener {{ name: "l{number}" protocol: TCP address: "{address}:{SIDECAR_PORT}" '
                       f'request: {self.request} route {{ upstream: "asked" }} {more} }}\n'
                       for number, address in enumerate(self.addresses))

    def host(self, network: Network) -> Host:
        return network.gateway if self.on_gateway else network.client

    def rules_on(self, host: Host, folder: Path) -> Rules:
        return Rules(self.rules, host, folder, INTERFACES if self.on_gateway else None)


LOOPBACK_LISTENERS = ("127.0.0.1", "[::1]")
WAYS = {way.name: way for way in (
    Way("redirect-forward", "redirect-forward", "REDIRECT", True, ("*",), "redirected"),
    Way("redirect-output", "redirect-output", "REDIRECT", False, LOOPBACK_LISTENERS, "redirected"),
    Way("tproxy-forward", "tproxy-forward", "TPROXY", True, LOOPBACK_LISTENERS, "taken"),
    Way("tproxy-forward-any", "tproxy-forward", "TPROXY", True, ("*",), "taken"),
    Way("tproxy-output", "tproxy-output", "TPROXY", False, LOOPBACK_LISTENERS, "taken"))}
OUTPUT_WAYS = [name for name, way in WAYS.items() if not way.on_gateway]

NGINX = """
    daemon off; master_process off; pid {folder}/nginx.pid;
    error_log stderr; events {{ worker_connections 1024; }}
    http {{
        access_log off;
        client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
        uwsgi_temp_path {folder}; scgi_temp_path {folder};
        server {{
            listen 127.0.0.1:{behind} ssl; listen 0.0.0.0:{classic} ssl; listen [::]:{classic} ssl;
            root {folder};
            ssl_certificate {certificate}; ssl_certificate_key {key};
        }}
    }}
"""


def accepts(host: Host, address: str, port: int) -> bool:
    try:
        dial(host, address, port).close()
    except ConnectionRefusedError:
        return False
    return True


def dial(host: Host, address: str, port: int) -> socket.socket:
    with host.entered():
        return socket.create_connection((address, port), DEADLINE_S)


def meets_reset(host: Host, address: str, port: int) -> bool:
    """Whether a connection ends in a reset, at whatever step."""
    try:
        with dial(host, address, port) as connection:
            return is_reset(connection, b"not TLS")
    except ConnectionResetError:
        return True


@pytest.fixture(scope="module")
def network(pki: Pki, folder: Path) -> Iterator[Network]:
    """With nginx on the server, and room for a name server."""
    certificate, key = pki.server()
    (folder / PAGE_PATH[1:]).write_bytes(PAGE)
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, behind=NGINX_PORT, classic=CLASSIC_PORT,
                                          certificate=certificate, key=key))
    resolv_conf = folder / "resolv.conf"
    resolv_conf.write_text(f"nameserver {SERVER[0]}\noptions timeout:1 attempts:2\n")
    with Network(resolv_conf) as network:
        with network.server.start(program("nginx", "nginx"), "-e", "stderr", "-c", configuration):
            wait_until("nginx serves", lambda: accepts(network.server, SERVER[0], CLASSIC_PORT))
            yield network


@pytest.fixture
def edge(network: Network, proxies: Proxies) -> Proxy:
    return proxies.edge(NGINX_PORT, listen=f"turbo:*:{TURBO_PORT}", host=network.server)


@pytest.fixture
def start(network: Network, proxies: Proxies, tmp_path: Path) -> Callable[..., Proxy]:
    """Starts the sidecar of a way."""
    def sidecar(way: Way, *, upstream: str = "protocol: TURBO turbo: ALWAYS", process: str = f"mark: {MARK}",
                listener: str = "", binary: Path | None = None) -> Proxy:
        text = way.listeners(listener) + f'upstream {{ name: "asked" requested: true {upstream} }}\n'
        return proxies.configured(tmp_path, text + f"process {{ {process} }}\n", host=way.host(network), binary=binary)

    return sidecar


# ---- clients ----

def curl(host: Host, pki: Pki, address: str, port: int) -> None:
    """Fetches the page by a name that is the server's."""
    literal = f"[{address}]" if ":" in address else address
    page = host.run(program("curl", "curl"), "--silent", "--show-error", "--http1.1", "--cacert", pki.ca,
                    "--resolve", f"{SERVER_NAME}:{port}:{literal}", f"https://{SERVER_NAME}:{port}{PAGE_PATH}")
    assert page.encode() == PAGE


def openssl(host: Host, pki: Pki, address: str, port: int) -> None:
    literal = f"[{address}]" if ":" in address else address
    with host.start(program("openssl", "openssl"), "s_client", "-connect", f"{literal}:{port}", "-quiet",
                    "-servername", SERVER_NAME, "-CAfile", pki.ca, "-verify_return_error",
                    "-verify_hostname", SERVER_NAME, stdin=True) as client:
        client.write(REQUEST)
        assert client.wait() == 0, client.stderr.text()
        assert PAGE.decode() in client.stdout.text() + "\n"


# ---- tests ----

@families
@pytest.mark.parametrize("name", WAYS)
def test_a_client_reaches_where_it_wants_to_go(network: Network, pki: Pki, tmp_path: Path, edge: Proxy,
                                               start: Callable[..., Proxy], name: str, family: int) -> None:
    way = WAYS[name]
    # TPROXY as it is run: by a user, in the sandbox.
    confined = {"process": f'mark: {MARK} user: "{USER}"', "binary": release_proxy()} if way.request == "TPROXY" else {}
    sidecar = start(way, **confined)
    server = SERVER[family]
    client_address = CLIENT[family]
    with way.rules_on(way.host(network), tmp_path) as rules:
        for client in (curl, openssl):
            assert_turbo((sidecar, edge), lambda: client(network.client, pki, server, TURBO_PORT))
        turbo = len(sidecar.records())
        curl(network.client, pki, server, CLASSIC_PORT)
        records = sidecar.wait_for_records(turbo + 1)
        assert records[-1]["outcome"] == "classic"
        assert [host_of(record["client"]) for record in records] == [client_address] * (turbo + 1)
        assert host_of(edge.records()[-1]["client"]) == (GATEWAY_OUTSIDE[family] if way.on_gateway else client_address)
        if way.request == "REDIRECT":  # where connections are counted: none met the rules twice
            assert rules.packets(way.counter) == turbo + 1
        else:
            assert rules.packets(way.counter) > turbo + 1
        if not way.on_gateway:
            assert rules.packets("own") >= turbo + 1

    # Without rules they go there themselves.
    curl(network.client, pki, server, TURBO_PORT)
    edge.wait_for_records(turbo + 1)
    assert len(sidecar.records()) == turbo + 1


def host_of(name: str) -> str:
    """Of "198.51.100.2:4711" or "[2001:db8:1::2]:4711"."""
    return name.rpartition(":")[0].strip("[]")


@families
@pytest.mark.parametrize("name", WAYS)
def test_who_connects_to_the_sidecar_itself_is_reset(network: Network, tmp_path: Path, start: Callable[..., Proxy],
                                                     name: str, family: int) -> None:
    way = WAYS[name]
    sidecar = start(way)
    host = way.host(network)

    strangers = [(host, LOOPBACK[family])]
    if "*" in way.addresses:
        strangers.append((network.client, GATEWAY_INSIDE[family]))

    def meet_all(count: int) -> None:
        for stranger in strangers:
            assert meets_reset(*stranger, SIDECAR_PORT)
        told = [(record["outcome"], record["reason"]) for record in sidecar.wait_for_records(count)]
        assert told == [("failed", "not-redirected")] * count

    meet_all(len(strangers))
    with way.rules_on(host, tmp_path) as rules:
        if name == "redirect-forward":  # which keep everybody out
            assert not any(accepts(*stranger, SIDECAR_PORT) for stranger in strangers)
            assert rules.packets("direct") == len(strangers)
            assert len(sidecar.records()) == len(strangers)
        else:  # with REDIRECT the kernel tracks connections now
            meet_all(2 * len(strangers))


@families
@pytest.mark.parametrize("name", OUTPUT_WAYS)
def test_without_the_mark_the_sidecar_would_meet_itself(network: Network, tmp_path: Path, start: Callable[..., Proxy],
                                                        name: str, family: int) -> None:
    """What the mark is for; a limit of connections ends it here."""
    way = WAYS[name]
    sidecar = start(way, upstream="protocol: TCP", process="mark: 0", listener=f"max_connections: {FEWER_THAN_A_LOOP}")
    with way.rules_on(network.client, tmp_path) as rules:
        assert meets_reset(network.client, SERVER[family], CLASSIC_PORT)
        reasons = [record["reason"] for record in sidecar.wait_for_records(FEWER_THAN_A_LOOP + 1)]
        assert "listener-full" in reasons
        assert rules.packets("own") == 0


EVERY_OTHER_SYN_IS_LOST = f"""
table inet loss {{
    chain input {{
        type filter hook input priority filter;
        tcp dport {TURBO_PORT} tcp flags syn / syn,ack numgen inc mod 2 0 drop
    }}
}}
"""


def test_the_servers_dns_record_counts_for_the_name_that_the_client_has_in_its_hello(
        network: Network, pki: Pki, tmp_path: Path, edge: Proxy, start: Callable[..., Proxy]) -> None:
    """The address alone does not say who speaks TurboTLS. TCP takes a second here, so UDP has time."""
    way = WAYS["redirect-output"]
    sidecar = start(way, upstream="protocol: TURBO turbo: AUTO")
    with Knot(tmp_path, {SERVER_NAME: "@ HTTPS 1 . key65480"}, host=SERVER[0], wrapper=tuple(network.server.command())):
        network.server.run("nft", "--file", "-", stdin=EVERY_OTHER_SYN_IS_LOST)
        try:
            with way.rules_on(network.client, tmp_path):
                curl(network.client, pki, SERVER[0], TURBO_PORT)
        finally:
            network.server.run("nft", "delete", "table", "inet", "loss")
    # The latter where the machine stalls for that second.
    began_on_udp = {"turbo", "resumed-on-tcp"}
    assert sidecar.record()["outcome"] in began_on_udp and edge.record()["outcome"] in began_on_udp


def test_redirect_becomes_tproxy_with_a_reload(network: Network, pki: Pki, tmp_path: Path,
                                               start: Callable[..., Proxy]) -> None:
    """And back again, with the same sockets."""
    before, after = WAYS["redirect-output"], WAYS["tproxy-output"]
    sidecar = start(before)
    config = tmp_path / "0.txtpb"
    text = config.read_text()
    for number, (way, words) in enumerate([(before, text), (after, text.replace("REDIRECT", "TPROXY")), (before, text)]):
        config.write_text(words)
        sidecar.signal(signal.SIGHUP)
        sidecar.stderr.wait_for(lambda line: "the configuration was reloaded" in line, number + 1)
        with way.rules_on(network.client, tmp_path):
            curl(network.client, pki, SERVER[0], CLASSIC_PORT)
            record = sidecar.wait_for_records(number + 1)[-1]
            assert record["requested"] == f"{SERVER[0]}:{CLASSIC_PORT}"


def test_the_example_is_one(network: Network, pki: Pki, tmp_path: Path, proxies: Proxies) -> None:
    sidecar = proxies.start(config=REPOSITORY / "deploy" / "examples" / "transparent.txtpb", listener_count=2,
                            host=network.client, log_format="text")
    with WAYS["redirect-output"].rules_on(network.client, tmp_path) as rules:
        for server in SERVER:
            curl(network.client, pki, server, CLASSIC_PORT)
        assert rules.packets("redirected") == len(SERVER)
    assert len(sidecar.stderr.wait_for(lambda line: " connection client=" in line, len(SERVER))) == len(SERVER)


def test_a_user_of_its_own_does_as_well_as_a_mark(network: Network, pki: Pki, tmp_path: Path,
                                                  start: Callable[..., Proxy]) -> None:
    """As redirect-output.nft says in a comment."""
    way = WAYS["redirect-output"]
    sidecar = start(way, process=f'user: "{USER}"')
    with Rules(way.rules, network.client, tmp_path, {"meta mark $own_mark": f'meta skuid "{USER}"'}) as rules:
        curl(network.client, pki, SERVER[0], CLASSIC_PORT)
        sidecar.wait_for_records()
        assert rules.packets("redirected") == 1 and rules.packets("own") == 1


@pytest.mark.parametrize("name", ["redirect-forward", "tproxy-output"])
def test_a_route_can_say_where_they_may_go(network: Network, tmp_path: Path, proxies: Proxies, name: str) -> None:
    way = WAYS[name]
    text = way.listeners().replace('"asked" }', f'"asked" requested_host: "{SERVER[1]}" }}')
    text += f'upstream {{ name: "asked" requested: true }} process {{ mark: {MARK} }}\n'
    sidecar = proxies.configured(tmp_path, text, host=way.host(network))
    with way.rules_on(way.host(network), tmp_path):
        assert meets_reset(network.client, SERVER[0], CLASSIC_PORT)
        record = sidecar.record()
        assert (record["outcome"], record["reason"]) == ("failed", "no-route")
        assert record["requested"] == f"{SERVER[0]}:{CLASSIC_PORT}"
        dial(network.client, SERVER[1], CLASSIC_PORT).close()
        assert sidecar.wait_for_records(2)[1]["reason"] != "no-route"


@families
@pytest.mark.parametrize("name", sorted({way.rules for way in WAYS.values()}))
def test_while_no_sidecar_runs(network: Network, pki: Pki, tmp_path: Path, name: str, family: int) -> None:
    """As each file says: refused, but tproxy-forward lets pass."""
    way = WAYS[name]
    with way.rules_on(way.host(network), tmp_path):
        assert accepts(network.client, SERVER[family], CLASSIC_PORT) == (name == "tproxy-forward")
