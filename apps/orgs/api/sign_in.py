"""`/api/v1/auth/token` and its refresh and revocation, and `/api/v1/me`."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import authenticate
from django.http import HttpRequest
from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.common.edge.address import client_address
from apps.common.edge.exceptions import from_problems
from apps.common.errors import ApiError
from apps.common.ids import request_id
from apps.common.parameters import check_parameters, unknown_name
from apps.common.rates.bucket import Bucket
from apps.common.rates.limits import refusal, take
from apps.common.reads import fields
from apps.orgs import audit, tokens
from apps.orgs.access import AUTHENTICATED, PUBLIC, Principal
from apps.orgs.api import described
from apps.orgs.authentication import forget_keys
from apps.orgs.models import Membership, Organization, Project, User
from apps.orgs.tiers import refresh_bucket, sign_in_bucket

MAX_PASSWORD = 4_096
NOT_STORED = {"Cache-Control": "no-store"}


def charge(request: HttpRequest, bucket: Bucket) -> None:
    """Charge the bucket of the client's address.

    Raises:
        ApiError: 1500.
    """
    verdict, _ = take([(bucket, 1)])
    request.hub_headers = verdict.headers()  # type: ignore[attr-defined]  # EdgeMiddleware puts them on the answer
    if not verdict.allowed:
        raise refusal(verdict)


def texts_of(request: Request, *names: str) -> list[str]:
    """The texts of a small JSON object, all of them required.

    Raises:
        ApiError: 1200, 1201, 1202 or 1203.
    """
    check_parameters(request, ())
    if not isinstance(request.data, dict):
        raise ApiError(1200, "The body must be a JSON object.")
    for name in request.data:
        if name not in names:
            raise unknown_name(name, names, what="field")
    found = [request.data.get(name) for name in names]
    problems = []
    for name, value in zip(names, found, strict=True):
        if value is None or value == "":
            problems.append((name, "This field is required.", "required"))
        elif not isinstance(value, str):
            problems.append((name, "This must be text.", "invalid"))
    if problems:
        raise from_problems(problems)
    return [str(value) for value in found]


def answer(pair: tokens.Pair) -> Response:
    made = {
        "access_token": pair.access,
        "refresh_token": pair.refresh,
        "token_type": "Bearer",
        "expires_in": int(tokens.ACCESS_LIFETIME.total_seconds()),
        "refresh_expires_in": int(tokens.REFRESH_LIFETIME.total_seconds()),
    }
    return Response(made, headers=NOT_STORED)


class TokenView(APIView):
    """Sign in."""

    required_permission = {"POST": PUBLIC}
    authentication_classes = ()

    @extend_schema(**described.TOKEN)
    def post(self, request: Request) -> Response:
        plain = request._request
        charge(plain, sign_in_bucket(client_address(plain)))
        email, password = texts_of(request, "email", "password")
        if len(password) > MAX_PASSWORD:
            raise ApiError(1205, f"A password has at most {MAX_PASSWORD} characters.", field="password")
        # An unknown address is answered as slowly as a wrong password: Django hashes one anyway.
        named = email.replace("\0", "\ufffd")[: audit.NAME_LENGTH + 1]
        user = authenticate(plain, username=named, password=password)
        if not isinstance(user, User):
            audit.sign_in_refused(plain, email, "token.refused")
            raise tokens.bad_token("The e-mail address or the password is not right.")
        return answer(tokens.begin(user, audit.actor_of(plain)))


class RefreshView(APIView):
    """Exchange a refresh token for the next pair."""

    required_permission = {"POST": PUBLIC}
    authentication_classes = ()

    @extend_schema(**described.REFRESH)
    def post(self, request: Request) -> Response:
        charge(request._request, refresh_bucket(client_address(request._request)))
        (text,) = texts_of(request, "refresh_token")
        return answer(tokens.exchange(text, audit.actor_of(request)))


class RevokeView(APIView):
    """Sign out: end the family of a refresh token."""

    required_permission = {"POST": PUBLIC}
    authentication_classes = ()

    @extend_schema(**described.REVOKE)
    def post(self, request: Request) -> Response:
        charge(request._request, refresh_bucket(client_address(request._request)))
        (text,) = texts_of(request, "refresh_token")
        if tokens.revoke(text, audit.actor_of(request)):
            forget_keys()
        return Response(status=204, headers=NOT_STORED)


class MeView(APIView):
    """Who the caller is and what it may do."""

    required_permission = {"GET": AUTHENTICATED}

    @extend_schema(**described.ME)
    def get(self, request: Request) -> Response:
        check_parameters(request, {fields.NAME})
        chosen = fields.requested(request, fields.names_of(described.Me))
        principal = request.user
        assert isinstance(principal, Principal)
        made = {**portrait(principal), "meta": {"request_id": request_id(request._request)}}
        return Response(fields.keep(chosen, made), headers={"Cache-Control": "private, no-store"})


def portrait(principal: Principal) -> dict[str, Any]:
    """A caller as the API shows it."""
    organization = Organization.objects.filter(pk=principal.organization_id).first()
    projects = Project.objects.filter(pk__in=principal.project_ids.values()).order_by("slug")
    return {
        "kind": principal.kind,
        "id": principal.key_id if principal.user_id is None else principal.user_id,
        "name": principal.name if principal.key_id is None else audit.prefix_of(principal.name),
        "is_superuser": principal.is_superuser,
        "organization": organization and {"slug": organization.slug, "name": organization.name},
        "organizations": _organizations(principal, organization),
        "role": principal.role or None,
        "permissions": sorted(principal.permissions),
        "all_projects": principal.all_projects,
        "projects": [{"slug": project.slug, "name": project.name} for project in projects],
        "rate_limits": [
            {"bucket": name, "per_minute": bucket.per_minute, "burst": bucket.burst}
            for name, bucket in principal.buckets.items()
        ],
    }


def _organizations(principal: Principal, own: Organization | None) -> list[dict[str, Any]]:
    """What the caller may name in X-Organization."""
    if principal.user_id is None:
        return [{"slug": own.slug, "name": own.name, "role": principal.role or None}] if own else []
    memberships = Membership.objects.filter(user_id=principal.user_id).select_related("organization")
    return [
        {"slug": row.organization.slug, "name": row.organization.name, "role": row.role}
        for row in memberships.order_by("organization__slug")
    ]


urlpatterns: list[URLPattern] = [
    path("api/v1/auth/token", TokenView.as_view(), name="token"),
    path("api/v1/auth/token/refresh", RefreshView.as_view(), name="token-refresh"),
    path("api/v1/auth/token/revoke", RevokeView.as_view(), name="token-revoke"),
    path("api/v1/me", MeView.as_view(), name="me"),
]
