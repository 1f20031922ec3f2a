"""Persons: superusers make and change them; an invitation makes them too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypedDict, Unpack

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.signals import post_save

from apps.common.errors import ApiError
from apps.orgs.audit import Actor, difference, record
from apps.orgs.authentication import forget_keys
from apps.orgs.models import User
from apps.orgs.services.rules import email_of, insert, save

MAX_PASSWORD = 1024


class UserSettings(TypedDict, total=False):
    """What can be set of a person."""

    name: str
    is_active: bool
    is_staff: bool
    is_superuser: bool


SETTINGS = tuple(UserSettings.__annotations__)


@transaction.atomic
def user_create(
    *,
    actor: Actor,
    email: str,
    password: str | None = None,
    any_password: bool = False,
    **settings: Unpack[UserSettings],
) -> User:
    """Make a person; without a password they cannot sign in until one is set.

    Args:
        any_password: take a weak password too, from a command on the machine itself.

    Raises:
        ApiError: 12xx for bad fields and weak passwords, 1401 for an e-mail address that is taken.
    """
    user = User(email=email_of(email), **settings)
    if password is not None and not any_password:
        check_password_rules(password, user)
    user.set_password(password)
    insert(user, taken=_taken())
    _record(actor, "user.create", user, after=described(user))
    return user


@transaction.atomic
def user_update(*, actor: Actor, user: User, email: str | None = None, **settings: Unpack[UserSettings]) -> User:
    """Change what is given. Saving a person who is no longer active signs them out.

    Raises:
        ApiError: 12xx for bad fields, 1401 for an e-mail address that is taken.
    """
    user = User.objects.select_for_update().get(pk=user.pk)
    before = described(user)
    if email is not None:
        user.email = email_of(email)
    for name, value in settings.items():
        setattr(user, name, value)
    old, new = difference(before, described(user))
    if not new:
        return user
    save(user, list(new), taken=_taken())
    _record(actor, "user.update", user, before=old, after=new)
    transaction.on_commit(forget_keys)
    return user


@transaction.atomic
def user_password(*, actor: Actor, user: User, password: str) -> None:
    """Set a person's password; saving it ends what was signed in with the old one.

    Raises:
        ApiError: 1202 for a weak password.
    """
    user = User.objects.select_for_update().get(pk=user.pk)
    check_password_rules(password, user)
    user.set_password(password)
    user.save(update_fields=["password"])
    _record(actor, "user.password", user)
    transaction.on_commit(forget_keys)


@contextmanager
def saves_recorded(*, actor: Actor, action: str) -> Iterator[None]:
    """Record whatever saves a person meanwhile, in the transaction of the saving: for Django's own commands."""

    def note(sender: object, instance: User, created: bool, **_: object) -> None:
        _record(actor, action, instance, after=described(instance) if created else None)

    post_save.connect(note, sender=User, weak=False)
    try:
        yield
    finally:
        post_save.disconnect(note, sender=User)


def check_password_rules(password: str, user: User) -> None:
    """Django's password validators.

    Raises:
        ApiError: 1202 (field password), with every sentence.
    """
    if len(password) > MAX_PASSWORD or "\x00" in password:
        raise ApiError(1202, f"A password has at most {MAX_PASSWORD} characters, none of them null.", field="password")
    try:
        validate_password(password, user)
    except ValidationError as error:
        details = [{"field": "password", "message": message} for message in error.messages]
        raise ApiError(1202, " ".join(error.messages), field="password", details=details) from None


def described(user: User) -> dict[str, Any]:
    """A person, for the audit log."""
    return {"email": user.email, **{name: getattr(user, name) for name in SETTINGS}}


def _taken() -> ApiError:
    return ApiError(1401, "There is a person with this e-mail address already.", field="email")


def _record(actor: Actor, action: str, user: User, **states: Any) -> None:
    record(actor, action, object_type="user", object_id=str(user.pk), object_name=user.email, **states)
