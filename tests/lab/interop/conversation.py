"""TLS as a proxy without keys sees it, and nothing of its cost: a real ClientHello, and bytes that only it determines.

  serve ADDRESS PORT --flight BYTES    prints "listening", then a line for each accepted connection: the ClientHello's
                                       hash, or "nothing" when none came
  converse ADDRESS PORT --count N      holds N conversations with it, tells how they ended and how long those took that
                                       completed; exit code 1 when one ended in another way than those --allow names, or
                                       more than --late-most were late: incomplete, but after --late-after seconds only

ClientHello, flight, answer, reply: each end checks every byte. A byte of another conversation cannot pass for one's own.
"""

import argparse
import asyncio
import contextlib
import hashlib
import math
import os
import ssl
import sys
import time

RANDOM = slice(11, 43)  # behind the headers of record and handshake, and the version
ANSWER_BYTES = 80


def template():
    outgoing = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="example.test")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def new_hello(sample):
    hello = bytearray(sample)
    hello[RANDOM] = os.urandom(32)
    return bytes(hello)


def name_of(hello):
    return hashlib.sha256(hello).hexdigest()


def part(what, hello, size):
    return hashlib.shake_128(what + hello).digest(size)


class WrongBytes(Exception):
    pass


async def expect(reader, expected):
    if await reader.readexactly(len(expected)) != expected:
        raise WrongBytes


class Server:
    """Tells `report` the name of each connection's ClientHello as soon as it is there."""

    def __init__(self, options, report):
        self.options = options
        self.report = report

    async def accept(self, reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self.answer(await self.read_hello(reader), reader, writer)
        writer.close()

    async def read_hello(self, reader):
        name = "nothing"
        try:
            header = await reader.readexactly(5)
            hello = header + await reader.readexactly(int.from_bytes(header[3:5], "big"))
            name = name_of(hello)
            return hello
        finally:
            self.report(name)

    async def answer(self, hello, reader, writer):
        writer.write(part(b"flight", hello, self.options.flight))
        try:
            await expect(reader, part(b"answer", hello, ANSWER_BYTES))
        except WrongBytes:
            self.report(f"{name_of(hello)} got wrong bytes")
            return
        writer.write(part(b"reply", hello, self.options.reply))
        await reader.read()

    async def start(self, address, port):
        return await asyncio.start_server(self.accept, address, port, backlog=4096)


async def serve(options):
    server = await Server(options, lambda name: print(name, flush=True)).start(options.address, options.port)
    print("listening", flush=True)
    await server.serve_forever()


class Client:
    def __init__(self, options):
        self.options = options
        self.sample = template()
        self.ends = dict.fromkeys(("complete", "reset", "cut", "wrong", "silent", "late"), 0)
        self.durations = []
        self.left = options.count

    async def send_hello(self, writer, hello):
        cut = len(hello) // 2 if self.options.pause else len(hello)
        writer.write(hello[:cut])
        if self.options.pause:
            await asyncio.sleep(self.options.pause / 1000)
            writer.write(hello[cut:])

    async def talk(self, address, port, hello):
        reader, writer = await asyncio.open_connection(address, port)
        try:
            await self.send_hello(writer, hello)
            await expect(reader, part(b"flight", hello, self.options.flight))
            writer.write(part(b"answer", hello, ANSWER_BYTES))
            await expect(reader, part(b"reply", hello, self.options.reply))
        finally:
            writer.close()

    async def attempt(self, hello):
        try:
            async with asyncio.timeout(self.options.timeout):
                await self.talk(self.options.address, self.options.port, hello)
            return "complete"
        except TimeoutError:
            return "silent"
        except OSError:
            return "reset"
        except asyncio.IncompleteReadError:
            return "cut"
        except WrongBytes:
            return "wrong"

    async def attempt_patiently(self, hello):
        """Tells how many seconds it took, too."""
        begin = time.monotonic()
        end = await self.attempt(hello)
        seconds = time.monotonic() - begin
        is_late = end in ("reset", "cut", "silent") and seconds >= self.options.late_after
        return "late" if is_late else end, seconds

    async def one_after_another(self, names, late, delay_ms):
        await asyncio.sleep(delay_ms / 1000)
        while self.left:
            self.left -= 1
            hello = new_hello(self.sample)
            print(name_of(hello), file=names)
            end, seconds = await self.attempt_patiently(hello)
            self.ends[end] += 1
            if end == "complete":
                self.durations.append(seconds * 1000)
            elif end == "late":
                print(name_of(hello), file=late)

    async def warm_up(self):
        """A process's first conversation is slow, and so late for what is measured: it holds that one with itself."""
        async with await Server(self.options, lambda name: None).start("127.0.0.1", 0) as server:
            await self.talk(*server.sockets[0].getsockname(), new_hello(self.sample))

    async def run(self):
        await self.warm_up()
        with open(self.options.names, "w") as names, open(self.options.late_names, "w") as late:
            await asyncio.gather(*(self.one_after_another(names, late, number * self.options.every)
                                   for number in range(self.options.at_once)))

    def report(self):
        ends = ", ".join(f"{count} {end}" for end, count in self.ends.items() if count)
        spread = ""
        if self.durations:
            durations = sorted(self.durations)
            spread = f"; {durations[len(durations) // 2]:.1f} ms median, {durations[-1]:.1f} ms at most"
        print(f"{ends}{spread}")

    def as_allowed(self):
        allowed = ("complete", "late", *self.options.allow)
        return (not any(count for end, count in self.ends.items() if end not in allowed)
                and self.ends["late"] <= self.options.late_most)


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["serve", "converse"])
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("--flight", type=int, default=3000)
    parser.add_argument("--reply", type=int, default=1000)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--every", type=int, default=0, help="milliseconds between the first of those at once")
    parser.add_argument("--pause", type=int, default=0, help="milliseconds between the ClientHello's halves")
    parser.add_argument("--timeout", type=float, default=120)
    parser.add_argument("--names", default=os.devnull, help="where to write the hashes of the ClientHellos")
    parser.add_argument("--late-after", type=float, default=math.inf)
    parser.add_argument("--late-most", type=int, default=0)
    parser.add_argument("--late-names", default=os.devnull, help="where to write the hashes of those that were late")
    parser.add_argument("--allow", nargs="*", default=[])
    return parser.parse_args()


def main():
    options = arguments()
    if options.mode == "serve":
        asyncio.run(serve(options))
    client = Client(options)
    asyncio.run(client.run())
    client.report()
    sys.exit(not client.as_allowed())


main()
