"""TurboTLS sessions that begin by UDP and that no TCP ever joins (docs/protocol.md §2.1, §3)."""

import hashlib
import os
import socket
import struct

# An edge has at most 64 sessions pending at one TLS server whose clients may be anybody.
NAMES = [f"pending-{i}.bench.test" for i in range(20)]


def prefixed(size, data):
    return len(data).to_bytes(size, "big") + data


def client_hello(name):
    name = b"\0\0" + prefixed(2, prefixed(2, b"\0" + prefixed(2, name.encode())))
    talk = struct.pack(">QQ16x", 1, 0)  # TALK_CLOSE of talk.h
    body = b"\3\3" + os.urandom(32) + prefixed(1, talk) + prefixed(2, b"\x13\x01") + b"\1\0"
    padding = 517 - 9 - len(body) - 2 - len(name) - 4
    extensions = name + b"\0\x15" + prefixed(2, bytes(padding))
    body += prefixed(2, extensions)
    return b"\x16\3\1" + prefixed(2, b"\1" + prefixed(3, body))


def session_id(hello):
    digest = bytearray(hashlib.sha256(hello).digest()[:12])
    digest[0] = digest[0] & 0x3F | 0x80
    digest[2] |= 0x80
    return bytes(digest)


def requests(name):
    """The datagrams of one opening: the ClientHello, and empty ones for the flight."""
    hello = client_hello(name)
    head = session_id(hello) + b"\0"
    return [head + (1).to_bytes(3, "big") + hello] + [head + i.to_bytes(3, "big") for i in range(2, 6)]


def flood(port, count):
    """So many openings, each of an address of its own, for all the names in turn."""
    for i in range(count):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((f"127.9.{i >> 8}.{i & 255}", 0))
            for datagram in requests(NAMES[i % len(NAMES)]):
                sender.sendto(datagram, ("127.0.0.1", port))
