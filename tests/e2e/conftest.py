"""Fixtures that every end-to-end test may use."""

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Iterator

import pytest

from harness.pki import Pki
from harness.proxy import Proxies, Proxy
from harness.scripted import flight_then_echo
from harness.sites import Sites
from harness.sockets import TcpServer
from harness.starttls import Ways


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def proxies() -> Iterator[Proxies]:
    """Starts proxies; at the end of the test each must exit with 0 and without a sanitizer report."""
    started = Proxies()
    yield started
    started.stop()


@pytest.fixture
def server() -> Iterator[TcpServer]:
    """Answers a ClientHello with a flight, and the rest with itself. Its clients may be cut off, as their proxy is."""
    def serve(connection: socket.socket) -> None:
        with suppress(ConnectionError, EOFError):
            flight_then_echo(connection)

    with TcpServer(serve) as started:
        yield started


@pytest.fixture
def ways(proxies: Proxies) -> Ways:
    return Ways(proxies)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of the module, readable by servers that change their user."""
    path = tmp_path_factory.mktemp("folder")
    os.chmod(path, 0o755)
    return path


@pytest.fixture(scope="module")
def sites(folder: Path) -> Iterator[Sites]:
    with Sites(folder) as sites:
        yield sites


@pytest.fixture(scope="module")
def edges(sites: Sites, folder: Path) -> Iterator[Proxy]:
    """The proxy in front of those sites that have one."""
    started = Proxies()
    yield started.configured(folder, sites.edges(), host=sites.far)
    started.stop()
