"""Two network namespaces and a wire between them:

    world 10.77.0.2 ---- 10.77.0.1 server

In the server's namespace are the TLS server and the edge. The world is everybody else, attackers and clients;
whatever address a packet of theirs claims to come from, the answer goes to the world. 10.99.0.0/16 is there too, for
attackers who need answers.
"""

import os
import subprocess
from pathlib import Path

from harness.process import Child
from harness.programs import program
from harness.wait import wait_until

EDGE = "10.77.0.1"
CLIENT = "10.77.0.2"
WIRE = "eth0"
_ATTACKERS = "10.99.0.0/16"
_MAC = {"server": "02:00:00:00:77:01", "world": "02:00:00:00:77:02"}

_CPUS = sorted(os.sched_getaffinity(0))
SERVER_CPU, WORLD_CPU = _CPUS[-1], _CPUS[0]
"""The edge and its TLS server have one core, all others the other."""


class Network:
    """Both namespaces, each kept by a process that does nothing; with it the namespace is gone."""

    def __init__(self) -> None:
        assert os.geteuid() == 0, "network namespaces and raw sockets need root"
        os.sched_setaffinity(0, {WORLD_CPU})
        self._keepers = {name: self._keep() for name in ("server", "world")}
        self._link()

    @staticmethod
    def _keep() -> Child:
        child = Child([program("unshare", "util-linux"), "--net", "sleep", "infinity"])
        ours = os.readlink("/proc/self/ns/net")
        wait_until("the network namespace is there",
                   lambda: os.readlink(f"/proc/{child.pid}/ns/net") != ours)
        return child

    def _link(self) -> None:
        server, world = (str(self._keepers[name].pid) for name in ("server", "world"))
        _run("ip", "link", "add", WIRE, "address", _MAC["server"], "netns", server,
             "type", "veth", "peer", "name", WIRE, "address", _MAC["world"], "netns", world)
        for name, own, peer in (("server", EDGE, CLIENT), ("world", CLIENT, EDGE)):
            other = "world" if name == "server" else "server"
            self._ip(name, "link", "set", "lo", "up")
            self._ip(name, "address", "add", f"{own}/24", "dev", WIRE)
            self._ip(name, "link", "set", WIRE, "up")
            self._ip(name, "neighbour", "replace", peer, "lladdr", _MAC[other], "dev", WIRE, "nud", "permanent")
        self._ip("server", "route", "add", "default", "via", CLIENT)
        self._ip("world", "route", "add", "local", _ATTACKERS, "dev", "lo")

    def _ip(self, name: str, *arguments: str) -> None:
        _run(*self.inside(name), "ip", *arguments)

    def inside(self, name: str) -> list[str]:
        """The beginning of a command line that runs a program there, on the core of that side."""
        cpu = SERVER_CPU if name == "server" else WORLD_CPU
        return [program("nsenter", "util-linux"), f"--net=/proc/{self._keepers[name].pid}/ns/net",
                program("taskset", "util-linux"), "--cpu-list", str(cpu)]

    def __enter__(self) -> "Network":
        return self

    def __exit__(self, *_: object) -> None:
        for keeper in self._keepers.values():
            keeper.stop()


def _run(*argv: str | Path) -> None:
    subprocess.run(argv, check=True, timeout=30)
