"""What may be asked of export jobs: make one, cancel it, make it again, delete its file."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from apps.common.errors import ApiError
from apps.common.observe import telemetry
from apps.exports.jobs import enqueue
from apps.exports.jobs.limits import require_room
from apps.exports.jobs.sweep import discard
from apps.exports.models import ExportJob, ExportSchedule
from apps.exports.spec import CONTENT, READS, ExportSpec
from apps.orgs.access import Principal, require_permission
from apps.orgs.audit import Actor, record

Status = ExportJob.Status
CREATE = "exports:create"


def create(
    actor: Actor,
    principal: Principal | None,
    spec: ExportSpec,
    schedule: ExportSchedule | None = None,
    *,
    estimated_rows: int | None = None,
) -> ExportJob:
    """Ask for an export; a worker takes it up once the caller's transaction is committed.

    Args:
        principal: on whose rights; None for those who run the installation.

    Raises:
        ApiError: 1100 or 1300 where the caller may not have it, 1501 where the organization has no room for it.
    """
    if principal is not None:
        require_rights(principal, spec)
    now = timezone.now()
    job = ExportJob(
        organization_id=spec.organization_id,
        schedule=schedule,
        kind=spec.kind,
        format=spec.format,
        compression=spec.compression,
        asked=spec.to_json(),
        project_ids=list(spec.project_ids),
        start_time=spec.start,
        end_time=spec.end,
        content=spec.content,
        estimated_rows=estimated_rows,
        created_by_id=actor.id if actor.kind == "user" else principal.user_id if principal else None,
        created_by_key_id=actor.id if actor.kind == "key" else principal.key_id if principal else None,
        author=actor.name[:254],
        not_before=now,
        created_at=now,
        updated_at=now,
    )
    with transaction.atomic():
        require_room(spec.organization_id)
        job.save(force_insert=True)
        ExportJob.objects.filter(pk=job.pk).update(not_before=Now())
        _record(actor, "export.create", job)
        transaction.on_commit(partial(enqueue.run_export, job.pk))
    return job


def require_rights(principal: Principal, spec: ExportSpec) -> None:
    """
    Raises:
        ApiError: 1100 without a permission that the spec needs, 1300 for a project that the caller does not see.
    """
    require_permission(principal, CREATE)
    require_permission(principal, READS[spec.kind])
    if spec.content:
        require_permission(principal, CONTENT)
    seen = set(principal.project_ids.values())
    hidden = [slug for number, slug in spec.projects if number not in seen]
    if spec.organization_id != principal.organization_id or hidden:
        text = "There is no such project, or you may not see it."
        raise ApiError(1300, text, field="project", details={"projects": hidden} if hidden else None)


def cancel(actor: Actor, job: ExportJob) -> ExportJob:
    """End a job that is not over. Whoever works on it notices within seconds; its file is never offered.

    Raises:
        ApiError: 1402 where it is over.
    """
    with transaction.atomic():
        active = ExportJob.objects.filter(pk=job.pk, status__in=ExportJob.ACTIVE)
        changed = active.update(
            status=Status.CANCELLED,
            cancel_requested=True,
            heartbeat_at=None,
            file_size_bytes=None,
            completed_at=Now(),
            updated_at=Now(),
        )
        if changed:
            _record(actor, "export.cancel", job)
    job.refresh_from_db()
    if changed:
        telemetry.export_jobs.labels(job.kind, job.format, Status.CANCELLED).inc()
    if not changed:
        raise ApiError(1402, f"Only an export that is under way can be cancelled; this one is {job.status}.")
    return job


def rerun(actor: Actor, job: ExportJob, principal: Principal | None = None) -> ExportJob:
    """Ask for the same again: a new job of whoever asks now, with that one's rights.

    Raises:
        ApiError: as `create` does.
    """
    return create(actor, principal, job.spec, estimated_rows=job.estimated_rows)


def delete(actor: Actor, job: ExportJob) -> ExportJob:
    """Let a finished file expire now.

    Raises:
        ApiError: 1402 where there is none.
    """
    with transaction.atomic():
        finished = ExportJob.objects.filter(pk=job.pk, status=Status.COMPLETED)
        changed = finished.update(status=Status.EXPIRED, file="", expires_at=Now(), updated_at=Now())
        if changed:
            _record(actor, "export.delete", job)
            transaction.on_commit(partial(discard, [job.pk]), robust=True)
    job.refresh_from_db()
    if not changed:
        raise ApiError(1402, f"Only a finished export has a file to delete; this one is {job.status}.")
    return job


def _record(actor: Actor, action: str, job: ExportJob) -> None:
    record(
        actor,
        action,
        organization_id=job.organization_id,
        object_type="export",
        object_id=str(job.pk),
        object_name=f"{job.kind} as {job.format}",
        after={
            "kind": job.kind,
            "format": job.format,
            "projects": job.project_ids,
            "start_time": job.start_time.isoformat(),
            "end_time": job.end_time.isoformat(),
            "content": job.content,
        },
    )
