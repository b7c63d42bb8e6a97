"""A fleet behind IPVS, as deploy/scale/ipvs sets it up. Wants a kernel with IPVS and iptables' older tables: User-Mode
Linux's."""

import re
import socket
from pathlib import Path
from typing import Any

from .fleet import PORT, Edge, Fleet
from .programs import REPOSITORY

_FILES = REPOSITORY / "deploy" / "scale" / "ipvs"
_SERVICE = re.compile(r"^-A -f (?P<mark>\d+)(?P<ipv6> -6)? .*$", re.M)
_SERVER = re.compile(r"^-a (?P<service>-f \d+(?P<ipv6> -6)?) -r \S+ (?P<how>.*)$", re.M)
_NETWORKS = {"iptables-legacy": "192.0.2.0/24", "ip6tables-legacy": "2001:db8:2::/64"}


class IpvsFleet(Fleet):
    """The balancer has ipvs.rules and sysctl.conf. What mark.nft does iptables does: this kernel has no nftables for IP."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        socket.socket(socket.AF_INET6).close()  # has the kernel load IPv6, of which it has only a module
        self._rules = (_FILES / "ipvs.rules").read_text()
        super().__init__(*arguments, **settings)

    def load_rules(self) -> None:
        """All of ipvs.rules, and then without its servers: ours have other addresses."""
        self._ipvsadm(self._rules)
        self.balancer.run("ipvsadm", "--clear")
        self.balancer.run("sysctl", "--load", _FILES / "sysctl.conf")
        for program, network in _NETWORKS.items():
            self.balancer.ip(f"{'-6' if ':' in network else '-4'} route add local {network} dev lo")
        for service in _SERVICE.finditer(self._rules):
            for protocol in ("tcp", "udp"):
                self._mark(bool(service["ipv6"]), protocol, service["mark"])
            self._ipvsadm(service[0])

    def part(self, *edges: Edge) -> None:
        """What is wrong for us, and usual: TCP and UDP are two services, each with its own persistence."""
        self.balancer.run("ipvsadm", "--clear")
        for ipv6 in (False, True):
            self.balancer.run(_program(ipv6), "-t", "mangle", "-F")
            for protocol, mark in (("tcp", 1), ("udp", 2)):
                self._mark(ipv6, protocol, f"{mark}{int(ipv6)}")
                service = f"-f {mark}{int(ipv6)}{' -6' if ipv6 else ''}"
                self._ipvsadm("\n".join([f"-A {service} -s rr -p 300",
                                         *(f"-a {service} -r {_server(edge, ipv6)} -m" for edge in edges)]))

    def _mark(self, ipv6: bool, protocol: str, mark: str) -> None:
        program = _program(ipv6)
        self.balancer.run(program, "-t", "mangle", "-A", "PREROUTING", "-d", _NETWORKS[program],
                          "-p", protocol, "--dport", str(PORT), "-j", "MARK", "--set-mark", mark)

    def change(self, command: str, *edges: Edge) -> str:
        """By ipvsadm: "set" (the first ones), "add", "drain", "remove"."""
        services = {each["service"]: each for each in _SERVER.finditer(self._rules)}
        self._ipvsadm("\n".join(_line(command, edge, each) for edge in edges for each in services.values()))
        return ""

    def _ipvsadm(self, lines: str) -> None:
        self.balancer.run("ipvsadm", "--restore", stdin=f"{lines}\n")


def _program(ipv6: bool) -> str:
    return "ip6tables-legacy" if ipv6 else "iptables-legacy"


def _server(edge: Edge, ipv6: bool) -> str:
    return f"[{edge.addresses[1]}]:0" if ipv6 else edge.addresses[0]


def _line(command: str, edge: Edge, like: re.Match[str]) -> str:
    what = f"{like['service']} -r {_server(edge, bool(like['ipv6']))}"
    match command:
        case "remove":
            return f"-d {what}"
        case "drain":
            return f"-e {what} {like['how'].replace('-w 1', '-w 0')}"
        case _:
            return f"-a {what} {like['how']}"
