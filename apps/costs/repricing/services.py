"""What may be asked of repricing: count, apply, undo. The work is apps.costs.repricing.work's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from apps.common.errors import ApiError
from apps.costs.pricebook.services import last_change
from apps.costs.pricing import data_version
from apps.costs.providers import normalise_provider
from apps.costs.repricing import statements
from apps.costs.repricing.figures import Figures
from apps.costs.repricing.models import RepriceJob
from apps.costs.repricing.work import run
from apps.orgs.audit import Actor, record

INLINE_SECONDS = 5.0
UNDO_DAYS = 90
EXPIRY_BATCH = 20_000
State = RepriceJob.State


def reprice_count(
    *,
    actor: Actor,
    organization_id: int,
    project_ids: Sequence[int],
    start: datetime,
    end: datetime,
    providers: Sequence[str] = (),
    models: Sequence[str] = (),
    include_client_costs: bool = False,
    apply_at_once: bool = False,
) -> RepriceJob:
    """Begin a repricing by counting what it would change. Small ones are done on return, others go on by themselves.

    Raises:
        ApiError: 1402 while another one of the organization is under way.
    """
    now = timezone.now()
    job = RepriceJob(
        organization_id=organization_id,
        start_time=start,
        end_time=end,
        project_ids=sorted(project_ids),
        providers=[normalise_provider(provider) for provider in providers],
        model_names=list(models),
        include_client_costs=include_client_costs,
        apply_at_once=apply_at_once,
        believed_at=max(now, last_change(organization_id) or now),
        price_list=data_version(),
        author=actor.name,
        created_at=now,
    )
    with _alone(), transaction.atomic():
        job.save(force_insert=True)
        if apply_at_once:
            _record(actor, "reprice.apply", job)
    return _worked(job)


def reprice_apply(*, actor: Actor, job: RepriceJob) -> RepriceJob:
    """Apply what was counted.

    Raises:
        ApiError: 1402 where it was not counted, was applied already, prices have changed since, or another one of
            the organization is under way.
    """
    if job.state != State.COUNTED:
        raise _in_state(job, "Only what has been counted can be applied")
    changed = last_change(job.organization_id)
    if job.price_list != data_version() or (changed is not None and changed > job.believed_at):
        raise ApiError(1402, "Prices have changed since this was counted; count again.", field="id")
    with _alone(), transaction.atomic():
        _move(job, State.COUNTED, State.APPLYING, position=None)
        _record(actor, "reprice.apply", job)
    return _worked(job)


def reprice_undo(*, actor: Actor, job: RepriceJob) -> RepriceJob:
    """Give the spans that a repricing changed the costs that they had, but for those replaced since.

    Raises:
        ApiError: 1402 where there is nothing to undo, a later one changed a part of the same range, its old values
            are kept no longer, or another one of the organization is under way.
    """
    if job.state not in (State.APPLYING, State.APPLIED, State.FAILED):
        raise _in_state(job, "Only what has been applied can be undone")
    if job.applied_at is not None and job.applied_at < timezone.now() - timedelta(days=UNDO_DAYS):
        raise ApiError(1402, f"The costs before are kept for {UNDO_DAYS} days.", field="id")
    later = _later(job)
    if later is not None:
        details = {"id": later.pk}
        raise ApiError(1402, f"Repricing {later.pk} changed a part of the range later; undo it first.", details=details)
    with _alone(), transaction.atomic():
        _move(job, job.state, State.UNDOING, position=None)
        _record(actor, "reprice.undo", job)
    return _worked(job)


def expire_changes(now: datetime | None = None) -> int:
    """Drop what spans cost before repricings that can no longer be undone, batch by batch; how many went."""
    edge = (now or timezone.now()) - timedelta(days=UNDO_DAYS)
    gone = 0
    old = RepriceJob.objects.filter(created_at__lt=edge).exclude(state__in=RepriceJob.ACTIVE)
    old = old.exclude(applied_at__gte=edge).exclude(applied={}).exclude(applied__has_key="expired")
    for job in old.order_by("pk"):
        while True:
            with connection.cursor() as cursor:
                rows = statements.expire(cursor, job.pk, job.project_ids, EXPIRY_BATCH)
            gone += rows
            if rows < EXPIRY_BATCH:
                break
        RepriceJob.objects.filter(pk=job.pk).update(applied={**job.applied, "expired": True})
    return gone


class _alone:
    """One repricing of an organization at a time: a unique index holds that, also where two come at once."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, IntegrityError) and "reprice_one_at_a_time" in str(error):
            message = "Another repricing of the organization is under way; wait for it, or undo it."
            raise ApiError(1402, message) from None


def _move(job: RepriceJob, before: str, after: str, **columns: Any) -> None:
    if not RepriceJob.objects.filter(pk=job.pk, state=before).update(state=after, error="", **columns):
        job.refresh_from_db()
        raise _in_state(job, "Somebody was faster")


def _in_state(job: RepriceJob, message: str) -> ApiError:
    return ApiError(1402, f"{message}; this one is {job.state}.", field="id", details={"state": job.state})


def _later(job: RepriceJob) -> RepriceJob | None:
    """A later repricing that changed spans of the same range and projects and was not undone."""
    rows = RepriceJob.objects.filter(
        organization_id=job.organization_id,
        pk__gt=job.pk,
        start_time__lt=job.end_time,
        end_time__gt=job.start_time,
        project_ids__overlap=job.project_ids,
    )
    return rows.exclude(state=State.UNDONE).exclude(applied={}).order_by("-pk").first()


def _worked(job: RepriceJob) -> RepriceJob:
    """As far as the time of a request allows; a worker goes on with the rest."""
    run(job.pk, seconds=INLINE_SECONDS)
    job.refresh_from_db()
    return job


def _shown(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _record(actor: Actor, action: str, job: RepriceJob) -> None:
    counted = Figures(job.counted).shown()
    record(
        actor,
        action,
        organization_id=job.organization_id,
        object_type="reprice",
        object_id=job.pk,
        object_name=f"{_shown(job.start_time)} to {_shown(job.end_time)}",
        after={
            "project_ids": job.project_ids,
            "providers": job.providers,
            "models": job.model_names,
            "include_client_costs": job.include_client_costs,
            **{name: counted[name] for name in ("spans", "changed", "change_usd")},
        },
    )
