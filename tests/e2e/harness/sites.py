"""Sites on a far host: a nginx by itself, another behind edges, and a DNS that tells which is which.

    near 198.51.100.2 ---- 20 ms there and back ---- far 203.0.113.0/24
         2001:db8:1::2                                    2001:db8:2::/64

Clients, sidecar and name server are near. See SITES for who is where; every site but those without a server says its
name at /, and sends BIG bytes at /big.
"""

import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

from .far import FarWire
from .knot import HTTPS, Knot, Tap
from .namespace import Host
from .process import Child
from .programs import program, release_proxy
from .wait import DEADLINE_S, wait_until

ZONE = "sites.test"
DELAY_S = 0.01
BIG = 4 << 20

NEAR = ("198.51.100.2", "2001:db8:1::2")
EDGE, EDGE6, EDGE_OTHER_UDP, EDGE_PRIVATE = "203.0.113.11", "2001:db8:2::11", "203.0.113.12", "10.9.9.9"
PLAIN, PLAIN6 = "203.0.113.21", "2001:db8:2::21"
NOBODY = "203.0.113.31"
BLACK_HOLE = "203.0.113.99"
NO_WAY = "192.0.2.1"
OTHER_UDP_PORT, OTHER_PORTS_UDP_PORT = 8443, 8444
SITE_PORT, OTHER_PORT, BEHIND_PORT = 443, 4430, 8443

TURBO = "1 . key65480"
_RECORDS = f"""
    turbo       60 A     {EDGE}
    turbo       60 HTTPS {TURBO}
    other       60 A     {EDGE_OTHER_UDP}
    six         60 AAAA  {EDGE6}
    six         60 HTTPS {TURBO}
    silent      60 A     {EDGE}
    private     60 A     {EDGE_PRIVATE}
    private     60 HTTPS {TURBO}
    plain       60 A     {PLAIN}
    alpn        60 A     {PLAIN}
    alpn        60 HTTPS 1 . alpn=h2
    plain6      60 AAAA  {PLAIN6}
    rebound     60 A     127.0.0.1
    inside      60 A     10.1.2.3
    inside      60 AAAA  ::1
    nobody      60 A     {NOBODY}
    black-hole  60 A     {BLACK_HOLE}
    no-way      60 A     {NO_WAY}
"""
"""`silent` has an edge, and a DNS that does not tell. `private` is one where the record does not count. What is to be
known of `other`, at two ports, turbotls-proxy says itself."""


def _published(port: int, udp_port: int) -> str:
    """The line for the zone that the program prints."""
    options = ("--name", f"other.{ZONE}", "--port", str(port), "--udp-port", str(udp_port), "--ttl", "60")
    return subprocess.run([release_proxy(), "dns-record", *options], check=True, capture_output=True, text=True,
                          timeout=DEADLINE_S).stdout

_NGINX = """
    daemon off; master_process off; pid {folder}/nginx.pid;
    error_log stderr; events {{ worker_connections 4096; }}
    http {{
        access_log off; default_type text/html;
        client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
        uwsgi_temp_path {folder}; scgi_temp_path {folder};
        ssl_certificate {folder}/site.pem; ssl_certificate_key {folder}/site.key;
        server {{
            {listen}
            root {folder};
            location = / {{ return 200 "<!DOCTYPE html><p>the site $host</p>\\n"; }}
        }}
    }}
"""


class Sites:
    """All of it, but for the edges: those are the tests'."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records = _RECORDS + _published(SITE_PORT, OTHER_UDP_PORT) + _published(OTHER_PORT, OTHER_PORTS_UDP_PORT)
        resolv_conf = folder / "resolv.conf"
        resolv_conf.write_text("")
        self.ca = folder / "ca.pem"
        self._certify()
        with ExitStack() as opened:
            self.near = opened.enter_context(Host(resolv_conf))
            self.far = opened.enter_context(Host())
            opened.enter_context(self._wire())
            with self.near.entered():
                self.knot = opened.enter_context(
                    Knot(folder, {ZONE: self.records}, negative_ttl_s=1, wrapper=tuple(self.near.command())))
                self.tap = Tap(self.knot.host)
            opened.callback(self._close_tap)
            resolv_conf.write_text(f"nameserver {self.tap.host}\n")
            opened.enter_context(self._nginx())
            self._opened = opened.pop_all()

    def _certify(self) -> None:
        """A certificate authority and one certificate for all sites, by openssl."""
        def openssl(*words: str) -> None:
            subprocess.run([program("openssl", "openssl"), *words], cwd=self.folder, check=True,
                           capture_output=True, timeout=60)

        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=Sites' CA")
        openssl("req", *key, "-keyout", "site.key", "-out", "site.csr", "-subj", "/CN=site")
        (self.folder / "extensions").write_text(
            f"subjectAltName = DNS:*.{ZONE}, IP:{PLAIN}, IP:{PLAIN6}, IP:{EDGE}\n")
        openssl("x509", "-req", "-in", "site.csr", "-out", "site.pem", "-days", "30", "-CA", "ca.pem",
                "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "extensions")

    def _wire(self) -> FarWire:
        far = [f"{address}/32" for address in (EDGE, EDGE_OTHER_UDP, EDGE_PRIVATE, PLAIN, NOBODY)]
        far += [f"{address}/128" for address in (EDGE6, PLAIN6)]
        wire = FarWire(self.near, [f"{NEAR[0]}/32", f"{NEAR[1]}/128"], self.far, far, DELAY_S)
        for host, networks in ((self.near, ("203.0.113.0/24", f"{EDGE_PRIVATE}/32", "2001:db8:2::/64")),
                               (self.far, ("198.51.100.0/24", "2001:db8:1::/64"))):
            for network in networks:
                host.ip(f"route add {network} dev {FarWire.DEVICE}")
        return wire

    def _nginx(self) -> Child:
        with (self.folder / "big").open("wb") as big:
            big.write(os.urandom(BIG))
        ends = [f"{PLAIN}:{SITE_PORT}", f"[{PLAIN6}]:{SITE_PORT}",
                f"127.0.0.1:{BEHIND_PORT}"]
        configuration = self.folder / "nginx.conf"
        configuration.write_text(_NGINX.format(folder=self.folder, listen=" ".join(
            f"listen {end} ssl;" for end in ends)))
        nginx = self.far.start(program("nginx", "nginx"), "-e", "stderr", "-c", configuration)
        pid = self.folder / "nginx.pid"
        wait_until("nginx listens", lambda: nginx.exit_code is not None or pid.exists())
        assert nginx.exit_code is None, nginx.stderr.text()
        return nginx

    def edges(self) -> str:
        """What a proxy on the far host is told to be them."""
        listeners = ((f"{EDGE}:{SITE_PORT}", ""), (f"[{EDGE6}]:{SITE_PORT}", ""), (f"{EDGE_PRIVATE}:{SITE_PORT}", ""),
                     (f"{EDGE_OTHER_UDP}:{SITE_PORT}", f"udp_port: {OTHER_UDP_PORT}"),
                     (f"{EDGE_OTHER_UDP}:{OTHER_PORT}", f"udp_port: {OTHER_PORTS_UDP_PORT}"))
        return "".join(f'listener {{ address: "{address}" {more} }}\n' for address, more in listeners) + (
            f'upstream {{ name: "sites" server {{ address: "127.0.0.1:{BEHIND_PORT}" }} }}\n')

    def asked(self, site: str, kind: int = HTTPS) -> int:
        return self.tap.asked(f"{site}.{ZONE}", kind)

    def _close_tap(self) -> None:
        with self.near.entered():
            self.tap.close()

    def close(self) -> None:
        self._opened.close()

    def __enter__(self) -> "Sites":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
