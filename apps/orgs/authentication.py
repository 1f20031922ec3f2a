"""Who is asking: by API key, access token or session, looked up once in ten seconds per process.

A key is `ah_<public id>_<secret>`. Only the SHA-256 of its 256-bit secret is stored, so a copy of the database opens
nothing, and a plain hash is enough against guessing. What was found is kept in the process for `CACHE_SECONDS`: an
ingest request costs no query, and a revoked key, an ended sign-in or a changed role counts within that time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from apps.common.cells import Expiring
from apps.common.errors import ApiError
from apps.orgs import sessions, tokens
from apps.orgs.access import Principal
from apps.orgs.models import ApiKey
from apps.orgs.principals import ORGANIZATION_HEADER, key_credential, key_principal, user_principal

CACHE_SECONDS = 10.0
LAST_USED_SECONDS = 60
CHALLENGE = 'Bearer realm="analytics-hub"'
BASIC_PATHS = "/api/public/"  # Langfuse-shaped: their SDKs send Basic public:secret
_KEY = re.compile(r"ah_([0-9a-f]{16})_([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class _Found:
    """A caller, until when it is one, and what it is told afterwards."""

    principal: Principal
    until: datetime | None = None
    over: tuple[int, str] = (1002, "The API key has expired.")


_cache: Expiring[bytes, _Found] = Expiring(CACHE_SECONDS)
_people: Expiring[tuple[int, str, str], Principal] = Expiring(CACHE_SECONDS)


def secret_hash(secret: str) -> str:
    """What is stored of a key's secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def forget_keys() -> None:
    """Empty this process's memory of keys, tokens and people (tests, and services that change one)."""
    _cache.clear()
    _people.clear()


def _refusal(code: int, message: str) -> ApiError:
    challenge = CHALLENGE if code == 1000 else f'{CHALLENGE}, error="invalid_token"'
    return ApiError(code, message, headers={"WWW-Authenticate": challenge})


def presented(request: HttpRequest) -> str:
    """The key or token that a request carries, empty where it carries no such header.

    `Authorization: Bearer` comes first; `X-API-Key` is read where that holds no key of ours, since a proxy may use
    the Authorization header for itself.

    Raises:
        ApiError: 1003 for an Authorization header of another kind.
    """
    scheme, _, rest = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    bearer = rest.strip() if scheme.lower() == "bearer" else ""
    own: str = request.META.get("HTTP_X_API_KEY", "").strip()
    if bearer.startswith("ah_") or (bearer and not own):
        return bearer
    if own:
        return own
    if scheme.lower() == "basic":
        return _from_basic(request.path, rest.strip())
    if scheme:
        raise _refusal(1003, "The Authorization header holds no API key. Send `Authorization: Bearer ah_...`.")
    return ""


def _from_basic(path: str, encoded: str) -> str:
    """The key in `Basic public:secret`: the public id with or without `ah_`, the secret alone or the whole key."""
    if not path.startswith(BASIC_PATHS):
        text = f"Basic is taken below {BASIC_PATHS} only. Send `Authorization: Bearer ah_...`."
        raise _refusal(1003, text)
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise _refusal(1003, "The Authorization header is no Basic public:secret.") from None
    public_id = name.removeprefix("ah_")
    if secret.startswith(f"ah_{public_id}_"):
        return secret
    return f"ah_{public_id}_{secret}"


def authenticate_request(request: HttpRequest) -> Principal:
    """The principal behind a request's API key, access token or session.

    Raises:
        ApiError: 1000 without credentials; 1001 for a token that is not good; 1002 for an expired token or key; 1003
            for a malformed, unknown or revoked key; 1300 for an organization (X-Organization) that is not the
            caller's.
    """
    text = presented(request)
    named: str = request.META.get("HTTP_X_ORGANIZATION", "").strip()
    if not text:
        return _by_session(request, named)
    digest = hashlib.sha256(f"{named}\n{text}".encode("utf-8", "replace")).digest()
    found = _cache.get(digest)
    if found is None:
        found = _by_token(text, named) if _looks_like_token(text) else _by_key(text, named)
        _cache.put(digest, found)
    if found.until is not None and found.until <= timezone.now():
        raise _refusal(*found.over)
    return found.principal


def _looks_like_token(text: str) -> bool:
    return not text.startswith("ah_") and text.count(".") == 2


def _by_key(text: str, named: str) -> _Found:
    match = _KEY.fullmatch(text)
    unknown = _refusal(1003, "No active API key matches.")
    if match is None:
        raise unknown
    key = ApiKey.objects.select_related("organization").filter(public_id=match[1]).first()
    # Compared even where there is no such key, so that an answer's time tells nothing about the public id.
    offered = secret_hash(match[2])
    same = hmac.compare_digest(key.secret_sha256 if key else "0" * 64, offered)
    previous = hmac.compare_digest((key.previous_sha256 if key else "") or "0" * 64, offered)
    if key is None or not (same or previous) or key.revoked_at is not None:
        raise unknown
    found = _Found(key_principal(key), key.expires_at)
    if not same:
        if key.previous_until is None or key.previous_until <= timezone.now():
            raise unknown
        principal = replace(found.principal, credential=key_credential(key.previous_sha256))
        if key.expires_at is None or key.previous_until < key.expires_at:
            found = _Found(principal, key.previous_until, (1003, "No active API key matches."))
        else:
            found = _Found(principal, key.expires_at)
    if named and named != key.organization.slug:
        details = {"organization": named[:64]}
        raise ApiError(1300, "The key belongs to another organization.", field=ORGANIZATION_HEADER, details=details)
    _touch(key)
    return found


def _touch(key: ApiKey) -> None:
    """Note the use, at most once a minute per key whatever the number of processes."""
    now = timezone.now()
    before = now - timedelta(seconds=LAST_USED_SECONDS)
    if key.last_used_at is None or key.last_used_at < before:
        stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=before)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)


def _by_token(text: str, named: str) -> _Found:
    claims = tokens.read(tokens.AccessToken, text)
    user = tokens.living(claims)
    if user is None:
        raise tokens.bad_token("The sign-in of this token has ended. Sign in again.")
    return _Found(user_principal(user, named), claims.expires_at, (1002, "The access token has expired."))


def _by_session(request: HttpRequest, named: str) -> Principal:
    user = sessions.session_user(request)
    if user is None:
        text = "Send an API key or an access token: `Authorization: Bearer ...`, or a key as `X-API-Key: ah_...`."
        raise _refusal(1000, text)
    request.hub_by_session = True  # type: ignore[attr-defined]  # the door asks for the CSRF token
    about = (user.pk, named, sessions.remembered_organization(request))
    principal = _people.get(about)
    if principal is None:
        principal = user_principal(user, *about[1:])
        _people.put(about, principal)
    return principal
