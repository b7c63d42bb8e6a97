"""Chromium, headless: a client whose post-quantum ClientHello needs two datagrams."""

import subprocess
from pathlib import Path

from .pki import SERVER_NAME, Pki
from .process import Child
from .programs import program
from .servers import PAGE_PATH

_QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
          "--disable-background-networking", "--disable-component-update", "--disable-sync",
          "--disable-dev-shm-usage", "--no-default-browser-check"]


class Chromium:
    """A fresh profile that trusts the tests' certificate authority."""

    def __init__(self, home: Path, pki: Pki) -> None:
        self._home = home
        database = home / ".pki" / "nssdb"
        database.mkdir(parents=True)
        self._certutil("-d", f"sql:{database}", "-N", "--empty-password")
        self._certutil("-d", f"sql:{database}", "-A", "-n", "tests", "-t", "C,,", "-i", str(pki.ca))

    def _certutil(self, *arguments: str) -> None:
        subprocess.run([program("certutil", "libnss3-tools"), *arguments], check=True,
                       capture_output=True, timeout=60)

    def page(self, port: int) -> str:
        """Opens the page at example.test and gives its document as the browser understood it."""
        argv = [program("chromium", "chromium"), *_QUIET, f"--user-data-dir={self._home / 'profile'}",
                f"--host-resolver-rules=MAP {SERVER_NAME} 127.0.0.1", "--dump-dom",
                f"https://{SERVER_NAME}:{port}{PAGE_PATH}"]
        with Child(argv, env={"HOME": str(self._home)}) as browser:
            code = browser.wait()
            assert code == 0, f"chromium: exit code {code}\n{browser.stderr.text()}"
            return browser.stdout.text()
