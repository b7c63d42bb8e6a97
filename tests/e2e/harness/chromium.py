"""Chromium, headless: a client whose post-quantum ClientHello needs two datagrams."""

import subprocess
from pathlib import Path

from .namespace import Host
from .pki import SERVER_NAME
from .process import Child
from .programs import program
from .servers import PAGE_PATH

_QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
          "--disable-background-networking", "--disable-component-update", "--disable-sync",
          "--disable-dev-shm-usage", "--no-default-browser-check"]


class Chromium:
    """A fresh profile that trusts the tests' certificate authority."""

    def __init__(self, home: Path, ca: Path) -> None:
        self._home = home
        database = home / ".pki" / "nssdb"
        database.mkdir(parents=True)
        self._certutil("-d", f"sql:{database}", "-N", "--empty-password")
        self._certutil("-d", f"sql:{database}", "-A", "-n", "tests", "-t", "C,,", "-i", str(ca))

    def _certutil(self, *arguments: str) -> None:
        subprocess.run([program("certutil", "libnss3-tools"), *arguments], check=True,
                       capture_output=True, timeout=60)

    def page(self, port: int) -> str:
        """Opens the page at example.test and gives its document as the browser understood it."""
        return self.document(f"https://{SERVER_NAME}:{port}{PAGE_PATH}",
                             f"--host-resolver-rules=MAP {SERVER_NAME} 127.0.0.1")

    def document(self, url: str, *options: str, host: Host | None = None) -> str:
        """The same of any page, on any host of harness/namespace.py."""
        argv = [program("chromium", "chromium"), *_QUIET, f"--user-data-dir={self._home / 'profile'}", *options,
                "--dump-dom", url]
        with Child(host.command(*argv) if host else argv, env={"HOME": str(self._home)}) as browser:
            code = browser.wait()
            assert code == 0, f"chromium: exit code {code}\n{browser.stderr.text()}"
            return browser.stdout.text()
