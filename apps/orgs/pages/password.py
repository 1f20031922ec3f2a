"""Changing one's own password."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.debug import sensitive_post_parameters

from apps.common.errors import ApiError
from apps.common.http import methods
from apps.orgs import audit
from apps.orgs.access import ACCOUNT
from apps.orgs.door import requires
from apps.orgs.models import User
from apps.orgs.pages.common import add_refusal, form_page, layout_of, out_of_tries, signed_in, user_of
from apps.orgs.pages.forms import PasswordForm
from apps.orgs.services import user_password

_TEMPLATE = "pages/password.html"


@requires(GET=ACCOUNT, POST=ACCOUNT)
@sensitive_post_parameters("current", "password", "again")
@methods("GET", "HEAD", "POST")
@signed_in
def change_password(request: HttpRequest) -> HttpResponse:
    """The page; afterwards every other session of the person and every token has ended."""
    if request.method != "POST":
        return form_page(request, _TEMPLATE, PasswordForm(), **layout_of(request))
    form = PasswordForm(request.POST)
    if out_of_tries(request, form):
        return form_page(request, _TEMPLATE, form, 429, **layout_of(request))
    user = user_of(request)
    if not _changed(request, user, form):
        return form_page(request, _TEMPLATE, form, **layout_of(request))
    user.refresh_from_db()
    update_session_auth_hash(request, user)  # this session goes on, under a new key
    messages.success(request, "Your password is changed. Wherever else you were signed in, you no longer are.")
    return redirect("account")


def _changed(request: HttpRequest, user: User, form: PasswordForm) -> bool:
    if not form.is_valid():
        return False
    if not user.check_password(form.cleaned_data["current"]):
        audit.denied(request, "user.password", object_type="user", object_id=user.pk, object_name=user.email)
        form.add_error("current", "This is not your present password.")
        return False
    try:
        user_password(actor=audit.actor_of(request), user=user, password=form.cleaned_data["password"])
    except ApiError as error:
        add_refusal(form, error, {"password": "password"})
        return False
    return True
