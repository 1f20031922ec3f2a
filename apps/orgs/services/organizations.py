"""Organizations: made by superusers, renamed by their admins."""

from __future__ import annotations

from django.db import transaction

from apps.common.errors import ApiError
from apps.orgs.audit import Actor, difference, record
from apps.orgs.models import Organization, Role, User
from apps.orgs.projects import DEFAULT_PROJECT
from apps.orgs.services.authority import ANYTHING, Authority
from apps.orgs.services.members import member_add
from apps.orgs.services.projects import project_create
from apps.orgs.services.rules import cleaned, insert, locked


@transaction.atomic
def organization_create(
    *, actor: Actor, slug: str, name: str = "", admin: User | None = None, project: str | None = DEFAULT_PROJECT
) -> Organization:
    """Make an organization with its first project; only superusers may, which the caller of this has asked.

    Args:
        admin: who becomes its first admin.
        project: the slug of its first project, if it is to have one.

    Raises:
        ApiError: 12xx for bad fields, 1400 for a slug that is taken.
    """
    organization = insert(
        Organization(slug=slug, name=name or slug),
        taken=ApiError(1400, f"There is an organization '{slug}' already.", field="slug"),
    )
    record(
        actor,
        "organization.create",
        organization_id=organization.pk,
        object_type="organization",
        object_id=str(organization.pk),
        object_name=organization.slug,
        after={"slug": organization.slug, "name": organization.name},
    )
    if project is not None:
        project_create(actor=actor, by=ANYTHING, organization=organization, slug=project)
    if admin is not None:
        member_add(actor=actor, by=ANYTHING, organization=organization, user=admin, role=Role.ADMIN)
    return organization


@transaction.atomic
def organization_update(*, actor: Actor, by: Authority, organization: Organization, name: str) -> Organization:
    """Rename an organization; its slug stays, since addresses and keys' users rely on it.

    Raises:
        ApiError: 1102 for those who see a part of its projects, 12xx for a bad name.
    """
    by.whole("Changing the organization")
    organization = locked(organization)
    before = {"name": organization.name}
    organization.name = name
    old, new = difference(before, {"name": name})
    if new:
        cleaned(organization).save(update_fields=["name"])
        record(
            actor,
            "organization.update",
            organization_id=organization.pk,
            object_type="organization",
            object_id=str(organization.pk),
            object_name=organization.slug,
            before=old,
            after=new,
        )
    return organization
