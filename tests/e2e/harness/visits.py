"""A program: one TLS connection after another, so many at a time, each with two requests; a line of JSON for each at its end.

    visits.py '{"ca": "ca.pem", "name": "example.test", "count": 5000, "at_once": 32, "stay_s": 1,
               "ends": [["turbo", "127.0.0.1", 4433, null]]}'

An end is what it is called, the address and port to connect to, and the client's own address, or null. It visits them in
turn. When its standard input ends it begins no more connections, and ends with the last of them.
"""

import asyncio
import json
import random
import socket
import ssl
import sys
import threading
import time

_DEADLINE_S = 20.0
_AFTER_FAILURE_S = 0.05
_PAUSES_S = (0.0, 0.0, 0.0, 0.02, 0.1)
"""Between connecting and the ClientHello, so that UDP leaves long after the SYN."""
_STAYS = (0.0, 0.0, 0.0, 0.1, 0.3, 1.0)
"""Between the two requests, of the longest."""


class Visits:
    def __init__(self, settings: dict) -> None:
        self._settings = settings
        self._context = ssl.create_default_context(cafile=settings["ca"])
        self._request = f"GET / HTTP/1.1\r\nHost: {settings['name']}\r\n\r\n".encode()
        self._begun = 0
        self._draw = random.Random(settings.get("seed", 1))

    async def run(self) -> None:
        threading.Thread(target=self._wait_for_the_end, daemon=True).start()
        await asyncio.gather(*(self._visitor() for _ in range(self._settings["at_once"])))

    def _wait_for_the_end(self) -> None:
        sys.stdin.read()
        self._settings["count"] = 0

    async def _visitor(self) -> None:
        while self._begun < self._settings["count"]:
            number, self._begun = self._begun, self._begun + 1
            ends = self._settings["ends"]
            end = number % len(ends)
            told = {"number": number, "end": end, "way": ends[end][0], "began": time.monotonic(), "step": "connect",
                    "edge": None, "problem": None}
            try:
                await asyncio.wait_for(self._visit(told, *ends[end][1:]), _DEADLINE_S)
            except Exception as problem:
                told["problem"] = f"{type(problem).__name__}: {problem}"
            told["ended"] = time.monotonic()
            print(json.dumps(told), flush=True)
            if told["problem"]:
                await asyncio.sleep(_AFTER_FAILURE_S)

    async def _visit(self, told: dict, host: str, port: int, own: str | None) -> None:
        end = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        writer = None
        try:
            end.setblocking(False)
            if own:
                end.bind((own, 0))
            await asyncio.get_running_loop().sock_connect(end, (host, port))
            told["step"] = "handshake"
            await asyncio.sleep(self._draw.choice(_PAUSES_S))
            reader, writer = await asyncio.open_connection(sock=end, ssl=self._context,
                                                           server_hostname=self._settings["name"])
            for step in ("first request", "second request"):
                told["step"] = step
                writer.write(self._request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(None, 1)[0])
                edge = (await reader.readexactly(length)).decode()
                if told["edge"] not in (None, edge):
                    raise AssertionError(f"{told['edge']} has become {edge}")
                told["edge"] = edge
                if step == "first request":
                    await asyncio.sleep(self._settings["stay_s"] * self._draw.choice(_STAYS))
        finally:
            end.close() if writer is None else await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        await writer.wait_closed()
    except (OSError, ssl.SSLError):
        pass


if __name__ == "__main__":
    asyncio.run(Visits(json.loads(sys.argv[1])).run())
