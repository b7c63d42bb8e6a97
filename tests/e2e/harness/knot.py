"""Knot DNS, unmodified, serving zones that a test writes; and an ear on the way to it, which can hold questions back.

The proxy asks the servers of /etc/resolv.conf, at port 53: run it under `Names` (harness/names.py) with
`servers=[dns.host]`, where `dns` is a Knot or a Tap. Names of no zone are refused at once.

    with Knot(folder, {"example.test": "www 60 A 127.0.0.1"}) as knot:
        proxies.start(..., names=Names(folder, {}, servers=[knot.host]))
"""

import contextlib
import os
import random
import socket
import struct
import subprocess
import threading
from pathlib import Path

from .process import Child, OutputEnded
from .programs import program
from .wait import DEADLINE_S, wait_until

PORT = 53
"""c-ares takes no other one from resolv.conf."""

HTTPS = 65
"""The type of the record, RFC 9460 §14.1."""

_CONFIGURATION = """
server:
    rundir: "{folder}"
    listen: {host}@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stdout
    any: info
database:
    storage: "{folder}"
template:
  - id: default
    storage: "{folder}"
    semantic-checks: on
    zonefile-load: whole
    zonefile-sync: -1
    journal-content: none
zone:
{zones}
"""
_ATTEMPTS = 5


def free_host() -> str:
    """A loopback address whose port 53 is free now; it takes root, or net.ipv4.ip_unprivileged_port_start."""
    for _ in range(_ATTEMPTS):
        host = f"127.{random.randint(64, 126)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
            probe.bind((host, PORT))
            return host
    raise AssertionError(f"port {PORT} of this host's loopback addresses cannot be had: it takes root")


class Knot:
    """A name server on a loopback address of its own. A zone's records are lines of a zone file.

    SOA and NS come by themselves, with a negative TTL (RFC 2308) of `negative_ttl_s`. Inside of a network namespace
    give it `wrapper`, and a `host` of that namespace.
    """

    def __init__(self, folder: Path, zones: dict[str, str], *, host: str | None = None, negative_ttl_s: int = 60,
                 wrapper: tuple[str, ...] = ()) -> None:
        self.host = host or free_host()
        self._wrapper = wrapper
        self._negative_ttl_s = negative_ttl_s
        self._serial = 1
        self._folder = folder / f"knot-{self.host}"
        self._folder.mkdir()
        for zone, records in zones.items():
            self._write(zone, records)
        configuration = self._folder / "knot.conf"
        configuration.write_text(_CONFIGURATION.format(
            folder=self._folder, host=self.host, port=PORT,
            zones="".join(f'  - domain: "{zone}"\n    file: "{self._file(zone)}"\n' for zone in zones)))
        self._child = Child([*wrapper, program("knotd", "knot"), "-c", configuration])
        try:
            self._child.stdout.wait_for(lambda line: "server started" in line)
            problems = self._child.stdout.matching(lambda line: " error: " in line)
            assert not problems, "\n".join(problems)
        except (AssertionError, OutputEnded):
            self._child.stop()
            raise AssertionError(f"knotd did not start:\n{self._child.stdout.text()}\n"
                                 f"{self._child.stderr.text()}") from None

    def _file(self, zone: str) -> Path:
        return self._folder / f"{zone.strip('.') or 'root'}.zone"

    def _write(self, zone: str, records: str) -> None:
        origin = zone.rstrip(".") + "."
        lines = [line.strip() for line in records.splitlines()]
        self._file(zone).write_text("\n".join([
            f"$ORIGIN {origin}", "$TTL 60",
            f"@ {self._negative_ttl_s} SOA ns.invalid. hostmaster.invalid. "
            f"{self._serial} 3600 600 86400 {self._negative_ttl_s}",
            "@ NS ns.invalid.", *lines, ""]))

    def change(self, zone: str, records: str) -> None:
        """Serves other records from now on."""
        self._serial += 1
        self._write(zone, records)
        subprocess.run([program("knotc", "knot"), "-b", "-s", self._folder / "knot.sock", "zone-reload", zone],
                       check=True, capture_output=True, timeout=DEADLINE_S)

    def ask(self, name: str, kind: str) -> list[str]:
        """The records' data as kdig prints them."""
        result = subprocess.run(
            [*self._wrapper, program("kdig", "knot-dnsutils"), f"@{self.host}", "-p", str(PORT), "+short", name, kind],
            check=True, capture_output=True, text=True, timeout=DEADLINE_S)
        return result.stdout.splitlines()

    def close(self) -> None:
        self._child.stop()

    def __enter__(self) -> "Knot":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Tap:
    """Passes questions on to a name server, over UDP, and remembers them. Those of a type in `held` get no answer."""

    def __init__(self, server: str, held: tuple[int, ...] = ()) -> None:
        self.host = free_host()
        self.held = set(held)
        self._server = (server, PORT)
        self._asked: list[tuple[str, int]] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((self.host, PORT))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def asked(self, name: str, kind: int = HTTPS) -> int:
        """How often a question for this name and type has come."""
        return self._asked.count((name, kind))

    def wait_until_asked(self, name: str, kind: int = HTTPS, times: int = 1) -> None:
        wait_until(f"{name} was asked for {times} times, type {kind}", lambda: self.asked(name, kind) >= times)

    def _serve(self) -> None:
        while True:
            message, client = self._socket.recvfrom(4096)
            if not message:
                return
            name, kind = _question(message)
            self._asked.append((name, kind))
            if kind in self.held:
                continue
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as onward, contextlib.suppress(OSError):
                onward.settimeout(DEADLINE_S)
                onward.sendto(message, self._server)
                self._socket.sendto(onward.recv(65535), client)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last_words:
            last_words.sendto(b"", (self.host, PORT))
        self._thread.join(DEADLINE_S)
        self._socket.close()

    def __enter__(self) -> "Tap":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _question(message: bytes) -> tuple[str, int]:
    """Its name, in small letters and without the last dot, and its type."""
    labels, at = [], 12
    while length := message[at]:
        labels.append(message[at + 1:at + 1 + length].decode("ascii", "replace"))
        at += 1 + length
    return ".".join(labels).lower(), int(struct.unpack_from("!H", message, at + 1)[0])
