"""What is not TLS, or not yet, passes unharmed and is called opaque."""

import asyncio
import socket
from contextlib import suppress

import pytest

from harness.hello import client_hello, read_exactly, read_to_end
from harness.pki import SERVER_NAME, Pki
from harness.proxy import Pair, Proxies, Proxy
from harness.scripted import echo, finish
from harness.sockets import TcpServer, connect
from harness.wait import DEADLINE_S

SNIFF_S = "0.3"
BANNER = b"220 mail.example.test ESMTP ready\r\n"

every_way = pytest.mark.parametrize("way", ["plain", "sidecar alone", "edge alone", "both"])


def start(way: str, proxies: Proxies, server_port: int) -> tuple[int, list[Proxy]]:
    """The proxies of one way from client to server, in that order, and the port to connect to."""
    if way == "both":
        pair = proxies.pair(server_port, edge_options=["--sniff-timeout", SNIFF_S])
        return pair.port, [pair.sidecar, pair.edge]
    if way == "plain":
        proxy = proxies.plain(server_port)
    elif way == "sidecar alone":
        proxy = proxies.sidecar(server_port)
    else:
        proxy = proxies.edge(server_port, options=["--sniff-timeout", SNIFF_S])
    return proxy.port, [proxy]


def assert_opaque(started: list[Proxy], c2s: int, s2c: int) -> None:
    for proxy in started:
        record = proxy.record()
        assert record["outcome"] == "opaque"
        assert record["server_name"] is None
        assert (record["bytes_c2s"], record["bytes_s2c"]) == (c2s, s2c)


def smtp(connection: socket.socket) -> None:
    """A server that speaks first."""
    connection.sendall(BANNER)
    assert read_exactly(connection, 6) == b"EHLO\r\n"
    connection.sendall(b"250 hello\r\n")
    assert read_exactly(connection, 6) == b"QUIT\r\n"
    connection.sendall(b"221 bye\r\n")


@every_way
def test_a_server_that_speaks_first_is_heard(proxies: Proxies, way: str) -> None:
    with TcpServer(smtp) as server:
        port, started = start(way, proxies, server.port)
        with connect(port) as client:
            assert read_exactly(client, len(BANNER)) == BANNER
            client.sendall(b"EHLO\r\n")
            assert read_exactly(client, 11) == b"250 hello\r\n"
            client.sendall(b"QUIT\r\n")
            assert read_to_end(client) == b"221 bye\r\n"
        server.result()
        assert_opaque(started, c2s=12, s2c=len(BANNER) + 20)


def test_a_server_that_says_all_and_closes_is_heard(proxies: Proxies) -> None:
    """As a daytime server: the client never says anything."""
    with TcpServer(lambda connection: connection.sendall(BANNER)) as server:
        port, started = start("both", proxies, server.port)
        with connect(port) as client:
            assert read_to_end(client) == BANNER
        assert_opaque(started, c2s=0, s2c=len(BANNER))


WORDS = {
    "one letter": b"P",
    "a line": b"PING\r\n",
    "a request": b"GET / HTTP/1.0\r\n\r\n",
    "zeros": bytes(40),
    "a tls alert": b"\x15\x03\x03\x00\x02\x01\x00",
    "how a tombstone begins": b"\x80\x00\x80",
    "a tombstone with other flags": b"\x80" * 12 + b"\x02" + bytes(20),
    "a tombstone beyond the last chunk": b"\x80" * 12 + b"\x01\x00\x00\x41" + bytes(20),
    "much": bytes(range(256)) * 1000,
}


@every_way
@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_a_client_that_speaks_first_without_tls_is_heard(proxies: Proxies, way: str,
                                                         words: bytes) -> None:
    with TcpServer(echo) as server:
        port, started = start(way, proxies, server.port)
        with connect(port) as client:
            client.sendall(words)
            assert finish(client) == words
        assert server.result() == words
        assert_opaque(started, c2s=len(words), s2c=len(words))


@every_way
@pytest.mark.parametrize("size", [1, 2, 5, 6, 9, 100])
def test_a_hello_that_ends_too_soon_is_passed_on_as_it_is(proxies: Proxies, way: str,
                                                          size: int) -> None:
    words = client_hello()[:size]
    with TcpServer(echo) as server:
        port, _ = start(way, proxies, server.port)
        with connect(port) as client:
            client.sendall(words)
            assert finish(client) == words
        assert server.result() == words


@every_way
def test_plain_words_come_back_before_the_client_ends(proxies: Proxies, way: str) -> None:
    """Nothing is held back for want of a ClientHello."""
    with TcpServer(echo) as server:
        port, started = start(way, proxies, server.port)
        with connect(port) as client:
            for word in (b"H", b"ELO\r\n", b"\x16\x03\x01", b"more"):
                client.sendall(word)
                assert read_exactly(client, len(word)) == word
            assert finish(client) == b""
        assert_opaque(started, c2s=13, s2c=13)


@every_way
def test_an_empty_connection_ends_well(proxies: Proxies, way: str) -> None:
    with TcpServer(echo) as server:
        port, started = start(way, proxies, server.port)
        with connect(port) as client:
            assert finish(client) == b""
        assert_opaque(started, c2s=0, s2c=0)


def test_a_silent_client_and_a_silent_server_stay_connected_through_the_sniff_timeout(
        proxies: Proxies) -> None:
    """The trial connection to the server is used once the client speaks after all."""
    with TcpServer(echo) as server:
        pair = proxies.pair(server.port, edge_options=["--sniff-timeout", "0.05"])
        with connect(pair.port) as client:
            client.settimeout(0.5)
            with pytest.raises(TimeoutError):
                client.recv(1)
            client.settimeout(DEADLINE_S)
            client.sendall(b"late")
            assert finish(client) == b"late"
        assert server.result() == b"late"


async def start_tls_server(pki: Pki, ended: asyncio.Event) -> asyncio.Server:
    """PING, PONG, then TLS on the same connection, where it echoes one line. `ended`: the client has gone, and so has it."""
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(6) == b"PING\r\n"
        writer.write(b"PONG\r\n")
        await writer.start_tls(pki.server_context())
        writer.write(await reader.readline())
        await writer.drain()
        with suppress(ConnectionError):
            await reader.read()
        writer.transport.abort()
        ended.set()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


async def ping_and_start_tls(pki: Pki, port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"PING\r\n")
    assert await reader.readexactly(6) == b"PONG\r\n"
    await writer.start_tls(pki.client_context(), server_hostname=SERVER_NAME)
    writer.write(b"through TLS\n")
    line = await reader.readline()
    writer.transport.abort()  # close() alone may wait for the other end longer than the loop runs
    return line


def test_tls_may_start_in_the_middle_of_a_connection(proxies: Proxies, pki: Pki) -> None:
    async def run() -> Pair:
        ended = asyncio.Event()
        async with await start_tls_server(pki, ended) as server:
            pair = proxies.pair(server.sockets[0].getsockname()[1])
            line = await asyncio.wait_for(ping_and_start_tls(pki, pair.port), DEADLINE_S)
            assert line == b"through TLS\n"
            await asyncio.wait_for(ended.wait(), DEADLINE_S)
            return pair

    assert asyncio.run(run()).outcomes() == {"opaque"}
