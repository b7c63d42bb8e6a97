"""What an operator meets: arguments, exit codes, signals, limits and the access log."""

import json
import re
import shlex
import signal
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from harness.hello import client_hello, read_exactly
from harness.pki import SERVER_NAME
from harness.programs import sanitized_proxy
from harness.proxy import RECORD_KEYS, Proxies, Proxy
from harness.scripted import FLIGHT, converse, echo, finish, flight_then_echo
from harness.sockets import DeadPort, TcpServer, connect, is_reset, meets_reset, name_of, reset
from harness.wait import DEADLINE_S, wait_until
from harness.wire import REFUSED, WireClient

FAR_TOO_LONG_S = 600
VALID = ["--listen", "tcp:127.0.0.1:0", "--upstream", "tcp:127.0.0.1:1"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the program, which is expected to end by itself."""
    return subprocess.run([sanitized_proxy(), *arguments], capture_output=True, text=True,
                          timeout=DEADLINE_S)


def test_help_shows_both_ways_to_use_it() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert done.stderr == ""
    assert re.search(r"--listen '?tcp:\S+\s+--upstream '?turbo:", done.stdout), "the sidecar"
    assert re.search(r"--listen '?turbo:\S+\s+--upstream '?tcp:", done.stdout), "the edge"
    for option in ("--log-level", "--log-format", "--drain-timeout", "--sniff-timeout", "--version"):
        assert option in done.stdout


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version_is_one_line(option: str) -> None:
    done = run(option)
    assert done.returncode == 0
    assert re.fullmatch(r"turbotls-proxy \d+\S*\n", done.stdout)


BAD_ARGUMENTS = [
    [],
    VALID[:2],
    VALID[2:],
    [*VALID, "--no-such-option"],
    [*VALID, "stray"],
    [*VALID, "--drain-timeout"],
    [*VALID, "--drain-timeout", "soon"],
    [*VALID, "--drain-timeout", "-1"],
    [*VALID, "--sniff-timeout", "1x"],
    [*VALID, "--sniff-timeout", "1"],
    ["--listen", "turbo:127.0.0.1:0", *VALID[2:], "--sniff-timeout", "31"],
    ["--listen", "tcp:*:443", "--listen", "tcp:127.0.0.1:443", *VALID[2:]],
    ["--listen", "tcp:224.0.0.1:0", *VALID[2:]],
    ["--listen", *VALID[2:]],
    [*VALID[:2], "--upstream", "tcp:[fe80::1]:443"],
    [*VALID, "--log-level", "loud"],
    [*VALID, "--log-format", "xml"],
    [*VALID, "--upstream", "tcp:127.0.0.1:2"],
    ["--listen", "udp:127.0.0.1:0", *VALID[2:]],
    ["--listen", "127.0.0.1:0", *VALID[2:]],
    ["--listen", "tcp:127.0.0.1", *VALID[2:]],
    ["--listen", "tcp:127.0.0.1:65536", *VALID[2:]],
    ["--listen", "tcp:127.0.0.1:http", *VALID[2:]],
    ["--listen", "tcp:127.0.0.1:-1", *VALID[2:]],
    ["--listen", "tcp:127.0.0.256:0", *VALID[2:]],
    ["--listen", "tcp:example.test:0", *VALID[2:]],
    ["--listen", "tcp:::1:0", *VALID[2:]],
    ["--listen", "tcp:[::1:0", *VALID[2:]],
    ["--listen", "tcp:127.0.0.1:0,udp=1", *VALID[2:]],
    ["--listen", "turbo:127.0.0.1:0,udp=x", *VALID[2:]],
    ["--listen", "turbo:127.0.0.1:0,turbo=always", *VALID[2:]],
    [*VALID[:2], "--upstream", "tcp:127.0.0.1:0"],
    [*VALID[:2], "--upstream", "tcp::443"],
    [*VALID[:2], "--upstream", "tcp:" + "a" * 300 + ":443"],
    [*VALID[:2], "--upstream", "tcp:127.0.0.1:443,turbo=always"],
    [*VALID[:2], "--upstream", "turbo:127.0.0.1:443,udp=0"],
    [*VALID[:2], "--upstream", "turbo:127.0.0.1:443,turbo=seldom"],
]


@pytest.mark.parametrize("arguments", BAD_ARGUMENTS, ids=lambda each: shlex.join(each)[-60:])
def test_a_bad_argument_is_told_in_one_line_and_nothing_starts(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.endswith("\n"), done.stderr


@pytest.mark.parametrize("kind", ["tcp", "turbo"])
def test_an_address_in_use_is_told_and_nothing_starts(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        done = run("--listen", f"{kind}:127.0.0.1:{port}", *VALID[2:])
    assert done.returncode == 1
    assert done.stdout == ""
    assert str(port) in done.stderr and "in use" in done.stderr


def test_a_udp_port_in_use_is_told_and_nothing_starts() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        done = run("--listen", f"turbo:127.0.0.1:0,udp={port}", *VALID[2:])
    assert done.returncode == 1
    assert done.stdout == ""
    assert str(port) in done.stderr and "in use" in done.stderr


def test_a_turbo_listener_takes_one_number_for_tcp_and_udp(proxies: Proxies) -> None:
    edge = proxies.edge(1)
    assert edge.port == edge.udp_port


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_connections_finish_before_the_end_and_new_ones_are_refused(proxies: Proxies,
                                                                    number: signal.Signals) -> None:
    with TcpServer(flight_then_echo) as server:
        pair = proxies.pair(server.port, drain_timeout_s=FAR_TOO_LONG_S)
        with connect(pair.port) as client:
            client.sendall(client_hello())
            assert read_exactly(client, len(FLIGHT)) == FLIGHT
            for proxy in (pair.sidecar, pair.edge):
                proxy.signal(number)
                wait_until("new connections are refused", lambda: refuses(proxy.port))
            client.sendall(b"still here")
            assert finish(client) == b"still here"
        server.result()
        assert pair.sidecar.wait() == 0
        assert pair.edge.wait() == 0
        for proxy in (pair.sidecar, pair.edge):
            assert SERVER_NAME in {record["server_name"] for record in proxy.records()}


def refuses(port: int) -> bool:
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # the listener closed with us in its queue
        pass
    return False


def test_a_session_that_udp_began_may_join_after_the_signal(proxies: Proxies) -> None:
    """Its client has consumed bytes and could not start again (protocol §7.5)."""
    with TcpServer(flight_then_echo) as server:
        edge = proxies.edge(server.port, drain_timeout_s=FAR_TOO_LONG_S)
        with WireClient(edge) as pending, WireClient(edge) as late:
            pending.send_hello()
            pending.receive_stream(len(FLIGHT))
            edge.signal(signal.SIGTERM)
            edge.stderr.wait_for(lambda line: "stopping" in line)
            late.send_hello()
            assert late.receive().flags & REFUSED, "new sessions are refused"
            with pending.join(b"x") as tcp:
                assert finish(tcp) == b"x"
        server.result()
        assert edge.wait() == 0
        assert server.accepted == 1


def test_an_idle_proxy_ends_at_once(proxies: Proxies) -> None:
    pair = proxies.pair(1, drain_timeout_s=FAR_TOO_LONG_S)
    for proxy in (pair.sidecar, pair.edge):
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0


@pytest.mark.parametrize("drain_timeout_s", [0, 0.3])
def test_the_drain_timeout_cuts_what_does_not_end(proxies: Proxies, drain_timeout_s: float) -> None:
    with TcpServer(echo_or_nothing) as server:
        proxy = proxies.plain(server.port, drain_timeout_s=drain_timeout_s)
        with connect(proxy.port) as client:
            client.sendall(b"x")
            assert read_exactly(client, 1) == b"x"
            proxy.signal(signal.SIGTERM)
            assert proxy.wait() == 0
            assert is_reset(client), "a stream that was cut does not look complete"
        assert proxy.record()["bytes_c2s"] == 1


def echo_or_nothing(connection: socket.socket) -> None:
    """A connection that is cut off may be gone between its end and ours (ENOTCONN is no ConnectionError)."""
    with suppress(OSError):
        echo(connection)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_drain(proxies: Proxies, second: signal.Signals) -> None:
    with TcpServer(echo_or_nothing) as server:
        proxy = proxies.plain(server.port, drain_timeout_s=FAR_TOO_LONG_S)
        with connect(proxy.port) as client:
            client.sendall(b"x")
            assert read_exactly(client, 1) == b"x"
            proxy.signal(signal.SIGTERM)
            wait_until("new connections are refused", lambda: refuses(proxy.port))
            proxy.signal(second)
            assert proxy.wait() == 0


def test_signals_to_a_process_that_is_ending_change_nothing(proxies: Proxies) -> None:
    """It ends well, and its log says so."""
    proxy = proxies.plain(1, options=["--workers", "16"])
    while proxy.exit_code is None:
        proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0
    assert proxy.stderr.matching(lambda line: '"stopped"' in line)


FEW_FILES = 64
ONE_WORKER = ("--workers", "1")
"""Each has files of its own: with many of them so few are not enough to begin. And one takes clients in their order."""
MANY_CLIENTS = 200


@pytest.mark.parametrize("way", ["plain", "sidecar", "edge"])
def test_running_out_of_descriptors_is_survived(proxies: Proxies, way: str) -> None:
    """Accepting pauses and resumes: everybody is served, it is logged once, and nothing spins meanwhile."""
    with TcpServer(flight_then_echo) as server:
        proxy = start_with_few_files(proxies, way, server.port)
        everybody = threading.Barrier(MANY_CLIENTS)

        def visit(_: int) -> None:
            with connect(proxy.port) as client:
                everybody.wait(DEADLINE_S)  # nobody is done before all have connected
                client.sendall(client_hello())
                assert read_exactly(client, len(FLIGHT)) == FLIGHT
                assert finish(client) == b""

        with ThreadPoolExecutor(MANY_CLIENTS) as pool:
            list(pool.map(visit, range(MANY_CLIENTS)))
        assert len(proxy.wait_for_records(MANY_CLIENTS)) == MANY_CLIENTS
        assert 1 <= len(complaints(proxy)) <= 3, "logged once, not once a connection"


def start_with_few_files(proxies: Proxies, way: str, server_port: int) -> Proxy:
    if way == "plain":
        return proxies.plain(server_port, open_files=FEW_FILES, options=ONE_WORKER)
    if way == "edge":
        return proxies.edge(server_port, open_files=FEW_FILES, options=ONE_WORKER)
    edge = proxies.edge(server_port)
    return proxies.sidecar(edge.port, udp_port=edge.udp_port, open_files=FEW_FILES, options=ONE_WORKER)


def complaints(proxy: Proxy) -> list[str]:
    """Log lines about a lack of descriptors."""
    return proxy.stderr.matching(
        lambda line: json.loads(line)["message"] != "connection"
        and ("descriptor" in line or "open files" in line))


def test_a_lack_of_descriptors_does_not_make_it_spin(proxies: Proxies) -> None:
    with TcpServer(echo) as server:
        proxy = proxies.plain(server.port, open_files=FEW_FILES, options=ONE_WORKER)
        clients = [connect(proxy.port) for _ in range(FEW_FILES)]
        for client in clients:
            client.sendall(b"x")
        wait_until("the lack of descriptors was logged", lambda: complaints(proxy))
        before = proxy.cpu_seconds()
        with pytest.raises(TimeoutError):
            clients[-1].settimeout(1)
            clients[-1].recv(1)
        assert proxy.cpu_seconds() - before < 0.3
        for client in clients:
            client.settimeout(DEADLINE_S)
            assert finish(client) == b"x"
            client.close()


def test_writing_to_a_peer_that_is_gone_does_not_end_it(proxies: Proxies) -> None:
    """SIGPIPE, and a client that leaves in the middle of much data."""
    def pour(connection: socket.socket) -> None:
        try:
            while True:
                connection.sendall(bytes(1 << 16))
        except (BrokenPipeError, ConnectionResetError):
            pass

    with TcpServer(pour) as server:
        proxy = proxies.plain(server.port)
        for _ in range(10):
            client = connect(proxy.port)
            read_exactly(client, 1 << 16)
            client.close()
            client = connect(proxy.port)
            read_exactly(client, 1 << 16)
            reset(client)
        for _ in range(20):
            server.result()
        assert len(proxy.wait_for_records(20)) == 20


def test_a_closed_standard_error_does_not_end_it() -> None:
    """Whoever read the log went away: connections matter more."""
    argv = [sanitized_proxy(), "--listen", "tcp:127.0.0.1:0", "--log-level", "debug"]
    with TcpServer(echo) as server:
        process = subprocess.Popen([*argv, "--upstream", f"tcp:127.0.0.1:{server.port}"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout and process.stderr
        with process:
            try:
                port = int(process.stdout.readline().rpartition(b":")[2])
                process.stderr.close()
                for _ in range(3):
                    with connect(port) as client:
                        client.sendall(b"x")
                        assert finish(client) == b"x"
            finally:
                process.terminate()
            assert process.wait(DEADLINE_S) == 0


def test_descriptors_and_memory_come_back(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server:
        pair = proxies.pair(server.port)
        converse(pair.port)
        pair.sidecar.record(), pair.edge.record()
        files = [proxy.open_files() for proxy in (pair.sidecar, pair.edge)]
        for _ in range(50):
            converse(pair.port)
        pair.sidecar.wait_for_records(51)
        pair.edge.wait_for_records(51)
        pipes = 4  # descriptors of the two pipes that a connection may want; they are kept
        pair.sidecar.wait_until_idle(files[0] + pipes)
        pair.edge.wait_until_idle(files[1] + pipes)


def test_the_access_record_tells_the_whole_story(proxies: Proxies) -> None:
    question = b"a question" * 100
    hellos = []
    with TcpServer(flight_then_echo) as server:
        pair = proxies.pair(server.port)
        pair.assert_turbo(lambda: hellos.append(converse(pair.port, question)))
        sidecar, edge = pair.sidecar.records()[-1], pair.edge.records()[-1]
    assert sidecar["listener"] == "tcp:127.0.0.1:0"  # its name, as metrics have it
    assert str(pair.edge.port) in sidecar["upstream"]
    assert str(server.port) in edge["upstream"]
    for record in (sidecar, edge):
        assert record["level"] == "info"
        assert record["client"].startswith("127.0.0.1:")
        assert record["server_name"] == SERVER_NAME
        assert record["bytes_c2s"] == len(hellos[-1]) + len(question)
        assert record["bytes_s2c"] == len(FLIGHT) + len(question)
        assert 0 < record["duration_us"] < 60_000_000
    assert 0 < sidecar["first_response_us"] <= sidecar["first_answer_us"] <= sidecar["duration_us"]
    assert sidecar["rtt_us"] > 0


def test_there_is_one_access_record_for_each_connection(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server:
        pair = proxies.pair(server.port)
        names = set()
        for _ in range(20):
            with connect(pair.port) as client:
                client.sendall(client_hello())
                assert read_exactly(client, len(FLIGHT)) == FLIGHT
                assert finish(client) == b""
                names.add(name_of(client))
        assert {record["client"] for record in pair.sidecar.wait_for_records(20)} == names
        assert len(pair.edge.wait_for_records(20)) == 20
        proxies.stop()
        assert len(pair.sidecar.records()) == len(pair.edge.records()) == 20


def test_the_log_says_why_a_connection_failed(proxies: Proxies) -> None:
    with DeadPort() as dead:
        proxy = proxies.plain(dead.port)
        assert meets_reset(proxy.port)
        assert proxy.record()["bytes_c2s"] == 0
        assert proxy.stderr.matching(lambda line: "refused" in line and str(dead.port) in line)


def test_a_hostile_server_name_cannot_forge_the_log(proxies: Proxies) -> None:
    """The name comes from the network; in the log it is escaped."""
    wanted = SERVER_NAME.encode()
    hostile = b'a"\n{}\\ \xff\x00"'[:len(wanted)].ljust(len(wanted), b"!")
    hello = client_hello().replace(wanted, hostile)
    with TcpServer(flight_then_echo) as server:
        for log_format in ("json", "text"):
            proxy = proxies.edge(server.port, log_format=log_format)
            converse(proxy.port, hello=hello)
            lines = proxy.stderr.wait_for(lambda line: "connection" in line)
            assert len(lines) == 1


def test_the_log_may_be_text(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server:
        pair = proxies.pair(server.port, log_format="text")
        converse(pair.port)
        for proxy in (pair.sidecar, pair.edge):
            line = proxy.stderr.wait_for(lambda text: " connection " in text)[0]
            fields = dict(part.split("=", 1) for part in shlex.split(line) if "=" in part)
            assert fields.keys() == RECORD_KEYS - {"time", "level", "message"}
            assert fields["server_name"] == SERVER_NAME
            assert int(fields["bytes_s2c"]) > len(FLIGHT)


@pytest.mark.parametrize("level, says", [("error", False), ("warning", False), ("info", True),
                                         ("debug", True)])
def test_the_log_level_decides_what_is_said(proxies: Proxies, level: str, says: bool) -> None:
    with TcpServer(echo) as server:
        proxy = proxies.plain(server.port, options=["--log-level", level])
        with connect(proxy.port) as client:
            assert finish(client) == b""
        server.result()
        proxy.stop()
        assert bool(proxy.records()) == says
