"""What an organization may have of exports: its own figures, else the installation's."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django.db.models import Min
from django.utils import timezone

from apps.common.errors import ApiError
from apps.exports.jobs import statements
from apps.exports.models import ExportJob, ExportLimit

AGAIN_SECONDS: Final = 10  # when to try again where nobody knows how long a job takes


@dataclass(frozen=True, slots=True)
class Limits:
    active_jobs: int
    running_jobs: int
    stored_bytes: int


def limits_of(organization_id: int) -> Limits:
    """An organization's limits."""
    own = ExportLimit.objects.filter(organization_id=organization_id).first()
    if own is not None:
        return Limits(own.active_jobs, own.running_jobs, own.stored_bytes)
    hub = settings.HUB
    return Limits(hub.export_active_jobs, hub.export_running_jobs, hub.export_stored_bytes)


def require_room(organization_id: int) -> None:
    """Let a new job in, within the caller's transaction; nobody else is let in until it ends.

    Raises:
        ApiError: 1501 with what is used and what the limit is.
    """
    limits = limits_of(organization_id)
    with connection.cursor() as cursor:
        statements.lock_organization(cursor, organization_id)
        stored = statements.stored_bytes(cursor, organization_id)
    active = ExportJob.objects.filter(organization_id=organization_id, status__in=ExportJob.ACTIVE).count()
    if active >= limits.active_jobs:
        text = f"{active} exports of the organization are under way, and no more may be; wait for one, or cancel one."
        raise _quota(text, "active_jobs", active, limits.active_jobs, AGAIN_SECONDS)
    if stored >= limits.stored_bytes:
        text = (
            "The organization's stored exports take all the room it has. Wait until one expires, or have it given more."
        )
        raise _quota(text, "stored_bytes", stored, limits.stored_bytes, _until_one_expires(organization_id))


def _until_one_expires(organization_id: int) -> int:
    kept = ExportJob.objects.filter(organization_id=organization_id, status=ExportJob.Status.COMPLETED)
    first = kept.aggregate(first=Min("expires_at"))["first"]
    return AGAIN_SECONDS if first is None else max(ceil((first - timezone.now()).total_seconds()), AGAIN_SECONDS)


def _quota(message: str, name: str, used: int, limit: int, again: int) -> ApiError:
    details: dict[str, Any] = {"quota": name, "used": used, "limit": limit}
    return ApiError(1501, message, details=details, headers={"Retry-After": str(again)})
