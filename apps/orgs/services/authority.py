"""What the caller of a service holds, and so may hand on: nobody grants what they do not have."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TypeVar

from django.db.models import QuerySet

from apps.common.errors import ApiError
from apps.orgs.access import KNOWN_PERMISSIONS, PERMISSIONS, Principal
from apps.orgs.models import ApiKey, Invitation, Membership, Organization, Project, User

ALL_KEYS, OWN_KEYS = "keys:manage", "keys:manage_own"


@dataclass(frozen=True, slots=True)
class Authority:
    """The permissions and projects of whoever asks for a change.

    Args:
        project_ids: the projects it may see; without meaning where `all_projects`.
        user_id: the person; for a key the one who made it.
        key: the key that asks, where it is one.
    """

    permissions: frozenset[str]
    all_projects: bool
    project_ids: frozenset[int] = frozenset()
    user_id: int | None = None
    key: ApiKey | None = None

    def grants(self, permissions: Iterable[str], *, field: str) -> None:
        """Let only those pass who hold everything that they hand on.

        Raises:
            ApiError: 1100, naming what is missing.
        """
        missing = sorted(frozenset(permissions) - held(self.permissions))
        if missing:
            message = f"Nobody grants what they do not hold; you lack {', '.join(missing)}."
            raise ApiError(1100, message, field=field, details={"missing_permissions": missing})

    def person(self) -> User | None:
        """Who asks, or who made the key that does."""
        return None if self.user_id is None else User.objects.filter(pk=self.user_id).first()

    def covers(self, project_ids: Collection[int]) -> bool:
        """Whether all these projects are in sight."""
        return self.all_projects or self.project_ids.issuperset(project_ids)

    def within(self, *, all_projects: bool, projects: Collection[Project]) -> None:
        """Let a reach pass that is no wider than the caller's own.

        Raises:
            ApiError: 1102 for all projects of the organization, 1101 for a hidden one.
        """
        if all_projects and not self.all_projects:
            message = "Without a project named this is for all of the organization, which you do not see: name some."
            raise ApiError(1102, message)
        for project in projects:
            if not self.covers((project.pk,)):
                message = "The project is outside your membership or key."
                raise ApiError(1101, message, field="projects", details={"project": project.slug})

    def whole(self, what: str) -> None:
        """Let only those pass who see all projects of the organization.

        Raises:
            ApiError: 1102.
        """
        if not self.all_projects:
            raise ApiError(1102, f"{what} is only for those who see all projects of the organization.")


# Superusers in Django's admin and commands on the machine itself.
ANYTHING = Authority(KNOWN_PERMISSIONS, all_projects=True)


def authority_of(principal: Principal) -> Authority:
    """What an authenticated caller may hand on."""
    key = ApiKey.objects.filter(pk=principal.key_id).first() if principal.key_id is not None else None
    return Authority(
        permissions=principal.permissions,
        all_projects=principal.all_projects,
        project_ids=frozenset(principal.project_ids.values()),
        user_id=key.created_by_id if key else principal.user_id,
        key=key,
    )


def held(permissions: Iterable[str]) -> frozenset[str]:
    """Permissions with what they imply: who manages all keys manages their own."""
    given = frozenset(permissions)
    return given | {OWN_KEYS} if ALL_KEYS in given else given


def role_permissions(role: str) -> frozenset[str]:
    """What a role may do.

    Raises:
        ApiError: 1202 for a role that does not exist.
    """
    found = PERMISSIONS.get(role)
    if found is None:
        roles = ", ".join(PERMISSIONS)
        raise ApiError(1202, f"There is no role {role[:64]!r}. Roles: {roles}.", field="role")
    return found


R = TypeVar("R", Membership, Invitation)


def in_reach(by: Authority, found: QuerySet[R], organization: Organization) -> QuerySet[R]:
    """Of memberships or invitations of an organization those that the caller may see and touch.

    A caller limited to some projects reaches what is limited to these, and nothing that covers a project outside them.
    """
    if by.all_projects:
        return found
    outside = Project.objects.filter(organization=organization).exclude(pk__in=by.project_ids)
    return found.filter(all_projects=False).exclude(projects__in=outside)
