"""Export jobs as a worker leaves them, made by hand: for tests of what is done with them afterwards."""

from __future__ import annotations

import hashlib
import io
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.core.files.storage import storages
from django.utils import timezone

from apps.exports.models import ExportJob, ExportSchedule
from apps.exports.spec import ExportSpec
from apps.orgs.models import Organization, Project, User

FILE_NAME = "costs.csv"
DATA = b"timestamp,total_cost_usd\n2026-11-01T00:00:00Z,1.5\n"


def export_spec(organization: Organization, projects: Sequence[Project], **more: Any) -> ExportSpec:
    """Costs of the last day."""
    now = timezone.now()
    asked: dict[str, Any] = {
        "kind": "costs",
        "format": "csv",
        "compression": "none",
        "start": now - timedelta(days=1),
        "end": now,
        "fields": ("timestamp", "total_cost_usd"),
        **more,
    }
    pairs = tuple((project.pk, project.slug) for project in projects)
    return ExportSpec(organization_id=organization.pk, projects=pairs, **asked)


def export_job(spec: ExportSpec, user: User | None = None, **more: Any) -> ExportJob:
    """A job of which nothing has been done."""
    now = timezone.now()
    columns: dict[str, Any] = {
        "not_before": now,
        "created_at": now,
        "updated_at": now,
        "created_by": user,
        "author": user.email if user is not None else "",
        **more,
    }
    return ExportJob.objects.create(
        organization_id=spec.organization_id,
        kind=spec.kind,
        format=spec.format,
        compression=spec.compression,
        asked=spec.to_json(),
        project_ids=list(spec.project_ids),
        start_time=spec.start,
        end_time=spec.end,
        content=spec.content,
        **columns,
    )


def finished_export(
    organization: Organization,
    projects: Sequence[Project],
    user: User | None = None,
    *,
    data: bytes = DATA,
    spec: dict[str, Any] | None = None,
    **more: Any,
) -> ExportJob:
    """A job whose file lies in the storage."""
    now = timezone.now()
    name = storages["exports"].save(f"{secrets.token_hex(8)}/{FILE_NAME}", io.BytesIO(data))
    columns: dict[str, Any] = {
        "status": ExportJob.Status.COMPLETED,
        "attempt": 1,
        "rows_done": 1,
        "rows_total": 1,
        "row_count": 1,
        "file_size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "file": name,
        "stored": [name],
        "file_name": FILE_NAME,
        "content_type": "text/csv; charset=utf-8",
        "manifest": {"schema_version": 1, "rows": 1, "sums": {}, "snapshot": {}, "truncated": False, "cells_cut": 0},
        "started_at": now,
        "completed_at": now,
        "expires_at": now + timedelta(days=7),
        **more,
    }
    return export_job(export_spec(organization, projects, **(spec or {})), user, **columns)


def export_schedule(
    organization: Organization, projects: Sequence[Project], user: User | None, **more: Any
) -> ExportSchedule:
    """Costs of the day before, every night."""
    now = timezone.now()
    columns: dict[str, Any] = {
        "name": f"schedule {secrets.token_hex(4)}",
        "kind": "costs",
        "cron": "0 0 * * *",
        "period": "previous_day",
        "body": {"project": [project.slug for project in projects]},
        "project_ids": [project.pk for project in projects],
        "next_run_at": now + timedelta(days=1),
        "created_by": user,
        "author": user.email if user is not None else "",
        "created_at": now,
        "updated_at": now,
        **more,
    }
    return ExportSchedule.objects.create(organization=organization, **columns)
