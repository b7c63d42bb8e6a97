"""A UDP path between a sidecar and an edge that loses, repeats, holds back and invents datagrams."""

import selectors
import socket
import threading
from typing import Callable, Iterable

from .wait import DEADLINE_S

Datagram = bytes
Rule = Callable[[int, Datagram], Iterable[Datagram]]
"""Told the number (from 1) of a datagram in its direction, and the datagram; gives what goes on instead."""


def deliver(_: int, datagram: Datagram) -> list[Datagram]:
    return [datagram]


def drop(*numbers: int) -> Rule:
    return lambda number, datagram: [] if number in numbers else [datagram]


def drop_all(_: int, datagram: Datagram) -> list[Datagram]:
    return []


def repeat(times: int) -> Rule:
    return lambda _, datagram: [datagram] * times


def swap_pairs() -> Rule:
    """2 before 1, 4 before 3, …: an odd last one stays behind and is lost."""
    held: list[Datagram] = []

    def rule(_: int, datagram: Datagram) -> list[Datagram]:
        held.append(datagram)
        if len(held) < 2:
            return []
        pair = held[::-1]
        held.clear()
        return pair

    return rule


class UdpForwarder:
    """Passes datagrams between clients and one server port, each direction by its rule."""

    def __init__(self, server_port: int, *, requests: Rule = deliver, responses: Rule = deliver,
                 host: str = "127.0.0.1") -> None:
        self._server = (host, server_port)
        self._rules = {"request": requests, "response": responses}
        self.requests: list[Datagram] = []
        self.responses: list[Datagram] = []
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind((host, 0))
        self.port: int = self._front.getsockname()[1]
        self._backs: dict[tuple[str, int], socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._front, selectors.EVENT_READ, self._request)
        self._wake, wake = socket.socketpair()
        self._selector.register(wake, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                key.data()

    def _request(self) -> None:
        datagram, client = self._front.recvfrom(65536)
        self.requests.append(datagram)
        back = self._backs.get(client) or self._open(client)
        for each in self._rules["request"](len(self.requests), datagram):
            back.sendto(each, self._server)

    def _open(self, client: tuple[str, int]) -> socket.socket:
        back = self._backs[client] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        back.bind((self._server[0], 0))
        self._selector.register(back, selectors.EVENT_READ, lambda: self._response(back, client))
        return back

    def _response(self, back: socket.socket, client: tuple[str, int]) -> None:
        datagram = back.recv(65536)
        self.responses.append(datagram)
        for each in self._rules["response"](len(self.responses), datagram):
            self._front.sendto(each, client)

    def close(self) -> None:
        self._wake.send(b"x")
        self._thread.join(DEADLINE_S)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._wake.close()
        self._selector.close()

    def __enter__(self) -> "UdpForwarder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SilentUdpPort:
    """A UDP port that takes everything and never answers: a firewall that drops."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """From now on the kernel rejects what comes, with an ICMP message."""
        self._socket.close()

    def __enter__(self) -> "SilentUdpPort":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
