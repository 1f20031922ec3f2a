"""The overview: what matters, in five seconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse

from apps.console.asking import Answer, ask, may
from apps.console.bar import ROLLING, Bar, read_bar, text_of
from apps.console.changes import change_of
from apps.console.charts import Chart, Series, column, moments
from apps.console.page import page, show
from apps.console.showing import bar_context

METRICS = "request_count,error_count,total_cost,duration"
# Not the sessions: to count them takes longer than everything else on the page.
TILES = ("total_requests", "total_cost_usd", "total_tokens", "error_rate", "p95_duration_ms", "unique_users")
_PERIODS = [f"{period}_period.{name}" for period in ("current", "previous") for name in TILES]
SHOWN = ",".join([*_PERIODS, "changes", "top_items.by_cost", "quality.most_common_errors"])


@page("metrics:read")
def overview(request: HttpRequest) -> HttpResponse:
    """Three questions: the summary, the series, and with compare the series of the period before."""
    bar = read_bar(request)
    summary = ask(request, "metrics/summary", bar.listing(fields=SHOWN))
    series = _series(request, bar)
    earlier = _series(request, bar.before()) if bar.compare else None
    now, was = (summary.document.get(f"{name}_period", {}) for name in ("current", "previous"))
    silent = summary.ok and not now.get("total_requests") and not was.get("total_requests")
    context = {
        "title": "Overview",
        "here": "overview",
        "summary": summary,
        "series": series,
        "sees_costs": may(request, "costs:read") and any_budget(request),
        "silent": silent,
        "newest": _newest(request, bar) if silent else None,
        "p95_change": change_of(now.get("p95_duration_ms"), was.get("p95_duration_ms")),
        "users_change": change_of(now.get("unique_users"), was.get("unique_users")),
        "no_models": not summary.document.get("top_items", {}).get("by_cost"),
        "no_errors": not summary.document.get("quality", {}).get("most_common_errors"),
        "cost_chart": _chart(bar, "Cost", "usd", series, earlier, {"total_cost": "Cost"}, "bars"),
        "request_chart": _chart(
            bar, "Requests", "count", series, earlier, {"request_count": "Requests", "error_count": "Errors"}
        ),
        "duration_chart": _chart(bar, "Duration", "ms", series, earlier, {"duration_p95": "p95", "duration": "Mean"}),
    }
    return show(request, "console/overview.html", {**bar_context(request, bar, compares=True), **context})


def any_budget(request: HttpRequest) -> bool:
    """Whether there is a budget at all, so that the page keeps room for some, or none."""
    return bool(ask(request, "budgets", {"limit": 1, "fields": "id"}).data)


def _newest(request: HttpRequest, bar: Bar) -> dict[str, Any] | None:
    """The newest trace of the last 90 days, for whoever looks at a range without any; None where there is none."""
    if not may(request, "traces:read"):
        return None
    since = text_of(datetime.now(UTC) - ROLLING["90d"])
    found = ask(request, "traces", {"start_time": since, "project": bar.filters.get("project"), "limit": 1})
    if not found.ok or not found.data:
        return None
    began = datetime.fromisoformat(found.data[0]["start_time"])
    day = timedelta(hours=12)
    around = bar.at(began - day, began + day, **dict.fromkeys(bar.filters), project=bar.filters.get("project"))
    plain = bar.query(**dict.fromkeys(bar.filters), project=bar.filters.get("project"))
    return {"start_time": began, "around": f"?{around}", "filtered": bar.start <= began < bar.end, "plain": f"?{plain}"}


def _series(request: HttpRequest, bar: Bar) -> Answer:
    return ask(
        request,
        "metrics",
        bar.question(metrics=METRICS, interval=bar.interval, include_percentiles="true", fill="null"),
    )


def _chart(
    bar: Bar,
    title: str,
    unit: str,
    series: Answer,
    earlier: Answer | None,
    names: dict[str, str],
    kind: str = "line",
) -> Chart:
    rows = series.data if series.ok else []
    times = moments(rows)
    lines = [Series(label, column(rows, times, name)) for name, label in names.items()]
    if earlier is not None and earlier.ok:
        before = moments(earlier.data)
        for name, label in list(names.items())[:1]:
            values = column(earlier.data, before, name)
            # Bucket by bucket from the start; one more or less where the periods cut their hours differently.
            values = [*values, *[None] * len(times)][: len(times)]
            lines.append(Series(f"{label}, period before", values, dashed=True))
    return Chart(title, unit, times, lines, kind, bar.zone, bar.between("/traces"), bar.between(), bar.interval)
