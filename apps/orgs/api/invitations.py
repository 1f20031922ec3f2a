"""`/api/v1/invitations`."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.edge.address import client_address
from apps.common.errors import ApiError
from apps.common.rates.limits import take
from apps.common.reads import paging
from apps.orgs import audit
from apps.orgs.access import PUBLIC
from apps.orgs.api.base import (
    LIST,
    Body,
    Reach,
    Text,
    View,
    Whole,
    body,
    documented,
    example,
    made,
    many,
    nothing,
    projects_named,
    reachable,
)
from apps.orgs.api.members import MemberAnswer, Slugs
from apps.orgs.models import Invitation, Role
from apps.orgs.services import Preview, invitation_accept, invitation_create, invitation_preview, invitation_revoke
from apps.orgs.services.invitations import DAYS, MAX_DAYS, MAX_TOKEN, invitations_in_reach
from apps.orgs.services.users import MAX_PASSWORD
from apps.orgs.tiers import sign_in_bucket

TAG = "invitations"
STATES = ("open", "accepted", "revoked", "expired")


class InvitationAnswer(serializers.Serializer[Any]):
    """An invitation."""

    id = serializers.IntegerField()
    email = serializers.EmailField()
    role = serializers.ChoiceField(Role.choices)
    all_projects = serializers.BooleanField()
    projects = Slugs(help_text="Slugs; empty for all projects")
    state = serializers.SerializerMethodField()
    invited_by = serializers.EmailField(source="invited_by.email", default=None, allow_null=True)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    accepted_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)

    def get_state(self, row: Invitation) -> str:
        """open, accepted, revoked or expired"""
        if row.accepted_at is not None:
            return "accepted"
        if row.revoked_at is not None:
            return "revoked"
        return "open" if row.expires_at > timezone.now() else "expired"


class InvitationMade(InvitationAnswer):
    """An invitation with its link, which is shown this once."""

    link = serializers.CharField(read_only=True)


@example(email="eve@acme.example", role="developer", expires_in_days=7)
class NewInvitation(Reach):
    """Whom to invite, as what."""

    email = Text(max_length=254)
    expires_in_days = Whole(min_value=1, max_value=MAX_DAYS, required=False, default=DAYS)


class Acceptance(Body):
    """What makes the holder of a link a member."""

    token = Text(max_length=MAX_TOKEN, help_text="The last part of the link")
    password = Text(
        max_length=MAX_PASSWORD,
        trim_whitespace=False,
        help_text="A new person's own choice; that of the account where the address has one",
    )
    name = Text(max_length=200, required=False, default="", allow_blank=True, help_text="A new person's name")


class Accepted(MemberAnswer):
    """The new member."""

    organization = serializers.CharField(source="organization.slug")


class InvitationsView(View):
    required_permission = {"GET": "members:manage", "POST": "members:manage"}

    @documented(
        "invitations_list",
        "Invitations, the newest first",
        TAG,
        paging.answer_of("InvitationPage", InvitationAnswer),
        parameters=LIST,
    )
    def get(self, request: Request) -> Response:
        rows = invitations_in_reach(self.by(request), self.organization(request))
        rows = rows.select_related("invited_by").prefetch_related("projects")
        return many(request, InvitationAnswer, rows, paging.Order(descending=True))

    @documented(
        "invitations_create",
        "Invite a person",
        TAG,
        InvitationMade,
        status=201,
        request=NewInvitation,
        errors=(404, 409),
        description="The answer holds the link, once; nothing is sent by e-mail. An earlier open invitation of the "
        "same address ends. Without projects it is for all of them.",
    )
    def post(self, request: Request) -> Response:
        given = body(request, NewInvitation)
        # An empty list is not "all of them": that is said by naming none.
        given.setdefault("all_projects", "projects" not in given)
        given["projects"] = projects_named(self.principal(request), given.get("projects", ()))
        organization = self.organization(request)
        invitation, token = invitation_create(**self.change(request), organization=organization, **given)
        link = request.build_absolute_uri(f"/invitations/{token}")
        return made(InvitationAnswer, invitation, 201, link=link)


class InvitationView(View):
    required_permission = {"DELETE": "members:manage"}

    @documented("invitations_revoke", "Revoke an invitation", TAG, None, status=204, errors=(409,))
    def delete(self, request: Request, number: int) -> Response:
        nothing(request)
        organization = self.organization(request)
        rows = Invitation.objects.filter(organization=organization)
        reach = invitations_in_reach(self.by(request), organization)
        invitation = reachable(number, rows, reach, "invitation")
        invitation_revoke(**self.change(request), invitation=invitation)
        return Response(status=204)


class AcceptView(View):
    required_permission = {"POST": PUBLIC}
    authentication_classes = ()

    @documented(
        "invitations_accept",
        "Become a member",
        TAG,
        Accepted,
        request=Acceptance,
        errors=(401, 404, 409, 429),
        description="Needs no credentials. A new person gets an account with this name and password; whose e-mail "
        "address has an account proves its password. A link works once. Limited per address as signing in is.",
    )
    def post(self, request: Request) -> Response:
        _take_try(request._request)
        given = body(request, Acceptance)
        try:
            membership = invitation_accept(actor=self.actor(request), **given)
        except ApiError as error:
            if error.entry.code == 1001:
                _write_down(request, invitation_preview(given["token"]))
            raise
        return made(Accepted, membership)


def _take_try(request: HttpRequest) -> None:
    """Charge the caller's address for one try at a password, as signing in does."""
    verdict, _ = take([(sign_in_bucket(client_address(request)), 1)])
    request.hub_headers = verdict.headers()  # type: ignore[attr-defined]  # EdgeMiddleware puts them on the answer
    if not verdict.allowed:
        raise ApiError(1500, "Too many tries from your address. Try again later.", headers=verdict.headers())


def _write_down(request: Request, offered: Preview) -> None:
    """A wrong password is seen by the organization whose link it was."""
    audit.denied(
        request,
        "invitation.accept",
        organization_id=offered.organization_id,
        object_type="invitation",
        object_name=offered.email,
        after={"code": 1001},
    )


urlpatterns: list[URLPattern] = [
    path("api/v1/invitations", InvitationsView.as_view(), name="invitations"),
    path("api/v1/invitations/accept", AcceptView.as_view(), name="invitation-accept"),
    path("api/v1/invitations/<int:number>", InvitationView.as_view(), name="invitation"),
]
