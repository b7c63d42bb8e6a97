"""Sockets that a service manager has opened: the proxy uses them, and between two of its lives they stay open."""

import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Iterator

import pytest

from harness.daemon import Daemon
from harness.hello import client_hello
from harness.process import Child
from harness.programs import program, sanitized_proxy
from harness.proxy import parse_listener
from harness.scripted import FLIGHT, continue_after_hello, converse, finish
from harness.settings import Listener, Settings, to_server
from harness.sockets import TcpServer, connect, unused_port
from harness.wait import wait_until
from harness.wire import WireClient

ACTIVATE = Path(__file__).with_name("harness") / "activate.py"


class Manager:
    """Keeps a TCP and a UDP socket on one port, and starts daemons with them."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self._folder = folder
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sockets: list[socket.socket] = []
        self._daemons: list[Daemon] = []
        tcp = self.open(socket.SOCK_STREAM, (host, 0))
        self.port: int = tcp.getsockname()[1]
        self.open(socket.SOCK_DGRAM, (host, self.port))

    def open(self, kind: socket.SocketKind, address: tuple[str, int]) -> socket.socket:
        """As systemd does by default: both families where it can."""
        opened = socket.socket(self._family, kind)
        if self._family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        opened.bind(address)
        if kind == socket.SOCK_STREAM:
            opened.listen(1024)
        self.sockets.append(opened)
        return opened

    def start(self, settings: Settings, listeners: int | None = None) -> Daemon:
        fds = [opened.fileno() for opened in self.sockets]
        folder = self._folder / str(len(self._daemons))
        folder.mkdir()
        wrapper = [sys.executable, str(ACTIVATE), *map(str, fds), "--"]
        self._daemons.append(Daemon(folder, settings.text(), wrapper=wrapper, pass_fds=fds,
                                    listeners=listeners))
        return self._daemons[-1]

    def close(self) -> None:
        for daemon in self._daemons:
            daemon.stop()
        for opened in self.sockets:
            opened.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    started = Manager(tmp_path)
    yield started
    started.close()


def settings(manager: Manager, server: TcpServer, *more: Listener, drain_timeout_s: float = 30) -> Settings:
    main = Listener(f"127.0.0.1:{manager.port}")
    return Settings([main, *more], {"server": to_server(server.port)}, drain_timeout_s)


def assert_turbo_works(edge: Daemon) -> None:
    with WireClient(edge) as client:
        client.send_hello()
        assert client.receive_stream(len(FLIGHT)) == FLIGHT
        with client.join(b"as ever") as tcp:
            assert finish(tcp) == b"as ever"


def test_what_came_before_the_start_is_served(manager: Manager, server: TcpServer) -> None:
    """A connection and datagrams that wait in the kernel."""
    parsed = parse_listener(f"listening turbo:127.0.0.1:{manager.port},udp={manager.port}")
    with connect(manager.port) as early, WireClient(parsed) as client:
        client.send_hello()
        edge = manager.start(settings(manager, server))
        assert edge.listeners == [parsed]
        assert client.receive_stream(len(FLIGHT)) == FLIGHT
        with client.join(b"early") as tcp:
            assert finish(tcp) == b"early"
        early.sendall(client_hello())
        continue_after_hello(early, b"earlier still")


def test_systemd_activates_it(server: TcpServer) -> None:
    """systemd's own tool opens the sockets, the one for UDP first, and waits for a client of each."""
    port = unused_port()
    activate = program("systemd-socket-activate", "systemd")
    address = f"127.0.0.1:{port}"
    with Child([activate, "-d", "-l", address, activate, "-l", address, sanitized_proxy(),
                "--listen", f"turbo:{address}", "--upstream", f"tcp:127.0.0.1:{server.port}"]) as child:
        child.stderr.wait_for(lambda line: "Listening on" in line)
        parsed = parse_listener(f"listening turbo:{address},udp={port}")
        with WireClient(parsed) as client:
            client.send_hello()
            child.stderr.wait_for(lambda line: "Listening on" in line, 2)
            with connect(port):
                assert client.receive_stream(len(FLIGHT)) == FLIGHT
            with client.join(b"activated") as tcp:
                assert finish(tcp) == b"activated"
        child.stdout.wait_for(lambda line: line == f"listening turbo:{address},udp={port}")


def test_both_families_are_one_socket(tmp_path: Path, server: TcpServer) -> None:
    manager = Manager(tmp_path, "::")
    try:
        edge = manager.start(Settings([Listener(f"*:{manager.port}")], {"server": to_server(server.port)}))
        assert edge.listeners[0].host == "*"
        for host in ("127.0.0.1", "::1"):
            converse(manager.port, host=host)
            with WireClient(edge, host=host) as client:
                client.send_hello()
                assert client.receive_stream(len(FLIGHT)) == FLIGHT
                client.join().close()
    finally:
        manager.close()


def test_a_restart_refuses_nobody(manager: Manager, server: TcpServer) -> None:
    """Clients come all the time, and for a while there is no process at all."""
    stopped = threading.Event()
    served: list[int] = []
    failed: list[Exception] = []

    def visit() -> None:
        while not stopped.is_set():
            try:
                converse(manager.port)
            except (OSError, AssertionError) as problem:
                failed.append(problem)
            served.append(1)

    visitors = [threading.Thread(target=visit) for _ in range(4)]
    first = manager.start(settings(manager, server))
    for visitor in visitors:
        visitor.start()
    try:
        wait_until("clients are served", lambda: len(served) > 20)
        for _ in range(3):
            with WireClient(first) as waiting:  # is pending when SIGTERM comes
                waiting.send_hello()
                waiting.receive_stream(len(FLIGHT))
                first.signal(signal.SIGTERM)
                before = len(served)
                wait_until("others are served meanwhile", lambda: len(served) > before + 10)
                with waiting.join(b"in time") as tcp:
                    assert finish(tcp) == b"in time"
            assert first.wait() == 0
            waiting_now = [connect(manager.port) for _ in range(3)]
            first = manager.start(settings(manager, server))
            for connection in waiting_now:
                connection.close()
            before = len(served)
            wait_until("clients are served again", lambda: len(served) > before + 20)
    finally:
        stopped.set()
        for visitor in visitors:
            visitor.join()
    assert_turbo_works(first)
    assert not failed


def test_a_second_signal_does_not_wait_for_what_is_pending(manager: Manager, server: TcpServer) -> None:
    edge = manager.start(settings(manager, server))
    with WireClient(edge) as pending:
        pending.send_hello()
        pending.receive_stream(len(FLIGHT))
        edge.signal(signal.SIGTERM)
        edge.signal(signal.SIGINT)
        assert edge.wait(4) == 0


def test_a_new_binary_gets_them_as_well(manager: Manager, server: TcpServer) -> None:
    edge = manager.start(settings(manager, server))
    edge.replace()
    assert_turbo_works(edge)


def test_what_no_listener_wants_is_told(manager: Manager, server: TcpServer) -> None:
    extra = manager.open(socket.SOCK_STREAM, ("127.0.0.1", 0))
    edge = manager.start(settings(manager, server))
    told = edge.wait_for("an inherited socket is wanted by no listener")
    assert [entry["address"] for entry in told] == [f"127.0.0.1:{extra.getsockname()[1]}"]
    assert_turbo_works(edge)


def test_what_is_missing_among_them_is_opened(manager: Manager, server: TcpServer) -> None:
    other = Listener(f"127.0.0.1:{unused_port()}", "TCP")
    manager.start(settings(manager, server, other))
    converse(int(other.address.rpartition(":")[2]))


def test_a_socket_of_another_kind_keeps_it_from_starting(tmp_path: Path, server: TcpServer) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as unix:
        unix.bind(str(tmp_path / "socket"))
        unix.listen()
        argv = [sys.executable, ACTIVATE, str(unix.fileno()), "--", sanitized_proxy(), "--listen", "tcp:127.0.0.1:0",
                "--upstream", f"tcp:127.0.0.1:{server.port}"]
        with Child(argv, pass_fds=[unix.fileno()]) as child:
            assert child.wait() == 1
            assert "inherited socket 3: it is neither IPv4 nor IPv6" in child.stderr.text()
