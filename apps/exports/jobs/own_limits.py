"""An organization's own limits of exports; superusers set them."""

from __future__ import annotations

from typing import Any, Final

from django.db import transaction

from apps.common.errors import ApiError
from apps.exports.models import ExportLimit
from apps.orgs.audit import Actor, difference, record
from apps.orgs.models import Organization

FIGURES: Final = ("active_jobs", "running_jobs", "stored_bytes")
MOST: Final = {"active_jobs": 1_000_000, "running_jobs": 1_000, "stored_bytes": 2**60}


@transaction.atomic
def export_limit_set(*, actor: Actor, organization: Organization, **figures: int) -> ExportLimit:
    """Give an organization its own figures.

    Raises:
        ApiError: 1202 for figures below 1 or beyond reason, or more at work than there may be.
    """
    for name in FIGURES:
        if not 1 <= figures[name] <= MOST[name]:
            raise ApiError(1202, f"{name} is 1 to {MOST[name]}.", field=name)
    if figures["running_jobs"] > figures["active_jobs"]:
        raise ApiError(1202, "running_jobs are among active_jobs, so they are at most as many.", field="running_jobs")
    before = ExportLimit.objects.select_for_update().filter(organization=organization).first()
    limit, _ = ExportLimit.objects.update_or_create(organization=organization, defaults=figures)
    old, new = difference(_figures(before), _figures(limit))
    if new:
        _record(actor, "limit.set", limit, before=old or None, after=new)
    return limit


@transaction.atomic
def export_limit_remove(*, actor: Actor, limit: ExportLimit) -> None:
    """Let the installation's figures hold again."""
    if ExportLimit.objects.filter(pk=limit.pk).exists():
        _record(actor, "limit.remove", limit, before=_figures(limit))
        ExportLimit.objects.filter(pk=limit.pk).delete()


def _figures(limit: ExportLimit | None) -> dict[str, Any]:
    return {name: getattr(limit, name) for name in FIGURES} if limit else {}


def _record(actor: Actor, action: str, limit: ExportLimit, **states: Any) -> None:
    record(
        actor,
        action,
        organization_id=limit.organization_id,
        object_type="export_limit",
        object_id=str(limit.pk),
        object_name="exports",
        **states,
    )
