"""turbotls-client and turbotls-server, with other programs and with each other."""

import contextlib
import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any, Iterator

import pytest

from harness.native import binary
from harness.pki import SERVER_NAME, Pki
from harness.process import Child
from harness.programs import program
from harness.servers import start_on_unused_port
from harness.sockets import DeadPort, TcpServer, connect
from harness.wait import wait_until

IMPLEMENTATIONS = ("openssl", "gnutls")
WAYS = ("tcp", "turbo")


class Server(Child):
    """turbotls-server on a port of its own."""

    def __init__(self, pki: Pki, *options: object, kind: str = "ecdsa") -> None:
        certificate, key = pki.server(kind)
        super().__init__([str(part) for part in (
            binary("turbotls-server"), "--listen", "127.0.0.1:0", "--cert", certificate, "--key", key, *options)])
        line = self.stderr.wait_for(lambda text: text.startswith("listening on "))[0]
        self.port = int(line.split(":")[1].split(" ")[0])

    def connections(self, count: int = 1) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.wait_for(lambda line: line.startswith("{"), count)]


def client(port: int, *options: object, stdin: bool = False) -> Child:
    argv = [str(part) for part in (binary("turbotls-client"), *options, f"127.0.0.1:{port}")]
    return Child(argv, stdin=stdin)


def ran(port: int, *options: object) -> Child:
    child = client(port, *options)
    child.wait()
    return child


def trusting(pki: Pki) -> list[object]:
    return ["--ca", pki.ca, "--name", SERVER_NAME]


def way_options(way: str) -> list[object]:
    return ["--turbo", "--always"] if way == "turbo" else []


# ---- each other ----

@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("server_impl", IMPLEMENTATIONS)
@pytest.mark.parametrize("client_impl", IMPLEMENTATIONS)
def test_echo(pki: Pki, client_impl: str, server_impl: str, way: str) -> None:
    with Server(pki, "--json", "--impl", server_impl, *way_options(way)[:1]) as server:
        for version in ("1.2", "1.3"):
            child = ran(server.port, *trusting(pki), *way_options(way), "--impl", client_impl, "--tls", version,
                        "--line", "first", "--line", "second")
            assert child.exit_code == 0, child.stderr.text()
            assert child.stdout.all() == ["first", "second"]
        connections = server.connections(2)
    assert [one["version"] for one in connections] == ["TLSv1.2", "TLSv1.3"]
    assert {one["outcome"] for one in connections} <= ({"tcp"} if way == "tcp" else {"turbo", "resumed-on-tcp", "classic"})
    assert all(one["received"] == one["sent"] == 13 and one["result"] == "ok" for one in connections)
    assert all(one["server_name"] == SERVER_NAME for one in connections)


@pytest.mark.parametrize("dialect", ["profile1", "sandwich"])
@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_both_dialects_go_by_udp(pki: Pki, impl: str, dialect: str) -> None:
    def is_turbo() -> bool:  # but where the machine is so busy that UDP is late
        child = ran(server.port, *trusting(pki), *way_options("turbo"), "--impl", impl, "--dialect", dialect, "--json",
                    "--line", "x", "--expect-bytes", "2")
        assert child.exit_code == 0, child.stderr.text()
        return bool(json.loads(child.stdout.text())["outcome"] == "turbo")

    with Server(pki, "--json", "--impl", impl, "--dialect", "sandwich") as server:
        wait_until("a connection begins by UDP", is_turbo)
        server.stdout.wait_for(lambda line: any(f'"outcome":"{name}"' in line for name in ("turbo", "resumed-on-tcp")))


@pytest.mark.parametrize("way", WAYS)
def test_resumption_and_many_connections(pki: Pki, way: str) -> None:
    with Server(pki, *way_options(way)[:1]) as server:
        child = ran(server.port, *trusting(pki), *way_options(way), "--json", "--line", "x", "--expect-bytes", "2",
                    "--count", "4", "--parallel", "2", "--resume", "2")
    assert child.exit_code == 0, child.stderr.text()
    records = [json.loads(line) for line in child.stdout.all()]
    assert len(records) == 12
    assert [record["resumed"] for record in records].count(True) == 8
    assert all(record["received"] == 2 and record["timing_ms"]["handshake"] > 0 for record in records)


@pytest.mark.parametrize("way", WAYS)
def test_much_both_ways(pki: Pki, tmp_path: Path, way: str) -> None:
    sent, received = tmp_path / "sent", tmp_path / "received"
    sent.write_bytes(bytes(range(256)) * 8192)
    with Server(pki, *way_options(way)[:1]) as server:
        child = ran(server.port, *trusting(pki), *way_options(way), "--file", sent, "--output", received)
    assert child.exit_code == 0, child.stderr.text()
    assert received.read_bytes() == sent.read_bytes()


def test_standard_input_is_sent_until_it_ends(pki: Pki) -> None:
    with Server(pki) as server, client(server.port, *trusting(pki), stdin=True) as child:
        child.write(b"one\n")
        child.stdout.wait_for(lambda line: line == "one")
        child.write(b"two\n")
        child.stdout.wait_for(lambda line: line == "two")
        assert child._process.stdin
        child._process.stdin.close()
        wait_until("the client ends", lambda: child.exit_code is not None)
        assert child.exit_code == 0


@pytest.mark.parametrize("way", WAYS)
def test_the_server_speaks_first(pki: Pki, way: str) -> None:
    with Server(pki, "--greeting", "welcome", *way_options(way)[:1]) as server:
        child = ran(server.port, *trusting(pki), *way_options(way), "--silent", "--expect-bytes", "8")
    assert child.exit_code == 0, child.stderr.text()
    assert child.stdout.all() == ["welcome"]


def test_client_certificates(pki: Pki) -> None:
    for impl in IMPLEMENTATIONS:
        with Server(pki, "--json", "--impl", impl, "--client-ca", pki.ca, "--require-client-certificate") as server:
            child = ran(server.port, *trusting(pki), "--cert", pki.client, "--key", pki.client_key, "--line", "x")
            assert child.exit_code == 0, child.stderr.text()
            assert ran(server.port, *trusting(pki), "--tls", "1.2", "--line", "x").exit_code in (4, 5)
            with_one, without = server.connections(2)
        assert with_one["peer_certificate"] and with_one["result"] == "ok"
        assert without["result"] == "no-certificate"


# ---- other programs ----

@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_curl_fetches_files(pki: Pki, tmp_path: Path, impl: str) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "page.html").write_bytes(b"<p>" + b"page " * 20000)
    (tmp_path / "secret").write_text("not yours")
    (tmp_path / "www" / "link").symlink_to("../secret")
    with Server(pki, "--impl", impl, "--turbo", "--www", tmp_path / "www") as server:
        def curl(*options: str) -> bytes:
            base = f"https://{SERVER_NAME}:{server.port}"
            argv = [program("curl", "curl"), "--silent", "--show-error", "--cacert", str(pki.ca), "--path-as-is",
                    "--resolve", f"{SERVER_NAME}:{server.port}:127.0.0.1",
                    *(f"{base}{part}" if part.startswith("/") else part for part in options)]
            return subprocess.run(argv, capture_output=True, check=True, timeout=60).stdout

        page = (tmp_path / "www" / "page.html").read_bytes()
        assert curl("/page.html", "/page.html?again") == page + page  # on one connection
        assert b"Content-Length: 100003" in curl("--head", "/page.html")
        for path in ("/nothing", "/../secret", "/%2e%2e/secret", "/link", "/"):
            assert curl("--write-out", "%{http_code}", path) == b"404 Not Found\n404"
        for path in ("/%", "/%4", "/%00", "/%zz"):
            assert curl("--write-out", "%{http_code}", path).endswith(b"400")
        assert curl("/%70age.html") == page
        assert curl("--data", "x", "--write-out", "%{http_code}", "/page.html").endswith(b"405")


@pytest.mark.parametrize("header", ["Content-Length: 9", "transfer-encoding: chunked"])
def test_what_follows_as_a_body_is_no_request(pki: Pki, tmp_path: Path, header: str) -> None:
    (tmp_path / "page").write_text("page")
    with Server(pki, "--timeout", "5", "--www", tmp_path) as server:
        stream = pki.client_context().wrap_socket(connect(server.port), server_hostname=SERVER_NAME)
        with stream:
            stream.sendall(f"GET /page HTTP/1.1\r\n{header}\r\n\r\n".encode())
            answer = b""
            while piece := stream.recv(4096):  # to the end
                answer += piece
        assert b"\r\nConnection: close\r\n" in answer
        assert answer.endswith(b"\r\n\r\npage")


def test_openssl_and_gnutls_clients(pki: Pki, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_text("what is served\n")
    request = f"GET / HTTP/1.1\r\nHost: {SERVER_NAME}\r\nConnection: close\r\n\r\n".encode()
    with Server(pki, "--body", body) as server:
        openssl = [program("openssl", "openssl"), "s_client", "-quiet", "-verify_return_error", "-CAfile", str(pki.ca),
                   "-servername", SERVER_NAME, "-connect", f"127.0.0.1:{server.port}"]
        gnutls = [program("gnutls-cli", "gnutls-bin"), "127.0.0.1", "--port", str(server.port), "--x509cafile",
                  str(pki.ca), "--sni-hostname", SERVER_NAME, "--verify-hostname", SERVER_NAME]
        for argv in (openssl, gnutls):
            with Child(argv, stdin=True) as child:
                child.write(request)
                child.stdout.wait_for(lambda line: line == "what is served")


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_openssl_and_gnutls_servers(pki: Pki, impl: str) -> None:
    certificate, key = map(str, pki.server())

    def openssl(port: int) -> Child:
        return Child([program("openssl", "openssl"), "s_server", "-quiet", "-rev", "-accept", f"127.0.0.1:{port}",
                      "-cert", certificate, "-key", key, "-alpn", "h2,http/1.1"], stdin=True)

    def gnutls(port: int) -> Child:
        return Child([program("gnutls-serv", "gnutls-bin"), "--echo", "--quiet", "--port", str(port),
                      "--x509certfile", certificate, "--x509keyfile", key], stdin=True)

    for start, answer in ((openssl, "olleh"), (gnutls, "hello")):
        port, server = start_on_unused_port(start)
        with server:
            for way in WAYS:  # neither knows TurboTLS
                child = ran(port, *trusting(pki), *way_options(way), "--impl", impl, "--alpn", "h2", "--line", "hello",
                            "--expect-bytes", "6")
                assert child.exit_code == 0, child.stderr.text()
                assert child.stdout.all() == [answer]


# ---- what goes wrong ----

@pytest.fixture
def server(pki: Pki) -> Iterator[Server]:
    with Server(pki, "--tls", "1.3", "--alpn", "h2", "--groups", "X25519") as server:
        yield server


@pytest.mark.parametrize("options, code, words", [
    (["--name", SERVER_NAME, "--line", "x"], 4, "unknown-ca"),
    (["--ca", "CA", "--name", "elsewhere.test", "--line", "x"], 4, "name-mismatch"),
    (["--ca", "CA", "--name", SERVER_NAME, "--verify-name", "elsewhere.test", "--line", "x"], 4, "name-mismatch"),
    (["--insecure", "--tls", "1.2", "--line", "x"], 5, "no-common-version"),
    (["--insecure", "--alpn", "http/1.1", "--line", "x"], 5, "no-common-alpn"),
    (["--insecure", "--groups", "P-384", "--line", "x"], 5, "no-common"),
    (["--insecure", "--tls", "9"], 2, "neither 1.2 nor 1.3"),
    (["--insecure", "--ca", "CA"], 2, "--insecure trusts anybody"),
    (["--insecure", "--groups", "nonsense", "--line", "x"], 2, "nonsense"),
    (["--ca", "/nowhere"], 2, "No such file"),
    (["--udp-port", "1"], 2, "--turbo"),
    (["--wrong"], 2, "--help"),
])
def test_exit_codes(pki: Pki, server: Server, options: list[str], code: int, words: str) -> None:
    for impl in IMPLEMENTATIONS:
        child = ran(server.port, "--impl", impl, *(str(pki.ca) if option == "CA" else option for option in options))
        assert (child.exit_code, words in child.stderr.text()) == (code, True), child.stderr.text()


def test_nobody_is_there() -> None:
    with DeadPort() as dead:
        for way in WAYS:
            child = ran(dead.port, *way_options(way), "--insecure", "--line", "x")
            assert child.exit_code == 3 and "unreached" in child.stderr.text()


def meets_end(connection: socket.socket) -> None:
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(1 << 16):
            pass


def test_a_peer_that_is_silent_and_one_that_speaks_something_else() -> None:
    with TcpServer(meets_end) as silent:
        child = ran(silent.port, "--insecure", "--timeout", "1", "--line", "x")
    assert child.exit_code == 3 and "timeout" in child.stderr.text()
    with TcpServer(lambda connection: connection.sendall(b"220 mail.example.test ESMTP\r\n" * 10)) as other:
        child = ran(other.port, "--insecure", "--line", "x")
    assert child.exit_code == 6, child.stderr.text()


def test_less_than_was_expected(pki: Pki) -> None:
    def answer(connection: socket.socket) -> None:
        tls = pki.server_context().wrap_socket(connection, server_side=True)
        tls.sendall(b"too little")
        tls.unwrap()  # the client says goodbye all the same

    for impl in IMPLEMENTATIONS:
        with TcpServer(answer) as short:
            child = ran(short.port, *trusting(pki), "--impl", impl, "--silent", "--expect-bytes", "11")
        assert child.exit_code == 6 and "closed after 10 of 11" in child.stderr.text(), child.stderr.text()


def test_an_end_without_a_goodbye(pki: Pki) -> None:
    def vanish(connection: socket.socket) -> None:
        tls = pki.server_context().wrap_socket(connection, server_side=True)
        tls.sendall(b"cut sho")
        while tls.recv(100):  # its goodbye is heard, and not returned
            pass
        tls.close()

    for impl in IMPLEMENTATIONS:
        with TcpServer(vanish) as vanishing:
            child = ran(vanishing.port, *trusting(pki), "--impl", impl, "--silent")
        assert child.exit_code == 6 and "ragged-eof" in child.stderr.text(), child.stderr.text()
        assert child.stdout.text() == "cut sho"


def test_signals(pki: Pki) -> None:
    with Server(pki) as server, client(server.port, *trusting(pki), stdin=True) as child:
        child.write(b"one\n")
        child.stdout.wait_for(lambda line: line == "one")
        child.signal(signal.SIGINT)
        assert child.wait() == 130
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_output_that_nobody_reads(pki: Pki) -> None:
    with Server(pki) as server:
        argv = [str(part) for part in (binary("turbotls-client"), *trusting(pki), "--line", "x", f"127.0.0.1:{server.port}")]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout and process.stderr
            process.stdout.close()
            process.stderr.read()
            assert process.wait(60) == 1


def test_without_descriptors_accepting_pauses(pki: Pki) -> None:
    certificate, key = pki.server()
    with Child(["/bin/sh", "-c", "ulimit -n 24; exec \"$@\"", "sh", binary("turbotls-server"), "--listen", "127.0.0.1:0",
                "--cert", certificate, "--key", key]) as server:
        line = server.stderr.wait_for(lambda text: text.startswith("listening on "))[0]
        port = int(line.split(":")[1].split(" ")[0])
        crowd = [connect(port) for _ in range(30)]
        server.stderr.wait_for(lambda text: "nobody can be accepted for now" in text)
        for connection in crowd:
            connection.close()
        child = ran(port, *trusting(pki), "--line", "x")
        assert child.exit_code == 0, child.stderr.text()


def test_idle_connections_do_not_stay(pki: Pki) -> None:
    with Server(pki, "--timeout", "1", "--connections", "2") as server:
        crowd = [connect(server.port) for _ in range(2)]
        child = ran(server.port, *trusting(pki), "--line", "x")  # once one of them has gone
        assert child.exit_code == 0, child.stderr.text()
        for connection in crowd:
            connection.close()


def test_a_configuration_from_a_file(pki: Pki, tmp_path: Path) -> None:
    path = tmp_path / "client.txtpb"
    path.write_text(f"""impl: IMPL_GNUTLS client {{ tls {{ common_options {{ tls13 {{ }} x509_verifier {{
        trusted_cas {{ static {{ data {{ filename: "{pki.ca}" }} }} }} }} }} }} }}""")
    with Server(pki) as server:
        assert ran(server.port, "--config", path, "--name", SERVER_NAME, "--line", "x").exit_code == 0
        child = ran(server.port, "--config", path, "--impl", "openssl")
        assert child.exit_code == 2 and "--config" in child.stderr.text()
        path.write_text("client { tls { common_options { } } }")
        child = ran(server.port, "--config", path, "--line", "x")
    assert child.exit_code == 2 and f"{path}:1:31: client.tls.common_options: does not say whom to trust" in child.stderr.text()


@pytest.mark.parametrize(("options", "words"), [
    (["--ca", "nowhere.pem", "--groups", "P-999"], "client: --ca: 'nowhere.pem' cannot be read"),
    (["--insecure", "--groups", "P-999"], 'client: --groups: no key exchange group "P-999"'),
    (["--insecure", "--cert", "CERT", "--key", "CA"], "client: --key: '"),
    (["--insecure", "--tls", "1.2", "--ciphers", "TLS_AES_128_GCM_SHA256"], "not of the version that --tls says"),
    (["--timeout", "0"], "--timeout 0: is no whole number from 1 to 86400"),
])
def test_mistakes_are_told_in_words_of_the_command_line(pki: Pki, options: list[str], words: str) -> None:
    places = {"CA": pki.ca, "CERT": pki.server("ecdsa")[0]}
    child = ran(1, *[places.get(option, option) for option in options], "--line", "x")
    assert (child.exit_code, words in child.stderr.text()) == (2, True), child.stderr.text()


def test_keys_are_logged_only_on_request(pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, not_asked = tmp_path / "asked", tmp_path / "not-asked"
    monkeypatch.setenv("SSLKEYLOGFILE", str(not_asked))
    with Server(pki) as server:
        for impl in IMPLEMENTATIONS:
            child = ran(server.port, *trusting(pki), "--impl", impl, "--keylog", asked, "--line", "x")
            assert child.exit_code == 0, child.stderr.text()
    assert asked.read_text().count("CLIENT_TRAFFIC_SECRET_0 ") == 2
    assert not not_asked.exists()


def test_keys_that_nobody_reads_hold_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "keys")
    with DeadPort() as dead:
        child = ran(dead.port, "--insecure", "--keylog", tmp_path / "keys")
    assert child.exit_code == 2


@pytest.mark.parametrize("name", ["turbotls-client", "turbotls-server"])
def test_help_and_version(name: str) -> None:
    child = Child([binary(name), "--help"])
    assert child.wait() == 0 and f"usage: {name}" in child.stdout.text()
    child = Child([binary(name), "--version"])
    assert child.wait() == 0 and child.stdout.text().startswith(f"{name} ")
