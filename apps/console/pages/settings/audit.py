"""The audit log: who did what, the newest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse

from apps.common import jsontext
from apps.common.parameters import check_parameters
from apps.console.asking import ask
from apps.console.page import page
from apps.console.pages.settings.common import settings_page
from apps.console.pages.settings.forms import Line, Moment, Pick, Query

FILTERS: Final = ("actor", "action", "object_type", "object_id", "project", "outcome", "start_time", "end_time")
OUTCOMES: Final = (("", "Done and denied"), ("done", "Done"), ("denied", "Denied"))


class AuditForm(Query):
    """What to look for."""

    actor = Line(label="Actor", help_text="An e-mail address, or a key's prefix.")
    action = Line(label="Action", help_text="Such as key.create; several with commas.")
    object_type = Line(label="Kind of object", help_text="Such as key.")
    object_id = Line(label="Its id")
    project = Line(label="Project")
    outcome = Pick(OUTCOMES, label="Outcome")
    start_time = Moment(label="From")
    end_time = Moment(label="To")


@page("audit:read")
def audit(request: HttpRequest) -> HttpResponse:
    """Entries that fit the address; the same as a file."""
    check_parameters(request, {"cursor", *FILTERS})
    form = AuditForm(request)
    asked = form.parameters()
    answer = ask(request, "audit", {**asked, "limit": 100, "cursor": request.GET.get("cursor")})
    form.refuse_answer(answer)
    further = form.address(cursor=answer.document.get("pagination", {}).get("next_cursor"))
    for row in answer.data if answer.ok else ():
        row["changed"] = list(_changes(row["before"] or {}, row["after"] or {}))
    context = {"title": "Audit log", "form": form, "answer": answer, "further": further, "asked": asked}
    context["export"] = urlencode(asked)
    return settings_page(request, "audit", "audit.html", context, form.status)


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, str | None, str | None]]:
    """Field by field: what it was and what it is, None where it was or is not there."""
    for name in dict.fromkeys((*before, *after)):
        was, now = (_text(state[name]) if name in state else None for state in (before, after))
        yield name, was, now


def _text(value: Any) -> str:
    return value if isinstance(value, str) else jsontext.dumps(value).decode()
