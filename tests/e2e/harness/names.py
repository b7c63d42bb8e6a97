"""Host names as one process sees them, in a mount namespace of its own."""

import os
from pathlib import Path

from .programs import program


class Names:
    """An /etc/hosts of our own, and no name server: what it does not list does not resolve."""

    _RESOLV_CONF = "nameserver 127.77.77.77\noptions timeout:1 attempts:1\n"
    """Nothing listens there, so the answer is an immediate error and no query leaves the machine."""

    def __init__(self, folder: Path, hosts: dict[str, list[str]]) -> None:
        self._hosts = folder / "hosts"
        self._resolv_conf = folder / "resolv.conf"
        self._hosts.write_text("".join(
            f"{address} {name}\n" for name, addresses in hosts.items() for address in addresses))
        self._resolv_conf.write_text(self._RESOLV_CONF)

    def prefix(self) -> list[str]:
        """What to put before a command; the command keeps the process id."""
        script = f'mount --bind "{self._hosts}" /etc/hosts && ' \
                 f'mount --bind "{self._resolv_conf}" /etc/resolv.conf && exec "$@"'
        as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
        return [program("unshare", "util-linux"), *as_root, "--mount", "sh", "-c", script, "sh"]
