"""Discovery: what the DNS says of a server, and what an operator publishes (protocol §10)."""

import os
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from harness.knot import HTTPS, PORT, Knot, Tap
from harness.names import Names
from harness.programs import program, sanitized_proxy
from harness.proxy import Proxies
from harness.scripted import converse, flight_then_echo
from harness.sockets import TcpServer
from harness.wait import DEADLINE_S

_TYPE_A = 1
_KEY = b"\xff\xc8"
_ALPN = b"\x00\x01\x00\x0c\x02h2\x08http/1.1"
_HOST = b"\x03www\x07example\x04test\x00"


def dns_record(*arguments: str, code: int = 0) -> str:
    result = subprocess.run([os.fspath(sanitized_proxy()), "dns-record", *arguments], capture_output=True, text=True,
                            timeout=DEADLINE_S, check=False)
    assert result.returncode == code, result.stderr
    return result.stderr if code else result.stdout


def data_of(knot: Knot, name: str) -> list[bytes]:
    """The HTTPS records at `name`, as they go over the wire behind the fixed part of each."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    message = struct.pack("!6H", 1, 0, 1, 0, 0, 0) + question + struct.pack("!HH", HTTPS, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(DEADLINE_S)
        client.sendto(message, (knot.host, PORT))
        answer = client.recv(4096)
    at, records = len(message), []
    for _ in range(struct.unpack_from("!H", answer, 6)[0]):
        kind, _, _, length = struct.unpack_from("!HHIH", answer, at + 2)  # behind a pointer
        assert kind == HTTPS
        records.append(answer[at + 12:at + 12 + length])
        at += 12 + length
    return records


def test_upstreams_are_found_where_the_dns_says(proxies: Proxies, tmp_path: Path) -> None:
    with Knot(tmp_path, {"example.test": "www 60 A 127.0.0.1"}) as knot, Tap(knot.host) as tap, \
            TcpServer(flight_then_echo) as server:
        names = Names(tmp_path, {}, servers=[tap.host])
        proxy = proxies.start(listen="tcp:127.0.0.1:0", names=names, upstream=f"tcp:www.example.test:{server.port}",
                              options=["--workers", "1"])  # each asks once
        converse(proxy.port)
        converse(proxy.port)
        assert tap.asked("www.example.test", _TYPE_A) == 1


@pytest.mark.parametrize("arguments, name, data, shown", [
    (["--udp-port", "443"], "example.test", b"\0\1\0" + _KEY + b"\0\0", "1 . key65480"),
    (["--udp-port", "8443", "--name", "www.example.test", "--alpn", "h2,http/1.1", "--priority", "7"],
     "www.example.test", b"\0\7\0" + _ALPN + _KEY + b"\0\2\x20\xfb", "7 . alpn=h2,http/1.1 key65480="),
    (["--udp-port", "8443", "--port", "8443", "--name", "www.example.test"],
     "_8443._https.www.example.test", b"\0\1" + _HOST + _KEY + b"\0\0", "1 www.example.test. key65480"),
    (["--udp-port", "23552", "--port", "993"], "_993._https.example.test",
     b"\0\1\x07example\x04test\0" + _KEY + b"\0\2\x5c\x00", "1 example.test. key65480="),
], ids=["the zone itself", "another UDP port", "another port", "a backslash"])
def test_a_zone_with_the_printed_line_says_what_was_asked_for(tmp_path: Path, arguments: list[str], name: str,
                                                              data: bytes, shown: str) -> None:
    """As tests/unit/test_svcb.c reads it. 0x5c is a backslash."""
    printed = dns_record(*arguments, "--ttl", "120")
    assert printed.splitlines()[-1].split()[1] == "120"
    with Knot(tmp_path, {"example.test": printed}) as knot:
        assert data_of(knot, name) == [data]
        (line,) = knot.ask(name, "HTTPS")
        assert line.replace('"', "").startswith(shown)


def test_a_checker_of_zones_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    zone = tmp_path / "example.test.zone"
    zone.write_text("$ORIGIN example.test.\n@ 60 SOA ns hostmaster 1 1 1 1 1\n@ 60 NS ns\nns 60 A 192.0.2.1\n"
                    + dns_record("--udp-port", "8443", "--alpn", "h2")
                    + dns_record("--udp-port", "8443", "--port", "25"))
    subprocess.run([program("kzonecheck", "knot-dnssecutils"), "-o", "example.test", zone], check=True,
                   timeout=DEADLINE_S)


def test_arguments_that_are_wrong_print_no_record() -> None:
    assert "use the TCP port (443), or 1024 to 65535" in dns_record("--udp-port", "80", code=2)
    assert "--udp-port is missing" in dns_record(code=2)
    assert "Usage: turbotls-proxy dns-record" in dns_record("--help")
