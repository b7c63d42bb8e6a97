"""The proxy as a service: with a configuration file that changes, and a binary that is replaced while it runs."""

import ctypes
import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from .process import Child
from .programs import sanitized_proxy, workers
from .proxy import SANITIZER, SANITIZER_OPTIONS, Listener, Record, parse_listener
from .wait import DEADLINE_S, wait_until

RELOADED = "the configuration was reloaded"
NOT_RELOADED = "the configuration stays as it was"
STARTED = "a new process is starting"
READY = "the new process is ready: it will accept once no session waits for TCP"
REPLACED = "the new process accepts from now on"
NOT_REPLACED = "no new process: this one goes on as it was"

_PR_SET_CHILD_SUBREAPER = 36


def _become_subreaper() -> None:
    """Successors whose parent has ended become children of this process, which can so wait for them; prctl(2)."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Daemon(Child):
    """A running proxy, and after `replace` its successors. Signals go to the one that accepts."""

    def __init__(self, folder: Path, config: str | None = None, *, options: Sequence[str] = (),
                 env: Mapping[str, str] | None = None, pass_fds: Sequence[int] = (),
                 wrapper: Sequence[str] = (), listeners: int | None = None) -> None:
        """With `config` as the text of its file, or with `options` instead."""
        _become_subreaper()
        self._folder = folder
        self.program = folder / "turbotls-proxy"
        self.config = folder / "proxy.txtpb"
        self.install()
        arguments = [*options, *workers(options, config or "")]
        if config is not None:
            self.write_config(config)
            arguments += ["--config", os.fspath(self.config)]
        super().__init__([*wrapper, os.fspath(self.program), *arguments],
                         env={**SANITIZER_OPTIONS, **(env or {})}, pass_fds=pass_fds)
        self.name = folder.name
        self.pids = [self._process.pid]
        self.killed: list[int] = []
        """Of these, those that the test itself has killed."""
        if listeners is None:
            listeners = config.count("listener {") if config else options.count("--listen")
        self.listeners = self.wait_for_listeners(listeners)

    # ---- what it says ----

    def wait_for_listeners(self, count: int) -> list[Listener]:
        lines = self.stdout.wait_for(lambda line: line.startswith("listening "), count)
        return [parse_listener(line) for line in lines]

    def entries(self, message: str) -> list[Record]:
        """The log's lines with this message so far."""
        found = (json.loads(line) for line in self.stderr.matching(lambda line: _says(line, message)))
        return list(found)

    def wait_for(self, message: str, count: int = 1, timeout_s: float = DEADLINE_S) -> list[Record]:
        lines = self.stderr.wait_for(lambda line: _says(line, message), count, timeout_s)
        return [json.loads(line) for line in lines]

    def answer(self, act: Callable[[], None], *messages: str) -> Record:
        """The next line with one of these messages, after `act`."""
        def wanted(line: str) -> bool:
            return any(_says(line, message) for message in messages)
        before = len(self.stderr.matching(wanted))
        act()
        answer: Record = json.loads(self.stderr.wait_for(wanted, before + 1)[before])
        return answer

    # ---- what it is told ----

    @property
    def port(self) -> int:
        return self.listeners[0].port

    @property
    def udp_port(self) -> int:
        udp_port = self.listeners[0].udp_port
        assert udp_port is not None, "the first listener is not a turbo one"
        return udp_port

    @property
    def pid(self) -> int:
        """Of the process that accepts."""
        return self.pids[-1]

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def write_config(self, config: str) -> None:
        """Another configuration file, for the next one who reads it; at no time half of one."""
        fresh = self.config.with_suffix(".new")
        fresh.write_text(config)
        fresh.rename(self.config)

    def reload(self, config: str) -> bool:
        """Writes the file and sends SIGHUP. Was it put in force?"""
        self.write_config(config)
        answer = self.answer(lambda: self.signal(signal.SIGHUP), RELOADED, NOT_RELOADED)
        return bool(answer["message"] == RELOADED)

    def install(self) -> None:
        """The program as a package upgrade would: another file under the same name."""
        fresh = self._folder / "turbotls-proxy.new"
        shutil.copy(sanitized_proxy(), fresh)
        fresh.rename(self.program)

    def replace(self) -> int:
        """Sends SIGUSR2 and waits until the new process accepts. Its id."""
        self.install()
        answer = self.answer(lambda: self.signal(signal.SIGUSR2), REPLACED, NOT_REPLACED)
        assert answer["message"] == REPLACED, "\n".join(self.stderr.all()[-20:])
        self.pids.append(answer["pid"])
        return self.pid

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    # ---- its end ----

    def stop(self) -> int:
        """Ends it, and asserts that each of the processes ended well."""
        if self.is_running(self.pid):
            self.signal(signal.SIGTERM)
        codes = {self.pids[0]: self.wait(), **{pid: _reap(pid) for pid in self.pids[1:]}}
        self.assert_clean()
        assert not any(code for pid, code in codes.items() if pid not in self.killed), f"{self.name}: {codes}"
        return 0

    def is_running(self, pid: int) -> bool:
        return _state(pid) not in ("", "Z")

    def wait(self, timeout_s: float = DEADLINE_S) -> int:
        """The first process's exit code. What they say ends when the last of them does."""
        return self._process.wait(timeout_s)

    def assert_clean(self) -> None:
        for line in self.stderr.all():
            assert not SANITIZER.search(line), f"{self.name}: sanitizer report:\n{self.stderr.text()}"


def _says(line: str, message: str) -> bool:
    if not line.startswith("{"):
        return False
    entry: dict[str, Any] = json.loads(line)
    return bool(entry.get("message") == message)


def _state(pid: int) -> str:
    """As proc(5) has it: "S", "Z"; "" when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _reap(pid: int) -> int:
    """The exit code of a process that is a child of ours, or will be when its parent has ended."""
    deadline = time.monotonic() + DEADLINE_S

    def ended() -> tuple[int, int] | None:
        try:
            found, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            if _state(pid) == "":
                return pid, 0  # its parent has waited for it
            return None
        return (found, status) if found else None

    _, status = wait_until(f"process {pid} has ended", ended, deadline - time.monotonic())
    return os.waitstatus_to_exitcode(status)
