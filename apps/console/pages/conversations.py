"""Conversations: how they go, the list of them, and one with what was said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from apps.common.parameters import whole
from apps.console.asking import Answer, ask, may
from apps.console.bar import CUSTOM, Bar, read_bar
from apps.console.lines import over_time
from apps.console.page import page, part, show
from apps.console.said import said
from apps.console.showing import bar_context

LABELS: Final = {
    "has_error": "Errors",
    "resolved": "Resolved",
    "min_turns": "Turns from",
    "min_duration_ms": "At least, ms",
    "min_cost": "Cost from, $",
    "session_id": "Conversation",
}
SORTING: Final = ("sort_by", "sort_order")
COLUMNS: Final = (
    ("start_time", "Began"),
    ("last_activity", "Last activity"),
    ("turns", "Turns"),
    ("duration_ms", "Length"),
    ("total_cost_usd", "Cost"),
)
NO_FILTERS: Final = {"provider": "provider", "model": "model"}  # a conversation may have several
ROWS: Final = 30
TURNS: Final = 20
# Turns whose texts are on the page at once, if their traces are small; those of others come when they are scrolled to.
AT_ONCE: Final = 3
SMALL: Final = 40
# `of` is the project's slug, where several have a conversation of this id; `from` is the number of the first turn.
OWN: Final = ("of", "cursor", "from")
MOST_TURNS: Final = 1_000_000


@page("traces:read")
def conversations(request: HttpRequest) -> HttpResponse:
    """The report and the list."""
    asked = read_bar(request, own=(*LABELS, *SORTING, "cursor"))
    bar = replace(asked, own={name: value for name, value in asked.own.items() if name != "cursor"})
    without = dict.fromkeys(NO_FILTERS)
    report = ask(request, "metrics/conversations", bar.question(interval=_interval(bar), **without))
    answer = ask(request, "sessions", asked.listing(**asked.own, limit=ROWS, **without))
    rows = report.document.get("series", []) if report.ok else []
    context = {
        "title": "Conversations",
        "here": "conversations",
        "report": report,
        "changes": report.document.get("changes") or {},
        "distribution": _distribution(report),
        "charts": _charts(bar, rows),
        "answer": answer,
        "rows": answer.data if answer.ok else [],
        "columns": [_column(bar, name, label) for name, label in COLUMNS],
        "ignored": [label for name, label in NO_FILTERS.items() if name in bar.filters],
        "heedless": bar.query(**without),
        "next": _next(bar, answer),
        "first": bar.query() if "cursor" in asked.own else None,
        "own": bar.own,
        "bar_extra": "console/conversations/fields.html",
    }
    drawn = {**bar_context(request, bar, further=LABELS, drawn=LABELS), **context}
    return show(request, "console/conversations/list.html", drawn)


def _interval(bar: Bar) -> str:
    """Wider buckets than those of requests, of which a conversation has many: rates of a handful only jump."""
    if bar.interval == "1hour" and bar.length <= timedelta(days=2):
        return "1hour"
    return {"1min": "5min", "5min": "1hour", "1hour": "6hour", "6hour": "1day"}.get(bar.interval, bar.interval)


def _charts(bar: Bar, rows: Any) -> list[tuple[str, str, Any]]:
    rates = {"resolution_rate": "Resolved", "abandonment_rate": "Abandoned"}
    return [
        (
            "chart-conversations",
            "Conversations over time",
            over_time(bar, "Conversations", "count", rows, {"conversations": "Begun"}, kind="bars", drill=""),
        ),
        ("chart-rates", "Resolved and abandoned", over_time(bar, "Rates", "rate", rows, rates, drill="", zeros=True)),
    ]


def _distribution(report: Answer) -> list[dict[str, Any]]:
    """The classes of turns with their names; empty classes at the end are left out."""
    found = list(report.document.get("turns_distribution", []) if report.ok else [])
    while found and not found[-1]["conversations"]:
        found.pop()
    return [{**row, "label": _class(row["from"], row["to"])} for row in found]


def _class(low: int, high: int | None) -> str:
    if high is None:
        return f"{low} and more"
    return str(low) if low == high else f"{low} to {high}"


def _column(bar: Bar, name: str, label: str) -> dict[str, Any]:
    """A heading that orders: down first, then up."""
    now = bar.own.get("sort_by", "start_time") == name
    down = now and bar.own.get("sort_order", "desc") == "desc"
    query = bar.query(sort_by=None if name == "start_time" else name, sort_order="asc" if down else None)
    order = ("descending" if down else "ascending") if now else ""
    arrow = {"ascending": "▲", "descending": "▼"}.get(order, "")
    return {"name": name, "label": label, "query": query, "order": order, "arrow": arrow}


def _next(bar: Bar, answer: Answer, **more: Any) -> str | None:
    """The address of the page behind this one; its range is fixed, since a cursor is of one question alone."""
    cursor = answer.document.get("pagination", {}).get("next_cursor") if answer.ok else None
    return replace(bar, range=CUSTOM).query(cursor=cursor, **more) if cursor else None


@page("traces:read")
def conversation(request: HttpRequest, session_id: str) -> HttpResponse:
    """One conversation: its figures, its turns, the scores it was given."""
    bar = read_bar(request, OWN)
    first = whole(bar.own.get("from", "1"), "from", least=1, most=MOST_TURNS)
    asked = {"project": bar.own.get("of"), "cursor": bar.own.get("cursor"), "limit": TURNS}
    answer = ask(request, f"sessions/{session_id}", asked)
    if not answer.ok:
        return _missing(request, bar, answer, session_id)
    found: Mapping[str, Any] = answer.data
    readable = may(request, "traces:content")
    context = {
        "title": "Conversation",
        "here": "conversations",
        "bar": bar,
        "answer": answer,
        "one": found,
        "session_id": session_id,
        "turns": _turns(request, found["traces"], first, readable),
        "readable": readable,
        "next": _next(bar, answer, **{"from": first + TURNS}),
        "begin": bar.query(cursor=None, **{"from": None}) if "cursor" in bar.own else None,
    }
    return show(request, "console/conversations/one.html", context)


def _turns(request: HttpRequest, traces: list[Mapping[str, Any]], first: int, readable: bool) -> list[dict[str, Any]]:
    """The turns with their numbers and the pauses between them; the texts of the first ones."""
    made: list[dict[str, Any]] = []
    for place, trace in enumerate(traces):
        row: dict[str, Any] = {**trace, "number": first + place, "pause_ms": None, "lazy": readable}
        if place:
            pause = datetime.fromisoformat(trace["start_time"]) - datetime.fromisoformat(traces[place - 1]["end_time"])
            row["pause_ms"] = int(max(0.0, pause.total_seconds()) * 1000)
        if readable and place < AT_ONCE and trace["span_count"] <= SMALL:
            answer = ask(request, f"traces/{trace['trace_id']}", {"project": trace["project"]})
            row |= {"lazy": not answer.ok, "said": said(answer.document) if answer.ok else None}
        made.append(row)
    return made


@page("traces:read")
def turn(request: HttpRequest, trace_id: str) -> HttpResponse:
    """The texts of one turn, for the script that puts them in place when the turn is scrolled to."""
    bar = read_bar(request, ("of",))
    answer = ask(request, f"traces/{trace_id}", {"project": bar.own.get("of")})
    context = {"bar": bar, "answer": answer, "turn": said(answer.document) if answer.ok else None}
    return part(request, "console/conversations/said.html", context)


def _missing(request: HttpRequest, bar: Bar, answer: Answer, session_id: str) -> HttpResponse:
    """No such conversation, or several projects have it: then it is asked which."""
    details = answer.problem.get("details")
    context = {
        "title": "Conversation",
        "here": "conversations",
        "bar": bar,
        "answer": answer,
        "session_id": session_id,
        "named": details.get("projects", []) if isinstance(details, dict) else [],
    }
    return show(request, "console/conversations/missing.html", context, status=answer.status)
