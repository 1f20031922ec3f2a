"""An organization's own rate limits; superusers set them."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from apps.common.errors import ApiError
from apps.common.parameters import unknown_name
from apps.orgs.audit import Actor, difference, record
from apps.orgs.authentication import forget_keys
from apps.orgs.models import Organization, RateLimit
from apps.orgs.services.rules import locked
from apps.orgs.tiers import bucket_names

MAX_FIGURE = 1_000_000_000


@transaction.atomic
def limit_set(*, actor: Actor, organization: Organization, bucket: str, per_minute: int, burst: int) -> RateLimit:
    """Give an organization its own figures for a bucket; they hold within ten seconds.

    Raises:
        ApiError: 1202 for an unknown bucket or figures below 1.
    """
    if bucket not in bucket_names():
        error = unknown_name(bucket, bucket_names(), what="bucket")
        raise ApiError(1202, error.message, field="bucket", details=error.details)
    for field, figure in (("per_minute", per_minute), ("burst", burst)):
        if not 1 <= figure <= MAX_FIGURE:
            raise ApiError(1202, f"{field} is 1 to {MAX_FIGURE}.", field=field)
    organization = locked(organization)
    before = RateLimit.objects.filter(organization=organization, bucket=bucket).first()
    limit, _ = RateLimit.objects.update_or_create(
        organization=organization, bucket=bucket, defaults={"per_minute": per_minute, "burst": burst}
    )
    old, new = difference(_figures(before), _figures(limit))
    if new:
        _record(actor, "limit.set", limit, before=old or None, after=new)
        transaction.on_commit(forget_keys)
    return limit


@transaction.atomic
def limit_remove(*, actor: Actor, limit: RateLimit) -> None:
    """Let the installation's figures hold again."""
    locked(limit.organization)
    if RateLimit.objects.filter(pk=limit.pk).exists():
        _record(actor, "limit.remove", limit, before=_figures(limit))
        RateLimit.objects.filter(pk=limit.pk).delete()
        transaction.on_commit(forget_keys)


def _figures(limit: RateLimit | None) -> dict[str, Any]:
    return {"per_minute": limit.per_minute, "burst": limit.burst} if limit else {}


def _record(actor: Actor, action: str, limit: RateLimit, **states: Any) -> None:
    record(
        actor,
        action,
        organization_id=limit.organization_id,
        object_type="limit",
        object_id=str(limit.pk),
        object_name=limit.bucket,
        **states,
    )
