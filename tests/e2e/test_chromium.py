"""A browser reaches unmodified servers through sidecar and edge, with a ClientHello in two datagrams."""

from pathlib import Path

import pytest

from harness.chromium import Chromium
from harness.hello import chosen_group
from harness.pki import Pki
from harness.proxy import Proxies, Proxy
from harness.servers import SERVERS
from harness.udp import UdpForwarder
from harness.wire import REQUEST_PAYLOAD_MAX, decode

X25519MLKEM768 = 0x11EC
ATTEMPTS = 8

BY_UDP = (["turbo", "turbo"], ["resumed-on-tcp", "turbo"])
"""Sidecar and edge. The edge knows whether the whole flight went by UDP. The sidecar only knows whether the
browser answered within its wait of 50 ms; checking a certificate takes it longer on a slow machine."""

PAGE_MARKERS = {"nginx": "line 01999 of the page", "node": "line 01999 of the page",
                "openssl": "s_server ", "gnutls": "GnuTLS"}


@pytest.mark.parametrize("server", SERVERS)
def test_chromium_gets_its_page_with_the_first_flight_by_udp(
        proxies: Proxies, pki: Pki, tmp_path: Path, server: str) -> None:
    tmp_path.chmod(0o755)
    with SERVERS[server](pki, tmp_path) as target:
        edge = proxies.edge(target.port)
        with UdpForwarder(edge.udp_port) as path:
            sidecar = proxies.sidecar(edge.port, udp_port=path.port)
            browser = Chromium(tmp_path / "home", pki.ca)
            for _ in range(ATTEMPTS):
                before = {proxy: len(proxy.records()) for proxy in (sidecar, edge)}
                assert PAGE_MARKERS[server] in browser.page(sidecar.port)
                assert_two_datagrams(path)
                outcomes = [outcome_of_page(*each) for each in before.items()]
                if outcomes in BY_UDP:
                    break
            assert outcomes in BY_UDP, f"{sidecar.records()} {edge.records()}"
            if server == "node":
                assert server_group(path) == X25519MLKEM768


def assert_two_datagrams(path: UdpForwarder) -> None:
    """Each ClientHello came in chunks 1 and 2, of which the first fills a datagram."""
    requests = [decode(datagram) for datagram in path.requests]
    sessions = {packet.session for packet in requests}
    assert sessions
    for session in sessions:
        hello = {packet.sequence: len(packet.payload) for packet in requests
                 if packet.session == session and packet.payload}
        assert hello.keys() == {1, 2}
        assert hello[1] == REQUEST_PAYLOAD_MAX


def outcome_of_page(proxy: Proxy, before: int) -> str:
    """How the connection went that brought the page, among those logged since there were `before`.

    A browser opens as many connections as it likes, and on some it is in no hurry to answer.
    """
    records = proxy.wait_for_records(before + 1)[before:]
    return max(records, key=lambda record: record["bytes_s2c"])["outcome"]


def server_group(path: UdpForwarder) -> int:
    """The key exchange group that the server chose."""
    firsts = [packet for packet in map(decode, path.responses) if packet.sequence == 1]
    assert firsts, "no response came"
    return chosen_group(firsts[0].payload)
