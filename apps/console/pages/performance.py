"""Performance: how fast the answers come, for whom not, and whether that is getting better."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from apps.common.reads import reading
from apps.console.asking import Answer, ask
from apps.console.bar import Bar, read_bar
from apps.console.figures import number_of
from apps.console.lines import over_time
from apps.console.page import page, show
from apps.console.showing import bar_context

BY: Final = {
    "model": "Model",
    "provider": "Provider",
    "environment": "Environment",
    "project": "Project",
    "kind": "Kind",
}
VIEWS: Final = ("figures", "trends")
FEW: Final = 30  # below it the report does not rank a group by its p95
UNITS: Final = {
    "request_count": "count",
    "error_rate": "rate",
    "duration": "ms",
    "ttft": "ms",
    "tokens_per_second": "per_second",
    "total_cost": "usd",
    "total_tokens": "count",
}
NAMES: Final = {
    "request_count": "Requests",
    "error_rate": "Error rate",
    "duration": "Mean duration",
    "ttft": "Mean time to first token",
    "tokens_per_second": "Tokens a second",
    "total_cost": "Cost",
    "total_tokens": "Tokens",
}
# The direction that is good, where one is.
GOOD: Final = {"error_rate": "down", "duration": "down", "ttft": "down", "tokens_per_second": "up"}


@page("metrics:read")
def performance(request: HttpRequest) -> HttpResponse:
    """One question to the report, one more for the period before; the trends are a view of their own."""
    bar = read_bar(request, own=("by", "view"))
    view = reading.choice(bar.own.get("view", "figures"), VIEWS, "view")
    by = reading.choice(bar.own.get("by", "model"), tuple(BY), "by")
    context: dict[str, Any] = {"title": "Performance", "here": "performance", "view": view, "by": by}
    if view == "trends":
        answer = ask(request, "metrics/trends", bar.question())
        context |= {"trends": answer, "rows": _trends(answer)}
        return show(request, "console/trends.html", {**bar_context(request, bar), **context})
    report = ask(request, "performance", bar.question(group_by=by, interval=bar.interval))
    earlier = _before(request, bar) if bar.compare else None
    context |= {
        "report": report,
        "bys": [(name, label) for name, label in BY.items()],
        "by_label": BY[by],
        "rows": _groups(report, by),
        "nothing": not report.document.get("current_period", {}).get("requests"),
        "changes": report.document.get("changes", {}),
        "charts": _charts(bar, report, earlier),
    }
    return show(request, "console/performance.html", {**bar_context(request, bar, compares=True), **context})


def _before(request: HttpRequest, bar: Bar) -> Answer:
    asked = bar.before().question(interval=bar.interval, compare_previous_period="false", fields="series,metadata")
    return ask(request, "performance", asked)


def _charts(bar: Bar, report: Answer, earlier: Answer | None) -> list[tuple[str, str, Any]]:
    rows = report.document.get("series", []) if report.ok else []
    before = earlier.document.get("series", []) if earlier is not None and earlier.ok else []
    wanted: list[tuple[str, str, str, dict[str, str], dict[str, Any]]] = [
        ("duration", "Duration", "ms", {"p95_ms": "p95", "p50_ms": "p50", "p99_ms": "p99"}, {}),
        ("ttft", "Time to first token", "ms", {"ttft_p95_ms": "p95", "ttft_p50_ms": "p50"}, {}),
        ("throughput", "Throughput, requests a second", "per_second", {"throughput_rps": "Requests"}, {}),
        ("tokens", "Speed, tokens a second", "per_second", {"tokens_per_second": "Tokens"}, {}),
        ("errors", "Error rate", "rate", {"error_rate": "Error rate"}, {"status": "error"}),
    ]
    return [
        (name, title, over_time(bar, title, unit, rows, names, earlier=before, **more))
        for name, title, unit, names, more in wanted
    ]


def _groups(report: Answer, by: str) -> list[dict[str, Any]]:
    """The groups with the width of their spread: from p50 to p99 on one logarithmic scale for all."""
    groups: Sequence[Mapping[str, Any]] = report.document.get("groups", []) if report.ok else []
    known = [
        float(number)
        for group in groups
        for name in ("p50_ms", "p99_ms")
        if (number := number_of(group["latency"][name])) is not None and number > 0
    ]
    low, high = (math.log(min(known)), math.log(max(known))) if known else (0.0, 1.0)
    return [
        {
            **group,
            "name": group.get(by),
            "few": group["requests"] < FEW,
            "spread": [_place(group["latency"][name], low, high) for name in ("p50_ms", "p95_ms", "p99_ms")],
        }
        for group in groups
    ]


def _place(value: Any, low: float, high: float) -> float:
    number = number_of(value)
    if number is None or number <= 0 or high <= low:
        return 0.0
    return round((math.log(float(number)) - low) / (high - low) * 98, 2)


def _trends(answer: Answer) -> list[dict[str, Any]]:
    made = []
    for row in answer.data if answer.ok else ():
        good = GOOD.get(row["metric"], "")
        tone = (
            "" if row["direction"] not in ("up", "down") or not good else "good" if row["direction"] == good else "bad"
        )
        made.append(
            {
                **row,
                "label": NAMES.get(row["metric"], row["metric"]),
                "figure_unit": UNITS.get(row["metric"], "count"),
                "tone": tone,
                "says": {
                    "up": "Goes up",
                    "down": "Goes down",
                    "flat": "Level",
                    "unclear": "Cannot be told",
                    "not_enough_data": "Too little data",
                }[row["direction"]],
            }
        )
    return made
