"""Certificates for the tests, made by the same script as those of the demonstrations."""

import ssl
import subprocess
from pathlib import Path

from .programs import REPOSITORY
from .wait import DEADLINE_S

SERVER_NAME = "example.test"


class Pki:
    """A directory of PEM files; see deploy/lab/pki.sh for what each one is."""

    def __init__(self, folder: Path) -> None:
        script = REPOSITORY / "deploy" / "lab" / "pki.sh"
        subprocess.run([script, folder], check=True, timeout=10 * DEADLINE_S)
        self.ca = folder / "ca.pem"
        self.client = folder / "client.pem"
        self.client_key = folder / "client.key"
        self._folder = folder

    def server(self, kind: str = "ecdsa") -> tuple[Path, Path]:
        """Certificate chain and key: "ecdsa" (one small certificate), "rsa-chain" (three) or "long-chain" (ten)."""
        return self._folder / f"{kind}.pem", self._folder / f"{kind}.key"

    def server_context(self, kind: str = "ecdsa") -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.server(kind))
        return context

    def client_context(self, version: ssl.TLSVersion | None = None,
                       with_certificate: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        if with_certificate:
            context.load_cert_chain(self.client, self.client_key)
        return context
