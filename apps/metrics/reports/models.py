"""The models report: what every (provider, model) was asked, cost, and how it did.

Formulas, NULL rules and minimum samples are in docs/reports.md. Three questions: the models, their successes that have
a price, and the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from apps.common.reads.reading import Problems, choice
from apps.metrics.finish import Row
from apps.metrics.reports.base import (
    MOST_GROUPS,
    RANGE_PARAMETERS,
    Asking,
    Report,
    base_spec,
    limit_of,
    made,
    references,
)
from apps.metrics.spec import Filter, QuerySpec, Sort
from apps.metrics.summary import share
from apps.orgs.scopes import Scope

PARAMETERS = (*RANGE_PARAMETERS, "limit", "sort_by")
_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)
_PLACES = Decimal("1e-12")
MODEL = ("provider", "model")
# Field, metric, aggregation.
FIGURES: tuple[tuple[str, str, str], ...] = (
    ("requests", "request_count", "sum"),
    ("errors", "error_count", "sum"),
    ("error_rate", "error_rate", "avg"),
    ("total_cost_usd", "total_cost", "sum"),
    ("cost_per_request_usd", "total_cost", "avg"),
    ("priced_requests", "total_cost", "count"),
    ("total_tokens", "total_tokens", "sum"),
    ("prompt_tokens", "prompt_tokens", "sum"),
    ("completion_tokens", "completion_tokens", "sum"),
    ("tokens_per_request", "total_tokens", "avg"),
    ("avg_duration_ms", "duration", "avg"),
    ("p50_duration_ms", "duration", "p50"),
    ("p95_duration_ms", "duration", "p95"),
    ("ttft_count", "ttft", "count"),
    ("avg_ttft_ms", "ttft", "avg"),
    ("p95_ttft_ms", "ttft", "p95"),
    ("tokens_per_second", "tokens_per_second", "avg"),
)
SORTS = {
    "requests": "requests",
    "cost": "total_cost_usd",
    "tokens": "total_tokens",
    "duration": "p95_duration_ms",
    "errors": "errors",
}
SUCCESS = Filter("status", "ne", ("error",))


def from_query(source: Mapping[str, str], scope: Scope, now: datetime) -> QuerySpec:
    """The question behind the parameters."""
    problems = Problems()
    limit = problems.take(lambda: limit_of(source, 100), 100)
    order = problems.take(lambda: choice(source.get("sort_by", "requests"), tuple(SORTS), "sort_by"), "requests")
    spec = base_spec(source, scope, now, problems, group_by=MODEL, limit=limit)
    return replace(spec, sort=(Sort(SORTS[order], True),))


def models(base: QuerySpec) -> Report:
    """The report of a question's range, projects and filters, in its order and up to its limit.

    Raises:
        ApiError: as `runner.answer`.
    """
    grouped = replace(base, metrics=references(FIGURES), group_by=MODEL, limit=MOST_GROUPS)
    priced = replace(
        grouped,
        metrics=references((("priced_successes", "total_cost", "count"),)),
        filters=(*base.filters, SUCCESS),
        sort=(),
    )
    whole = replace(
        grouped,
        metrics=references((FIGURES[0], FIGURES[3], ("total_tokens", "total_tokens", "sum"))),
        group_by=(),
        limit=None,
        sort=(),
    )

    def make(asking: Asking) -> dict[str, Any]:
        rows = asking.rows(grouped)
        successes = {(row["provider"], row["model"]): row["priced_successes"] for row in asking.rows(priced)}
        total = asking.rows(whole)[0]
        found = [_model(row, successes.get((row["provider"], row["model"]), 0), total) for row in rows]
        return {
            "data": found[: base.limit],
            "totals": {
                "models": asking.answers[0].total_rows,
                "requests": total["requests"],
                "total_cost_usd": total["total_cost_usd"],
                "total_tokens": total["total_tokens"],
            },
        }

    return made(base, make)


def cost_per_success(cost: Decimal | None, priced_successes: int) -> Decimal | None:
    """What a request that succeeded cost, failures paid for included.

    cost of all priced requests / priced requests without error. None where no priced request succeeded: unpriced ones
    are on neither side, so they do not make it look cheaper.
    """
    if cost is None or not priced_successes:
        return None
    return _WIDE.divide(cost, Decimal(priced_successes)).quantize(_PLACES, context=_WIDE)


def _model(row: Row, priced_successes: int, total: Row) -> dict[str, Any]:
    figures = {name: value for name, value in row.items() if name != "priced_requests"}
    return {
        **figures,
        "cost_per_successful_request_usd": cost_per_success(row["total_cost_usd"], priced_successes),
        "unpriced_requests": row["requests"] - row["priced_requests"],
        "share_of_requests": share(row["requests"], total["requests"]),
        "share_of_cost": share(row["total_cost_usd"], total["total_cost_usd"])
        if row["total_cost_usd"] is not None
        else None,
    }
