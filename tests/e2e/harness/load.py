"""Many TLS connections, so many at a time: each sends bytes of its own to an echo and compares what comes back."""

import asyncio
import random
import ssl
import sys
import threading
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from .pki import SERVER_NAME, Pki
from .process import Child
from .servers import TlsServer, start_on_unused_port
from .programs import program
from .wait import DEADLINE_S

LARGEST = 1 << 16
"""Bytes that a connection sends at most; how many is drawn, small ones more often."""


class TlsEcho(TlsServer):
    """nginx, which ends TLS, in front of an echo."""

    _CONFIGURATION = """
        load_module /usr/lib/nginx/modules/ngx_stream_module.so;
        daemon off; master_process off; pid {folder}/echo.pid;
        error_log stderr; events {{ worker_connections 4096; }}
        stream {{
            server {{
                listen 127.0.0.1:{port} ssl backlog=1024;
                proxy_pass 127.0.0.1:{echo_port};
                ssl_certificate {certificate}; ssl_certificate_key {key};
                ssl_protocols TLSv1.2 TLSv1.3;
            }}
        }}
    """

    def _start(self) -> tuple[int, Child]:
        self._echo = Child([sys.executable, Path(__file__).with_name("echo.py")])
        self._echo_port = int(self._echo.stdout.wait_for(lambda line: line.startswith("port "))[0].split()[1])
        return start_on_unused_port(self._run)

    def _run(self, port: int) -> Child:
        configuration = self.folder / "echo.conf"
        configuration.write_text(self._CONFIGURATION.format(
            folder=self.folder, port=port, echo_port=self._echo_port, certificate=self.certificate, key=self.key))
        return Child([program("nginx", "nginx"), "-e", "stderr", "-c", configuration])

    def close(self) -> None:
        super().close()
        self._echo.stop()


@dataclass
class Outcome:
    """How the connections of a load went."""

    done: int = 0
    bytes: int = 0
    failures: list[str] = field(default_factory=list)


class Load:
    """`total` connections to `port`, `at_once` at a time, from a thread of its own."""

    def __init__(self, port: int, pki: Pki, total: int, at_once: int) -> None:
        self._port = port
        self._context = pki.client_context()
        self._total = total
        self._at_once = at_once
        self._next = 0
        self.outcome = Outcome()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()

    def wait_for(self, done: int, timeout_s: float = DEADLINE_S) -> None:
        """Until so many connections have ended, well or not."""
        with self._changed:
            reached = self._changed.wait_for(lambda: self.outcome.done >= min(done, self._total), timeout_s)
        assert reached, f"{self.outcome.done} connections, not {done}, after {timeout_s} s"

    def finish(self, timeout_s: float) -> Outcome:
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), f"{self.outcome.done} of {self._total} after {timeout_s} s"
        return self.outcome

    async def _run(self) -> None:
        await asyncio.gather(*(self._visitor() for _ in range(self._at_once)))

    async def _visitor(self) -> None:
        while self._next < self._total:
            number = self._next
            self._next += 1
            size, failure = 0, ""
            try:
                size = await asyncio.wait_for(self._visit(number), DEADLINE_S)
            except Exception as problem:
                failure = f"connection {number}: {type(problem).__name__}: {problem}"
            with self._changed:
                self.outcome.done += 1
                self.outcome.bytes += size
                if failure:
                    self.outcome.failures.append(failure)
                self._changed.notify_all()

    async def _visit(self, number: int) -> int:
        """One connection: two questions, with a pause between them for some. How many bytes came back."""
        draw = random.Random(number)
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._context,
                                                       server_hostname=SERVER_NAME)
        try:
            total = 0
            for pause in (0.0, draw.choice((0.0, 0.0, 0.1, 0.5))):
                await asyncio.sleep(pause)
                data = draw.randbytes(int(LARGEST ** draw.random()))
                writer.write(data)
                answer = await reader.readexactly(len(data))
                if sha256(answer).digest() != sha256(data).digest():
                    raise AssertionError(f"{len(data)} bytes came back changed")
                total += len(data)
            return total
        finally:
            writer.close()
            try:
                await writer.wait_closed()
            except (ConnectionError, ssl.SSLError):
                pass
