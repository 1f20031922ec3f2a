"""Repricing: count what other prices would change, then apply it, and undo it."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from apps.common.parameters import check_parameters
from apps.console.asking import ask, may, send
from apps.console.bar import browser_zone
from apps.console.page import page, part
from apps.console.pages.settings.common import asked_once, listed, settings_page, the
from apps.console.pages.settings.forms import ApiForm, Flag, Lines, Moment, Picks
from apps.orgs.door import principal_of

LIST: Final = "/settings/prices/reprice"
READ: Final = "costs:read"
MANAGE: Final = "costs:manage"
UNDER_WAY: Final = ("counting", "applying", "undoing")


class RepriceForm(ApiForm):
    """Which spans are counted anew."""

    start_time = Moment(label="From")
    end_time = Moment(label="To", help_text="Not included. Empty: now.")
    provider = Lines(label="Providers", rows=2, help_text="One a line. Empty: all.")
    model = Lines(label="Models", rows=2, help_text="One a line, as spans name them. Empty: all.")
    project = Picks(label="Projects", help_text="None ticked: all that you see.")
    include_client_costs = Flag(
        label="Replace the costs that senders gave, too", help_text="What was sent stays beside it."
    )

    def __init__(self, request: HttpRequest, **options: Any) -> None:
        super().__init__(request, **options)
        slugs = sorted(principal_of(request).project_ids)
        self.fields["project"].choices = [(slug, slug) for slug in slugs]  # type: ignore[attr-defined]

    def body(self, *, changed: bool = False) -> dict[str, Any]:
        found = super().body()
        return {name: value for name, value in found.items() if value not in (None, [])} | {"dry_run": True}


@page(READ, POST=MANAGE)
def repricings(request: HttpRequest) -> HttpResponse:
    """The repricings, and the form that counts another."""
    answer, further = listed(request, "costs/reprice", limit=50)
    form = RepriceForm(request)
    if request.method == "POST" and form.is_valid():
        counted = send(request, "POST", "costs/reprice", form.body())
        if counted.ok:
            return redirect(f"{LIST}/{counted.document['id']}")
        form.refuse(counted)
    context = {"title": "Repricing", "answer": answer, "further": further, "form": form}
    return settings_page(
        request, "prices", "repricings.html", {**context, "manages": may(request, MANAGE)}, form.status
    )


@page(READ)
def repricing(request: HttpRequest, number: int) -> HttpResponse:
    """One repricing: what it would change, or has changed. While it is under way the page asks how far it is."""
    check_parameters(request, {"part"})
    row = the(ask(request, f"costs/reprice/{number}")).document
    context = {**_told(row), "manages": may(request, MANAGE), "zone": browser_zone(request)}
    if request.GET.get("part"):
        return part(request, "console/settings/repricing_state.html", context)
    return settings_page(request, "prices", "repricing.html", {"title": f"Repricing {number}", **context})


def _told(row: Any) -> dict[str, Any]:
    done = row["applied"] or row["counted"] or {}
    return {"row": row, "under_way": row["state"] in UNDER_WAY, "sums": done, "models": done.get("by_model", [])[:100]}


@page(MANAGE, POST=MANAGE)
def apply_repricing(request: HttpRequest, number: int) -> HttpResponse:
    """Ask once, then change what was counted."""
    check_parameters(request, ())
    row = the(ask(request, f"costs/reprice/{number}")).document
    counted = row["counted"] or {}
    sentences = [
        f"The costs of {counted.get('changed', 0):,} spans are replaced: reports, budgets, exports show the new.",
        "It can be undone for 90 days.",
    ]
    return asked_once(
        request,
        "prices",
        lambda: send(request, "POST", f"costs/reprice/{number}/apply"),
        done="The new costs are being written; answers show them at once.",
        after=f"{LIST}/{number}",
        title=f"Apply repricing {number}?",
        sentences=sentences,
        button="Apply",
        back=f"{LIST}/{number}",
    )


@page(MANAGE, POST=MANAGE)
def undo_repricing(request: HttpRequest, number: int) -> HttpResponse:
    """Ask once, then give the spans the costs again that they had."""
    check_parameters(request, ())
    the(ask(request, f"costs/reprice/{number}"))
    sentences = [
        "Spans have the costs again that they had before, to the last digit.",
        "Spans that were replaced or deleted since stay as they are, and are counted.",
    ]
    return asked_once(
        request,
        "prices",
        lambda: send(request, "POST", f"costs/reprice/{number}/undo"),
        done="The spans get the costs again that they had.",
        after=f"{LIST}/{number}",
        title=f"Undo repricing {number}?",
        sentences=sentences,
        button="Undo",
        back=f"{LIST}/{number}",
    )
