"""The list of traces: find the one bad trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from apps.console.asking import Answer, ask, may
from apps.console.bar import CUSTOM, Bar, read_bar
from apps.console.figures import number_of
from apps.console.page import page, show
from apps.console.showing import bar_context

# The filters of GET /api/v1/traces that are not the bar's, with the labels of their fields.
LABELS: Final[dict[str, str]] = {
    "search": "Words",
    "status": "Status",
    "has_error": "Errors",
    "name": "Name",
    "kind": "Kind",
    "tag": "Tag",
    "session_id": "Conversation",
    "trace_id": "Trace id",
    "min_duration_ms": "At least, ms",
    "max_duration_ms": "At most, ms",
    "min_cost": "Cost from, $",
    "max_cost": "Cost to, $",
    "min_tokens": "Tokens from",
    "max_tokens": "Tokens to",
}
SORTING: Final = ("sort_by", "sort_order")
PAGE: Final = ("cursor", "limit")
OWN: Final = (*LABELS, *SORTING, *PAGE)
STATUSES: Final = (("", "Any"), ("ok", "ok"), ("error", "error"), ("unset", "unset"))
ERRORS: Final = (("", "Any"), ("true", "With errors"), ("false", "Without errors"))
KINDS: Final = ("llm", "embedding", "reranker", "agent", "chain", "tool", "retriever", "guardrail", "evaluator", "span")
# What one looks for first, each a click.
QUICK: Final[tuple[tuple[str, dict[str, str | None]], ...]] = (
    ("Newest", {"sort_by": None, "has_error": None}),
    ("With errors", {"sort_by": None, "has_error": "true"}),
    ("Slowest", {"sort_by": "duration_ms", "has_error": None}),
    ("Dearest", {"sort_by": "total_cost_usd", "has_error": None}),
    ("Most tokens", {"sort_by": "total_tokens", "has_error": None}),
)
COLUMNS: Final = (
    ("start_time", "Started"),
    ("duration_ms", "Duration"),
    ("total_cost_usd", "Cost"),
    ("total_tokens", "Tokens"),
)


@page("traces:read")
def traces(request: HttpRequest) -> HttpResponse:
    """One question: the list, as the address filters and orders it."""
    asked = read_bar(request, OWN)
    bar = replace(asked, own={name: value for name, value in asked.own.items() if name != "cursor"})
    answer = ask(request, "traces", _question(request, asked))
    rows = answer.data if answer.ok else []
    context = {
        "title": "Traces",
        "here": "traces",
        "answer": answer,
        "rows": _with_shares(rows),
        "no_rows": not rows,
        "columns": [_column(bar, name, label) for name, label in COLUMNS],
        "quick": [_quick(bar, label, changes) for label, changes in QUICK],
        "next": _next(bar, answer),
        "first": bar.query() if "cursor" in asked.own else None,
        "searchable": may(request, "traces:content"),
        "statuses": STATUSES,
        "errors": ERRORS,
        "kinds": KINDS,
        "own": bar.own,
        "bar_first": "console/traces/first.html",
        "bar_extra": "console/traces/fields.html",
    }
    further = {name: label for name, label in LABELS.items() if name != "search"}
    return show(
        request, "console/traces/list.html", {**bar_context(request, bar, further=further, drawn=LABELS), **context}
    )


def _question(request: HttpRequest, bar: Bar) -> dict[str, Any]:
    asked = bar.listing(**bar.own)
    if "trace_id" in asked and not {"range", "start_time"} & set(request.GET):
        # Whoever names a trace means it whenever it was, as the API has it.
        asked = {name: value for name, value in asked.items() if name not in ("start_time", "end_time")}
    return asked


def _with_shares(rows: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each row with its duration as a share of the page's longest, to be seen rather than read."""
    longest = max((number_of(row["duration_ms"]) or 0 for row in rows), default=0)
    return [{**row, "share": (number_of(row["duration_ms"]) or 0) / longest if longest else 0} for row in rows]


def _column(bar: Bar, name: str, label: str) -> dict[str, Any]:
    """A heading that orders: down first, then up."""
    now = bar.own.get("sort_by", "start_time") == name
    down = now and bar.own.get("sort_order", "desc") == "desc"
    query = bar.query(sort_by=None if name == "start_time" else name, sort_order="asc" if down else None)
    order = ("descending" if down else "ascending") if now else ""
    arrow = {"ascending": "▲", "descending": "▼"}.get(order, "")
    return {"name": name, "label": label, "query": query, "order": order, "arrow": arrow}


def _quick(bar: Bar, label: str, changes: Mapping[str, str | None]) -> dict[str, Any]:
    now = all((bar.own.get(name) or None) == value for name, value in changes.items()) and "sort_order" not in bar.own
    return {"label": label, "query": bar.query(**changes, sort_order=None), "now": now}


def _next(bar: Bar, answer: Answer) -> str | None:
    """The address of the page behind this one; its range is fixed, since a cursor is of one question alone."""
    cursor = answer.document.get("pagination", {}).get("next_cursor") if answer.ok else None
    return replace(bar, range=CUSTOM).query(cursor=cursor) if cursor else None
