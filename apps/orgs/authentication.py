"""Who is asking: API keys, looked up once in ten seconds per process.

A key is `ah_<public id>_<secret>`. Only the SHA-256 of its 256-bit secret is stored, so a copy of the database opens
nothing, and a plain hash is enough against guessing. What was found is kept in the process for `CACHE_SECONDS`: an
ingest request costs no query, and a revoked key stops working within that time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from apps.common.cells import Expiring
from apps.common.errors import ApiError
from apps.orgs.access import PERMISSIONS, Principal, scope_of
from apps.orgs.models import ApiKey, Project, RateLimit
from apps.orgs.tiers import buckets_for, tier_of

CACHE_SECONDS = 10.0
LAST_USED_SECONDS = 60
CHALLENGE = 'Bearer realm="analytics-hub"'
_KEY = re.compile(r"ah_([0-9a-f]{16})_([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class _Found:
    principal: Principal
    expires_at: datetime | None


_cache: Expiring[bytes, _Found] = Expiring(CACHE_SECONDS)


def secret_hash(secret: str) -> str:
    """What is stored of a key's secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def forget_keys() -> None:
    """Empty this process's cache of keys (tests, and services that revoke one)."""
    _cache.clear()


def _refusal(code: int, message: str) -> ApiError:
    challenge = CHALLENGE if code == 1000 else f'{CHALLENGE}, error="invalid_token"'
    return ApiError(code, message, headers={"WWW-Authenticate": challenge})


def presented_key(request: HttpRequest) -> str:
    """The key that a request carries.

    `Authorization: Bearer` comes first; `X-API-Key` is read where that holds no key of ours, since a proxy may use
    the Authorization header for itself.

    Raises:
        ApiError: 1000 without credentials, 1003 where they are no API key.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    own = request.headers.get("X-API-Key", "").strip()
    if bearer.startswith("ah_") or (bearer and not own):
        return bearer
    if own:
        return own
    if scheme:
        raise _refusal(1003, "The Authorization header holds no API key. Send `Authorization: Bearer ah_...`.")
    raise _refusal(1000, "Send an API key: `Authorization: Bearer ah_...` or `X-API-Key: ah_...`.")


def authenticate_request(request: HttpRequest) -> Principal:
    """The principal behind a request's API key.

    Raises:
        ApiError: 1000 without credentials, 1002 for an expired key, 1003 for a malformed, unknown or revoked one.
    """
    text = presented_key(request)
    digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
    found = _cache.get(digest)
    if found is None:
        found = _look_up(text)
        _cache.put(digest, found)
    if found.expires_at is not None and found.expires_at <= timezone.now():
        raise _refusal(1002, "The API key has expired.")
    return found.principal


def _look_up(text: str) -> _Found:
    match = _KEY.fullmatch(text)
    unknown = _refusal(1003, "No active API key matches.")
    if match is None:
        raise unknown
    key = ApiKey.objects.select_related("organization").filter(public_id=match[1]).first()
    # Compared even where there is no such key, so that an answer's time tells nothing about the public id.
    stored = key.secret_sha256 if key else "0" * 64
    same = hmac.compare_digest(stored, secret_hash(match[2]))
    if key is None or not same or key.revoked_at is not None:
        raise unknown
    _touch(key)
    return _Found(_principal(key), key.expires_at)


def _touch(key: ApiKey) -> None:
    """Note the use, at most once a minute per key whatever the number of processes."""
    now = timezone.now()
    before = now - timedelta(seconds=LAST_USED_SECONDS)
    if key.last_used_at is None or key.last_used_at < before:
        stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=before)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)


def _principal(key: ApiKey) -> Principal:
    projects = Project.objects.filter(organization_id=key.organization_id)
    if key.project_id is not None:
        projects = projects.filter(pk=key.project_id)
    permissions = frozenset(key.permissions) if key.permissions else PERMISSIONS.get(key.role, frozenset())
    project_ids = dict(projects.values_list("slug", "pk"))
    own = RateLimit.objects.filter(organization_id=key.organization_id)
    tier = key.role or tier_of(permissions, PERMISSIONS)
    return Principal(
        organization_id=key.organization_id,
        organization_slug=key.organization.slug,
        project_ids=project_ids,
        all_projects=key.project_id is None,
        permissions=permissions,
        name=f"key:{key.public_id}",
        key_id=key.pk,
        key_project_id=key.project_id,
        role="" if key.permissions else key.role,
        buckets=buckets_for(
            key.organization_id, f"key:{key.pk}", tier, own.values_list("bucket", "per_minute", "burst")
        ),
        scope=scope_of(key.organization_id, project_ids, permissions),
    )
