"""API keys: made, changed, rotated, revoked.

`keys:manage` reaches every key of the caller's projects; `keys:manage_own` alone those that the same person made. Who
rotates a key learns its text, so that needs all that the key may do, as making it does.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict, Unpack

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.common.errors import ApiError
from apps.common.jsontext import zulu
from apps.common.parameters import unknown_name
from apps.orgs.access import KNOWN_PERMISSIONS
from apps.orgs.audit import Actor, difference, record
from apps.orgs.authentication import forget_keys, secret_hash
from apps.orgs.models import ApiKey, Organization, Project, User
from apps.orgs.services.authority import ALL_KEYS, Authority, held, role_permissions
from apps.orgs.services.rules import cleaned, future

MAX_NETWORKS = 50
MAX_GRACE_SECONDS = 30 * 86_400
GRACE_SECONDS = 86_400
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class KeySettings(TypedDict, total=False):
    """What can be changed of a key."""

    name: str
    networks: Sequence[str]
    expires_at: datetime | None


def api_key_create(
    *,
    organization: Organization,
    project: Project | None = None,
    name: str = "key",
    role: str = "",
    permissions: Sequence[str] = (),
    networks: Sequence[str] = (),
    expires_at: datetime | None = None,
    created_by: User | None = None,
) -> tuple[ApiKey, str]:
    """Make an API key without asking who wants it; its text is returned here and can never be had again.

    Raises:
        ValueError: for a key that could do nothing, or whose project is another organization's.
    """
    if not role and not permissions:
        raise ValueError("an API key needs a role or permissions")
    if project is not None and project.organization_id != organization.pk:
        raise ValueError("the project belongs to another organization")
    public_id, secret = secrets.token_hex(8), secrets.token_hex(32)
    key = ApiKey(
        organization=organization,
        project=project,
        name=name,
        public_id=public_id,
        secret_sha256=secret_hash(secret),
        role=role,
        permissions=sorted(held(permissions)),
        networks=list(networks),
        expires_at=expires_at,
        created_by=created_by,
    )
    cleaned(key).save()
    return key, f"ah_{public_id}_{secret}"


@transaction.atomic
def key_create(
    *,
    actor: Actor,
    by: Authority,
    organization: Organization,
    name: str,
    role: str = "",
    permissions: Sequence[str] = (),
    project: Project | None = None,
    networks: Sequence[str] = (),
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make a key that can do no more than the caller; its text is returned here only.

    Raises:
        ApiError: 1100, 1101 and 1102 for more than the caller has, 12xx for bad fields.
    """
    if bool(role) == bool(permissions):
        raise ApiError(1201 if not role else 1202, "A key has a role or a list of permissions.", field="role")
    if project is not None and project.organization_id != organization.pk:
        raise ApiError(1300, "There is no such project.", field="project")
    if by.user_id is None and ALL_KEYS not in by.permissions:
        raise ApiError(1102, "A key that belongs to nobody makes no own keys.")
    by.grants(role_permissions(role) if role else _known(permissions), field="role" if role else "permissions")
    by.within(all_projects=project is None, projects=[project] if project else [])
    _no_freer(by, future(expires_at, "expires_at"), networks := _networks(networks))
    key, text = api_key_create(
        organization=organization,
        project=project,
        name=name,
        role=role,
        permissions=permissions,
        networks=networks,
        expires_at=expires_at,
        created_by=by.person(),
    )
    _record(actor, "key.create", key, after=described(key))
    return key, text


@transaction.atomic
def key_update(*, actor: Actor, by: Authority, key: ApiKey, **settings: Unpack[KeySettings]) -> ApiKey:
    """Change a key's name, networks or expiry.

    Raises:
        ApiError: 1100 to 1102 for a key that the caller could not have made, 12xx for bad fields, 1402 for a key that
            is revoked or has expired.
    """
    key = _hold(by, key)
    by.grants(permissions_of(key), field="permissions")
    before = described(key)
    if "networks" in settings:
        settings["networks"] = _networks(settings["networks"])
    for name, value in settings.items():
        setattr(key, name, value)
    old, new = difference(before, described(key))
    if new:
        _alive(ApiKey(revoked_at=key.revoked_at, expires_at=before["expires_at"]))
        if "expires_at" in new:
            future(key.expires_at, "expires_at")
        if "expires_at" in new or "networks" in new:
            _no_freer(by, key.expires_at, key.networks)
        cleaned(key).save(update_fields=list(new))
        _record(actor, "key.update", key, before=old, after=new)
        transaction.on_commit(forget_keys)
    return key


@transaction.atomic
def key_rotate(*, actor: Actor, by: Authority, key: ApiKey, grace_seconds: int = GRACE_SECONDS) -> tuple[ApiKey, str]:
    """Give a key a new secret; the present one still opens for the grace period.

    While an earlier secret still opens, only a rotation without grace is made, which ends both: a key has two secrets
    at most, and a request sent twice must not take the first rotation's grace away.

    Raises:
        ApiError: 1100 to 1102 for a key that the caller could not have made, 1202 for the grace, 1402 for a key that
            is revoked, has expired, or whose last rotation's grace is not over.
    """
    if not 0 <= grace_seconds <= MAX_GRACE_SECONDS:
        raise ApiError(1202, f"grace_seconds is 0 to {MAX_GRACE_SECONDS}.", field="grace_seconds")
    key = _hold(by, key)
    by.grants(permissions_of(key), field="permissions")
    _alive(key)
    _no_freer(by, key.expires_at, key.networks)
    secret, now = secrets.token_hex(32), timezone.now()
    if grace_seconds and key.previous_until is not None and key.previous_until > now:
        until = zulu(key.previous_until)
        message = (
            f"The key was rotated before; its earlier secret opens until {until}. To end both, rotate without grace."
        )
        raise ApiError(1402, message, field="grace_seconds", details={"previous_until": until})
    key.previous_sha256 = key.secret_sha256 if grace_seconds else ""
    key.previous_until = now + timedelta(seconds=grace_seconds) if grace_seconds else None
    key.secret_sha256, key.rotated_at = secret_hash(secret), now
    key.save(update_fields=["previous_sha256", "previous_until", "secret_sha256", "rotated_at"])
    _record(actor, "key.rotate", key, after={"prefix": key.prefix, "previous_until": key.previous_until})
    transaction.on_commit(forget_keys)
    return key, f"{key.prefix}_{secret}"


@transaction.atomic
def key_revoke(*, actor: Actor, by: Authority, key: ApiKey) -> ApiKey:
    """End a key, within ten seconds everywhere; a second time changes nothing. It needs less than making the key.

    Raises:
        ApiError: 1102 for a key out of the caller's reach.
    """
    key = _hold(by, key)
    if key.revoked_at is None:
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at"])
        _record(actor, "key.revoke", key, before={"prefix": key.prefix}, after={"revoked_at": key.revoked_at})
        transaction.on_commit(forget_keys)
    return key


def keys_in_reach(by: Authority, organization: Organization) -> QuerySet[ApiKey]:
    """The keys that the caller may see and touch."""
    found = ApiKey.objects.filter(organization=organization)
    if not by.all_projects:
        found = found.filter(project_id__in=by.project_ids)
    if ALL_KEYS not in by.permissions:
        own = Q(created_by_id=by.user_id) if by.user_id is not None else Q(pk__in=())
        found = found.filter(own | Q(pk=by.key.pk) if by.key else own)
    return found


def permissions_of(key: ApiKey) -> frozenset[str]:
    """What a key may do."""
    return frozenset(key.permissions) if key.permissions else role_permissions(key.role)


def described(key: ApiKey) -> dict[str, Any]:
    """A key without its secret, for the audit log."""
    return {
        "name": key.name,
        "prefix": key.prefix,
        "role": key.role,
        "permissions": list(key.permissions),
        "project": key.project.slug if key.project else None,
        "networks": list(key.networks),
        "expires_at": key.expires_at,
    }


def _hold(by: Authority, key: ApiKey) -> ApiKey:
    """The key as it is now, locked until the transaction ends, if it is in the caller's reach."""
    present = ApiKey.objects.select_for_update(of=("self",)).select_related("project").filter(pk=key.pk).first()
    if present is None:
        raise ApiError(1300, "There is no such key.")
    if not keys_in_reach(by, present.organization).filter(pk=present.pk).exists():
        raise ApiError(1102, "The key is another person's, or of projects that you do not see.")
    return present


def _alive(key: ApiKey) -> None:
    if key.revoked_at is not None:
        raise ApiError(1402, "The key is revoked. Make a new one.")
    if key.expires_at is not None and key.expires_at <= timezone.now():
        raise ApiError(1402, "The key has expired. Make a new one.")


def _no_freer(by: Authority, expires_at: datetime | None, networks: Sequence[str]) -> None:
    """A key with an end or networks hands out none, itself included, that lasts longer or opens from elsewhere.

    Otherwise whoever found it could make itself one without these bounds.
    """
    if by.key is None:
        return
    own = by.key.expires_at
    if own is not None and (expires_at is None or expires_at > own):
        message = "A key hands out none that outlives it; give an earlier expires_at."
        raise ApiError(1102, message, field="expires_at")
    bounds = [ipaddress.ip_network(text) for text in by.key.networks]
    places = [ipaddress.ip_network(text) for text in networks]
    if bounds and not (places and all(any(_inside(place, bound) for bound in bounds) for place in places)):
        message = f"A key hands out none that opens from elsewhere; give networks within {', '.join(map(str, bounds))}."
        raise ApiError(1102, message, field="networks")


def _inside(place: Network, bound: Network) -> bool:
    if isinstance(place, ipaddress.IPv4Network) and isinstance(bound, ipaddress.IPv4Network):
        return place.subnet_of(bound)
    if isinstance(place, ipaddress.IPv6Network) and isinstance(bound, ipaddress.IPv6Network):
        return place.subnet_of(bound)
    return False


def _known(permissions: Sequence[str]) -> Sequence[str]:
    for name in permissions:
        if name not in KNOWN_PERMISSIONS:
            error = unknown_name(name, KNOWN_PERMISSIONS, what="permission")
            raise ApiError(1202, error.message, field="permissions", details=error.details)
    return permissions


def _networks(given: Sequence[str]) -> list[str]:
    if len(given) > MAX_NETWORKS:
        raise ApiError(1202, f"At most {MAX_NETWORKS} networks.", field="networks")
    made: list[str] = []
    for text in given:
        try:
            made.append(str(ipaddress.ip_network(text.strip(), strict=False)))
        except ValueError:
            message = f"{text[:64]!r} is no network such as 10.0.0.0/8 or 2001:db8::/32."
            raise ApiError(1203, message, field="networks") from None
    return sorted(set(made))


def _record(actor: Actor, action: str, key: ApiKey, **states: Any) -> None:
    record(
        actor,
        action,
        organization_id=key.organization_id,
        project_id=key.project_id,
        object_type="key",
        object_id=str(key.pk),
        object_name=key.prefix,
        **states,
    )
