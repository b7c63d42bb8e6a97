"""Hosts of a network that is this machine's own: network namespaces, wires between them, programs inside.

    client 198.51.100.2 ---- 198.51.100.1 gateway 203.0.113.1 ---- 203.0.113.2 server
          2001:db8:1::2 ---- 2001:db8:1::1       2001:db8:2::1 ---- 2001:db8:2::2

These addresses are for documentation (RFC 5737, RFC 3849) and count as public ones. Needs root. A namespace is held by
a process that ends with its standard input: however a test ends, nothing of it remains.
"""

import ctypes
import os
import subprocess
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Iterator, Sequence

from .process import Child
from .programs import program
from .wait import DEADLINE_S, wait_until

Argument = str | os.PathLike[str]

_CLONE_NEWNET = 0x40000000
_UNUSUAL_INDEX = 100
_libc = ctypes.CDLL(None, use_errno=True)


class Host:
    """A network namespace. Its files are this machine's, except for /etc/resolv.conf where one is given."""

    def __init__(self, resolv_conf: Path | None = None) -> None:
        assert os.geteuid() == 0, "network namespaces need root"
        kinds = ["--net", "--mount"] if resolv_conf else ["--net"]
        self._keeper = Child([program("unshare", "util-linux"), *kinds, *_propagation(), "cat"], stdin=True)
        comm = Path(f"/proc/{self._keeper.pid}/comm")
        wait_until("the namespace is there", lambda: comm.read_text() == "cat\n")
        # Another mount namespace would come with another root and working directory.
        places = ["--root", "--wd"] if resolv_conf else []
        self._enter = [program("nsenter", "util-linux"), f"--target={self.pid}", *kinds, *places, "--"]
        self.set("net/ipv6/conf/default/accept_dad", 0)  # no address is tentative at first
        self.ip("link set lo up")
        if resolv_conf:
            self.run("mount", "--bind", resolv_conf, os.path.realpath("/etc/resolv.conf"))

    @property
    def pid(self) -> int:
        """Of the process that holds it."""
        return self._keeper.pid

    def command(self, *argv: Argument) -> list[str]:
        """A command line that runs another one in there, under the process id that it starts with."""
        return [*self._enter, *map(os.fspath, argv)]

    def start(self, *argv: Argument, stdin: bool = False) -> Child:
        child = Child(self.command(*argv), stdin=stdin)
        child.name = os.path.basename(argv[0])
        return child

    def run(self, *argv: Argument, stdin: str = "") -> str:
        """Runs a program to its end, which must be a good one; gives what it printed."""
        done = subprocess.run(self.command(*argv), input=stdin, capture_output=True, text=True,
                              timeout=DEADLINE_S, check=False)
        assert done.returncode == 0, f"{argv}: exit code {done.returncode}\n{done.stderr}{done.stdout}"
        return done.stdout

    def ip(self, words: str) -> str:
        """What ip(8) is to do: "route add default via 198.51.100.1"."""
        return self.run(program("ip", "iproute2"), *words.split())

    def set(self, parameter: str, value: int) -> None:
        """set("net/ipv4/ip_forward", 1)."""
        self.run("sh", "-c", f"echo {value} >/proc/sys/{parameter}")

    def plug(self, device: str, addresses: Sequence[str]) -> None:
        for address in addresses:
            self.ip(f"address add {address} dev {device}")
        self.ip(f"link set {device} up")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Sockets that this thread makes meanwhile are in there, and stay there."""
        with open("/proc/thread-self/ns/net") as before, open(f"/proc/{self.pid}/ns/net") as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())

    def close(self) -> None:
        self._keeper.stop()

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _propagation() -> list[str]:
    """In a plain chroot the root is no mount, and cannot be told to keep to itself what is mounted below it."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return [] if any(mount.split()[4] == "/" for mount in mounts) else ["--propagation", "unchanged"]


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def join(one: Host, device: str, addresses: Sequence[str], other: Host, other_device: str,
         other_addresses: Sequence[str]) -> None:
    """Lays a wire between two hosts. The addresses are with their network: "203.0.113.2/24"."""
    # Where both ends had the same number, the kernel would take a second to notice that they are connected.
    index = _UNUSUAL_INDEX + len(one.ip("-oneline link").splitlines())
    one.ip(f"link add {device} index {index} type veth peer name {other_device} netns {other.pid}")
    one.plug(device, addresses)
    other.plug(other_device, other_addresses)


CLIENT = ("198.51.100.2", "2001:db8:1::2")
GATEWAY_INSIDE = ("198.51.100.1", "2001:db8:1::1")
GATEWAY_OUTSIDE = ("203.0.113.1", "2001:db8:2::1")
SERVER = ("203.0.113.2", "2001:db8:2::2")


class Network:
    """The three hosts drawn above. The gateway forwards; its devices are "inside" and "outside"."""

    def __init__(self, resolv_conf: Path | None = None) -> None:
        """`resolv_conf`: of all three."""
        with ExitStack() as opened:
            self.client, self.gateway, self.server = (opened.enter_context(Host(resolv_conf)) for _ in range(3))
            self._connect()
            self._opened = opened.pop_all()

    def _connect(self) -> None:
        for parameter in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
            self.gateway.set(parameter, 1)
        join(self.client, "eth0", _networks(CLIENT), self.gateway, "inside", _networks(GATEWAY_INSIDE))
        join(self.gateway, "outside", _networks(GATEWAY_OUTSIDE), self.server, "eth0", _networks(SERVER))
        for host, routers in ((self.client, GATEWAY_INSIDE), (self.server, GATEWAY_OUTSIDE)):
            for router in routers:
                host.ip(f"route add default via {router}")

    def close(self) -> None:
        self._opened.close()

    def __enter__(self) -> "Network":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _networks(addresses: Sequence[str]) -> list[str]:
    return [f"{address}/{64 if ':' in address else 24}" for address in addresses]
