"""The attacks of "Why TLS Is Better Without STARTTLS" (USENIX Security 2021), and their kin of several CVEs.

Commands that are smuggled in before TLS for the server to obey within it, responses for the client to believe, TLS
that is talked away, and credentials that come without it. Nothing of it may reach the other side: these tests keep
every byte that it gets. The connection ends, and log and metrics say why.
"""

import contextlib
import os
import re
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator, Sequence

import pytest

from harness.admin import Admin
from harness.hello import client_hello, read_client_hello
from harness.proxy import Proxies, Proxy
from harness.scripted import FLIGHT, echo, finish
from harness.sockets import TcpServer, connect
from harness.starttls import ADMIN, Ways, Witness
from harness.starttls_clients import ber, startup_message
from harness.starttls_servers import LDAP_USER, PASSWORD, USER
from harness.wait import wait_until

# ---- what the protocols say ----

@dataclass(frozen=True)
class Speech:
    """One protocol until TLS: what a client says and expects, and how an honest server answers it."""

    greeting: bytes
    """How the server begins, as a regular expression; empty: the client does."""
    command: bytes
    """By which a client asks for TLS."""
    go_ahead: bytes
    """As a regular expression: as we say it."""
    server: Sequence[tuple[bytes, bytes]]
    """An honest server until TLS: what it says, and then what it is told by us."""
    server_go_ahead: bytes
    smuggled: bytes
    """A command that an attacker wants to be obeyed within TLS."""
    response: bytes
    """A response that an attacker wants to be believed within TLS."""
    credentials: bytes
    """What a client sends that does without TLS ..."""
    refusal: bytes
    """... and what it is told, as a regular expression."""
    downgrades: dict[str, tuple[Sequence[tuple[bytes, bytes]], bytes]]
    """How TLS is talked away: by name, what the server says and is told until then, and its last words."""

    @property
    def told(self) -> bytes:
        """Everything that a server gets before TLS."""
        return b"".join(told for _, told in self.server)


def _message(*parts: bytes, number: int = 1) -> bytes:
    return ber(0x30, ber(2, bytes([number])), *parts)


def _extended_response(code: int, number: int = 1, name: bytes = b"") -> bytes:
    result = ber(0x0A, bytes([code])), ber(4), ber(4)
    return _message(ber(0x78, *result, ber(0x8A, name) if name else b""), number=number)


_EHLO = b"EHLO [127.0.0.1]\r\n"
_START_TLS = b"1.3.6.1.4.1.1466.20037"
_NOTICE_OF_DISCONNECTION = b"1.3.6.1.4.1.1466.20036"
_SSL_REQUEST = bytes.fromhex("00000008 04d2162f")
_BIND = _message(ber(0x60, ber(2, b"\x03"), ber(4, LDAP_USER.encode()), ber(0x80, PASSWORD.encode())), number=2)
_ENTRY = _message(ber(0x64, ber(4, b"cn=forged"), ber(0x30)), number=2)

SPEECHES = {
    "smtp": Speech(
        greeting=rb"220 .*\r\n", command=b"STARTTLS\r\n", go_ahead=rb"220 .*\r\n",
        server=[(b"220 mx ESMTP\r\n", _EHLO), (b"250-mx\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n", b"STARTTLS\r\n")],
        server_go_ahead=b"220 go ahead\r\n",
        smuggled=b"RSET\r\nMAIL FROM:<attacker@elsewhere.test>\r\nRCPT TO:<victim@example.test>\r\nDATA\r\n",
        response=b"250-mx\r\n250 AUTH PLAIN\r\n",
        credentials=b"AUTH PLAIN AHJlYWRlcgBzZWNyZXQ=\r\n", refusal=rb"530 .*\r\n",
        downgrades={
            "capability stripped": ([(b"220 mx ESMTP\r\n", _EHLO)], b"250-mx\r\n250 AUTH PLAIN\r\n"),
            "454": ([(b"220 mx ESMTP\r\n", _EHLO), (b"250-mx\r\n250 STARTTLS\r\n", b"STARTTLS\r\n")],
                    b"454 TLS not available\r\n"),
            "not now": ([], b"554 no service\r\n")}),
    "imap": Speech(
        greeting=rb"\* OK .*\r\n", command=b"x STARTTLS\r\n", go_ahead=rb"x OK .*\r\n",
        server=[(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] hello\r\n", b"a STARTTLS\r\n")],
        server_go_ahead=b"a OK begin\r\n",
        smuggled=b"y LOGIN attacker password\r\nz APPEND INBOX {5}\r\n",
        response=b"* OK [ALERT] pay at once\r\n* LIST () \"/\" forged\r\n",
        credentials=f"y LOGIN {USER} {PASSWORD}\r\n".encode(), refusal=rb"y (NO|BAD) .*\r\n",
        downgrades={
            "PREAUTH": ([], b"* PREAUTH you are in already\r\n"),
            "BYE": ([], b"* BYE not now\r\n"),
            "NO": ([(b"* OK hello\r\n", b"a STARTTLS\r\n")], b"a NO not here\r\n"),
            "BAD": ([(b"* OK hello\r\n", b"a STARTTLS\r\n")], b"* CAPABILITY IMAP4rev1\r\na BAD what\r\n")}),
    "pop3": Speech(
        greeting=rb"\+OK .*\r\n", command=b"STLS\r\n", go_ahead=rb"\+OK .*\r\n",
        server=[(b"+OK hello\r\n", b"STLS\r\n")], server_go_ahead=b"+OK begin\r\n",
        smuggled=b"USER attacker\r\nPASS password\r\n", response=b"+OK\r\nFrom: the boss\r\n.\r\n",
        credentials=f"USER {USER}\r\n".encode(), refusal=rb"-ERR .*\r\n",
        downgrades={"-ERR": ([(b"+OK hello\r\n", b"STLS\r\n")], b"-ERR not here\r\n"),
                    "not now": ([], b"-ERR not now\r\n")}),
    "ldap": Speech(
        greeting=b"", command=_message(ber(0x77, ber(0x80, _START_TLS))),
        go_ahead=re.escape(_extended_response(0, name=_START_TLS)),
        server=[(b"", _message(ber(0x77, ber(0x80, _START_TLS))))],
        server_go_ahead=_extended_response(0, name=_START_TLS), smuggled=_BIND, response=_ENTRY,
        credentials=_BIND, refusal=re.escape(b"\x61") + b"." + re.escape(b"\x0a\x01\x0d") + b".*",
        downgrades={
            "unavailable": ([(b"", _message(ber(0x77, ber(0x80, _START_TLS))))], _extended_response(52)),
            "notice of disconnection": ([(b"", _message(ber(0x77, ber(0x80, _START_TLS))))],
                                        _extended_response(52, 0, _NOTICE_OF_DISCONNECTION))}),
    "postgresql": Speech(
        greeting=b"", command=_SSL_REQUEST, go_ahead=b"S", server=[(b"", _SSL_REQUEST)], server_go_ahead=b"S",
        smuggled=startup_message(), response=b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I",
        credentials=startup_message(), refusal=rb"E.*28000.*",
        downgrades={"N": ([(b"", _SSL_REQUEST)], b"N"),
                    "an error": ([(b"", _SSL_REQUEST)], b"E\0\0\0\x13SFATAL\0Mno, no\0\0")}),
}

every_protocol = pytest.mark.parametrize("protocol", SPEECHES)


def read_until(connection: socket.socket, expected: bytes) -> bytes:
    """Until what has come matches the expression; the end is an error."""
    came = b""
    while not re.fullmatch(expected, came, re.DOTALL):
        piece = connection.recv(1 << 16)
        assert piece, f"{came!r}, and the end, instead of {expected!r}"
        came += piece
    return came


def read_to_any_end(connection: socket.socket) -> bytes:
    came = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(1 << 16):
            came += piece
    return came


def _is_stopped(pid: int) -> bool:
    """All threads: kill(2) returns when the signal is sent, and they go on until one of them has taken it."""
    states = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


@contextlib.contextmanager
def stopped(proxy: Proxy) -> Iterator[None]:
    """What is sent meanwhile is there, all of it, before the proxy reads any of it."""
    os.kill(proxy.pid, signal.SIGSTOP)
    try:
        wait_until("the proxy is stopped", lambda: _is_stopped(proxy.pid))
        yield
    finally:
        os.kill(proxy.pid, signal.SIGCONT)


def assert_counted(proxy: Proxy, reason: str, connections: int = 1) -> None:
    """So many connections have failed for this reason: in the log, and in the metrics."""
    records = proxy.wait_for_records(connections)
    assert [(record["outcome"], record["reason"]) for record in records] == [("failed", reason)] * connections
    metrics = Admin(proxy).metrics()
    assert metrics.by("turbotls_connections_total", "outcome", "reason") == {("failed", reason): connections}


# ---- from a client's side, or by who is between it and the near side ----

@dataclass(frozen=True)
class Near:
    """A near side alone, so that the other side is as near as can be."""

    speech: Speech
    server: Witness
    proxy: Proxy

    def connect(self) -> socket.socket:
        """A connection up to where the client asks for TLS."""
        connection = connect(self.proxy.port)
        read_until(connection, self.speech.greeting)
        return connection

    def begin_tls(self) -> socket.socket:
        """A connection up to where TLS is due."""
        connection = self.connect()
        connection.sendall(self.speech.command)
        read_until(connection, self.speech.go_ahead)
        return connection

    def assert_refused(self, reason: str, connections: int = 1) -> None:
        assert_counted(self.proxy, reason, connections)
        assert not any(self.server.heard), self.server.heard


@pytest.fixture
def near(ways: Ways, protocol: str) -> Iterator[Near]:
    with Witness() as server:
        yield Near(SPEECHES[protocol], server,
                   ways.near(protocol, upstream=f"tcp:127.0.0.1:{server.port}", options=ADMIN))


@every_protocol
def test_without_an_attack_the_hello_reaches_the_server(near: Near) -> None:
    """So the server of the tests below would hear it."""
    hello = client_hello()
    with near.begin_tls() as client:
        client.sendall(hello)
        wait_until("the server has the ClientHello", lambda: near.server.heard and near.server.heard[0] == hello)


SMUGGLED: dict[str, Callable[[Speech], Sequence[bytes]]] = {
    "in one segment": lambda speech: [speech.command + speech.smuggled],
    "in the next segment": lambda speech: [speech.command, speech.smuggled],
    "in many segments": lambda speech: [speech.command] + [bytes([byte]) for byte in speech.smuggled],
    "one byte": lambda speech: [speech.command + b"\n"],
    "the command twice": lambda speech: [speech.command + speech.command],
    "a ClientHello": lambda speech: [speech.command + client_hello()],
    "a ClientHello behind it": lambda speech: [speech.command + speech.smuggled, client_hello()],
}


@every_protocol
def test_commands_behind_the_one_that_asks_for_tls(near: Near, protocol: str) -> None:
    """CVE-2011-0411, CVE-2021-23214. All of it is there before the go-ahead, which so is not given."""
    for how, pieces in SMUGGLED.items():
        with near.connect() as client:
            with stopped(near.proxy):
                for piece in pieces(near.speech):
                    client.sendall(piece)
            assert read_to_any_end(client) == b"", how
    near.assert_refused("injected", len(SMUGGLED))


RECORD = b"\x03\x03\x00\x02"
INSTEAD: dict[str, Callable[[Speech], bytes]] = {
    "a command": lambda speech: speech.smuggled,
    "a command in front of the ClientHello": lambda speech: speech.smuggled + client_hello(),
    "line ends in front of the ClientHello": lambda speech: b"\r\n" + client_hello(),
    "an alert": lambda speech: b"\x15" + RECORD + b"\x01\x00",
    "application data": lambda speech: b"\x17" + RECORD + b"hi" + client_hello(),
    "a change of ciphers": lambda speech: b"\x14" + b"\x03\x03\x00\x01\x01" + client_hello(),
    "another handshake message": lambda speech: b"\x16\x03\x03\x00\x04\x0e\x00\x00\x00",
    "HTTP": lambda speech: b"GET / HTTP/1.0\r\n\r\n",
}


@every_protocol
def test_what_is_not_a_client_hello_where_it_is_due(near: Near, protocol: str) -> None:
    for how, words in INSTEAD.items():
        with near.begin_tls() as client:
            client.sendall(words(near.speech))
            assert read_to_any_end(client) == b"", how
    near.assert_refused("no-tls", len(INSTEAD))


@every_protocol
def test_credentials_without_tls(near: Near, protocol: str) -> None:
    """They are refused as the RFCs say for "TLS first", and go no further; neither does what comes with them."""
    with near.connect() as client:
        client.sendall(near.speech.credentials)
        told = client.recv(1 << 16)
        assert re.search(near.speech.refusal, told, re.DOTALL), told
        client.sendall(near.speech.smuggled)
        client.shutdown(socket.SHUT_WR)
        read_to_any_end(client)
    near.assert_refused("no-tls")


@pytest.mark.parametrize("protocol", ["postgresql"])
def test_a_cancel_request_without_tls(near: Near, protocol: str) -> None:
    """psql sends it so before version 17, whatever the connection that it is about."""
    with near.connect() as client:
        client.sendall(bytes.fromhex("00000010 04d2162e 00001234 deadbeef"))
        assert read_to_any_end(client) == b""
    near.assert_refused("no-tls")


# ---- from the server's side, or by who is between it and the far side ----

class Attacker(Witness):
    """Plays the server until TLS is due, and then says `last`; `later` once it is told anything behind that."""

    def __init__(self, server: Sequence[tuple[bytes, bytes]], last: Sequence[bytes], later: bytes = b"") -> None:
        self._server = server
        self._last = last
        self._later = later
        self.proxy: Proxy | None = None
        """Stopped while the last words are said."""
        super().__init__()

    def converse(self, connection: socket.socket, heard: bytearray) -> None:
        for say, wanted in self._server:
            connection.sendall(say)
            while not heard.endswith(wanted):
                piece = connection.recv(1 << 16)
                if not piece:
                    return
                heard += piece
        with stopped(self.proxy) if self.proxy else contextlib.nullcontext():
            for piece in self._last:
                connection.sendall(piece)
        while piece := connection.recv(1 << 16):
            heard += piece
            if self._later:
                connection.sendall(self._later)


SERVER_HELLO = b"\x16\x03\x03" + len(FLIGHT).to_bytes(2, "big") + FLIGHT
"""As far as a proxy can tell."""


def what_comes(port: int) -> bytes:
    """What a client with TLS gets to its ClientHello, up to the end, which may come before that.

    The server is asked as soon as the client is accepted: the reset may even be there before `connect` has returned.
    """
    with contextlib.suppress(ConnectionError), connect(port) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(client_hello())
        return read_to_any_end(client)
    return b""


def what_comes_behind_starttls(port: int, speech: Speech) -> bytes:
    """The same behind STARTTLS."""
    with connect(port) as client:
        read_until(client, speech.greeting)
        client.sendall(speech.command)
        read_until(client, speech.go_ahead)
        client.sendall(client_hello())
        return read_to_any_end(client)


@every_protocol
def test_without_an_attack_the_servers_tls_reaches_the_client(ways: Ways, protocol: str) -> None:
    """And nothing of what the server has said before, such as IMAP's responses without a tag."""
    speech = SPEECHES[protocol]
    chatter = b"* OK [ALERT] hello\r\n* CAPABILITY IMAP4rev1\r\n* 23 EXISTS\r\n" if protocol == "imap" else b""

    def serve(connection: socket.socket) -> bytes:
        heard = b""
        for say, wanted in speech.server:
            connection.sendall(say)
            heard += read_until(connection, re.escape(wanted))
        connection.sendall(chatter + speech.server_go_ahead)
        read_client_hello(connection)
        connection.sendall(SERVER_HELLO)
        echo(connection)
        return heard

    with TcpServer(serve) as server, connect(ways.far(protocol, server.port, options=ADMIN).port) as client:
        client.sendall(client_hello())
        assert client.recv(len(SERVER_HELLO), socket.MSG_WAITALL) == SERVER_HELLO
        assert finish(client) == b""
        assert server.result() == speech.told


INJECTED: dict[str, Callable[[Speech], Sequence[bytes]]] = {
    "in one segment": lambda speech: [speech.server_go_ahead + speech.response],
    "in the next segment": lambda speech: [speech.server_go_ahead, speech.response],
    "one byte": lambda speech: [speech.server_go_ahead + b"\n"],
    "a ServerHello": lambda speech: [speech.server_go_ahead + SERVER_HELLO],
}


@every_protocol
@pytest.mark.parametrize("how", INJECTED)
def test_responses_behind_the_go_ahead(ways: Ways, protocol: str, how: str) -> None:
    """CVE-2021-23222. The ClientHello is not given to such a server either."""
    speech = SPEECHES[protocol]
    with Attacker(speech.server, INJECTED[how](speech)) as attacker:
        far = ways.far(protocol, attacker.port, options=ADMIN)
        attacker.proxy = far
        assert what_comes(far.port) == b""
        assert_counted(far, "injected")
    assert attacker.heard == [speech.told]


@every_protocol
def test_responses_behind_the_go_ahead_of_a_turbotls_connection(ways: Ways, protocol: str) -> None:
    speech = SPEECHES[protocol]
    with Attacker(speech.server, [speech.server_go_ahead + speech.response]) as attacker:
        pair = ways.both(protocol, attacker.port)
        assert what_comes_behind_starttls(pair.port, speech) == b""
        assert {record["reason"] for record in pair.edge.wait_for_records()} == {"injected"}
    assert all(heard == speech.told for heard in attacker.heard), attacker.heard


@every_protocol
@pytest.mark.parametrize("turbo", [False, True], ids=["alone", "turbo"])
def test_responses_instead_of_tls(ways: Ways, protocol: str, turbo: bool) -> None:
    """They come when the ClientHello has gone to the server: the client, whose answer is due, still gets none of it."""
    speech = SPEECHES[protocol]
    with Attacker(speech.server, [speech.server_go_ahead], speech.response) as attacker:
        if turbo:
            pair = ways.both(protocol, attacker.port)
            assert what_comes_behind_starttls(pair.port, speech) == b""
            assert {record["reason"] for record in pair.edge.wait_for_records()} == {"injected"}
        else:
            far = ways.far(protocol, attacker.port, options=ADMIN)
            assert what_comes(far.port) == b""
            assert_counted(far, "injected")
    assert all(heard.startswith(speech.told + b"\x16") for heard in attacker.heard), attacker.heard


@pytest.mark.parametrize("protocol,how", [(protocol, how) for protocol, speech in SPEECHES.items()
                                          for how in speech.downgrades])
def test_tls_is_talked_away(ways: Ways, protocol: str, how: str) -> None:
    """The server is told no more, whatever it says next, and the client nothing."""
    server, last = SPEECHES[protocol].downgrades[how]
    with Attacker(server, [last]) as attacker:
        far = ways.far(protocol, attacker.port, options=ADMIN)
        assert what_comes(far.port) == b""
        assert_counted(far, "starttls-refused")
        assert far.stderr.matching(lambda line: f'"server":"tcp:127.0.0.1:{attacker.port}"' in line
                                   and '"fault":"refused"' in line)
    assert attacker.heard == [b"".join(told for _, told in server)]
