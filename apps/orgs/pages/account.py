"""The account: who am I, where do I belong, and which organization am I looking at."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from apps.common.errors import ApiError
from apps.common.http import methods
from apps.orgs.access import ACCOUNT
from apps.orgs.door import requires
from apps.orgs.models import Membership, User
from apps.orgs.pages.common import layout_of, signed_in, user_of


def memberships_of(user: User) -> list[Membership]:
    """With organization and projects, by the organization's name."""
    found = user.memberships.select_related("organization").prefetch_related("projects")
    return list(found.order_by("organization__name", "organization__slug"))


def current_slug(request: HttpRequest, memberships: list[Membership]) -> str:
    """The organization that the session looks at: the chosen one, or the only one there is."""
    slugs = [membership.organization.slug for membership in memberships]
    chosen = request.session.get("organization")
    if chosen in slugs:
        return str(chosen)
    return slugs[0] if len(slugs) == 1 else ""


@requires(GET=ACCOUNT)
@methods("GET", "HEAD")
@signed_in
def account(request: HttpRequest) -> HttpResponse:
    """The page of one's own account."""
    memberships = memberships_of(user_of(request))
    context = {"memberships": memberships, "current": current_slug(request, memberships)}
    return render(request, "pages/account.html", {**layout_of(request), **context})


@requires(POST=ACCOUNT)
@methods("POST")
@signed_in
def choose_organization(request: HttpRequest) -> HttpResponse:
    """Look at another of one's organizations."""
    slug = request.POST.get("organization", "")
    if not slug:
        raise ApiError(1201, "Name the organization.", field="organization")
    for membership in memberships_of(user_of(request)):
        if membership.organization.slug == slug:
            request.session["organization"] = slug
            messages.success(request, f"You are now looking at {membership.organization.name}.")
            return redirect("account")
    raise ApiError(1300, "You are no member of such an organization.", field="organization")
