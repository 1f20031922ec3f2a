"""What every page of the console goes through: who looks, at which organization, may they, and the frame around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from apps.common.edge.pages import prefers_page
from apps.common.errors import ApiError
from apps.common.http import methods
from apps.console.asking import asked_by, may
from apps.console.reach import within_reach
from apps.orgs.access import ACCOUNT, SIGNED_IN, Principal
from apps.orgs.door import admit, principal_of, requires
from apps.orgs.pages.common import to_sign_in

View = Callable[..., HttpResponse]
THEME_COOKIE: Final = "hub_theme"


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the menu. `keeps` says whether it takes the bar's range and filters along."""

    name: str
    path: str
    label: str
    permission: str
    keeps: bool = True


MENU: Final[tuple[tuple[str, tuple[Place, ...]], ...]] = (
    (
        "Look",
        (
            Place("overview", "/overview", "Overview", "metrics:read"),
            Place("costs", "/costs", "Costs", "costs:read"),
            Place("performance", "/performance", "Performance", "metrics:read"),
            Place("quality", "/quality", "Quality", "metrics:read"),
            Place("models", "/models", "Models", "metrics:read"),
            Place("users", "/users", "Users", "metrics:read"),
        ),
    ),
    (
        "Inspect",
        (
            Place("traces", "/traces", "Traces", "traces:read"),
            Place("conversations", "/conversations", "Conversations", "traces:read"),
        ),
    ),
    (
        "Take away",
        (Place("exports", "/exports", "Exports", "exports:read", keeps=False),),
    ),
    (
        "Run",
        (
            Place("ingest", "/ingest", "Ingest health", "traces:read"),
            Place("settings", "/settings", "Settings", SIGNED_IN, keeps=False),
            Place("start", "/start", "First span", "traces:read", keeps=False),
        ),
    ),
)


def page(permission: str, **more: str) -> Callable[[View], View]:
    """A page of the console for GET, and for further methods: `@page("costs:read", POST="costs:manage")`.

    Who has not signed in is sent to do so; who belongs to several organizations and has chosen none, to the account;
    who may not see it gets a page that says what is missing. It costs one request of the person's limit.
    """
    needs = {"GET": permission, **more}

    def decorate(view: View) -> View:
        @requires(**needs)
        @methods("GET", "HEAD", *more)
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                admit(request, ACCOUNT)
                principal = admit(request, SIGNED_IN)
                admit(request, needs["GET" if request.method == "HEAD" else str(request.method)])
            except ApiError as error:
                return _turned_away(request, error, permission)
            response = view(request, *args, **kwargs)
            return _timed(request, principal, response)

        return guarded

    return decorate


def _turned_away(request: HttpRequest, error: ApiError, permission: str) -> HttpResponse:
    code = error.entry.code
    if code == 1000 and request.headers.get("HX-Request"):  # a part of a page: the page goes to sign in
        return HttpResponse(headers={"HX-Refresh": "true"})
    if code == 1000 and request.method in ("GET", "HEAD"):
        return to_sign_in(request)
    known: Principal | None = getattr(request, "hub_principal", None)
    if known is None or known.user_id is None or code not in (1100, 1201):
        raise error
    if not known.organization_id and request.method in ("GET", "HEAD"):
        return redirect("account")
    if not known.organization_id or not prefers_page(request):
        raise error
    missing = (error.details or {}).get("required_permission", permission) if isinstance(error.details, dict) else ""
    return show(request, "console/forbidden.html", {"missing": missing, "title": "Not open to you"}, status=403)


def _timed(request: HttpRequest, principal: Principal, response: HttpResponse) -> HttpResponse:
    """Say what the page asked the API and how long that took: browsers show it beside the request."""
    asked = asked_by(request)
    if asked and principal.user_id is not None:
        parts = [f'q{place};desc="{one.path}";dur={one.seconds * 1000:.1f}' for place, one in enumerate(asked[:20])]
        response.headers["Server-Timing"] = ", ".join(parts)
    return response


def frame(request: HttpRequest) -> dict[str, Any]:
    """What the frame around every page needs."""
    principal = principal_of(request)
    menu = [
        (title, [place for place in places if place.permission == SIGNED_IN or may(request, place.permission)])
        for title, places in MENU
    ]
    theme = request.COOKIES.get(THEME_COOKIE, "")
    return {
        "principal": principal,
        "menu": [(title, places) for title, places in menu if places],
        "theme": theme if theme in ("light", "dark") else "",
        "projects": sorted(principal.project_ids),
    }


def around_account(request: HttpRequest) -> Mapping[str, Any] | None:
    """The frame for the pages of the account; None for who looks at no organization."""
    try:
        principal = principal_of(request)
    except ApiError:  # of an organization that is gone, for one
        return None
    return {"layout": "console/frame.html", **frame(request)} if principal.organization_id else None


def show(request: HttpRequest, template: str, context: Mapping[str, Any], status: int = 200) -> HttpResponse:
    """A page within the frame. `here` names its entry of the menu; `bar` draws the bar."""
    return _drawn(request, template, {**frame(request), **context}, status)


def part(request: HttpRequest, template: str, context: Mapping[str, Any], status: int = 200) -> HttpResponse:
    """A part of a page, for the script that puts it in place."""
    return _drawn(request, template, {"principal": principal_of(request), **context}, status)


def _drawn(request: HttpRequest, template: str, context: Mapping[str, Any], status: int) -> HttpResponse:
    answer = render(request, template, context, status=status)
    html = answer.content.decode()
    reached = within_reach(html, principal_of(request).permissions)
    if reached is not html:
        answer.content = reached.encode()
    return answer
