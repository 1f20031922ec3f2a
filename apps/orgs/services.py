"""What changes tenants: organizations, projects, members, keys."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from apps.orgs.authentication import secret_hash
from apps.orgs.models import ApiKey, Membership, Organization, Project, Role, User


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """The outcome of `organization_bootstrap`; `created` names what was not there before."""

    organization: Organization
    project: Project
    user: User
    key: ApiKey
    api_key: str
    created: tuple[str, ...]


def api_key_create(
    *,
    organization: Organization,
    project: Project | None = None,
    name: str = "key",
    role: str = "",
    permissions: Sequence[str] = (),
    expires_at: datetime | None = None,
    created_by: User | None = None,
) -> tuple[ApiKey, str]:
    """Make an API key; its text is returned here and can never be had again.

    Raises:
        ValueError: for a key that could do nothing, or whose project is another organization's.
    """
    if not role and not permissions:
        raise ValueError("an API key needs a role or permissions")
    if project is not None and project.organization_id != organization.pk:
        raise ValueError("the project belongs to another organization")
    public_id, secret = secrets.token_hex(8), secrets.token_hex(32)
    key = ApiKey(
        organization=organization,
        project=project,
        name=name,
        public_id=public_id,
        secret_sha256=secret_hash(secret),
        role=role,
        permissions=list(permissions),
        expires_at=expires_at,
        created_by=created_by,
    )
    key.full_clean()
    key.save()
    return key, f"ah_{public_id}_{secret}"


def project_create(*, organization: Organization, slug: str, name: str = "") -> Project:
    """Make a project. Raises ValidationError for a bad or taken slug."""
    project = Project(organization=organization, slug=slug, name=name or slug)
    project.full_clean()
    project.save()
    return project


def _organization(slug: str) -> tuple[Organization, bool]:
    found = Organization.objects.filter(slug=slug).first()
    if found is not None:
        return found, False
    organization = Organization(slug=slug, name=slug)
    organization.full_clean()
    organization.save()
    return organization, True


def _user(email: str, password: str | None) -> tuple[User, bool]:
    found = User.objects.filter(email=email.lower()).first()
    if found is not None:
        return found, False
    return User.objects.create_user(email, password), True


@transaction.atomic
def organization_bootstrap(*, organization: str, project: str, email: str, password: str | None) -> Bootstrapped:
    """Make what is missing of an organization, a project and its first member, and a fresh admin key for the project.

    Safe to repeat: what exists is left as it is (a known user's password too), only the key is new each time.
    """
    with connection.cursor() as cursor:
        # Two of these at once would each find nothing there.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('hub.bootstrap'))")
    tenant, new_tenant = _organization(organization)
    place = Project.objects.filter(organization=tenant, slug=project).first()
    new_place = place is None
    if place is None:
        place = project_create(organization=tenant, slug=project)
    user, new_user = _user(email, password)
    _, new_member = Membership.objects.get_or_create(
        user=user, organization=tenant, defaults={"role": Role.ADMIN, "all_projects": True}
    )
    key, text = api_key_create(organization=tenant, project=place, name="bootstrap", role=Role.ADMIN, created_by=user)
    made = {"organization": new_tenant, "project": new_place, "user": new_user, "membership": new_member}
    return Bootstrapped(tenant, place, user, key, text, tuple(name for name, new in made.items() if new))
