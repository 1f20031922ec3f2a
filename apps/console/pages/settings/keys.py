"""API keys: listed, made, changed, rotated, revoked. A key's text is in the answer that makes it and nowhere else."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from apps.common.parameters import check_parameters
from apps.console.asking import ask, send
from apps.console.page import page
from apps.console.pages.settings.common import (
    asked_once,
    listed,
    made_once,
    once,
    sent_before,
    settings_page,
    shown_once,
    the,
)
from apps.console.pages.settings.forms import ApiForm, Line, Lines, Moment, Pick, Picks, number_of
from apps.orgs.access import PERMISSIONS, Principal
from apps.orgs.door import principal_of
from apps.orgs.models import Role
from apps.orgs.services.authority import held

NEEDS: Final = "keys:manage_own"
LIST: Final = "/settings/keys"
GRACES: Final = (
    ("0", "None: it ends at once"),
    ("3600", "1 hour"),
    ("86400", "1 day"),
    ("604800", "7 days"),
    ("2592000", "30 days"),
)
AGAIN: Final = (
    "If you reload this page, the browser offers to send the form again. That makes no second key: you are only told "
    "that the form was sent before, and the text is not shown again."
)


class KeyForm(ApiForm):
    """What can be changed of a key."""

    name = Line(max_length=200, label="Name", help_text="What it is for, such as “nightly import”.")
    expires_at = Moment(label="Expires", help_text="Empty: it does not.")
    networks = Lines(label="Networks", help_text="CIDR, one a line, such as 10.0.0.0/8. Empty: from anywhere.")


class NewKeyForm(KeyForm):
    """A key to make: for a role, or for the permissions that are ticked."""

    role = Pick(label="Role", help_text="A key never does more than you may.")
    permissions = Picks(label="Permissions", help_text="For a key without a role.")
    project = Pick(null=True, label="Project", help_text="Spans that are sent with the key of a project land there.")
    field_order = ("name", "role", "project", "permissions", "expires_at", "networks")

    def __init__(self, request: HttpRequest, **options: Any) -> None:
        super().__init__(request, **options)
        principal = principal_of(request)
        mine = held(principal.permissions)
        roles = [role for role in Role if PERMISSIONS[role] <= mine]
        self.fields["role"].choices = [("", "No role: the permissions below"), *((role, role.label) for role in roles)]  # type: ignore[attr-defined]
        self.fields["permissions"].choices = [(name, name) for name in sorted(mine)]  # type: ignore[attr-defined]
        self.fields["project"].choices = projects_of(principal)  # type: ignore[attr-defined]

    def body(self, *, changed: bool = False) -> dict[str, Any]:
        return {name: value for name, value in super().body().items() if value not in ("", [], None) or name == "name"}


class RotateForm(ApiForm):
    """How long the present text goes on working."""

    grace_seconds = Pick(GRACES, initial="86400", label="The present text works for")

    def body(self, *, changed: bool = False) -> dict[str, Any]:
        return {name: number_of(value) for name, value in super().body().items()}


def projects_of(principal: Principal) -> list[tuple[str, str]]:
    """The projects that a key can be for."""
    every = [("", "All projects, also later ones")] if principal.all_projects else []
    return [*every, *((slug, slug) for slug in sorted(principal.project_ids))]


@page(NEEDS)
def keys(request: HttpRequest) -> HttpResponse:
    """The keys in reach."""
    answer, further = listed(request, "keys", limit=100)
    return settings_page(request, "keys", "keys.html", {"title": "API keys", "answer": answer, "further": further})


@page(NEEDS, POST=NEEDS)
def new_key(request: HttpRequest) -> HttpResponse:
    """Make a key; its text is shown once."""
    check_parameters(request, ())
    form = NewKeyForm(request, initial={"role": "developer"})
    if request.method == "POST" and form.is_valid():
        answer = made_once(request, lambda: send(request, "POST", "keys", form.body()))
        if answer is None:
            return sent_before(request, "keys", what="The key was made then.", back=LIST)
        if answer.ok:
            return _shown(request, answer.document, f"The key “{answer.document['name']}”")
        form.refuse(answer)
    context = {"title": "New API key", "form": form, "button": "Make the key", "back": LIST, "mark": once()}
    roles = [(role.label, sorted(PERMISSIONS[role])) for role in Role]
    return settings_page(request, "keys", "one_form.html", {**context, "roles": roles}, form.status)


def _shown(request: HttpRequest, key: Any, title: str, **more: Any) -> HttpResponse:
    context = {"title": title, "secret": key["api_key"], "label": "The key's text", "row": key, "again": AGAIN}
    return shown_once(request, "keys", **context, back=f"{LIST}/{key['id']}", **more)


@page(NEEDS, POST=NEEDS)
def key(request: HttpRequest, number: int) -> HttpResponse:
    """One key: what it may do, and what can be changed."""
    check_parameters(request, ())
    row = the(ask(request, f"keys/{number}")).document
    form = KeyForm(request, initial=row)
    if request.method == "POST" and form.is_valid():
        answer = send(request, "PATCH", f"keys/{number}", form.body(changed=True))
        if answer.ok:
            messages.success(request, "Saved. It holds everywhere within ten seconds.")
            return redirect(request.path)
        form.refuse(answer)
    context = {"title": row["name"], "row": row, "form": form, "back": LIST}
    return settings_page(request, "keys", "key.html", context, form.status)


@page(NEEDS, POST=NEEDS)
def rotate_key(request: HttpRequest, number: int) -> HttpResponse:
    """Give a key a new text, which is shown once."""
    check_parameters(request, ())
    row = the(ask(request, f"keys/{number}")).document
    form = RotateForm(request)
    if request.method == "POST" and form.is_valid():
        answer = made_once(request, lambda: send(request, "POST", f"keys/{number}/rotate", form.body()))
        if answer is None:
            return sent_before(request, "keys", what="The key was rotated then.", back=f"{LIST}/{number}")
        if answer.ok:
            return _shown(request, answer.document, f"The new text of “{row['name']}”", rotated=True)
        form.refuse(answer)
    context = {"title": f"Rotate “{row['name']}”", "form": form, "button": "Rotate", "mark": once(), "row": row}
    return settings_page(request, "keys", "rotate_key.html", {**context, "back": f"{LIST}/{number}"}, form.status)


@page(NEEDS, POST=NEEDS)
def revoke_key(request: HttpRequest, number: int) -> HttpResponse:
    """Ask once, then end a key."""
    check_parameters(request, ())
    row = the(ask(request, f"keys/{number}")).document
    sentences = [
        f"Programs that use {row['prefix']} are refused within ten seconds, and so are the spans that they send.",
        "This cannot be undone. To change the text without a gap, rotate the key instead.",
    ]
    return asked_once(
        request,
        "keys",
        lambda: send(request, "DELETE", f"keys/{number}"),
        done=f"{row['prefix']} is revoked. It stops working everywhere within ten seconds.",
        after=LIST,
        title=f"Revoke “{row['name']}”?",
        sentences=sentences,
        button="Revoke the key",
        back=f"{LIST}/{number}",
        last_use=row,
    )
