"""The text of a configuration, as the tests of reloading change it."""

import json
from dataclasses import dataclass, field, replace
from typing import Sequence


@dataclass(frozen=True)
class Listener:
    """One message `listener`. `routes` are (server name, upstream) pairs; the rest goes to `upstream`."""

    address: str
    protocol: str = "TURBO"
    upstream: str = "server"
    routes: Sequence[tuple[str, str]] = ()
    more: str = ""

    def text(self) -> str:
        routes = "".join(f"  route {{ server_name: {json.dumps(name)} upstream: {json.dumps(upstream)} "
                         f"name: {json.dumps(name)} }}\n" for name, upstream in self.routes)
        routes += f"  route {{ upstream: {json.dumps(self.upstream)} }}\n"
        return (f"listener {{\n  protocol: {self.protocol}\n  address: {json.dumps(self.address)}\n"
                f"{routes}  {self.more}\n}}\n")


@dataclass(frozen=True)
class Settings:
    """A whole file. `upstreams` gives each name's messages besides it."""

    listeners: Sequence[Listener]
    upstreams: dict[str, str] = field(default_factory=dict)
    drain_timeout_s: float = 30
    more: str = ""

    def text(self) -> str:
        upstreams = "".join(f"upstream {{ name: {json.dumps(name)} {text} }}\n"
                            for name, text in self.upstreams.items())
        return ("".join(listener.text() for listener in self.listeners) + upstreams
                + f"log {{ format: JSON }}\ndrain_timeout_seconds: {self.drain_timeout_s}\n" + self.more)

    def with_listeners(self, *listeners: Listener) -> "Settings":
        return replace(self, listeners=listeners)


def to_server(port: int, **fields: object) -> str:
    """The text of an upstream with one server on this host."""
    words = " ".join(f"{name}: {value}" for name, value in fields.items())
    return f'{words} server {{ address: "127.0.0.1:{port}" }}'
