"""Exports made in the bench's own process, on the database of a running hub."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.exports.spec import Column, ExportSpec
from bench.hub import Hub

if TYPE_CHECKING:
    from apps.exports.produce import Produced


def set_up(hub: Hub) -> None:
    """Read Django's settings for this hub's database."""
    os.environ |= {"DATABASE_URL": hub.database_url, "DJANGO_SETTINGS_MODULE": "analytics_hub.settings"}
    os.environ |= {"HUB_DATA_DIR": str(hub.data_dir), "CACHE_ENABLED": "false"}
    import django

    django.setup()


def spec_of(project_id: int, start: datetime, end: datetime, *, content: bool = True, **body: Any) -> ExportSpec:
    """An export of the bench's spans in a range, of all columns or of those without content."""
    from apps.common.reads.reading import Problems
    from apps.exports import asking
    from apps.orgs.access import PERMISSIONS, Principal
    from apps.orgs.models import Project, Role
    from apps.orgs.scopes import scope_of

    project = Project.objects.select_related("organization").get(pk=project_id)
    principal = Principal(
        organization_id=project.organization_id,
        organization_slug=project.organization.slug,
        project_ids={project.slug: project.pk},
        permissions=PERMISSIONS[Role.ADMIN],
        name="bench",
        all_projects=True,
    )
    asked = {"start_time": start.isoformat(), "end_time": end.isoformat(), "cut_long_cells": True, **body}
    if content:
        scope = scope_of(principal, None)
        columns = asking.READERS["traces"].read({}, scope, (start, end), Problems()).columns
        asked.setdefault("fields", [column.name for column in columns])
    return asking.spec_of("traces", asked, principal, end)


def exported(spec: ExportSpec, folder: Path) -> tuple[Path, Produced, tuple[Column, ...]]:
    """A file made of it."""
    from apps.exports.produce import produce
    from apps.exports.sources import source_of

    partial = folder / "partial"
    with partial.open("wb") as out:
        produced = produce(spec, out, job_id="bench", progress=lambda rows, total: None, scratch=folder)
    path = partial.rename(folder / produced.file_name)
    return path, produced, source_of(spec).columns
