"""Who belongs to an organization, as what, and for which projects.

Changes of one organization's members come one after another (its row is locked), so that two admins who remove each
other at once leave one of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from apps.common.errors import ApiError
from apps.orgs.audit import Actor, difference, record
from apps.orgs.authentication import forget_keys
from apps.orgs.models import Membership, Organization, Project, Role, User
from apps.orgs.services.authority import Authority, in_reach, role_permissions
from apps.orgs.services.rules import insert, locked


@transaction.atomic
def member_add(
    *,
    actor: Actor,
    by: Authority,
    organization: Organization,
    user: User,
    role: str,
    all_projects: bool = True,
    projects: Collection[Project] = (),
) -> Membership:
    """Make a person a member at once; others are invited.

    Raises:
        ApiError: 1100, 1101 and 1102 for more than the caller has, 12xx for bad fields, 1400 for a member.
    """
    organization = locked(organization)
    by.grants(role_permissions(role), field="role")
    check_reach(organization, all_projects=all_projects, projects=projects)
    by.within(all_projects=all_projects, projects=projects)
    membership = insert(
        Membership(user=user, organization=organization, role=role, all_projects=all_projects),
        taken=ApiError(1400, f"{user.email} is a member already.", field="email"),
    )
    membership.projects.set(projects)
    _record(actor, "member.add", membership, after=described(membership))
    transaction.on_commit(forget_keys)
    return membership


@transaction.atomic
def member_update(
    *,
    actor: Actor,
    by: Authority,
    membership: Membership,
    role: str | None = None,
    all_projects: bool | None = None,
    projects: Collection[Project] | None = None,
) -> Membership:
    """Change a member's role or projects. Naming projects alone narrows the membership to them.

    Raises:
        ApiError: 1100, 1101 and 1102 for more than the caller has or may touch, 12xx for bad fields, 1202 (field role)
            where the organization would be left without an admin.
    """
    membership, before = _hold(by, membership)
    organization = membership.organization
    was_admin = _is_full_admin(membership)
    if all_projects is None:
        all_projects = membership.all_projects and projects is None
    if projects is None:
        projects = [] if all_projects else list(membership.projects.all())
    if role is not None and role != membership.role:
        by.grants(role_permissions(role), field="role")
        membership.role = role
    check_reach(organization, all_projects=all_projects, projects=projects)
    by.within(all_projects=all_projects, projects=projects)
    membership.all_projects = all_projects
    after = {"role": membership.role, "all_projects": all_projects, "projects": _slugs(projects)}
    old, new = difference(before, after)
    if not new:
        return membership
    membership.save(update_fields=["role", "all_projects"])
    membership.projects.set(projects)
    if was_admin and not _is_full_admin(membership):
        _keep_an_admin(organization)
    _record(actor, "member.update", membership, before=old, after=new)
    transaction.on_commit(forget_keys)
    return membership


@transaction.atomic
def member_remove(*, actor: Actor, by: Authority, membership: Membership) -> None:
    """End a membership. The keys that the person made stay: they belong to the organization.

    Raises:
        ApiError: 1100 and 1102 for a member whom the caller could not have made, 1202 (field role) for the last admin.
    """
    membership, before = _hold(by, membership)
    member_id, was_admin = membership.pk, _is_full_admin(membership)
    membership.delete()
    if was_admin:
        _keep_an_admin(membership.organization)
    membership.pk = member_id
    _record(actor, "member.remove", membership, before=before)
    transaction.on_commit(forget_keys)


def members_in_reach(by: Authority, organization: Organization) -> QuerySet[Membership]:
    """The members whom the caller may see and touch: those of no project outside its own."""
    return in_reach(by, Membership.objects.filter(organization=organization), organization)


def described(membership: Membership) -> dict[str, Any]:
    """A membership, for the audit log."""
    slugs = [] if membership.all_projects else _slugs(membership.projects.all())
    return {"role": membership.role, "all_projects": membership.all_projects, "projects": slugs}


def check_reach(organization: Organization, *, all_projects: bool, projects: Collection[Project]) -> None:
    """All projects, or some of this organization.

    Raises:
        ApiError: 1202 for both or neither, 1300 for another organization's project.
    """
    if all_projects and projects:
        raise ApiError(1202, "Name projects, or say all_projects, not both.", field="projects")
    if not all_projects and not projects:
        raise ApiError(1202, "Name at least one project, or say all_projects.", field="projects")
    for project in projects:
        if project.organization_id != organization.pk:
            raise ApiError(1300, "There is no such project.", field="projects")


def _hold(by: Authority, membership: Membership) -> tuple[Membership, dict[str, Any]]:
    """The membership as it is now, with its organization locked, if the caller may touch it."""
    locked(membership.organization)
    present = Membership.objects.select_related("organization", "user").filter(pk=membership.pk).first()
    if present is None:
        raise ApiError(1300, "There is no such member.")
    if not members_in_reach(by, present.organization).filter(pk=present.pk).exists():
        raise ApiError(1102, "The member has projects outside your membership or key.")
    by.grants(role_permissions(present.role), field="role")
    return present, described(present)


def _is_full_admin(membership: Membership) -> bool:
    return membership.role == Role.ADMIN and membership.all_projects


def _keep_an_admin(organization: Organization) -> None:
    left = Membership.objects.filter(
        organization=organization, role=Role.ADMIN, all_projects=True, user__is_active=True
    )
    if not left.exists():
        message = "An organization keeps at least one admin with all projects. Make another one first."
        raise ApiError(1202, message, field="role")


def _slugs(projects: Collection[Project] | Any) -> Sequence[str]:
    return sorted(project.slug for project in projects)


def _record(actor: Actor, action: str, membership: Membership, **states: Any) -> None:
    record(
        actor,
        action,
        organization_id=membership.organization_id,
        object_type="member",
        object_id=str(membership.pk),
        object_name=membership.user.email,
        **states,
    )
