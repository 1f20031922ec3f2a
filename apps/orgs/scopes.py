"""Which projects a question is about: those that the caller sees and, where it names some, asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

from rest_framework.request import Request

from apps.common.errors import ApiError
from apps.common.reads.reading import bad
from apps.orgs.access import Principal, visible_project


def _no_such_project(slug: str) -> None:
    raise ApiError(1300, "There is no such project.", field="project", details={"project": slug[:64]})


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose question it is: one organization and the projects (slug to id) that the caller may see and asked for.

    Args:
        refuse: raises what a slug deserves that is not among the projects; returns if it was only not asked for.
    """

    organization_id: int
    projects: Mapping[str, int]
    refuse: Callable[[str], object] = _no_such_project


def scope_of(principal: Principal, slugs: str | None) -> Scope:
    """The projects that the caller sees and, where it names some, asked for."""
    if slugs is None:
        return Scope(principal.organization_id, dict(principal.project_ids), partial(visible_project, principal))
    names = [slug for slug in slugs.split(",") if slug]
    if not names:
        raise bad("project", "project is empty.")
    projects = {slug: visible_project(principal, slug) for slug in names}
    return Scope(principal.organization_id, projects, partial(visible_project, principal))


def principal_of(request: Request) -> Principal:
    """The caller, as the authentication classes put it there."""
    return cast("Principal", request.user)


def single_values(request: Request) -> Mapping[str, str]:
    """Query parameters; one given several times is a comma list."""
    return {name: ",".join(values) for name, values in request.query_params.lists()}
