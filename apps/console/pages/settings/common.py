"""What the pages of settings share: tabs, what an answer of the API means for a page, changes that happen once."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

from django.contrib import messages
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from apps.common.errors import ApiError
from apps.common.parameters import check_parameters
from apps.console.asking import Answer, ask, may
from apps.console.bar import browser_zone
from apps.console.page import Place, show
from apps.orgs.access import SIGNED_IN

TABS: Final = (
    Place("organization", "/settings/organization", "Organization", SIGNED_IN),
    Place("members", "/settings/members", "Members", "members:manage"),
    Place("keys", "/settings/keys", "API keys", "keys:manage_own"),
    Place("prices", "/settings/prices", "Prices", "costs:read"),
    Place("budgets", "/settings/budgets", "Budgets", "costs:read"),
    Place("audit", "/settings/audit", "Audit log", "audit:read"),
)
ONCE: Final = "once"  # the form's field, and what the session remembers of it
_MOST_REMEMBERED: Final = 100
_WELL_FORMED: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")


def settings_page(
    request: HttpRequest, tab: str, template: str, context: Mapping[str, Any], status: int = 200
) -> HttpResponse:
    """A page of settings under its tab; times are in the zone of the browser."""
    tabs = [place for place in TABS if place.permission == SIGNED_IN or may(request, place.permission)]
    known = {"here": "settings", "tab": tab, "tabs": tabs, "zone": browser_zone(request)}
    return show(request, f"console/settings/{template}", {**known, **context}, status=status)


def the(answer: Answer) -> Answer:
    """The answer a page cannot do without.

    Raises:
        ApiError: what the API said.
    """
    if answer.ok:
        return answer
    problem = answer.problem
    field, details = problem.get("field"), problem.get("details")
    raise ApiError(int(problem["code"]), str(problem["message"]), field=field, details=details)


def listed(request: HttpRequest, path: str, **parameters: Any) -> tuple[Answer, str]:
    """A page of a list of the API as the address's cursor says, and the address of the next one."""
    check_parameters(request, {"cursor", *parameters})
    found = ask(request, path, {**parameters, "cursor": request.GET.get("cursor")})
    query = request.GET.copy()
    query["cursor"] = found.document.get("pagination", {}).get("next_cursor") or ""
    return found, f"?{query.urlencode()}" if query["cursor"] else ""


def asked_once(
    request: HttpRequest, tab: str, deed: Callable[[], Answer], *, done: str, after: str, **context: Any
) -> HttpResponse:
    """Ask once on a page of its own, and do it when the page is sent.

    Args:
        deed: asks the API to do it.
        done: what is said afterwards, at the address `after`.
        context: the page's `title`, `sentences`, `button` and `back`.
    """
    refused: Answer | None = None
    if request.method == "POST":
        answer = deed()
        if answer.ok:
            messages.success(request, done)
            return redirect(after)
        refused = the(answer) if answer.status in (403, 404) else answer
    status = 200 if refused is None else refused.status
    return settings_page(request, tab, "confirm.html", {**context, "refused": refused}, status)


def once() -> str:
    """A mark for a form that makes a secret: see `made_once`."""
    return secrets.token_urlsafe(18)


def made_once(request: HttpRequest, make: Callable[[], Answer]) -> Answer | None:
    """Make what a form asks for, or None where this very form was sent and answered before.

    The answer of such a form is a page with a secret, which a reload sends again: it must not make a second one. What
    was sent is remembered with the session; its row is locked meanwhile, so that of two clicks one makes something.

    Raises:
        ApiError: 1202 for a form without its mark.
    """
    mark = request.POST.get(ONCE, "")
    if not _WELL_FORMED.fullmatch(mark):
        raise ApiError(1202, "Open the form again: what was sent lacks its mark.", field=ONCE)
    with transaction.atomic():
        key = request.session.session_key or ""
        row = Session.objects.select_for_update().filter(pk=key).first()
        if row is None:  # a program with a token of its own, which has no page to reload
            return make()
        kept: dict[str, Any] = row.get_decoded()
        if mark in kept.get(ONCE, ()):
            return None
        answer = make()
        if answer.ok:
            kept[ONCE] = [*kept.get(ONCE, ()), mark][-_MOST_REMEMBERED:]
            row.session_data = Session.objects.encode(kept)
            row.save(update_fields=["session_data"])
    return answer


def shown_once(request: HttpRequest, tab: str, **context: Any) -> HttpResponse:
    """The answer that holds a secret. No cache keeps it, nor does the browser's history."""
    answer = settings_page(request, tab, "shown_once.html", context)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def sent_before(request: HttpRequest, tab: str, **context: Any) -> HttpResponse:
    """What a reload of `shown_once` shows."""
    return settings_page(request, tab, "sent_before.html", {"title": "This form was sent before", **context}, 409)
