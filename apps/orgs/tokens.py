"""JSON web tokens: short access tokens, and refresh tokens that are good once.

A sign-in is a family (`SignIn`): each exchange of its refresh token makes the next one. A refresh token that was
already exchanged is held by two parties, of whom one stole it: the whole family ends, whichever of them came second.
Access tokens name their family, so that ending it ends them too, within the seconds that a process remembers them.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TypeVar

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError
from rest_framework_simplejwt.tokens import Token

from apps.common.errors import ApiError
from apps.orgs import audit
from apps.orgs.audit import Actor
from apps.orgs.models import AuditEntry, SignIn, User

ISSUER = AUDIENCE = "analytics-hub"
ACCESS_LIFETIME = timedelta(minutes=15)
REFRESH_LIFETIME = timedelta(days=7)
MAX_LENGTH = 2_048
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="analytics-hub", error="invalid_token"'}
# The one header that our tokens have: {"alg":"HS256","typ":"JWT"}. No other is looked at, least of all "alg":"none".
_FORM = re.compile(r"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9\.[A-Za-z0-9_-]{1,1900}\.[A-Za-z0-9_-]{43}")


class _HubToken(Token):
    """Signed with a key of its own, made from SECRET_KEY."""

    def get_token_backend(self) -> TokenBackend:
        return _backend(settings.SECRET_KEY)


class AccessToken(_HubToken):
    """Opens the API."""

    token_type = "access"  # noqa: S105 - the name of a kind
    lifetime = ACCESS_LIFETIME


class RefreshToken(_HubToken):
    """Is exchanged, once, for the next pair."""

    token_type = "refresh"  # noqa: S105 - the name of a kind
    lifetime = REFRESH_LIFETIME


@lru_cache(maxsize=4)
def _backend(secret: str) -> TokenBackend:
    key = salted_hmac("apps.orgs.tokens", "signing", secret=secret, algorithm="sha256").hexdigest()
    return TokenBackend("HS256", key, audience=AUDIENCE, issuer=ISSUER)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a good token says."""

    user_id: int
    sign_in_id: uuid.UUID
    jti: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Pair:
    """The two tokens that a client is given."""

    access: str
    refresh: str


def bad_token(message: str) -> ApiError:
    return ApiError(1001, message, headers=dict(CHALLENGE))


K = TypeVar("K", bound=_HubToken)


def read(kind: type[K], text: str) -> Claims:
    """Check a token's form, signature, kind, issuer, audience and time.

    Raises:
        ApiError: 1002 for one that has expired, 1001 for whatever else is not good.
    """
    if not _FORM.fullmatch(text):
        raise bad_token("This is no token of this hub.")
    try:
        token = kind(text)  # type: ignore[arg-type]  # annotated as if it took a Token
        sign_in_id, expires_at = uuid.UUID(token["sid"]), datetime.fromtimestamp(token["exp"], UTC)
        return Claims(int(token["sub"]), sign_in_id, str(token["jti"]), expires_at)
    except ExpiredTokenError:
        raise ApiError(1002, f"The {kind.token_type} token has expired.", headers=dict(CHALLENGE)) from None
    except (TokenError, KeyError, TypeError, ValueError):
        raise bad_token(f"This is no {kind.token_type} token of this hub.") from None


def _made(kind: type[_HubToken], user_id: int, sign_in_id: uuid.UUID) -> _HubToken:
    token = kind()
    token["sub"] = str(user_id)
    token["sid"] = str(sign_in_id)
    return token


def _pair(sign_in: SignIn, refresh: _HubToken) -> Pair:
    return Pair(str(_made(AccessToken, sign_in.user_id, sign_in.pk)), str(refresh))


@transaction.atomic
def begin(user: User, actor: Actor) -> Pair:
    """Start a family for a person whose password was right.

    Raises:
        ApiError: 1001 where the password was changed or the account ended meanwhile; what ended every sign-in then
            must not have missed this one, so the person's row is locked.
    """
    now = User.objects.select_for_update().filter(pk=user.pk, is_active=True).first()
    if now is None or now.password != user.password:
        raise bad_token("The password was changed meanwhile. Sign in again.")
    sign_in = SignIn(user=user, address=actor.address)
    refresh = _made(RefreshToken, user.pk, sign_in.pk)
    sign_in.current_jti, sign_in.expires_at = refresh["jti"], timezone.now() + REFRESH_LIFETIME
    sign_in.save(force_insert=True)
    User.objects.filter(pk=user.pk).update(last_login=timezone.now())
    _tell(audit.person(user, actor), "token.issue", sign_in)
    return _pair(sign_in, refresh)


def exchange(text: str, actor: Actor) -> Pair:
    """The next pair for a refresh token. Of two exchanges at the same time one waits, and counts as reuse.

    Raises:
        ApiError: 1001 for a token that is not good, was exchanged before or belongs to a family that has ended; 1002
            for an expired one.
    """
    claims = read(RefreshToken, text)
    with transaction.atomic():
        made = _exchanged(claims, actor)
    if made is None:  # raised out here, since what _exchanged wrote down must stay
        raise bad_token("This refresh token is no longer good. Sign in again.")
    return made


def _exchanged(claims: Claims, actor: Actor) -> Pair | None:
    families = SignIn.objects.select_for_update(of=("self",)).select_related("user")
    sign_in = families.filter(pk=claims.sign_in_id, user_id=claims.user_id, revoked_at=None).first()
    if sign_in is None:
        return None
    if claims.jti != sign_in.current_jti:
        _end(sign_in, "reuse")
        _tell(audit.person(sign_in.user, actor), "token.reuse", sign_in, AuditEntry.Outcome.DENIED)
        return None
    if not sign_in.user.is_active:
        _end(sign_in, "deactivated")
        return None
    refresh = _made(RefreshToken, sign_in.user_id, sign_in.pk)
    sign_in.previous_jti, sign_in.current_jti = sign_in.current_jti, refresh["jti"]
    sign_in.rotated_at = timezone.now()
    sign_in.expires_at = sign_in.rotated_at + REFRESH_LIFETIME
    sign_in.save(update_fields=["previous_jti", "current_jti", "rotated_at", "expires_at"])
    return _pair(sign_in, refresh)


def _end(sign_in: SignIn, reason: str) -> None:
    sign_in.revoked_at, sign_in.revoked_reason = timezone.now(), reason
    sign_in.save(update_fields=["revoked_at", "revoked_reason"])


def _tell(actor: Actor, action: str, sign_in: SignIn, outcome: AuditEntry.Outcome = AuditEntry.Outcome.DONE) -> None:
    particulars = {"sign_in": str(sign_in.pk)}
    audit.record_for_person(actor, action, sign_in.user_id, after=particulars, outcome=outcome)


@transaction.atomic
def revoke(text: str, actor: Actor) -> bool:
    """End the family of a refresh token. Whether it did is for us: the caller learns nothing about other tokens."""
    try:
        claims = read(RefreshToken, text)
    except ApiError:
        return False
    families = SignIn.objects.select_for_update(of=("self",)).select_related("user")
    sign_in = families.filter(pk=claims.sign_in_id, user_id=claims.user_id, revoked_at=None).first()
    if sign_in is None:
        return False
    _end(sign_in, "signed_out")
    _tell(audit.person(sign_in.user, actor), "token.revoke", sign_in)
    return True


@transaction.atomic
def end(sign_in: SignIn, actor: Actor) -> None:
    """End a family, as an administrator does; a second time changes nothing."""
    present = SignIn.objects.select_for_update(of=("self",)).select_related("user").get(pk=sign_in.pk)
    if present.revoked_at is None:
        _end(present, "administrator")
        _tell(actor, "token.revoke", present)


def living(claims: Claims) -> User | None:
    """The active user of an access token whose family goes on."""
    family = SignIn.objects.select_related("user").filter(pk=claims.sign_in_id, user_id=claims.user_id, revoked_at=None)
    sign_in = family.first()
    return sign_in.user if sign_in is not None and sign_in.user.is_active else None


def remove_expired(now: datetime) -> int:
    """Forget the families of which no token is good any more."""
    removed, _ = SignIn.objects.filter(expires_at__lt=now - ACCESS_LIFETIME).delete()
    return removed
