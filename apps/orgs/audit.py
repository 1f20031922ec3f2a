"""The audit log: who did what, on what, and what was denied.

`record` writes inside the caller's transaction, so that an entry exists exactly when its change does. `denied` writes
in a transaction of its own and never fails the answer: where the entry cannot be written, the log says so.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import Error as DatabaseError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from psycopg import Error as PsycopgError
from psycopg_pool import PoolTimeout
from rest_framework.request import Request

from apps.common.edge.address import client_address
from apps.common.errors import ApiError
from apps.common.ids import request_id
from apps.common.rates.limits import take
from apps.orgs.access import Principal
from apps.orgs.models import AuditEntry, Membership, User
from apps.orgs.tiers import denial_bucket

logger = logging.getLogger(__name__)

NAME_LENGTH = 254
UNWRITABLE = (DatabaseError, PsycopgError, PoolTimeout)
HIDDEN = "(hidden)"
_SECRET = re.compile(r"password|secret|sha256|(^|_)token($|_)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: `kind` is user, key, system or anonymous."""

    kind: str
    id: int | None
    name: str
    address: str | None
    request_id: str


SYSTEM = Actor("system", None, "manage.py", None, "")


def actor_of(request: HttpRequest | Request) -> Actor:
    """The caller behind a request: its Principal, else its Django user (the admin, pages), else nobody."""
    plain = request._request if isinstance(request, Request) else request
    address, number = client_address(plain) or None, request_id(plain)
    principal = getattr(plain, "hub_principal", None)
    if isinstance(principal, Principal):
        if principal.key_id is not None:
            return Actor("key", principal.key_id, prefix_of(principal.name), address, number)
        return Actor("user", principal.user_id, principal.name, address, number)
    user = getattr(plain, "user", None)
    if isinstance(user, User) or (user is not None and getattr(user, "is_authenticated", False)):
        return Actor("user", user.pk, str(user), address, number)
    return Actor("anonymous", None, "", address, number)


def prefix_of(name: str) -> str:
    """What is shown of a key, from its principal's name."""
    return f"ah_{name.removeprefix('key:')}"


def person(user: User, actor: Actor) -> Actor:
    """A person who acts without being signed in yet, from where the request came."""
    return Actor("user", user.pk, user.email, actor.address, actor.request_id)


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of two states of an object, the fields that differ."""
    changed = [
        name for name in dict.fromkeys((*before, *after)) if before.get(name, _ABSENT) != after.get(name, _ABSENT)
    ]
    return (
        {name: before[name] for name in changed if name in before},
        {name: after[name] for name in changed if name in after},
    )


_ABSENT = object()


def record(
    actor: Actor,
    action: str,
    *,
    organization_id: int | None = None,
    project_id: int | None = None,
    object_type: str = "",
    object_id: str | int | None = "",
    object_name: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    outcome: AuditEntry.Outcome = AuditEntry.Outcome.DONE,
) -> None:
    """Write down what was done, inside the caller's transaction.

    Fields of `before` and `after` whose name tells of a secret are hidden, whoever forgot to leave them out.
    """
    _insert(
        actor,
        action,
        outcome,
        organization_id=organization_id,
        project_id=project_id,
        object_type=object_type,
        object_id=object_id,
        object_name=object_name,
        before=before,
        after=after,
    )


def record_for_person(
    actor: Actor,
    action: str,
    user_id: int,
    *,
    after: Mapping[str, Any] | None = None,
    outcome: AuditEntry.Outcome = AuditEntry.Outcome.DONE,
) -> None:
    """Write down what concerns a person's account: one entry for each of their organizations, so that each sees it."""
    for organization_id in _organizations(Membership.objects.filter(user_id=user_id)):
        record(
            actor,
            action,
            organization_id=organization_id,
            object_type="user",
            object_id=user_id,
            object_name=actor.name,
            after=after,
            outcome=outcome,
        )


def _organizations(memberships: QuerySet[Membership]) -> list[int | None]:
    return [*memberships.values_list("organization_id", flat=True)] or [None]


def sign_in_refused(request: HttpRequest | Request, email: str, action: str = "session.refused") -> None:
    """Write down a sign-in that failed, for each organization of that address; never raises.

    A known address and an unknown one cost the same: a query and an entry.
    """
    plain = request._request if isinstance(request, Request) else request
    name = _text(email, NAME_LENGTH)
    actor = Actor("anonymous", None, name, client_address(plain) or None, request_id(plain))
    try:
        with transaction.atomic():
            for organization_id in _organizations(Membership.objects.filter(user__email=name.lower())):
                record(
                    actor,
                    action,
                    organization_id=organization_id,
                    object_type="user",
                    object_name=name,
                    outcome=AuditEntry.Outcome.DENIED,
                )
    except UNWRITABLE:
        logger.exception("%s of request %s could not be written to the audit log", action, actor.request_id)


def denied(
    request: HttpRequest | Request,
    action: str = "access.denied",
    *,
    actor: Actor | None = None,
    organization_id: int | None = None,
    project_id: int | None = None,
    object_type: str = "route",
    object_id: str | int | None = "",
    object_name: str | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write down what was refused, in a transaction of its own; never raises.

    Args:
        actor: who, where that is not `actor_of(request)`.
        organization_id: the tenant that sees the entry; the caller's own where it is not given.
        object_name: what was asked for; method and path where it is not given.
        after: particulars, such as the error code and the missing permission.
    """
    plain = request._request if isinstance(request, Request) else request
    principal = getattr(plain, "hub_principal", None)
    if organization_id is None and isinstance(principal, Principal):
        organization_id = principal.organization_id or None
    try:
        with transaction.atomic():
            _insert(
                actor or actor_of(plain),
                action,
                AuditEntry.Outcome.DENIED,
                organization_id=organization_id,
                project_id=project_id,
                object_type=object_type,
                object_id=object_id,
                object_name=_asked_for(plain) if object_name is None else object_name,
                before=None,
                after=after,
            )
    except UNWRITABLE:
        logger.exception("%s of request %s could not be written to the audit log", action, request_id(plain))


def _asked_for(request: HttpRequest) -> str:
    """Method and path, without the part of the path that is a secret by its name, such as an invitation's token."""
    path, match = request.path, request.resolver_match
    for name, value in (match.kwargs if match is not None else {}).items():
        if _SECRET.search(name):
            path = path.replace(str(value), HIDDEN)
    return f"{request.method} {path}"


def refusal(request: HttpRequest, error: ApiError) -> None:
    """Write down a denial (1100, 1101, 1102) as it is answered; once a request, whoever sees it first.

    Nothing limits how often somebody without credentials is denied, and entries stay for good: only so many are made.
    """
    if getattr(request, "hub_denied", False):
        return
    request.hub_denied = True  # type: ignore[attr-defined]
    if actor_of(request).kind == "anonymous" and not take([(denial_bucket(client_address(request)), 1)])[0].allowed:
        return
    details = error.details if isinstance(error.details, Mapping) else {}
    after = {"code": error.entry.code, "message": error.message, **details}
    denied(request, after=after)


def _insert(
    actor: Actor,
    action: str,
    outcome: AuditEntry.Outcome,
    *,
    object_id: str | int | None,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    organization_id: int | None,
    project_id: int | None,
    object_type: str,
    object_name: str,
) -> None:
    AuditEntry.objects.create(
        outcome=outcome,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor=_text(actor.name, NAME_LENGTH),
        action=_text(action, 64),
        address=actor.address,
        request_id=_text(actor.request_id, 128),
        organization_id=organization_id,
        project_id=project_id,
        object_type=_text(object_type, 32),
        object_id=_text("" if object_id is None else str(object_id), 64),
        object_name=_text(object_name, NAME_LENGTH),
        before=None if before is None else storable(before),
        after=None if after is None else storable(after),
    )


def _text(text: str, size: int) -> str:
    """What PostgreSQL takes: no NUL, no lone surrogates, no more than fits."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()[:size]


def storable(value: Any, name: str = "") -> Any:
    """A value as JSON that PostgreSQL takes, without what is secret by its name."""
    if name and value and _SECRET.search(name):
        return HIDDEN
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Mapping):
        return {_text(str(key), NAME_LENGTH): storable(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((storable(item) for item in value), key=str)
    if isinstance(value, date):  # datetimes are dates too
        return value.isoformat()
    return _text(str(value), 2_000)
