"""What rows of the metrics engine add up to, by the values that prove them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from apps.exports.sources import raw
from apps.exports.totals import Totals
from apps.metrics.finish import Row
from apps.metrics.planner import Plan
from apps.metrics.spec import MetricRef
from apps.metrics.state import Range


@dataclass(frozen=True, slots=True)
class Proving:
    """Under which names a row has what proves it: its own columns where they say it, else hidden ones.

    Args:
        spans: request_count, total_cost and total_tokens; empty where scores alone are asked for.
        scores: of each asked name of scores, how many there are.
        columns: all else that is asked for and adds up.
    """

    spans: tuple[MetricRef, ...]
    scores: tuple[MetricRef, ...]
    columns: tuple[MetricRef, ...]

    @property
    def every(self) -> tuple[MetricRef, ...]:
        return (*self.spans, *self.scores, *self.columns)


def proving(metrics: Sequence[MetricRef]) -> Proving:
    """What has to be asked for beside these metrics, so that each row can be counted."""
    shown = {(ref.metric, ref.aggregation): ref for ref in reversed(metrics)}
    spans = tuple(
        shown.get((metric, "sum"), MetricRef(metric, "sum", f"proof.{metric}"))
        for metric in ("request_count", "total_cost", "total_tokens")
    )
    named = dict.fromkeys(ref.metric for ref in metrics if ref.formula.source == "score")
    scores = tuple(shown.get((name, "count"), MetricRef(name, "count", f"proof.{name}")) for name in named)
    columns = tuple(ref for ref in metrics if ref not in spans and raw.addable(ref))
    return Proving(spans if len(named) < len({ref.metric for ref in metrics}) else (), scores, columns)


class AnswerSums:
    """Grows row by row. A sum that no row knows is None: what has no requests has nothing to know."""

    def __init__(self, by: Proving) -> None:
        self._by = by
        self._requests, self._scores = 0, 0
        self._sums: dict[str, Any] = {ref.alias: None for ref in (*by.spans[1:], *by.columns)}
        self.range: list[Range] = []  # of what they are sums of: none yet, or one

    def note(self, chosen: Plan) -> None:
        """Rows are answered by this plan. Other values of theirs may come from coarser cells, which reach further."""
        parts = [part for part in chosen.parts if set(part.references) & set(self._by.spans)]
        ranges = [span for part in parts for segment in part.segments for span in segment.ranges]
        self.range = hull([*self.range, *ranges])

    def add(self, row: Row) -> None:
        if self._by.spans:
            requests = row[self._by.spans[0].alias]
            self._requests += requests or 0
            for name in self._sums if requests else ():
                if row[name] is not None:
                    self._sums[name] = row[name] + (self._sums[name] or 0)
        for ref in self._by.scores:
            self._scores += row[ref.alias] or 0

    def totals(self, rows: int | None = None) -> Totals:
        sums, by = self._sums, self._by
        cost, tokens = (sums[ref.alias] for ref in by.spans[1:]) if by.spans else (None, None)
        return Totals(
            rows,
            self._requests if by.spans else None,
            None if cost is None else int(Decimal(cost).scaleb(12)),
            tokens,
            scores=self._scores if by.scores else None,
            columns={ref.alias: sums[ref.alias] for ref in by.columns},
        )


def hull(ranges: Sequence[Range]) -> list[Range]:
    """The one range that holds all of these, if there are any."""
    return [(min(low for low, _ in ranges), max(high for _, high in ranges))] if ranges else []
