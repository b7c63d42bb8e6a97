"""SIGHUP: the new configuration is in force from then on, or the old one stays; connections are never touched."""

import itertools
import os
import signal
import socket
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.daemon import Daemon
from harness.hello import client_hello, read_exactly
from harness.proxy import Listener as ParsedListener, Proxies
from harness.scripted import FLIGHT, converse, finish, flight_then_echo
from harness.settings import Listener, Settings, to_server
from harness.sockets import TcpServer, connect, unused_port
from harness.wait import wait_until
from harness.wire import REFUSED, WireClient

Start = Callable[[Settings], Daemon]


@pytest.fixture
def server() -> Iterator[TcpServer]:
    """Whose clients may be cut off, as their proxy is."""
    with TcpServer(tolerant(flight_then_echo)) as started:
        yield started


def tolerant(handler: Callable[[socket.socket], object]) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        with suppress(ConnectionError, EOFError):
            handler(connection)
    return serve


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts one daemon, and sees to it that it ends well."""
    started: list[Daemon] = []

    def start_one(settings: Settings) -> Daemon:
        started.append(Daemon(tmp_path, settings.text()))
        return started[-1]

    yield start_one
    for daemon in started:
        daemon.stop()


def a_listener(protocol: str = "TURBO", **fields: object) -> Listener:
    return Listener(f"127.0.0.1:{unused_port()}", protocol, **fields)


def port_of(listener: Listener) -> int:
    return int(listener.address.rpartition(":")[2])


def refuses(listener: Listener) -> bool:
    try:
        connect(port_of(listener)).close()
    except ConnectionRefusedError:
        return True
    return False


def one_server(server: TcpServer, *listeners: Listener) -> Settings:
    return Settings(listeners, {"server": to_server(server.port)})


def begin(listener: Listener) -> socket.socket:
    """A connection that has got the server's flight."""
    connection = connect(port_of(listener))
    connection.sendall(client_hello())
    assert read_exactly(connection, len(FLIGHT)) == FLIGHT
    return connection


def assert_goes_on(connection: socket.socket) -> None:
    connection.sendall(b"still here")
    assert finish(connection) == b"still here"
    connection.close()


def ask(daemon: Daemon) -> WireClient:
    """A session at the first listener that has its flight, and waits for TCP."""
    client = WireClient(daemon)
    client.send_hello()
    assert client.receive_stream(len(FLIGHT)) == FLIGHT
    return client


def assert_joins(client: WireClient) -> None:
    with client, client.join(b"joined") as tcp:
        assert client.stream() + finish(tcp) == FLIGHT + b"joined"


# ---- listeners ----

def test_listeners_are_kept_added_and_dropped(start: Start, server: TcpServer) -> None:
    kept, dropped, added = a_listener(), a_listener(), a_listener("TCP")
    settings = one_server(server, kept, dropped)
    daemon = start(settings)
    connections = [begin(kept), begin(dropped)]
    assert refuses(added)
    assert daemon.reload(settings.with_listeners(added, kept).text())
    assert refuses(dropped)
    connections += [begin(added), begin(kept)]
    assert daemon.reload(settings.text())
    assert refuses(added)
    connections += [begin(dropped), begin(kept)]
    for connection in connections:
        assert_goes_on(connection)


def test_a_kept_listener_refuses_nobody(start: Start, server: TcpServer) -> None:
    kept, others = a_listener(), [a_listener() for _ in range(3)]
    settings = one_server(server, kept)
    daemon = start(settings)
    with Visitors(port_of(kept)) as visitors:
        for n in range(30):
            assert daemon.reload(settings.with_listeners(*others[:n % 4], kept).text())
            visitors.wait_for_more(2)


class Visitors:
    """Clients that come one after the other, all the time; none may fail."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._served = itertools.count()
        self._count = 0
        self._failed: list[Exception] = []
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._visit) for _ in range(3)]

    def _visit(self) -> None:
        while not self._stopped.is_set():
            try:
                converse(self._port)
            except (OSError, AssertionError) as problem:
                self._failed.append(problem)
            self._count = next(self._served)

    def wait_for_more(self, count: int) -> None:
        before = self._count
        wait_until(f"{count} more clients are served", lambda: self._count >= before + count)

    def __enter__(self) -> "Visitors":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        assert not self._failed, f"{len(self._failed)}, such as {self._failed[0]!r}"


@pytest.mark.parametrize("first, second", [("TCP", "TURBO"), ("TURBO", "TCP")])
def test_a_listener_may_change_its_protocol(start: Start, server: TcpServer, first: str, second: str) -> None:
    """On the same port, which is at no time closed."""
    before = a_listener(first)
    after = Listener(before.address, second)
    daemon = start(one_server(server, before))
    connection = begin(before)
    with Visitors(port_of(before)) as visitors:
        for listener in (after, before) * 5:
            assert daemon.reload(one_server(server, listener).text())
            visitors.wait_for_more(2)
    assert daemon.reload(one_server(server, after).text())
    daemon.listeners = daemon.listeners if first == "TURBO" else [turbo_at(after)]
    if second == "TURBO":
        assert_joins(ask(daemon))
    assert_goes_on(connection)


def turbo_at(listener: Listener, udp_port: int | None = None) -> ParsedListener:
    port = port_of(listener)
    return ParsedListener("turbo", "127.0.0.1", port, udp_port or port)


def test_the_udp_port_may_change(start: Start, server: TcpServer) -> None:
    before = a_listener()
    udp_port = unused_port()
    after = Listener(before.address, more=f"udp_port: {udp_port}")
    daemon = start(one_server(server, before))
    connection = begin(before)
    assert daemon.reload(one_server(server, after).text())
    daemon.listeners = [turbo_at(after, udp_port)]
    assert_joins(ask(daemon))
    converse(port_of(before))
    assert_goes_on(connection)


@pytest.mark.parametrize("protocol", ["TCP", "TURBO"])
def test_a_session_that_waits_for_tcp_can_be_joined_where_the_listener_changes(start: Start, server: TcpServer,
                                                                               protocol: str) -> None:
    """Meanwhile the listener serves everybody as it was, but for new sessions."""
    before, udp_port = a_listener(), unused_port()
    after = Listener(before.address, protocol, more=f"udp_port: {udp_port}" if protocol == "TURBO" else "")
    daemon = start(one_server(server, before))
    waiting = ask(daemon)
    assert daemon.reload(one_server(server, after).text())
    for _ in range(3):
        converse(port_of(before))
    assert_joins(waiting)
    converse(port_of(before))
    if protocol == "TURBO":
        daemon.listeners = [turbo_at(after, udp_port)]
        assert_joins(ask(daemon))


def test_a_session_that_waits_for_tcp_can_be_joined_at_a_kept_listener(start: Start, server: TcpServer) -> None:
    kept = a_listener()
    daemon = start(one_server(server, kept))
    waiting = ask(daemon)
    assert daemon.reload(one_server(server, kept, a_listener("TCP")).text())
    with ask(daemon) as new:
        assert_joins(waiting)
        assert_joins(new)


def test_a_session_that_waits_for_tcp_can_be_joined_at_a_dropped_listener(start: Start, server: TcpServer) -> None:
    dropped, other = a_listener(), a_listener("TCP")
    daemon = start(one_server(server, dropped))
    waiting = ask(daemon)
    assert daemon.reload(one_server(server, other).text())
    with WireClient(daemon) as late:
        late.send_hello()
        assert late.receive().flags & REFUSED
    assert_joins(waiting)
    wait_until("the dropped listener is closed", lambda: refuses(dropped))
    converse(port_of(other))


# ---- what cannot be ----

def test_a_bad_file_changes_nothing_and_every_mistake_is_told(start: Start, server: TcpServer) -> None:
    listener, new = a_listener(), a_listener()
    settings = one_server(server, listener)
    daemon = start(settings)
    bad = settings.with_listeners(new).text().replace("TURBO", "TURBID") + "drain_timeout_secs: 1\n"
    with begin(listener) as connection:
        assert not daemon.reload(bad)
        told = [entry["error"] for entry in daemon.entries("the configuration is not valid")]
        assert len(told) == 2
        assert f"{daemon.config}:2:13: listener[0].protocol" in told[0] and "TURBO" in told[0]
        assert f"{daemon.config}:{bad.count(chr(10))}:1: drain_timeout_secs" in told[1]
        assert refuses(new)
        converse(port_of(listener))
        assert_joins(ask(daemon))
        assert_goes_on(connection)
    assert daemon.reload(settings.text())


def test_a_file_that_is_gone_changes_nothing(start: Start, server: TcpServer) -> None:
    listener = a_listener()
    daemon = start(one_server(server, listener))
    daemon.config.unlink()
    daemon.answer(lambda: daemon.signal(signal.SIGHUP), "the configuration stays as it was")
    assert daemon.stderr.matching(lambda line: "No such file" in line and str(daemon.config) in line)
    converse(port_of(listener))


def test_a_port_that_is_taken_changes_nothing(start: Start, server: TcpServer) -> None:
    """Nor are the listeners opened that could be."""
    kept, dropped, added = a_listener(), a_listener(), a_listener()
    settings = one_server(server, kept, dropped)
    daemon = start(settings)
    with begin(dropped) as connection, socket.create_server(("127.0.0.1", 0)) as another:
        taken = Listener(f"127.0.0.1:{another.getsockname()[1]}", "TCP")
        assert not daemon.reload(settings.with_listeners(added, kept, taken).text())
        assert daemon.stderr.matching(lambda line: taken.address in line and "another server running" in line)
        assert refuses(added)
        converse(port_of(kept))
        converse(port_of(dropped))
        assert_goes_on(connection)


def test_a_udp_port_that_is_taken_changes_nothing(start: Start, server: TcpServer) -> None:
    listener = a_listener("TCP")
    daemon = start(one_server(server, listener))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", port_of(listener)))
        assert not daemon.reload(one_server(server, Listener(listener.address, "TURBO")).text())
    converse(port_of(listener))
    assert daemon.reload(one_server(server, Listener(listener.address, "TURBO")).text())
    converse(port_of(listener))


# ---- where connections go, and how ----

def test_new_connections_go_where_the_new_configuration_says(start: Start) -> None:
    def says(word: bytes) -> Callable[[socket.socket], object]:
        return tolerant(lambda connection: (connection.sendall(word), finish(connection)))

    with TcpServer(says(b"one")) as one, TcpServer(says(b"two")) as two:
        listener = a_listener("TCP")
        daemon = start(one_server(one, listener))
        with connect(port_of(listener)) as old:
            assert read_exactly(old, 3) == b"one"
            assert daemon.reload(one_server(two, listener).text())
            with connect(port_of(listener)) as new:
                assert read_exactly(new, 3) == b"two"
            routed = Listener(listener.address, "TCP", upstream="one", routes=[("two.test", "two")])
            assert daemon.reload(Settings([routed], {"one": to_server(one.port), "two": to_server(two.port)}).text())
            for name, word in (("two.test", b"two"), ("example.test", b"one")):
                with connect(port_of(listener)) as new:
                    new.sendall(client_hello(name))
                    assert read_exactly(new, 3) == word
            assert finish(old) == b""


def test_the_log_changes_as_well(start: Start, server: TcpServer) -> None:
    listener = a_listener()
    settings = one_server(server, listener)
    daemon = start(settings)
    converse(port_of(listener))
    daemon.wait_for("connection")
    added = a_listener("TCP")
    silent = settings.with_listeners(listener, added).text()
    daemon.write_config(silent.replace("format: JSON", "format: JSON level: ERROR"))
    daemon.signal(signal.SIGHUP)
    wait_until("it is in force", lambda: not refuses(added))
    converse(port_of(listener))
    assert daemon.reload(settings.text())
    assert len(daemon.entries("connection")) == 1


def test_what_takes_a_restart_is_told(start: Start, server: TcpServer) -> None:
    settings = one_server(server, a_listener())

    def confined(process: str) -> Settings:
        return replace(settings, more=f"process {{ {process} }}\n")

    daemon = start(confined("workers: 2"))
    words = "another user, group, sandbox, mark or number of workers takes effect with the next start"
    assert daemon.reload(confined("workers: 2").text())
    assert daemon.reload(confined('workers: 2 user: "nobody"').text())
    daemon.wait_for(words)
    assert daemon.reload(confined('workers: 2 user: "nobody"').text())
    assert len(daemon.entries(words)) == 1
    assert daemon.reload(confined('workers: 7 user: "nobody"').text())
    daemon.stop()
    assert len(daemon.entries(words)) == 2


def test_a_hundred_reloads_cost_nothing(start: Start, server: TcpServer) -> None:
    """Nothing is left behind of the configurations that were."""
    kept, others = a_listener(), [a_listener() for _ in range(2)]
    settings = one_server(server, kept)
    daemon = start(settings)

    def reload_all() -> None:
        for n in range(20):
            assert daemon.reload(settings.with_listeners(kept, *others[:1 + n % 2]).text())

    reload_all()
    files = daemon.open_files()
    for _ in range(4):
        reload_all()
    assert daemon.open_files() <= files


def test_a_pipe_is_not_read_again(proxies: Proxies, tmp_path: Path, server: TcpServer) -> None:
    """Nobody may ever write to it: everything would wait."""
    listener = a_listener("TCP")
    fifo = tmp_path / "configuration"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_text, args=(one_server(server, listener).text(),))
    writer.start()
    proxy = proxies.start(config=fifo)
    writer.join()
    proxy.signal(signal.SIGHUP)
    proxy.stderr.wait_for(lambda line: "is a pipe or a device" in line)
    finish(begin(listener))
