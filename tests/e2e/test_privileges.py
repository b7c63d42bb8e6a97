"""Started by root, run as somebody else: what the process is, what it still can, and what comes after it."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Iterator

import pytest

from harness.programs import program, release_proxy
from harness.proxy import Proxies, Proxy
from harness.scripted import echo
from harness.sockets import TcpServer
from harness.wait import DEADLINE_S, wait_until

USER = "nobody"
BIND_SERVICE, NET_RAW = 1 << 10, 1 << 13
HOST = "127.0.0.77"  # nobody else's ports below 1024
PORT, OTHER_PORT = 701, 702

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A directory that the user can read, with all that are above it."""
    path = Path(tempfile.mkdtemp(prefix="turbotls-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def configuration(ports: list[int], server_port: int, process: str) -> str:
    listeners = [f'listener {{ protocol: TURBO address: "{HOST}:{port}" route {{ upstream: "s" }} }}\n' for port in ports]
    upstream = f'upstream {{ name: "s" server {{ address: "127.0.0.1:{server_port}" }} }}\n'
    return "".join(listeners) + upstream + f"process {{ {process} }}\n"


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def assert_confined(pid: int, capabilities: int = BIND_SERVICE) -> None:
    entry = pwd.getpwnam(USER)
    now = status(pid)
    assert now["Uid"].split() == [str(entry.pw_uid)] * 4
    assert now["Gid"].split() == [str(entry.pw_gid)] * 4
    for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(now[name], 16) == capabilities, name
    assert now["NoNewPrivs"] == "1"
    if Path("/proc/sys/kernel/seccomp").exists():
        assert now["Seccomp"] == "2"


def assert_echoes(port: int) -> None:
    with socket.create_connection((HOST, port), DEADLINE_S) as client:
        client.sendall(b"not TLS")
        assert client.recv(100) == b"not TLS"


def accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), DEADLINE_S).close()
    except ConnectionRefusedError:
        return False
    except ConnectionResetError:  # by who has accepted it
        pass
    return True


def start(proxies: Proxies, folder: Path, text: str) -> Proxy:
    """By a program that the user can execute again, wherever we have been built."""
    binary = Path(shutil.copy(release_proxy(), folder))
    proxy = proxies.configured(folder, text, binary=binary)
    (folder / "0.txtpb").chmod(0o644)
    return proxy


def test_the_user_has_the_ports_of_root_and_nothing_else_of_it(proxies: Proxies, open_folder: Path) -> None:
    with TcpServer(echo) as server:
        text = configuration([PORT], server.port, f'user: "{USER}"')
        proxy = start(proxies, open_folder, text)
        assert_confined(proxy.pid)
        assert_echoes(PORT)

        # A port below 1024 can be opened later, too.
        config = open_folder / "0.txtpb"
        config.write_text(config.read_text().replace(text, configuration([PORT, OTHER_PORT], server.port, f'user: "{USER}"')))
        proxy.signal(signal.SIGHUP)
        wait_until("the new port is open", lambda: accepts(OTHER_PORT))
        assert_echoes(OTHER_PORT)

        # What the user cannot read it cannot reload.
        config.chmod(0o600)
        proxy.signal(signal.SIGHUP)
        proxy.stderr.wait_for(lambda line: "Permission denied" in line)
        assert_echoes(PORT)


def test_a_successor_is_who_its_predecessor_was(proxies: Proxies, open_folder: Path) -> None:
    with TcpServer(echo) as server:
        proxy = start(proxies, open_folder, configuration([PORT], server.port, f'user: "{USER}"'))
        # Where it is not root that could read it.
        proxy.signal(signal.SIGUSR2)
        line = proxy.stderr.wait_for(lambda line: "the new process accepts from now on" in line)[0]
        successor = int(line.split('"pid":')[1].split(",")[0].rstrip("}"))
        try:
            wait_until("the successor accepts", lambda: accepts(PORT))
            assert_confined(successor)
            assert_echoes(PORT)
        finally:
            os.kill(successor, signal.SIGTERM)


TPROXY = f'listener {{ protocol: TCP address: "{HOST}:{OTHER_PORT}" request: TPROXY route {{ upstream: "asked" }} }}\n'
TPROXY += 'upstream { name: "asked" requested: true }\n'


def reload(proxy: Proxy, folder: Path, text: str) -> None:
    config = folder / "0.txtpb"
    config.write_text(text + "\nlog { format: JSON }\ndrain_timeout_seconds: 1\n")
    proxy.signal(signal.SIGHUP)


def test_marks_and_listeners_for_tproxy_work_for_as_long_as_it_runs(proxies: Proxies, open_folder: Path) -> None:
    with TcpServer(echo) as server:
        text = configuration([PORT], server.port, f'user: "{USER}" mark: 7')
        proxy = start(proxies, open_folder, text)
        assert_confined(proxy.pid, BIND_SERVICE | NET_RAW)
        assert_echoes(PORT)
        reload(proxy, open_folder, TPROXY + text)
        wait_until("the listener for TPROXY is open", lambda: accepts(OTHER_PORT))
        assert_echoes(PORT)

        # The successor starts as that user, and opens all of them again.
        proxy.signal(signal.SIGUSR2)
        line = proxy.stderr.wait_for(lambda line: "the new process accepts from now on" in line)[0]
        successor = int(line.split('"pid":')[1].split(",")[0].rstrip("}"))
        try:
            assert_confined(successor, BIND_SERVICE | NET_RAW)
            assert_echoes(PORT)
        finally:
            os.kill(successor, signal.SIGTERM)


def test_a_listener_for_tproxy_is_reason_enough(proxies: Proxies, open_folder: Path) -> None:
    with TcpServer(echo) as server:
        proxy = start(proxies, open_folder, TPROXY + configuration([PORT], server.port, f'user: "{USER}"'))
        assert_confined(proxy.pid, BIND_SERVICE | NET_RAW)
        assert_echoes(PORT)


def test_who_did_not_need_the_capability_at_the_start_does_not_get_it(proxies: Proxies, open_folder: Path) -> None:
    with TcpServer(echo) as server:
        text = configuration([PORT], server.port, f'user: "{USER}"')
        proxy = start(proxies, open_folder, text)
        reload(proxy, open_folder, TPROXY + text)
        proxy.stderr.wait_for(lambda line: "TPROXY needs CAP_NET_RAW" in line)
        proxy.stderr.wait_for(lambda line: "the configuration stays as it was" in line)
        assert_echoes(PORT)
        assert not accepts(OTHER_PORT)

        # Another mark is for the next start: now nothing could be connected to.
        reload(proxy, open_folder, configuration([PORT], server.port, f'user: "{USER}" mark: 7'))
        proxy.stderr.wait_for(lambda line: "another user, group, sandbox, mark or number of workers takes effect with the next start" in line)
        assert_echoes(PORT)


def test_without_the_capability_for_marks_it_does_not_start(open_folder: Path) -> None:
    config = open_folder / "a.txtpb"
    config.write_text(configuration([5000 + PORT], 1, "mark: 7"))
    without = [program("setpriv", "util-linux"), "--bounding-set=-all", "--inh-caps=-all"]
    done = subprocess.run([*without, release_proxy(), "--config", config], capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 1
    assert "process.mark needs CAP_NET_RAW" in done.stderr and "AmbientCapabilities" in done.stderr
    assert not done.stdout and "listening" not in done.stderr


@pytest.mark.parametrize("process, expected", [
    ('user: "no-such-user"', 'there is no user \\"no-such-user\\"'),
    ('user: "nobody" group: "no-such-group"', 'there is no group \\"no-such-group\\"'),
])
def test_who_does_not_exist_keeps_it_from_starting(open_folder: Path, process: str, expected: str) -> None:
    config = open_folder / "a.txtpb"
    config.write_text(configuration([PORT], 1, process) + "log { format: JSON }\n")
    done = subprocess.run([release_proxy(), "--config", config], capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 1
    assert expected in done.stderr
    assert not done.stdout


def test_without_sandbox_calls_are_not_filtered(proxies: Proxies, open_folder: Path) -> None:
    with TcpServer(echo) as server:
        proxy = start(proxies, open_folder, configuration([PORT], server.port, "sandbox: false"))
        assert status(proxy.pid)["Seccomp"] == "0"
        assert_echoes(PORT)
