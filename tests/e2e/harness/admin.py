"""Administration by HTTP, asked as Prometheus and operators do, and what /metrics says."""

import http.client
import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Mapping

from prometheus_client.parser import text_string_to_metric_families

from .proxied import end_of
from .process import Child
from .wait import DEADLINE_S

_METRIC_NAME = re.compile(r"[a-z][a-z0-9_]*[a-z0-9]$")
_HISTOGRAM_PARTS = ("_bucket", "_sum", "_count")

Series = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True)
class Answer:
    status: int
    body: str
    headers: Mapping[str, str]


class Metrics:
    """One reading of /metrics; parses it and asserts that it keeps the format's rules."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._values: dict[Series, float] = {}
        for family in text_string_to_metric_families(text):
            assert family.documentation, f"{family.name} has no HELP"
            assert family.type in ("counter", "gauge", "histogram"), f"{family.name}: {family.type}"
            for sample in family.samples:
                self._add(family.name, family.type, sample)
        assert text.endswith("\n")
        kinds = Counter(line.split()[2] for line in text.splitlines() if line.startswith("# TYPE"))
        assert set(kinds.values()) == {1}, f"families told twice: {kinds}"

    def _add(self, family: str, kind: str, sample: Any) -> None:
        series = sample.name, frozenset(sample.labels.items())
        assert series not in self._values, f"told twice: {series}"
        assert _METRIC_NAME.match(sample.name), sample.name
        suffix = sample.name.removeprefix(family)
        expected = {"counter": ("_total",), "gauge": ("",), "histogram": _HISTOGRAM_PARTS}[kind]
        assert suffix in expected, f"{sample.name}, a {kind}"
        self._values[series] = sample.value

    def get(self, name: str, **labels: str) -> float:
        """The only series of this name and these labels."""
        return self._values[name, frozenset(labels.items())]

    def sum(self, name: str, **labels: str) -> float:
        """Of all series of this name that have these labels, among others."""
        return sum(value for (each, its), value in self._values.items()
                   if each == name and labels.items() <= dict(its).items())

    def by(self, name: str, *keys: str, **labels: str) -> Counter[tuple[str, ...]]:
        """The same for each combination of the values of `keys`, without zeros."""
        found: Counter[tuple[str, ...]] = Counter()
        for (each, its), value in self._values.items():
            known = dict(its)
            if each == name and labels.items() <= known.items() and value:
                found[tuple(known[key] for key in keys)] += int(value)
        return found


class Admin:
    """What a proxy started with `admin { address: … }` answers."""

    def __init__(self, proxy: Child) -> None:
        lines = proxy.stderr.wait_for(lambda line: '"administration by HTTP"' in line)
        end = end_of(json.loads(lines[-1])["address"])
        self.port = end.port

    def ask(self, method: str, path: str, headers: Mapping[str, str] = {}, body: bytes | None = None,
            source: str | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S,
                                                source_address=(source, 0) if source else None)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return Answer(response.status, response.read().decode(), dict(response.getheaders()))
        finally:
            connection.close()

    def get(self, path: str) -> str:
        answer = self.ask("GET", path)
        assert answer.status == 200, answer
        return answer.body

    def metrics(self) -> Metrics:
        return Metrics(self.get("/metrics"))

    def status(self) -> Any:
        return json.loads(self.get("/status"))

    def reload(self) -> Answer:
        return self.ask("POST", "/reload")
