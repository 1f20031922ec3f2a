"""Changes of the price book. Each leaves the state before it in the history, and an entry in the audit log."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.common.errors import ApiError
from apps.costs.pricebook.checks import checked, stated
from apps.costs.pricebook.models import PriceEntry, PriceVersion
from apps.costs.pricebook.overrides import believed, forget_books
from apps.orgs.audit import Actor, difference, record
from apps.orgs.models import Organization
from apps.orgs.services import Authority
from apps.orgs.services.rules import locked

MAX_ENTRIES = 1_000
WHOLE = "The price book"
_TICK = timedelta(microseconds=1)


@transaction.atomic
def price_create(*, actor: Actor, by: Authority, organization: Organization, **given: Any) -> PriceVersion:
    """Add an entry; ingest prices by it within ten seconds. Without `effective_from` it holds from now on.

    Raises:
        ApiError: 1102 for those who see a part of the projects, 12xx for bad fields, 1205 for too many entries,
            1400 where another entry holds for the same calls.
    """
    by.whole(WHOLE)
    organization = locked(organization)
    now = _now(organization)
    state = checked({"effective_from": now, **given})
    if believed(organization.pk).count() >= MAX_ENTRIES:
        raise ApiError(1205, f"A price book has at most {MAX_ENTRIES} entries.")
    entry = PriceEntry.objects.create(organization=organization, created_at=now)
    version = _write(entry, 1, state, actor, now)
    _record(actor, "price.create", version, after=state)
    return version


@transaction.atomic
def price_update(
    *, actor: Actor, by: Authority, entry: PriceEntry, expected_version: int | None = None, **given: Any
) -> PriceVersion:
    """Let an entry say something else from now on; what it said stays in its history.

    Args:
        expected_version: refuse if the entry is in another state than this, which the caller saw.

    Raises:
        ApiError: as `price_create`; 1402 where somebody else changed or ended it.
    """
    by.whole(WHOLE)
    before, now = _holding(entry, expected_version)
    state = checked(given, before)
    old, new = difference(stated(before), state)
    if not new:
        return before
    version = _succeed(before, state, actor, now)
    _record(actor, "price.update", version, before=old, after=new)
    return version


@transaction.atomic
def price_end(
    *, actor: Actor, by: Authority, entry: PriceEntry, withdraw: bool = False, expected_version: int | None = None
) -> None:
    """End an entry: it holds for no call from now on. One that is withdrawn, or has not begun, holds for none at all.

    Raises:
        ApiError: 1102, 1402.
    """
    by.whole(WHOLE)
    before, now = _holding(entry, expected_version)
    begun = before.effective_from is None or before.effective_from < now
    if begun and not withdraw:
        if before.effective_to is not None and before.effective_to <= now:
            raise ApiError(1402, "The entry has ended already; withdraw=true takes it back altogether.")
        _succeed(before, {**stated(before), "effective_to": now}, actor, now)
        after: dict[str, Any] = {"effective_to": now}
    else:
        PriceVersion.objects.filter(pk=before.pk).update(superseded_at=now)
        transaction.on_commit(forget_books)
        after = {"withdrawn": True}
    _record(actor, "price.end", before, before={"effective_to": before.effective_to}, after=after)


def last_change(organization_id: int) -> datetime | None:
    """When the book of an organization last changed."""
    rows = PriceVersion.objects.filter(organization_id=organization_id)
    recorded = rows.order_by("-recorded_at").values_list("recorded_at", flat=True).first()
    ended = rows.exclude(superseded_at=None).order_by("-superseded_at").values_list("superseded_at", flat=True).first()
    return max((moment for moment in (recorded, ended) if moment is not None), default=None)


def _now(organization: Organization) -> datetime:
    """The time of a change: after every earlier one, even where clocks differ. The organization's row is held."""
    last = last_change(organization.pk)
    now = timezone.now()
    return now if last is None or now > last else last + _TICK


def _holding(entry: PriceEntry, expected: int | None) -> tuple[PriceVersion, datetime]:
    """The state of an entry that holds, and now."""
    organization = locked(entry.organization)
    version = PriceVersion.objects.filter(entry=entry, superseded_at=None).first()
    if version is None:
        raise ApiError(1402, "The entry has been withdrawn.")
    if expected is not None and version.number != expected:
        details = {"version": version.number}
        raise ApiError(
            1402, f"The entry is at version {version.number} by now.", field="expected_version", details=details
        )
    return version, _now(organization)


def _succeed(before: PriceVersion, state: dict[str, Any], actor: Actor, now: datetime) -> PriceVersion:
    PriceVersion.objects.filter(pk=before.pk).update(superseded_at=now)
    return _write(before.entry, before.number + 1, state, actor, now)


def _write(entry: PriceEntry, number: int, state: dict[str, Any], actor: Actor, now: datetime) -> PriceVersion:
    version = PriceVersion(
        entry=entry, organization_id=entry.organization_id, number=number, author=actor.name, recorded_at=now, **state
    )
    _refuse_overlap(version)
    version.save(force_insert=True)
    transaction.on_commit(forget_books)
    return version


def _refuse_overlap(version: PriceVersion) -> None:
    """Two entries for the same calls would leave open which of them holds."""
    same = believed(version.organization_id).exclude(entry_id=version.entry_id)
    same = same.filter(
        provider=version.provider, match=version.match, model=version.model, service_tier=version.service_tier
    )
    if version.effective_to is not None:
        same = same.filter(Q(effective_from=None) | Q(effective_from__lt=version.effective_to))
    if version.effective_from is not None:
        same = same.filter(Q(effective_to=None) | Q(effective_to__gt=version.effective_from))
    other = same.order_by("pk").first()
    if other is not None:
        details = {"id": other.entry_id, "effective_from": other.effective_from, "effective_to": other.effective_to}
        message = f"Entry {other.entry_id} holds for the same calls at a part of this time."
        raise ApiError(1400, message, field="effective_from", details={"overlaps": details})


def _record(actor: Actor, action: str, version: PriceVersion, **states: Any) -> None:
    record(
        actor,
        action,
        organization_id=version.organization_id,
        object_type="price",
        object_id=version.entry_id,
        object_name=f"{version.provider or 'any'}: {version.model}",
        **states,
    )
