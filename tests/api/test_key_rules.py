"""Keys never do more than who made them, and nobody reaches keys that are not theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.common.errors import ApiError
from apps.orgs.access import PERMISSIONS
from apps.orgs.authentication import secret_hash
from apps.orgs.models import ApiKey, AuditEntry, Role
from apps.orgs.services import ANYTHING, key_create, key_revoke, key_rotate, key_update
from apps.orgs.services.keys import keys_in_reach
from tests.support.authority import TESTER, holding, of_member
from tests.support.world import World


def refused(service: Callable[..., Any], **options: Any) -> tuple[int, str | None]:
    with pytest.raises(ApiError) as caught:
        service(actor=TESTER, **options)
    return caught.value.entry.code, caught.value.field


def made(world: World, **options: Any) -> tuple[ApiKey, str]:
    by = options.pop("by", ANYTHING)
    return key_create(actor=TESTER, by=by, organization=world.acme, **{"name": "k", "role": Role.VIEWER, **options})


@pytest.mark.parametrize("holder", list(Role))
@pytest.mark.parametrize("role", list(Role))
def test_a_role_is_handed_on_by_those_who_hold_it_all(world: World, holder: str, role: str) -> None:
    by = replace(holding(holder), user_id=world.ben.pk)
    if PERMISSIONS[role] <= PERMISSIONS[holder]:
        assert made(world, by=by, role=role)[0].role == role
    else:
        assert refused(key_create, by=by, organization=world.acme, name="k", role=role) == (1100, "role")


def test_permissions_are_handed_on_one_by_one(world: World) -> None:
    by = holding(Role.VIEWER, permissions=frozenset({"keys:manage", "metrics:read"}))
    key, _ = made(world, by=by, role="", permissions=["metrics:read", "keys:manage_own", "metrics:read"])
    assert key.permissions == ["keys:manage_own", "metrics:read"]
    named: dict[str, Any] = {"by": by, "organization": world.acme, "name": "k"}
    assert refused(key_create, **named, permissions=["costs:read"]) == (1100, "permissions")
    assert refused(key_create, **named, permissions=["metrics:red"]) == (1202, "permissions")
    assert refused(key_create, **named) == (1201, "role")
    assert refused(key_create, **named, role=Role.VIEWER, permissions=["metrics:read"]) == (1202, "role")


def test_a_developer_has_own_keys_only(world: World) -> None:
    dora = of_member(world.member_of(world.dora))
    own, _ = made(world, by=dora, project=world.web)
    other, _ = made(world, project=world.web)
    assert set(keys_in_reach(dora, world.acme)) == {own}
    assert refused(key_revoke, by=dora, key=other)[0] == 1102
    assert refused(key_rotate, by=dora, key=other)[0] == 1102
    assert refused(key_update, by=dora, key=other, name="mine")[0] == 1102
    named: dict[str, Any] = {"by": dora, "organization": world.acme, "name": "k", "role": Role.VIEWER}
    assert refused(key_create, **named)[0] == 1102
    assert refused(key_create, **named, project=world.default)[0] == 1101
    assert refused(key_create, **named, project=world.zenith_project)[0] == 1300


def test_a_key_speaks_for_who_made_it_and_else_for_itself(world: World) -> None:
    own = frozenset({"keys:manage_own", "metrics:read"})
    hers, _ = world.new_key(created_by=world.dora)
    caller, _ = world.new_key(created_by=world.dora)
    nobodys, _ = world.new_key()
    for_dora = replace(holding(Role.VIEWER, permissions=own), user_id=world.dora.pk, key=caller)
    alone = replace(holding(Role.VIEWER, permissions=own), key=nobodys)
    assert set(keys_in_reach(for_dora, world.acme)) == {hers, caller}
    assert set(keys_in_reach(alone, world.acme)) == {nobodys}
    named: dict[str, Any] = {"organization": world.acme, "name": "k", "permissions": ["metrics:read"]}
    assert key_create(actor=TESTER, by=for_dora, **named)[0].created_by == world.dora
    assert refused(key_create, by=alone, **named)[0] == 1102


def test_who_rotates_a_key_holds_what_it_may_do(world: World) -> None:
    key, _ = made(world, role=Role.ADMIN)
    by = holding(Role.VIEWER, permissions=frozenset({"keys:manage", "metrics:read"}))
    assert refused(key_rotate, by=by, key=key)[0] == 1100
    assert refused(key_update, by=by, key=key, networks=[])[0] == 1100
    # Ending it hands nothing on.
    assert key_revoke(actor=TESTER, by=by, key=key).revoked_at is not None


def test_a_key_with_an_end_makes_none_that_outlives_it(world: World) -> None:
    soon = timezone.now() + timedelta(hours=1)
    caller, _ = made(world, role=Role.ADMIN, expires_at=soon)
    by = replace(ANYTHING, key=caller)
    named: dict[str, Any] = {"by": by, "organization": world.acme, "name": "k", "role": Role.VIEWER}
    assert refused(key_create, **named) == (1102, "expires_at")
    assert refused(key_create, **named, expires_at=soon + timedelta(seconds=1)) == (1102, "expires_at")
    assert key_create(actor=TESTER, **named, expires_at=soon)
    assert refused(key_update, by=by, key=caller, expires_at=None) == (1102, "expires_at")


def test_a_key_with_an_end_takes_over_none_that_outlives_it(world: World) -> None:
    caller, _ = made(world, role=Role.ADMIN, expires_at=timezone.now() + timedelta(hours=1))
    other, _ = made(world)
    by = replace(ANYTHING, key=caller)
    assert refused(key_rotate, by=by, key=other) == (1102, "expires_at")
    assert key_rotate(actor=TESTER, by=by, key=caller)
    assert key_update(actor=TESTER, by=by, key=other, name="renamed").name == "renamed"


def test_a_key_with_networks_makes_none_for_elsewhere(world: World) -> None:
    caller, _ = made(world, role=Role.ADMIN, networks=["10.0.0.0/8", "2001:db8::/32"])
    by = replace(ANYTHING, key=caller)
    named: dict[str, Any] = {"by": by, "organization": world.acme, "name": "k", "role": Role.VIEWER}
    for networks in ([], ["11.0.0.0/8"], ["10.0.0.0/8", "0.0.0.0/0"], ["::/0"]):
        assert refused(key_create, **named, networks=networks) == (1102, "networks")
        assert refused(key_update, by=by, key=caller, networks=networks) == (1102, "networks")
    assert refused(key_rotate, by=by, key=made(world)[0]) == (1102, "networks")
    assert key_create(actor=TESTER, **named, networks=["10.1.0.0/16", "2001:db8:1::/48"])
    assert key_rotate(actor=TESTER, by=by, key=caller)


def test_a_rotation_keeps_the_present_secret_for_the_grace(world: World) -> None:
    key, first = made(world)
    rotated, second = key_rotate(actor=TESTER, by=ANYTHING, key=key, grace_seconds=60)
    assert rotated.previous_sha256 == secret_hash(first.rpartition("_")[2])
    assert rotated.secret_sha256 == secret_hash(second.rpartition("_")[2])
    assert rotated.rotated_at and rotated.previous_until == rotated.rotated_at + timedelta(seconds=60)
    assert second.startswith(key.prefix)
    at_once, _ = key_rotate(actor=TESTER, by=ANYTHING, key=key, grace_seconds=0)
    assert (at_once.previous_sha256, at_once.previous_until) == ("", None)
    assert refused(key_rotate, by=ANYTHING, key=key, grace_seconds=2_592_001) == (1202, "grace_seconds")


def test_an_ended_key_does_not_come_back(world: World) -> None:
    revoked = key_revoke(actor=TESTER, by=ANYTHING, key=made(world)[0])
    expired, _ = world.new_key(expires_at=timezone.now() - timedelta(seconds=1))
    later = timezone.now() + timedelta(days=1)
    for key in (revoked, expired):
        assert refused(key_rotate, by=ANYTHING, key=key)[0] == 1402
        assert refused(key_update, by=ANYTHING, key=key, expires_at=later)[0] == 1402
    count = AuditEntry.objects.filter(action="key.revoke").count()
    key_revoke(actor=TESTER, by=ANYTHING, key=revoked)
    assert AuditEntry.objects.filter(action="key.revoke").count() == count == 1


def test_networks_and_expiry_are_checked(world: World) -> None:
    key, _ = made(world, networks=["10.1.2.3/8", "2001:db8::/32", "10.0.0.0/8"])
    assert key.networks == ["10.0.0.0/8", "2001:db8::/32"]
    named: dict[str, Any] = {"by": ANYTHING, "organization": world.acme, "name": "k", "role": Role.VIEWER}
    assert refused(key_create, **named, networks=["10.0.0.0/33"]) == (1203, "networks")
    assert refused(key_create, **named, networks=["10.0.0.0/8"] * 51) == (1202, "networks")
    assert refused(key_create, **named, expires_at=timezone.now()) == (1202, "expires_at")


def test_the_audit_log_never_holds_a_secret(world: World) -> None:
    key, first = made(world, project=world.web)
    _, second = key_rotate(actor=TESTER, by=ANYTHING, key=key)
    key_update(actor=TESTER, by=ANYTHING, key=key, name="n", networks=["10.0.0.0/8"])
    key_update(actor=TESTER, by=ANYTHING, key=key, name="n")
    key_revoke(actor=TESTER, by=ANYTHING, key=key)
    found = AuditEntry.objects.filter(object_type="key", object_id=str(key.pk)).order_by("id")
    assert [entry.action for entry in found] == ["key.create", "key.rotate", "key.update", "key.revoke"]
    assert {entry.project_id for entry in found} == {world.web.pk}
    written = str(list(found.values()))
    for text in (first, second):
        secret = text.rpartition("_")[2]
        assert secret not in written
        assert secret_hash(secret) not in written
