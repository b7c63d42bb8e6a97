"""Administration by HTTP: what is answered and who is, and that connections do not notice it."""

import json
import signal
import socket
import subprocess
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Iterator

import pytest

from harness.admin import Admin, Answer
from harness.daemon import Daemon
from harness.hello import client_hello, read_exactly
from harness.programs import program
from harness.proxy import Proxies, Proxy
from harness.scripted import FLIGHT, converse, finish, flight_then_echo
from harness.settings import Listener, Settings, to_server
from harness.sockets import TcpServer, connect, unused_port
from harness.wait import DEADLINE_S, wait_until

EDGE = """
    listener {{ name: "front" address: "127.0.0.1:0" route {{ name: "web" upstream: "servers" }} }}
    upstream {{ name: "servers" server {{ address: "127.0.0.1:{server}" }} }}
    admin {{ address: "{admin}" {more} }}
"""

IDLE = 100


class Edge:
    """An edge with its configuration file, which a test may change."""

    def __init__(self, proxies: Proxies, folder: Path, server: int, *, admin: str = "127.0.0.1:0",
                 more: str = "") -> None:
        self.text = EDGE.format(server=server, admin=admin, more=more)
        self.proxy = proxies.configured(folder, self.text)
        self.file = Path(self.proxy.argv[self.proxy.argv.index("--config") + 1])
        self.admin = Admin(self.proxy)

    @property
    def port(self) -> int:
        return self.proxy.port

    def write(self, text: str) -> None:
        self.file.write_text(text + f"\nlog {{ format: JSON }}\ndrain_timeout_seconds: {DEADLINE_S}\n")


@pytest.fixture
def server() -> Iterator[TcpServer]:
    with TcpServer(flight_then_echo) as started:
        yield started


@pytest.fixture
def edge(proxies: Proxies, tmp_path: Path, server: TcpServer) -> Edge:
    return Edge(proxies, tmp_path, server.port)


def curl(*arguments: str) -> Answer:
    """What curl gets: the status, and the body."""
    done = subprocess.run([program("curl", "curl"), "--silent", "--show-error", "--max-time", str(DEADLINE_S),
                           "--write-out", "\n%{http_code}", *arguments],
                          capture_output=True, text=True, check=True)
    body, _, status = done.stdout.rpartition("\n")
    return Answer(int(status), body, {})


@pytest.mark.parametrize("options, path, status, says", [
    ([], "/", 200, "POST /reload"),
    ([], "/metrics", 200, "turbotls_build_info"),
    ([], "/healthz", 200, "ok"),
    ([], "/readyz", 200, "ready"),
    ([], "/status", 200, '"listeners"'),
    (["--head"], "/metrics", 200, "text/plain; version=0.0.4"),
    ([], "/reload", 405, "POST"),
    ([], "/nothing", 404, "nothing of this name"),
    (["--request", "DELETE"], "/metrics", 405, "GET or HEAD"),
    (["--request", "POST", "--header", "Origin: https://evil.example"], "/reload", 403, "Origin"),
    (["--header", "Host: evil.example"], "/status", 403, "Host"),
    (["--data", "x" * 1000], "/reload", 200, "reloaded"),
])
def test_what_is_asked_is_answered(edge: Edge, options: list[str], path: str, status: int,
                                   says: str) -> None:
    answer = curl(*options, f"http://127.0.0.1:{edge.admin.port}{path}")
    assert answer.status == status
    assert says in answer.body


def test_nothing_is_kept_by_caches(edge: Edge) -> None:
    for path in ("/metrics", "/healthz", "/nothing"):
        assert edge.admin.ask("GET", path).headers["Cache-Control"] == "no-store"


def test_only_networks_that_are_named_may_ask(proxies: Proxies, tmp_path: Path, server: TcpServer) -> None:
    edge = Edge(proxies, tmp_path, server.port, more='allow_from: "127.0.0.2" allow_from: "192.0.2.0/24"')
    url = f"http://127.0.0.1:{edge.admin.port}/metrics"
    assert curl("--interface", "127.0.0.2", url).status == 200
    for method, path in (("GET", "/metrics"), ("GET", "/"), ("POST", "/reload")):
        refused = edge.admin.ask(method, path)
        assert refused.status == 403 and "allow_from" in refused.body
    assert edge.proxy.stderr.matching(lambda line: "reloaded" in line) == []
    converse(edge.port)


def test_without_it_nobody_listens(proxies: Proxies, tmp_path: Path, server: TcpServer) -> None:
    text = EDGE.format(server=server.port, admin="127.0.0.1:0", more="").partition("admin")[0]
    proxy = proxies.configured(tmp_path, text)
    assert not proxy.stderr.matching(lambda line: "administration" in line)


def test_an_address_that_is_taken_is_told_and_nothing_starts(tmp_path: Path, edge: Edge) -> None:
    config = tmp_path / "taken.txtpb"
    config.write_text(edge.text.replace("127.0.0.1:0\"  }", f"127.0.0.1:{edge.admin.port}\" }}"))
    done = subprocess.run([edge.proxy.argv[0], "--config", config], capture_output=True, text=True,
                          timeout=DEADLINE_S, check=False)
    assert done.returncode == 1
    assert "cannot listen for administration" in done.stderr and "in use" in done.stderr


# ---- reloading ----

ANOTHER = 'listener { name: "another" address: "127.0.0.1:0" route { upstream: "servers" } }'


def names(edge: Edge) -> list[str]:
    return [listener["name"] for listener in edge.admin.status()["listeners"]]


def test_a_good_file_is_put_in_force(edge: Edge) -> None:
    before = edge.admin.metrics()
    edge.write(edge.text + ANOTHER)
    answer = edge.admin.reload()
    assert (answer.status, answer.body) == (200, "reloaded\n")
    assert names(edge) == ["front", "another"]
    after = edge.admin.metrics()
    assert after.get("turbotls_reloads_total", result="succeeded") == 1
    assert after.get("turbotls_last_reload_succeeded") == 1
    assert (after.get("turbotls_configuration_time_seconds")
            > before.get("turbotls_configuration_time_seconds"))
    converse(edge.port)


def test_a_bad_file_changes_nothing_and_says_why(edge: Edge) -> None:
    converse(edge.port)
    edge.write(edge.text + ANOTHER.replace("servers", "nobody") + "\nlistener { address: 5 }\n")
    refused = edge.admin.reload()
    assert refused.status == 422
    errors = refused.body.splitlines()
    assert len(errors) >= 2 and all(line.startswith(f"{edge.file}:") for line in errors), errors
    assert names(edge) == ["front"]
    metrics = edge.admin.metrics()
    assert metrics.get("turbotls_reloads_total", result="failed") == 1
    assert metrics.get("turbotls_reloads_total", result="succeeded") == 0
    assert metrics.get("turbotls_last_reload_succeeded") == 0
    assert edge.admin.status()["last_reload_succeeded"] is False
    converse(edge.port)
    assert len(edge.proxy.wait_for_records(2)) == 2
    edge.write(edge.text)
    assert edge.admin.reload().status == 200
    assert edge.admin.metrics().get("turbotls_last_reload_succeeded") == 1


def test_a_signal_counts_as_well(edge: Edge) -> None:
    edge.proxy.signal(signal.SIGHUP)
    wait_until("it was reloaded", lambda: edge.admin.metrics().get(
        "turbotls_reloads_total", result="succeeded") == 1)


def test_counting_goes_on_over_a_reload(edge: Edge) -> None:
    for _ in range(3):
        converse(edge.port)
        assert edge.admin.reload().status == 200
    edge.proxy.wait_for_records(3)
    assert edge.admin.metrics().sum("turbotls_connections_total", listener="front", route="web") == 3


def test_it_moves_to_another_address_and_still_answers_who_asked_for_that(edge: Edge) -> None:
    before = edge.admin
    edge.write(edge.text.replace("127.0.0.1:0\"  }", "127.0.0.2:0\" }"))
    assert before.reload().body == "reloaded\n"
    moved = json.loads(edge.proxy.stderr.wait_for(
        lambda line: '"administration by HTTP"' in line, 2)[1])["address"]
    assert moved.startswith("127.0.0.2:")
    assert curl(f"http://{moved}/healthz").status == 200
    wait_until("the old one is gone", lambda: refuses(before.port))
    edge.write(edge.text.partition("admin")[0])
    assert curl("--request", "POST", f"http://{moved}/reload").status == 200
    converse(edge.port)


def refuses(port: int) -> bool:
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it closed with us in its queue
        pass
    return False


def test_an_address_that_is_taken_stops_the_reload(edge: Edge) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        edge.write((edge.text + ANOTHER).replace("127.0.0.1:0\"  }", f"127.0.0.1:{port}\" }}"))
        assert edge.admin.reload().status == 422
    assert names(edge) == ["front"]
    edge.proxy.stderr.wait_for(lambda line: "in use" in line and str(port) in line)


def test_who_may_ask_changes_with_a_reload(edge: Edge) -> None:
    edge.write(edge.text.replace("127.0.0.1:0\"  }", '127.0.0.1:0" allow_from: "127.0.0.2" }'))
    assert edge.admin.reload().status == 200
    assert edge.admin.ask("GET", "/healthz").status == 403
    assert edge.admin.ask("GET", "/healthz", source="127.0.0.2").status == 200


def test_it_changes_hands_with_the_listeners(tmp_path: Path, server: TcpServer) -> None:
    settings = Settings([Listener(f"127.0.0.1:{unused_port()}")], {"server": to_server(server.port)},
                        more=f'admin {{ address: "127.0.0.1:{unused_port()}" }}')
    with Daemon(tmp_path, settings.text()) as daemon:
        admin = Admin(daemon)
        assert admin.status()["pid"] == daemon.pid
        assert admin.reload().status == 200
        with connect(daemon.port) as client, connect(admin.port) as idle:
            client.sendall(client_hello())
            assert read_exactly(client, len(FLIGHT)) == FLIGHT
            daemon.replace()
            assert idle.recv(1) == b"", "the old process, which goes on with its client, answers nobody"
            assert {admin.status()["pid"] for _ in range(20)} == {daemon.pid}
            assert daemon.is_running(daemon.pids[0])
            assert finish(client) == b""
        converse(daemon.port)
        daemon.wait_for("connection", 2)
        assert admin.metrics().sum("turbotls_connections_total") == 1
        assert admin.metrics().sum("turbotls_reloads_total") == 0, "of its own"


# ---- readiness ----

def test_one_that_is_stopping_is_alive_but_not_ready(edge: Edge) -> None:
    edge.write(edge.text)  # with a longer drain timeout
    assert edge.admin.reload().status == 200
    with connect(edge.port) as client:
        client.sendall(client_hello())
        assert read_exactly(client, len(FLIGHT)) == FLIGHT
        edge.proxy.signal(signal.SIGTERM)
        wait_until("it is not ready", lambda: edge.admin.ask("GET", "/readyz").status == 503)
        assert "stopping" in edge.admin.ask("GET", "/readyz").body
        assert edge.admin.get("/healthz") == "ok\n"
        assert edge.admin.metrics().get("turbotls_draining") == 1
        assert edge.admin.metrics().get("turbotls_connections_active", listener="front", route="web") == 1
        assert finish(client) == b""
    assert edge.proxy.wait() == 0


# ---- the relay does not notice ----

def assert_serves(edge: Edge) -> None:
    converse(edge.port)
    assert edge.admin.get("/healthz") == "ok\n"


def test_a_hundred_idle_clients_keep_nobody_out(edge: Edge) -> None:
    files = edge.proxy.open_files()
    with ExitStack() as stack:
        for number in range(IDLE):
            client = stack.enter_context(connect(edge.admin.port))
            client.sendall(b"GET /metr" if number % 2 else b"")
        assert_serves(edge)
        assert edge.proxy.open_files() <= files + 40
    wait_until("they are gone", lambda: edge.proxy.open_files() <= files + 2)
    assert_serves(edge)


def test_slow_oversized_and_garbage_requests_disturb_nobody(edge: Edge) -> None:
    stop = threading.Event()
    requests = [b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
                b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000,
                b"POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n" + bytes(100_000),
                b"POST /reload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                + b"1000\r\n" + bytes(4096) + b"\r\n" + b"fff\r\n" * 10_000,
                client_hello(), bytes(1000), b"\r\n" * 1000, b"GET / HTTP/1.1\r\n" * 1000]

    def annoy(request: bytes) -> None:
        while not stop.is_set():
            try:
                with connect(edge.admin.port) as client:
                    client.sendall(request)
                    client.settimeout(0.05)
                    while client.recv(65536):
                        pass
            except OSError:
                pass

    def drip() -> None:
        while not stop.is_set():
            try:
                with connect(edge.admin.port) as client:
                    for byte in b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n":
                        client.sendall(bytes([byte]))
                        stop.wait(0.01)
            except OSError:
                pass

    threads = [threading.Thread(target=annoy, args=(request,)) for request in requests]
    threads += [threading.Thread(target=drip) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            converse(edge.port)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert_serves(edge)
    assert edge.admin.metrics().sum("turbotls_reloads_total") == 0


def test_who_does_not_read_the_answer_stops_nothing(edge: Edge) -> None:
    with ExitStack() as stack:
        for _ in range(10):
            client = stack.enter_context(connect(edge.admin.port))
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200)
        for _ in range(5):
            assert_serves(edge)
