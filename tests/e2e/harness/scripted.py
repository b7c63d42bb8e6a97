"""A server whose whole behaviour a test knows: a flight for a ClientHello, then an echo."""

import random
import socket
from typing import Callable

from .hello import client_hello, read_client_hello, read_to_end
from .sockets import connect

FLIGHT = random.Random(1).randbytes(3000)
"""What the server says first: more than one chunk, less than one budget."""

FLIGHT_CHUNKS = 3


def flight_then_echo(connection: socket.socket) -> tuple[bytes, bytes]:
    """Reads the ClientHello, sends the flight, and echoes the rest to its end; tells what it read."""
    hello = read_client_hello(connection)
    connection.sendall(FLIGHT)
    return hello, echo(connection)


def echo(connection: socket.socket) -> bytes:
    """Sends back what comes, to the end of both directions; tells what came."""
    received = bytearray()
    while piece := connection.recv(65536):
        connection.sendall(piece)
        received += piece
    connection.shutdown(socket.SHUT_WR)
    return bytes(received)


def flight_then_listen(size: int) -> Callable[[socket.socket], bytes]:
    """Sends a flight of zeros, then only tells what else came before the end: b"reset" for a reset."""
    def serve(connection: socket.socket) -> bytes:
        read_client_hello(connection)
        connection.sendall(bytes(size))
        return read_to_end_or_reset(connection)
    return serve


def read_to_end_or_reset(connection: socket.socket) -> bytes:
    try:
        return read_to_end(connection)
    except ConnectionResetError:
        return b"reset"


def finish(connection: socket.socket) -> bytes:
    """Half-closes and reads what is left."""
    connection.shutdown(socket.SHUT_WR)
    return read_to_end(connection)


def converse(port: int, question: bytes = b"a question after the flight", *, host: str = "127.0.0.1",
             hello: bytes | None = None) -> bytes:
    """A whole connection to `flight_then_echo`, as a TLS client would: answers only once it has the flight.

    Asserts that the client gets every byte; returns the ClientHello, for comparison with the server's.
    """
    hello = hello if hello is not None else client_hello()
    with connect(port, host) as connection:
        connection.sendall(hello)
        continue_after_hello(connection, question)
    return hello


def continue_after_hello(connection: socket.socket, question: bytes) -> None:
    """The rest of `converse`, for a ClientHello that was sent in some special way."""
    flight = b""
    while len(flight) < len(FLIGHT):
        piece = connection.recv(len(FLIGHT) - len(flight))
        assert piece, f"the stream ended after {len(flight)} bytes of the flight"
        flight += piece
    assert flight == FLIGHT
    connection.sendall(question)
    assert finish(connection) == question
