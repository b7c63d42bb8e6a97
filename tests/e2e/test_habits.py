"""What operators do out of habit, or their machines do to the program, must end well."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from harness.hello import client_hello
from harness.programs import sanitized_proxy
from harness.proxy import Proxies
from harness.scripted import converse, echo, finish, flight_then_echo
from harness.sockets import DeadPort, TcpServer, connect, meets_reset
from harness.wait import DEADLINE_S, wait_until


def test_a_signal_that_means_nothing_here_ends_nothing(proxies: Proxies) -> None:
    with TcpServer(echo) as server:
        proxy = proxies.plain(server.port)
        with connect(proxy.port) as client:
            client.sendall(b"before ")
            proxy.signal(signal.SIGUSR1)
            proxy.stderr.wait_for(lambda line: "this signal does nothing here" in line)
            client.sendall(b"and after")
            assert finish(client) == b"before and after"


@pytest.mark.parametrize("way", ["plain", "edge", "sidecar"])
def test_a_connection_whose_server_is_down_is_logged_as_failed(proxies: Proxies, way: str) -> None:
    with DeadPort() as dead:
        proxy = getattr(proxies, way)(dead.port)
        assert meets_reset(proxy.port, client_hello())
        record = proxy.record()
    assert (record["outcome"], record["reason"]) == ("failed", "upstream-unreached")
    assert record["rtt_us"] == 0


def test_the_end_of_an_edge_tells_what_became_of_datagrams(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server:
        pair = proxies.pair(server.port)
        pair.assert_turbo(lambda: converse(pair.port))
        pair.edge.stop()
        [line] = pair.edge.stderr.matching(lambda line: '"message":"datagrams"' in line)
    assert '"junk":0' in line
    assert '"joined":0' not in line


def test_closed_standard_streams_are_no_place_for_sockets() -> None:
    """The log must not go where a socket has taken the number of standard error."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sanitized_proxy(), "--listen",
         "tcp:127.0.0.1:0", "--upstream", "tcp:127.0.0.1:1"])
    try:
        wait_until("it listens to SIGTERM", lambda: _catches(process.pid, signal.SIGTERM))
        assert _standard_streams(process.pid) == ["/dev/null"] * 3
    finally:
        process.terminate()
        assert process.wait(DEADLINE_S) == 0


def _standard_streams(pid: int) -> list[str]:
    return [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)]


def _catches(pid: int, number: signal.Signals) -> bool:
    """Does the process have a handler for the signal?"""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (number - 1) & 1)


def test_help_that_nobody_can_read_is_a_failure() -> None:
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([sanitized_proxy(), "--help"], stdout=full, check=False,
                              timeout=DEADLINE_S)
    assert done.returncode == 1


def test_too_few_open_files_are_refused_at_the_start() -> None:
    done = subprocess.run(
        ["prlimit", "--nofile=20:20", sanitized_proxy(), "--listen", "tcp:127.0.0.1:0", "--upstream",
         "tcp:127.0.0.1:1"], capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == 1
    assert "raise ulimit -n" in done.stderr
    assert done.stdout == ""
