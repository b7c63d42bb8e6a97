"""The wire protocol spoken directly to an edge, by a client that may also break its rules.

Layout of a datagram and of a tombstone (docs/protocol.md): id (12) | flags (1) | sequence (3) | payload.
"""

import hashlib
import os
import socket
from dataclasses import dataclass

from .hello import client_hello
from .proxy import Proxy
from .sockets import connect, name_of
from .wait import DEADLINE_S, SILENCE_S

HEADER_BYTES = 16
DATAGRAM_MAX = 1200
REQUEST_PAYLOAD_MAX = 1184
RESPONSE_PAYLOAD_MAX = 1182
CHUNKS_MAX = 64
BUDGET_FACTOR = 3

REPLAY = 0x01
ABORT = 0x02
PROFILE1 = 0x10
REFUSED = 0x20
PARITY = 0x40


@dataclass(frozen=True)
class Packet:
    """A datagram of either direction, or with an empty payload a tombstone."""

    session: bytes
    sequence: int
    payload: bytes = b""
    flags: int = 0

    def encode(self) -> bytes:
        return self.session + bytes([self.flags]) + self.sequence.to_bytes(3, "big") + self.payload


def decode(datagram: bytes) -> Packet:
    assert len(datagram) >= HEADER_BYTES, f"{len(datagram)} bytes are no datagram"
    return Packet(datagram[:12], int.from_bytes(datagram[13:16], "big"), datagram[16:], datagram[12])


def _mark(identifier: bytes) -> bytes:
    """Byte 0 becomes 10xxxxxx and byte 2 1xxxxxxx."""
    first, third = identifier[0] & 0x3F | 0x80, identifier[2] | 0x80
    return bytes([first, identifier[1], third]) + identifier[3:12]


def session_id(hello: bytes) -> bytes:
    return _mark(hashlib.sha256(hello).digest())


def random_id() -> bytes:
    """What a client of the draft uses."""
    return _mark(os.urandom(12))


def tombstone(session: bytes, consumed: int, flags: int = REPLAY) -> bytes:
    return Packet(session, consumed, flags=flags).encode()


def chunks(stream: bytes, size: int = REQUEST_PAYLOAD_MAX) -> list[bytes]:
    return [stream[start:start + size] for start in range(0, len(stream), size)]


class WireClient:
    """One session with an edge: its requests, and the responses that came."""

    def __init__(self, edge: Proxy, hello: bytes | None = None, session: bytes | None = None, *,
                 host: str = "127.0.0.1", source: str | None = None) -> None:
        """`source`: the address of this machine that the requests come from."""
        self._edge = edge
        self._host = host
        self._source = source or host
        self.hello = hello if hello is not None else client_hello()
        self.session = session or session_id(self.hello)
        self.sent = self.sent_bytes = 0
        self.responses: list[Packet] = []
        self.received_bytes = 0
        self._udp = self._open()

    def _open(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        udp = socket.socket(family, socket.SOCK_DGRAM)
        udp.bind((self._source, 0))
        udp.connect((self._host, self._edge.udp_port))
        return udp

    @property
    def name(self) -> str:
        """Where the requests come from, as the edge's access record names its client."""
        return name_of(self._udp)

    def move(self) -> None:
        """Goes on from another port, as behind a NAT that forgot."""
        self._udp.close()
        self._udp = self._open()

    def send(self, datagram: bytes) -> None:
        self._udp.send(datagram)
        self.sent += 1
        self.sent_bytes += len(datagram)

    def request(self, sequence: int, payload: bytes = b"", flags: int = 0) -> None:
        self.send(Packet(self.session, sequence, payload, flags).encode())

    def send_hello(self, empty_requests: int = 6, copies: int = 3) -> None:
        """The ClientHello's chunks, as often as the budget needs, and empty requests after them."""
        parts = chunks(self.hello)
        for _ in range(copies):
            for number, part in enumerate(parts, 1):
                self.request(number, part)
        for number in range(len(parts) + 1, len(parts) + empty_requests + 1):
            self.request(number)

    def _receive(self, timeout_s: float) -> Packet | None:
        self._udp.settimeout(timeout_s)
        try:
            datagram = self._udp.recv(65536)
        except TimeoutError:
            return None
        packet = decode(datagram)
        self.responses.append(packet)
        self.received_bytes += len(datagram)
        return packet

    def receive(self) -> Packet:
        """The next response."""
        packet = self._receive(DEADLINE_S)
        assert packet, f"no response; so far {self.responses}"
        return packet

    def receive_until_silent(self, silence_s: float = SILENCE_S) -> list[Packet]:
        """All responses so far, once no further one comes."""
        while self._receive(silence_s):
            pass
        return self.responses

    def receive_stream(self, size: int) -> bytes:
        """Receives until the first `size` bytes of the server's stream are there, and gives all there is."""
        while len(self.stream()) < size:
            self.receive()
        return self.stream()

    def stream(self) -> bytes:
        """What the responses give without a gap."""
        return b"".join(self._parts())

    def consumed(self) -> int:
        """The number of chunks received without a gap: what a tombstone says."""
        return len(self._parts())

    def _parts(self) -> list[bytes]:
        by_number = {packet.sequence: packet.payload for packet in self.responses
                     if not packet.flags & (REFUSED | PARITY)}
        parts = []
        while len(parts) + 1 in by_number:
            parts.append(by_number[len(parts) + 1])
        return parts

    def join(self, after: bytes = b"", *, consumed: int | None = None, flags: int = REPLAY,
             replayed: bytes | None = None, source: str | None = None) -> socket.socket:
        """Opens TCP with a tombstone and the client's stream: the ClientHello again, then `after`."""
        if replayed is None:
            replayed = self.hello if flags & REPLAY else b""
        consumed = self.consumed() if consumed is None else consumed
        connection = connect(self._edge.port, self._host, source or self._source)
        connection.sendall(tombstone(self.session, consumed, flags) + replayed + after)
        return connection

    def close(self) -> None:
        self._udp.close()

    def __enter__(self) -> "WireClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
