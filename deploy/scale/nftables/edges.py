#!/usr/bin/env python3
"""Which edges the balancer of balancer.nft has in front of it. IPv4 and IPv6 each have edges of their own.

A bucket belongs to the edge whose hash with the bucket's number is the largest (rendezvous hashing). So it depends on
nothing but the edges: several balancers with the same edges agree, an edge that goes leaves the other edges' clients
where they are, and one that comes takes an even share from each. Every command is one transaction of nft's, and may be
repeated: what is so already stays so.
"""

import argparse
import hashlib
import ipaddress
import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field

TABLE = "inet turbotls_edges"
BUCKETS = 1024
RECENT_S = 30

EXAMPLES = """
  edges.py set 10.0.1.1 10.0.1.2 10.0.1.3   these and no others
  edges.py add 10.0.1.4                     a quarter of the clients move to it, once they have been away for 30 s
  edges.py drain 10.0.1.2                   it gets no more clients, and keeps those who come again within 30 s
  edges.py remove 10.0.1.2                  it is dead: its clients go to the others at once
"""


class Failed(Exception):
    """Told to the user as it is."""


@dataclass
class Family:
    """What the balancer does for one version of IP."""

    version: int
    buckets: dict[int, str] = field(default_factory=dict)
    live: set[str] = field(default_factory=set)
    recent: dict[str, str] = field(default_factory=dict)

    @property
    def edges(self) -> set[str]:
        """Those that clients are sent to."""
        return set(self.buckets.values())


def owner(bucket: int, edges: set[str]) -> str:
    return max(sorted(edges), key=lambda edge: hashlib.sha256(f"{bucket} {edge}".encode()).digest())


def owners(edges: set[str]) -> dict[int, str]:
    return {bucket: owner(bucket, edges) for bucket in range(BUCKETS)} if edges else {}


# ---- nft ----

def nft(*arguments: str, script: str = "") -> str:
    try:
        done = subprocess.run(["nft", *arguments], input=script, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Failed("nft is not installed (apt-get install nftables)") from None
    if done.returncode != 0:
        raise Failed(f"nft: {done.stderr.strip()}\n(balancer.nft must be loaded before: nft --file balancer.nft; "
                     "and only root may change it)")
    return done.stdout


def elements(kind: str, name: str) -> list:
    told = json.loads(nft("--json", "list", kind, *TABLE.split(), name))
    return next(part[kind].get("elem", []) for part in told["nftables"] if kind in part)


def plain(value: object) -> str:
    """An element, which comes with its timeout where it has one."""
    return str(value["elem"]["val"]) if isinstance(value, dict) else str(value)


def read(version: int) -> Family:
    buckets = {int(plain(bucket)): edge for bucket, edge in elements("map", f"buckets{version}")}
    recent = {plain(client): edge for client, edge in elements("map", f"recent{version}")}
    return Family(version, buckets, {plain(edge) for edge in elements("set", f"live{version}")}, recent)


def joined(pairs: dict) -> str:
    return ", ".join(f"{key} : {value}" for key, value in pairs.items())


def change(before: Family, edges: set[str], live: set[str]) -> list[str]:
    """Lines for nft that make it so; none when it is."""
    version, after = before.version, owners(edges)
    lines = []
    moved = {bucket: edge for bucket, edge in before.buckets.items() if after.get(bucket) != edge}
    if moved:
        lines.append(f"delete element {TABLE} buckets{version} {{ {', '.join(map(str, moved))} }}")
    new = {bucket: edge for bucket, edge in after.items() if before.buckets.get(bucket) != edge}
    if new:
        lines.append(f"add element {TABLE} buckets{version} {{ {joined(new)} }}")
    for verb, addresses in (("delete", before.live - live), ("add", live - before.live)):
        if addresses:
            lines.append(f"{verb} element {TABLE} live{version} {{ {', '.join(sorted(addresses))} }}")
    if before.live - live:
        # An element may expire before it could be deleted, and nothing would be done: so all go, and some come again.
        lines.append(f"flush map {TABLE} recent{version}")
        kept = {f"{client} timeout {RECENT_S}s": edge for client, edge in before.recent.items() if edge in live}
        if kept:
            lines.append(f"add element {TABLE} recent{version} {{ {joined(kept)} }}")
    return lines


def forget(edges: set[str]) -> str:
    """Ends the translation of what is under way to dead edges: the next packet goes to another one, which resets it."""
    count = 0
    for edge in sorted(edges):
        family = f"ipv{ipaddress.ip_address(edge).version}"
        try:
            done = subprocess.run(["conntrack", "--delete", "--family", family, "--reply-src", edge],
                                  capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return "; conntrack is not installed, so connections to a dead machine last until their own timeouts"
        count += done.stdout.count("\n")
    return f"; {count} connections and UDP flows forgotten"


# ---- commands ----

def wanted(command: str, before: Family, given: set[str]) -> tuple[set[str], set[str]]:
    """The edges with buckets, and all that may have clients."""
    if command == "set":
        return given, given
    if command == "add":
        return before.edges | given, before.live | given
    if unknown := given - before.live:
        print(f"not an edge, so nothing is to be done: {', '.join(sorted(unknown))}", file=sys.stderr)
    edges = before.edges - given
    if before.edges and not edges:
        raise Failed(f"{', '.join(sorted(given))}: no edge for IPv{before.version} would be left; "
                     "`set` with another one first, or delete the table")
    return edges, before.live - (given if command == "remove" else set())


def show() -> None:
    for version in (4, 6):
        family = read(version)
        shares, clients = Counter(family.buckets.values()), Counter(family.recent.values())
        for edge in sorted(family.live | family.edges, key=ipaddress.ip_address):
            state = f"{shares[edge]} of {BUCKETS} buckets" if shares[edge] else "drained"
            print(f"{edge}: {state}, {clients[edge]} clients within {RECENT_S} s")
        if not family.live:
            print(f"no edges for IPv{version}: its connections are dropped")


def apply(command: str, given: set[str], dry_run: bool) -> None:
    versions = sorted({ipaddress.ip_address(edge).version for edge in given})
    lines: list[str] = []
    moved = 0
    for version in versions:
        before = read(version)
        edges, live = wanted(command, before, {e for e in given if ipaddress.ip_address(e).version == version})
        lines += change(before, edges, live)
        after = owners(edges)
        moved += sum(after[bucket] != edge for bucket, edge in before.buckets.items() if after)
    if dry_run:
        print("\n".join(lines) or "# nothing to change")
        return
    if lines:
        nft("--file", "-", script="\n".join(lines) + "\n")
    told = f"{moved} of {BUCKETS * len(versions)} buckets moved" if lines else "nothing to change"
    print(told + (forget(given) if command == "remove" else ""))


def address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address; it must be one like 10.0.1.1 or fd00::1:1, "
                                         "without a port") from None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, epilog="examples:" + EXAMPLES,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="print what nft would be told, and change nothing")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("show", help="the edges, their shares, and the clients that they have")
    for name, text in (("set", "these edges and no others, of the families given"), ("add", "more edges"),
                       ("drain", "no new clients for these"), ("remove", "these are gone")):
        command = commands.add_parser(name, help=text)
        command.add_argument("edges", metavar="ADDRESS", nargs="+", type=address)
    arguments = parser.parse_args()
    try:
        if arguments.command == "show":
            show()
        else:
            apply(arguments.command, set(arguments.edges), arguments.dry_run)
    except Failed as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
