"""`/api/v1/organizations`."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db.models import QuerySet
from django.urls import URLPattern, path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.errors import ApiError
from apps.common.reads import paging
from apps.orgs.access import AUTHENTICATED, INSTALLATION, Principal
from apps.orgs.api.base import LIST, ONE, Body, Text, View, body, documented, example, existing, made, many, one
from apps.orgs.models import Organization, User
from apps.orgs.services import organization_create, organization_update

TAG = "organizations"


class OrganizationAnswer(serializers.Serializer[Any]):
    """An organization."""

    id = serializers.IntegerField()
    slug = serializers.CharField()
    name = serializers.CharField()
    created_at = serializers.DateTimeField()


@example(slug="globex", name="Globex")
class NewOrganization(Body):
    """An organization to make."""

    slug = Text(max_length=64, help_text="1 to 64 of a-z, 0-9 and inner hyphens; it stays")
    name = Text(max_length=200, required=False)


@example(name="Acme Inc.")
class OrganizationChange(Body):
    """What can be changed of an organization."""

    name = Text(max_length=200)


def in_sight(principal: Principal) -> QuerySet[Organization]:
    """Those that the caller belongs to; superusers see all."""
    if principal.is_superuser:
        return Organization.objects.all()
    if principal.user_id is not None:
        return Organization.objects.filter(memberships__user_id=principal.user_id)
    return Organization.objects.filter(pk=principal.organization_id)


def found(principal: Principal, slug: str) -> Organization:
    """One in sight by slug, or 1300."""
    text = slug if "\x00" not in slug else ""
    return existing(in_sight(principal).filter(slug=text).first(), "organization")


class OrganizationsView(View):
    required_permission = {"GET": AUTHENTICATED, "POST": INSTALLATION}

    @documented(
        "organizations_list",
        "The organizations that the caller belongs to",
        TAG,
        paging.answer_of("OrganizationPage", OrganizationAnswer),
        parameters=LIST,
    )
    def get(self, request: Request) -> Response:
        return many(request, OrganizationAnswer, in_sight(self.principal(request)), paging.Order("slug"))

    @documented(
        "organizations_create",
        "Make an organization",
        TAG,
        OrganizationAnswer,
        status=201,
        request=NewOrganization,
        errors=(409,),
        description="For superusers. The caller becomes its first admin, and it gets a project `default`.",
    )
    def post(self, request: Request) -> Response:
        given = body(request, NewOrganization)
        admin = User.objects.filter(pk=self.principal(request).user_id or 0).first()
        organization = organization_create(actor=self.actor(request), admin=admin, **given)
        return made(OrganizationAnswer, organization, 201)


class OrganizationView(View):
    required_permission = {"GET": AUTHENTICATED, "PATCH": "org:manage"}

    @documented("organizations_read", "One organization", TAG, OrganizationAnswer, parameters=ONE)
    def get(self, request: Request, slug: str) -> Response:
        return one(request, OrganizationAnswer, partial(found, self.principal(request), slug))

    @documented("organizations_update", "Rename an organization", TAG, OrganizationAnswer, request=OrganizationChange)
    def patch(self, request: Request, slug: str) -> Response:
        given = body(request, OrganizationChange, partial=True)
        principal = self.principal(request)
        organization = found(principal, slug)
        if organization.pk != principal.organization_id:
            raise ApiError(1102, f"To change {slug[:64]}, name it in the header X-Organization.")
        if given:
            organization = organization_update(**self.change(request), organization=organization, **given)
        return made(OrganizationAnswer, organization)


urlpatterns: list[URLPattern] = [
    path("api/v1/organizations", OrganizationsView.as_view(), name="organizations"),
    path("api/v1/organizations/<str:slug>", OrganizationView.as_view(), name="organization"),
]
