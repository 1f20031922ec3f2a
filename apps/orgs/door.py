"""The one door: every request that needs a caller comes through `admit`, be its view DRF's or plain.

In this order: who is it, has it tokens left, may it do this. A denial is charged and audited.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from apps.common.edge.address import client_address, parse_address, within
from apps.common.errors import ApiError
from apps.common.rates.limits import refusal, take
from apps.orgs import audit, sessions
from apps.orgs.access import PUBLIC, Principal, require_permission
from apps.orgs.authentication import CHALLENGE, authenticate_request
from apps.orgs.projects import span_buckets
from apps.orgs.span_limits import ask_for_spans, settle

V = TypeVar("V", bound=Callable[..., Any])


def admit(
    request: HttpRequest,
    permission: str,
    *,
    bucket: str | None = None,
    look_up: str | None = None,
    spans: bool = False,
) -> Principal:
    """Let a request in. A second call for the same request only asks for the permission.

    Args:
        permission: what the route needs, one of the table or of access.py's further names.
        bucket: the dear endpoint's bucket, charged beside the caller's own.
        look_up: a cache key that is read in the limiter's round trip; found under `request.hub_looked_up`.
        spans: the request brings spans. Where a project of the caller limits them, its tokens are only asked for now
            and charged with the spans' once these are counted (apps.orgs.span_limits).

    Raises:
        ApiError: 1000-1003 for credentials, 1300 for a named organization that is not the caller's, 1500 out of
            tokens (the cached answer, if one was found, is then in `request.hub_looked_up`), 1102 for a key outside
            its networks or a session without its CSRF token, 1201 where an organization must be named, 1100 without
            the permission.
    """
    principal = principal_of(request)
    if not hasattr(request, "hub_headers"):
        limited = span_buckets(principal) if spans else {}
        if limited:
            ask_for_spans(request, principal, limited)
        else:
            _charge(request, principal, bucket, look_up)
    try:
        require(request, principal, permission)
    except ApiError:
        settle(request)
        raise
    return principal


def charge_known(request: HttpRequest) -> None:
    """Charge a caller that has made itself known with a request that gets no further, such as a wrong method.

    Raises:
        ApiError: 1500.
    """
    known: Principal | None = getattr(request, "hub_principal", None)
    if known is not None and not hasattr(request, "hub_headers"):
        _charge(request, known, None, None)


def principal_of(request: HttpRequest) -> Principal:
    """Who is asking; found out once a request. Raises as `authenticate_request` does."""
    known: Principal | None = getattr(request, "hub_principal", None)
    if known is None:
        known = authenticate_request(request)
        request.hub_principal = known  # type: ignore[attr-defined]
    return known


def _charge(request: HttpRequest, principal: Principal, bucket: str | None, look_up: str | None) -> None:
    names = ("requests",) if bucket is None else ("requests", bucket)
    charges = [(principal.buckets[name], 1) for name in names if name in principal.buckets]
    if not charges:
        request.hub_headers = {}  # type: ignore[attr-defined]
        return
    verdict, found = take(charges, look_up=look_up)
    request.hub_looked_up = found  # type: ignore[attr-defined]
    request.hub_headers = verdict.headers()  # type: ignore[attr-defined]  # EdgeMiddleware puts them on the answer
    if not verdict.allowed:
        raise refusal(verdict)


def require(request: HttpRequest, principal: Principal, permission: str) -> None:
    """The door's last question: may this caller, from where it is, do this? A refusal is written down.

    Raises:
        ApiError: 1100, 1102 or 1201, as `admit` does.
    """
    try:
        networks = principal.networks
        if networks is not None and not within(parse_address(client_address(request)), networks):
            raise ApiError(1102, "The key may not be used from this address.")
        if getattr(request, "hub_by_session", False):
            sessions.require_csrf(request)
        require_permission(principal, permission)
    except ApiError as error:
        if error.entry.category == "AUTHORIZATION":
            audit.refusal(request, error)
        raise


def requires(**permissions: str) -> Callable[[V], V]:
    """Declare what a plain view needs, by method: `@requires(POST="traces:write")`. The view calls `admit` itself."""

    def decorate(view: V) -> V:
        view.required_permission = permissions  # type: ignore[attr-defined]
        return view

    return decorate


def needed_permission(view: Any, method: str) -> str:
    """What a view needs for a method.

    Raises:
        TypeError: it declares nothing, which no route may.
    """
    declared: str | Mapping[str, str] | None = getattr(view, "required_permission", None)
    if isinstance(declared, Mapping):
        declared = declared.get("GET" if method == "HEAD" else method)
    if declared is None:
        raise TypeError(f"{view!r} does not declare what {method} needs")
    return declared


class HasPermission(BasePermission):
    """The default permission class: a DRF view declares what it needs in `required_permission`.

    That is one permission, or a mapping from method to permission; a dear endpoint names its bucket in `bucket`; one
    whose POST takes spans says `brings_spans = True`.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        method = request.method or "GET"
        # DRF gives every view an OPTIONS of its own, which says nothing here.
        if method == "OPTIONS" or method.lower() not in view.http_method_names or not hasattr(view, method.lower()):
            charge_known(request._request)
            raise MethodNotAllowed(method)
        needed = needed_permission(view, method)
        if needed != PUBLIC:
            spans = method == "POST" and getattr(view, "brings_spans", False)
            admit(request._request, needed, bucket=getattr(view, "bucket", None), spans=spans)
        return True


class DoorAuthentication(BaseAuthentication):
    """DRF's view of the door: `request.user` is the Principal."""

    def authenticate(self, request: Request) -> tuple[Principal, str]:
        principal = principal_of(request._request)
        return principal, principal.name

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE
