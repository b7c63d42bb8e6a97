"""However a ClientHello is cut into segments and records, it is relayed, and UDP still carries the flight."""

from typing import Callable

import pytest

from harness.hello import client_hello, large_client_hello, read_exactly, split_over_records
from harness.pki import SERVER_NAME, Pki
from harness.proxy import Pair, Proxies
from harness.scripted import continue_after_hello, converse, flight_then_echo
from harness.sockets import TcpServer, connect, wait_until_taken
from harness.tls import MemoryClient
from harness.wire import WireClient, session_id, tombstone

QUESTION = b"and what comes after it"


def send_in_parts(port: int, *parts: bytes) -> None:
    """One connection whose ClientHello comes in `parts`, each in a read of its own."""
    with connect(port) as connection:
        for part in parts[:-1]:
            connection.sendall(part)
            wait_until_taken(connection)
        connection.sendall(parts[-1])
        continue_after_hello(connection, QUESTION)


def assert_turbo(pair: Pair, server: TcpServer, cut: Callable[[bytes], list[bytes]]) -> None:
    """A ClientHello that is cut this way is relayed, and turbo."""
    def visit() -> None:
        parts = cut(client_hello())
        send_in_parts(pair.port, *parts)
        assert server.result() == (b"".join(parts), QUESTION)

    pair.assert_turbo(visit)


SHARDS = 4


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_hello_split_at_any_offset_is_relayed_and_still_turbo(proxies: Proxies, shard: int) -> None:
    with TcpServer(flight_then_echo) as server:
        pair = proxies.pair(server.port)
        for offset in range(1 + shard, len(client_hello()), SHARDS):
            assert_turbo(pair, server, lambda hello: [hello[:offset], hello[offset:]])


def test_a_hello_that_comes_a_byte_at_a_time_is_relayed_and_still_turbo(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server:
        assert_turbo(proxies.pair(server.port), server, lambda hello: [bytes([byte]) for byte in hello])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 50, 200, 511])
def test_a_hello_in_several_records_is_relayed_and_still_turbo(proxies: Proxies, size: int) -> None:
    with TcpServer(flight_then_echo) as server:
        assert_turbo(proxies.pair(server.port), server, lambda hello: [split_over_records(hello, size)])


@pytest.mark.parametrize("size", [3, 100])
def test_records_and_segments_may_be_cut_independently(proxies: Proxies, size: int) -> None:
    def cut(hello: bytes) -> list[bytes]:
        stream = split_over_records(hello, size)
        return [stream[start:start + 7] for start in range(0, len(stream), 7)]

    with TcpServer(flight_then_echo) as server:
        assert_turbo(proxies.pair(server.port), server, cut)


@pytest.mark.parametrize("size", [16, 100, 400])
def test_tls_completes_with_a_hello_in_several_records(proxies: Proxies, pki: Pki, size: int) -> None:
    context = pki.server_context()

    def serve(connection) -> bytes:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.sendall(b"welcome")
            return read_exactly(tls, 7)

    with TcpServer(serve) as server:
        pair = proxies.pair(server.port)

        def visit() -> None:
            client = MemoryClient(pki.client_context(), SERVER_NAME)
            with connect(pair.port) as connection:
                connection.sendall(split_over_records(client.hello, size))
                client.handshake(connection)
                client.write(connection, b"thanks!")
                assert client.read(connection, 7) == b"welcome"
            assert server.result() == b"thanks!"

        pair.assert_turbo(visit)


@pytest.mark.parametrize("size", [1184, 1185, 2368, 2369, 5000, 8 * 1184])
def test_a_large_hello_is_still_turbo_when_it_fits_eight_datagrams(proxies: Proxies, size: int) -> None:
    with TcpServer(flight_then_echo) as server:
        assert_turbo(proxies.pair(server.port), server, lambda _: [large_client_hello(size)])


@pytest.mark.parametrize("size", [8 * 1184 + 1, 16384, 20000])
def test_a_hello_too_large_for_udp_is_classic(proxies: Proxies, size: int) -> None:
    with TcpServer(flight_then_echo) as server:
        pair = proxies.pair(server.port)
        hello = converse(pair.port, QUESTION, hello=large_client_hello(size))
        assert server.result() == (hello, QUESTION)
        assert pair.outcomes() == {"classic"}


def test_an_edge_takes_a_classic_hello_a_byte_at_a_time(proxies: Proxies) -> None:
    hello = client_hello()
    with TcpServer(flight_then_echo) as server:
        edge = proxies.edge(server.port)
        send_in_parts(edge.port, *(bytes([byte]) for byte in hello))
        assert server.result() == (hello, QUESTION)
        assert edge.record()["outcome"] == "classic"


def test_an_edge_takes_a_tombstone_and_its_replay_a_byte_at_a_time(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server:
        edge = proxies.edge(server.port)
        with WireClient(edge) as client:
            client.send_hello()
            client.receive_stream(1)
            opening = tombstone(session_id(client.hello), 0) + client.hello
            send_in_parts(edge.port, *(bytes([byte]) for byte in opening))
        assert server.result() == (client.hello, QUESTION)
