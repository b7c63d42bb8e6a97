"""Edges behind a balancer of deploy/scale/nftables, each with a TLS server, in a network of their own.

    clients 198.51.100.1..N ---- balancer 10.0.1.1 ---- 10.0.1.2 edge 1: nginx behind a turbotls-proxy
            2001:db8:1::1..N              fd00:1::1     fd00:1::2
                                          10.0.2.1 ---- 10.0.2.2 edge 2 ...

Client i connects to 192.0.2.i, or 2001:db8:2::i, from its own address, and by the sidecar's port number i. One host
has all of them.
"""

import json
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

from .namespace import Host, join
from .pki import SERVER_NAME, Pki
from .process import Child
from .programs import REPOSITORY, program
from .proxy import Proxies, Proxy
from .wait import DEADLINE_S, wait_until

SCALE = REPOSITORY / "deploy" / "scale" / "nftables"
PORT = 443
SERVER_PORT = 8443
IPV6_EVERY = 4
"""Every so many-th client has IPv6."""

_CLASSIC_EVERY = 5

_NGINX = """
    daemon off; master_process off; pid {folder}/{name}.pid;
    error_log stderr crit; events {{ worker_connections 4096; }}
    http {{
        access_log off; keepalive_timeout 60;
        client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
        uwsgi_temp_path {folder}; scgi_temp_path {folder};
        ssl_certificate {certificate}; ssl_certificate_key {key};
        server {{
            listen 127.0.0.1:{port} ssl backlog=1024;
            location / {{ return 200 "{name}"; }}
        }}
    }}
"""


class Edge:
    """A host with an edge and its server."""

    def __init__(self, number: int, balancer: Host, proxies: Proxies, pki: Pki, folder: Path, binary: Path | None) -> None:
        self.name = f"edge-{number}"
        self.addresses = (f"10.0.{number}.2", f"fd00:{number}::2")
        self.host = Host()
        self.device = f"edge{number}"
        join(balancer, self.device, (f"10.0.{number}.1/24", f"fd00:{number}::1/64"),
             self.host, "eth0", (f"{self.addresses[0]}/24", f"{self.addresses[1]}/64"))
        self.host.ip(f"route add default via 10.0.{number}.1")
        self.host.ip(f"route add default via fd00:{number}::1")
        self._nginx = self._serve(pki, folder)
        self.proxy: Proxy = proxies.edge(SERVER_PORT, listen=f"turbo:*:{PORT}", host=self.host, binary=binary,
                                         options=("--source-rate", "100000", "--session-rate", "100000"))

    def _serve(self, pki: Pki, folder: Path) -> Child:
        certificate, key = pki.server()
        configuration = folder / f"{self.name}.conf"
        configuration.write_text(_NGINX.format(folder=folder, name=self.name, port=SERVER_PORT,
                                               certificate=certificate, key=key))
        nginx = self.host.start(program("nginx", "nginx"), "-e", "stderr", "-c", configuration)
        pid = folder / f"{self.name}.pid"
        wait_until(f"{self.name}'s nginx listens", lambda: nginx.exit_code is not None or pid.exists())
        assert nginx.exit_code is None, nginx.stderr.text()
        return nginx

    def vanish(self) -> None:
        """Its host answers nobody any more."""
        for family in ("-4", "-6"):
            self.host.ip(f"{family} route flush default")

    def close(self) -> None:
        self._nginx.stop()
        self.host.close()


@dataclass(frozen=True)
class Visited:
    """How one connection went; see visits.py."""

    number: int
    end: int
    way: str
    began: float
    ended: float
    step: str
    edge: str | None
    problem: str | None


class Load:
    """Connections under way."""

    def __init__(self, child: Child) -> None:
        self._child = child

    @property
    def ended(self) -> int:
        """Connections, well or not."""
        return len(self._child.stdout.all())

    def wait_for(self, count: int, timeout_s: float = DEADLINE_S) -> None:
        """Until so many have ended."""
        self._child.stdout.wait_for(lambda _: True, count, timeout_s)

    def finish(self, timeout_s: float = DEADLINE_S) -> list[Visited]:
        """Begins no more, and waits for those that are under way."""
        self._child.write_end()
        code = self._child.wait(timeout_s)
        assert code == 0, self._child.stderr.text()
        return [Visited(**json.loads(line)) for line in self._child.stdout.all()]


class Fleet:
    """All of it, with `edges` of the hosts in use: the others are there, and can be added."""

    def __init__(self, proxies: Proxies, pki: Pki, folder: Path, *, clients: int, hosts: int, edges: int,
                 binary: Path | None = None, sidecar_workers: int = 0) -> None:
        """Workers: 0 is one a core."""
        self._pki, self._folder, self._proxies = pki, folder, proxies
        self.stay_s = 0.5  # the longest that a client stays between its two requests
        self.visitors: Sequence[int] = range(clients)  # by index: the clients of a load
        with ExitStack() as opened:
            self.clients = opened.enter_context(Host())
            self.balancer = opened.enter_context(Host())
            for parameter in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
                self.balancer.set(parameter, 1)
            own = [self._own(number) for number in range(1, clients + 1)]
            join(self.clients, "eth0", [f"{address}/{64 if ':' in address else 24}" for address in own],
                 self.balancer, "outside", ("198.51.100.254/24", "2001:db8:1::ffff/64"))
            self._lead_each_its_way(own)
            self.edges = []
            for number in range(1, hosts + 1):
                self.edges.append(Edge(number, self.balancer, proxies, pki, folder, binary))
                opened.callback(self.edges[-1].close)
            self.load_rules()
            self.change("set", *self.edges[:edges])
            self.sidecar = self._start_sidecar(proxies, binary, clients, sidecar_workers)
            self._own_addresses = own
            self._opened = opened.pop_all()

    @staticmethod
    def _own(number: int) -> str:
        return f"2001:db8:1::{number:x}" if number % IPV6_EVERY == 0 else f"198.51.100.{number}"

    @staticmethod
    def _service(number: int) -> str:
        return f"2001:db8:2::{number:x}" if number % IPV6_EVERY == 0 else f"192.0.2.{number}"

    def _lead_each_its_way(self, own: Sequence[str]) -> None:
        routes = [f"route add {self._service(number)} via {'2001:db8:1::ffff' if ':' in address else '198.51.100.254'} "
                  f"src {address}\n" for number, address in enumerate(own, 1)]
        self.clients.run(program("ip", "iproute2"), "-batch", "-", stdin="".join(routes))

    def load_rules(self) -> None:
        text = (SCALE / "balancer.nft").read_text()
        for theirs, ours in (("address4 = 192.0.2.10", "address4 = 192.0.2.0/24"),
                             ("address6 = 2001:db8::10", "address6 = 2001:db8:2::/64")):
            assert theirs in text
            text = text.replace(theirs, ours)
        self.balancer.run("nft", "--file", "-", stdin=text)

    def _start_sidecar(self, proxies: Proxies, binary: Path | None, clients: int, workers: int) -> Proxy:
        """UDP is used though TCP is up at once here."""
        text = "".join(f"""
            listener {{ name: "l{number}" protocol: TCP address: "127.0.0.1:0" route {{ upstream: "u{number}" }} }}
            upstream {{
              name: "u{number}" protocol: TURBO turbo: ALWAYS server {{ address: "{host}:{PORT}" }}
            }}""" for number in range(1, clients + 1)
            for host in [f"[{self._service(number)}]" if number % IPV6_EVERY == 0 else self._service(number)])
        if workers:
            text += f"process {{ workers: {workers} }}"
        return proxies.configured(self._folder, text, host=self.clients, binary=binary)

    def change(self, command: str, *edges: Edge) -> str:
        """By edges.py: "set", "add", "drain", "remove"."""
        return self.edges_py(command, *(address for edge in edges for address in edge.addresses))

    def show(self) -> str:
        return self.edges_py("show")

    def edges_py(self, *words: str) -> str:
        return self.balancer.run(sys.executable, SCALE / "edges.py", *words)

    def kill(self, edge: Edge) -> None:
        """The edge ends, its host and server do not."""
        self._proxies.kill(edge.proxy)

    def tear(self, by_udp: Edge, by_tcp: Edge) -> None:
        """What a balancer must not do: UDP goes to one edge, TCP to another."""
        rules = []
        for family, address, index in (("ip", "192.0.2.0/24", 0), ("ip6", "2001:db8:2::/64", 1)):
            for protocol, edge in (("udp", by_udp), ("tcp", by_tcp)):
                rules.append(f"add rule inet torn prerouting {family} daddr {address} {protocol} dport {PORT} "
                             f"dnat {family} to {edge.addresses[index]}\n")
        self.balancer.run("nft", "--file", "-", stdin="""
            table inet torn {
                chain prerouting { type nat hook prerouting priority dstnat - 1; }
            }
            """ + "".join(rules))

    def mend(self) -> None:
        """Ends `tear`."""
        self.balancer.run("nft", "delete", "table", "inet", "torn")

    def load(self, count: int, at_once: int, clients: Sequence[int] = ()) -> Load:
        """Of the visitors in turn, or of some clients by index; some of them are classic, and go without the sidecar."""
        ends: list[tuple[str, str, int, str | None]] = []
        for index in clients or self.visitors:
            if index % _CLASSIC_EVERY == 0:
                ends.append(("classic", self._service(index + 1), PORT, self._own_addresses[index]))
            else:
                ends.append(("turbo", "127.0.0.1", self.sidecar.listeners[index].port, None))
        settings = {"ca": str(self._pki.ca), "name": SERVER_NAME, "count": count, "at_once": at_once, "stay_s": self.stay_s,
                    "ends": ends}
        return Load(self.clients.start(sys.executable, Path(__file__).with_name("visits.py"), json.dumps(settings),
                                       stdin=True))

    def outcomes(self) -> Counter:
        """Of the connections through the sidecar: outcome and reason."""
        return Counter((record["outcome"], record["reason"]) for record in self.sidecar.records())

    def close(self) -> None:
        self._opened.close()

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
