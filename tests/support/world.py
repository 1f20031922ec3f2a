"""The named world: Ada owns Acme, whose projects are `default` and `web`; Cleo's Zenith is somebody else's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.test import Client

from apps.orgs.authentication import forget_keys
from apps.orgs.models import ApiKey, Organization, Project, Role, User
from apps.orgs.projects import forget_projects
from apps.orgs.services import api_key_create, organization_bootstrap, project_create


@dataclass
class World:
    """Two organizations; `key` is Ada's admin key for `default`, `wide_key` is one for all of Acme."""

    acme: Organization
    default: Project
    web: Project
    ada: User
    key: str
    wide_key: str
    zenith: Organization
    zenith_project: Project
    zenith_key: str
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    def get(self, path: str, *, key: str | None = None, **parameters: Any) -> Any:
        return self.client.get(path, parameters, headers={"Authorization": f"Bearer {key or self.wide_key}"})

    def new_key(self, **options: Any) -> tuple[ApiKey, str]:
        """A key of Acme; without options a viewer's for all projects."""
        return api_key_create(organization=self.acme, **{"role": Role.VIEWER, **options})


def make_world() -> World:
    """Make it, and forget what this process remembers of an earlier one."""
    forget_keys()
    forget_projects()
    acme = organization_bootstrap(organization="acme", project="default", email="ada@acme.example", password="x")
    zenith = organization_bootstrap(organization="zenith", project="secret", email="cleo@z.example", password="x")
    web = project_create(organization=acme.organization, slug="web")
    _, wide = api_key_create(organization=acme.organization, role=Role.ADMIN)
    return World(
        acme=acme.organization,
        default=acme.project,
        web=web,
        ada=acme.user,
        key=acme.api_key,
        wide_key=wide,
        zenith=zenith.organization,
        zenith_project=zenith.project,
        zenith_key=zenith.api_key,
    )
