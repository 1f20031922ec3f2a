"""Who gets through which door: every route x method x caller x tenant, against the contract's table.

The table is tests/support/table.py, not the code's. Allowed is anything but 401 and 403; denied is 403 with code 1100
that names the permission; another tenant's object is 404; nobody at all is 401 with code 1000. Bodies are empty:
validation comes after the door. Whatever a request writes is taken back.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponseBase
from django.test import Client

from apps.orgs.access import KNOWN_PERMISSIONS, PERMISSIONS
from apps.orgs.authentication import forget_keys
from apps.orgs.models import Membership, User
from apps.orgs.views import ReadView
from tests.support.callers import PASSWORD, Caller, Stage, ask, fill, undone
from tests.support.surface import METHODS, NO_ENVELOPE, Route, admin_routes, api_routes
from tests.support.table import (
    ACCOUNT,
    ALSO,
    AUTHENTICATED,
    FURTHER,
    INSTALLATION,
    NEEDS,
    OPEN,
    PUBLIC,
    ROLES,
    SIGNED_IN,
    TABLE,
    UNSEEN,
    permissions_of,
)

pytestmark = pytest.mark.django_db
ROUTES = api_routes()
every_route = pytest.mark.parametrize("route", ROUTES, ids=str)


def test_the_codes_table_is_the_contracts() -> None:
    assert {role: permissions_of(role) for role in ROLES} == {str(role): held for role, held in PERMISSIONS.items()}
    assert set(TABLE) == KNOWN_PERMISSIONS


@every_route
def test_every_route_declares_what_it_needs(route: Route) -> None:
    assert route.declared, f"{route.path} declares no required_permission (apps.orgs.door.requires, or an attribute)"
    needed = {method: one for method in METHODS if (one := route.needs(method)) is not None}
    unknown = {method: one for method, one in needed.items() if one not in TABLE and one not in FURTHER}
    assert not unknown, f"{route.path} needs {unknown}, which the permission table does not have"
    undeclared = sorted(route.offered_by_class - set(needed))
    assert not undeclared, f"{route.path} offers {undeclared} and does not declare what they need"


def test_every_route_asks_for_what_is_written_down() -> None:
    """A new route is added to NEEDS (or, if the whole world may use it, to OPEN) of tests/support/table.py."""
    declared = {
        f"{method} {route.path}": needed
        for route in ROUTES
        for method in METHODS
        if method != "HEAD" and (needed := route.needs(method)) is not None
    }
    assert {one: needed for one, needed in declared.items() if needed != PUBLIC} == NEEDS
    assert {one for one, needed in declared.items() if needed == PUBLIC} == OPEN


def code_of(answer: HttpResponseBase) -> tuple[int, str]:
    """The error code and the whole text of an answer; 0 where it has no envelope (OTLP and Langfuse-shaped paths)."""
    text = getattr(answer, "content", b"").decode("utf-8", "replace")
    try:
        error = json.loads(text).get("error")
    except (ValueError, AttributeError):
        return 0, text
    return (int(error["code"]), text) if isinstance(error, dict) else (0, text)


def is_page(route: Route) -> bool:
    """Pages for people lead to the sign-in page where the API answers 401."""
    return not route.path.startswith(("/api/", "/v1/"))


def is_kept(route: Route) -> bool:
    """Whether answers are kept and given again in front of the view."""
    return isinstance(route.view_class, type) and issubclass(route.view_class, ReadView)


def may(caller: Caller, needed: str) -> bool:
    """What the contract says."""
    if needed == PUBLIC:
        return True
    if needed == AUTHENTICATED:
        return caller.kind != "anonymous"
    if needed == SIGNED_IN:
        return caller.kind != "anonymous" and caller.member
    if needed == ACCOUNT:
        return caller.kind == "user"
    if needed == INSTALLATION:
        return caller.superuser
    if needed == "keys:manage_own" and "keys:manage" in caller.permissions:
        return True
    return needed in caller.permissions


def left_to_the_services(caller: Caller, needed: str) -> set[int]:
    """Refusals of one object to whoever holds the permission: the rules of the services, tested beside them."""
    codes = set()
    if caller.limited:
        codes |= {1101, 1102}
    if needed == "keys:manage_own" and "keys:manage" not in caller.permissions:
        codes.add(1102)  # another person's key
    if needed in ("keys:manage_own", "members:manage") and not caller.permissions >= permissions_of("admin"):
        codes.add(1100)  # nobody hands on, or takes over, what they do not hold
    return codes


def problem(route: Route, method: str, caller: Caller, answer: HttpResponseBase, *, foreign: bool) -> str | None:
    """What is wrong with an answer; None where it is as the contract wants."""
    needed = route.needs(method)
    assert needed is not None
    status, (code, text) = answer.status_code, code_of(answer)
    bare = method == "HEAD" or code == 0
    if status >= 500:
        return f"{status} {text[:200]}"
    if caller.kind == "anonymous" and needed != PUBLIC:
        if is_page(route) and status in (302, 303) and "next=" in answer["Location"]:
            return None
        return None if status == 401 and (bare or code == 1000) else f"wants 401 (1000), got {status} ({code})"
    if may(caller, needed):
        also, unseen = (table.get(f"{'GET' if method == 'HEAD' else method} {route.path}") for table in (ALSO, UNSEEN))
        if unseen is not None and unseen not in caller.permissions and caller.member:
            return None if status == 404 else f"wants 404 without {unseen}, got {status} ({code}) {text[:120]}"
        needed = also if also is not None and caller.member else needed
    if not may(caller, needed):
        named = (bare and method == "HEAD") or needed in text
        right = status == 403 and (bare or code == 1100) and named
        return None if right else f"wants 403 (1100 naming {needed}), got {status} ({code}) {text[:120]}"
    if foreign and needed != PUBLIC:  # an invitation's link opens for whoever holds it
        if caller.superuser and needed == AUTHENTICATED:
            return None  # superusers run every organization
        return None if status == 404 else f"wants 404 for another tenant's object, got {status} ({code}) {text[:120]}"
    if status == 403 and (codes := left_to_the_services(caller, needed)) and (code in codes or method == "HEAD"):
        return None
    if status in (401, 403):
        return f"holds {needed} and is answered {status} ({code}) {text[:120]}"
    if status == 404 and needed == AUTHENTICATED and not caller.member:
        return None
    if status in (404, 405) and not caller.limited and needed != PUBLIC:
        return f"may do it and is answered {status} ({code}) {text[:120]}"
    return None


def problems(stage: Stage, route: Route, callers: list[Caller], *, foreign: bool) -> list[str]:
    path = fill(route, stage.examples, foreign=foreign)
    if path is None:
        return []
    found = []
    for method in METHODS:
        if (needed := route.needs(method)) is None:
            continue
        # A few are enough where nobody is asked who they are.
        for caller in callers[:3] if needed == PUBLIC else callers:
            # Twice where an answer may have been kept from the first time.
            for _ in range(2 if is_kept(route) and method == "GET" else 1):
                wrong = problem(route, method, caller, ask(stage.client, caller, method, path), foreign=foreign)
                if wrong:
                    found.append(f"{method} {path} as {caller.name}: {wrong}")
    return found


@every_route
def test_every_role_gets_what_the_table_says(stage: Stage, route: Route) -> None:
    assert problems(stage, route, stage.roles, foreign=False) == []


@every_route
def test_every_single_permission_opens_its_own_doors_only(stage: Stage, route: Route) -> None:
    assert problems(stage, route, stage.single, foreign=False) == []


@pytest.mark.parametrize("route", [route for route in ROUTES if route.parameters], ids=str)
def test_another_tenants_objects_do_not_exist(stage: Stage, route: Route) -> None:
    assert problems(stage, route, [*stage.roles, *stage.single], foreign=True) == []


@every_route
def test_what_is_not_declared_is_not_offered(stage: Stage, route: Route) -> None:
    path = fill(route, stage.examples)
    assert path is not None
    admins = [caller for caller in stage.roles if caller.superuser or caller.name.startswith("admin")]
    for method in (*METHODS, "OPTIONS", "TRACE", "PROPFIND"):
        if route.needs(method) is not None and method in METHODS:
            continue
        for caller in [*admins, stage.roles[0]]:
            answer = ask(stage.client, caller, method, path)
            # Nobody at all may be told to sign in first.
            fitting = (405,) if caller.kind != "anonymous" else (405, 401, 302)
            assert answer.status_code in fitting, f"{method} {path} as {caller.name}: {answer.status_code}"


@pytest.mark.parametrize("route", [route for route in ROUTES if route.needs("GET") not in (None, PUBLIC)], ids=str)
def test_another_tenants_project_cannot_be_named(stage: Stage, route: Route) -> None:
    """`?project=` of another tenant is 404, a hidden one of one's own 403 (1101), no parameter 400."""
    needed, path = route.needs("GET"), fill(route, stage.examples)
    assert needed is not None
    for caller in stage.roles:
        if not may(caller, needed) or caller.kind == "anonymous":
            continue
        answer = ask(stage.client, caller, "GET", f"{path}?project={stage.world.zenith_project.slug}")
        assert answer.status_code in (400, 404), f"{path} as {caller.name}: {answer.status_code}"
        if caller.limited:
            answer = ask(stage.client, caller, "GET", f"{path}?project={stage.world.web.slug}")
            known = answer.status_code == 403 and code_of(answer)[0] == 1101
            assert known or answer.status_code == 400, f"{path} as {caller.name}: {answer.status_code}"


@every_route
def test_another_tenant_cannot_be_named(stage: Stage, route: Route) -> None:
    """`X-Organization` of another organization does not exist for whoever has credentials."""
    path = fill(route, stage.examples)
    assert path is not None
    for method in METHODS:
        needed = route.needs(method)
        if needed in (None, PUBLIC):
            continue
        for caller in stage.roles:
            if caller.kind == "anonymous" or is_page(route) or not caller.member:
                continue
            answer = ask(stage.client, caller, method, path, headers={"X-Organization": stage.world.zenith.slug})
            code = code_of(answer)[0]
            right = answer.status_code == 404 and (code == 1300 or method == "HEAD" or path.startswith(NO_ENVELOPE))
            assert right, f"{method} {path} as {caller.name}: {answer.status_code} ({code})"


def test_whoever_has_two_organizations_names_one(stage: Stage) -> None:
    caller = next(one for one in stage.roles if one.name == "viewer user")
    assert caller.user is not None
    with undone():
        Membership.objects.create(user=caller.user, organization=stage.world.zenith, role="admin")
        forget_keys()
        answer = ask(stage.client, caller, "GET", "/api/v1/metrics/catalog")
        assert (answer.status_code, code_of(answer)[0]) == (400, 1201)
        named = {"X-Organization": stage.world.acme.slug}
        assert ask(stage.client, caller, "GET", "/api/v1/metrics/catalog", headers=named).status_code == 200
        # A viewer in Acme stays one, whatever they are elsewhere.
        assert ask(stage.client, caller, "POST", "/api/v1/metrics/query", headers=named).status_code == 403
        other = {"X-Organization": stage.world.zenith.slug}
        assert ask(stage.client, caller, "POST", "/api/v1/metrics/query", headers=other).status_code == 400
    forget_keys()


# -- Django admin --------------------------------------------------------------------------------------------------

_OPEN_ADMIN = {"login", "logout"}


def test_admin_lets_only_staff_in(stage: Stage) -> None:
    """The pages of Django admin: whoever is not staff is led to the sign-in page or refused."""
    for route in admin_routes():
        refuses_all_but_staff(stage, route)


def refuses_all_but_staff(stage: Stage, route: Route) -> None:
    path = route.at(**dict.fromkeys(route.parameters, "1"))
    member = Client(raise_request_exception=False)
    User.objects.filter(pk=stage.world.ada.pk).update(is_staff=False)
    member.force_login(stage.world.ada)
    for client in (Client(raise_request_exception=False), member):
        for method in ("GET", "POST"):
            if route.name in _OPEN_ADMIN:
                continue
            with transaction.atomic():
                answer: Any = client.generic(method, path)
                transaction.set_rollback(True)
            assert answer.status_code in (302, 401, 403, 404), f"{method} {path}: {answer.status_code}"
            if answer.status_code == 302:
                assert "next=" in answer["Location"], answer["Location"]


def test_the_password_of_the_stage_is_strong_enough() -> None:
    from django.contrib.auth.password_validation import validate_password

    validate_password(PASSWORD)
