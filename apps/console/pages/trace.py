"""One trace: the waterfall, where its time and money went, what a chosen span says, scores, and its deletion."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from apps.console import waterfall
from apps.console.asking import Answer, ask, may, send
from apps.console.bar import Bar, read_bar
from apps.console.page import page, part, show
from apps.console.pages.scoring import ScoreForm
from apps.console.spans import Shown, shown_span

# `of` is the project's slug, where several have a trace of this id; `span` is shown in detail; `focus` and `from` say
# which part of a large trace is drawn.
OWN: Final = ("of", "span", "focus", "from")
MOST_ERRORS: Final = 5
MOST_SCORES: Final = 50
SIDES: Final = ("input", "output")
# What the page draws: of ten thousand spans every field counts.
_OF_TRACE: Final = (
    *("trace_id", "project", "name", "status", "start_time", "user_id", "session_id", "environment", "tags", "models"),
    *("totals", "spans_truncated", "content_visible", "critical_path", "scores", "scores_truncated"),
)
_OF_SPAN: Final = (
    *("span_id", "depth", "on_critical_path", "start_time", "offset_ms", "duration_ms", "name", "kind", "billable"),
    *("status", "model", "total_tokens", "total_cost_usd", "error_type", "error_message"),
)
FIELDS: Final = ",".join((*_OF_TRACE, *(f"spans.{name}" for name in _OF_SPAN)))


@page("traces:read", POST="scores:write")
def trace(request: HttpRequest, trace_id: str) -> HttpResponse:
    """Two questions: the trace without texts, and the chosen span with them. htmx asks for the chosen span alone."""
    bar = read_bar(request, OWN)
    form = None
    if request.method == "POST":
        form, done = _judge(request, bar, trace_id)
        if done is not None:
            return done
    elif _wants_part(request):
        return _span_part(request, bar, trace_id)
    return _whole(request, bar, trace_id, form)


def _whole(request: HttpRequest, bar: Bar, trace_id: str, form: ScoreForm | None) -> HttpResponse:
    answer = _brief(request, bar, trace_id)
    if not answer.ok:
        return _missing(request, bar, answer, trace_id)
    document = answer.document
    chosen = waterfall.chosen_span(document, bar.own.get("span", ""))
    failures = waterfall.failures_of(document)[:MOST_ERRORS]
    context = {
        **_common(request, bar, trace_id, form),
        "title": document["name"] or "(no name)",
        "here": "traces",
        "answer": answer,
        "trace": document,
        "picture": waterfall.picture(document, bar.own.get("focus", ""), _first(bar)),
        "kinds": waterfall.kinds_of(document),
        "time_parts": waterfall.time_parts(document),
        "cost_parts": waterfall.cost_parts(document),
        "user_path": _path("/users", document["user_id"]) if may(request, "costs:read") else "",
        "session_path": _path("/conversations", document["session_id"]),
        "errors": failures,
        "more_errors": document["totals"]["error_count"] - sum(count for _, count in failures),
        "scores": document["scores"][:MOST_SCORES],
        "span": None if chosen is None else _detail(request, bar, trace_id, chosen["span_id"]),
    }
    return show(request, "console/traces/trace.html", context, status=400 if form is not None else 200)


def _path(below: str, name: str | None) -> str:
    return f"{below}/{quote(name, safe='')}" if name else ""


def _span_part(request: HttpRequest, bar: Bar, trace_id: str) -> HttpResponse:
    span = _detail(request, bar, trace_id, bar.own.get("span", ""))
    return part(request, "console/traces/span.html", {**_common(request, bar, trace_id, None), "span": span})


def _common(request: HttpRequest, bar: Bar, trace_id: str, form: ScoreForm | None) -> dict[str, Any]:
    own = form is not None and bool(form.data.get("span_id"))
    return {
        "bar": bar,
        "trace_id": trace_id,
        "may_score": may(request, "scores:write"),
        "may_delete": may(request, "data:delete"),
        "form": ScoreForm(auto_id="trace_%s") if form is None or own else form,
        "span_form": form if own else ScoreForm(auto_id="span_%s"),
    }


def _brief(request: HttpRequest, bar: Bar, trace_id: str, *, fresh: bool = False) -> Answer:
    asked = {"project": bar.own.get("of"), "content": "false", "fields": FIELDS}
    return ask(request, f"traces/{trace_id}", asked, fresh=fresh)


def _of_span(request: HttpRequest, bar: Bar, trace_id: str, span_id: str, *, fresh: bool = False) -> Answer:
    return ask(request, f"traces/{trace_id}", {"project": bar.own.get("of"), "span_id": span_id}, fresh=fresh)


def _detail(request: HttpRequest, bar: Bar, trace_id: str, span_id: str) -> Shown:
    return shown_span(_of_span(request, bar, trace_id, span_id), span_id)


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


def _judge(request: HttpRequest, bar: Bar, trace_id: str) -> tuple[ScoreForm | None, HttpResponse | None]:
    """Add a score, or take one away. The form where something is wrong with it, else where to go."""
    span_id = request.POST.get("span_id", "")
    known = _brief(request, bar, trace_id)
    if not known.ok:  # the API takes verdicts on traces that are still to come; whoever is on a page means one
        return None, _missing(request, bar, known, trace_id)
    project = {"project": known.document["project"]}
    if request.POST.get("unscore"):
        answer = send(request, "DELETE", f"scores/{request.POST['unscore']}", parameters=project)
        said = "The score is deleted." if answer.ok else str(answer.problem.get("message", ""))
    else:
        form = ScoreForm(request.POST, auto_id=f"{'span' if span_id else 'trace'}_%s")
        if not form.is_valid():
            return form, None
        body = form.body(trace_id=trace_id, author=request.user.get_username())
        answer = send(request, "POST", "scores", body, parameters=project)
        if not answer.ok:
            form.refuse(answer)
            return form, None
        said = "The score is stored."
    (messages.success if answer.ok else messages.error)(request, said)
    # The kept answers would not show it for a while.
    _brief(request, bar, trace_id, fresh=True)
    if span_id:
        _of_span(request, bar, trace_id, span_id, fresh=True)
    return None, redirect(f"/traces/{quote(trace_id, safe='')}?{bar.query()}#scores")


@page("data:delete", POST="data:delete")
def delete(request: HttpRequest, trace_id: str) -> HttpResponse:
    """Ask whether a trace shall go, and let it go."""
    bar = read_bar(request, OWN)
    answer = _brief(request, bar, trace_id)
    if not answer.ok:
        return _missing(request, bar, answer, trace_id)
    refused = None
    if request.method == "POST":
        done = send(request, "DELETE", f"traces/{trace_id}", parameters={"project": answer.document["project"]})
        if done.ok:
            messages.success(request, "The trace is deleted.")
            return redirect(f"/traces?{bar.elsewhere()}" if bar.elsewhere() else "/traces")
        refused = done
    context = {"title": "Delete this trace?", "here": "traces", "bar": bar, "trace": answer.document}
    status = 200 if refused is None else refused.status
    return show(request, "console/traces/delete.html", {**context, "refused": refused}, status=status)


@page("traces:content")
def text(request: HttpRequest, trace_id: str) -> HttpResponse:
    """The whole input or output of a span, as a file: a page shows only as much as one reads."""
    bar = read_bar(request, (*OWN, "side"))
    side = bar.own.get("side", "") if bar.own.get("side") in SIDES else SIDES[0]
    answer = _of_span(request, bar, trace_id, bar.own.get("span", ""))
    if not answer.ok:
        return _missing(request, bar, answer, trace_id)
    named = re.sub(r"[^A-Za-z0-9_-]", "_", f"{trace_id}-{bar.own.get('span', '')}")[:100]
    response = HttpResponse(answer.document["spans"][0][side] or "", content_type="text/plain; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{named}-{side}.txt"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "private, no-store"
    return response
