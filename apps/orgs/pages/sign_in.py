"""Signing in and out in a browser."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import authenticate, login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.debug import sensitive_post_parameters

from apps.common.http import methods
from apps.orgs import audit
from apps.orgs.access import PUBLIC
from apps.orgs.door import requires
from apps.orgs.models import User
from apps.orgs.pages.common import form_page, out_of_tries, safe_next
from apps.orgs.pages.forms import SignInForm

# The same for an unknown address, a wrong password and a closed account.
REFUSED = "E-mail and password do not match an account."


@requires(GET=PUBLIC)
@methods("GET", "HEAD")
def root(request: HttpRequest) -> HttpResponse:
    """The address without a path."""
    return redirect(settings.LOGIN_REDIRECT_URL if request.user.is_authenticated else settings.LOGIN_URL)


@requires(GET=PUBLIC)
@methods("GET", "HEAD")
def administration(request: HttpRequest) -> HttpResponse:
    """The admin's address as people type it."""
    return redirect("/admin/")


@requires(GET=PUBLIC, POST=PUBLIC)
@sensitive_post_parameters("password")
@methods("GET", "HEAD", "POST")
def sign_in(request: HttpRequest) -> HttpResponse:
    """The sign-in page."""
    if request.method != "POST":
        if request.user.is_authenticated:
            return redirect(safe_next(request))
        return _page(request, SignInForm())
    form = SignInForm(request.POST)
    if out_of_tries(request, form):
        return _page(request, form, 429)
    user = _user(request, form)
    if user is None:
        return _page(request, form)
    open_session(request, user)
    return redirect(safe_next(request))


def open_session(request: HttpRequest, user: User) -> None:
    """Sign a person in, who has proved to be that person."""
    login(request, user)  # a new session key: one planted before signing in opens nothing
    _record(request, user, "session.sign_in")


def _user(request: HttpRequest, form: SignInForm) -> User | None:
    if not form.is_valid():
        return None
    email = form.cleaned_data["email"].lower()
    user = authenticate(request, username=email, password=form.cleaned_data["password"])
    if isinstance(user, User):
        return user
    audit.sign_in_refused(request, email)
    form.add_error(None, REFUSED)
    return None


def _page(request: HttpRequest, form: SignInForm, status: int = 0) -> HttpResponse:
    return form_page(request, "pages/sign_in.html", form, status, next=safe_next(request))


@requires(POST=PUBLIC)
@methods("POST")
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session, here and in the database."""
    after = safe_next(request) if request.POST.get("next") else settings.LOGIN_URL
    if isinstance(request.user, User):
        _record(request, request.user, "session.sign_out")
    logout(request)
    return redirect(after)


def _record(request: HttpRequest, user: User, action: str) -> None:
    audit.record_for_person(audit.actor_of(request), action, user.pk)
