"""A sidecar whose clients tell it where they want to go, near the sites of harness/sites.py; and its clients."""

import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator

from .programs import program
from .proxy import BY_UDP, PAUSE_S, Proxies, Record
from .requests import Login, http_connect, socks5
from .sites import EDGE_PRIVATE, NO_WAY, OTHER_PORT, SITE_PORT, ZONE, Sites
from .sockets import connect
from .wait import DEADLINE_S

ATTEMPTS = 20
"""A machine that stalls for as long as a sidecar waits (50 ms), or TCP takes, spoils some; not so many in a row."""
LOGIN = Login("reader", "a secret: of 255")

ROUTE = f"""route {{
    name: "sites" upstream: "asked" requested_port: [{SITE_PORT}, {OTHER_PORT}]
    requested_host: ["*.{ZONE}", "203.0.113.0/24", "2001:db8:2::/64", "{EDGE_PRIVATE}", "{NO_WAY}"]
  }}"""


def listeners(route: str = ROUTE, more: str = "", http: str = "127.0.0.1:0") -> str:
    return f"""
        listener {{ name: "http" protocol: TCP address: "{http}" request: HTTP_CONNECT {more} {route} }}
        listener {{ name: "socks" protocol: TCP address: "127.0.0.1:0" request: SOCKS5 {more} {route} }}
        listener {{
          name: "login" protocol: TCP address: "127.0.0.1:0" request: SOCKS5 {more} {route}
          login {{ user: "other" password: "other" }}
          login {{ user: "{LOGIN.user}" password: "{LOGIN.password}" }}
        }}"""


def upstream(turbo: str = "AUTO", connect_s: float = DEADLINE_S) -> str:
    return f"""upstream {{
          name: "asked" protocol: TURBO requested: true turbo: {turbo} connect_timeout_seconds: {connect_s}
        }}
        admin {{ address: "127.0.0.1:0" }}"""


class Sidecar:
    """A proxy near the client, and clients of it."""

    def __init__(self, proxies: Proxies, sites: Sites, folder: Path, text: str = "") -> None:
        self.sites = sites
        self.proxy = proxies.configured(folder, text or listeners() + upstream(), host=sites.near)
        self.ports = dict(zip(("http", "socks", "login"), (each.port for each in self.proxy.listeners)))
        self._seen = 0

    @contextmanager
    def connected(self, way: str = "http") -> Iterator[socket.socket]:
        with self.sites.near.entered():
            connection = connect(self.ports[way])
        with connection:
            yield connection

    @contextmanager
    def tunnel(self, host: str, port: int = OTHER_PORT, way: str = "http") -> Iterator[socket.socket]:
        with self.connected(way) as connection:
            ask(way, connection, host, port)
            yield connection

    def page(self, site: str, *, way: str = "http", options: tuple[str, ...] = ()) -> str:
        """What curl gets at a site, "plain", or "plain:PORT", or an address."""
        name, port = split(site)
        done = self.curl(way, f"https://{url_host(name)}:{port}/", *options)
        assert done.returncode == 0, f"{site} by {way}: {done.stderr}"
        return done.stdout

    def curl(self, way: str, url: str, *options: str) -> subprocess.CompletedProcess[str]:
        argv = [program("curl", "curl"), "--silent", "--show-error", "--cacert", str(self.sites.ca),
                "--max-time", str(DEADLINE_S), *CURL[way](self.ports), *options, url]
        return subprocess.run(self.sites.near.command(*argv), capture_output=True, text=True,
                              timeout=2 * DEADLINE_S, check=False)

    def next_record(self) -> Record:
        """Of the connection that ended next."""
        self._seen += 1
        return self.proxy.wait_for_records(self._seen)[self._seen - 1]

    def outcome(self) -> tuple[str, str]:
        record = self.next_record()
        return record["outcome"], record["reason"]

    def visit(self, site: str, way: str = "http") -> tuple[str, str]:
        """Gets its page; how the connection went."""
        assert f"the site {url_host(split(site)[0])}<" in self.page(site, way=way)
        return self.outcome()

    def expect_turbo(self, site: str, way: str = "http") -> None:
        seen = []
        for _ in range(ATTEMPTS):
            seen.append(self.visit(site, way))
            outcome, reason = seen[-1]
            if outcome in BY_UDP:
                return
            if reason == "udp-paused":
                time.sleep(PAUSE_S)
        raise AssertionError(f"{site} by {way}: {seen}")


CURL: dict[str, Callable[[dict[str, int]], tuple[str, ...]]] = {
    "http": lambda ports: ("--proxy", f"http://127.0.0.1:{ports['http']}"),
    "socks": lambda ports: ("--socks5-hostname", f"127.0.0.1:{ports['socks']}"),
    "socks, addresses": lambda ports: ("--socks5", f"127.0.0.1:{ports['socks']}"),
    "login": lambda ports: ("--socks5-hostname", f"127.0.0.1:{ports['login']}",
                            "--proxy-user", f"{LOGIN.user}:{LOGIN.password}"),
}


def split(site: str) -> tuple[str, int]:
    name, _, port = (site, "", "") if site.count(":") > 1 else site.partition(":")
    return name, int(port or SITE_PORT)


def url_host(site: str) -> str:
    if ":" in site:
        return f"[{site}]"
    return site if site[0].isdigit() else f"{site}.{ZONE}"


def ask(way: str, connection: socket.socket, host: str, port: int) -> None:
    if way == "http":
        http_connect(connection, host, port)
    else:
        socks5(connection, host, port, LOGIN if way == "login" else None)
