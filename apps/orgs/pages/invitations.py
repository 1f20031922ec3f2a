"""The page behind an invitation's link."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters

from apps.common.edge.errorpages import present
from apps.common.edge.pages import prefers_page
from apps.common.errors import ApiError
from apps.common.http import methods
from apps.orgs import audit
from apps.orgs.access import PUBLIC
from apps.orgs.door import requires
from apps.orgs.models import Membership, User
from apps.orgs.pages.common import add_refusal, form_page, out_of_tries
from apps.orgs.pages.forms import NewPersonForm, OneClickForm, ProofForm
from apps.orgs.pages.sign_in import open_session
from apps.orgs.services import Preview, invitation_accept, invitation_preview

_TEMPLATE = "pages/invitation.html"


@requires(GET=PUBLIC, POST=PUBLIC)
@sensitive_post_parameters("password", "again")
@methods("GET", "HEAD", "POST")
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """What am I invited to, and a form that fits who I am."""
    try:
        offered = invitation_preview(token)
    except ApiError as error:
        return _not_good(request, error)
    user = request.user if isinstance(request.user, User) else None
    context: dict[str, Any] = {"offered": offered, "other": user is not None and user.email != offered.email}
    form = _form(request, offered, user)
    if request.method != "POST":
        return form_page(request, _TEMPLATE, form, **context)
    if out_of_tries(request, form):
        return form_page(request, _TEMPLATE, form, 429, **context)
    membership = _accepted(request, token, form, user)
    if membership is None:
        return form_page(request, _TEMPLATE, form, **context)
    if user != membership.user:
        open_session(request, membership.user)
    request.session["organization"] = offered.organization_slug
    messages.success(request, f"Welcome to {offered.organization_name}.")
    return redirect("account")


def _form(request: HttpRequest, offered: Preview, user: User | None) -> Form:
    data = request.POST if request.method == "POST" else None
    if not offered.known:
        return NewPersonForm(data)
    if user is not None and user.email == offered.email:
        return OneClickForm(data)
    return ProofForm(data)


def _accepted(request: HttpRequest, token: str, form: Form, user: User | None) -> Membership | None:
    if not form.is_valid():
        return None
    try:
        return invitation_accept(
            actor=audit.actor_of(request),
            token=token,
            password=form.cleaned_data.get("password", ""),
            name=form.cleaned_data.get("name", ""),
            signed_in=user,
        )
    except ApiError as error:
        if error.entry.code == 1001:
            _write_down(request, invitation_preview(token))
        add_refusal(form, error, {name: name for name in form.fields})
        return None


def _write_down(request: HttpRequest, offered: Preview) -> None:
    """A wrong password is seen by the organization whose link it was."""
    audit.denied(
        request,
        "invitation.accept",
        organization_id=offered.organization_id,
        object_type="invitation",
        object_name=offered.email,
        after={"code": 1001},
    )


def _not_good(request: HttpRequest, error: ApiError) -> HttpResponse:
    if not prefers_page(request):
        return present(error, request)
    return render(request, "pages/invitation_gone.html", {"message": error.message}, status=error.status)
