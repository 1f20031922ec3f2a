"""Members and invitations. A link is in the answer that makes it and nowhere else; the hub sends no mail."""

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
from apps.console.pages.settings.forms import ApiForm, Flag, Line, Pick, Picks, Whole
from apps.orgs.access import PERMISSIONS
from apps.orgs.door import principal_of
from apps.orgs.models import Role

NEEDS: Final = "members:manage"
LIST: Final = "/settings/members"
OPEN_FIRST: Final = {"open": 0, "expired": 1, "accepted": 2, "revoked": 3}
ROLES: Final = [(role.label, sorted(PERMISSIONS[role])) for role in Role]
AGAIN: Final = (
    "Send it to the person yourself: the hub sends no e-mail. If you reload this page, the browser offers to send the "
    "form again. That makes no second invitation, and the link is not shown again."
)


class ReachForm(ApiForm):
    """What somebody may do, and where."""

    role = Pick(label="Role")
    all_projects = Flag(label="All projects, also later ones")
    projects = Picks(label="Only these projects")

    def __init__(self, request: HttpRequest, **options: Any) -> None:
        super().__init__(request, **options)
        principal = principal_of(request)
        roles = [role for role in Role if PERMISSIONS[role] <= principal.permissions]
        self.fields["role"].choices = [(role, role.label) for role in roles]  # type: ignore[attr-defined]
        self.fields["projects"].choices = [(slug, slug) for slug in sorted(principal.project_ids)]  # type: ignore[attr-defined]
        if not principal.all_projects:  # who sees a part stays within it
            del self.fields["all_projects"]


class InviteForm(ReachForm):
    """Whom to invite, as what."""

    email = Line(label="E-mail", max_length=254)
    expires_in_days = Whole(label="Days until it ends", initial=7, help_text="1 to 90.")
    field_order = ("email", "role", "expires_in_days", "all_projects", "projects")

    def body(self, *, changed: bool = False) -> dict[str, Any]:
        found = super().body()
        found.setdefault("all_projects", False)
        return {name: value for name, value in found.items() if value is not None}


@page(NEEDS)
def members(request: HttpRequest) -> HttpResponse:
    """The members, and below them the invitations."""
    answer, further = listed(request, "members", limit=100)
    invited = ask(request, "invitations", {"limit": 50})
    rows = sorted(invited.data, key=lambda row: OPEN_FIRST[row["state"]]) if invited.ok else []
    context = {"title": "Members", "answer": answer, "further": further, "invited": invited, "invitations": rows}
    return settings_page(request, "members", "members.html", context)


@page(NEEDS, POST=NEEDS)
def member(request: HttpRequest, number: int) -> HttpResponse:
    """One member: role and projects."""
    check_parameters(request, ())
    row = the(ask(request, f"members/{number}")).document
    form = ReachForm(request, initial=row)
    if request.method == "POST" and form.is_valid():
        answer = send(request, "PATCH", f"members/{number}", form.body())
        if answer.ok:
            messages.success(request, f"Saved. It holds for {row['email']} everywhere within ten seconds.")
            return redirect(LIST)
        form.refuse(answer)
    context = {"title": row["name"] or row["email"], "row": row, "form": form, "back": LIST}
    return settings_page(request, "members", "member.html", {**context, "roles": ROLES}, form.status)


@page(NEEDS, POST=NEEDS)
def remove_member(request: HttpRequest, number: int) -> HttpResponse:
    """Ask once, then remove a member."""
    check_parameters(request, ())
    row = the(ask(request, f"members/{number}")).document
    sentences = [
        f"{row['email']} loses sight of this organization within ten seconds. The account itself stays.",
        "Keys that this person made stay, since programs depend on them: revoke those that should end.",
    ]
    return asked_once(
        request,
        "members",
        lambda: send(request, "DELETE", f"members/{number}"),
        done=f"{row['email']} is no member any more.",
        after=LIST,
        title=f"Remove {row['name'] or row['email']}?",
        sentences=sentences,
        button="Remove the member",
        back=f"{LIST}/{number}",
    )


@page(NEEDS, POST=NEEDS)
def invite(request: HttpRequest) -> HttpResponse:
    """Invite a person; the link is shown once."""
    check_parameters(request, ())
    form = InviteForm(request, initial={"role": "viewer", "all_projects": True})
    if request.method == "POST" and form.is_valid():
        answer = made_once(request, lambda: send(request, "POST", "invitations", form.body()))
        if answer is None:
            lost = "Where the link is lost, invite the same address again: the earlier link ends then."
            what = "The invitation was made then."
            return sent_before(request, "members", what=what, back=LIST, way_out=lost)
        if answer.ok:
            row = answer.document
            context = {"title": f"Invitation for {row['email']}", "secret": row["link"], "label": "The link"}
            return shown_once(request, "members", **context, row=row, again=AGAIN, back=LIST)
        form.refuse(answer)
    context = {"title": "Invite a person", "form": form, "button": "Make the link", "back": LIST, "mark": once()}
    return settings_page(request, "members", "one_form.html", {**context, "roles": ROLES}, form.status)


@page(NEEDS, POST=NEEDS)
def revoke_invitation(request: HttpRequest, number: int) -> HttpResponse:
    """Ask once, then let a link open nothing any more."""
    check_parameters(request, ())
    return asked_once(
        request,
        "members",
        lambda: send(request, "DELETE", f"invitations/{number}"),
        done="The invitation is revoked: its link opens nothing any more.",
        after=LIST,
        title="Revoke the invitation?",
        sentences=["Its link opens nothing any more. You can invite the same address again."],
        button="Revoke the invitation",
        back=LIST,
    )
