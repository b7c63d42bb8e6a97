"""TurboTLS as Sandwich 0.3 speaks it, by its rules alone and with its weaknesses: a client and a server.

Layout of a datagram: id (16) | index (1) | payload (at most 1024); of a tombstone: id (16) | last (1). No code is shared
with anything else that speaks the dialect. What is weak stays weak: nothing is ever sent twice on UDP, a repeated
response kills the client, a lost one hangs both ends (the deadline is the tests'), and there is no way back to TCP.

Run as a program (`python3 -m harness.sandwich --help`) it is a client with a result in JSON, or a server that echoes.
"""

import argparse
import contextlib
import json
import os
import queue
import socket
import ssl
import sys
import threading
import time
from typing import Any, Callable

from .hello import read_exactly
from .wait import DEADLINE_S

ID_BYTES = 16
HEADER_BYTES = 17
PAYLOAD_MAX = 1024
INDEX_MAX = 255
FIRST_FLIGHT = 14
"""The first flight of a client ends at this index at least."""

_READ = 1 << 16
_RECEIVED_AT_ONCE = 1 << 22
"""Bytes of datagrams: nobody sends a lost one again."""
_ATTEMPTS = 16


class Broken(ConnectionError):
    """What a peer of these rules does not survive."""


def chunks(stream: bytes) -> list[bytes]:
    return [stream[start:start + PAYLOAD_MAX] for start in range(0, len(stream), PAYLOAD_MAX)]


def packet(session: bytes, index: int, payload: bytes = b"") -> bytes:
    if index > INDEX_MAX:
        raise Broken("more datagrams than an index can count")
    return session + bytes([index]) + payload


class _Stream:
    """TLS over memory. Once its handshake is done, a TCP connection carries it; used like a socket."""

    def __init__(self, context: ssl.SSLContext, deadline_s: float, **tls: Any) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, **tls)
        self._deadline_s = deadline_s

    def _tcp_to_read(self) -> socket.socket:
        raise NotImplementedError

    def _write(self, data: bytes) -> None:
        raise NotImplementedError

    def recv(self, size: int) -> bytes:
        """At most `size` bytes of application data; none once the peer has ended TLS."""
        while True:
            try:
                return self.tls.read(size)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLWantReadError:
                if self._outgoing.pending:
                    self._write(self._outgoing.read())
                received = self._tcp_to_read().recv(_READ)
            if not received:
                raise EOFError("TCP ended within TLS")
            self._incoming.write(received)

    def sendall(self, data: bytes) -> None:
        self.tls.write(data)
        self._write(self._outgoing.read())

    def end(self) -> None:
        """Says that no more will come: close_notify."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self._write(self._outgoing.read())


# ---- client ----

class Client(_Stream):
    """One connection; the constructor returns once its handshake is done."""

    def __init__(self, context: ssl.SSLContext, port: int, host: str = "127.0.0.1", *, udp_port: int | None = None,
                 server_name: str | None = None, session: ssl.SSLSession | None = None,
                 deadline_s: float = DEADLINE_S) -> None:
        super().__init__(context, deadline_s, server_hostname=server_name, session=session)
        self.id = os.urandom(ID_BYTES)
        self.last = 0
        """What the tombstone says, once there is one: up to here all of the responses has been consumed."""
        self._buried = False
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._connect(host, port, udp_port or port)
            self._handshake()
        except BaseException:
            self.close()
            raise

    def _connect(self, host: str, port: int, udp_port: int) -> None:
        """The SYN leaves just before the first datagram."""
        self.tcp.setblocking(False)
        self.tcp.connect_ex((host, port))
        self.tcp.settimeout(self._deadline_s)
        self.tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._udp.connect((host, udp_port))
        self._next_index = 1
        self._waiting: dict[int, bytes] = {}
        self._ends: list[int] = []  # of each response taken, in the server's stream

    def _handshake(self) -> None:
        deadline = time.monotonic() + self._deadline_s
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._send_flight()
            self._receive(deadline)
        self._send_flight()
        used = self._ends[-1] - self._incoming.pending
        self.last = sum(end <= used for end in self._ends)
        self._incoming.read()  # what was not consumed comes again by TCP

    def _send_flight(self) -> None:
        flight = chunks(self._outgoing.read())
        if self._next_index == 1:
            flight += [b""] * (FIRST_FLIGHT - len(flight))
        for payload in flight:
            self._udp.send(packet(self.id, self._next_index, payload))
            self._next_index += 1

    def _receive(self, deadline: float) -> None:
        """Takes the response that is next in order, whenever it comes."""
        wanted = len(self._ends) + 1
        while wanted not in self._waiting:
            self._udp.settimeout(max(deadline - time.monotonic(), 1e-3))
            try:
                datagram = self._udp.recv(_READ)
            except TimeoutError:
                raise TimeoutError(f"response {wanted} does not come") from None
            index = datagram[ID_BYTES]
            if datagram[:ID_BYTES] != self.id or index < wanted or index in self._waiting:
                raise Broken(f"response {index} came when {wanted} was due")
            self._waiting[index] = datagram[HEADER_BYTES:]
        payload = self._waiting.pop(wanted)
        self._incoming.write(payload)
        self._ends.append((self._ends[-1] if self._ends else 0) + len(payload))

    def _tcp_to_read(self) -> socket.socket:
        return self.tcp

    def _write(self, data: bytes) -> None:
        if not self._buried:
            self._buried = True
            data = packet(self.id, self.last) + data
        self.tcp.sendall(data)

    def close(self) -> None:
        self._udp.close()
        self.tcp.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# ---- server ----

class Session(_Stream):
    """One connection as the server has it; a handler gets it once its handshake is done."""

    def __init__(self, context: ssl.SSLContext, deadline_s: float, send: Callable[[bytes], None], number: bytes) -> None:
        super().__init__(context, deadline_s, server_side=True)
        self.id = number
        self._send = send
        self._changed = threading.Condition()
        self._requests: dict[int, bytes] = {}
        self._in_order = 0
        self._taken = 0
        self._responses: list[bytes] = []
        self._sent = 0
        self.tcp: socket.socket | None = None
        self._ended = False

    def request(self, index: int, payload: bytes) -> None:
        """A datagram came. Those that came before are harmless."""
        with self._changed:
            self._requests.setdefault(index, payload)
            while self._in_order + 1 in self._requests:
                self._in_order += 1
            self._flush()
            self._changed.notify_all()

    def join(self, tcp: socket.socket, last: int) -> None:
        """A tombstone came: what is above `last` goes by TCP, whether it went by UDP or not."""
        tcp.settimeout(self._deadline_s)
        with self._changed:
            tcp.sendall(b"".join(self._responses[last:]))
            self.tcp = tcp
            self._changed.notify_all()

    def abandon(self) -> None:
        """Nobody is going to come any more: ends whoever waits."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def handshake(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._write(self._outgoing.read())
            except ssl.SSLError:
                self._write(self._outgoing.read())  # the alert
                raise
            self._incoming.write(self._next_request())
        self._write(self._outgoing.read())
        with self._changed:
            self._wait_for(lambda: self.tcp is not None, "the tombstone does not come")

    def _next_request(self) -> bytes:
        with self._changed:
            self._wait_for(lambda: self._in_order > self._taken, f"request {self._taken + 1} does not come")
            self._taken += 1
            return self._requests[self._taken]

    def _wait_for(self, reached: Callable[[], bool], otherwise: str) -> None:
        if not self._changed.wait_for(lambda: self._ended or reached(), self._deadline_s):
            raise TimeoutError(otherwise)
        if self._ended:
            raise Broken("the server ended first")

    def _flush(self) -> None:
        """Response i leaves for request i, once."""
        while self.tcp is None and self._sent < min(len(self._responses), self._in_order):
            self._sent += 1
            self._send(packet(self.id, self._sent, self._responses[self._sent - 1]))

    def _tcp_to_read(self) -> socket.socket:
        assert self.tcp, "handlers come after the tombstone"
        return self.tcp

    def _write(self, data: bytes) -> None:
        with self._changed:
            if self.tcp:
                self.tcp.sendall(data)
                return
            self._responses += chunks(data)
            self._flush()


Handler = Callable[[Session], Any]


def echo(connection: Session) -> int:
    """Sends back what comes, to its end; tells how much."""
    size = 0
    while data := connection.recv(_READ):
        connection.sendall(data)
        size += len(data)
    connection.end()
    return size


def _ports(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """TCP and UDP with the same number. Where any will do, UDP's may be somebody else's: another one, then."""
    for attempts_left in reversed(range(1 if port else _ATTEMPTS)):
        listener = socket.create_server((host, port), backlog=1024)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED_AT_ONCE)
        try:
            udp.bind(listener.getsockname())
        except OSError:
            listener.close()
            udp.close()
            if not attempts_left:
                raise
            continue
        return listener, udp
    raise AssertionError("the last attempt has raised")


class Server:
    """Runs `handler` for each connection in a thread; what it returns can be waited for."""

    def __init__(self, context: ssl.SSLContext, handler: Handler = echo, host: str = "127.0.0.1", port: int = 0, *,
                 deadline_s: float = DEADLINE_S) -> None:
        self._context, self._handler, self._deadline_s = context, handler, deadline_s
        self._listener, self._udp = _ports(host, port)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._sessions: dict[bytes, Session | None] = {}  # None: TCP came first, which it does not survive
        self._held: list[socket.socket] = []
        self._results: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue()
        self._closing = False
        for work in (self._receive, self._accept):
            threading.Thread(target=work, daemon=True).start()

    def _receive(self) -> None:
        while True:
            datagram, client = self._udp.recvfrom(_READ)
            if self._closing:
                self._udp.close()
                return
            if len(datagram) < HEADER_BYTES:
                continue
            number = datagram[:ID_BYTES]
            with self._lock:
                if number not in self._sessions:
                    self._begin(number, client)
                session = self._sessions[number]
            if session:
                session.request(datagram[ID_BYTES], datagram[HEADER_BYTES:])

    def _begin(self, number: bytes, client: tuple[str, int]) -> None:
        def send(datagram: bytes) -> None:
            with contextlib.suppress(ConnectionRefusedError):
                self._udp.sendto(datagram, client)

        session = self._sessions[number] = Session(self._context, self._deadline_s, send, number)
        threading.Thread(target=self._serve, args=(session,), daemon=True).start()

    def _serve(self, session: Session) -> None:
        try:
            session.handshake()
            self._results.put((self._handler(session), None))
        except BaseException as problem:
            self._results.put((None, problem))
        with self._lock:
            self._sessions[session.id] = None
            if session.tcp:
                session.tcp.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._join, args=(connection,), daemon=True).start()

    def _join(self, connection: socket.socket) -> None:
        """Whatever is no tombstone of a session is kept open and never served."""
        with self._lock:
            self._held.append(connection)
        with contextlib.suppress(EOFError, OSError):
            tombstone = read_exactly(connection, HEADER_BYTES)
            with self._lock:
                session = self._sessions.setdefault(tombstone[:ID_BYTES], None)
            if session:
                session.join(connection, tombstone[ID_BYTES])

    def joined(self, number: bytes) -> bool:
        """Whether TCP has come for this id, be it too early."""
        with self._lock:
            return number in self._sessions and not ((session := self._sessions[number]) and not session.tcp)

    def result(self, timeout_s: float = DEADLINE_S) -> Any:
        """What the handler returned for the next connection that it finished."""
        value, problem = self._results.get(timeout=timeout_s)
        if problem is not None:
            raise problem
        return value

    def close(self) -> None:
        self._closing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last_words:
            last_words.sendto(b"", self._udp.getsockname())
        with self._lock:
            for session in self._sessions.values():
                if session:
                    session.abandon()
            for connection in self._held:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# ---- the program ----

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="harness.sandwich", description=__doc__.partition("\n")[0])
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--connect", metavar="HOST:PORT", help="sends bytes to an echo and compares what comes back")
    where.add_argument("--listen", metavar="HOST:PORT", help="echoes; prints \"port N\" first")
    parser.add_argument("--tls", choices=_VERSIONS, help="this version alone")
    parser.add_argument("--group", help="this key exchange alone, as OpenSSL names it: secp384r1")
    parser.add_argument("--ca", metavar="FILE", help="whom to trust; makes a server ask for a certificate")
    parser.add_argument("--certificate", metavar="FILE")
    parser.add_argument("--key", metavar="FILE")
    parser.add_argument("--server-name", default="example.test")
    parser.add_argument("--udp-port", type=int)
    parser.add_argument("--bytes", type=int, default=1000, help="to send, and to get back")
    parser.add_argument("--connections", type=int, default=1, help="one after another, resumed from the second on")
    return parser.parse_args()


def _context(options: argparse.Namespace) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if options.connect else ssl.PROTOCOL_TLS_SERVER)
    if options.tls:
        context.minimum_version = context.maximum_version = _VERSIONS[options.tls]
    if options.group:
        context.set_ecdh_curve(options.group)
    if options.ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(options.ca)
    if options.certificate:
        context.load_cert_chain(options.certificate, options.key)
    return context


def _visit(context: ssl.SSLContext, options: argparse.Namespace, session: ssl.SSLSession | None) -> tuple[dict[str, Any], Any]:
    host, _, port = options.connect.rpartition(":")
    data = os.urandom(options.bytes)
    began = time.monotonic()
    with Client(context, int(port), host, udp_port=options.udp_port, server_name=options.server_name,
                session=session) as client:
        handshake = time.monotonic()
        client.sendall(data)
        same = read_exactly(client, len(data)) == data  # type: ignore[arg-type]
        answered = time.monotonic()
        client.end()
        return {"version": client.tls.version(), "cipher": client.tls.cipher()[0], "resumed": client.tls.session_reused,
                "bytes": len(data), "same": same, "last": client.last, "handshake_ms": (handshake - began) * 1e3,
                "answered_ms": (answered - began) * 1e3}, client.tls.session


def main() -> int:
    options = _arguments()
    context = _context(options)
    if options.listen:
        host, _, port = options.listen.rpartition(":")
        print("port", Server(context, echo, host, int(port)).port, flush=True)
        threading.Event().wait()
    session, good = None, True
    for _ in range(options.connections):
        result, session = _visit(context, options, session)
        print(json.dumps(result), flush=True)
        good &= result["same"]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
