"""The examples that users of libtunnel begin with, as they are."""

import socket
import ssl
from pathlib import Path

import pytest

from harness.native import binary
from harness.pki import SERVER_NAME, Pki
from harness.process import Child
from harness.servers import start_on_unused_port
from harness.sockets import TcpServer, connect
from harness.tls import MemoryClient

MESSAGE = b"Sandwich is cool"


def example(name: str) -> Path:
    return binary("turbotls-client").parent.parent / "examples" / name


@pytest.fixture
def server_text(pki: Pki, tmp_path: Path) -> Path:
    certificate, key = pki.server()
    path = tmp_path / "server.txtpb"
    path.write_text(f"""server {{ tls {{ common_options {{ identity {{
        certificate {{ static {{ data {{ filename: "{certificate}" }} }} }}
        private_key {{ static {{ data {{ filename: "{key}" }} }} }} }} }} }} }}""")
    return path


@pytest.fixture
def client_text(pki: Pki, tmp_path: Path) -> Path:
    path = tmp_path / "client.txtpb"
    path.write_text(f"""impl: IMPL_GNUTLS client {{ tls {{ common_options {{ x509_verifier {{
        trusted_cas {{ static {{ data {{ filename: "{pki.ca}" }} }} }} }} }} }} }}""")
    return path


def run(*argv: object) -> Child:
    child = Child([str(part) for part in argv])
    child.wait()
    return child


def serve(name: str, text: Path) -> tuple[int, Child]:
    return start_on_unused_port(lambda port: Child([example(name), str(port), text]))


def test_the_echo_of_the_tutorial(server_text: Path) -> None:
    port, server = serve("echo_server", server_text)
    with server:
        for _ in range(2):
            client = run(example("echo_client"), port)
            assert client.exit_code == 0, client.stderr.text()
            assert client.stdout.all() == ["the server sent it back"]


def test_a_wrong_message_ends_that_connection_only(server_text: Path, pki: Pki) -> None:
    port, server = serve("echo_server", server_text)
    with server:
        with pki.client_context().wrap_socket(connect(port), server_hostname=SERVER_NAME) as tls:
            tls.sendall(b"Sandwich is cold")
            with pytest.raises((ConnectionError, ssl.SSLError, AssertionError)):
                assert tls.recv(100) != b""
        server.stderr.wait_for(lambda line: line == "protocol")
        assert run(example("echo_client"), port).exit_code == 0


def test_an_answer_that_differs_is_found(pki: Pki) -> None:
    def lie(connection: socket.socket) -> None:
        tls = pki.server_context().wrap_socket(connection, server_side=True)
        tls.recv(100)
        tls.sendall(MESSAGE[::-1])
        tls.recv(100)

    with TcpServer(lie) as server:
        client = run(example("echo_client"), server.port)
    assert client.exit_code == 1


def test_a_stream_is_upgraded(server_text: Path, client_text: Path) -> None:
    port, server = serve("upgradeable_server", server_text)
    with server:
        client = run(example("upgradeable_client"), port, client_text, SERVER_NAME)
        assert client.exit_code == 0, client.stderr.text()
        assert client.stdout.all() == ["PONG", "PONG over TLS"]
        client = run(example("upgradeable_client"), port, client_text, "elsewhere.test")
        assert client.exit_code == 1
        assert "elsewhere.test" in client.stderr.text()


def test_tls_may_begin_right_behind_starttls(server_text: Path, pki: Pki) -> None:
    """Nothing is answered, so that both may come in one segment."""
    port, server = serve("upgradeable_server", server_text)
    with server, connect(port) as connection:
        tls = MemoryClient(pki.client_context(), SERVER_NAME)
        connection.sendall(b"STARTTLS\n" + tls.hello)
        tls.handshake(connection)
        tls.write(connection, b"PING\n")
        assert tls.read(connection, 5) == b"PONG\n"


def test_plain_bytes_behind_starttls_are_not_taken_for_protected_ones(server_text: Path) -> None:
    port, server = serve("upgradeable_server", server_text)
    with server, connect(port) as connection:
        connection.sendall(b"STARTTLS\nPING\n")
        try:
            assert connection.recv(100) == b""
        except ConnectionResetError:
            pass


def test_two_tunnels_in_memory(server_text: Path, client_text: Path) -> None:
    child = run(example("memory_tunnels"), client_text, server_text, SERVER_NAME)
    assert child.exit_code == 0, child.stderr.text()
    assert child.stdout.text().startswith("hello by TLSv1.3, TLS_")
    child = run(example("memory_tunnels"), client_text, server_text, "elsewhere.test")
    assert child.exit_code == 1
    assert "elsewhere.test" in child.stderr.text()


@pytest.mark.parametrize("version", ["tls12", "tls13"])
def test_wrapped_buffers(server_text: Path, pki: Pki, tmp_path: Path, version: str) -> None:
    text = tmp_path / "of-version.txtpb"
    text.write_text(f"""client {{ tls {{ common_options {{ {version} {{ }} x509_verifier {{
        trusted_cas {{ static {{ data {{ filename: "{pki.ca}" }} }} }} }} }} }} }}""")
    child = run(example("wrapped_buffers"), text, server_text, SERVER_NAME)
    assert child.exit_code == 0, child.stderr.text()
    said = child.stdout.all()
    assert said[-2].startswith(f"TLSv1.{version[-1]}, TLS_") and said[-2].endswith(", no ALPN")
    assert said[-1] == "plain again"
    assert str(pki.ca) in child.stdout.text()
    child = run(example("wrapped_buffers"), text, server_text, "elsewhere.test")
    assert child.exit_code == 1
    assert "elsewhere.test" in child.stderr.text()


def test_an_io_of_ones_own(server_text: Path, client_text: Path) -> None:
    port, server = serve("echo_server", server_text)
    with server:
        client = run(example("own_io"), port, client_text, SERVER_NAME)
    assert client.exit_code == 0, client.stderr.text()
    *states, counts = client.stdout.all()
    assert states == ["connection in progress", "handshake in progress", "handshake done", "being shut down", "disconnected"]
    assert counts.endswith(" read")


@pytest.mark.parametrize("name", ["echo_server", "upgradeable_server", "upgradeable_client", "memory_tunnels",
                                  "wrapped_buffers", "own_io"])
def test_without_arguments_they_say_what_they_need(name: str) -> None:
    child = run(example(name))
    assert child.exit_code == 1
    assert child.stderr.text().startswith(f"usage: {name} ")
