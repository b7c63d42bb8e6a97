"""When TLS carried its first application bytes, from a capture of `tcpdump -i any -y LINUX_SLL2` at the client.

In TLS 1.3 handshake messages look like application data; what the client sends first is its Finished, and is not
counted. A session ticket that comes back ahead of the answer is: they come together.
"""

import dataclasses
import struct

SLL2, IPV4, IPV4_MIN, TCP_MIN = 20, 0x0800, 20, 20
PROTOCOL_TCP = 6
SYN, ACK = 2, 16
HANDSHAKE, APPLICATION_DATA = 22, 23
CHOSE_TLS13 = b"\x00\x2b\x00\x02\x03\x04"  # supported_versions in a ServerHello (RFC 8446 §4.2.1)


class Incomplete(Exception):
    pass


@dataclasses.dataclass
class Segment:
    time: float
    source: tuple
    destination: tuple
    sequence: int
    flags: int
    data: bytes


@dataclasses.dataclass
class Record:
    kind: int
    time: float
    body: bytes


class Stream:
    """One direction's bytes, and when each of them was seen first."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.data = bytearray()
        self.arrivals = []  # (offset, time)
        self.gap = False

    def add(self, segment: Segment) -> None:
        offset = (segment.sequence - self.first) & 0xFFFFFFFF
        fresh = segment.data[max(len(self.data) - offset, 0):]
        if fresh and offset > len(self.data):
            self.gap = True
        elif fresh:
            self.arrivals.append((len(self.data), segment.time))
            self.data += fresh

    def time_of(self, offset: int) -> float:
        return max(time for begin, time in self.arrivals if begin <= offset)

    def records(self) -> list[Record]:
        """From the first segment on that begins a TLS handshake: nothing that is said before it does."""
        begins = (begin for begin, _ in self.arrivals
                  if self.data[begin:begin + 2] == bytes([HANDSHAKE, 3]))
        offset = next(begins, len(self.data))
        records = []
        while offset + 5 <= len(self.data):
            kind, _, length = struct.unpack_from("!BHH", self.data, offset)
            records.append(Record(kind, self.time_of(offset), bytes(self.data[offset + 5:offset + 5 + length])))
            offset += 5 + length
        return records


@dataclasses.dataclass
class FirstBytes:
    """Seconds from the client's SYN."""

    version: str
    sent: float
    """The first byte of the client's first record of application data."""
    received: float
    """The first byte of the next record of application data that came back."""


class Connection:
    def __init__(self, syn: Segment) -> None:
        self.began = syn.time
        self.port = syn.destination[1]
        self.client = Stream(syn.sequence + 1)
        self.server: Stream | None = None

    def first_bytes(self) -> FirstBytes:
        if self.server is None:
            raise Incomplete("it was not accepted")
        if self.client.gap or self.server.gap:
            raise Incomplete("the capture lacks some of its bytes")
        ours, theirs = self.client.records(), self.server.records()
        if not theirs:
            raise Incomplete("no TLS")
        tls13 = CHOSE_TLS13 in theirs[0].body
        sent = [record.time for record in ours if record.kind == APPLICATION_DATA][tls13:]
        if not sent:
            raise Incomplete("the client sent no application data")
        received = [record.time for record in theirs if record.kind == APPLICATION_DATA and record.time > sent[0]]
        if not received:
            raise Incomplete("the server sent no application data")
        return FirstBytes("1.3" if tls13 else "1.2", sent[0] - self.began, received[0] - self.began)


def segments(file):
    """The TCP segments over IPv4 of a pcap file."""
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">"}[file.read(24)[:4]]
    while len(record := file.read(16)) == 16:
        seconds, microseconds, kept, _ = struct.unpack(f"{order}4I", record)
        frame = file.read(kept)
        packet = frame[SLL2:]
        if int.from_bytes(frame[:2], "big") != IPV4 or len(packet) < IPV4_MIN or packet[9] != PROTOCOL_TCP:
            continue
        header, whole = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big")
        segment = packet[header:whole]
        if len(segment) < TCP_MIN:
            continue
        source, destination, sequence = struct.unpack("!HHI", segment[:8])
        yield Segment(seconds + microseconds / 1e6, (packet[12:16], source), (packet[16:20], destination), sequence,
                      segment[13], segment[(segment[12] >> 4) * 4:])


def connections(file) -> list[Connection]:
    """In the order in which they began. On loopback every packet is there twice: going out and coming in."""
    found: dict[tuple, Connection] = {}
    began = []
    for segment in segments(file):
        key = segment.source, segment.destination
        back = segment.destination, segment.source
        if segment.flags & (SYN | ACK) == SYN:
            if key not in found or found[key].client.first != segment.sequence + 1:
                found[key] = Connection(segment)
                began.append(found[key])
        elif segment.flags & SYN and back in found:
            found[back].server = found[back].server or Stream(segment.sequence + 1)
        elif key in found:
            found[key].client.add(segment)
        elif back in found and found[back].server is not None:
            found[back].server.add(segment)
    return began
