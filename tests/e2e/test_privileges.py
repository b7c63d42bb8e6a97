"""Started by root, run as somebody else: what the process is, what it still can, and what comes after it."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Iterator

import pytest

from harness.programs import release_proxy
from harness.proxy import Proxies, Proxy
from harness.scripted import echo
from harness.sockets import TcpServer
from harness.wait import DEADLINE_S, wait_until

USER = "nobody"
BIND_SERVICE = 1 << 10
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


def assert_confined(pid: int) -> None:
    entry = pwd.getpwnam(USER)
    now = status(pid)
    assert now["Uid"].split() == [str(entry.pw_uid)] * 4
    assert now["Gid"].split() == [str(entry.pw_gid)] * 4
    for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(now[name], 16) == BIND_SERVICE, name
    assert now["NoNewPrivs"] == "1"
    if Path("/proc/sys/kernel/seccomp").exists():
        assert now["Seccomp"] == "2"


def assert_echoes(port: int) -> None:
    with socket.create_connection((HOST, port), DEADLINE_S) as client:
        client.sendall(b"not TLS")
        assert client.recv(100) == b"not TLS"


def accepts(port: int) -> bool:
    with suppress(ConnectionRefusedError):
        socket.create_connection((HOST, port), DEADLINE_S).close()
        return True
    return False


def start(proxies: Proxies, folder: Path, text: str) -> Proxy:
    proxy = proxies.configured(folder, text, binary=release_proxy())
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
