"""What a group of requests cost, as exact sums that may be added and taken from each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from apps.metrics.catalog import CATALOGUE
from apps.metrics.finish import Row
from apps.metrics.spec import MetricRef

# Name in answers, metric.
SUMMED: tuple[tuple[str, str], ...] = (
    ("total_cost_usd", "total_cost"),
    ("prompt_cost_usd", "prompt_cost"),
    ("completion_cost_usd", "completion_cost"),
    ("total_tokens", "total_tokens"),
    ("prompt_tokens", "prompt_tokens"),
    ("completion_tokens", "completion_tokens"),
)
NAMES: tuple[str, ...] = (
    *(name for name, _ in SUMMED[:3]),
    "requests",
    "priced_requests",
    *(name for name, _ in SUMMED[3:]),
)
# What every question of these reports asks for: each sum beside the number of requests that have the value.
METRICS: tuple[MetricRef, ...] = (
    MetricRef("request_count", "sum", "requests"),
    *(
        ref
        for name, metric in SUMMED
        for ref in (MetricRef(metric, "sum", name), MetricRef(metric, "count", f"{name}_of"))
    ),
)
Number = Decimal | int


def _zero(metric: str) -> Number:
    return Decimal() if CATALOGUE[metric].unit == "usd" else 0


@dataclass(frozen=True, slots=True)
class Figures:
    """Requests, and for every summed value the sum over, and the number of, the requests that have it.

    A sum is unknown (None) where there are requests and none of them has the value; without requests it is 0.
    """

    requests: int
    sums: tuple[Number, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, row: Row) -> Figures:
        """From a row of an answer to `METRICS`."""
        sums = tuple(row[name] if row[name] is not None else _zero(metric) for name, metric in SUMMED)
        return cls(row["requests"], sums, tuple(row[f"{name}_of"] or 0 for name, _ in SUMMED))

    @classmethod
    def nothing(cls) -> Figures:
        return cls(0, tuple(_zero(metric) for _, metric in SUMMED), (0,) * len(SUMMED))

    @classmethod
    def total(cls, parts: Iterable[Figures]) -> Figures:
        whole = cls.nothing()
        for part in parts:
            whole = whole + part
        return whole

    def __add__(self, other: Figures) -> Figures:
        return self._with(other, 1)

    def __sub__(self, other: Figures) -> Figures:
        return self._with(other, -1)

    def _with(self, other: Figures, sign: int) -> Figures:
        return Figures(
            self.requests + sign * other.requests,
            tuple(mine + sign * theirs for mine, theirs in zip(self.sums, other.sums, strict=True)),
            tuple(mine + sign * theirs for mine, theirs in zip(self.counts, other.counts, strict=True)),
        )

    @property
    def cost(self) -> Decimal:
        """The total cost, 0 where it is unknown."""
        return Decimal(self.sums[0])

    @property
    def priced(self) -> int:
        """How many of the requests have a cost."""
        return self.counts[0]

    def value(self, name: str) -> Number | None:
        """A sum by its name in answers."""
        at = [name for name, _ in SUMMED].index(name)
        return self.sums[at] if self.counts[at] or not self.requests else None

    def shown(self) -> dict[str, Any]:
        """As answers show it."""
        values: dict[str, Any] = {name: self.value(name) for name, _ in SUMMED}
        values |= {"requests": self.requests, "priced_requests": self.priced}
        return {name: values[name] for name in NAMES}
