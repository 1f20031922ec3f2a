"""What the services share: clean text, saving with a plain answer to what is taken already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from apps.common.edge.exceptions import translate
from apps.common.errors import ApiError
from apps.orgs.models import Organization

M = TypeVar("M", bound=models.Model)
UNIQUE_VIOLATION = "23505"


def cleaned(model: M) -> M:
    """The model if each field is well-formed.

    Raises:
        ApiError: 12xx, naming the fields.
    """
    for field in model._meta.concrete_fields:
        value = getattr(model, field.attname)
        if isinstance(value, str) and "\x00" in value:
            raise ApiError(1202, f"{field.name} must not hold a null character.", field=field.name)
    try:
        model.clean_fields()
    except ValidationError as error:
        raise translate(error) from None
    return model


def insert(model: M, *, taken: ApiError) -> M:
    """Save a new row; what a unique constraint refuses is `taken`, also where two come at once."""
    cleaned(model)
    with _unique(taken):
        model.save(force_insert=True)
    return model


def save(model: M, fields: list[str], *, taken: ApiError) -> M:
    """Save these fields of a row; what a unique constraint refuses is `taken`."""
    cleaned(model)
    with _unique(taken):
        model.save(update_fields=fields)
    return model


@contextmanager
def _unique(taken: ApiError) -> Iterator[None]:
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if getattr(error.__cause__, "sqlstate", None) != UNIQUE_VIOLATION:
            raise
        raise taken from None


def locked(organization: Organization) -> Organization:
    """The organization's row, held until the transaction ends: changes of who may do what come one after another."""
    return Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)


def email_of(text: str) -> str:
    """An e-mail address as it is stored.

    Raises:
        ApiError: 1203.
    """
    email = text.strip().lower()
    try:
        if "\x00" in email or len(email) > 254:
            raise ValidationError("too long, or with a null character")
        validate_email(email)
    except ValidationError:
        raise ApiError(1203, "That is no e-mail address.", field="email") from None
    return email


def future(moment: datetime | None, field: str) -> datetime | None:
    """A time that is still to come, or none.

    Raises:
        ApiError: 1202.
    """
    if moment is not None and moment <= timezone.now():
        raise ApiError(1202, f"{field} must be in the future.", field=field)
    return moment
