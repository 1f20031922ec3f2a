"""`/costs/unpriced`: requests without a cost, and why they have none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from apps.common.reads.snapshot import snapshot
from apps.costs.pricing import REASONS
from apps.costs.reports.figures import Figures
from apps.costs.reports.series import Report
from apps.metrics.runner import answer_in, check_kept
from apps.metrics.spec import Filter, MetricRef, QuerySpec, Sort
from apps.metrics.summary import share

UNKNOWN = "unknown"
_TOKENS = ("total_tokens", "prompt_tokens", "completion_tokens")
METRICS = (
    MetricRef("request_count", "sum", "requests"),
    *(MetricRef(name, "sum", name) for name in _TOKENS),
    MetricRef("first_seen", "min", "first_seen"),
    MetricRef("last_seen", "max", "last_seen"),
)
_MESSAGES: dict[str, str] = {
    **{str(name): text for name, text in REASONS.items()},
    UNKNOWN: "The span was stored without a cost and without a reason.",
}


def unpriced(base: QuerySpec, limit: int) -> Report:
    """Groups of (provider, model, reason), the most requests first.

    Formula: billable spans whose total cost is NULL; unpriced_share = unpriced by all requests. NULL rule: tokens are
    null where no request of a group says how many. Minimum sample: none.

    Raises:
        ApiError: as `apps.metrics.runner.answer`.
    """
    check_kept(base)
    listing = replace(
        base,
        metrics=METRICS,
        group_by=("provider", "model", "unpriced_reason"),
        filters=(*base.filters, Filter("unpriced_reason", "ne", (None,))),
        sort=(Sort("requests", True), Sort("last_seen", True)),
        limit=limit,
    )
    with snapshot() as cursor:
        listed = answer_in(cursor, listing)
        whole = answer_in(cursor, replace(base, start=listed.plan.start, end=listed.plan.end))
    total = Figures.of(whole.rows[0])
    missing = total.requests - total.priced
    rows = [_row(row) for row in listed.rows]
    blocks = {
        "totals": {
            "requests": total.requests,
            "unpriced_requests": missing,
            "unpriced_share": share(missing, total.requests) if total.requests else None,
        },
        "total_groups": listed.total_rows,
        "others": {"requests": missing - sum(row["requests"] for row in rows)},
        "data": rows,
    }
    return Report(blocks, (listed, whole))


def _row(row: dict[str, Any]) -> dict[str, Any]:
    reason = row["unpriced_reason"]
    return {
        "provider": row["provider"],
        "model": row["model"],
        "reason": reason,
        "message": _MESSAGES.get(reason, reason),
        **{name: row[name] for name in ("requests", *_TOKENS, "first_seen", "last_seen")},
    }
