"""Real TLS servers, unmodified, each serving one page over HTTP/1.x."""

import re
import socket
from pathlib import Path
from typing import Callable

from .pki import Pki
from .process import Child, OutputEnded
from .programs import node, program
from .sockets import TcpServer, connect, unused_port
from .wait import wait_until

PAGE_PATH = "/page.html"
PAGE = b"<!DOCTYPE html><title>the page</title><pre>\n" + b"".join(
    b"line %05d of the page, which is what the client must get\n" % number
    for number in range(2000)) + b"</pre>\n"

_ATTEMPTS = 5


class TlsServer:
    """A server program in front of which an edge may stand."""

    expected = PAGE
    """What a reply must contain, whole."""

    def __init__(self, pki: Pki, folder: Path, *, client_certificate: bool = False,
                 kind: str = "ecdsa") -> None:
        self.pki = pki
        self.certificate, self.key = pki.server(kind)
        self.folder = folder
        self.client_certificate = client_certificate
        (folder / PAGE_PATH[1:]).write_bytes(PAGE)
        self.port, self._child = self._start()

    def _start(self) -> tuple[int, Child]:
        raise NotImplementedError

    def resumed(self, reply: bytes) -> bool:
        """Whether the server resumed a session on the connection that brought this reply."""
        raise NotImplementedError

    def close(self) -> None:
        self._child.stop()

    def __enter__(self) -> "TlsServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start_on_unused_port(start: Callable[[int], Child]) -> tuple[int, Child]:
    """For programs that want a number: another one may take the port first, so try again."""
    for _ in range(_ATTEMPTS):
        port = unused_port()
        child = start(port)
        wait_until(f"{child.name} serves port {port} or gives up",
                   lambda: child.exit_code is not None or accepts(port))
        if child.exit_code is None:
            return port, child
        child.wait()
    raise AssertionError(f"{child.name} does not start:\n{child.stderr.text()}")


def accepts(port: int) -> bool:
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return False
    return True


class Nginx(TlsServer):
    _CONFIGURATION = """
        daemon off; master_process off; pid {folder}/nginx.pid;
        error_log stderr; events {{ worker_connections 4096; }}
        http {{
            access_log off;
            client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
            uwsgi_temp_path {folder}; scgi_temp_path {folder};
            types {{ text/html html; }}
            server {{
                listen 127.0.0.1:{port} ssl;
                root {folder};
                ssl_certificate {certificate}; ssl_certificate_key {key};
                ssl_protocols TLSv1.2 TLSv1.3;
                ssl_session_cache shared:sessions:1m;
                ssl_client_certificate {ca}; ssl_verify_client {verify};
                add_header X-Session-Reused $ssl_session_reused;
            }}
        }}
    """

    def _start(self) -> tuple[int, Child]:
        return start_on_unused_port(self._run)

    def _run(self, port: int) -> Child:
        configuration = self.folder / "nginx.conf"
        configuration.write_text(self._CONFIGURATION.format(
            folder=self.folder, port=port, certificate=self.certificate, key=self.key, ca=self.pki.ca,
            verify="on" if self.client_certificate else "off"))
        return Child([program("nginx", "nginx"), "-e", "stderr", "-c", configuration])

    def resumed(self, reply: bytes) -> bool:
        return b"X-Session-Reused: r" in reply


class OpenSslServer(TlsServer):
    """`openssl s_server -www`: a page about the connection."""

    expected = b"<pre>\n\ns_server "

    def _start(self) -> tuple[int, Child]:
        argv = [program("openssl", "openssl"), "s_server", "-accept", "127.0.0.1:0", "-www",
                "-cert", self.certificate, "-key", self.key, *self._client_certificate_options()]
        child = Child(argv, cwd=self.folder)
        return accept_port(child), child

    def _client_certificate_options(self) -> list[str | Path]:
        if not self.client_certificate:
            return []
        return ["-Verify", "1", "-verify_return_error", "-CAfile", self.pki.ca]

    def resumed(self, reply: bytes) -> bool:
        return b"Reused, TLSv" in reply


def accept_port(s_server: Child) -> int:
    """The port that `openssl s_server -accept HOST:0` got."""
    line = s_server.stdout.wait_for(lambda text: text.startswith("ACCEPT "))[0]
    return int(line.rpartition(":")[2])


class GnuTlsServer(TlsServer):
    """`gnutls-serv --http`: a page about the connection."""

    expected = b"</HTML>"

    def _start(self) -> tuple[int, Child]:
        return start_on_unused_port(self._run)

    def _run(self, port: int) -> Child:
        required = ["--require-client-cert", "--verify-client-cert"]
        return Child([program("gnutls-serv", "gnutls-bin"), "--http", "--port", str(port),
                      "--x509certfile", self.certificate, "--x509keyfile", self.key,
                      "--x509cafile", self.pki.ca, *(required if self.client_certificate else [])])

    def resumed(self, reply: bytes) -> bool:
        try:
            return bool(self._child.stdout.wait_for(lambda line: "resumed session" in line,
                                                    timeout_s=5))
        except (TimeoutError, OutputEnded):
            return False


class NodeServer(TlsServer):
    """Node 24 brings OpenSSL 3.5, which prefers the post-quantum group X25519MLKEM768."""

    def _start(self) -> tuple[int, Child]:
        script = Path(__file__).with_name("node_server.js")
        child = Child([node(), script, self.key, self.certificate, self.pki.ca,
                       "require" if self.client_certificate else "ignore",
                       self.folder / PAGE_PATH[1:]])
        line = child.stdout.wait_for(lambda text: text.startswith("listening "))[0]
        return int(re.search(r"\d+", line)[0]), child

    def resumed(self, reply: bytes) -> bool:
        return b"X-Session-Reused: yes" in reply


SERVERS: dict[str, type[TlsServer]] = {
    "nginx": Nginx, "openssl": OpenSslServer, "gnutls": GnuTlsServer, "node": NodeServer}


def tls_echo_server(pki: Pki, kind: str = "ecdsa") -> TcpServer:
    """A TLS server in this process that sends back what it gets."""
    context = pki.server_context(kind)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            while data := tls.recv(1 << 16):
                tls.sendall(data)

    return TcpServer(serve)
