"""What superusers change: persons, and organizations' own rate limits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.common.errors import ApiError
from apps.orgs.models import AuditEntry, RateLimit, SignIn, User
from apps.orgs.services import limit_remove, limit_set, user_create, user_password, user_update
from tests.support.authority import TESTER
from tests.support.races import codes_of_race
from tests.support.world import PASSWORD, World


def refused(service: Callable[..., Any], **options: Any) -> tuple[int, str | None]:
    with pytest.raises(ApiError) as caught:
        service(actor=TESTER, **options)
    return caught.value.entry.code, caught.value.field


def actions() -> list[str]:
    found = AuditEntry.objects.filter(action__regex="^(user|limit)[.]").order_by("id")
    return list(found.values_list("action", flat=True))


def sign_in_of(user: User) -> SignIn:
    later = timezone.now() + timedelta(days=1)
    return SignIn.objects.create(user=user, current_jti="x", expires_at=later)


def test_a_person_is_made_once(world: World) -> None:
    eve = user_create(actor=TESTER, email=" Eve@Acme.Example", password=PASSWORD, name="Eve")
    assert (eve.email, eve.check_password(PASSWORD)) == ("eve@acme.example", True)
    assert refused(user_create, email="EVE@acme.example") == (1401, "email")
    assert refused(user_update, user=world.ben, email="eve@acme.example") == (1401, "email")
    assert refused(user_create, email="nobody") == (1203, "email")
    assert refused(user_create, email="a\0@x.example") == (1203, "email")
    assert refused(user_create, email="new@x.example", name="a\0") == (1202, "name")
    assert refused(user_create, email="new@x.example", password="a\0" * 9) == (1202, "password")
    assert not user_create(actor=TESTER, email="later@x.example").has_usable_password()


def test_a_change_is_written_down_and_none_is_not(world: World) -> None:
    before = len(actions())
    user_update(actor=TESTER, user=world.ben, name="Ben", is_staff=True)
    user_update(actor=TESTER, user=world.ben, name="Ben")
    entry = AuditEntry.objects.get(action="user.update")
    assert (entry.before, entry.after) == ({"name": "", "is_staff": False}, {"name": "Ben", "is_staff": True})
    assert actions()[before:] == ["user.update"]


def test_whose_account_ends_is_signed_out(world: World) -> None:
    sign_in = sign_in_of(world.ben)
    user_update(actor=TESTER, user=world.ben, is_active=False)
    sign_in.refresh_from_db()
    assert (sign_in.revoked_reason, sign_in.revoked_at is None) == ("deactivated", False)


def test_a_new_password_ends_what_was_signed_in_and_is_never_written_down(world: World) -> None:
    sign_in = sign_in_of(world.ben)
    user_password(actor=TESTER, user=world.ben, password="another horse battery")
    sign_in.refresh_from_db()
    world.ben.refresh_from_db()
    assert sign_in.revoked_at is not None
    assert world.ben.check_password("another horse battery")
    assert refused(user_password, user=world.ben, password="x" * 1025) == (1202, "password")
    entry = AuditEntry.objects.get(action="user.password")
    assert (entry.object_name, entry.before, entry.after) == (world.ben.email, None, None)


@pytest.mark.django_db(transaction=True)
def test_the_same_address_at_the_same_time_is_one_person() -> None:
    codes = codes_of_race(lambda _: user_create(actor=TESTER, email="same@x.example"), range(4))
    assert codes == [0, 1401, 1401, 1401]


def test_a_limit_is_set_changed_and_removed(world: World) -> None:
    before = len(actions())
    named: dict[str, Any] = {"organization": world.acme, "bucket": "requests:viewer"}
    for burst in (20, 20, 30):
        limit = limit_set(actor=TESTER, **named, per_minute=10, burst=burst)
    assert [(row.per_minute, row.burst) for row in RateLimit.objects.all()] == [(10, 30)]
    limit_remove(actor=TESTER, limit=limit)
    limit_remove(actor=TESTER, limit=limit)
    assert actions()[before:] == ["limit.set", "limit.set", "limit.remove"]
    entry = AuditEntry.objects.filter(action="limit.set").latest("id")
    assert (entry.before, entry.after, entry.organization_id) == ({"burst": 20}, {"burst": 30}, world.acme.pk)


@pytest.mark.parametrize(
    ("given", "field"),
    [({"bucket": "requests:viewr"}, "bucket"), ({"per_minute": 0}, "per_minute"), ({"burst": 2**31}, "burst")],
)
def test_limits_that_are_none(world: World, given: dict[str, Any], field: str) -> None:
    options = {"organization": world.acme, "bucket": "export", "per_minute": 1, "burst": 1, **given}
    assert refused(limit_set, **options) == (1202, field)
