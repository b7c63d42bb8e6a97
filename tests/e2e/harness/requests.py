"""What a client says to a proxy before it may go on: CONNECT and SOCKS5, byte by byte, as a test wants them."""

import ipaddress
import socket
from dataclasses import dataclass

from .hello import read_exactly

_HEAD_END = b"\r\n\r\n"
_VERSION, _NO_LOGIN, _BY_LOGIN, _CONNECT = 5, 0, 2, 1
_IPV4, _NAME, _IPV6 = 1, 3, 4


class Refused(AssertionError):
    """The proxy said no: `code` is HTTP's status or SOCKS5's reply."""

    def __init__(self, code: int, words: str = "") -> None:
        super().__init__(f"{code} {words}")
        self.code = code


def authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def connect_request(host: str, port: int, *headers: str) -> bytes:
    target = authority(host, port)
    return "\r\n".join((f"CONNECT {target} HTTP/1.1", f"Host: {target}", *headers, "", "")).encode()


def read_head(connection: socket.socket) -> str:
    """The head of an HTTP answer; what follows stays in the socket."""
    head = b""
    while not head.endswith(_HEAD_END):
        piece = connection.recv(1)
        if not piece:
            raise EOFError(f"the stream ended within the answer's head: {head!r}")
        head += piece
    return head.decode()


def status(head: str) -> int:
    version, code, _ = head.split(" ", 2)
    assert version == "HTTP/1.1", head
    return int(code)


def http_connect(connection: socket.socket, host: str, port: int, behind: bytes = b"") -> None:
    """Asks, with `behind` sent together with the request, and waits for the answer."""
    connection.sendall(connect_request(host, port) + behind)
    head = read_head(connection)
    if status(head) != 200:
        raise Refused(status(head), head)


@dataclass(frozen=True)
class Login:
    user: str
    password: str

    def words(self) -> bytes:
        """RFC 1929 §2."""
        user, password = self.user.encode(), self.password.encode()
        return bytes([1, len(user)]) + user + bytes([len(password)]) + password


def _address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return bytes([_NAME, len(host)]) + host.encode()
    return bytes([_IPV4 if address.version == 4 else _IPV6]) + address.packed


def socks_request(host: str, port: int, command: int = _CONNECT) -> bytes:
    return bytes([_VERSION, command, 0]) + _address(host) + port.to_bytes(2, "big")


def socks_greet(connection: socket.socket, login: Login | None = None) -> None:
    method = _BY_LOGIN if login else _NO_LOGIN
    connection.sendall(bytes([_VERSION, 1, method]))
    version, chosen = read_exactly(connection, 2)
    assert version == _VERSION
    if chosen != method:
        raise Refused(chosen, "method")
    if login:
        connection.sendall(login.words())
        version, verdict = read_exactly(connection, 2)
        assert version == 1
        if verdict:
            raise Refused(verdict, "login")


def socks_reply(connection: socket.socket) -> None:
    version, code, _, kind = read_exactly(connection, 4)
    assert version == _VERSION
    read_exactly(connection, {_IPV4: 4, _IPV6: 16}[kind] + 2)
    if code:
        raise Refused(code)


def socks5(connection: socket.socket, host: str, port: int, login: Login | None = None) -> None:
    socks_greet(connection, login)
    connection.sendall(socks_request(host, port))
    socks_reply(connection)
