"""Who asks a service for a change, in tests."""

from __future__ import annotations

from apps.orgs.access import PERMISSIONS
from apps.orgs.audit import Actor
from apps.orgs.models import Membership, Project
from apps.orgs.services import Authority

TESTER = Actor("user", 1, "tester@acme.example", "192.0.2.1", "req_test")


def holding(role: str, *projects: Project, permissions: frozenset[str] | None = None) -> Authority:
    """What a role holds, over all projects or these."""
    return Authority(
        PERMISSIONS[role] if permissions is None else permissions,
        all_projects=not projects,
        project_ids=frozenset(project.pk for project in projects),
    )


def of_member(membership: Membership) -> Authority:
    """What a member holds."""
    return Authority(
        PERMISSIONS[membership.role],
        all_projects=membership.all_projects,
        project_ids=frozenset(membership.projects.values_list("pk", flat=True)),
        user_id=membership.user_id,
    )
