"""ClientHellos, and what the record layer does to them.

The proxies hold no key: for them a connection is a ClientHello and bytes after it. So tests that are not
about TLS send a real ClientHello, fresh each time, and then whatever they like.
"""

import socket
import ssl

from .pki import SERVER_NAME

_RECORD_HEADER = 5
_HANDSHAKE = 22
_CLIENT_HELLO = 1
_KEY_SHARE = 51
_PROTOCOL_MAX = 200

_context = ssl.create_default_context()


def client_hello(server_name: str | None = SERVER_NAME, context: ssl.SSLContext = _context) -> bytes:
    """A ClientHello as Python's ssl writes it: one record, 32 fresh random bytes."""
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=server_name)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def large_client_hello(size: int) -> bytes:
    """A ClientHello of exactly `size` bytes (1000 or more), filled up with application protocols."""
    sample = [_PROTOCOL_MAX, _PROTOCOL_MAX]
    filler = size - len(_hello_with_protocols(sample)) + sum(length + 1 for length in sample)
    lengths = []
    while filler:
        taken = min(filler, _PROTOCOL_MAX + 1)
        taken -= filler - taken == 1  # a protocol needs two bytes: its length and a character
        lengths.append(taken - 1)
        filler -= taken
    hello = _hello_with_protocols(lengths)
    assert len(hello) in (size, size + _RECORD_HEADER), f"{len(hello)} bytes instead of {size}"
    return hello


def _hello_with_protocols(lengths: list[int]) -> bytes:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["p" * length for length in lengths])
    return client_hello(context=context)


def split_over_records(hello: bytes, size: int) -> bytes:
    """The handshake message of one record in records of at most `size` bytes (RFC 8446 §5.1)."""
    version, message = hello[1:3], hello[_RECORD_HEADER:]
    pieces = [message[start:start + size] for start in range(0, len(message), size)]
    return b"".join(bytes([_HANDSHAKE]) + version + len(piece).to_bytes(2, "big") + piece
                    for piece in pieces)


def chosen_group(flight: bytes) -> int:
    """The group in the key_share extension of the TLS 1.3 ServerHello that `flight` begins with."""
    rest = flight[_RECORD_HEADER + 4 + 2 + 32:]        # record, message, version, random
    rest = rest[1 + rest[0] + 2 + 1 + 2:]              # session id, cipher suite, compression, length
    while len(rest) >= 6:
        kind, size = int.from_bytes(rest[:2], "big"), int.from_bytes(rest[2:4], "big")
        if kind == _KEY_SHARE:
            return int.from_bytes(rest[4:6], "big")
        rest = rest[4 + size:]
    raise AssertionError("the ServerHello has no key share")


def read_client_hello(connection: socket.socket) -> bytes:
    """Reads exactly one ClientHello with its record headers; what follows stays in the socket."""
    stream, message = bytearray(), bytearray()
    while len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4], "big"):
        header = read_exactly(connection, _RECORD_HEADER)
        assert header[0] == _HANDSHAKE, f"not a handshake record: {header!r}"
        fragment = read_exactly(connection, int.from_bytes(header[3:5], "big"))
        stream += header + fragment
        message += fragment
    assert message[0] == _CLIENT_HELLO
    return bytes(stream)


def read_exactly(connection: socket.socket, size: int) -> bytes:
    """`size` bytes; an earlier end of the stream is an error."""
    data = bytearray()
    while len(data) < size:
        piece = connection.recv(min(size - len(data), 1 << 16))
        if not piece:
            raise EOFError(f"the stream ended after {len(data)} of {size} bytes")
        data += piece
    return bytes(data)


def read_to_end(connection: socket.socket) -> bytes:
    """Everything until the peer's half-close."""
    data = bytearray()
    while piece := connection.recv(1 << 16):
        data += piece
    return bytes(data)
