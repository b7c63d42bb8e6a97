"""The rule files in deploy/nftables, used on a host as their comments say."""

import json
import re
import shlex
from pathlib import Path
from typing import Mapping, Sequence

from .namespace import Host
from .programs import REPOSITORY

_COMMAND = re.compile(r"^#   (?:(?:check|load|look|remove) +)?((?:nft|ip) .+?)(?:   .*)?$", re.M)
_REMOVES = re.compile(r" (delete|flush) ")


class Rules:
    """One of the files. Loaded and removed by the commands in it, after which everything must be as before."""

    def __init__(self, name: str, host: Host, folder: Path, changes: Mapping[str, str] | None = None) -> None:
        """`changes`: words of the file, and what is to be there instead."""
        self._host = host
        self._file = folder / f"{name}.nft"
        text = (REPOSITORY / "deploy" / "nftables" / self._file.name).read_text()
        for theirs, ours in (changes or {}).items():
            assert theirs in text
            text = text.replace(theirs, ours)
        self._file.write_text(text)
        self._table = re.search(r"^table inet (\w+)$", text, re.M)[1]
        commands: list[str] = _COMMAND.findall(text)
        self._removing = [command for command in commands if _REMOVES.search(command)]
        # The routes, which come before the rules, are of use without them; not so the other way round.
        self._loading = [command for command in commands if command not in self._removing]

    def packets(self, counter: str) -> int:
        """What a counter of theirs has counted; in a chain of type nat these are connections."""
        told = self._host.run("nft", "--json", "list", "counter", "inet", self._table, counter)
        return next(part["counter"]["packets"] for part in json.loads(told)["nftables"] if "counter" in part)

    def __enter__(self) -> "Rules":
        self._before = self._state()
        self._do(self._loading)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._do(self._removing)
        assert kind or self._state() == self._before, f"something of {self._file.name} remains"

    def _do(self, commands: Sequence[str]) -> None:
        for command in commands:
            self._host.run("sh", "-c", f"cd {shlex.quote(str(self._file.parent))} && {command}")

    def _state(self) -> list[str]:
        routes = [self._host.ip(f"{family} {what}") for family in ("-4", "-6") for what in ("rule", "route show table all")]
        return [self._host.run("nft", "list", "ruleset"), *routes]
