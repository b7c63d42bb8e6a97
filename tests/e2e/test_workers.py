"""Several workers in one process: who accepts a connection, and who has its session, makes no difference to anybody."""

import ctypes
import os
import re
import signal
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.activate import __file__ as ACTIVATE
from harness.admin import Admin
from harness.daemon import READY, REPLACED, Daemon
from harness.hello import client_hello, read_exactly
from harness.pki import SERVER_NAME, Pki
from harness.programs import release_proxy
from harness.proxied import End, header_v2
from harness.proxy import Proxies, Proxy
from harness.sandwich import Client as SandwichClient
from harness.scripted import FLIGHT, continue_after_hello, converse, echo, finish, flight_then_echo
from harness.settings import Listener, Settings, to_server
from harness.sockets import TcpServer, connect, is_reset, unused_port, wait_until_taken
from harness.wait import wait_until
from harness.wire import REFUSED, WireClient, random_id, tombstone

ROUNDS = 12
"""Of a thing that any of the workers may do: that all of them were done by one has a chance below 1 in 1000."""
AT_ONCE = 300
PENDING_AT_ONCE = 30
SYS_TGKILL = 234

Start = Callable[..., Daemon]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Daemon] = []

    def start_one(settings: Settings, **arguments: object) -> Daemon:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Daemon(folder, settings.text(), **arguments))
        return started[-1]

    yield start_one
    for daemon in reversed(started):
        daemon.stop()


def edge_of(proxies: Proxies, server: TcpServer, workers: int, *options: str, **arguments: object) -> Proxy:
    return proxies.edge(server.port, options=["--workers", str(workers), *options], **arguments)


def begun(edge: Proxy | Daemon, stack: ExitStack, **arguments: object) -> WireClient:
    """A session that waits for TCP."""
    client = stack.enter_context(WireClient(edge, **arguments))
    client.send_hello()
    assert client.receive_stream(len(FLIGHT)) == FLIGHT
    return client


def joins(client: WireClient, flags: int = 1) -> None:
    with client.join(b"joined", flags=flags) as tcp:
        assert finish(tcp) == b"joined"


def answered(edge: Proxy | Daemon, stack: ExitStack, count: int) -> list[socket.socket]:
    """Classic connections that have had the server's flight."""
    clients = [stack.enter_context(connect(edge.port)) for _ in range(count)]
    for tcp in clients:
        tcp.sendall(client_hello())
        assert read_exactly(tcp, len(FLIGHT)) == FLIGHT
    return clients


# ---- who has the session ----

@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_whoever_accepts_sessions_are_joined(proxies: Proxies, server: TcpServer, stack: ExitStack, workers: int) -> None:
    edge = edge_of(proxies, server, workers)
    clients = [begun(edge, stack) for _ in range(ROUNDS)]
    drafts = [begun(edge, stack, session=random_id()) for _ in range(ROUNDS)]
    for client, draft in zip(clients, drafts):
        joins(draft, flags=0)
        joins(client)
        converse(edge.port)
    records = Counter(record["outcome"] for record in edge.wait_for_records(3 * ROUNDS))
    assert records == {"turbo": 2 * ROUNDS, "classic": ROUNDS}
    assert server.accepted == 3 * ROUNDS


@pytest.mark.parametrize("workers", [2, 8])
def test_unmarked_ids_are_found(proxies: Proxies, server: TcpServer, stack: ExitStack, workers: int) -> None:
    """The draft lets a client draw all of its bits: only their worker knows them."""
    edge = edge_of(proxies, server, workers)
    ids = [bytes([first, second]) + os.urandom(10) for first in (0, 0x47, 0xFF) for second in range(8)]
    for session in ids:
        joins(begun(edge, stack, session=session), flags=0)
    assert edge.outcomes(len(ids)) == {"turbo"}


@pytest.mark.parametrize("workers", [2, 3])
def test_a_classic_opening_adopts_the_session_of_its_hello(proxies: Proxies, server: TcpServer, stack: ExitStack,
                                                           workers: int) -> None:
    edge = edge_of(proxies, server, workers)
    for count in range(1, ROUNDS + 1):
        client = begun(edge, stack)
        with connect(edge.port) as tcp:
            tcp.sendall(client.hello + b"x")
            assert finish(tcp) == FLIGHT + b"x"
        assert server.accepted == count


@pytest.mark.parametrize("workers", [2, 3])
def test_what_nobody_has_is_refused_or_starts_afresh(proxies: Proxies, server: TcpServer, workers: int) -> None:
    edge = edge_of(proxies, server, workers)
    for _ in range(ROUNDS):
        with WireClient(edge) as client, client.join(consumed=1) as tcp:
            assert is_reset(tcp)
        with WireClient(edge, session=random_id()) as draft, draft.join(consumed=0, flags=0) as tcp:
            assert is_reset(tcp)
        with WireClient(edge) as client, client.join(b"x", consumed=0) as tcp:
            assert finish(tcp) == FLIGHT + b"x"
    assert server.accepted == ROUNDS


@pytest.mark.parametrize("workers", [2, 3])
def test_sandwich_sessions_are_joined(proxies: Proxies, pki: Pki, workers: int) -> None:
    context = pki.server_context()

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.sendall(read_exactly(tls, 4))

    with TcpServer(serve) as server:
        edge = edge_of(proxies, server, workers, listen="turbo:127.0.0.1:0,dialect=sandwich")
        for _ in range(ROUNDS):
            with SandwichClient(pki.client_context(), edge.port, udp_port=edge.udp_port, server_name=SERVER_NAME) as client:
                client.sendall(b"word")
                assert read_exactly(client, 4) == b"word"
        assert edge.outcomes(ROUNDS) == {"turbo"}


# ---- openings that come in parts ----

def send_in_parts(tcp: socket.socket, *parts: bytes) -> None:
    for part in parts[:-1]:
        tcp.sendall(part)
        wait_until_taken(tcp)
    tcp.sendall(parts[-1])


@pytest.mark.parametrize("workers", [2, 3])
def test_a_tombstone_may_be_cut_anywhere(proxies: Proxies, server: TcpServer, stack: ExitStack, workers: int) -> None:
    edge = edge_of(proxies, server, workers)
    for cut in [*range(1, 24), 100, 400] + 3 * [1, 2]:
        client = begun(edge, stack)
        opening = tombstone(client.session, client.consumed()) + client.hello + b"joined"
        with connect(edge.port) as tcp:
            send_in_parts(tcp, opening[:cut], opening[cut:])
            assert finish(tcp) == b"joined", f"cut at {cut}"


def test_a_hello_may_be_cut_anywhere(proxies: Proxies, server: TcpServer, stack: ExitStack) -> None:
    edge = edge_of(proxies, server, 3)
    length = len(client_hello())
    for count, cut in enumerate([*range(1, 12), *range(12, length, 40), length - 1], 1):
        client = begun(edge, stack)
        with connect(edge.port) as tcp:
            send_in_parts(tcp, client.hello[:cut], client.hello[cut:])
            assert finish(tcp) == FLIGHT, f"cut at {cut}"
        assert server.accepted == count, "each adopts its session"


def test_openings_come_a_byte_at_a_time(proxies: Proxies, server: TcpServer, stack: ExitStack) -> None:
    edge = edge_of(proxies, server, 3)
    for _ in range(4):
        client = begun(edge, stack)
        opening = tombstone(client.session, client.consumed()) + client.hello
        with connect(edge.port) as tcp:
            send_in_parts(tcp, *(bytes([byte]) for byte in opening[:40]), opening[40:])
            assert finish(tcp) == b""
    assert edge.outcomes(4) == {"turbo"}


def test_a_single_byte_that_is_no_tls_goes_on(proxies: Proxies) -> None:
    """As with one worker: nobody waits for a second one."""
    with TcpServer(echo) as server:
        edge = edge_of(proxies, server, 3)
        for _ in range(4):
            with connect(edge.port) as tcp:
                tcp.sendall(b"\n")
                assert tcp.recv(1) == b"\n"


def test_words_that_are_no_tls_come_in_parts(proxies: Proxies, stack: ExitStack) -> None:
    with TcpServer(echo) as server:
        edge = edge_of(proxies, server, 3)
        for _ in range(ROUNDS):
            with connect(edge.port) as tcp:
                send_in_parts(tcp, b"H", b"E", b"LO there")
                assert finish(tcp) == b"HELO there"


def test_who_is_silent_first_joins_too(proxies: Proxies, server: TcpServer, stack: ExitStack) -> None:
    """Whoever has accepted it has connected to the server meanwhile, which may have wanted to speak first."""
    edge = edge_of(proxies, server, 3, "--sniff-timeout", "0.01")
    for number in range(1, ROUNDS + 1):
        with connect(edge.port) as tcp:
            wait_until("the server is tried", lambda: server.accepted >= 2 * number - 1)
            client = begun(edge, stack)
            tcp.sendall(tombstone(client.session, client.consumed()) + client.hello + b"joined")
            assert finish(tcp) == b"joined"
    assert edge.outcomes(ROUNDS) == {"turbo"}


@pytest.mark.parametrize("words", [b"late", client_hello()], ids=["plain", "tls"])
def test_who_is_silent_first_keeps_the_connection_that_was_tried(proxies: Proxies, words: bytes) -> None:
    """No session waits that it may belong to, so there is no reason to begin anew elsewhere."""
    with TcpServer(echo) as server:
        edge = edge_of(proxies, server, 3, "--sniff-timeout", "0.01")
        for number in range(1, ROUNDS + 1):
            with connect(edge.port) as tcp:
                wait_until("the server is tried", lambda: server.accepted == number)
                tcp.sendall(words)
                assert finish(tcp) == words
            assert server.result() == words
        assert server.accepted == ROUNDS


# ---- behind somebody in front ----

def test_who_comes_through_a_balancer_joins_as_well(proxies: Proxies, server: TcpServer, stack: ExitStack,
                                                    tmp_path: Path) -> None:
    """The header is read where it is accepted; what follows goes where the session is, and remembers the client."""
    edge = proxies.configured(tmp_path, f"""
        listener {{ protocol: TURBO address: "127.0.0.1:0" proxy_protocol_from: "127.0.0.0/8" route {{ upstream: "s" }} }}
        upstream {{ name: "s" server {{ address: "127.0.0.1:{server.port}" }} }}
        process {{ workers: 3 }}
    """)
    for number in range(1, ROUNDS + 1):
        client = begun(edge, stack)
        header = header_v2(End("192.0.2.9", number), End("192.0.2.1", 443))
        with connect(edge.port) as tcp:
            tcp.sendall(header + tombstone(client.session, client.consumed()) + client.hello + b"x")
            assert finish(tcp) == b"x"
        with connect(edge.port) as tcp:
            tcp.sendall(header)
            wait_until_taken(tcp)
            tcp.sendall(client_hello())
            continue_after_hello(tcp, b"classic")
    records = edge.wait_for_records(2 * ROUNDS)
    assert {record["client"] for record in records if record["outcome"] == "classic"} == {
        f"192.0.2.9:{number}" for number in range(1, ROUNDS + 1)}


# ---- many ----

def test_many_at_once_and_none_is_lost(proxies: Proxies, server: TcpServer, stack: ExitStack) -> None:
    """So many sessions at a time as may wait for a stranger's TCP, wherever their ids lead."""
    edge = edge_of(proxies, server, 3, "--source-rate", "100000", "--session-rate", "100000")
    with ThreadPoolExecutor(PENDING_AT_ONCE) as pool:
        for _ in range(AT_ONCE // PENDING_AT_ONCE // 2):
            clients = [begun(edge, stack) for _ in range(PENDING_AT_ONCE)]
            classic = [pool.submit(converse, edge.port) for _ in range(PENDING_AT_ONCE)]
            list(pool.map(joins, clients))
            for visit in classic:
                visit.result()
    assert Counter(record["outcome"] for record in edge.wait_for_records(AT_ONCE)) == {
        "turbo": AT_ONCE // 2, "classic": AT_ONCE // 2}


def watched(pid: int) -> list[int]:
    """How many descriptors each of the process's event loops waits for."""
    folder = Path(f"/proc/{pid}/fdinfo")
    texts = [path.read_text() for path in folder.iterdir()]
    return sorted(text.count("tfd:") for text in texts if "tfd:" in text)


def test_connections_are_divided_among_the_workers(proxies: Proxies, stack: ExitStack) -> None:
    with TcpServer(echo) as server:
        proxy = proxies.plain(server.port, options=["--workers", "4"])
        before = wait_until("all of them wait", lambda: len(found := watched(proxy.pid)) == 4 and found)
        for client in [stack.enter_context(connect(proxy.port)) for _ in range(200)]:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        # Each has two descriptors. A quarter is 50: less than 15 has a chance below one in a million million.
        assert watched(proxy.pid)[0] > before[-1] + 2 * 15


# ---- limits that all share ----

def limited(proxies: Proxies, server: TcpServer, folder: Path, protocol: str, limit: int, workers: int) -> Proxy:
    return proxies.configured(folder, f"""
        listener {{ protocol: {protocol} address: "127.0.0.1:0" max_connections: {limit} route {{ upstream: "s" }} }}
        upstream {{ name: "s" server {{ address: "127.0.0.1:{server.port}" }} }}
        process {{ workers: {workers} }}
    """)


@pytest.mark.parametrize("protocol", ["TCP", "TURBO"])
def test_a_listener_has_no_more_connections_than_it_may(proxies: Proxies, server: TcpServer, tmp_path: Path,
                                                        protocol: str) -> None:
    limit = 5
    edge = limited(proxies, server, tmp_path, protocol, limit, 8)

    def is_served(opened: ExitStack) -> bool:
        with suppress(ConnectionError):
            tcp = opened.enter_context(connect(edge.port))
            tcp.sendall(client_hello())
            return tcp.recv(1) != b""
        return False

    for number in range(1, 9):
        with ExitStack() as opened, ThreadPoolExecutor(40) as pool:
            assert sum(pool.map(is_served, 40 * [opened])) == limit
        edge.wait_for_records(40 * number)


def test_a_session_is_joined_where_there_is_no_more_room(proxies: Proxies, server: TcpServer, stack: ExitStack,
                                                         tmp_path: Path) -> None:
    """It has its place already."""
    edge = limited(proxies, server, tmp_path, "TURBO", 1, 3)
    for count in range(1, 4 * ROUNDS):
        with WireClient(edge) as client:
            client.send_hello()
            client.receive_stream(1)
            client.receive_stream(len(FLIGHT))
            joins(client)
        assert len(edge.wait_for_records(count)) == count
    assert edge.outcomes() == {"turbo"}


def test_with_few_files_everybody_has_a_turn(proxies: Proxies) -> None:
    with TcpServer(echo) as server:
        proxy = proxies.plain(server.port, open_files=250, options=["--workers", "3"])
        clients = [connect(proxy.port) for _ in range(250)]
        for client in clients:
            client.sendall(b"x")
        proxy.stderr.wait_for(lambda line: "open files" in line or "descriptors" in line)
        with ThreadPoolExecutor(len(clients)) as all_of_them:  # in what order they are taken, nobody knows
            assert list(all_of_them.map(finish, clients)) == [b"x"] * len(clients)
        for client in clients:
            client.close()


# ---- changes ----

def settings_of(server_port: int, workers: int, port: int = 0, **more: object) -> Settings:
    return Settings([Listener(f"127.0.0.1:{port or unused_port()}")], {"server": to_server(server_port)},
                    more=f"process {{ workers: {workers} }}\n", **more)


def test_a_reload_is_in_force_everywhere_at_once(start: Start, server: TcpServer, stack: ExitStack) -> None:
    port = unused_port()
    edge = start(settings_of(server.port, 3, port))
    with TcpServer(flight_then_echo) as other:
        for number in range(6):
            now = (server, other)[number % 2]
            assert edge.reload(settings_of(now.port, 3, port).text())
            pending = [begun(edge, stack) for _ in range(6)]
            before = now.accepted
            for _ in range(ROUNDS):
                converse(edge.port)
            assert now.accepted == before + ROUNDS
            assert edge.reload(settings_of((other, server)[number % 2].port, 3, port).text())
            for client in pending:
                joins(client)


@pytest.mark.parametrize("then", ["nobody", "another"])
def test_a_listener_that_goes_finishes_what_is_pending(start: Start, server: TcpServer, stack: ExitStack, then: str) -> None:
    settings = settings_of(server.port, 3)
    goes, stays = settings.listeners[0], Listener("127.0.0.2:0")
    edge = start(settings.with_listeners(goes, stays))
    pending = [begun(edge, stack) for _ in range(ROUNDS)]
    heirs = [Listener(goes.address, "TCP")] if then == "another" else []
    assert edge.reload(settings.with_listeners(stays, *heirs).text())
    for client in pending:
        joins(client)
    for _ in range(ROUNDS if heirs else 0):
        converse(edge.port)
    assert sum(entry["outcome"] == "turbo" for entry in edge.wait_for("connection", ROUNDS)) == ROUNDS


def test_all_of_it_at_once(start: Start, server: TcpServer, stack: ExitStack) -> None:
    """Sessions, classic connections, junk, reloads, questions to the administration, and a new process."""
    port = unused_port()
    settings = settings_of(server.port, 3, port)
    settings = replace(settings, more=settings.more + 'admin { address: "127.0.0.1:0" }\n', listeners=[
        replace(settings.listeners[0], more="source_rate: 100000 session_rate: 100000")])
    edge = start(settings)
    done = threading.Event()

    def junk() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            while not done.is_set():
                udp.sendto(os.urandom(40), ("127.0.0.1", port))

    def ask() -> None:
        while not done.is_set():
            with suppress(ConnectionError, HTTPException):
                Admin(edge).metrics()
                Admin(edge).status()

    def visit(number: int) -> None:
        with WireClient(edge) as client:
            if number % 3:
                client.send_hello()
            if not number % 3 or client.receive().flags & REFUSED:  # as while the next process waits
                converse(edge.port, hello=client.hello)
                return
            assert client.receive_stream(len(FLIGHT)) == FLIGHT
            joins(client)

    with ThreadPoolExecutor(12) as pool:
        others = [pool.submit(each) for each in (junk, ask)]
        try:
            visits = [pool.submit(visit, number) for number in range(AT_ONCE)]
            for number in range(1, 10):
                wait_until("some are done", lambda: sum(each.done() for each in visits) >= number * AT_ONCE // 12)
                other = Listener("127.0.0.2:0", ("TURBO", "TCP")[number % 2])
                assert edge.reload(settings.with_listeners(*settings.listeners, *[other][:number % 3]).text())
                if number in (4, 7):
                    edge.replace()
            for each in visits:
                each.result()
        finally:
            done.set()
        for each in others:
            each.result()


@pytest.mark.parametrize("then", [2, 1, 3, 5])
def test_a_new_process_may_have_another_number_of_workers(start: Start, server: TcpServer, stack: ExitStack,
                                                          then: int) -> None:
    port = unused_port()
    edge = start(settings_of(server.port, 2, port))
    for workers in (then, then, 2):
        pending = [begun(edge, stack) for _ in range(ROUNDS)]
        edge.write_config(settings_of(server.port, workers, port).text())
        edge.answer(lambda: edge.signal(signal.SIGUSR2), READY)
        for client in pending:
            joins(client)
        edge.pids.append(edge.wait_for(REPLACED, len(edge.pids))[-1]["pid"])
        for _ in range(ROUNDS):
            joins(begun(edge, stack))
            converse(edge.port)
    assert {record["outcome"] for record in edge.entries("connection")} == {"turbo", "classic"}


@pytest.mark.parametrize("sockets", [1, 3])
def test_a_service_manager_may_have_opened_one_socket_or_several(start: Start, server: TcpServer, stack: ExitStack,
                                                                 sockets: int) -> None:
    port = unused_port()
    opened = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        for _ in range(sockets):
            each = stack.enter_context(socket.socket(socket.AF_INET, kind))
            if sockets > 1:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            each.bind(("127.0.0.1", port))
            if kind == socket.SOCK_STREAM:
                each.listen(1024)
            opened.append(each.fileno())
    wrapper = ["python3", ACTIVATE, *map(str, opened), "--"]
    edge = start(settings_of(server.port, 2, port), wrapper=wrapper, pass_fds=opened)
    for _ in range(2):
        for _ in range(2 * ROUNDS):
            joins(begun(edge, stack))
            converse(edge.port)
        edge.replace()
    assert len(edge.entries("connection")) == 8 * ROUNDS
    assert sum(entry["outcome"] == "turbo" for entry in edge.entries("connection")) == 4 * ROUNDS


# ---- the end ----

def test_a_drain_lets_connections_of_all_workers_finish(proxies: Proxies, server: TcpServer, stack: ExitStack) -> None:
    edge = edge_of(proxies, server, 3, drain_timeout_s=1000)
    pending = [begun(edge, stack) for _ in range(ROUNDS)]
    open_ones = answered(edge, stack, ROUNDS)
    edge.signal(signal.SIGTERM)
    edge.stderr.wait_for(lambda line: "stopping" in line)
    for client in pending:
        joins(client)
    for tcp in open_ones:
        assert edge.exit_code is None
        assert finish(tcp) == b""
    assert edge.wait() == 0
    assert edge.stderr.matching(lambda line: "cut off" in line) == []


def test_a_second_signal_ends_all_workers_at_once(proxies: Proxies, server: TcpServer, stack: ExitStack) -> None:
    edge = edge_of(proxies, server, 3, drain_timeout_s=1000)
    answered(edge, stack, ROUNDS)
    edge.signal(signal.SIGTERM)
    edge.stderr.wait_for(lambda line: "stopping" in line)
    edge.signal(signal.SIGTERM)
    assert edge.wait() == 0
    assert len(edge.records()) == ROUNDS


# ---- the process ----

@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_every_thread_is_confined(proxies: Proxies, server: TcpServer, tmp_path: Path) -> None:
    proxy = proxies.configured(tmp_path, f"""
        listener {{ protocol: TURBO address: "127.0.0.1:0" route {{ upstream: "s" }} }}
        upstream {{ name: "s" server {{ address: "127.0.0.1:{server.port}" }} }}
        process {{ workers: 3 user: "nobody" }}
    """, binary=release_proxy())
    for _ in range(ROUNDS):
        converse(proxy.port)
    texts = [path.read_text() for path in Path(f"/proc/{proxy.pid}/task").glob("*/status")]
    assert len(texts) == 3
    of_each = {tuple(re.findall(r"^(?:Uid|Gid|Cap\w+|NoNewPrivs|Seccomp|Groups):.*$", text, re.M)) for text in texts}
    assert len(of_each) == 1 and "Uid:\t0" not in of_each.pop()[0]


def test_a_worker_that_crashes_ends_the_process(proxies: Proxies, server: TcpServer) -> None:
    """By its signal, so that a service manager starts it anew; no worker is missing in silence."""
    proxy = edge_of(proxies, server, 3, binary=release_proxy())
    converse(proxy.port)
    threads = sorted(int(name) for name in os.listdir(f"/proc/{proxy.pid}/task"))
    ctypes.CDLL(None).syscall(SYS_TGKILL, proxy.pid, threads[-1], signal.SIGSEGV)
    proxies.has_died(proxy)
    assert proxy.exit_code == -signal.SIGSEGV
