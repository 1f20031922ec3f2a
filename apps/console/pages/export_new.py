"""A new export: the form, how many rows to expect, and the asking. Other pages lead here."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from apps.common import jsontext
from apps.common.errors import ApiError
from apps.common.reads import reading
from apps.console import conditions
from apps.console.asking import ask, may, send
from apps.console.bar import FILTERS as BAR_FILTERS
from apps.console.bar import Bar, read_bar
from apps.console.export_forms import AMOUNTS, LISTS, ExportForm, initial_of
from apps.console.page import page, part, show
from apps.exports.estimate import expected
from apps.exports.spec import CONTENT, KINDS, READS, Kind
from apps.orgs.access import require_permission
from apps.orgs.door import principal_of

F = TypeVar("F", bound=ExportForm)
OWN: Final = (
    "kind",
    *dict.fromkeys(name for name in (*LISTS, *AMOUNTS) if name not in BAR_FILTERS),
    *("status", "has_error", "search", "fields", "group_by", "interval", "format", "compression", "limit"),
    *conditions.NAMES,
    *("sort_by", "sort_order", "cursor"),  # of the list of traces; a file has an order of its own
)
UNMEANT: Final = ("kind", "match", "limit", "cursor", "sort_by", "sort_order", *conditions.NAMES)
ABOUT: Final[dict[Kind, str]] = {
    "traces": "A row is a span, with the columns that you choose.",
    "metrics": "A row is a bucket of time and a group, with the metrics that you choose.",
    "costs": "A row is a bucket of time and a group: requests, cost and tokens.",
}


@page("exports:create", POST="exports:create")
def new(request: HttpRequest) -> HttpResponse:
    """GET fills the form from the address; POST asks, or tells how many rows to expect."""
    bar, kind = asked_for(request)
    form = made_form(request, ExportForm, bar, kind)
    estimate = None
    if request.method == "POST" and "estimate" in request.POST:
        estimate = _estimate(request, form)
        if request.headers.get("HX-Request"):
            return part(
                request, "console/exports/estimate.html", {"form": form, "estimate": estimate, "estimated": True}
            )
    elif request.method == "POST" and form.is_valid():
        answer = send(request, "POST", f"export/{kind}", form.body())
        if answer.ok:
            return redirect("console-export", answer.document["job_id"])
        form.refuse(answer)
    context = {**shown(request, bar, kind, form), "title": "New export", "estimate": estimate}
    context["estimated"] = "estimate" in request.POST
    return show(request, "console/exports/new.html", context, 400 if form.errors else 200)


def asked_for(request: HttpRequest) -> tuple[Bar, Kind]:
    """The range, the filters and the kind of the address.

    Raises:
        ApiError: 1202 for a kind that there is not, 1100 for one whose data the caller may not read.
    """
    bar = read_bar(request, OWN, default="7d")
    allowed = [kind for kind in KINDS if may(request, READS[kind])]
    said = bar.own.get("kind", "").split(",")
    named = next((one for one in said if one in KINDS), said[0]) or (allowed or KINDS)[0]
    kind: Kind = reading.choice(named, KINDS, "kind")  # type: ignore[assignment]
    require_permission(principal_of(request), READS[kind])
    return bar, kind


def made_form(request: HttpRequest, form: type[F], bar: Bar, kind: Kind) -> F:
    """The form, filled from the address or from what was sent."""
    return form(
        request.POST if request.method == "POST" else None,
        kind=kind,
        zone=bar.zone,
        projects=sorted(principal_of(request).project_ids),
        content=may(request, CONTENT),
        metrics=_metrics(request) if kind == "metrics" else (),
        initial=initial_of(bar, _said(bar)),
    )


def _said(bar: Bar) -> dict[str, str]:
    """The page's parameters as fields of the form.

    The list of traces leads here with its own address, in which `kind` is that of spans, `match` says how its
    conditions go together, and `limit` is how long a page is.
    """
    made = {name: value for name, value in bar.own.items() if name not in UNMEANT}
    kinds = [one for one in bar.own.get("kind", "").split(",") if one and one not in KINDS]
    matches = bar.own.get("match", "").split(",")
    if kinds:
        made["span_kind"] = ",".join(kinds)
    if "traces" in matches:
        made["match"] = "traces"
    if rows := conditions.rows_of(bar.own):
        match = next((one for one in matches if one in conditions.MATCHES), "span")
        made["filter"] = jsontext.dumps(conditions.body(rows, {}, {"match": match})["filter"]).decode()
    return made


def shown(request: HttpRequest, bar: Bar, kind: Kind, form: ExportForm) -> dict[str, Any]:
    """For the template."""
    kinds = [(one, f"?{bar.query(kind=one)}", ABOUT[one]) for one in KINDS if may(request, READS[one])]
    return {
        "here": "exports",
        "bar": bar,
        "kind": kind,
        "kinds": kinds,
        "about": ABOUT[kind],
        "form": form,
        "may_content": may(request, CONTENT),
    }


def _metrics(request: HttpRequest) -> list[tuple[str, str]]:
    catalog = ask(request, "metrics/catalog")
    return [(row["name"], row["name"]) for row in catalog.data] if catalog.ok else []


def _estimate(request: HttpRequest, form: ExportForm) -> int | None:
    if not form.is_valid():
        return None
    try:
        return expected(form.kind, form.body(), principal_of(request))
    except ApiError as error:
        details = (
            error.details if isinstance(error.details, list) else [{"field": error.field, "message": error.message}]
        )
        form.refuse({str(row.get("field") or ""): str(row.get("message", "")) for row in details})
        return None
