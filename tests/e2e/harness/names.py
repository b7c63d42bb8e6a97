"""Host names as one process sees them: it runs in a root directory of its own."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Sequence

from .programs import program


class Names:
    """An /etc/hosts of our own, and name servers of our own (harness/knot.py), at port 53; without any, what the hosts
    do not list does not resolve.

    A change of root works everywhere, inside of another one too, where mount namespaces do not. There is no
    /proc in it, so a program with sanitizers does not run there.
    """

    _NOBODY = ("127.77.77.77",)
    """Nothing listens there: no query leaves the machine."""

    def __init__(self, folder: Path, hosts: dict[str, list[str]], *, servers: Sequence[str] = _NOBODY) -> None:
        self._root = folder / "root"
        etc = self._root / "etc"
        etc.mkdir(parents=True)
        (etc / "resolv.conf").write_text("".join(f"nameserver {server}\n" for server in servers)
                                         + "options timeout:1 attempts:1\n")
        (etc / "hosts").write_text("".join(
            f"{address} {name}\n" for name, addresses in hosts.items() for address in addresses))

    def command(self, binary: Path) -> list[str]:
        """The beginning of a command line that runs `binary` in there, under the process id it starts with."""
        for path in (os.fspath(binary), *_libraries(binary)):
            target = self._root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        as_root = [] if os.geteuid() == 0 else [program("unshare", "util-linux"), "--map-root-user"]
        return [*as_root, program("chroot", "coreutils"), os.fspath(self._root), os.fspath(binary)]


def _libraries(binary: Path) -> list[str]:
    """The files of the shared libraries that a program loads."""
    listing = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True).stdout
    return re.findall(r"(/\S+) \(0x", listing)
