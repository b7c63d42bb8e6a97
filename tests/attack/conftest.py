"""Network, certificates and tools that the attacks share."""

from pathlib import Path
from typing import Iterator

import pytest

from harness.pki import Pki
from network import Network


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))
