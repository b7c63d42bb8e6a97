"""A TLS client that leaves the sending to the test."""

import socket
import ssl


class MemoryClient:
    """TLS over memory: `hello` is what to send first, in whatever pieces."""

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        assert not self.advance()
        self.hello = self._outgoing.read()

    def advance(self, received: bytes = b"") -> bool:
        """Goes on with the handshake; True once it is complete."""
        self._incoming.write(received)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def handshake(self, connection: socket.socket) -> None:
        """Completes the handshake after the ClientHello was sent."""
        while not self.advance(self._receive(connection)):
            self._send(connection)
        self._send(connection)

    def encrypt(self, data: bytes) -> bytes:
        """`data` as records, after whatever else is still to be sent."""
        self._tls.write(data)
        return self._outgoing.read()

    def decrypt(self, received: bytes, size: int) -> bytes:
        self._incoming.write(received)
        return self._tls.read(size)

    def write(self, connection: socket.socket, data: bytes) -> None:
        connection.sendall(self.encrypt(data))

    def read(self, connection: socket.socket, size: int) -> bytes:
        """`size` bytes of application data."""
        data = b""
        while len(data) < size:
            try:
                data += self._tls.read(size - len(data))
            except ssl.SSLWantReadError:
                self._incoming.write(self._receive(connection))
        return data

    def _send(self, connection: socket.socket) -> None:
        connection.sendall(self._outgoing.read())

    @staticmethod
    def _receive(connection: socket.socket) -> bytes:
        received = connection.recv(65536)
        if not received:
            raise EOFError("the stream ended within TLS")
        return received
