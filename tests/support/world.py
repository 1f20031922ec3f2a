"""The named world: Ada owns Acme, whose projects are `default` and `web`; Cleo's Zenith is somebody else's.

Ben is a viewer of all Acme, Dora a developer who sees its project `web` alone.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.test import Client

from apps.common import valkey
from apps.common.valkey import CacheDown
from apps.costs.pricebook.overrides import forget_books
from apps.orgs.authentication import forget_keys
from apps.orgs.models import ApiKey, Membership, Organization, Project, Role, User
from apps.orgs.projects import forget_projects
from apps.orgs.services import api_key_create, organization_bootstrap, project_create

PASSWORD = "correct horse battery"


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
    cleo: User
    ben: User
    dora: User
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    def get(self, path: str, *, key: str | None = None, **parameters: Any) -> Any:
        return self.client.get(path, parameters, headers={"Authorization": f"Bearer {key or self.wide_key}"})

    def send(self, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> Any:
        """A request with a JSON body (bytes are sent as they are)."""
        return self.client.generic(
            method,
            path,
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode(),
            content_type="application/json",
            headers={"Authorization": f"Bearer {key or self.wide_key}", **headers},
        )

    def new_person(self, email: str, role: str = Role.VIEWER, *projects: Project) -> User:
        """A member of Acme, of all its projects or of these."""
        user = User.objects.create_user(email, PASSWORD)
        membership = Membership.objects.create(user=user, organization=self.acme, role=role, all_projects=not projects)
        membership.projects.set(projects)
        return user

    def member_of(self, user: User) -> Membership:
        return Membership.objects.get(user=user, organization=self.acme)

    def new_key(self, **options: Any) -> tuple[ApiKey, str]:
        """A key of Acme; without options a viewer's for all projects."""
        return api_key_create(organization=self.acme, **{"role": Role.VIEWER, **options})


def make_world() -> World:
    """Make it, and forget what this process remembers of an earlier one."""
    forget_keys()
    forget_projects()
    forget_books()
    _forget_answers()
    acme = organization_bootstrap(organization="acme", project="default", email="ada@acme.example", password=PASSWORD)
    zenith = organization_bootstrap(organization="zenith", project="secret", email="cleo@z.example", password=PASSWORD)
    web = project_create(organization=acme.organization, slug="web")
    _, wide = api_key_create(organization=acme.organization, role=Role.ADMIN)
    made = World(
        acme=acme.organization,
        default=acme.project,
        web=web,
        ada=acme.user,
        key=acme.api_key,
        wide_key=wide,
        zenith=zenith.organization,
        zenith_project=zenith.project,
        zenith_key=zenith.api_key,
        cleo=zenith.user,
        ben=acme.user,
        dora=acme.user,
    )
    made.ben = made.new_person("ben@acme.example")
    made.dora = made.new_person("dora@acme.example", Role.DEVELOPER, web)
    return made


def _forget_answers() -> None:
    """The numbers of organizations begin anew with each test; answers kept and tokens charged must not stay."""
    with suppress(CacheDown):
        valkey.call(lambda client: client.flushdb())
