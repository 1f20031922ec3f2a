"""The first organization, project, member and key, made by a command on the machine itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.db import connection, transaction

from apps.orgs.audit import SYSTEM
from apps.orgs.models import ApiKey, Membership, Organization, Project, Role, User
from apps.orgs.services.authority import ANYTHING
from apps.orgs.services.keys import key_create
from apps.orgs.services.members import member_add
from apps.orgs.services.organizations import organization_create
from apps.orgs.services.projects import project_create
from apps.orgs.services.rules import email_of
from apps.orgs.services.users import user_create


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """The outcome of `organization_bootstrap`; `created` names what was not there before."""

    organization: Organization
    project: Project
    user: User
    key: ApiKey
    api_key: str
    created: tuple[str, ...]


@transaction.atomic
def organization_bootstrap(*, organization: str, project: str, email: str, password: str | None) -> Bootstrapped:
    """Make what is missing of an organization, a project and its first member, and a fresh admin key for the project.

    Safe to repeat: what exists is left as it is (a known user's password too), only the key is new each time.

    Raises:
        ApiError: 12xx for bad fields.
    """
    with connection.cursor() as cursor:
        # Two of these at once would each find nothing there.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('hub.bootstrap'))")
    tenant = Organization.objects.filter(slug=organization).first()
    created = [] if tenant else ["organization"]
    if tenant is None:
        tenant = organization_create(actor=SYSTEM, slug=organization, project=None)
    place = Project.objects.filter(organization=tenant, slug=project).first()
    if place is None:
        place = project_create(organization=tenant, slug=project)
        created.append("project")
    user = User.objects.filter(email=email_of(email)).first()
    if user is None:
        user = user_create(actor=SYSTEM, email=email, password=password, any_password=True)
        created.append("user")
    if not Membership.objects.filter(user=user, organization=tenant).exists():
        member_add(actor=SYSTEM, by=ANYTHING, organization=tenant, user=user, role=Role.ADMIN)
        created.append("membership")
    by = replace(ANYTHING, user_id=user.pk)
    key, text = key_create(actor=SYSTEM, by=by, organization=tenant, project=place, name="bootstrap", role=Role.ADMIN)
    return Bootstrapped(tenant, place, user, key, text, tuple(created))
