"""Adding up what proves each row: its cost, its tokens, and whether it counts as a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apps.exports.totals import Totals


def plus(one: int | None, other: int | None) -> int | None:
    """The sum; of what is unknown on both sides, unknown."""
    if one is None or other is None:
        return other if one is None else one
    return one + other


def _sum(values: Sequence[int]) -> int | None:
    return sum(values) if values else None


class SpanSums:
    """Totals that grow."""

    def __init__(self) -> None:
        self.rows: int = 0
        self.requests: int = 0
        self._sums: list[int | None] = [None] * 4

    def add(self, totals: Totals) -> None:
        self.rows += totals.rows or 0
        self.requests += totals.requests or 0
        found = (totals.total_cost, totals.total_tokens, totals.all_cost, totals.all_tokens)
        self._sums = [plus(*pair) for pair in zip(self._sums, found, strict=True)]

    def add_rows(self, rows: Sequence[Sequence[Any]]) -> None:
        """Rows that begin with cost, tokens and billable."""
        counted = [row for row in rows if row[2]]
        self.add(
            Totals(
                len(rows),
                len(counted),
                *(_sum([row[place] for row in counted if row[place] is not None]) for place in (0, 1)),
                *(_sum([row[place] for row in rows if row[place] is not None]) for place in (0, 1)),
            )
        )

    def add_prefixes(self, prefixes: Sequence[bytes]) -> None:
        """What stands in front of lines: `cost;tokens;1`, each of them empty where there is none."""
        parts = b";".join(prefixes).split(b";") if prefixes else []
        costs, tokens, billable = parts[0::3], parts[1::3], parts[2::3]
        self.add(
            Totals(
                len(prefixes),
                sum(map(len, billable)),
                *(_sum([int(v) for v, b in zip(part, billable, strict=True) if b and v]) for part in (costs, tokens)),
                *(_sum([int(v) for v in part if v]) for part in (costs, tokens)),
            )
        )

    @property
    def totals(self) -> Totals:
        return Totals(self.rows, self.requests, *self._sums)
