"""Who may make whom a member: nobody grants what they do not hold, and an organization keeps an admin."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from apps.common.errors import ApiError
from apps.orgs.models import AuditEntry, Membership, Role
from apps.orgs.services import ANYTHING, member_add, member_remove, member_update
from tests.support.authority import TESTER, holding, of_member
from tests.support.world import World, make_world


def refused(service: Callable[..., Any], **options: Any) -> tuple[int, str | None]:
    with pytest.raises(ApiError) as caught:
        service(actor=TESTER, **options)
    return caught.value.entry.code, caught.value.field


def entries(action: str) -> list[tuple[Any, Any]]:
    return list(AuditEntry.objects.filter(action=action).order_by("id").values_list("before", "after"))


def test_a_change_is_made_and_written_down(world: World) -> None:
    ben = world.member_of(world.ben)
    member_update(actor=TESTER, by=holding(Role.ADMIN), membership=ben, role=Role.ANALYST, projects=[world.web])
    ben.refresh_from_db()
    assert (ben.role, ben.all_projects, list(ben.projects.all())) == (Role.ANALYST, False, [world.web])
    before = {"role": "viewer", "all_projects": True, "projects": []}
    after = {"role": "analyst", "all_projects": False, "projects": ["web"]}
    assert entries("member.update") == [(before, after)]


def test_a_change_to_what_is_already_so_is_none(world: World) -> None:
    dora = world.member_of(world.dora)
    member_update(actor=TESTER, by=holding(Role.ADMIN), membership=dora, role=Role.DEVELOPER, projects=[world.web])
    member_update(actor=TESTER, by=holding(Role.ADMIN), membership=dora)
    assert entries("member.update") == []


@pytest.mark.parametrize("role", [role for role in Role if role != Role.ADMIN])
def test_nobody_makes_an_admin_who_is_none(world: World, role: str) -> None:
    ben = world.member_of(world.ben)
    assert refused(member_update, by=holding(role), membership=ben, role=Role.ADMIN) == (1100, "role")
    ben.refresh_from_db()
    assert ben.role == Role.VIEWER


def test_the_permission_to_manage_members_alone_makes_nobody(world: World) -> None:
    narrow = holding(Role.VIEWER, permissions=frozenset({"members:manage"}))
    ada, ben = world.member_of(world.ada), world.member_of(world.ben)
    assert refused(member_update, by=narrow, membership=ben, role=Role.ANALYST)[0] == 1100
    # Nor does it touch those who hold more.
    assert refused(member_update, by=narrow, membership=ada, role=Role.VIEWER)[0] == 1100
    assert refused(member_remove, by=narrow, membership=ben)[0] == 1100


def test_an_admin_of_some_projects_stays_within_them(world: World) -> None:
    by = holding(Role.ADMIN, world.web)
    dora, ben = world.member_of(world.dora), world.member_of(world.ben)
    member_update(actor=TESTER, by=by, membership=dora, role=Role.ANALYST)
    assert refused(member_update, by=by, membership=dora, all_projects=True)[0] == 1102
    assert refused(member_update, by=by, membership=dora, projects=[world.default]) == (1101, "projects")
    assert refused(member_update, by=by, membership=ben, role=Role.ANALYST)[0] == 1102
    assert refused(member_remove, by=by, membership=ben)[0] == 1102
    member_update(actor=TESTER, by=ANYTHING, membership=dora, projects=[world.web, world.default])
    assert refused(member_remove, by=by, membership=dora)[0] == 1102


@pytest.mark.parametrize(
    ("reach", "code"),
    [({"all_projects": False}, 1202), ({"projects": []}, 1202), ({"all_projects": True, "projects": True}, 1202)],
)
def test_a_membership_reaches_all_projects_or_some(world: World, reach: dict[str, Any], code: int) -> None:
    options = {**reach, "projects": [world.web]} if reach.get("projects") else reach
    found = refused(member_update, by=ANYTHING, membership=world.member_of(world.ben), **options)
    assert found == (code, "projects")


def test_another_organizations_project_does_not_exist(world: World) -> None:
    membership = world.member_of(world.ben)
    assert refused(member_update, by=ANYTHING, membership=membership, projects=[world.zenith_project])[0] == 1300


@pytest.mark.parametrize("change", [{"role": Role.DEVELOPER}, {"narrow": True}])
def test_the_last_admin_stays_one(world: World, change: dict[str, Any]) -> None:
    options = {"projects": [world.web]} if change.get("narrow") else change
    ada = world.member_of(world.ada)
    assert refused(member_update, by=ANYTHING, membership=ada, **options) == (1202, "role")
    assert refused(member_remove, by=ANYTHING, membership=ada) == (1202, "role")
    # An admin of one project, or one who cannot sign in any more, does not count.
    world.new_person("half@acme.example", Role.ADMIN, world.web)
    gone = world.new_person("gone@acme.example", Role.ADMIN)
    gone.is_active = False
    gone.save()
    assert refused(member_remove, by=ANYTHING, membership=ada) == (1202, "role")
    assert world.member_of(world.ada).role == Role.ADMIN
    world.new_person("eve@acme.example", Role.ADMIN)
    member_update(actor=TESTER, by=ANYTHING, membership=ada, **options)


def test_a_member_is_removed_with_a_trace(world: World) -> None:
    member_remove(actor=TESTER, by=holding(Role.ADMIN), membership=world.member_of(world.dora))
    assert not Membership.objects.filter(user=world.dora).exists()
    assert entries("member.remove") == [({"role": "developer", "all_projects": False, "projects": ["web"]}, None)]


def test_a_person_is_a_member_once(world: World) -> None:
    named: dict[str, Any] = {"by": ANYTHING, "organization": world.acme, "user": world.ben, "role": Role.VIEWER}
    assert refused(member_add, **named)[0] == 1400


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("remove", [True, False])
def test_two_admins_who_end_each_other_at_once_leave_one(remove: bool) -> None:
    world = make_world()
    eve = world.new_person("eve@acme.example", Role.ADMIN)
    pair = [(world.ada, eve), (eve, world.ada)]
    start = Barrier(2)

    def end(one: int) -> int:
        by, target = (world.member_of(user) for user in pair[one])
        try:
            start.wait(10)
            if remove:
                member_remove(actor=TESTER, by=of_member(by), membership=target)
            else:
                member_update(actor=TESTER, by=of_member(by), membership=target, role=Role.VIEWER)
        except ApiError as error:
            return error.entry.code
        finally:
            connection.close()
        return 0

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(end, range(2))) == [0, 1202]
    assert Membership.objects.filter(organization=world.acme, role=Role.ADMIN).count() == 1
