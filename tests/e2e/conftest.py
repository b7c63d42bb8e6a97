"""Fixtures that every end-to-end test may use."""

import os
from pathlib import Path
from typing import Iterator

import pytest

from harness.pki import Pki
from harness.proxy import Proxies


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def proxies() -> Iterator[Proxies]:
    """Starts proxies; at the end of the test each must exit with 0 and without a sanitizer report."""
    started = Proxies()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of the module, readable by servers that change their user."""
    path = tmp_path_factory.mktemp("folder")
    os.chmod(path, 0o755)
    return path
