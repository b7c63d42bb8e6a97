"""Servers that are told the client by a PROXY protocol header, and the header itself.

Written from haproxy's proxy-protocol.txt, in other words than the proxy's own reader and writer.
"""

import ipaddress
import re
import socket
import struct
from dataclasses import dataclass, field
from typing import Any, Callable

from .hello import read_exactly
from .process import Child
from .programs import program
from .servers import TlsServer, start_on_unused_port

# ---- the header ----

V2_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ALPN, AUTHORITY, CRC32C, UNIQUE_ID = 1, 2, 3, 5


def crc32c(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


@dataclass(frozen=True)
class End:
    """An address and port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def end_of(text: str) -> End:
    """From "192.0.2.1:443" or "[2001:db8::1]:443"."""
    host, _, port = text.rpartition(":")
    return End(host.strip("[]"), int(port))


def header_v1(client: End, server: End) -> bytes:
    family = "TCP6" if ":" in client.host else "TCP4"
    return f"PROXY {family} {client.host} {server.host} {client.port} {server.port}\r\n".encode()


def header_v2(client: End, server: End, tlvs: bytes = b"") -> bytes:
    block = b"".join(ipaddress.ip_address(end.host).packed for end in (client, server))
    family = 0x21 if ":" in client.host else 0x11
    block += struct.pack("!HH", client.port, server.port) + tlvs
    return V2_SIGNATURE + bytes([0x21, family]) + struct.pack("!H", len(block)) + block


@dataclass(frozen=True)
class Told:
    """What a server was told of a connection; None: nothing."""

    client: End | None
    server: End | None
    tlvs: dict[int, bytes] = field(default_factory=dict)
    header: bytes = b""


def read_header(connection: socket.socket) -> Told:
    """Reads one header of either version and asserts that it is well-formed; what follows stays in the socket."""
    start = read_exactly(connection, len(V2_SIGNATURE))
    return _read_v2(connection) if start == V2_SIGNATURE else _read_v1(connection, start)


def _read_v1(connection: socket.socket, line: bytes) -> Told:
    while not line.endswith(b"\r\n"):
        line += read_exactly(connection, 1)
    if line == b"PROXY UNKNOWN\r\n":
        return Told(None, None, header=line)
    match = re.fullmatch(rb"PROXY TCP[46] (\S+) (\S+) (\d+) (\d+)\r\n", line)
    assert match, f"not a PROXY line: {line!r}"
    client, server, client_port, server_port = (word.decode() for word in match.groups())
    told = Told(End(client, int(client_port)), End(server, int(server_port)), header=line)
    assert header_v1(told.client, told.server) == line
    return told


def _read_v2(connection: socket.socket) -> Told:
    fixed = read_exactly(connection, 4)
    block = read_exactly(connection, int.from_bytes(fixed[2:], "big"))
    header = V2_SIGNATURE + fixed + block
    assert fixed[0] == 0x21, f"not version 2, PROXY: {header!r}"
    size = {0x11: 4, 0x21: 16}[fixed[1]]
    ports = struct.unpack_from("!HH", block, 2 * size)
    client, server = (End(str(ipaddress.ip_address(block[start:start + size])), port)
                      for start, port in zip((0, size), ports))
    tlvs, rest = {}, block[2 * size + 4:]
    while rest:
        kind, length = struct.unpack_from("!BH", rest)
        assert kind not in tlvs and len(rest) >= 3 + length, f"TLVs: {header!r}"
        tlvs[kind], rest = rest[3:3 + length], rest[3 + length:]
    _check_sum(header, tlvs[CRC32C])
    return Told(client, server, tlvs, header)


def _check_sum(header: bytes, value: bytes) -> None:
    """The checksum is the last TLV here."""
    assert header.endswith(value) and len(value) == 4
    assert crc32c(header[:-4] + bytes(4)) == int.from_bytes(value, "big")


Handler = Callable[[socket.socket], Any]


def told_then(handler: Handler) -> Callable[[socket.socket], tuple[Told, Any]]:
    """For TcpServer: reads the header, then serves; gives what it was told and what the handler gave."""
    return lambda connection: (read_header(connection), handler(connection))


# ---- real servers ----

class ProxiedServer(TlsServer):
    """Takes connections with a PROXY header only, serves one page, and logs what it was told."""

    expected = b"served behind a header"

    def told(self, count: int) -> list[Told]:
        """What it was told of its first `count` connections that brought a request."""
        lines = self._child.stdout.wait_for(self._is_told, count)
        return [self._parse(line.split()[1:]) for line in lines]

    def told_count(self) -> int:
        return len(self._child.stdout.matching(self._is_told))

    @staticmethod
    def _is_told(line: str) -> bool:
        return line.startswith("told ")

    @staticmethod
    def _parse(words: list[str]) -> Told:
        client, client_port, server, server_port, authority, unique_id = words
        tlvs = {}
        if authority != "-":
            tlvs[AUTHORITY] = authority.encode()
        if unique_id != "-":
            tlvs[UNIQUE_ID] = bytes.fromhex(unique_id)
        return Told(End(client, int(client_port)), End(server, int(server_port)), tlvs)

    def resumed(self, reply: bytes) -> bool:
        raise NotImplementedError


class ProxiedNginx(ProxiedServer):
    """nginx 1.22, which reads both versions but no TLVs."""

    _CONFIGURATION = """
        daemon off; master_process off; pid {folder}/nginx.pid;
        error_log stderr; events {{ worker_connections 1024; }}
        http {{
            log_format told "told $proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr "
                            "$proxy_protocol_server_port - -";
            access_log /dev/stdout told;
            client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
            uwsgi_temp_path {folder}; scgi_temp_path {folder};
            server {{
                listen 127.0.0.1:{port} ssl proxy_protocol;
                ssl_certificate {certificate}; ssl_certificate_key {key};
                ssl_protocols TLSv1.2 TLSv1.3;
                location / {{ return 200 "{expected}"; }}
            }}
        }}
    """

    def _start(self) -> tuple[int, Child]:
        return start_on_unused_port(self._run)

    def _run(self, port: int) -> Child:
        configuration = self.folder / "nginx-proxied.conf"
        configuration.write_text(self._CONFIGURATION.format(
            folder=self.folder, port=port, certificate=self.certificate, key=self.key,
            expected=self.expected.decode()))
        return Child([program("nginx", "nginx"), "-e", "stderr", "-c", configuration])


class ProxiedHaproxy(ProxiedServer):
    """haproxy 2.6, which checks the checksum as well, and tells some TLVs."""

    _CONFIGURATION = """
        global
            log stdout format raw local0
        defaults
            mode http
            log global
            timeout client 30s
            timeout server 30s
            timeout connect 30s
        frontend proxied
            bind 127.0.0.1:{port} accept-proxy ssl crt {pem}
            log-format "told %ci %cp %[dst] %[dst_port] %[fc_pp_authority] %[fc_pp_unique_id,hex]"
            http-request return status 200 content-type text/plain string "{expected}"
    """

    def _start(self) -> tuple[int, Child]:
        return start_on_unused_port(self._run)

    def _run(self, port: int) -> Child:
        pem = self.folder / "haproxy.pem"
        pem.write_text(self.certificate.read_text() + self.key.read_text())
        configuration = self.folder / "haproxy.cfg"
        configuration.write_text(self._CONFIGURATION.strip(" ").format(
            port=port, pem=pem, expected=self.expected.decode()))
        return Child([program("haproxy", "haproxy"), "-db", "-f", configuration])


PROXIED: dict[str, type[ProxiedServer]] = {"nginx": ProxiedNginx, "haproxy": ProxiedHaproxy}
