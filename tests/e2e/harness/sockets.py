"""TCP from both ends: a client socket, and a server whose behaviour a test writes as a function."""

import contextlib
import queue
import random
import socket
import struct
import threading
from pathlib import Path
from typing import Any, Callable

from .wait import DEADLINE_S, wait_until

Handler = Callable[[socket.socket], Any]


def connect(port: int, host: str = "127.0.0.1", source: str | None = None) -> socket.socket:
    """A connected socket, from an address of this machine, that gives up on any step after the deadline."""
    connection = socket.create_connection((host, port), DEADLINE_S, (source, 0) if source else None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def reset(connection: socket.socket) -> None:
    """Closes with a RST instead of a FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def is_reset(connection: socket.socket, words: bytes = b"") -> bool:
    """Says `words` and reads to the end; tells whether that was a reset (True) or orderly (False)."""
    try:
        if words:
            connection.sendall(words)
        while connection.recv(1 << 16):
            pass
    except ConnectionResetError:
        return True
    return False


def meets_reset(port: int, words: bytes = b"", source: str | None = None) -> bool:
    """Connects and says `words`; tells whether it ended in a reset, which may come at any step."""
    try:
        with connect(port, source=source) as connection:
            return is_reset(connection, words)
    except ConnectionResetError:
        return True


def name_of(connection: socket.socket) -> str:
    """The address of our end, as the proxy's access record names its client."""
    host, port = connection.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def wait_until_taken(connection: socket.socket) -> None:
    """Until the peer, on this machine and over IPv4, has read everything sent so far.

    So what is sent next is certain to reach it in a read of its own.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        wait_until("the peer has read what was sent", lambda: _peer_queue(kernel, connection) == 0)


_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_NETLINK_HEADER = struct.Struct("=IHHII")
_SOCKET_NAMES = struct.Struct("!HH4s12x4s12x")
_ANY_COOKIE = bytes(4) + b"\xff" * 8  # of any interface


def _peer_queue(kernel: socket.socket, connection: socket.socket) -> int:
    """How many bytes the peer of a connection has not read yet; see sock_diag(7)."""
    (our_host, our_port), (host, port) = connection.getsockname(), connection.getpeername()
    names = _SOCKET_NAMES.pack(port, our_port, socket.inet_aton(host), socket.inet_aton(our_host))
    request = struct.pack("=BBxxI", socket.AF_INET, socket.IPPROTO_TCP, 0xFFFFFFFF)
    request += names + _ANY_COOKIE
    kernel.send(_NETLINK_HEADER.pack(_NETLINK_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY,
                                     _NLM_F_REQUEST, 1, 0) + request)
    answer = kernel.recv(8192)
    kind = _NETLINK_HEADER.unpack_from(answer)[1]
    if kind != _SOCK_DIAG_BY_FAMILY:
        raise ConnectionError(f"the kernel does not know the peer of {connection}")
    return struct.unpack_from("=I", answer, _NETLINK_HEADER.size + 4 + 48 + 4)[0]


class TcpServer:
    """Accepts connections and runs `handler` on each in a thread; what it returns can be waited for.

    A handler that raises fails the test: at `result`, or at the latest when the server closes.
    """

    def __init__(self, handler: Handler, *, host: str = "127.0.0.1", port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0
        self._handler = handler
        self._results: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = self._listener.accept()
                self.accepted += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(DEADLINE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with connection:
                self._results.put((self._handler(connection), None))
        except BaseException as problem:
            self._results.put((None, problem))

    def result(self, timeout_s: float = DEADLINE_S) -> Any:
        """What the handler returned for the next connection it finished."""
        value, problem = self._results.get(timeout=timeout_s)
        if problem is not None:
            raise problem
        return value

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(DEADLINE_S)

    def __enter__(self) -> "TcpServer":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close()
        while kind is None and not self._results.empty():
            self.result(0)


def unused_port() -> int:
    """A port that nobody has right now, for programs that cannot ask the kernel for one.

    It is none of those that the kernel gives to others by itself, such as to a sidecar for each session.
    """
    first_of_kernel = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(min(first_of_kernel, _OWN_PORTS) // 2, min(first_of_kernel, _OWN_PORTS))
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)), socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", port))
            return port


_OWN_PORTS = 32768
"""Below it, down to half of it; or less where the kernel's own begin there."""


class DeadPort:
    """A TCP port that refuses connections and that nobody else can get meanwhile."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))  # bound, not listening
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> "DeadPort":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
