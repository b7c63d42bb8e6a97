"""What docs/migration.md says of every mixture of clients and servers, as data, and the conversations that try it.

Run as a program it is both ends of what tests/lab/migration.sh measures; see main.
"""

import argparse
import json
import os
import socket
import ssl
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from . import native, sandwich
from .hello import read_exactly
from .sockets import TcpServer, connect

CLIENTS = {"plain": "plain TLS", "sidecar": "plain TLS through a sidecar", "native": "native TurboTLS", "sandwich": "Sandwich"}
SERVERS = {"plain": "plain TLS", "edge": "plain TLS behind an edge", "native": "native TurboTLS", "sandwich": "Sandwich"}
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
SERVER_NAME = "example.test"
GREETING = b"welcome, whoever you are\n"
SILENT_S = 1
"""How long a client waits for words that cannot come."""

_STEP = 1 << 16
_SMALL, _MUCH = 1200, 200_000


# ---- what there is ----

@dataclass(frozen=True)
class Scenario:
    title: str
    site: str = "ordinary"
    versions: tuple[str, ...] = ("1.2", "1.3")
    size: int = _SMALL
    """Bytes each way."""
    certificate: bool = False
    resume: bool = False
    greeted: bool = False
    """The server speaks first, and the client listens until it has."""


SCENARIOS = {
    "1.2": Scenario("TLS 1.2", versions=("1.2",)),
    "1.3": Scenario("TLS 1.3", versions=("1.3",)),
    "retry": Scenario("another ClientHello", site="retry", versions=("1.3",)),
    "certificate": Scenario("client certificate", site="mutual", certificate=True),
    "resume": Scenario("resumption", resume=True),
    "chain": Scenario("10 certificates", site="chain"),
    "much": Scenario("200 kB each way", size=_MUCH),
    "greeted": Scenario("server first", site="greeting", greeted=True),
}
SITES = ("ordinary", "retry", "mutual", "chain", "greeting")
"""The ways in which a server is set up: SCENARIOS' sites."""

LOSS = "5 % loss"


@dataclass(frozen=True)
class Cell:
    """A client, a server, and what there is between them."""

    client: str
    server: str
    way: str
    turbo: bool
    """The first flights go by UDP all the way that is far: a round trip less."""

    def trips(self, version: str) -> tuple[int, int]:
        """Round trips from the client's first packet until its first bytes are sent, and are answered."""
        sent = 2 - self.turbo + (version == "1.2")
        return sent, sent + 1

    def note(self, column: str) -> int | None:
        """Why it cannot work; a key of NOTES."""
        if column == "greeted" and self.client == "sandwich":
            return LISTENS
        if column != LOSS:
            return None
        if self.client == "plain" or (self.client, self.server) == ("sandwich", "plain"):
            return NO_UDP
        if self.client == "sandwich":
            return HANGS
        return BEGINS_ANEW if self.server == "sandwich" else None


LISTENS, HANGS, BEGINS_ANEW, NO_UDP = 1, 2, 3, 4
NOTES = {
    LISTENS: "A Sandwich client says nothing on TCP before it has something to write, and a server's words travel on TCP: a client "
             "that only listens hears nothing. Once it has written anything it is told everything.",
    HANGS: "A Sandwich client sends no datagram twice, and waits for a lost one for ever: whoever answers it cannot help. Where UDP "
           "loses packets put a proxy on the client's machine (Sandwich, plain TLS).",
    BEGINS_ANEW: "A Sandwich server sends no datagram twice. A sidecar or native client that misses one begins anew, twice at most; "
                 "then the connection ends, at once and with the reason.",
    NO_UDP: "There is no UDP on the way from the one's machine to the other's.",
}
_MARKS = {LISTENS: "no", HANGS: "no", BEGINS_ANEW: "mostly", NO_UDP: "–"}

_HOP_AT_SERVER = "a proxy beside the server turns everything into the dialect"
_CELLS = (
    Cell("plain", "plain", "directly", False),
    Cell("plain", "edge", "directly: the edge takes plain TLS as well", False),
    Cell("plain", "native", "directly: the server takes plain TLS as well", False),
    Cell("plain", "sandwich", _HOP_AT_SERVER, False),
    Cell("sidecar", "plain", "the sidecar, which finds no TurboTLS", False),
    Cell("sidecar", "edge", "sidecar and edge", True),
    Cell("sidecar", "native", "the sidecar", True),
    Cell("sidecar", "sandwich", "the sidecar, with `dialect=sandwich`", True),
    Cell("native", "plain", "directly: the client finds no TurboTLS", False),
    Cell("native", "edge", "directly", True),
    Cell("native", "native", "directly", True),
    Cell("native", "sandwich", "directly, with `--dialect sandwich`", True),
    Cell("sandwich", "plain", "a proxy beside the client takes the dialect, and finds no TurboTLS", False),
    Cell("sandwich", "edge", "directly: the edge has `dialect=sandwich`", True),
    Cell("sandwich", "native", "directly: the server has `--dialect sandwich`", True),
    Cell("sandwich", "sandwich", "directly", True),
)
CELLS = {(cell.client, cell.server): cell for cell in _CELLS}


def tables() -> str:
    """What stands between the marks in docs/migration.md."""
    ways = [["client", "server", "what is between them", "TLS 1.3: sent / answered", "TLS 1.2: sent / answered"]]
    works = [["client", "server", *(scenario.title for scenario in SCENARIOS.values()), LOSS]]
    for cell in _CELLS:
        ends = [CLIENTS[cell.client], SERVERS[cell.server]]
        ways.append([*ends, cell.way, *("{} / {}".format(*cell.trips(version)) for version in ("1.3", "1.2"))])
        works.append([*ends, *(_mark(cell.note(column)) for column in (*SCENARIOS, LOSS))])
    notes = "".join(f"{number}. {words}\n" for number, words in NOTES.items())
    return "\n".join((_table(ways), _table(works), notes))


def _table(rows: list[list[str]]) -> str:
    head, *rest = rows
    return "".join("| " + " | ".join(row) + " |\n" for row in (head, ["---"] * len(head), *rest))


def _mark(note: int | None) -> str:
    return "yes" if note is None else f"{_MARKS[note]} ({note})"


# ---- servers ----

def contexts(server: Callable[[str], tuple[Path, Path]], ca: Path) -> dict[str, ssl.SSLContext]:
    """Of each site; `server` gives the certificates and the key of a kind (see pki.py)."""
    made = {}
    for site in SITES:
        context = made[site] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*server("long-chain" if site == "chain" else "ecdsa"))
    made["retry"].set_ecdh_curve(native.RETRY_GROUP)
    made["mutual"].verify_mode = ssl.CERT_REQUIRED
    made["mutual"].load_verify_locations(ca)
    return made


def serve(site: str, stream: Any) -> None:
    """Echoes, for whatever is used like a socket."""
    if site == "greeting":
        stream.sendall(GREETING)
    while data := stream.recv(_STEP):
        stream.sendall(data)


def plain_server(site: str, context: ssl.SSLContext, host: str = "127.0.0.1", port: int = 0) -> TcpServer:
    def handle(connection: socket.socket) -> None:
        try:
            with context.wrap_socket(connection, server_side=True) as tls:
                serve(site, tls)
                tls.unwrap()
        except OSError:
            pass  # the client tells whether it was content

    return TcpServer(handle, host=host, port=port)


def sandwich_server(site: str, context: ssl.SSLContext) -> sandwich.Server:
    def handle(session: sandwich.Session) -> None:
        serve(site, session)
        session.end()

    return sandwich.Server(context, handle)


# ---- clients ----

@dataclass
class Target:
    """Where a client connects to."""

    port: int
    host: str = "127.0.0.1"
    udp_port: int | None = None
    dialect: str = "profile1"
    always: bool = True
    """UDP also where TCP is up at once, as on loopback."""


@dataclass
class Visit:
    """How a connection went."""

    version: str
    resumed: bool
    resumption: Any = None
    outcome: str = ""
    """"turbo", "classic", …, where the client says so."""


@dataclass(frozen=True)
class Identity:
    """Whom clients trust, and who they are."""

    ca: Path
    certificate: Path
    key: Path

    def context(self, version: str, with_certificate: bool) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        context.minimum_version = context.maximum_version = VERSIONS[version]
        if with_certificate:
            context.load_cert_chain(self.certificate, self.key)
        return context


def converse(stream: Any, scenario: Scenario) -> None:
    """Says what the scenario wants and compares what comes back."""
    if scenario.greeted:
        assert read_exactly(stream, len(GREETING)) == GREETING
    question = os.urandom(scenario.size)
    for start in range(0, len(question), _STEP):
        step = question[start:start + _STEP]
        stream.sendall(step)
        assert read_exactly(stream, len(step)) == step, "the answer is not the question"


def plain_client(target: Target, context: ssl.SSLContext, scenario: Scenario, session: ssl.SSLSession | None) -> Visit:
    with context.wrap_socket(connect(target.port, target.host), server_hostname=SERVER_NAME, session=session) as tls:
        converse(tls, scenario)
        return Visit(tls.version() or "", bool(tls.session_reused), tls.session)


def sandwich_client(target: Target, context: ssl.SSLContext, scenario: Scenario, session: ssl.SSLSession | None) -> Visit:
    options = {"deadline_s": SILENT_S} if scenario.greeted else {}
    with sandwich.Client(context, target.port, target.host, udp_port=target.udp_port, server_name=SERVER_NAME,
                         session=session, **options) as client:
        converse(client, scenario)
        client.end()
        return Visit(client.tls.version() or "", bool(client.tls.session_reused), client.tls.session)


_IN_PYTHON = {"plain": plain_client, "sidecar": plain_client, "sandwich": sandwich_client}


def visit(client: str, target: Target, identity: Identity, scenario: Scenario, version: str) -> Visit:
    """One connection, or with `resume` two; the last one is told."""
    if client == "native":
        return Visit(**native.visit(target, identity, scenario, version, GREETING))
    context = identity.context(version, scenario.certificate)
    went = _IN_PYTHON[client](target, context, scenario, None)
    if scenario.resume:
        went = _IN_PYTHON[client](target, context, scenario, went.resumption)
    return went


def check(client: str, target: Target, identity: Identity, scenario: Scenario) -> None:
    """In all of its versions."""
    for version in scenario.versions:
        went = visit(client, target, identity, scenario, version)
        assert went.version == f"TLSv{version}", f"{went} instead of {version}"
        assert went.resumed is scenario.resume, f"{went}: resumed"


# ---- the lab's program ----

def _serve(options: argparse.Namespace) -> None:
    host, _, port = options.address.rpartition(":")
    context = contexts(lambda kind: (options.pki / f"{kind}.pem", options.pki / f"{kind}.key"), options.pki / "ca.pem")
    server = plain_server("ordinary", context["ordinary"], host, int(port))
    print("port", server.port, flush=True)
    server._thread.join()


def _measure(options: argparse.Namespace) -> None:
    """Rows "CLIENT SERVER HOST PORT UDP_PORT DIALECT VERSION NUMBER" become connections one after another, a line in JSON each.

    What was when is for whoever looks at the packets: seconds, as a capture has them.
    """
    identity = Identity(options.pki / "ca.pem", options.pki / "client.pem", options.pki / "client.key")
    for line in sys.stdin:
        client, server, host, port, udp_port, dialect, version, number = line.split()
        target = Target(int(port), host, int(udp_port), dialect, always=False)
        for _ in range(int(number)):
            row = {"client": client, "server": server, "version": version, "began": time.time()}
            try:
                visit(client, target, identity, SCENARIOS[version], version)
            except (OSError, EOFError, AssertionError) as problem:
                row["problem"] = f"{type(problem).__name__}: {problem}"
            print(json.dumps(row | {"ended": time.time()}), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="harness.migration")
    parser.add_argument("--pki", type=Path)
    parser.add_argument("what", choices=["serve", "measure"])
    parser.add_argument("address", nargs="?", help="serve: an echo by plain TLS at HOST:PORT")
    options = parser.parse_args()
    {"serve": _serve, "measure": _measure}[options.what](options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
