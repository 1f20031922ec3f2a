"""Projects and what holds in them: retention, content, redaction, the spans they take."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypedDict, Unpack

from django.db import transaction

from apps.common.edge.exceptions import from_problems
from apps.common.errors import ApiError
from apps.orgs.audit import SYSTEM, Actor, difference, record
from apps.orgs.authentication import forget_keys
from apps.orgs.models import Organization, Project
from apps.orgs.projects import forget_projects
from apps.orgs.services.authority import ANYTHING, Authority
from apps.orgs.services.rules import cleaned, insert

MAX_RETENTION_DAYS = 3650
MAX_SPANS_PER_MINUTE = 2_000_000_000  # the column is a four-byte integer

# What further apps have to say of a project before it is saved: (field, sentence) pairs. They register themselves,
# since this app knows none of them.
Validator = Callable[[Project], Iterable[tuple[str, str]]]
_validators: list[Validator] = []


class ProjectSettings(TypedDict, total=False):
    """What can be set of a project; null means that the installation's setting holds."""

    name: str
    raw_retention_days: int | None
    content_retention_days: int | None
    store_content: bool
    redact_patterns: list[str]
    redact_custom: list[str]
    spans_per_minute: int | None


SETTINGS = tuple(ProjectSettings.__annotations__)


def add_project_validator(validator: Validator) -> None:
    """Have projects checked by another app too; called from its `AppConfig.ready`."""
    if validator not in _validators:
        _validators.append(validator)


@transaction.atomic
def project_create(
    *,
    organization: Organization,
    slug: str,
    actor: Actor = SYSTEM,
    by: Authority = ANYTHING,
    **settings: Unpack[ProjectSettings],
) -> Project:
    """Make a project; by default as a command on the machine itself does.

    Raises:
        ApiError: 1102 for those who see a part of the projects, 12xx for bad fields, 1400 for a slug that is taken.
    """
    by.whole("Making projects")
    project = Project(organization=organization, slug=slug, **{**settings, "name": settings.get("name") or slug})
    _check(project)
    insert(project, taken=ApiError(1400, f"There is a project '{slug}' already.", field="slug"))
    _record(actor, "project.create", project, after={"slug": project.slug, **described(project)})
    transaction.on_commit(_forget)
    return project


@transaction.atomic
def project_update(*, actor: Actor, by: Authority, project: Project, **settings: Unpack[ProjectSettings]) -> Project:
    """Change what is given; ingest follows within ten seconds.

    Raises:
        ApiError: 1101 for a hidden project, 12xx for bad fields.
    """
    by.within(all_projects=False, projects=[project])
    project = Project.objects.select_for_update().get(pk=project.pk)
    before = described(project)
    for name, value in settings.items():
        setattr(project, name, value)
    old, new = difference(before, described(project))
    if new:
        _check(project)
        cleaned(project).save(update_fields=list(new))
        _record(actor, "project.update", project, before=old, after=new)
        transaction.on_commit(_forget)
    return project


def described(project: Project) -> dict[str, Any]:
    """A project's settings, for the audit log."""
    return {name: getattr(project, name) for name in SETTINGS}


def _check(project: Project) -> None:
    problems = [*_figures(project)]
    lists_are_lists = True
    for name in ("redact_patterns", "redact_custom"):
        value = getattr(project, name)
        if not isinstance(value, list) or not all(isinstance(item, str) and "\x00" not in item for item in value):
            lists_are_lists = False
            problems.append((name, f"{name} must be a list of texts without null characters."))
    if lists_are_lists:
        problems += [row for validator in _validators for row in validator(project)]
    if problems:
        raise from_problems([(field, message, "") for field, message in problems])


def _figures(project: Project) -> Iterable[tuple[str, str]]:
    highest = {
        "raw_retention_days": MAX_RETENTION_DAYS,
        "content_retention_days": MAX_RETENTION_DAYS,
        "spans_per_minute": MAX_SPANS_PER_MINUTE,
    }
    for name, most in highest.items():
        value = getattr(project, name)
        if value is not None and not (type(value) is int and 1 <= value <= most):
            yield name, f"{name} must be a whole number from 1 to {most}, or null."


def _forget() -> None:
    forget_projects()
    forget_keys()


def _record(actor: Actor, action: str, project: Project, **states: Any) -> None:
    record(
        actor,
        action,
        organization_id=project.organization_id,
        project_id=project.pk,
        object_type="project",
        object_id=str(project.pk),
        object_name=project.slug,
        **states,
    )
