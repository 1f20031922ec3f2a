"""`/api/v1/members`."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db.models import QuerySet
from django.urls import URLPattern, path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.reads import paging
from apps.orgs.api.base import (
    LIST,
    ONE,
    Reach,
    View,
    body,
    documented,
    example,
    made,
    many,
    nothing,
    one,
    projects_named,
    reachable,
)
from apps.orgs.models import Membership, Role
from apps.orgs.services import member_remove, member_update
from apps.orgs.services.members import members_in_reach

TAG = "members"


class Slugs(serializers.ListField):
    """Slugs of projects; empty where there are all."""

    child = serializers.CharField()

    def to_representation(self, data: Any) -> list[str]:
        return sorted(project.slug for project in data.all())


class MemberAnswer(serializers.Serializer[Any]):
    """A person's place in the organization."""

    id = serializers.IntegerField()
    email = serializers.EmailField(source="user.email")
    name = serializers.CharField(source="user.name")
    role = serializers.ChoiceField(Role.choices)
    all_projects = serializers.BooleanField()
    projects = Slugs(help_text="Slugs; empty for all projects")
    is_active = serializers.BooleanField(source="user.is_active", help_text="false: the person cannot sign in")
    created_at = serializers.DateTimeField()


@example(role="analyst")
class MemberChange(Reach):
    """What can be changed of a member. Naming projects alone narrows the membership to them."""


class MembersView(View):
    required_permission = {"GET": "members:manage"}

    @documented(
        "members_list",
        "The members of the organization",
        TAG,
        paging.answer_of("MemberPage", MemberAnswer),
        parameters=LIST,
        description="Who sees a part of the projects sees the members of that part alone.",
    )
    def get(self, request: Request) -> Response:
        rows = members_in_reach(self.by(request), self.organization(request))
        return many(request, MemberAnswer, rows.select_related("user").prefetch_related("projects"))


class MemberView(View):
    required_permission = {"GET": "members:manage", "PATCH": "members:manage", "DELETE": "members:manage"}

    @documented("members_read", "One member", TAG, MemberAnswer, parameters=ONE)
    def get(self, request: Request, number: int) -> Response:
        return one(request, MemberAnswer, partial(self._found, request, number))

    @documented("members_update", "Change a member's role or projects", TAG, MemberAnswer, request=MemberChange)
    def patch(self, request: Request, number: int) -> Response:
        given = body(request, MemberChange, partial=True)
        membership = self._found(request, number)
        if "projects" in given:
            given["projects"] = projects_named(self.principal(request), given["projects"])
        if given:
            membership = member_update(**self.change(request), membership=membership, **given)
        return made(MemberAnswer, membership)

    @documented(
        "members_remove",
        "Remove a member",
        TAG,
        None,
        status=204,
        description="The keys that the person made stay: they belong to the organization.",
    )
    def delete(self, request: Request, number: int) -> Response:
        nothing(request)
        member_remove(**self.change(request), membership=self._found(request, number))
        return Response(status=204)

    def _found(self, request: Request, number: int) -> Membership:
        organization = self.organization(request)
        rows: QuerySet[Membership] = Membership.objects.filter(organization=organization)
        return reachable(number, rows, members_in_reach(self.by(request), organization), "member")


urlpatterns: list[URLPattern] = [
    path("api/v1/members", MembersView.as_view(), name="members"),
    path("api/v1/members/<int:number>", MemberView.as_view(), name="member"),
]
