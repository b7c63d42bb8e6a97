"""Who is there while an edge is attacked: a TLS server, the edge, a sidecar, and well-behaved clients."""

import json
import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Sequence

from harness.pki import Pki
from harness.process import Child
from harness.programs import REPOSITORY, program, release_proxy
from harness.wait import DEADLINE_S, wait_until
from network import CLIENT, EDGE, WIRE, Network

EDGE_PORT = 443
_SERVER_PORT = 8443
_SIDECAR_PORT = 4433
_PAGE_PATH = "/page.html"
_PAGE = b"".join(b"line %04d of the page that every client must get\n" % number for number in range(200))
_SAMPLE_S = 0.05
_ATTEMPTS, _WARM_UP_RATE = 5, 10

_NGINX = """
    daemon off; master_process off; pid {folder}/nginx.pid; worker_rlimit_nofile 19000;
    error_log stderr crit; events {{ worker_connections 18000; }}
    http {{
        access_log off; default_type text/html; root {folder};
        client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
        uwsgi_temp_path {folder}; scgi_temp_path {folder};
        server {{
            listen 127.0.0.1:{port} ssl backlog=4096;
            ssl_certificate {certificate}; ssl_certificate_key {key};
            ssl_protocols TLSv1.3; ssl_session_cache off; ssl_session_tickets off;
        }}
    }}
"""


def _tool(name: str) -> Path:
    folder = os.environ.get("TURBOTLS_ATTACK_TOOLS", REPOSITORY / "build" / "tests" / "attack")
    path = Path(folder) / name
    assert os.access(path, os.X_OK), f"{path} is not there; build it, or set TURBOTLS_ATTACK_TOOLS"
    return path


def _open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


class Tool(Child):
    """One of our tools, which waits to be told to begin, and says at its end in a line of JSON what it has done."""

    def __init__(self, argv: Sequence[str]) -> None:
        super().__init__(argv, stdin=True)

    def ready(self) -> "Tool":
        """Its start takes time of the core that clients are measured on, so nothing else may run yet."""
        self.stdout.wait_for(lambda line: line == "ready")
        return self

    def go(self) -> None:
        self.write(b"\n")

    def result(self, timeout_s: float = DEADLINE_S) -> dict[str, Any]:
        code = self.wait(timeout_s)
        assert code == 0, f"{' '.join(self.argv)}: exit code {code}\n{self.stderr.text()}"
        return json.loads(self.stdout.all()[-1])

    def end(self) -> dict[str, Any]:
        self.stop()
        return self.result()


class Edge(Child):
    """The proxy in front of the TLS server. Its log goes to a file, without a million lines on connections."""

    _WITHOUT_CONNECTIONS = 'exec "$@" 2> >(grep --line-buffered -v \'"message":"connection"\' >"$0")'

    _TOUCH_WHAT_IS_ALLOCATED = {"GLIBC_TUNABLES": "glibc.malloc.perturb=165"}
    """Pages that were allocated and never written would not count as resident."""

    def __init__(self, network: Network, folder: Path, touch_memory: bool) -> None:
        self._log = folder / "edge.log"
        proxy = [str(release_proxy()), "--listen", f"turbo:{EDGE}:{EDGE_PORT}", "--log-format", "json",
                 "--upstream", f"tcp:127.0.0.1:{_SERVER_PORT}", "--drain-timeout", "0"]
        super().__init__([*network.inside("server"), program("bash", "bash"), "-c",
                          self._WITHOUT_CONNECTIONS, str(self._log), *proxy],
                         env=self._TOUCH_WHAT_IS_ALLOCATED if touch_memory else None)
        self.stdout.wait_for(lambda line: line.startswith("listening "))
        self.idle_bytes = self.status_bytes("VmRSS")

    def status_bytes(self, key: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"the edge is gone: no {key}\n{self.log()}")

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log(self) -> str:
        return self._log.read_text()

    def counters(self) -> dict[str, int]:
        """Ends the edge, which must be alive and end well, and gives what it counted."""
        code = self.stop()
        assert code == 0, f"the edge ended with {code}:\n{self.log()[-4000:]}"
        wait_until("the edge's log is written", lambda: '"message":"datagrams"' in self.log())
        found = [json.loads(line) for line in self.log().splitlines() if '"datagrams"' in line]
        return {key: value for key, value in found[-1].items() if isinstance(value, int)}


class Watch:
    """The most descriptors that some processes had open, looked at again and again."""

    def __init__(self, **pids: int) -> None:
        self._pids = pids
        self.most = {name: 0 for name in pids}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(_SAMPLE_S):
            for name, pid in self._pids.items():
                try:
                    self.most[name] = max(self.most[name], _open_files(pid))
                except OSError:  # it has crashed; others will say so
                    return

    def stop(self) -> None:
        self._over.set()
        self._thread.join(DEADLINE_S)


class Scene:
    """One edge from its start to its end. All of it is fresh for every attack."""

    def __init__(self, network: Network, pki: Pki, folder: Path, touch_memory: bool) -> None:
        self._network, self._pki, self._folder = network, pki, folder
        (folder / _PAGE_PATH[1:]).write_bytes(_PAGE)
        self._children: list[Child] = []
        self._nginx = self._start_nginx()
        self.edge = self._keep(Edge(network, folder, touch_memory))
        self._sidecars = [self._start_sidecar()]
        self._warm_up()
        self._idle = _open_files(self._nginx.pid)
        self.watch = Watch(edge=self.edge.pid, server=self._nginx.pid)

    def _keep(self, child: Any) -> Any:
        self._children.append(child)
        return child

    def _start_nginx(self) -> Child:
        certificate, key = self._pki.server()
        configuration = self._folder / "nginx.conf"
        configuration.write_text(_NGINX.format(folder=self._folder, port=_SERVER_PORT,
                                               certificate=certificate, key=key))
        nginx = self._keep(Child([*self._network.inside("server"), program("nginx", "nginx"),
                                  "-e", "stderr", "-c", str(configuration)]))
        wait_until("nginx is there", lambda: nginx.exit_code is not None or
                   (self._folder / "nginx.pid").exists() and (self._folder / "nginx.pid").read_text())
        assert nginx.exit_code is None, nginx.stderr.text()
        return nginx

    def _start_sidecar(self) -> Child:
        sidecar = self._keep(Child([
            *self._network.inside("world"), str(release_proxy()), "--log-format", "json",
            "--listen", f"tcp:127.0.0.1:{_SIDECAR_PORT}", "--drain-timeout", "0",
            "--upstream", f"turbo:{EDGE}:{EDGE_PORT},turbo=always"]))
        sidecar.stdout.wait_for(lambda line: line.startswith("listening "))
        return sidecar

    def _warm_up(self) -> None:
        """Until UDP works: a machine that stalls twice makes a sidecar go without it for a while."""
        for _ in range(_ATTEMPTS):
            before = self.outcomes()
            tools = [self.visit_classic(_WARM_UP_RATE, 1), self.visit_turbo(_WARM_UP_RATE, 1)]
            for tool in tools:
                tool.go()
            begun = [tool.result()["begun"] for tool in tools][1]
            outcomes = self.wait_for_outcomes(before.total() + begun) - before
            if outcomes["turbo"] > begun / 2:
                return
            self._sidecars[-1].stop()
            self._sidecars.append(self._start_sidecar())
        raise AssertionError(f"TurboTLS does not work without an attack: {outcomes}")

    # ---- who comes ----

    def visit(self, port: int, host: str, rate: float, seconds: float, again_ms: int = 0) -> Tool:
        return self._keep(Tool([
            *self._network.inside("world"), str(_tool("visitor")), "--to", f"{host}:{port}",
            "--ca", str(self._pki.ca), "--page", _PAGE_PATH, "--expect", str(self._folder / _PAGE_PATH[1:]),
            "--rate", str(rate), "--seconds", str(seconds), "--again", str(again_ms)])).ready()

    def visit_classic(self, rate: float, seconds: float) -> Tool:
        return self.visit(EDGE_PORT, EDGE, rate, seconds)

    def visit_turbo(self, rate: float, seconds: float) -> Tool:
        """Through the sidecar; each connection lives on for a while, so that it can be attacked."""
        return self.visit(_SIDECAR_PORT, "127.0.0.1", rate, seconds, again_ms=150)

    def attack(self, kind: str, *, where: str = "world", **options: float) -> Tool:
        arguments = [part for name, value in options.items()
                     for part in (f"--{name.replace('_', '-')}", str(value))]
        # Clients go first on the core they share with the attacker: the edge is measured, not that core.
        return self._keep(Tool([
            *self._network.inside(where), program("nice", "coreutils"), "-n", "10", str(_tool("attack")), kind,
            "--edge", f"{EDGE}:{EDGE_PORT}", "--client", CLIENT, "--interface", WIRE, "--wait", *arguments])).ready()

    def meter(self) -> Tool:
        meter = self.attack("meter")
        meter.go()
        meter.stdout.wait_for(lambda line: line == "measuring")
        return meter

    # ---- what came of it ----

    def outcomes(self) -> Counter[str]:
        """How the sidecars' connections went, so far."""
        records = [json.loads(line) for sidecar in self._sidecars
                   for line in sidecar.stderr.matching(lambda line: '"connection"' in line)]
        return Counter(record["outcome"] if record["outcome"] != "classic" else record["reason"]
                       for record in records)

    def wait_for_outcomes(self, count: int) -> Counter[str]:
        wait_until(f"the sidecar has told of {count} connections", lambda: self.outcomes().total() >= count)
        return self.outcomes()

    def server_connections(self) -> int:
        """The most that the TLS server had at once."""
        return self.watch.most["server"] - self._idle

    def close(self) -> None:
        self.watch.stop()
        problems = []
        for child in reversed(self._children):
            try:
                child.stop()
            except Exception as problem:  # pylint: disable=broad-except
                problems.append(problem)
        if problems:
            raise ExceptionGroup("something did not end well", problems)

    def __enter__(self) -> "Scene":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
