"""An export job as answers have it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apps.exports import links
from apps.exports.models import ExportJob
from apps.exports.spec import CONTENT
from apps.exports.totals import with_numbers
from apps.orgs.access import Principal

Status = ExportJob.Status


def status_of(job: ExportJob, now: datetime) -> str:
    """Its status; a file whose time is over counts as expired before anybody has swept it away."""
    over = job.status == Status.COMPLETED and job.expires_at is not None and job.expires_at <= now
    return str(Status.EXPIRED if over else job.status)


def progress_of(job: ExportJob) -> float:
    """Percent of the counted rows that are written; 100 only once there is a file."""
    if job.status in (Status.COMPLETED, Status.EXPIRED):
        return 100.0
    if not job.rows_total:
        return 0.0
    return min(99.9, round(100 * job.rows_done / job.rows_total, 1))


def shown(job: ExportJob, principal: Principal, now: datetime) -> dict[str, Any]:
    """The whole job, with a link in the caller's name where it may have the file."""
    status = status_of(job, now)
    spec, ready = job.spec, status == Status.COMPLETED and job.expires_at is not None
    base = f"/api/v1/export/jobs/{job.pk}"
    may = "exports:download" in principal.permissions and (not job.content or CONTENT in principal.permissions)
    return {
        "job_id": str(job.pk),
        "kind": job.kind,
        "status": status,
        "progress_percent": progress_of(job),
        "rows_done": job.rows_done,
        "estimate": estimate(job),
        "row_count": job.row_count,
        "file_size_bytes": job.file_size_bytes,
        "sha256": job.sha256 or None,
        "file_name": job.file_name or None,
        "content_type": job.content_type or None,
        "manifest": summary(job.manifest),
        "error": job.error or None,
        "format": job.format,
        "compression": job.compression,
        "start_time": job.start_time,
        "end_time": job.end_time,
        "projects": [slug for _, slug in spec.projects],
        "fields": list(spec.fields),
        "limit": spec.limit,
        "contains_content": job.content,
        "cancel_requested": job.cancel_requested,
        "schedule_id": job.schedule_id,
        "created_by": job.author,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "completed_at": job.completed_at,
        "expires_at": job.expires_at,
        "status_url": base,
        "manifest_url": f"{base}/manifest" if job.manifest is not None else None,
        "download_url": links.path_of(job, principal) if ready and may else None,
    }


def estimate(job: ExportJob) -> dict[str, Any]:
    """What was expected when it was asked for."""
    return {"rows": job.estimated_rows}


def summary(manifest: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the manifest says in short; the whole has a route of its own."""
    if manifest is None:
        return None
    told = with_numbers(manifest)
    return {name: told.get(name) for name in ("rows", "sums", "snapshot", "truncated", "cells_cut")}
