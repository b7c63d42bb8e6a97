"""A thousand connections at once, each with bytes of its own: nothing is lost, mixed or left behind."""

import asyncio
import random
import resource

from harness.hello import client_hello
from harness.proxy import Pair, Proxies, Proxy, Record
from harness.scripted import FLIGHT
from harness.wait import DEADLINE_S, wait_until

CONNECTIONS = 1000
LARGEST = 1 << 20
OPEN_FILES = 16384
"""Two sockets, a UDP socket and two pipes for each connection."""

HEADER_BYTES = 5
READY = b"ready"


def sizes() -> list[int]:
    """From nothing to a mebibyte, small ones more often, the extremes for certain."""
    noise = random.Random(4)
    drawn = [int(LARGEST ** noise.random()) for _ in range(CONNECTIONS - 4)]
    return [0, 1, LARGEST - 1, LARGEST, *drawn]


class Echo:
    """A server that answers a ClientHello with its flight and then echoes; counts who is there at once."""

    def __init__(self) -> None:
        self.present = self.peak = self.served = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.present += 1
        self.peak = max(self.peak, self.present)
        header = await reader.readexactly(HEADER_BYTES)
        await reader.readexactly(int.from_bytes(header[3:5], "big"))
        writer.write(FLIGHT)
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()
        self.present -= 1
        self.served += 1


class Crowd:
    """Clients that are all connected before any of them goes on."""

    def __init__(self, port: int, at_the_door: int) -> None:
        self._port = port
        self._door = asyncio.Semaphore(at_the_door)
        self._connected = 0
        self._all_connected = asyncio.Event()

    async def visit(self, number: int, size: int) -> None:
        async with self._door:
            reader, writer = await self._enter()
        await self._meet()
        data = random.Random(number).randbytes(size)
        writer.write(data)
        writer.write_eof()
        assert await reader.read(-1) == data, f"connection {number} of {size} bytes"
        writer.close()

    async def _enter(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connects, and answers the flight as soon as it is there."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(client_hello())
        assert await reader.readexactly(len(FLIGHT)) == FLIGHT
        writer.write(READY)
        assert await reader.readexactly(len(READY)) == READY
        return reader, writer

    async def _meet(self) -> None:
        self._connected += 1
        if self._connected == CONNECTIONS:
            self._all_connected.set()
        await self._all_connected.wait()


async def run(proxies: Proxies, at_the_door: int) -> Pair:
    """All of them through the proxies, so many entering at the same time."""
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0, backlog=CONNECTIONS)
    async with server:
        pair = proxies.pair(server.sockets[0].getsockname()[1], open_files=open_files(),
                            edge_options=["--source-rate", str(10 * CONNECTIONS)])
        crowd = Crowd(pair.port, at_the_door)
        visits = [crowd.visit(number, size) for number, size in enumerate(sizes())]
        await asyncio.wait_for(asyncio.gather(*visits), 4 * DEADLINE_S)
        assert echo.peak >= CONNECTIONS
        assert echo.served == CONNECTIONS
    return pair


def enough(proxy: Proxy) -> list[Record] | None:
    records = proxy.spoken()
    return records if len(records) >= CONNECTIONS else None


def assert_recorded(proxy: Proxy) -> None:
    """Each connection is in the log once, and its bytes add up."""
    records = wait_until("each has its record", lambda: enough(proxy))
    assert len(records) == CONNECTIONS
    expected = sum(sizes()) + CONNECTIONS * (len(FLIGHT) + len(READY))
    assert sum(record["bytes_s2c"] for record in records) == expected
    assert "opaque" not in {record["outcome"] for record in records}


def open_files() -> int:
    """Raises our own limit, and gives one for the proxies."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = min(hard, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


def test_a_thousand_connections_at_once_each_get_their_own_bytes(proxies: Proxies) -> None:
    pair = asyncio.run(run(proxies, at_the_door=8))
    for proxy in (pair.sidecar, pair.edge):
        assert_recorded(proxy)
        by_udp = [record for record in proxy.records() if record["outcome"] != "classic"]
        assert len(by_udp) > CONNECTIONS / 2, "or it would be a test of something else"


def test_a_stampede_of_a_thousand_connections_is_served(proxies: Proxies) -> None:
    """More at the same instant than an edge takes by UDP: the others are told so, and go classic."""
    pair = asyncio.run(run(proxies, at_the_door=CONNECTIONS))
    for proxy in (pair.sidecar, pair.edge):
        assert_recorded(proxy)
