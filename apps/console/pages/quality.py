"""Quality: what failed and why, and what people and evaluators said of the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from apps.console.asking import Answer, ask, may
from apps.console.bar import CUSTOM, Bar, read_bar
from apps.console.charts import Chart
from apps.console.lines import over_time
from apps.console.page import page, show
from apps.console.showing import bar_context

CHARTS: Final = 6  # scores that are drawn; all stand in the table
LABELS: Final = 8  # categories of a score that are drawn
SCORES: Final = {
    "name": "Score",
    "min_value": "At least",
    "max_value": "At most",
    "source": "Source",
    "data_type": "Type",
    "author": "Author",
}
SOURCES: Final = ("api", "human", "evaluator")
TYPES: Final = ("numeric", "boolean", "categorical")


@page("metrics:read")
def quality(request: HttpRequest) -> HttpResponse:
    """One question to the report, one more for the course of the period before."""
    bar = read_bar(request)
    report = ask(request, "metrics/quality", bar.question(interval=bar.interval))
    earlier = None
    if bar.compare:
        asked = bar.before().question(interval=bar.interval, compare_previous_period="false", fields="series,metadata")
        earlier = ask(request, "metrics/quality", asked)
    rows = report.document.get("series", []) if report.ok else []
    before = earlier.document.get("series", []) if earlier is not None and earlier.ok else []
    now = report.document.get("current_period", {})
    judged = _scores(report)
    context = {
        "title": "Quality",
        "here": "quality",
        "report": report,
        "changes": report.document.get("changes") or {},
        "rate_chart": over_time(
            bar, "Error rate", "rate", rows, {"error_rate": "Error rate"}, earlier=before, status="error"
        ),
        "error_chart": over_time(
            bar, "Errors", "count", rows, {"error_count": "Errors"}, earlier=before, kind="bars", status="error"
        ),
        "flawless": bool(now.get("requests")) and not now.get("error_count"),
        "errors": report.document.get("most_common_errors", []),
        "models": report.document.get("models", []),
        "scores": judged,
        "charts": [one for row in judged[:CHARTS] if (one := _chart(bar, row)) is not None],
        "categories": [row for row in judged[:CHARTS] if row["categorical"]],
        "may_read": may(request, "traces:content"),
        "may_list": may(request, "traces:read"),
    }
    return show(request, "console/quality.html", {**bar_context(request, bar, compares=True), **context})


def _scores(report: Answer) -> list[dict[str, Any]]:
    """Each score with its one figure: the mean of numbers, the share of yes, or the commonest category."""
    return [{**row, **_figure(row)} for row in (report.document.get("scores", []) if report.ok else ())]


def _figure(row: Mapping[str, Any]) -> dict[str, Any]:
    if row["numeric"]:
        one = row["numeric"]
        return {
            **{"says": "mean", "value": one["avg"], "unit": "score", "before": one.get("previous_avg")},
            **{"percent": one.get("avg_change_pct"), "low": one["min"], "high": one["max"], "column": "avg"},
        }
    if row["boolean"]:
        one = row["boolean"]
        return {
            **{"says": "yes", "value": one["true_share"], "unit": "rate", "before": one.get("previous_true_share")},
            **{"percent": one.get("true_share_change_pct"), "low": None, "high": None, "column": "true_share"},
        }
    labels: Sequence[Mapping[str, Any]] = (row["categorical"] or {}).get("distribution", [])
    most = labels[0] if labels else {}
    return {
        **{"says": most.get("label", ""), "value": most.get("share"), "unit": "rate", "before": None},
        **{"percent": None, "low": None, "high": None, "column": "", "shown_labels": labels[:LABELS]},
    }


def _chart(bar: Bar, row: Mapping[str, Any]) -> tuple[str, Chart] | None:
    if not row["column"]:
        return None
    label = "Mean" if row["column"] == "avg" else "Share of yes"
    drawn = over_time(
        bar, f"Score {row['name']}", row["unit"], row["series"], {row["column"]: label}, drill="", zeros=True
    )
    return row["name"], drawn


@page("traces:read")
def scores(request: HttpRequest) -> HttpResponse:
    """Single scores, the newest first, each with what it judges."""
    bar = read_bar(request, own=(*SCORES, "cursor"))
    listed = {name: value for name, value in bar.listing(**bar.own).items() if name in ("project", "environment")}
    answer = ask(request, "scores", {**bar.period(), **listed, **bar.own, "limit": 50})
    ignored = [name for name in ("provider", "model", "user_id") if bar.filters.get(name)]
    next_cursor = answer.document.get("pagination", {}).get("next_cursor") if answer.ok else None
    shown = replace(bar, own={name: value for name, value in bar.own.items() if name != "cursor"})
    context = {
        "title": "Scores",
        "here": "quality",
        "answer": answer,
        "rows": answer.data if answer.ok else [],
        "ignored": ignored,
        "next": replace(shown, range=CUSTOM).query(cursor=next_cursor) if next_cursor else None,
        "first": shown.query() if "cursor" in bar.own else None,
        "sources": SOURCES,
        "types": TYPES,
        "own": shown.own,
        "bar_extra": "console/quality/fields.html",
    }
    return show(
        request, "console/quality/scores.html", {**bar_context(request, shown, further=SCORES, drawn=SCORES), **context}
    )
