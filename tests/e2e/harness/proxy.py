"""The proxy as a process: where it listens, what it logged, what it uses, and how it ended."""

import json
import os
import re
import resource
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Sequence

from .names import Names
from .namespace import Host
from .process import Child
from .programs import release_proxy, sanitized_proxy, workers
from .wait import DEADLINE_S, wait_until

Record = dict[str, Any]

RECORD_KEYS = frozenset({
    "time", "level", "message", "client", "listener", "route", "upstream", "requested", "server", "server_name", "outcome", "reason",
    "dialect", "rtt_us", "first_response_us", "first_answer_us", "bytes_c2s", "bytes_s2c", "duration_us"})

_LISTENING = re.compile(r"listening (tcp|turbo):(.+):(\d+?)(?:,udp=(\d+))?$")
_LISTENER = re.compile(r"\blistener\s*\{")
SANITIZER = re.compile(r"Sanitizer|runtime error:|^==\d+==")
_ANY_PORT = {"tcp": "tcp:127.0.0.1:0", "turbo": "turbo:127.0.0.1:0"}


@dataclass(frozen=True)
class Listener:
    """One line of what the proxy prints when it accepts connections."""

    kind: str
    host: str
    port: int
    udp_port: int | None


def parse_listener(line: str) -> Listener:
    match = _LISTENING.match(line)
    assert match, f"not a listening line: {line!r}"
    kind, host, port, udp_port = match.groups()
    return Listener(kind, host, int(port), int(udp_port) if udp_port else None)


class Proxy(Child):
    """A running turbotls-proxy. `stop` is part of every test: it asserts a clean end."""

    def __init__(self, *, listen: str | Sequence[str] = (), upstream: str = "",
                 config: str | Path | None = None, listener_count: int = 1, options: Sequence[str] = (),
                 binary: Path | None = None, log_format: str = "json", drain_timeout_s: float = 1,
                 open_files: int | None = None, names: Names | None = None, host: Host | None = None) -> None:
        """By options, or by a file (`config`, with so many listeners) that says all that they would."""
        listens = [listen] if isinstance(listen, str) else list(listen)
        argv = names.command(release_proxy()) if names else [os.fspath(binary or sanitized_proxy())]
        if config:
            argv += ["--config", os.fspath(config), *options]
            argv += workers(options, Path(config).read_text() if os.path.isfile(config) else "")
        else:
            argv += [part for each in listens for part in ("--listen", each)]
            argv += ["--upstream", upstream, "--log-format", log_format,
                     "--drain-timeout", str(drain_timeout_s), *options, *workers(options)]
        self._log_format = log_format
        argv = host.command(*argv) if host else argv
        super().__init__(argv, env=SANITIZER_OPTIONS, preexec=_limit_open_files(open_files))
        self.name = os.fspath(config) if config else f"{listens[0].partition(':')[0]}->{upstream}"
        lines = self.stdout.wait_for(lambda line: line.startswith("listening "),
                                     len(listens) or listener_count)
        self.listeners = [parse_listener(line) for line in lines]

    @property
    def port(self) -> int:
        return self.listeners[0].port

    @property
    def udp_port(self) -> int:
        udp_port = self.listeners[0].udp_port
        assert udp_port is not None, "the first listener is not a turbo one"
        return udp_port

    def records(self) -> list[Record]:
        """The access records so far, one for each connection that ended."""
        return [json.loads(line) for line in self.stderr.matching(_is_record)]

    def wait_for_records(self, count: int = 1, timeout_s: float = DEADLINE_S) -> list[Record]:
        lines = self.stderr.wait_for(_is_record, count, timeout_s)
        return [json.loads(line) for line in lines]

    def spoken(self) -> list[Record]:
        """The same without those that said nothing: on a busy machine a sidecar may send a second SYN, which comes too late."""
        return [record for record in self.records() if record["reason"] != "client-silent"]

    def record(self) -> Record:
        """The access record of the only connection."""
        records = self.wait_for_records()
        assert len(records) == 1, f"one connection, but {len(records)} records: {records}"
        return records[0]

    def outcomes(self, count: int = 1) -> set[str]:
        return {record["outcome"] for record in self.wait_for_records(count)}

    def rss_bytes(self) -> int:
        return self._status_bytes("VmRSS")

    def peak_rss_bytes(self) -> int:
        return self._status_bytes("VmHWM")

    def _status_bytes(self, key: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{key}:\s+(\d+) kB$", status, re.M)[1]) * 1024

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_until_idle(self, open_files: int) -> None:
        """Until no connection holds a descriptor any more."""
        wait_until(f"{self.name} is down to {open_files} open files",
                   lambda: self.open_files() <= open_files)

    def stop(self) -> int:
        """Ends the proxy and asserts that it ended well: code 0, no report, a log that parses."""
        code = super().stop()
        reports = self.stderr.matching(lambda line: bool(SANITIZER.search(line)))
        assert not reports, f"{self.name}: sanitizer report:\n{self.stderr.text()}"
        assert code == 0, f"{self.name}: exit code {code}:\n{self.stderr.text()}"
        if self._log_format == "json":
            self._assert_json_log()
        return code

    def _assert_json_log(self) -> None:
        for line in self.stderr.all():
            entry = json.loads(line)
            assert {"time", "level", "message"} <= entry.keys(), line
            if entry["message"] == "connection":
                assert entry.keys() == RECORD_KEYS, f"keys of the access record: {line}"


SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


def _limit_open_files(limit: int | None) -> Any:
    if limit is None:
        return None
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def _is_record(line: str) -> bool:
    return line.startswith("{") and json.loads(line).get("message") == "connection"


@dataclass(frozen=True)
class Pair:
    """A sidecar and the edge it talks to."""

    sidecar: Proxy
    edge: Proxy

    @property
    def port(self) -> int:
        """Where an unmodified client connects to."""
        return self.sidecar.port

    def outcomes(self, count: int = 1) -> set[str]:
        """How the first `count` connections went, seen from both ends."""
        return self.sidecar.outcomes(count) | self.edge.outcomes(count)

    def assert_turbo(self, visit: Callable[[], object], connections: int = 1) -> None:
        """A visit, which makes so many connections, has its first flights by UDP."""
        assert_turbo((self.sidecar, self.edge), visit, connections)


BY_UDP = ("turbo", "resumed-on-tcp")
PAUSE_S = 31
"""A sidecar that has met two stalls in a row leaves UDP alone for 30 s at first (protocol §6.9)."""

_ATTEMPTS = 16


def assert_turbo(way: Sequence[Proxy], visit: Callable[[], object], connections: int = 1) -> None:
    """A visit, which makes so many connections, has its first flights by UDP, as all proxies on its way say.

    A machine that stalls for longer than a sidecar waits (50 ms) may spoil every other visit, not so many in a row. Where
    the client itself never answers within that time, the last one's word is enough: the whole flight has gone by UDP.
    """
    before = [len(proxy.spoken()) for proxy in way]
    seen = []
    has_gone_by_udp = False
    for attempt in range(1, _ATTEMPTS + 1):
        visit()
        wait_until("all have their records", lambda: all(len(proxy.spoken()) >= count + attempt * connections
                                                         for proxy, count in zip(way, before)))
        records = [proxy.spoken()[-connections:] for proxy in way]
        if all(record["outcome"] == "turbo" for each in records for record in each):
            return
        has_gone_by_udp |= all(record["outcome"] == "turbo" for record in records[-1]) and all(
            record["outcome"] in BY_UDP for each in records for record in each)
        seen.append([[(record["outcome"], record["reason"]) for record in each] for each in records])
        if any(record["reason"] == "udp-paused" for each in records for record in each):
            time.sleep(PAUSE_S)
    if not has_gone_by_udp:
        raise AssertionError(f"not turbo, seen from {[proxy.name for proxy in way]}: {seen}")


class Proxies:
    """Starts proxies for one test and sees to it that each of them ends well."""

    def __init__(self) -> None:
        self._started: list[Proxy] = []

    def start(self, **arguments: Any) -> Proxy:
        proxy = Proxy(**arguments)
        self._started.append(proxy)
        return proxy

    def configured(self, folder: Path, text: str, **arguments: Any) -> Proxy:
        """By a configuration file, written to `folder`; how it logs and ends is added to `text`."""
        config = folder / f"{len(self._started)}.txtpb"
        config.write_text(text + "\nlog { format: JSON }\ndrain_timeout_seconds: 1\n")
        path = config.relative_to(folder) if arguments.get("names") else config
        return self.start(config=path, listener_count=len(_LISTENER.findall(text)), **arguments)

    def plain(self, upstream_port: int, **arguments: Any) -> Proxy:
        """tcp to tcp: a relay and nothing else."""
        arguments.setdefault("listen", _ANY_PORT["tcp"])
        return self.start(upstream=f"tcp:127.0.0.1:{upstream_port}", **arguments)

    def edge(self, server_port: int, **arguments: Any) -> Proxy:
        """In front of an unmodified server."""
        arguments.setdefault("listen", _ANY_PORT["turbo"])
        return self.start(upstream=f"tcp:127.0.0.1:{server_port}", **arguments)

    def sidecar(self, edge_port: int, *, host: str = "127.0.0.1", udp_port: int | None = None,
                always: bool = True, **arguments: Any) -> Proxy:
        """Beside an unmodified client; with `always`, since on loopback TCP is up first."""
        arguments.setdefault("listen", _ANY_PORT["tcp"])
        upstream = f"turbo:{host}:{edge_port}"
        upstream += f",udp={udp_port}" if udp_port else ""
        upstream += ",turbo=always" if always else ""
        return self.start(upstream=upstream, **arguments)

    def pair(self, server_port: int, *, edge_options: Sequence[str] = (),
             **arguments: Any) -> Pair:
        """The whole way. `arguments` go to both proxies."""
        edge = self.edge(server_port, options=edge_options, **arguments)
        return Pair(self.sidecar(edge.port, udp_port=edge.udp_port, **arguments), edge)

    def kill(self, proxy: Proxy) -> None:
        """It ends at once, and need not end well."""
        self._started.remove(proxy)
        proxy.signal(signal.SIGKILL)
        proxy.wait()

    def has_died(self, proxy: Proxy) -> None:
        """It ends by itself, and not well."""
        self._started.remove(proxy)
        proxy.wait()

    def stop(self) -> None:
        """Ends all of them, even when one did not end well; reports every failure."""
        problems = []
        while self._started:
            try:
                self._started.pop().stop()
            except Exception as problem:
                problems.append(problem)
        if problems:
            raise ExceptionGroup("a proxy did not end well", problems)
