"""What /metrics and /status count is what happened, to the last connection and byte."""

import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Callable, Iterable

from harness.admin import Admin, Metrics
from harness.clients import CLIENTS, Visit
from harness.hello import client_hello, read_exactly
from harness.pki import Pki
from harness.proxy import Proxies, Proxy, Record
from harness.scripted import FLIGHT, FLIGHT_CHUNKS, converse, echo, finish, flight_then_echo
from harness.servers import Nginx
from harness.sockets import DeadPort, TcpServer, connect, is_reset
from harness.wait import wait_until
from harness.wire import REFUSED, WireClient, session_id, tombstone

TURBO, RESUMED, CLASSIC, OPAQUE, UNKNOWN, SILENT, REFUSALS, VISITS, REFUSED_VISITS = (
    300, 100, 200, 150, 50, 50, 20, 130, 10)
QUESTION = b"a question"
PING = b"PING\n"
AT_ONCE = 16
WORKERS = 3

EDGE = """
    listener {{ name: "front" address: "127.0.0.1:0" session_rate: 100000 source_rate: 100000
                route {{ name: "web" upstream: "servers" }} }}
    listener {{ name: "full" address: "127.0.0.1:0" max_sessions: 1
                route {{ name: "web" upstream: "servers" }} }}
    upstream {{ name: "servers" server {{ address: "127.0.0.1:{server}" }} }}
    admin {{ address: "127.0.0.1:0" }}
    process {{ workers: %d }}
""" % WORKERS

SIDECAR = """
    listener {{ name: "local" protocol: TCP address: "127.0.0.1:0" route {{ upstream: "edge" }} }}
    listener {{ name: "refused" protocol: TCP address: "127.0.0.1:0" route {{ upstream: "full" }} }}
    upstream {{ name: "edge" protocol: TURBO turbo: ALWAYS
                server {{ address: "127.0.0.1:{edge.port}" udp_port: {edge.udp_port} }} }}
    upstream {{ name: "full" protocol: TURBO turbo: ALWAYS
                server {{ address: "127.0.0.1:{full.port}" udp_port: {full.udp_port} }} }}
    admin {{ address: "127.0.0.1:0" }}
    process {{ workers: %d }}
""" % WORKERS


def flight_or_echo(connection: socket.socket) -> None:
    """A TLS server to who begins like TLS, an echo to anybody else."""
    if connection.recv(1, socket.MSG_PEEK) == b"\x16":
        flight_then_echo(connection)
    else:
        echo(connection)


def turbo(edge: Proxy, consumed: int | None = None) -> None:
    with WireClient(edge) as client:
        client.send_hello()
        client.receive_stream(len(FLIGHT))
        with client.join(QUESTION, consumed=consumed) as tcp:
            assert finish(tcp).endswith(QUESTION)


def resumed(edge: Proxy) -> None:
    """UDP brought all three chunks; it says that only the first has arrived."""
    turbo(edge, consumed=1)


def classic(edge: Proxy) -> None:
    converse(edge.port, QUESTION)


def opaque(edge: Proxy) -> None:
    with connect(edge.port) as client:
        client.sendall(PING)
        assert finish(client) == PING


def unknown(edge: Proxy) -> None:
    """TCP for a session that the edge does not know, and that has consumed something."""
    with WireClient(edge) as client, connect(edge.port) as tcp:
        assert is_reset(tcp, tombstone(client.session, 1))


def silent(edge: Proxy) -> None:
    with connect(edge.port) as client:
        assert finish(client) == b""


def many(kinds: Iterable[tuple[Callable[[Proxy], None], int]], edge: Proxy) -> None:
    """So many of each kind, mixed, some at once."""
    visits = [kind for kind, count in kinds for _ in range(count)]
    mixed = [visits[i * 7 % len(visits)] for i in range(len(visits))]
    assert len(visits) % 7
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda visit: visit(edge), mixed))


def hello_for(worker: int) -> bytes:
    """One whose session belongs to this worker."""
    return next(hello for hello in iter(client_hello, None) if session_id(hello)[1] % WORKERS == worker)


class Full:
    """The edge's second listener, of which each worker takes one session at once."""

    def __init__(self, edge: Proxy, admin: Admin) -> None:
        self.port, self.udp_port = edge.listeners[1].port, edge.listeners[1].udp_port
        self._admin = admin

    def while_full(self, act: Callable[[], None]) -> None:
        """One session of each worker waits for TCP meanwhile: all others are refused."""
        with ExitStack() as stack:
            sessions = [stack.enter_context(WireClient(self, hello_for(worker))) for worker in range(WORKERS)]
            for session in sessions:
                session.send_hello()
                session.receive_stream(len(FLIGHT))
            assert self._pending() == WORKERS
            act()
            for session in sessions:
                with session.join(QUESTION) as tcp:
                    assert finish(tcp) == QUESTION
        assert self._pending() == 0

    def _pending(self) -> float:
        return self._admin.metrics().get("turbotls_sessions_pending", listener="full")

    def be_refused(self) -> None:
        for _ in range(REFUSALS):
            with WireClient(self) as other:
                other.request(1, other.hello)
                assert other.receive().flags & REFUSED


def endings(records: Iterable[Record]) -> Counter[tuple[str, ...]]:
    return Counter((record["route"] or "", record["outcome"], record["reason"] or "none")
                   for record in records)


def wait_for_all(proxy: Proxy, admin: Admin, count: int) -> tuple[list[Record], Metrics]:
    """Once so many connections have ended: what the log and the metrics say of them."""
    records = proxy.wait_for_records(count)
    assert len(records) == count
    return records, admin.metrics()


def wait_for_rest(edge: Proxy, admin: Admin, count: int) -> tuple[list[Record], Metrics]:
    """The same of an edge behind a sidecar. Where that has met a stall of 50 ms, a session may be left that nobody joins."""
    def all_told() -> tuple[list[Record], Metrics] | None:
        metrics, records = admin.metrics(), edge.records()
        over = metrics.sum("turbotls_sessions_pending") == 0 and metrics.sum("turbotls_connections_total") == len(records)
        return (records, metrics) if over and len(records) >= count else None

    return wait_until("all have ended, and have their record", all_told)


def assert_same(metrics: Metrics, records: list[Record], bounds: list[float]) -> None:
    """The metrics, which have counted since the start, are the sums of the access log."""
    assert metrics.by("turbotls_connections_total", "route", "outcome", "reason") == endings(records)
    for direction, key in (("to_server", "bytes_c2s"), ("to_client", "bytes_s2c")):
        assert metrics.sum("turbotls_bytes_total", direction=direction) == sum(r[key] for r in records)
    saved = [record["rtt_us"] for record in records if record["outcome"] == "turbo"]
    assert metrics.sum("turbotls_round_trips_saved_total") == len(saved)
    assert round(metrics.sum("turbotls_saved_seconds_total") * 1e6) == sum(saved)
    for outcome in {record["outcome"] for record in records}:
        for key in ("first_response", "first_answer"):
            name = f"turbotls_{key}_seconds"
            times = [r[f"{key}_us"] for r in records if r["outcome"] == outcome and r[f"{key}_us"]]
            assert metrics.sum(f"{name}_count", outcome=outcome) == len(times)
            assert round(metrics.sum(f"{name}_sum", outcome=outcome) * 1e6) == sum(times)
            for bound in bounds if times else []:
                below = sum(time <= bound * 1e6 for time in times)
                assert metrics.sum(f"{name}_bucket", outcome=outcome, le=f"{bound:g}") == below


BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]


def test_a_thousand_mixed_connections_are_counted_as_they_were(proxies: Proxies, folder: Path) -> None:
    with TcpServer(flight_or_echo) as server:
        edge = proxies.configured(folder, EDGE.format(server=server.port))
        sidecar = proxies.configured(folder, SIDECAR.format(edge=edge.listeners[0], full=edge.listeners[1]))
        edge_admin, sidecar_admin = Admin(edge), Admin(sidecar)

        many([(turbo, TURBO), (resumed, RESUMED), (classic, CLASSIC), (opaque, OPAQUE),
              (unknown, UNKNOWN), (silent, SILENT)], edge)
        full = Full(edge, edge_admin)
        full.while_full(full.be_refused)
        directly = TURBO + RESUMED + CLASSIC + OPAQUE + UNKNOWN + SILENT + WORKERS
        records, metrics = wait_for_all(edge, edge_admin, directly)
        did = Counter({("web", "turbo", "none"): TURBO + WORKERS, ("web", "resumed-on-tcp", "none"): RESUMED,
                       ("web", "classic", "client-classic"): CLASSIC,
                       ("web", "opaque", "not-tls"): OPAQUE,
                       ("", "failed", "unknown-session"): UNKNOWN,
                       ("", "failed", "client-silent"): SILENT})
        assert endings(records) == did
        assert_same(metrics, records, BOUNDS)
        assert_sessions(metrics)

        many([(visit, VISITS)], sidecar)
        records = sidecar.wait_for_records(VISITS)
        assert_flights(sidecar_admin.metrics(), records)
        full.while_full(lambda: many([(refused_visit, REFUSED_VISITS)], sidecar))
        visits = VISITS + REFUSED_VISITS
        through, told = wait_for_all(sidecar, sidecar_admin, visits)
        assert_same(told, through, BOUNDS)
        assert endings(through)["full", "classic", "refused"] > 0
        all_records, all_metrics = wait_for_rest(edge, edge_admin, directly + visits + WORKERS)
        assert_same(all_metrics, all_records, BOUNDS)
        for admin in (edge_admin, sidecar_admin):
            assert_idle(admin)


def visit(sidecar: Proxy) -> None:
    converse(sidecar.port, QUESTION)


def refused_visit(sidecar: Proxy) -> None:
    converse(sidecar.listeners[1].port, QUESTION)


def assert_sessions(metrics: Metrics) -> None:
    begun = TURBO + RESUMED
    assert metrics.get("turbotls_sessions_total", listener="front") == begun
    assert metrics.get("turbotls_sessions_sandwich_total", listener="front") == 0
    assert metrics.by("turbotls_sessions_ended_total", "how", listener="front") == {("joined",): begun}
    assert metrics.get("turbotls_chunks_total", listener="front") == FLIGHT_CHUNKS * begun
    assert metrics.get("turbotls_chunks_again_total", listener="front") == (FLIGHT_CHUNKS - 1) * RESUMED
    assert metrics.get("turbotls_joins_unknown_total", listener="front") == UNKNOWN
    assert metrics.sum("turbotls_sessions_limited_total", listener="front") == 0
    assert metrics.by("turbotls_sessions_limited_total", "limit", listener="full") == {
        ("sessions",): REFUSALS}
    assert metrics.get("turbotls_udp_refused_total", listener="full", answer="refused") == REFUSALS
    assert metrics.get("turbotls_sessions_total", listener="full") == WORKERS


def assert_flights(metrics: Metrics, records: list[Record]) -> None:
    """Everybody was asked by UDP, but for the time after two stalls in a row, and every flight came in one of the ways."""
    flights = metrics.by("turbotls_server_flights_total", "came", upstream="edge")
    assert sum(flights.values()) == sum(record["reason"] != "udp-paused" for record in records) > 0
    assert flights["whole",] + flights["repaired",] >= sum(r["outcome"] == "turbo" for r in records)


def assert_idle(admin: Admin) -> None:
    metrics, status = admin.metrics(), admin.status()
    assert metrics.sum("turbotls_connections_active") == status["connections"]["active"] == 0
    assert metrics.sum("turbotls_worker_connections") == 0
    assert metrics.sum("turbotls_sessions_pending") == metrics.sum("turbotls_upstream_pending") == 0
    ended = Counter()
    for listener in status["listeners"]:
        for route in listener["routes"]:
            ended.update(route["ended"])
    told = metrics.by("turbotls_connections_total", "outcome")
    assert {(outcome,): count for outcome, count in ended.items() if count} == told


def test_connections_are_counted_while_they_are_open(proxies: Proxies, folder: Path) -> None:
    with TcpServer(flight_or_echo) as server:
        edge = proxies.configured(folder, EDGE.format(server=server.port))
        admin = Admin(edge)
        clients = [connect(edge.port) for _ in range(5)]
        wait_until("they are there", lambda: admin.metrics().get(
            "turbotls_connections_active", listener="front", route="") == 5)
        assert admin.metrics().get("turbotls_arrivals") == 5
        for client in clients[:3]:
            client.sendall(client_hello())
            assert read_exactly(client, len(FLIGHT)) == FLIGHT
        metrics = admin.metrics()
        assert metrics.get("turbotls_connections_active", listener="front", route="") == 2
        assert metrics.get("turbotls_connections_active", listener="front", route="web") == 3
        shares = {(str(i),): worker["connections"] for i, worker in enumerate(admin.status()["workers"])}
        assert len(shares) == metrics.get("turbotls_workers") == WORKERS and sum(shares.values()) == 5
        assert metrics.by("turbotls_worker_connections", "worker") == Counter(shares) - Counter()
        assert admin.status()["listeners"][0]["connections"] == admin.status()["connections"]["active"] == 5
        for client in clients:
            finish(client)
            client.close()
        edge.wait_for_records(5)
        assert_idle(admin)


def test_servers_are_counted_by_how_they_were_reached(proxies: Proxies, folder: Path) -> None:
    with TcpServer(flight_or_echo) as server, DeadPort() as dead:
        edge = proxies.configured(folder, EDGE.format(server=server.port).replace(
            "admin", f'upstream {{ name: "gone" server {{ address: "127.0.0.1:{dead.port}" }} }} admin', 1
        ).replace('route { name: "web" upstream: "servers" }',
                  'route { name: "other" source: "127.0.0.2" upstream: "gone" } '
                  'route { name: "web" upstream: "servers" }', 1))
        admin = Admin(edge)
        for _ in range(3):
            classic(edge)
        with connect(edge.port, source="127.0.0.2") as client:
            assert is_reset(client, client_hello())
        edge.wait_for_records(4)
        metrics = admin.metrics()
        there = {"upstream": "servers", "server": f"tcp:127.0.0.1:{server.port}"}
        gone = {"upstream": "gone", "server": f"tcp:127.0.0.1:{dead.port}"}
        assert metrics.get("turbotls_server_up", **there) == 1
        assert metrics.get("turbotls_server_up", **gone) == 0
        assert metrics.get("turbotls_server_connects_total", result="connected", **there) == 3
        assert metrics.get("turbotls_server_connects_total", result="failed", **there) == 0
        assert metrics.get("turbotls_server_connects_total", result="failed", **gone) == 1
        assert metrics.sum("turbotls_server_connections") == 0
        assert metrics.get("turbotls_connections_total", listener="front", route="other",
                           outcome="failed", reason="upstream-unreached") == 1
        assert [record["server"] for record in edge.records()].count(there["server"]) == 3


def test_real_clients_and_servers_are_counted(proxies: Proxies, folder: Path, pki: Pki) -> None:
    with Nginx(pki, folder) as server:
        edge = proxies.configured(folder, EDGE.format(server=server.port))
        sidecar = proxies.configured(folder, SIDECAR.format(edge=edge.listeners[0], full=edge.listeners[1]))
        for client in CLIENTS.values():
            assert server.expected in client(Visit(sidecar.port, pki, folder))
        for proxy in (edge, sidecar):
            assert_same(*reversed(wait_for_rest(proxy, Admin(proxy), len(CLIENTS))), BOUNDS)


def test_the_process_tells_of_itself(proxies: Proxies, folder: Path) -> None:
    edge = proxies.configured(folder, EDGE.format(server=1))
    metrics = Admin(edge).metrics()
    assert metrics.get("process_open_fds") in range(edge.open_files(), edge.open_files() + 3)
    assert metrics.get("process_resident_memory_bytes") > 1 << 20
    assert metrics.get("process_max_fds") > 64
    assert metrics.get("process_cpu_seconds_total") > 0
    assert metrics.get("turbotls_configuration_time_seconds") >= metrics.get("process_start_time_seconds")
    assert metrics.sum("turbotls_build_info") == 1
