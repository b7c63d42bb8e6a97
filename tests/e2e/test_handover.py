"""The binary is replaced, and the configuration changed, while connections come and go: nobody notices."""

import os
import signal
import socket
import time
from datetime import datetime
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.daemon import NOT_RELOADED, NOT_REPLACED, READY, REPLACED, STARTED, Daemon
from harness.hello import client_hello, read_exactly
from harness.load import Load, TlsEcho
from harness.pki import Pki
from harness.scripted import FLIGHT, converse, finish
from harness.settings import Listener, Settings, to_server
from harness.sockets import TcpServer, connect, unused_port
from harness.wait import DEADLINE_S, wait_until
from harness.wire import REFUSED, WireClient, tombstone

CONNECTIONS = int(os.environ.get("TURBOTLS_LOAD", "1500"))
"""10,000 in the record of a release, which takes a few minutes."""

AT_ONCE = 100
RELOADS = 50
REPLACED_AFTER = (15, 35)
"""So many reloads."""

Start = Callable[..., Daemon]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts daemons, each in a folder of its own, and sees to it that all their processes end well."""
    started: list[Daemon] = []

    def start_one(name: str, settings: Settings, **arguments: object) -> Daemon:
        (tmp_path / name).mkdir()
        started.append(Daemon(tmp_path / name, settings.text(), **arguments))
        return started[-1]

    yield start_one
    for daemon in reversed(started):
        daemon.stop()


# ---- under load ----

@pytest.fixture
def echo(pki: Pki, folder: Path) -> Iterator[TlsEcho]:
    with TlsEcho(pki, folder) as server:
        yield server


class Changing:
    """Settings of an edge that are another's every time, with the one listener that matters in all of them."""

    def __init__(self, server_port: int) -> None:
        self.port = unused_port()
        self._others = [unused_port() for _ in range(3)]
        self._server = server_port

    def number(self, n: int) -> Settings:
        main = Listener(f"127.0.0.1:{self.port}", more="source_rate: 10000 session_rate: 10000",
                        routes=[(f"r{i}.example.test", f"other-{i}") for i in range(n % 4)])
        kinds = ("TURBO", "TCP")
        others = [Listener(f"127.0.0.1:{port}", protocol=kinds[(n + i) % 2])
                  for i, port in enumerate(self._others) if (n + i) % 3]
        upstreams = {"server": to_server(self._server)}
        upstreams |= {f"other-{i}": to_server(self._server) for i in range(n % 4)}
        return Settings([main, *others], upstreams)

    def bad(self, n: int) -> Settings:
        return Settings(self.number(n).listeners, {"another": to_server(self._server)})


def test_nobody_notices_reloads_and_new_binaries(start: Start, echo: TlsEcho, pki: Pki) -> None:
    changing = Changing(echo.port)
    edge = start("edge", changing.number(0))
    sidecar_port = unused_port()
    beside = Settings([Listener(f"127.0.0.1:{sidecar_port}", "TCP")],
                      {"server": to_server(changing.port, protocol="TURBO", turbo="ALWAYS")})
    sidecar = start("sidecar", beside)
    load = Load(sidecar_port, pki, CONNECTIONS, AT_ONCE)
    for n in range(1, RELOADS + 1):
        load.wait_for(n * CONNECTIONS // (RELOADS + 2))
        if n % 10 == 3:
            assert not edge.reload(changing.bad(n).text())
        else:
            assert edge.reload(changing.number(n).text())
        if n in REPLACED_AFTER:
            edge.replace()
            sidecar.replace()
    outcome = load.finish(DEADLINE_S + CONNECTIONS / 20)
    assert not outcome.failures, f"{len(outcome.failures)} failed, such as {outcome.failures[:5]}"
    assert outcome.done == CONNECTIONS
    turbo = [entry for entry in edge.entries("connection") if entry["outcome"] == "turbo"]
    assert len(turbo) > CONNECTIONS / 4, "or it would be a test of something else"


# ---- one thing at a time ----

@pytest.fixture
def edge(start: Start, server: TcpServer) -> Daemon:
    return start("edge", edge_settings(server.port))


def edge_settings(server_port: int) -> Settings:
    return Settings([Listener(f"127.0.0.1:{unused_port()}")], {"server": to_server(server_port)})


def replace_slowly(edge: Daemon) -> None:
    """As far as the old process waits for what is pending."""
    edge.answer(lambda: edge.signal(signal.SIGUSR2), READY)


def wait_until_replaced(edge: Daemon, count: int = 1) -> None:
    edge.pids.append(edge.wait_for(REPLACED, count)[-1]["pid"])


def test_connections_go_on_in_the_old_process_which_ends_with_the_last(edge: Daemon) -> None:
    with connect(edge.port) as before:
        before.sendall(client_hello())
        assert read_exactly(before, len(FLIGHT)) == FLIGHT
        old = edge.pid
        edge.replace()
        converse(edge.port)
        assert edge.is_running(old)
        continue_after_hello_of(before)
    wait_until("the old process has ended", lambda: not edge.is_running(old))
    converse(edge.port)


def continue_after_hello_of(connection: socket.socket) -> None:
    connection.sendall(b"still here")
    assert finish(connection) == b"still here"


def test_what_ends_the_service_lets_the_old_process_finish(edge: Daemon) -> None:
    """As `systemctl stop` does, which tells every process of the unit."""
    with connect(edge.port) as before:
        before.sendall(client_hello())
        assert read_exactly(before, len(FLIGHT)) == FLIGHT
        old = edge.pid
        edge.replace()
        os.kill(old, signal.SIGTERM)
        edge.signal(signal.SIGTERM)
        wait_until("the new process has ended", lambda: not edge.is_running(edge.pid))
        continue_after_hello_of(before)


def test_a_second_signal_ends_an_old_process_at_once(edge: Daemon) -> None:
    with connect(edge.port) as before:
        before.sendall(client_hello())
        assert read_exactly(before, len(FLIGHT)) == FLIGHT
        old = edge.pid
        edge.replace()
        os.kill(old, signal.SIGTERM)
        os.kill(old, signal.SIGINT)
        wait_until("the old process has ended", lambda: not edge.is_running(old))


def test_a_session_that_waits_for_tcp_is_joined_first(edge: Daemon, server: TcpServer) -> None:
    with WireClient(edge) as waiting, WireClient(edge) as late:
        waiting.send_hello()
        waiting.receive_stream(len(FLIGHT))
        replace_slowly(edge)
        late.send_hello()
        assert late.receive().flags & REFUSED
        converse(edge.port, hello=late.hello)  # who is refused goes on as classic TLS
        assert edge.entries(REPLACED) == []
        with waiting.join(b"in time") as tcp:
            wait_until_replaced(edge)
            assert waiting.stream() + finish(tcp) == FLIGHT + b"in time"
    assert_turbo_works(edge)


def assert_turbo_works(edge: Daemon) -> None:
    with WireClient(edge) as client:
        client.send_hello()
        assert client.receive_stream(len(FLIGHT)) == FLIGHT
        with client.join(b"as ever") as tcp:
            assert finish(tcp) == b"as ever"


def test_who_never_comes_is_waited_for_5_s_and_no_longer(edge: Daemon) -> None:
    began = time.time()
    with WireClient(edge) as silent:
        silent.send_hello()
        silent.receive_stream(len(FLIGHT))
        replace_slowly(edge)
        wait_until_replaced(edge)
    assert seconds(edge.entries(REPLACED)[0]["time"]) - began >= 4
    assert_turbo_works(edge)


def seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def test_a_connection_that_has_said_nothing_yet_goes_to_the_new_process(edge: Daemon) -> None:
    """Its datagrams come later than its SYN, so that is where they go."""
    with connect(edge.port) as tcp, WireClient(edge) as client:
        converse(edge.port)  # so the one before has been accepted
        edge.replace()
        client.send_hello()
        assert client.receive_stream(len(FLIGHT)) == FLIGHT
        tcp.sendall(tombstone(client.session, client.consumed()) + client.hello + b"joined")
        assert finish(tcp) == b"joined"
    assert name_of_turbo(edge) == 1


def name_of_turbo(edge: Daemon) -> int:
    return sum(entry["outcome"] == "turbo" for entry in edge.wait_for("connection", 2))


def test_meanwhile_nothing_else_is_begun(edge: Daemon, server: TcpServer) -> None:
    with WireClient(edge) as waiting:
        waiting.send_hello()
        waiting.receive_stream(len(FLIGHT))
        replace_slowly(edge)
        told = edge.answer(lambda: edge.signal(signal.SIGUSR2), "no new process is started")
        assert told["reason"] == "one has been started"
        assert not edge.reload(edge_settings(server.port).text())
        assert edge.entries(NOT_RELOADED)[0]["reason"] == "another process is taking over, and has read the file"
        waiting.join().close()
        wait_until_replaced(edge)
    assert len(edge.entries(STARTED)) == 1


def test_a_bad_configuration_leaves_the_old_process_as_it_was(edge: Daemon) -> None:
    good = edge.config.read_text()
    edge.write_config(good.replace("TURBO", "TURBID"))
    told = edge.answer(lambda: edge.signal(signal.SIGUSR2), NOT_REPLACED)
    assert told["error"] == "it ended with status 2, and has said why"
    edge.stderr.wait_for(lambda line: "proxy.txtpb:2:13: listener[0].protocol" in line)
    assert_turbo_works(edge)
    edge.write_config(good)
    edge.replace()
    assert_turbo_works(edge)


def test_a_program_that_is_missing_leaves_the_old_process_as_it_was(edge: Daemon) -> None:
    edge.program.unlink()
    told = edge.answer(lambda: edge.signal(signal.SIGUSR2), NOT_REPLACED)
    assert told["error"] == "No such file or directory"
    assert_turbo_works(edge)


def test_a_new_process_that_dies_before_it_accepts_leaves_the_old_one_as_it_was(edge: Daemon) -> None:
    with WireClient(edge) as waiting:
        waiting.send_hello()
        waiting.receive_stream(len(FLIGHT))
        replace_slowly(edge)
        told = edge.answer(lambda: os.kill(edge.entries(STARTED)[0]["pid"], signal.SIGKILL), NOT_REPLACED)
        assert told["error"] == "it ended by signal 9 (Killed)"
        assert_turbo_works(edge)  # by UDP as well
        with waiting.join(b"in time") as tcp:
            assert finish(tcp) == b"in time"


def test_a_new_process_accepts_when_the_old_one_has_died(edge: Daemon) -> None:
    with WireClient(edge) as waiting:
        waiting.send_hello()
        waiting.receive_stream(len(FLIGHT))
        replace_slowly(edge)
        edge.signal(signal.SIGKILL)
    edge.killed.append(edge.pid)
    edge.pids.append(edge.entries(STARTED)[0]["pid"])
    edge.wait_for_listeners(2)
    assert_turbo_works(edge)


def test_ending_ends_a_new_process_that_does_not_accept_yet(edge: Daemon) -> None:
    with WireClient(edge) as waiting:
        waiting.send_hello()
        waiting.receive_stream(len(FLIGHT))
        replace_slowly(edge)
        edge.signal(signal.SIGTERM)
        waiting.join().close()
    assert edge.wait() == 0
    assert not edge.is_running(edge.entries(STARTED)[0]["pid"])


def test_one_after_the_other(edge: Daemon) -> None:
    for _ in range(5):
        edge.replace()
        assert_turbo_works(edge)
    assert len(set(edge.pids)) == 6


def test_listeners_may_differ(start: Start, server: TcpServer) -> None:
    """The new process has read another configuration: it keeps, adds and drops as a reload does."""
    kept, dropped, added = (Listener(f"127.0.0.1:{unused_port()}", kind) for kind in ("TURBO", "TURBO", "TCP"))
    settings = Settings([kept, dropped], {"server": to_server(server.port)})
    edge = start("edge", settings)
    edge.write_config(settings.with_listeners(kept, added).text())
    edge.replace()
    converse(int(added.address.rpartition(":")[2]))
    assert_turbo_works(edge)
    with pytest.raises(ConnectionRefusedError):
        connect(int(dropped.address.rpartition(":")[2]))
