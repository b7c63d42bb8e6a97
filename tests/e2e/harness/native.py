"""turbotls-client and turbotls-server, the programs."""

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from .pki import SERVER_NAME
from .process import Child
from .programs import REPOSITORY
from .wait import DEADLINE_S

RETRY_GROUP = "secp384r1"
"""A group for which clients have no share in their first ClientHello."""

_LISTENING = re.compile(r"listening on \S*:(\d+) \(")


def binary(name: str) -> Path:
    """Beside the proxy under test."""
    proxy = Path(os.environ.get("TURBOTLS_PROXY", REPOSITORY / "build-sanitize" / "bin" / "turbotls-proxy"))
    return proxy.with_name(name)


def available() -> bool:
    return all(os.access(binary(name), os.X_OK) for name in ("turbotls-client", "turbotls-server"))


class Server(Child):
    """Echoes; serves TurboTLS in both dialects and plain TLS."""

    def __init__(self, certificate: Path, key: Path, listen: str = "127.0.0.1:0", *, group: str = "", client_ca: Path | None = None,
                 greeting: bytes = b"") -> None:
        argv = [binary("turbotls-server"), "--turbo", "--dialect", "sandwich", "--listen", listen, "--cert", certificate,
                "--key", key]
        argv += ["--groups", group] if group else []
        argv += ["--client-ca", client_ca, "--require-client-certificate"] if client_ca else []
        argv += ["--greeting", greeting.decode()] if greeting else []
        super().__init__(argv)
        line = self.stdout.wait_for(lambda text: bool(_LISTENING.match(text)))[0]
        self.port = int(_LISTENING.match(line)[1])
