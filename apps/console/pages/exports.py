"""Exports: those there are with their progress, one of them with its proof, and what is done to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from apps.common.errors import ApiError
from apps.common.parameters import check_parameters
from apps.console.asking import Answer, ask, charge, may, send
from apps.console.figures import NOTHING, exact
from apps.console.page import page, part, show
from apps.console.showing import zone_only
from apps.exports.api.jobs import found
from apps.exports.jobs import services
from apps.exports.spec import CONTENT, KINDS, READS
from apps.orgs.audit import actor_of
from apps.orgs.door import principal_of

ACTIVE: Final = ("pending", "processing")
STATES: Final = ("pending", "processing", "completed", "failed", "cancelled", "expired")
MOST: Final = 25
FILTERS: Final = ("kind", "status", "schedule_id")
# What the proof of a file compares, in the order in which it is told.
SIDES: Final = {"written": "Rows written", "sql": "SQL over raw spans", "engine": "Metrics engine"}


@page("exports:read")
def exports(request: HttpRequest) -> HttpResponse:
    """The list, newest first. The script asks for the rows alone while something is under way."""
    check_parameters(request, (*FILTERS, "cursor"))
    asked = {name: request.GET.get(name, "") for name in (*FILTERS, "cursor")}
    jobs = ask(request, "export/jobs", {**asked, "limit": MOST})
    rows = jobs.data if jobs.ok else []
    following = (jobs.document.get("pagination") or {}).get("next_cursor")
    chosen = {name: value for name, value in asked.items() if value and name != "cursor"}
    context: dict[str, Any] = {
        "title": "Exports",
        "here": "exports",
        "jobs": jobs,
        "rows": rows,
        "working": any(row["status"] in ACTIVE for row in rows),
        "asked": asked,
        "filtered": bool(chosen),
        "this": f"?{urlencode({name: value for name, value in asked.items() if value})}",
        "following": following and f"?{urlencode({**chosen, 'cursor': following})}",
        "kinds": [kind for kind in KINDS if may(request, READS[kind])],
        "states": STATES,
        **_rights(request),
        **zone_only(request),
    }
    if request.headers.get("HX-Request"):
        return part(request, "console/exports/rows.html", context)
    return show(request, "console/exports/list.html", context)


@page("exports:read")
def export(request: HttpRequest, job_id: str) -> HttpResponse:
    """One export; the script asks for its state alone while it is under way."""
    check_parameters(request, ())
    job = _job(request, job_id)
    context: dict[str, Any] = {
        "title": f"Export of {job['kind']}",
        "here": "exports",
        "job": job,
        "working": job["status"] in ACTIVE,
        **_rights(request),
        **zone_only(request),
    }
    if request.headers.get("HX-Request") and context["working"]:
        return part(request, "console/exports/state.html", context)
    if request.headers.get("HX-Request"):  # it is over: the page has more to tell now
        return HttpResponse(headers={"HX-Refresh": "true"})
    manifest = ask(request, f"export/jobs/{job_id}/manifest") if job["manifest_url"] else None
    told: Mapping[str, Any] = manifest.document if manifest is not None and manifest.ok else {}
    link = request.build_absolute_uri(job["download_url"]) if job["download_url"] else ""
    return show(request, "console/exports/one.html", {**context, "told": told, **_proof(told), "link": link})


@page("exports:read", POST="exports:cancel")
def cancel(request: HttpRequest, job_id: str) -> HttpResponse:
    """POST ends an export that is under way."""
    if request.method == "POST":
        _tell(request, send(request, "DELETE", f"export/jobs/{_id(job_id)}"), "The export is cancelled.")
    return redirect("console-export", job_id)


@page("exports:read", POST="exports:create")
def again(request: HttpRequest, job_id: str) -> HttpResponse:
    """POST asks for the same export anew, in the name of whoever does."""
    if request.method != "POST":
        return redirect("console-export", job_id)
    principal = principal_of(request)
    job = found(principal, job_id)
    try:
        charge(request, "export")
        made = services.rerun(actor_of(request), job, principal)
    except ApiError as error:
        messages.error(request, error.message)
        return redirect("console-export", job_id)
    messages.success(request, "The same export was asked for again, with what is stored now.")
    return redirect("console-export", str(made.pk))


def _job(request: HttpRequest, job_id: str) -> Mapping[str, Any]:
    answer = ask(request, f"export/jobs/{_id(job_id)}", fresh=True)
    if not answer.ok:
        raise ApiError(answer.problem["code"], answer.problem["message"])
    return answer.document


def _id(job_id: str) -> str:
    """Only what is an id goes into the address of a question."""
    if not all(letter in "0123456789abcdef-" for letter in job_id):
        raise ApiError(1302, "There is no such export job.")
    return job_id


def _tell(request: HttpRequest, answer: Answer, done: str) -> None:
    if answer.ok:
        messages.success(request, done)
    else:
        messages.error(request, answer.problem["message"])


def _rights(request: HttpRequest) -> dict[str, Any]:
    return {
        "may_create": may(request, "exports:create"),
        "may_cancel": may(request, "exports:cancel"),
        "may_download": may(request, "exports:download"),
        "may_content": may(request, CONTENT),
    }


def _proof(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The sums that were compared, side by side."""
    proof = manifest.get("proof") or {}
    sides = [(name, label) for name, label in SIDES.items() if isinstance(proof.get(name), dict)]
    names = dict.fromkeys(name for side, _ in sides for name in proof[side] if name != "columns")
    rows = [
        (name.replace("_usd", "").replace("_", " "), [proof[side].get(name) for side, _ in sides]) for name in names
    ]
    return {
        "proof_sides": [label for _, label in sides],
        "proof_rows": [(name, [_exact(name, value) for value in row]) for name, row in rows if any(map(is_known, row))],
        "not_compared": list((proof.get("not_compared") or {}).items()),
    }


def is_known(value: Any) -> bool:
    return value is not None


def _exact(name: str, value: Any) -> str:
    """To the last digit: that is what the proof is about."""
    dollars = "$" if name.endswith("cost") and value is not None else ""
    return NOTHING if value is None else dollars + exact(value, "count")
