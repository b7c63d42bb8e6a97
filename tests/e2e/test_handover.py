"""The binary is replaced, and the configuration changed, while connections come and go: nobody notices."""

import os
import signal
import socket
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.daemon import NOT_REPLACED, READY, REPLACED, STARTED, Daemon
from harness.hello import client_hello, read_exactly
from harness.load import Load, TlsEcho
from harness.pki import Pki
from harness.scripted import FLIGHT, continue_after_hello, converse, finish, flight_then_echo
from harness.settings import Listener, Settings, to_server
from harness.sockets import TcpServer, connect, unused_port
from harness.wait import DEADLINE_S, wait_until
from harness.wire import WireClient

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
                      {"server": to_server(changing.port, protocol="TURBO", always="true")})
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
