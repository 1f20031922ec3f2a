"""One trace: the waterfall, where its time and money went, and what a chosen span says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from apps.console import waterfall
from apps.console.asking import Answer, ask, may
from apps.console.bar import Bar, read_bar
from apps.console.page import page, part, show

# `of` is the project's slug, where several have a trace of this id; `span` is shown in detail; `focus` and `from` say
# which part of a large trace is drawn.
OWN: Final = ("of", "span", "focus", "from")
MOST_ERRORS: Final = 10


@page("traces:read")
def trace(request: HttpRequest, trace_id: str) -> HttpResponse:
    """One question: the trace. htmx asks for the part with the chosen span alone."""
    bar = read_bar(request, OWN)
    answer = ask(request, f"traces/{trace_id}", {"project": bar.own.get("of")})
    if not answer.ok:
        return _missing(request, bar, answer, trace_id)
    document = answer.document
    context: dict[str, Any] = {
        "bar": bar,
        "answer": answer,
        "trace": document,
        "trace_id": trace_id,
        "span": waterfall.chosen_span(document, bar.own.get("span", "")),
    }
    if _wants_part(request):
        return part(request, "console/traces/span.html", context)
    context |= {
        "title": document["name"] or "(no name)",
        "here": "traces",
        "picture": waterfall.picture(document, bar.own.get("focus", ""), _first(bar)),
        "time_parts": waterfall.time_parts(document),
        "cost_parts": waterfall.cost_parts(document),
        "errors": waterfall.errors_of(document)[:MOST_ERRORS],
        "may_score": may(request, "scores:write"),
        "may_delete": may(request, "data:delete"),
    }
    return show(request, "console/traces/trace.html", context)


def _wants_part(request: HttpRequest) -> bool:
    """A history that htmx restores wants the whole page."""
    return request.headers.get("HX-Target") == "span" and "HX-History-Restore-Request" not in request.headers


def _first(bar: Bar) -> int:
    text = bar.own.get("from", "")
    return int(text) if text.isdecimal() and len(text) < 6 else 0


def _missing(request: HttpRequest, bar: Bar, answer: Answer, trace_id: str) -> HttpResponse:
    """No such trace, or several projects have it: then it is asked which."""
    details: Mapping[str, Any] = answer.problem.get("details") or {}
    context = {
        "title": "Trace",
        "here": "traces",
        "bar": bar,
        "answer": answer,
        "trace_id": trace_id,
        "named": details.get("projects", []) if isinstance(details, dict) else [],
    }
    return show(request, "console/traces/missing.html", context, status=answer.status)
