"""What is done to a fleet under load, and what must hold: for the test of each run, and for tests/scale.py, which has more."""

import time
from collections import Counter
from dataclasses import dataclass
from typing import Callable

from .fleet import Edge, Fleet, Load, Visited

_ENDLESS = 1 << 30
_LONG_S = 600
JOINED_SHARE = 0.5
"""However busy the machine is: where nothing comes by UDP in 50 ms, the sidecar does not wait."""
DETECTED_AFTER_S = 0.3
"""How long it takes whoever watches the edges to say that one is dead."""

ROUND_TRIP_S = 0.05
"""Who connects just when the buckets change may have been led to the dead edge: of a machine that is busy, so long."""


@dataclass(frozen=True)
class Course:
    """How it went."""

    name: str
    visits: list[Visited]
    outcomes: Counter
    changed_at: float = 0.0

    @property
    def failed(self) -> list[Visited]:
        return [visit for visit in self.visits if visit.problem]

    @property
    def turbo_share(self) -> float:
        """Of the sidecar's. A machine that stalls lets TCP bring some of a flight."""
        return self.outcomes["turbo", None] / max(1, sum(self.outcomes.values()))

    @property
    def joined_share(self) -> float:
        """Of the sidecar's: TCP found the session that UDP had begun."""
        joined = self.outcomes["turbo", None] + self.outcomes["resumed-on-tcp", None]
        return joined / max(1, sum(self.outcomes.values()))

    def text(self) -> str:
        edges = Counter(visit.edge for visit in self.visits if visit.edge)
        lines = [f"{self.name}: {len(self.visits)} connections, {len(self.failed)} failed",
                 "  " + ", ".join(f"{edge} {count}" for edge, count in sorted(edges.items())),
                 "  sidecar: " + ", ".join(f"{outcome}{' ' + reason if reason else ''} {count}"
                                           for (outcome, reason), count in self.outcomes.most_common())]
        if self.changed_at:
            later = [visit for visit in self.visits if visit.began > self.changed_at]
            lines.append(f"  begun after the change: {len(later)}, {sum(bool(v.problem) for v in later)} failed")
            steps = Counter((visit.step, visit.edge or "-") for visit in self.failed)
            lines += [f"  failed at {step}, served by {edge}: {count}" for (step, edge), count in sorted(steps.items())]
            lines += [f"  last failed one began {max(v.began for v in self.failed) - self.changed_at:+.3f} s from the change"
                      ] if self.failed else []
        return "\n".join(lines)


def _end(fleet: Fleet, name: str, load: Load, before: Counter, changed_at: float = 0.0) -> Course:
    visits = load.finish(_LONG_S)
    by_sidecar = sum(visit.way == "turbo" for visit in visits)
    fleet.sidecar.wait_for_records(sum(before.values()) + by_sidecar)
    return Course(name, visits, fleet.outcomes() - before, changed_at)


def homes(visits: list[Visited]) -> dict[int, set[str]]:
    """The edges that each client was served by."""
    found: dict[int, set[str]] = {}
    for visit in visits:
        if visit.edge:
            found.setdefault(visit.end, set()).add(visit.edge)
    return found


def unwatched(fleet: Fleet, name: str, count: int, at_once: int) -> Course:
    """Nothing happens, and whatever becomes of it is the caller's to judge."""
    before = fleet.outcomes()
    load = fleet.load(count, at_once)
    load.wait_for(count, _LONG_S)
    return _end(fleet, name, load, before)


def calm(fleet: Fleet, count: int, at_once: int) -> Course:
    """Nothing happens: nothing fails, each client is at one edge, and sessions join."""
    course = unwatched(fleet, "nothing changes", count, at_once)
    assert not course.failed, course.failed[:5]
    assert len(course.visits) == count
    assert all(len(edges) == 1 for edges in homes(course.visits).values()), "a client has been to two edges"
    assert course.joined_share >= JOINED_SHARE, course.outcomes
    return course


def added(fleet: Fleet, edge: Edge, count: int, at_once: int) -> Course:
    """An edge comes under load: nothing fails. Nobody moves to it who was here within 30 s."""
    before = fleet.outcomes()
    load = fleet.load(_ENDLESS, at_once)
    load.wait_for(count // 3, _LONG_S)
    fleet.change("add", edge)
    course = _go_on(fleet, f"{edge.name} is added", load, before, count)
    assert not course.failed, course.failed[:5]
    assert course.joined_share >= JOINED_SHARE, course.outcomes
    return course


def drained(fleet: Fleet, edge: Edge, count: int, at_once: int) -> Course:
    """An edge is to go: it gets no more connections, and keeps those that it has. Amid a handshake one may be lost."""
    before = fleet.outcomes()
    load = fleet.load(_ENDLESS, at_once)
    load.wait_for(max(count // 3, len(fleet.visitors) + at_once), _LONG_S)
    fleet.change("drain", edge)
    course = _go_on(fleet, f"{edge.name} is drained", load, before, count)
    assert edge.name in {visit.edge for visit in course.visits}, f"{edge.name} had no clients"
    for visit in course.visits:
        late = visit.began > course.changed_at + ROUND_TRIP_S
        assert not visit.problem or (visit.edge is None and not late), f"need not have failed: {visit}"
        assert visit.edge != edge.name or not late, f"has come to {edge.name}: {visit}"
    return course


def killed(fleet: Fleet, edge: Edge, count: int, at_once: int) -> Course:
    """An edge dies under load, and its buckets are given to others: its connections fail, and nothing else does."""
    return _lost(fleet, edge, count, at_once, f"{edge.name} is killed", lambda: fleet.kill(edge))


def vanished(fleet: Fleet, edge: Edge, count: int, at_once: int) -> Course:
    """The same with all of its host: nothing is answered any more, not even by a reset."""
    return _lost(fleet, edge, count, at_once, f"{edge.name}'s host vanishes", edge.vanish)


def _lost(fleet: Fleet, edge: Edge, count: int, at_once: int, name: str, lose: Callable[[], None]) -> Course:
    before = fleet.outcomes()
    load = fleet.load(_ENDLESS, at_once)
    load.wait_for(max(count // 3, len(fleet.visitors) + at_once), _LONG_S)  # each has been served once, which tells its edge
    lose()
    time.sleep(DETECTED_AFTER_S)
    fleet.change("remove", edge)
    course = _go_on(fleet, name, load, before, count)
    its = {client for client, edges in homes(course.visits).items() if edge.name in edges}
    assert its, f"{edge.name} had no clients"
    for visit in course.failed:
        assert visit.end in its, f"not one of {edge.name}'s clients: {visit}"
        assert visit.began < course.changed_at + ROUND_TRIP_S, f"begun after the change: {visit}"
    moved = [visit for visit in course.visits if visit.began > course.changed_at and visit.end in its]
    assert moved and all(visit.edge != edge.name for visit in moved)
    return course


def _go_on(fleet: Fleet, name: str, load: Load, before: Counter, count: int) -> Course:
    """After a change just now: so many connections more, some of which began before."""
    changed_at = time.monotonic()
    load.wait_for(load.ended + count, _LONG_S)
    return _end(fleet, name, load, before, changed_at)
