"""Dead letters: refused spans, why they were, and the way to drive them in again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from apps.common.errors import ApiError
from apps.common.parameters import check_parameters, whole
from apps.common.reads import reading
from apps.console.asking import may
from apps.console.bar import Bar, text_of
from apps.console.page import page, show
from apps.console.pages.ingest import ingest_bar
from apps.console.showing import bar_context, zone_only
from apps.ingest.letters import REASONS, STATES, Place, letter, letters, newest_waiting, state_of, visible
from apps.ingest.redrive import MOST_BY_HAND, ByHand, redrive_by
from apps.orgs.audit import actor_of
from apps.orgs.door import principal_of
from apps.orgs.scopes import scope_of

OWN: Final = ("reason", "state", "trace_id", "after")
SHOWN: Final = 50
HIGHEST: Final = 2**63 - 1
LABELS: Final = {"reason": "Reason", "state": "State", "trace_id": "Trace"}


@page("traces:read", POST="traces:write")
def dead_letters(request: HttpRequest) -> HttpResponse:
    """The list; POST drives the chosen ones in again, or all that wait and that the filters leave."""
    bar = ingest_bar(request, OWN)
    own = dict(bar.own)
    state = reading.choice(own["state"], tuple(STATES), "state") if own.get("state") else ""
    projects = list(scope_of(principal_of(request), bar.filters.get("project")).projects.values())
    asked: dict[str, Any] = {"reason": own.get("reason", ""), "state": state, "trace_id": own.get("trace_id", "")}
    if request.method == "POST":
        if "all" in request.POST:
            chosen = newest_waiting(projects, bar.start, bar.end, **asked, limit=MOST_BY_HAND)
        else:
            chosen = _chosen(projects, request.POST.getlist("letter"))
        _tell(request, redrive_by(actor_of(request), chosen), len(chosen))
        return redirect(f"{request.path}?{bar.query(after=None)}")
    found = letters(projects, bar.start, bar.end, **asked, after=_place(own.get("after", "")), limit=SHOWN + 1)
    rows = [(one, state_of(one)) for one in found[:SHOWN]]
    last = found[SHOWN - 1] if len(found) > SHOWN else None
    context = {
        "title": "Dead letters",
        "here": "ingest",
        **bar_context(request, bar, further=LABELS),
        "filter_labels": [],
        "letters": rows,
        "following": last and _following(bar, last.received_at, last.pk),
        "choosing": may(request, "traces:write") and any(state == "waiting" for _, state in rows),
        "most": MOST_BY_HAND,
        "reasons": list(REASONS),
        "states": list(STATES.items()),
        "asked": asked,
        "kept": list(parse_qsl(replace(bar, own={}).query())),
    }
    return show(request, "console/ingest/letters.html", context)


@page("traces:read", POST="traces:write")
def dead_letter(request: HttpRequest, letter_id: str) -> HttpResponse:
    """One of them; its span only for those who read texts. POST drives it in again."""
    check_parameters(request, ())
    projects = list(principal_of(request).project_ids.values())
    found = letter(projects, _number(letter_id))
    if found is None:
        raise ApiError(1300, "There is no such dead letter.")
    if request.method == "POST":
        made = redrive_by(actor_of(request), [found.pk])
        _tell(request, made, 1)
        return redirect(request.path)
    state = state_of(found)
    context = {
        "title": f"Dead letter {found.pk}",
        "here": "ingest",
        "letter": found,
        "state": state,
        "means": STATES[state],
        "meaning": REASONS.get(found.reason, ""),
        "may_drive": state == "waiting" and may(request, "traces:write"),
        "payload": _pretty(found.payload) if may(request, "traces:content") else None,
        **zone_only(request),
    }
    return show(request, "console/ingest/letter.html", context)


def _chosen(projects: Sequence[int], given: Sequence[str]) -> list[int]:
    """What was ticked, if all of it is to be seen.

    Raises:
        ApiError: 1300 for a letter of somebody else's, 1205 for too many.
    """
    if len(given) > MOST_BY_HAND:
        raise ApiError(1205, f"At most {MOST_BY_HAND} letters at once.", field="letter")
    numbers = sorted({_number(text) for text in given})
    if visible(projects, numbers) != set(numbers):
        raise ApiError(1300, "There is no such dead letter.")
    return numbers


def _number(text: str) -> int:
    try:
        return whole(text, "letter", least=1, most=HIGHEST)
    except ApiError:
        raise ApiError(1300, "There is no such dead letter.") from None


def _tell(request: HttpRequest, made: ByHand, asked: int) -> None:
    if made.stored:
        messages.success(request, f"Spans now: {made.stored}.")
    if made.refused:
        reasons = ", ".join(sorted(set(made.refused.values())))
        messages.warning(request, f"Refused again: {len(made.refused)} ({reasons}).")
    if made.left:
        messages.warning(request, f"Not reached in this time: {made.left}. Do it again for the others.")
    if not (made.stored or made.refused or made.left):
        text = "They are spans already, or were cut." if asked else "No letter was chosen that waits."
        messages.info(request, text)


def _following(bar: Bar, received_at: Any, number: int) -> str:
    return f"?{bar.query(after=f'{text_of(received_at)}_{number}')}"


def _place(text: str) -> Place | None:
    if not text:
        return None
    moment, _, number = text.rpartition("_")
    return Place(reading.moment(moment, "after"), whole(number, "after", least=1, most=HIGHEST))


def _pretty(payload: str) -> str:
    try:
        return json.dumps(json.loads(payload), indent=2, ensure_ascii=False)
    except ValueError:  # it was cut
        return payload
