"""When a connection began, spoke and was answered, from a capture of `tcpdump -i DEVICE` at the client.

Nothing is decrypted: a question and its answer are known by their size, which no packet of a handshake has that leaves before.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

ETHERNET, IPV4, TCP, UDP = 14, 0x0800, 6, 17
SYN, ACK = 2, 16
QUESTION_MIN = 1000
"""Bytes of a segment: questions have 1200, a replayed ClientHello with its tombstone and Finished has some 650."""


@dataclass(frozen=True)
class Packet:
    time: float
    protocol: int
    source: tuple[bytes, int]
    destination: tuple[bytes, int]
    flags: int
    size: int
    """Of its payload."""


def packets(file: Path) -> list[Packet]:
    data, found, at = file.read_bytes(), [], 24
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">"}[data[:4]]
    while at + 16 <= len(data):
        seconds, microseconds, kept, _ = struct.unpack_from(f"{order}4I", data, at)
        packet = _packet(seconds + microseconds / 1e6, data[at + 16:at + 16 + kept])
        found += [packet] if packet else []
        at += 16 + kept
    return found


def _packet(time: float, frame: bytes) -> Packet | None:
    ip = frame[ETHERNET:]
    if int.from_bytes(frame[12:14], "big") != IPV4 or ip[9] not in (TCP, UDP):
        return None
    inner = ip[(ip[0] & 15) * 4:]
    size = int.from_bytes(ip[2:4], "big") - (ip[0] & 15) * 4
    source, destination = struct.unpack_from("!HH", inner)
    head, flags = (8, 0) if ip[9] == UDP else ((inner[12] >> 4) * 4, inner[13])
    return Packet(time, ip[9], (ip[12:16], source), (ip[16:20], destination), flags, size - head)


@dataclass(frozen=True)
class Moments:
    """Seconds since the first packet."""

    sent: float
    answered: float


def moments(capture: list[Packet], began: float, ended: float) -> Moments | None:
    """Of the connection that a client made between these two times; None: it is not whole."""
    within = [packet for packet in capture if began <= packet.time <= ended]
    opening = next((packet for packet in within if packet.flags & (SYN | ACK) == SYN), None)
    if opening is None:
        return None
    known = {packet.source for packet in capture if packet.time < began and packet.protocol == UDP}
    first = [packet.time for packet in within if packet is opening
             or packet.protocol == UDP and packet.source[0] == opening.source[0] and packet.source not in known]
    large = [packet for packet in within if packet.protocol == TCP and packet.size >= QUESTION_MIN
             and opening.source in (packet.source, packet.destination)]
    sent = next((packet.time for packet in large if packet.source == opening.source), None)
    answered = next((packet.time for packet in large
                     if packet.destination == opening.source and sent and packet.time > sent), None)
    return Moments(sent - first[0], answered - first[0]) if sent and answered else None
