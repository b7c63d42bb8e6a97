"""A gibibyte each way through both proxies arrives as it was sent."""

import hashlib
import itertools
import os
import socket
import threading
from typing import Callable, Iterator

import pytest

from harness.hello import client_hello, read_client_hello, read_exactly
from harness.programs import release_proxy
from harness.proxy import BY_UDP, Pair, Proxies
from harness.scripted import FLIGHT
from harness.sockets import TcpServer, connect

ATTEMPTS = 4
"""A machine that stalls for 50 ms may spoil one."""
GIBIBYTE = 1 << 30
BLOCK = 1 << 20


def blocks(size: int) -> Iterator[memoryview]:
    """`size` bytes that differ from block to block, so that a swap or a repetition shows."""
    block = bytearray(os.urandom(BLOCK))
    for number in itertools.count():
        block[:8] = number.to_bytes(8, "big")
        yield memoryview(block)[:size]
        size -= BLOCK
        if size <= 0:
            return


def send(connection: socket.socket, size: int) -> str:
    """Sends `size` bytes; gives their hash."""
    digest = hashlib.sha256()
    for block in blocks(size):
        digest.update(block)
        connection.sendall(block)
    return digest.hexdigest()


def receive(connection: socket.socket) -> str:
    """Receives to the end; gives the hash."""
    digest, buffer = hashlib.sha256(), memoryview(bytearray(BLOCK))
    while count := connection.recv_into(buffer):
        digest.update(buffer[:count])
    return digest.hexdigest()


def send_and_end(connection: socket.socket, size: int) -> str:
    digest = send(connection, size)
    connection.shutdown(socket.SHUT_WR)
    return digest


Transfer = Callable[[socket.socket], tuple[str, str]]


def transfer(sends: bool, receives: bool) -> Transfer:
    """One end of a connection: what it sends and receives at the same time, as a pair of hashes."""
    def run(connection: socket.socket) -> tuple[str, str]:
        sent: list[str] = []
        sender = threading.Thread(
            target=lambda: sent.append(send_and_end(connection, GIBIBYTE if sends else 0)))
        sender.start()
        received = receive(connection)
        sender.join()
        assert sends or sent == [_NOTHING]
        assert receives or received == _NOTHING
        return sent[0], received
    return run


_NOTHING = hashlib.sha256().hexdigest()


def through(pair: Pair, server: TcpServer, client_end: Transfer) -> None:
    """One connection, whose two ends must agree on the hashes."""
    with connect(pair.port) as client:
        client.sendall(client_hello())
        assert read_exactly(client, len(FLIGHT)) == FLIGHT
        client_sent, client_received = client_end(client)
    server_sent, server_received = server.result()
    assert client_sent == server_received
    assert server_sent == client_received


def after_the_flight(then: Transfer) -> Transfer:
    def serve(connection: socket.socket) -> tuple[str, str]:
        read_client_hello(connection)
        connection.sendall(FLIGHT)
        return then(connection)
    return serve


@pytest.mark.parametrize("up, down", [(True, False), (False, True), (True, True)],
                         ids=["up", "down", "both"])
def test_a_gibibyte_arrives_as_it_was_sent(proxies: Proxies, up: bool, down: bool) -> None:
    with TcpServer(after_the_flight(transfer(sends=down, receives=up))) as server:
        seen = []
        for _ in range(ATTEMPTS):
            pair = proxies.pair(server.port, binary=release_proxy())
            through(pair, server, transfer(sends=up, receives=down))
            for record in (pair.sidecar.record(), pair.edge.record()):
                assert (record["bytes_c2s"] > GIBIBYTE) == up
                assert (record["bytes_s2c"] > GIBIBYTE) == down
            seen.append(pair.outcomes())
            if seen[-1] <= set(BY_UDP):
                return
    raise AssertionError(f"{seen}: not by UDP")
