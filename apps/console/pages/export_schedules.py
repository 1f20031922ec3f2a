"""Schedules of exports: the same export again and again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from apps.common.errors import ApiError
from apps.common.parameters import check_parameters, whole
from apps.console.asking import Answer, ask, may, send
from apps.console.export_forms import PERIOD_NAMES, ScheduleForm
from apps.console.page import page, show
from apps.console.pages.export_new import asked_for, made_form, shown
from apps.console.showing import zone_only

MOST: Final = 100  # as many as an organization may have
DEEDS: Final = {
    "pause": ("PATCH", "", {"enabled": False}, "The schedule is paused."),
    "resume": ("PATCH", "", {"enabled": True}, "The schedule runs again, with your rights."),
    "run": ("POST", "/run", None, "An export of this moment was asked for."),
}


@page("exports:read")
def schedules(request: HttpRequest) -> HttpResponse:
    """All of them that one sees."""
    check_parameters(request, ())
    answer = ask(request, "export/schedules", {"limit": MOST})
    context = {
        "title": "Schedules of exports",
        "here": "exports",
        "schedules": answer,
        "rows": [{**row, "of": PERIOD_NAMES.get(row["period"], row["period"])} for row in answer.data if answer.ok],
        "may_create": may(request, "exports:create"),
        **zone_only(request),
    }
    return show(request, "console/exports/schedules.html", context)


@page("exports:create", POST="exports:create")
def new(request: HttpRequest) -> HttpResponse:
    """The form of an export with a period in the place of the range."""
    bar, kind = asked_for(request)
    form = made_form(request, ScheduleForm, bar, kind)
    if request.method == "POST" and form.is_valid():
        answer = send(request, "POST", "export/schedules", form.schedule())
        if answer.ok:
            messages.success(request, f"The schedule {answer.document['name']} runs from now on.")
            return redirect("console-schedule", answer.document["id"])
        form.refuse(answer)
    more = {"title": "New schedule", "scheduled": True, "ask_label": "Make the schedule"}
    return show(
        request, "console/exports/new.html", {**shown(request, bar, kind, form), **more}, 400 if form.errors else 200
    )


@page("exports:read")
def schedule(request: HttpRequest, schedule_id: str) -> HttpResponse:
    """One of them, with the exports that it has made."""
    check_parameters(request, ())
    number = _number(schedule_id)
    found = ask(request, f"export/schedules/{number}")
    if not found.ok:
        raise _refusal(found)
    row: Mapping[str, Any] = found.document
    context = {
        "title": row["name"],
        "here": "exports",
        "row": row,
        "period": PERIOD_NAMES.get(row["period"], row["period"]),
        "asked": sorted((name, _text(value)) for name, value in row["export"].items()),
        "url": found.url,
        "jobs": ask(request, "export/jobs", {"schedule_id": number, "limit": 5}),
        "may_create": may(request, "exports:create"),
        "may_delete": may(request, "exports:cancel"),
        **zone_only(request),
    }
    return show(request, "console/exports/schedule.html", context)


@page("exports:read", POST="exports:create")
def change(request: HttpRequest, schedule_id: str, deed: str) -> HttpResponse:
    """POST pauses it, lets it run again, or runs it now."""
    number = _number(schedule_id)
    if deed not in DEEDS:
        raise ApiError(1300, "There is no such thing to do with a schedule.")
    if request.method != "POST":
        return redirect("console-schedule", number)
    method, path, body, done = DEEDS[deed]
    answer = send(request, method, f"export/schedules/{number}{path}", body)
    if not answer.ok:
        if answer.status == 404:
            raise _refusal(answer)
        messages.error(request, " ".join(answer.fields.values()) or answer.problem["message"])
        return redirect("console-schedule", number)
    messages.success(request, done)
    if deed == "run":
        return redirect("console-export", answer.document["job_id"])
    return redirect("console-schedule", number)


@page("exports:read", POST="exports:cancel")
def delete(request: HttpRequest, schedule_id: str) -> HttpResponse:
    """POST deletes it; the exports that it made stay."""
    number = _number(schedule_id)
    if request.method != "POST":
        return redirect("console-schedule", number)
    answer = send(request, "DELETE", f"export/schedules/{number}")
    if not answer.ok:
        raise _refusal(answer)
    messages.success(request, "The schedule is deleted. The exports that it made stay until they expire.")
    return redirect("console-schedules")


def _number(text: str) -> int:
    try:
        return whole(text, "schedule", least=1, most=2**31 - 1)
    except ApiError:
        raise ApiError(1300, "There is no such schedule.") from None


def _refusal(answer: Answer) -> ApiError:
    return ApiError(answer.problem["code"], answer.problem["message"])


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(one.get("metric", one)) if isinstance(one, Mapping) else str(one) for one in value)
    return str(value)
