"""Cost figures in plain Python over span rows, exact; imports nothing from apps.costs or apps.metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.traces.columns import SpanRow
from tests.metrics.oracle import PICO, Seen, resolved

NAMES = {
    "total_cost_usd": "total_cost",
    "prompt_cost_usd": "prompt_cost",
    "completion_cost_usd": "completion_cost",
    "total_tokens": "total_tokens",
    "prompt_tokens": "prompt_tokens",
    "completion_tokens": "completion_tokens",
}


def usd(picodollars: int) -> Decimal:
    return Decimal(picodollars) * PICO


def figures(spans: Iterable[Seen]) -> dict[str, Any]:
    """What an answer says of a group: a sum is unknown where there are requests and none of them has the value."""
    rows = [span.row for span in spans]
    made: dict[str, Any] = {"requests": len(rows)}
    made["priced_requests"] = sum(row.total_cost is not None for row in rows)
    for name, column in NAMES.items():
        known = [getattr(row, column) for row in rows if getattr(row, column) is not None]
        whole = sum(known) if known or not rows else None
        made[name] = whole if whole is None or not name.endswith("_usd") else usd(whole)
    return made


def within(
    rows: Iterable[SpanRow],
    slugs: dict[int, str],
    start: datetime,
    end: datetime,
    keep: Callable[[Seen], bool] = lambda _: True,
) -> list[Seen]:
    """The billable spans of a range, with what they take over from their traces."""
    return [span for span in resolved(rows, slugs) if start <= span.start < end and keep(span)]


def cost(spans: Iterable[Seen]) -> int:
    """Picodollars; what is unpriced counts nothing."""
    return sum(span.row.total_cost or 0 for span in spans)
