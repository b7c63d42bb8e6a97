"""What converts STARTTLS, and a server that can tell what it was told before TLS."""

import contextlib
import socket
from dataclasses import dataclass
from typing import Any, Self

from .proxy import Pair, Proxies, Proxy
from .sockets import TcpServer

ADMIN = ["--admin", "127.0.0.1:0"]


@dataclass(frozen=True)
class Ways:
    """The two ends of a conversion, in front of a server."""

    proxies: Proxies

    def near(self, protocol: str, **arguments: Any) -> Proxy:
        """Plays the server; towards TLS from the start."""
        return self.proxies.start(listen=f"tcp:127.0.0.1:0,starttls={protocol}", **arguments)

    def far(self, protocol: str, port: int, listen: str = "tcp:127.0.0.1:0", **arguments: Any) -> Proxy:
        """Plays the client."""
        return self.proxies.start(listen=listen, upstream=f"tcp:127.0.0.1:{port},starttls={protocol}", **arguments)

    def both(self, protocol: str, port: int) -> Pair:
        edge = self.far(protocol, port, "turbo:127.0.0.1:0", options=ADMIN)
        return Pair(self.near(protocol, upstream=f"turbo:127.0.0.1:{edge.port},udp={edge.udp_port},turbo=always"), edge)


class Witness:
    """A server that only listens, and keeps what it is told on each connection."""

    def __init__(self) -> None:
        self.heard: list[bytearray] = []
        self._tcp = TcpServer(self._serve)
        self.port = self._tcp.port

    def _serve(self, connection: socket.socket) -> None:
        heard = bytearray()
        self.heard.append(heard)
        with contextlib.suppress(ConnectionError):
            self.converse(connection, heard)

    def converse(self, connection: socket.socket, heard: bytearray) -> None:
        """What others do instead; they add to `heard`."""
        while piece := connection.recv(1 << 16):
            heard += piece

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._tcp.__exit__(kind)
