"""What the pages share: who may see one, where to go next, and how many tries an address has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme

from apps.common.edge.address import client_address
from apps.common.errors import ApiError
from apps.common.parameters import check_parameters
from apps.common.rates.limits import Verdict, take
from apps.orgs.access import ACCOUNT
from apps.orgs.door import admit
from apps.orgs.models import User
from apps.orgs.tiers import sign_in_bucket

View = Callable[..., HttpResponse]
# What draws the frame around the pages of the account for people who look at an organization: an app above this one,
# which registers itself. None where it has none for them.
Frame = Callable[[HttpRequest], Mapping[str, Any] | None]
_frames: list[Frame] = []


def add_frame(frame: Frame) -> None:
    """Draw a frame around the pages of the account; called from an app's `AppConfig.ready`."""
    if frame not in _frames:
        _frames.append(frame)


def layout_of(request: HttpRequest) -> dict[str, Any]:
    """The template that a page of the account extends, as `layout`, and what that needs."""
    for frame in _frames:
        found = frame(request)
        if found is not None:
            return dict(found)
    return {"layout": "base.html"}


def signed_in(view: View) -> View:
    """Only for people who have signed in; whoever shows no credentials is sent to do so, and comes back."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            try:
                _by_header(request)
            except ApiError as error:
                if error.entry.code != 1000:
                    raise
                return to_sign_in(request)
        check_parameters(request, ())
        return view(request, *args, **kwargs)

    return guarded


def _by_header(request: HttpRequest) -> None:
    """The person of an access token; a key is nobody's and is refused. Raises as `admit` does."""
    principal = admit(request, ACCOUNT)
    assert principal.user_id is not None  # only people hold ACCOUNT
    request.user = User.objects.get(pk=principal.user_id)


def to_sign_in(request: HttpRequest) -> HttpResponseRedirect:
    """To the sign-in page; back to this page afterwards, where it can be asked for again."""
    back = request.get_full_path() if request.method in ("GET", "HEAD") else settings.LOGIN_REDIRECT_URL
    return redirect(f"{settings.LOGIN_URL}?{urlencode({'next': back})}")


def user_of(request: HttpRequest) -> User:
    """The signed-in person; only behind `signed_in`."""
    assert isinstance(request.user, User)
    return request.user


def safe_next(request: HttpRequest) -> str:
    """Where to go after signing in: a path of ours, never another site's address."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    # Without allowed hosts only relative addresses pass, whatever the Host header says.
    if wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None):
        return wanted
    return str(settings.LOGIN_REDIRECT_URL)


def take_try(request: HttpRequest) -> Verdict:
    """Charge the address for one try at a password: pages and API share its bucket."""
    verdict, _ = take([(sign_in_bucket(client_address(request)), 1)])
    request.hub_headers = verdict.headers()  # type: ignore[attr-defined]  # EdgeMiddleware puts them on the answer
    return verdict


def out_of_tries(request: HttpRequest, form: BaseForm) -> bool:
    """Charge a try; where none is left, the form says so."""
    verdict = take_try(request)
    if not verdict.allowed:
        seconds = verdict.retry_after
        wait = f"{seconds} second{'' if seconds == 1 else 's'}"
        form.full_clean()
        form.add_error(None, f"Too many tries from your address. Try again in {wait}.")
    return not verdict.allowed


def add_refusal(form: BaseForm, error: ApiError, fields: Mapping[str, str]) -> None:
    """What a service refused, at the form's fields.

    Args:
        fields: the form's name for each of the service's; what has none stands above the form.
    """
    rows = error.details if isinstance(error.details, list) else [{"field": error.field, "message": error.message}]
    for row in rows:
        field, message = str(row["field"]), str(row["message"])
        name = fields.get(field) or fields.get(field.partition(".")[0])  # a part of a field is said at the field
        if name is None:
            form.add_error(None, message)
        else:
            form.add_error(name, message)


def form_page(request: HttpRequest, template: str, form: BaseForm, status: int = 0, **context: Any) -> HttpResponse:
    """A page around a form: 200, or 400 where something is wrong with what was sent."""
    status = status or (400 if form.errors else 200)
    return render(request, template, {"form": form, **context}, status=status)
