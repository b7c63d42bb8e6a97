"""turbotls-client and turbotls-server."""

import os
from pathlib import Path
from typing import Any

from .programs import REPOSITORY

RETRY_GROUP = "secp384r1"
"""A group for which clients have no share in their first ClientHello."""


def binary(name: str) -> Path:
    """Beside the proxy under test."""
    proxy = Path(os.environ.get("TURBOTLS_PROXY", REPOSITORY / "build-sanitize" / "bin" / "turbotls-proxy"))
    return proxy.with_name(name)


def available() -> bool:
    return all(os.access(binary(name), os.X_OK) for name in ("turbotls-client", "turbotls-server"))


def visit(host: str, port: int, udp_port: int | None, dialect: str, identity: Any, scenario: Any, version: str) -> dict[str, Any]:
    raise NotImplementedError
