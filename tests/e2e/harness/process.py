"""A child process whose output can be waited for."""

import fcntl
import os
import signal
import subprocess
import threading
from typing import IO, Callable, Mapping, Sequence

from .wait import DEADLINE_S


_PIPE_BYTES = 1 << 20
"""Room for a burst of log lines: the proxy drops what its reader does not take in time."""


class OutputEnded(AssertionError):
    """The process closed its output before it said what was waited for."""


class Lines:
    """The lines of a pipe as they arrive, read by a thread so that the writer never blocks."""

    def __init__(self, pipe: IO[bytes], name: str) -> None:
        self._pipe = pipe
        self._name = name
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for raw in self._pipe:
            with self._changed:
                self._lines.append(raw.decode(errors="replace").rstrip("\r\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._pipe.close()

    def all(self) -> list[str]:
        with self._changed:
            return list(self._lines)

    def text(self) -> str:
        return "\n".join(self.all())

    def matching(self, wanted: Callable[[str], bool]) -> list[str]:
        return [line for line in self.all() if wanted(line)]

    def wait_for(self, wanted: Callable[[str], bool], count: int = 1,
                 timeout_s: float = DEADLINE_S) -> list[str]:
        """The lines that are `wanted`, as soon as there are `count` of them."""
        def enough() -> bool:
            return self._ended or sum(map(wanted, self._lines)) >= count

        with self._changed:
            in_time = self._changed.wait_for(enough, timeout_s)
            found = [line for line in self._lines if wanted(line)]
            if len(found) >= count:
                return found
            tail = "\n".join(self._lines[-40:])
        problem = f"{self._name}: {len(found)} of {count} lines waited for; the last ones:\n{tail}"
        raise OutputEnded(problem) if in_time else TimeoutError(problem)

    def join(self, timeout_s: float = DEADLINE_S) -> None:
        """Waits for the end of the output."""
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TimeoutError(f"{self._name}: still open after {timeout_s} s")


class Child:
    """One process started by a test."""

    def __init__(self, argv: Sequence[str | os.PathLike[str]], *, stdin: bool = False,
                 cwd: os.PathLike[str] | None = None, env: Mapping[str, str] | None = None,
                 preexec: Callable[[], None] | None = None, pass_fds: Sequence[int] = ()) -> None:
        self.argv = [os.fspath(part) for part in argv]
        self.name = os.path.basename(self.argv[0])
        self._process = subprocess.Popen(
            self.argv, stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd,
            env={**os.environ, **env} if env else None, preexec_fn=preexec,
            pass_fds=pass_fds)
        assert self._process.stdout and self._process.stderr
        fcntl.fcntl(self._process.stderr, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self.stdout = Lines(self._process.stdout, f"{self.name} stdout")
        self.stderr = Lines(self._process.stderr, f"{self.name} stderr")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def write(self, data: bytes) -> None:
        """Gives bytes to the standard input, which stays open until the process ends."""
        assert self._process.stdin
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def write_end(self) -> None:
        """Ends the standard input."""
        assert self._process.stdin
        self._process.stdin.close()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, timeout_s: float = DEADLINE_S) -> int:
        """The exit code, once the process has ended and all it said was read."""
        code = self._process.wait(timeout_s)
        if self._process.stdin:
            self._process.stdin.close()
        self.stdout.join()
        self.stderr.join()
        return code

    def stop(self) -> int:
        """Asks the process to end and insists after the deadline."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.wait()
            raise

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
