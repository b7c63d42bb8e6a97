"""A reader much slower than the sender makes neither proxy's memory grow."""

import hashlib
import itertools
import os
import socket
import threading
import time

from harness.hello import client_hello, read_client_hello, read_exactly
from harness.programs import release_proxy
from harness.proxy import Pair, Proxies
from harness.scripted import FLIGHT
from harness.sockets import TcpServer, connect
from harness.wait import DEADLINE_S

DURATION_S = float(os.environ.get("TURBOTLS_TEST_SLOW_READER", "60"))
BYTES_PER_SECOND = 10_000
LIMIT_BYTES = 32 << 20
WORKERS = ("--workers", "2")
"""Each takes a part of a MiB before it has done anything."""
STEP_S = 0.1
ANSWER = b"a handshake is over with this"


class Pusher:
    """Pushes as much as the connection takes, in a thread, until it is told to stop."""

    def __init__(self, connection: socket.socket) -> None:
        self.pushed = 0
        self.digest = hashlib.sha256()
        self._connection = connection
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._push)
        self._thread.start()

    def _push(self) -> None:
        self._connection.settimeout(STEP_S)
        for number in itertools.count():
            rest = memoryview(hashlib.sha256(number.to_bytes(8, "big")).digest() * 512)
            while rest and not self._stop.is_set():
                try:
                    sent = self._connection.send(rest)
                except TimeoutError:
                    continue
                self.digest.update(rest[:sent])
                self.pushed += sent
                rest = rest[sent:]
            if self._stop.is_set():
                break
        self._connection.shutdown(socket.SHUT_WR)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(DEADLINE_S)


class SlowReader:
    """Reads at a steady slow pace until it is told to hurry, then to the end."""

    def __init__(self, connection: socket.socket) -> None:
        self.received = 0
        self.digest = hashlib.sha256()
        self._connection = connection
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while not self._hurry.wait(STEP_S):
            self._take(int(BYTES_PER_SECOND * STEP_S))
        while self._take(1 << 16):
            pass

    def _take(self, size: int) -> int:
        data = self._connection.recv(size)
        self.digest.update(data)
        self.received += len(data)
        return len(data)

    def hurry(self) -> None:
        self._hurry.set()
        self._thread.join(DEADLINE_S)


def open_connection(port: int, server: TcpServer) -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection through the proxies, whose receive buffers are small."""
    client = connect(port)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    client.sendall(client_hello())
    served = server.result()
    served.sendall(FLIGHT)
    assert read_exactly(client, len(FLIGHT)) == FLIGHT
    client.sendall(ANSWER)
    assert read_exactly(served, len(ANSWER)) == ANSWER
    return client, served


def hand_over(connection: socket.socket) -> socket.socket:
    """Reads the ClientHello and leaves the connection to the test."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    read_client_hello(connection)
    return connection.dup()


def test_a_slow_reader_does_not_make_memory_grow_in_either_direction(proxies: Proxies) -> None:
    with TcpServer(hand_over) as server:
        edge = proxies.edge(server.port, binary=release_proxy(), options=WORKERS)
        pair = Pair(proxies.sidecar(edge.port, binary=release_proxy(), options=WORKERS), edge)
        down_client, down_server = open_connection(pair.port, server)
        up_client, up_server = open_connection(pair.port, server)
        with down_client, down_server, up_client, up_server:
            pushers = [Pusher(down_server), Pusher(up_client)]
            readers = [SlowReader(down_client), SlowReader(up_server)]
            sizes = watch_memory([pair.sidecar, pair.edge])
            for pusher in pushers:
                pusher.stop()
            for reader in readers:
                reader.hurry()
            down_client.shutdown(socket.SHUT_WR)
            up_server.shutdown(socket.SHUT_WR)
        assert max(sizes) < LIMIT_BYTES
        assert pair.sidecar.peak_rss_bytes() < LIMIT_BYTES
        assert pair.edge.peak_rss_bytes() < LIMIT_BYTES
        for pusher, reader in zip(pushers, readers):
            assert reader.received == pusher.pushed
            assert reader.digest.digest() == pusher.digest.digest()
            assert pusher.pushed > DURATION_S * BYTES_PER_SECOND, "the reader was the bottleneck"


def watch_memory(watched: list) -> list[int]:
    """What the proxies use, once a second, for as long as the readers are slow."""
    sizes = []
    end = time.monotonic() + DURATION_S
    while time.monotonic() < end:
        sizes += [proxy.rss_bytes() for proxy in watched]
        time.sleep(min(1, max(0, end - time.monotonic())))
    return sizes
