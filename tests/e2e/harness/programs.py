"""Where the programs are. A missing one fails the test that needs it: nothing is skipped quietly."""

import os
import platform
import shutil
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Sequence

REPOSITORY = Path(__file__).resolve().parents[3]
NODE_MAJOR = 24


class Missing(AssertionError):
    """A program the tests need is not installed."""


def sanitized_proxy() -> Path:
    """The proxy under test, with sanitizers unless the environment names another one."""
    return _proxy("TURBOTLS_PROXY", "build-sanitize")


def release_proxy() -> Path:
    """The proxy as users run it: for figures that a sanitizer would distort."""
    return _proxy("TURBOTLS_PROXY_RELEASE", "build")


def _proxy(variable: str, folder: str) -> Path:
    path = Path(os.environ.get(variable, REPOSITORY / folder / "bin" / "turbotls-proxy"))
    if not os.access(path, os.X_OK):
        raise Missing(f"{path} is not there; build it, or set {variable}")
    return path


def workers(options: Sequence[str], config: str = "") -> list[str]:
    """The option for as many workers as TURBOTLS_TEST_WORKERS says, unless the test does: a proxy has one a processor,
    and no test may hang on how many this machine has."""
    said = os.environ.get("TURBOTLS_TEST_WORKERS")
    return ["--workers", said] if said and "--workers" not in options and "workers:" not in config else []


def program(name: str, package: str) -> str:
    """A program of the system; `package` is the Debian package to install when it is missing."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise Missing(f"{name} is not installed (apt-get install {package})")
    return path


@cache
def node() -> str:
    """Node with X25519MLKEM768, which Debian 12 does not have: from the npm registry, once per user."""
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    package = f"node-linux-{machine}"
    home = _cache() / f"node{NODE_MAJOR}"
    binary = home / "node_modules" / package / "bin" / "node"
    if not binary.exists():
        _install(f"{package}@{NODE_MAJOR}", home)
    return os.fspath(binary)


def _install(package: str, home: Path) -> None:
    """Installs beside `home` and renames, so that test programs running at once cannot meet halfway."""
    npm = program("npm", "npm")
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as fresh:
        tree = Path(fresh) / "tree"
        tree.mkdir()
        command = [npm, "install", "--prefix", os.fspath(tree), "--no-audit", "--no-fund", package]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if result.returncode != 0:
            raise Missing(f"npm could not install {package}: {result.stderr.strip()}")
        with suppress(OSError):  # another test program was faster
            tree.rename(home)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "turbotls-tests"
