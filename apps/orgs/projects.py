"""Where a sender's spans land, and what holds there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest

from apps.common.cells import Expiring
from apps.common.errors import ApiError
from apps.common.rates.bucket import Bucket
from apps.orgs.access import Principal, visible_project
from apps.orgs.authentication import CACHE_SECONDS
from apps.orgs.models import Project
from apps.orgs.tiers import span_bucket

DEFAULT_PROJECT = "default"
_HEADERS = ("X-Project", "x-project-name")
_MLFLOW_HEADER = "x-mlflow-experiment-id"


@dataclass(frozen=True, slots=True)
class IngestProject:
    """What ingest needs to know of a project; up to ten seconds old."""

    id: int
    slug: str
    organization_id: int
    store_content: bool
    redact_patterns: tuple[str, ...]
    redact_custom: tuple[str, ...]
    raw_retention_days: int
    content_retention_days: int
    spans_per_minute: int | None = None


_cache: Expiring[int, IngestProject] = Expiring(CACHE_SECONDS)
_limited: Expiring[int, dict[int, int]] = Expiring(CACHE_SECONDS)  # by organization: spans a minute by project


def forget_projects() -> None:
    """Empty this process's cache of projects."""
    _cache.clear()
    _limited.clear()


def ingest_project(project_id: int) -> IngestProject:
    """A project's ingest settings by id.

    Raises:
        ApiError: 1300 when it is gone.
    """
    found = _cache.get(project_id)
    if found is None:
        project = Project.objects.filter(pk=project_id).first()
        if project is None:
            raise ApiError(1300, "There is no such project.", field="project")
        found = _from_model(project)
        _cache.put(project_id, found)
    return found


def _from_model(project: Project) -> IngestProject:
    return IngestProject(
        id=project.pk,
        slug=project.slug,
        organization_id=project.organization_id,
        store_content=project.store_content,
        redact_patterns=tuple(project.redact_patterns),
        redact_custom=tuple(project.redact_custom),
        raw_retention_days=project.raw_retention_days or settings.HUB.raw_retention_days,
        content_retention_days=project.content_retention_days or settings.HUB.content_retention_days,
        spans_per_minute=project.spans_per_minute,
    )


def span_buckets(principal: Principal) -> Mapping[int, Bucket]:
    """Of the projects where a sender's spans may land, the buckets of those that have a limit, by project id."""
    organization_id, project_id = principal.organization_id, principal.key_project_id
    limited = _limited.get(organization_id)
    if limited is None:
        projects = Project.objects.filter(organization_id=organization_id, spans_per_minute__isnull=False)
        limited = {pk: figure for pk, figure in projects.values_list("pk", "spans_per_minute") if figure is not None}
        _limited.put(organization_id, limited)
    return {
        pk: span_bucket(organization_id, pk, figure)
        for pk, figure in limited.items()
        if project_id is None or pk == project_id
    }


def project_for_ingest(principal: Principal, request: HttpRequest | None, hint: str | None = None) -> IngestProject:
    """The project in which a sender's spans land.

    A project's key decides alone. An organization's key is sent to the project named by `X-Project`,
    `x-project-name`, the hint (the resource's `openinference.project.name`) or `x-mlflow-experiment-id`, in this
    order, else to `default`. Nothing is created by a span.

    Raises:
        ApiError: 1300 for a slug that does not exist, 1101 for one that the caller may not use.
    """
    if principal.key_project_id is not None:
        return ingest_project(principal.key_project_id)
    headers = request.headers if request is not None else {}
    named = [headers.get(name) for name in _HEADERS] + [hint, headers.get(_MLFLOW_HEADER)]
    slug = next((name.strip() for name in named if name and name.strip()), DEFAULT_PROJECT)
    return ingest_project(visible_project(principal, slug))
