"""What the pages about money share: their filters, tabs, the chart of costs, and who may see what."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from apps.console.asking import Answer
from apps.console.bar import Bar
from apps.console.charts import Chart, Series, grouped, moments

# Filters that costs know beside the bar's.
FURTHER: Final = {"session_id": "Session", "team": "Team", "tag": "Tag"}
TABS: Final = (
    ("/costs", "Overview"),
    ("/costs/by", "Divided"),
    ("/costs/change", "What changed"),
    ("/costs/forecast", "Forecast"),
    ("/costs/unpriced", "Without a price"),
    ("/costs/budgets", "Budgets"),
)
# Bars of money are wide enough to be told apart, and so few that many models fit into one answer.
_INTERVALS: Final = (
    (timedelta(days=2), "1hour"),
    (timedelta(days=10), "6hour"),
    (timedelta(days=200), "1day"),
)


def interval_of(bar: Bar) -> str:
    """The API's interval for a chart of costs."""
    return next((name for longest, name in _INTERVALS if bar.length <= longest), "1week")


def further(bar: Bar) -> dict[str, str]:
    """The page's own filters that are set."""
    return {name: bar.own[name] for name in FURTHER if name in bar.own}


def tabs(bar: Bar, here: str) -> list[dict[str, Any]]:
    """The pages about costs, with range and filters."""
    made = []
    for path, label in TABS:
        query = bar.elsewhere(**further(bar))
        made.append({"label": label, "here": path == here, "address": f"{path}?{query}" if query else path})
    return made


def traces_at(bar: Bar, **filters: Any) -> str:
    """The address of the traces behind costs; a team is the tag that names it."""
    kept = further(bar)
    if team := kept.pop("team", None):
        kept.setdefault("tag", f"team:{team}")
    query = bar.elsewhere(**{**kept, **filters})
    return f"/traces?{query}" if query else "/traces"


def cost_chart(bar: Bar, series: Answer, group: str, earlier: Answer | None = None, **filters: Any) -> Chart:
    """Costs over time, stacked by a dimension; beside the period before as one sum, since a stack hides the line."""
    rows = series.data if series.ok else []
    times = moments(rows)
    kind, lines = "stacked", grouped(rows, times, group, "total_cost_usd")
    if earlier is not None and earlier.ok:
        before = _sums(earlier.data)
        values = [*before, *[None] * len(times)][: len(times)]  # bucket by bucket from the start
        kind = "bars"
        lines = [Series("Cost", _sums(rows)), Series("Cost, period before", values, dashed=True)]
    drill = traces_at(bar, **filters, range="custom", start_time=None, end_time=None)
    drill = f"{drill}&start_time={{start}}&end_time={{end}}"
    return Chart("Cost", "usd", times, lines, kind, bar.zone, drill, bar.between(), interval_of(bar))


def _sums(rows: Sequence[Any]) -> list[Any]:
    """The sum of each bucket, in order."""
    found = dict.fromkeys((row["timestamp"] for row in sorted(rows, key=lambda row: str(row["timestamp"]))), 0)
    for row in rows:
        found[row["timestamp"]] += row["total_cost_usd"] or 0
    return list(found.values())


def missing(permission: str, why: str) -> Answer:
    """What the API would say, without a line in the audit log for a page that asks what it need not."""
    return Answer("", 403, {"error": {"code": 1100, "message": f"{why} It needs the permission {permission}."}})
