"""The list of traces: find the one bad trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from apps.common import jsontext
from apps.common.errors import ApiError
from apps.console import conditions
from apps.console.asking import Answer, ask, may, send
from apps.console.bar import CUSTOM, NAMES, Bar, read_bar
from apps.console.figures import number_of
from apps.console.page import page, show
from apps.console.saved import delete_view, save_view, views_for
from apps.console.showing import bar_context
from apps.orgs.door import principal_of

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
MOST_ROWS: Final = 100  # of a page, whatever the address says: a person reads no more, and it stays light
MOST_MODELS: Final = 4
OWN: Final = (*LABELS, *SORTING, *PAGE, *conditions.NAMES)
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
RELEVANT: Final = ("Most relevant", {"sort_by": conditions.RELEVANCE, "has_error": None})

COLUMNS: Final = (
    ("start_time", "Started"),
    ("duration_ms", "Duration"),
    ("total_cost_usd", "Cost"),
    ("total_tokens", "Tokens"),
)


@page("traces:read")
def traces(request: HttpRequest) -> HttpResponse:
    """One question: the list, or the search where there are conditions on spans."""
    asked = _limited(read_bar(request, OWN))
    rows = conditions.rows_of(asked.own)
    own = conditions.kept(asked.own, rows)
    bar = replace(asked, own={name: value for name, value in own.items() if name != "cursor"})
    body = None
    if rows or asked.own.get("sort_by") == conditions.RELEVANCE:
        body = conditions.body(rows, _listing(request, asked), asked.own)
        answer = replace(send(request, "POST", "traces/search", body), url="")
    else:
        answer = ask(request, "traces", {**_listing(request, asked), **_of_the_page(asked)})
    found = answer.data if answer.ok else []
    context = {
        "title": "Traces",
        "here": "traces",
        "answer": answer,
        "rows": _with_shares(found),
        "no_rows": not found and not answer.document.get("metadata", {}).get("searched_to"),
        "searched_to": answer.document.get("metadata", {}).get("searched_to"),
        "body": None if body is None else jsontext.dumps(body, indented=True).decode(),
        "columns": [_column(bar, name, label) for name, label in COLUMNS],
        "quick": [_quick(bar, *one) for one in (*QUICK, *([RELEVANT] if bar.own.get("search") else []))],
        "next": _next(bar, answer),
        "first": bar.query() if "cursor" in asked.own else None,
        "views": views_for(principal_of(request)),
        "query": bar.query(),
        "export_query": bar.query(range=bar.range),
        "may_export": may(request, "exports:create"),
        "may_manage": may(request, "org:manage"),
    }
    return show(request, "console/traces/list.html", {**_fields(request, bar, rows, answer), **context})


def _fields(request: HttpRequest, bar: Bar, rows: list[conditions.Row], answer: Answer) -> dict[str, Any]:
    """What the bar's own fields of this page need."""
    further = {name: label for name, label in LABELS.items() if name != "search"}
    context = bar_context(request, bar, further=further, drawn=(*LABELS, *conditions.NAMES))
    context["named_filters"] += [
        (row.names[0], row.field, row.text, bar.query(**dict.fromkeys((*row.names, *(["match"] * (len(rows) == 1))))))
        for row in rows
    ]
    return {
        **context,
        "searchable": may(request, "traces:content"),
        "statuses": STATUSES,
        "errors": ERRORS,
        "kinds": KINDS,
        "own": bar.own,
        "conditions": conditions.drawn(rows, {} if answer.ok else answer.fields),
        "condition_rows": len(rows),
        "bar_open": not answer.ok,
        "bar_folded": True,  # the chips say what is set; the list is what one came for
        "condition_fields": conditions.SUGGESTED,
        "operators": conditions.OPERATOR_CHOICES,
        "matches": conditions.MATCHES.items(),
        "bar_first": "console/traces/first.html",
        "bar_extra": "console/traces/fields.html",
    }


def _listing(request: HttpRequest, bar: Bar) -> dict[str, Any]:
    asked = bar.listing(**{name: value for name, value in bar.own.items() if name in LABELS})
    if "trace_id" in asked and not {"range", "start_time"} & set(request.GET):
        # Whoever names a trace means it whenever it was, as the API has it.
        asked = {name: value for name, value in asked.items() if name not in ("start_time", "end_time")}
    return asked


def _of_the_page(bar: Bar) -> dict[str, str]:
    return {name: bar.own[name] for name in (*SORTING, *PAGE) if name in bar.own}


def _limited(bar: Bar) -> Bar:
    """What is no number is left for the API to refuse."""
    limit = bar.own.get("limit", "")
    large = limit.isdecimal() and int(limit[:9]) > MOST_ROWS
    return replace(bar, own={**bar.own, "limit": str(MOST_ROWS)}) if large else bar


def _with_shares(rows: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each row with its duration as a share of the page's longest, to be seen rather than read."""
    lengths = [number_of(row["duration_ms"]) or 0 for row in rows]
    longest = max(lengths, default=0)
    return [
        {
            **row,
            "share": length / longest if longest else 0,
            "models_text": ", ".join(row["models"][:MOST_MODELS])[:400],
        }
        for row, length in zip(rows, lengths, strict=True)
    ]


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


@page("traces:read", POST="traces:read")
def views(request: HttpRequest) -> HttpResponse:
    """Save a list under a name; whoever only looks goes to the lists."""
    if request.method != "POST":
        return redirect("/traces")
    given, known = request.POST, {*NAMES, *OWN} - {"cursor"}
    query = given.get("query", "")
    try:
        view = save_view(
            principal_of(request), given.get("name", ""), query, shared=bool(given.get("shared")), known=known
        )
    except ApiError as error:
        messages.error(request, error.message)
        return redirect(f"/traces?{query}")
    messages.success(request, f"The view “{view.name}” is saved.")
    return redirect(f"/traces?{view.query}")


@page("traces:read", POST="traces:read")
def forget(request: HttpRequest, number: int) -> HttpResponse:
    """Delete a saved view."""
    if request.method == "POST":
        delete_view(principal_of(request), number)
        messages.success(request, "The view is deleted.")
    return redirect("/traces")
