"""Attacks on an edge at a fixed rate, and what becomes of well-behaved clients meanwhile.

Each attack has a line of figures. ATTACK_SCALE multiplies the number of openings in a row (10: a million),
ATTACK_SECONDS is how long each attack lasts.
"""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Sequence

import pytest

from harness.pki import Pki
from network import Network
from scene import Scene, Tool

MIB = 1024 * 1024
_SECONDS = float(os.environ.get("ATTACK_SECONDS", "5"))
_SCALE = float(os.environ.get("ATTACK_SCALE", "1"))
_OPENINGS_IN_A_ROW = int(100_000 * _SCALE)
_CLASSIC_RATE, _TURBO_RATE = 80, 15
_ATTEMPTS = 3

_SESSIONS_BYTES = 85 * MIB
"""1,024 sessions of 85 KiB; see --max-sessions."""
_BASE_BYTES = 16 * MIB
"""Above what the idle edge has: tables of ended ids and sources, and 1 + 4 KiB for each connection."""
_PENDING_MAX = 128
_RATE, _SOURCE_RATE, _REFUSAL_RATE = 1000, 250, 1000
_VISITORS = 16
"""Threads of the well-behaved clients, hence their connections."""
_SERVER_SLACK = 24
"""Connections that the edge has reset and the TLS server has not noticed yet, and open files of its own."""

_UDP_JUDGED = 0.9
"""The share that must have UDP without an attack for half of it to be asked for with one: where the machine stalls for
longer than a sidecar waits (50 ms), the attack is not to blame."""
_NOISE_US = 2000
"""By so much two series may differ on a machine that others use as well."""


@dataclass(frozen=True)
class Attack:
    tools: tuple[tuple[str, dict[str, Any]], ...]
    """Kinds of the attack tool that run at once, with their options."""
    server_connections: int = 0
    """The attack's own, which a TLS server without an edge would have as well."""
    more_bytes: int = 0
    """The attack's own connections' bytes, beyond 4 KiB each."""
    touch_memory: bool = False
    """Memory that the edge has allocated and not written to counts: sessions are larger than most flights. Touching it
    takes long enough to spoil the latencies, which are not asserted then."""
    udp_kept: bool = True
    """Whether TurboTLS clients must go on getting UDP; else the worst is classic TLS (protocol §7.1)."""
    rounds: int = 1
    """How many times _SECONDS it lasts; longer where its first moment is not like the rest."""
    until_done: bool = False
    """Goes on until its tools have ended."""
    check: Callable[["Figures"], None] = field(default=lambda figures: None)


@dataclass
class Figures:
    attackers: list[dict[str, Any]]
    before: dict[str, Any]
    during: dict[str, Any]
    after: dict[str, Any]
    turbo: list[dict[str, Any]]
    outcomes: list[Counter[str]]
    """Of TurboTLS: while warming up, before, during and after the attack."""
    wire: dict[str, Any]
    counters: dict[str, int]
    cpu_percent: float
    idle_bytes: int
    peak_bytes: int
    edge_files: int
    server_connections: int

    @property
    def unloaded(self) -> list[int]:
        return self.before["handshake_us"] + self.after["handshake_us"]

    @property
    def loaded(self) -> list[int]:
        return self.during["handshake_us"]

    def udp_share(self, phase: int) -> float:
        return self.outcomes[phase]["turbo"] / max(1, self.outcomes[phase].total())

    def turbo_connections(self) -> int:
        return sum(each.total() for each in self.outcomes)

    def joined(self) -> int:
        """Connections of the sidecar that were opened with a tombstone."""
        return sum(each["turbo"] + each["resumed-on-tcp"] for each in self.outcomes)


def percentile(values: list[int], share: float) -> int:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


# ---- the attacks ----

def _only_good_ones_joined(figures: Figures) -> None:
    assert figures.counters["joined"] == figures.joined(), (figures.counters, figures.outcomes)


def _noise_is_no_session(figures: Figures) -> None:
    """But for the one in 1,536 that begins like a ClientHello, and costs a session until it proves to be none."""
    noise = figures.counters["sessions"] - figures.turbo_connections()
    assert noise <= figures.attackers[0]["sent"] / 1000, figures.counters


def _others_are_reset(figures: Figures) -> None:
    """Five of eight are tombstones for sessions that are not there, or no more."""
    _only_good_ones_joined(figures)
    assert figures.counters["unknown"] >= 0.6 * figures.attackers[0]["sent"], figures.counters


def _no_second_session(figures: Figures) -> None:
    """A ClientHello that comes again starts nothing (protocol §12.3)."""
    _only_good_ones_joined(figures)
    assert figures.attackers[0]["recorded"] > 0
    assert figures.counters["sessions"] <= figures.turbo_connections(), (figures.counters, figures.outcomes)


def _ids_are_used_once(figures: Figures) -> None:
    """The 64 ids that were used again and again, and the clients' own."""
    _only_good_ones_joined(figures)
    assert figures.counters["sessions"] <= figures.turbo_connections() + 64, (figures.counters, figures.outcomes)


def _sessions_come_at(per_second: int) -> Callable[[Figures], None]:
    """New sessions and refusals have rates of their own (protocol §7.1), and a second's worth may come at once."""
    def check(figures: Figures) -> None:
        seconds = figures.attackers[0]["seconds"] + 1
        sessions = figures.counters["sessions"] - figures.turbo_connections()
        assert sessions <= per_second * seconds, (figures.counters, seconds)
        assert figures.counters["refused"] <= _REFUSAL_RATE * (seconds + 1), (figures.counters, seconds)
    return check


def _big_ones_are_answered(figures: Figures) -> None:
    big = figures.attackers[0]
    assert big["answered"] >= 0.9 * big["sent"] / 2, big


ATTACKS = {
    "spoofed ClientHellos": Attack((("hellos", {"rate": 20_000}),), udp_kept=False, rounds=2,
                                   check=_sessions_come_at(_RATE)),
    "ClientHellos from one address": Attack((("hellos", {"rate": 5_000, "sources": 1}),), udp_kept=False, rounds=2,
                                            check=_sessions_come_at(_SOURCE_RATE)),
    "incomplete ClientHellos": Attack((("partial-hellos", {"rate": 20_000}),), touch_memory=True, udp_kept=False),
    "random datagrams": Attack((("junk", {"rate": 20_000}),), check=_noise_is_no_session),
    "replayed captures": Attack((("replay", {"rate": 10_000}),), check=_no_second_session),
    "ids guessed and reused": Attack((("guesses", {"rate": 20_000}),), check=_ids_are_used_once),
    "others' tombstones": Attack((("tombstones", {"rate": 400, "at_once": 256}),), server_connections=32,
                                 check=_others_are_reset),
    "10,000 half-open": Attack((("half-open", {"rate": 4_000, "at_once": 10_000}),)),
    "openings in a row": Attack((("in-a-row", {"rate": 6_000, "at_once": 512, "count": _OPENINGS_IN_A_ROW}),),
                                until_done=True),
    "ClientHellos of 64 KiB": Attack((("large", {"rate": 200, "at_once": 1_000}),
                                      ("large-udp", {"rate": 2_000})),
                                     server_connections=64, more_bytes=1_000 * 28 * 1024,
                                     check=_big_ones_are_answered),
    "forged responses": Attack((("forge", {"rate": 10_000, "where": "server"}),), check=_only_good_ones_joined),
    "another's budget": Attack((("budget", {"rate": 1_600}),)),
}


# ---- one attempt ----

def _run(attack: Attack, scene: Scene) -> Figures:
    meter = scene.meter()
    rest_s = _SECONDS / 2
    warm = scene.outcomes()
    before, turbo_before = _visits(scene, rest_s)
    begun = warm.total() + turbo_before["begun"]
    first = scene.wait_for_outcomes(begun)

    attackers = [scene.attack(kind, **options) for kind, options in attack.tools]
    cpu, visits, turbos = scene.edge.cpu_seconds(), [], []
    while True:
        during, turbo = _visits(scene, _SECONDS, () if visits else attackers)
        visits.append(during)
        turbos.append(turbo)
        if len(visits) >= attack.rounds and not (attack.until_done and _are_busy(attackers)):
            break
    cpu = (scene.edge.cpu_seconds() - cpu) / (_SECONDS * len(visits))
    ends = [tool.end() for tool in attackers]
    begun += sum(each["begun"] for each in turbos)
    second = scene.wait_for_outcomes(begun)

    after, turbo_after = _visits(scene, rest_s)
    third = scene.wait_for_outcomes(begun + turbo_after["begun"])
    scene.watch.stop()
    peak = scene.edge.status_bytes("VmHWM")
    return Figures(ends, before, _together(visits), after, [turbo_before, *turbos, turbo_after],
                   [warm, first - warm, second - first, third - second], meter.end(), scene.edge.counters(), cpu * 100,
                   scene.edge.idle_bytes, peak, scene.watch.most["edge"], scene.server_connections())


def _are_busy(tools: list[Tool]) -> bool:
    return any(tool.exit_code is None for tool in tools)


def _visits(scene: Scene, seconds: float,
            attackers: Sequence[Tool] = ()) -> tuple[dict[str, Any], dict[str, Any]]:
    """Visits of both kinds. Attackers that are given begin with the first, so that their first moment counts."""
    classic = scene.visit_classic(_CLASSIC_RATE, seconds)
    turbo = scene.visit_turbo(_TURBO_RATE, seconds)
    for tool in (classic, turbo, *attackers):
        tool.go()
    return classic.result(60 + seconds), turbo.result(60 + seconds)


def _together(visits: list[dict[str, Any]]) -> dict[str, Any]:
    return {"begun": sum(each["begun"] for each in visits),
            "failed": sum(each["failed"] for each in visits),
            "first_failure": next((each["first_failure"] for each in visits if each["failed"]), ""),
            "handshake_us": [us for each in visits for us in each["handshake_us"]]}


def _line(name: str, figures: Figures) -> str:
    rates = " + ".join(f"{each['sent'] / each['seconds']:,.0f}/s" for each in figures.attackers)
    calm, loaded = figures.unloaded, figures.loaded
    counters = " ".join(f"{key}={value}" for key, value in figures.counters.items() if value)
    said = " ".join(f"{key}={value}" for each in figures.attackers for key, value in each.items()
                    if key not in ("seconds",) and value)
    return "\n".join((
        f"\n== {name}: {rates}",
        f"   classic p50 {percentile(calm, .5) / 1000:.2f} -> {percentile(loaded, .5) / 1000:.2f} ms, "
        f"p99 {percentile(calm, .99) / 1000:.2f} -> {percentile(loaded, .99) / 1000:.2f} ms, "
        f"max {max(calm) / 1000:.0f} -> {max(loaded) / 1000:.0f} ms "
        f"(x {percentile(loaded, .99) / percentile(calm, .99):.2f}, {len(loaded)} handshakes); "
        f"by UDP {figures.udp_share(1):.0%} -> {figures.udp_share(2):.0%} -> {figures.udp_share(3):.0%} "
        f"{dict(figures.outcomes[2])}",
        f"   edge CPU {figures.cpu_percent:.0f} %, RSS {figures.idle_bytes / MIB:.1f} -> "
        f"{figures.peak_bytes / MIB:.1f} MiB, files {figures.edge_files}; "
        f"TLS server connections {figures.server_connections}; "
        f"wire: {figures.wire['addresses']} addresses, worst {figures.wire['worst']:.2f}, "
        f"in all {figures.wire['out'] / max(1, figures.wire['in']):.3f}",
        f"   attacker: {said}",
        f"   edge: {counters}"))


def _assert_hard(attack: Attack, figures: Figures) -> None:
    """What no noise excuses."""
    for visits in (figures.before, figures.during, figures.after, *figures.turbo):
        assert visits["failed"] == 0, f"{visits['failed']} of {visits['begun']}: {visits['first_failure']}"
    limit = figures.idle_bytes + _SESSIONS_BYTES + _BASE_BYTES + attack.more_bytes
    assert figures.peak_bytes <= limit, f"{figures.peak_bytes / MIB:.1f} of {limit / MIB:.1f} MiB"
    most = _PENDING_MAX + _VISITORS + _SERVER_SLACK + attack.server_connections
    assert figures.server_connections <= most, f"{figures.server_connections} connections of {most}"
    assert figures.wire["missed"] == 0, "the meter has missed packets"
    assert figures.wire["worst"] <= 3, figures.wire
    assert figures.wire["beyond_permits"] == 0, figures.wire
    attack.check(figures)


def _trouble(attack: Attack, figures: Figures) -> str:
    """What a noisy machine may spoil now and then; empty: nothing."""
    calm, loaded = percentile(figures.unloaded, .99), percentile(figures.loaded, .99)
    if not attack.touch_memory and loaded >= 2 * calm and loaded - calm > _NOISE_US:
        return f"p99 is {loaded / calm:.2f} times that without the attack"
    if attack.udp_kept and figures.udp_share(1) >= _UDP_JUDGED > 2 * figures.udp_share(2):
        return f"UDP for {figures.udp_share(2):.0%}, and {figures.udp_share(1):.0%} before"
    return ""


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(name: str, network: Network, pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> None:
    attack, troubles = ATTACKS[name], []
    for _ in range(_ATTEMPTS):
        with Scene(network, pki, tmp_path_factory.mktemp("scene"), attack.touch_memory) as scene:
            figures = _run(attack, scene)
        print(_line(name, figures), flush=True)
        _assert_hard(attack, figures)
        trouble = _trouble(attack, figures)
        if not trouble:
            return
        print(f"   once more: {trouble}", flush=True)
        troubles.append(trouble)
    raise AssertionError(f"{_ATTEMPTS} times: {troubles}")
