"""STARTTLS end to end: real clients, real servers, and between them the two ends of a conversion, together and each alone.

What direct connections show is the reference: the same client does the same thing with the same server.
"""

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Iterator

import pytest

from harness.pki import Pki
from harness.starttls_clients import IMPLICIT_CLIENTS, STARTTLS_CLIENTS, Visit, succeeds
from harness.starttls_servers import SERVERS, StarttlsServer

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start Postfix and Dovecot")


def start_all(pki: Pki, folder: Path, *, tls: bool) -> dict[str, StarttlsServer]:
    def start(protocol: str) -> StarttlsServer:
        return StarttlsServer(protocol, pki, folder / protocol, tls=tls)
    with ThreadPoolExecutor(len(SERVERS)) as pool:
        return dict(zip(SERVERS, pool.map(start, SERVERS)))


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """One that other users may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="starttls-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def servers(pki: Pki, open_folder: Path) -> Iterator[dict[str, StarttlsServer]]:
    started = start_all(pki, open_folder / "tls", tls=True)
    yield started
    for each in started.values():
        each.close()


every_starttls = pytest.mark.parametrize("protocol,client", [
    (protocol, name) for protocol, clients in STARTTLS_CLIENTS.items() for name in clients])
every_implicit = pytest.mark.parametrize("protocol,client", [
    (protocol, name) for protocol, clients in IMPLICIT_CLIENTS.items() for name in clients])


# ---- the reference ----

@every_starttls
def test_starttls_directly(pki: Pki, servers: dict[str, StarttlsServer], protocol: str, client: str) -> None:
    server = servers[protocol]
    succeeds(server, STARTTLS_CLIENTS[protocol][client], Visit(server.port, pki))


@every_implicit
def test_implicit_tls_directly(pki: Pki, servers: dict[str, StarttlsServer], protocol: str, client: str) -> None:
    server = servers[protocol]
    succeeds(server, IMPLICIT_CLIENTS[protocol][client], Visit(server.implicit_port, pki, implicit=True))
