"""Everybody who may knock at the API's door, and an example of every object that a path can name."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpResponseBase, StreamingHttpResponse
from django.test import Client
from django.utils import timezone

from apps.costs.budgets.models import Budget
from apps.costs.budgets.services import budget_create
from apps.costs.pricebook.models import PriceEntry
from apps.costs.pricebook.overrides import forget_books
from apps.costs.pricebook.services import price_create
from apps.costs.pricing import data_version
from apps.costs.repricing.models import RepriceJob
from apps.exports.links import path_of
from apps.exports.models import ExportJob, ExportSchedule
from apps.exports.rights import principal_again
from apps.orgs.audit import SYSTEM
from apps.orgs.authentication import forget_keys
from apps.orgs.models import AuditEntry, Invitation, Membership, Organization, Project, RateLimit, Role, User
from apps.orgs.projects import forget_projects
from apps.orgs.services import ANYTHING, api_key_create
from apps.orgs.tiers import bucket_names
from apps.traces.columns import SpanRow
from apps.traces.scores import Score
from apps.traces.scores_writer import write_scores
from apps.traces.writer import write
from tests.support.exports import FILE_NAME, export_schedule, finished_export
from tests.support.spans import span_row
from tests.support.surface import Route
from tests.support.table import ROLES, TABLE, permissions_of
from tests.support.world import World

PASSWORD = "correct horse battery 7"
TOKEN_PATH = "/api/v1/auth/token"


@dataclass(frozen=True)
class Caller:
    """One who asks: what they send, and what the contract lets them do.

    `kind` is anonymous, key, or user; `limited` says that they see one project of their organization.
    """

    name: str
    kind: str
    permissions: frozenset[str] = frozenset()
    headers: dict[str, str] = field(default_factory=dict)
    limited: bool = False
    member: bool = True
    superuser: bool = False
    user: User | None = None


@dataclass
class Example:
    """The same kind of object in one's own organization and in another; `foreign` is None where it has no owner."""

    own: Any
    foreign: Any = None


def lift_limits(organization: Organization) -> None:
    """Let an organization ask as often as a test does."""
    for name in bucket_names():
        RateLimit.objects.update_or_create(
            organization=organization, bucket=name, defaults={"per_minute": 10_000_000, "burst": 10_000_000}
        )


@contextmanager
def undone() -> Iterator[None]:
    """Take back whatever the block writes."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def ask(client: Client, caller: Caller, method: str, path: str, **more: Any) -> HttpResponseBase:
    """One request with an empty body; what it writes is taken back."""
    headers = {**caller.headers, **more.pop("headers", {})}
    with undone():
        answer: HttpResponseBase = client.generic(
            method, path, content_type="application/json", headers=headers, **more
        )
        if isinstance(answer, StreamingHttpResponse):
            b"".join(answer)  # to its end, as a caller reads it
    return answer


def keys_by_role(world: World) -> list[Caller]:
    """An API key of every role, for all of Acme and for its project `default`."""
    found = []
    for role in ROLES:
        for project in (None, world.default):
            _, text = world.new_key(role=role, project=project)
            name = f"{role} key{' of one project' if project else ''}"
            found.append(Caller(name, "key", permissions_of(role), bearer(text), limited=project is not None))
    return found


def keys_by_permission(world: World) -> list[Caller]:
    """A key for every permission of the table, which can do nothing else."""
    made = [(one, world.new_key(role="", permissions=[one])[1]) for one in TABLE]
    return [Caller(f"key with {one}", "key", frozenset({one}), bearer(text)) for one, text in made]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def users_by_role(world: World, client: Client) -> list[Caller]:
    """Members of every role with access tokens: of all projects, of `default` alone; a superuser; an outsider."""
    found = []
    for role in ROLES:
        for limited in (False, True):
            user = _user(f"{role}{'-limited' if limited else ''}@acme.example")
            member = Membership.objects.create(user=user, organization=world.acme, role=role, all_projects=not limited)
            if limited:
                member.projects.add(world.default)
            name = f"{role} user{' of one project' if limited else ''}"
            found.append(_signed_in(client, user, name, permissions_of(role), limited=limited))
    found.append(_signed_in(client, _user("nobody@acme.example"), "user of no organization", member=False))
    root = _user("root@hub.example", is_staff=True, is_superuser=True)
    found.append(_signed_in(client, root, "superuser of no organization", member=False, superuser=True))
    return found


def sessions_by_role(world: World) -> list[Caller]:
    """People of two roles who signed in on the pages: their cookie opens the API too."""
    found = []
    for role in (Role.ADMIN, Role.VIEWER):
        user = _user(f"{role}-session@acme.example")
        Membership.objects.create(user=user, organization=world.acme, role=role)
        browser = Client()
        browser.force_login(user)
        cookie = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={browser.cookies[settings.SESSION_COOKIE_NAME].value}"}
        found.append(Caller(f"{role} session", "user", permissions_of(role), cookie, user=user))
    return found


def _user(email: str, **more: Any) -> User:
    return User.objects.create_user(email, PASSWORD, **more)


def _signed_in(client: Client, user: User, name: str, permissions: frozenset[str] = frozenset(), **more: Any) -> Caller:
    # Sign-ins are limited by address.
    address = ".".join(["10", *(str(secrets.randbelow(250) + 1) for _ in range(3))])
    answer = client.post(
        TOKEN_PATH, {"email": user.email, "password": PASSWORD}, content_type="application/json", REMOTE_ADDR=address
    )
    assert answer.status_code == 200, answer.content
    return Caller(name, "user", permissions, bearer(answer.json()["access_token"]), user=user, **more)


ANONYMOUS = Caller("nobody", "anonymous")


# -- what paths name ----------------------------------------------------------------------------------------------

# By the segment before the parameter, or by the parameter's name: the object that stands there.
Maker = Callable[[Organization, Project, User], Any]


def _invitation(organization: Organization, project: Project, user: User) -> Invitation:
    token = secrets.token_urlsafe(32)
    made = Invitation.objects.create(
        organization=organization,
        email=f"guest@{organization.slug}.example",
        role=Role.VIEWER,
        token_sha256=hashlib.sha256(token.encode()).hexdigest(),
        expires_at=timezone.now() + timedelta(days=7),
        invited_by=user,
    )
    made.token = token  # type: ignore[attr-defined]  # the pages name it by that, the API by its id
    return made


def _member(organization: Organization, project: Project, user: User) -> Membership:
    person = _user(f"member-{secrets.token_hex(4)}@{organization.slug}.example", name=f"Member of {organization.slug}")
    return Membership.objects.create(user=person, organization=organization, role=Role.VIEWER)


def _audit(organization: Organization, project: Project, user: User) -> AuditEntry:
    return AuditEntry.objects.create(
        organization_id=organization.pk,
        outcome=AuditEntry.Outcome.DONE,
        actor_kind="user",
        actor=user.email,
        action="project.update",
        object_name=f"something of {organization.slug}",
    )


def _score(organization: Organization, project: Project, user: User) -> _Score:
    write_scores(
        [Score(project.pk, f"score-of-{organization.slug}", "relevance", "numeric", 0.5, timezone.now(), trace_id="t")]
    )
    return _Score(f"score-of-{organization.slug}")


def _session(organization: Organization, project: Project, user: User) -> _Session:
    """A conversation of one trace, whose ids nobody else has; it holds no request, so that no figure counts it."""
    made = _Session(f"session-of-{organization.slug}", hashlib.md5(organization.slug.encode()).hexdigest())  # noqa: S324
    now = int(timezone.now().timestamp())
    write(
        [
            span_row(
                project_id=project.pk,
                trace_id=made.trace_id,
                start_us=(now - 3_600) * 1_000_000,
                session_id=made.session_id,
                kind="chain",
                billable=False,
            )
        ]
    )
    return made


@dataclass(frozen=True)
class _Session:
    session_id: str
    trace_id: str


@dataclass(frozen=True)
class _Score:
    score_id: str


def _trace(organization: Organization, project: Project, user: User) -> SpanRow:
    row = span_row(project_id=project.pk, trace_id=secrets.token_hex(16), name=f"span of {organization.slug}")
    write([row], within_transaction=True)
    return row


def _price(organization: Organization, project: Project, user: User) -> PriceEntry:
    """Of a model that no story calls: it changes no cost."""
    model = f"model-{secrets.token_hex(4)}-of-{organization.slug}"
    version = price_create(actor=SYSTEM, by=ANYTHING, organization=organization, model=model, prices={"input": "1"})
    return version.entry


def _reprice(organization: Organization, project: Project, user: User) -> RepriceJob:
    now = timezone.now()
    return RepriceJob.objects.create(
        organization=organization,
        state=RepriceJob.State.COUNTED,
        start_time=now - timedelta(days=2),
        end_time=now - timedelta(days=1),
        project_ids=[project.pk],
        believed_at=now,
        price_list=data_version(),
        author=user.email,
        created_at=now,
    )


def _budget(organization: Organization, project: Project, user: User) -> Budget:
    return budget_create(
        actor=SYSTEM,
        by=ANYTHING,
        organization=organization,
        projects=[project],
        name=f"budget {secrets.token_hex(4)} of {organization.slug}",
        amount=Decimal(100),
        period="month",
    )


def _export(organization: Organization, project: Project, user: User) -> ExportJob:
    """A finished export with its file; of costs, which every role that exports may read."""
    return finished_export(organization, [project], user)


def _linked(organization: Organization, project: Project, user: User) -> _Linked:
    principal = principal_again(organization.pk, user_id=user.pk, key_id=None)
    return _Linked(path_of(_export(organization, project, user), principal).split("/")[-2])


@dataclass(frozen=True)
class _Linked:
    """A signed link; the file of every example has the same name."""

    token: str


def _schedule(organization: Organization, project: Project, user: User) -> ExportSchedule:
    """Of costs, too."""
    return export_schedule(organization, [project], user)


MAKERS: dict[str, Maker] = {
    "organizations": lambda organization, project, user: organization,
    "projects": lambda organization, project, user: project,
    "keys": lambda organization, project, user: api_key_create(
        organization=organization, name=f"key of {organization.slug}", role=Role.VIEWER, created_by=user
    )[0],
    "members": _member,
    "invitations": _invitation,
    "audit": _audit,
    "scores": _score,
    "traces": _trace,
    "sessions": _session,
    "prices": _price,
    "reprice": _reprice,
    "budgets": _budget,
    "jobs": _export,
    "files": _linked,
    "schedules": _schedule,
}
# What has no owner: any value that the route knows.
FIXED: dict[str, Any] = {"code": 1000, "name": "duration", "file_name": FILE_NAME}
# Whoever holds it may use it, so nobody can name another tenant's.
SECRETS = frozenset({"token"})


def make_examples(world: World) -> dict[str, Example]:
    """One of every object, of Acme's and of Zenith's."""
    cleo = User.objects.get(email="cleo@z.example")
    return {
        name: Example(make(world.acme, world.default, world.ada), make(world.zenith, world.zenith_project, cleo))
        for name, make in MAKERS.items()
    }


def fill(route: Route, examples: dict[str, Example], *, foreign: bool = False) -> str | None:
    """The route's path with examples in it; None for the foreign one of a path that names nothing owned.

    Raises:
        LookupError: saying what to add for a parameter that this module does not know.
    """
    values: dict[str, Any] = {}
    owned = False
    for name in route.parameters:
        before = re.search(rf"([^/{{}}]+)/{{{name}}}", route.path)
        kind = before[1] if before else name
        if name in FIXED:
            values[name] = FIXED[name]
        elif name in SECRETS and foreign:
            values[name], owned = "0" * 43, True
        elif kind in examples:
            one = examples[kind]
            values[name] = _named(one.foreign if foreign else one.own, name)
            owned = True
        else:
            raise LookupError(
                f"{route.path}: no example for {{{name}}}. Add how to make one under '{kind}' to MAKERS in "
                "tests/support/callers.py (or a value to FIXED, if it belongs to no organization)."
            )
    return None if foreign and not owned else route.at(**values)


def _named(thing: Any, parameter: str) -> Any:
    """What stands in a path for an object: the attribute of the parameter's name, else its primary key."""
    return getattr(thing, parameter, None) or thing.pk


@dataclass
class Stage:
    """A world with everybody in it."""

    world: World
    client: Client
    examples: dict[str, Example]
    roles: list[Caller]
    single: list[Caller]


def set_the_stage(world: World) -> Stage:
    """Make the callers and the examples."""
    lift_limits(world.acme)
    client = Client(raise_request_exception=False)
    client.defaults["HTTP_HOST"] = settings.ALLOWED_HOSTS[0] if settings.ALLOWED_HOSTS[0] != "*" else "testserver"
    roles = [ANONYMOUS, *keys_by_role(world), *users_by_role(world, client), *sessions_by_role(world)]
    made = Stage(world, client, make_examples(world), roles, keys_by_permission(world))
    forget_keys()
    forget_projects()
    forget_books()
    return made
