"""Real TLS clients, unmodified, each fetching one page.

`fetch` gives everything the client printed, which contains the reply's header and body. With `resume` the
client connects twice and the reply is that of the second connection.
"""

import itertools
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from .hello import read_to_end
from .pki import SERVER_NAME, Pki
from .process import Child
from .programs import program
from .servers import PAGE_PATH
from .sockets import connect

REQUEST = f"GET {PAGE_PATH} HTTP/1.0\r\nHost: {SERVER_NAME}\r\n\r\n".encode()

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True)
class Visit:
    """What to fetch, and how."""

    port: int
    pki: Pki
    folder: Path
    version: str = "1.3"
    certificate: bool = False
    resume: bool = False


class ClientFailed(AssertionError):
    """The client program says that something went wrong."""


def _run(argv: list[str | Path], request: bytes = b"") -> bytes:
    """Runs a client to its end; its standard input stays open, since closing it would cut the reply short."""
    with Child(argv, stdin=True) as child:
        if request:
            child.write(request)
        code = child.wait()
        output = child.stdout.text() + "\n"
        if code != 0:
            raise ClientFailed(f"{' '.join(child.argv)}: exit code {code}\n{child.stderr.text()}")
    return output.encode()


def curl(visit: Visit) -> bytes:
    url = f"https://{SERVER_NAME}:{visit.port}{PAGE_PATH}"
    argv: list[str | Path] = [
        program("curl", "curl"), "--silent", "--show-error", "--http1.1", "--include",
        "--header", "Connection: close",
        "--cacert", visit.pki.ca, "--resolve", f"{SERVER_NAME}:{visit.port}:127.0.0.1",
        f"--tlsv{visit.version}", "--tls-max", visit.version]
    if visit.certificate:
        argv += ["--cert", visit.pki.client, "--key", visit.pki.client_key]
    return _run(argv + [url] * (2 if visit.resume else 1))


_session_numbers = itertools.count()


def openssl_client(visit: Visit) -> bytes:
    argv: list[str | Path] = [
        program("openssl", "openssl"), "s_client", "-connect", f"127.0.0.1:{visit.port}", "-quiet",
        "-servername", SERVER_NAME, "-CAfile", visit.pki.ca, "-verify_return_error",
        "-verify_hostname", SERVER_NAME, f"-tls{visit.version.replace('.', '_')}"]
    if visit.certificate:
        argv += ["-cert", visit.pki.client, "-key", visit.pki.client_key]
    if not visit.resume:
        return _run(argv, REQUEST)
    session = visit.folder / f"session-{next(_session_numbers)}.pem"
    _run(argv + ["-sess_out", session], REQUEST)
    return _run(argv + ["-sess_in", session], REQUEST)


def gnutls_client(visit: Visit) -> bytes:
    argv: list[str | Path] = [
        program("gnutls-cli", "gnutls-bin"), "127.0.0.1", "--port", str(visit.port),
        "--sni-hostname", SERVER_NAME, "--verify-hostname", SERVER_NAME,
        "--x509cafile", visit.pki.ca,
        "--priority", f"NORMAL:-VERS-ALL:+VERS-TLS{visit.version}"]
    if visit.certificate:
        argv += ["--x509certfile", visit.pki.client, "--x509keyfile", visit.pki.client_key]
    if visit.resume:
        argv += ["--resume", "--waitresumption"]
    return _run(argv, REQUEST)


def python_client(visit: Visit) -> bytes:
    context = visit.pki.client_context(_VERSIONS[visit.version], visit.certificate)
    reply, session = _python_visit(visit, context, None)
    if visit.resume:
        reply, _ = _python_visit(visit, context, session)
    return reply


def _python_visit(visit: Visit, context: ssl.SSLContext,
                  session: ssl.SSLSession | None) -> tuple[bytes, ssl.SSLSession | None]:
    with context.wrap_socket(connect(visit.port), server_hostname=SERVER_NAME,
                             session=session) as tls:
        tls.sendall(REQUEST)
        return read_to_end(tls), tls.session


CLIENTS: dict[str, Callable[[Visit], bytes]] = {
    "curl": curl, "openssl": openssl_client, "gnutls": gnutls_client, "python": python_client}
