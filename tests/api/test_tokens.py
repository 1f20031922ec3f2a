"""Signing in over the API: access tokens, refresh tokens that are good once, and what ends them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
import time_machine
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from apps.common.errors import ApiError
from apps.common.rates.limits import Verdict
from apps.orgs import tokens
from apps.orgs.api import sign_in as views
from apps.orgs.audit import SYSTEM
from apps.orgs.authentication import authenticate_request, forget_keys
from apps.orgs.models import AuditEntry, SignIn, User
from apps.orgs.services.users import user_password, user_update
from celery_worker import tasks
from tests.support.signing_in import TOKEN, code, me, post, refresh, sign_in
from tests.support.world import PASSWORD, World

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def traveller(monkeypatch: pytest.MonkeyPatch) -> Iterator[time_machine.Traveller]:
    monkeypatch.setattr("apps.common.cells.monotonic", time.time)
    with time_machine.travel(NOW, tick=False) as traveller:
        forget_keys()
        yield traveller
    forget_keys()


def actions() -> list[str]:
    return list(AuditEntry.objects.order_by("id").values_list("action", flat=True))


def test_signing_in_gives_a_pair_that_opens_the_api(world: World) -> None:
    before = AuditEntry.objects.count()
    answer = post(TOKEN, {"email": "ADA@acme.example", "password": PASSWORD}, REMOTE_ADDR="192.0.2.3")
    pair = answer.json()
    assert answer["Cache-Control"] == "no-store"
    assert set(pair) == {"access_token", "refresh_token", "token_type", "expires_in", "refresh_expires_in"}
    assert (pair["token_type"], pair["expires_in"], pair["refresh_expires_in"]) == ("Bearer", 900, 604_800)
    shown = me(pair["access_token"]).json()
    assert (shown["kind"], shown["id"], shown["name"]) == ("user", world.ada.pk, "ada@acme.example")
    assert (shown["organization"]["slug"], shown["role"]) == ("acme", "admin")
    entry = AuditEntry.objects.order_by("id")[before]
    assert (entry.action, entry.actor_id, entry.organization_id) == ("token.issue", world.ada.pk, world.acme.pk)
    assert entry.address == "192.0.2.3"
    world.ada.refresh_from_db()
    assert world.ada.last_login == NOW


@pytest.mark.parametrize("email", ["ada@acme.example", "nobody@acme.example", "x" * 9_000, "a\0b@acme.example"])
def test_a_wrong_sign_in_says_nothing_and_is_written_down(world: World, email: str) -> None:
    before = AuditEntry.objects.count()
    answer = post(TOKEN, {"email": email, "password": "sesame"})
    assert (answer.status_code, code(answer)) == (401, 1001)
    assert answer.json()["error"]["message"] == "The e-mail address or the password is not right."
    (entry,) = AuditEntry.objects.order_by("id")[before:]
    assert (entry.action, entry.outcome, entry.actor_kind) == ("token.refused", "denied", "anonymous")
    assert entry.actor == email.replace("\0", "\ufffd")[:254]
    assert entry.organization_id == (world.acme.pk if email == "ada@acme.example" else None)
    assert "sesame" not in str(vars(entry))


def test_an_unknown_address_costs_as_much_as_a_wrong_password(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []
    encode = MD5PasswordHasher.encode

    def counted(self: Any, password: str, salt: str) -> str:
        hashed.append(password)
        return str(encode(self, password, salt))

    monkeypatch.setattr(MD5PasswordHasher, "encode", counted)
    costs = []
    for email in ("ada@acme.example", "nobody@acme.example", "x" * 9_000):
        hashed.clear()
        with CaptureQueriesContext(connection) as queries:
            post(TOKEN, {"email": email, "password": "sesame"})
        costs.append((len(hashed), len(queries)))
    assert costs[0][0] == 1
    assert len(set(costs)) == 1, costs


def test_someone_deactivated_cannot_sign_in(world: World) -> None:
    User.objects.filter(pk=world.ada.pk).update(is_active=False)
    assert code(post(TOKEN, {"email": "ada@acme.example", "password": PASSWORD})) == 1001


@pytest.mark.parametrize(
    ("body", "expected", "field"),
    [
        ({}, 1201, None),
        ({"email": "a"}, 1201, "password"),
        ({"email": "a", "password": ""}, 1201, "password"),
        ({"email": "a", "password": None}, 1201, "password"),
        ({"email": ["a"], "password": "b"}, 1203, "email"),
        ({"email": "a", "password": 0}, 1203, "password"),
        ({"email": "a", "password": "b", "pasword": "c"}, 1202, "pasword"),
        ({"email": "a", "password": "b" * 5_000}, 1205, "password"),
        ([], 1200, None),
        ("x", 1200, None),
    ],
)
def test_a_body_that_is_not_right(world: World, body: Any, expected: int, field: str | None) -> None:
    answer = post(TOKEN, body)
    assert (answer.status_code, code(answer)) == (400, expected)
    assert answer.json()["error"]["field"] == field
    assert post(TOKEN, body, content_type="text/plain").status_code == 415
    assert post(f"{TOKEN}?x=1", {"email": "a", "password": "b"}).json()["error"]["field"] == "x"


def test_an_access_token_lasts_fifteen_minutes(world: World, traveller: time_machine.Traveller) -> None:
    token = sign_in()["access_token"]
    traveller.shift(timedelta(minutes=14, seconds=55))
    assert me(token).status_code == 200
    traveller.shift(5)
    assert code(me(token)) == 1002  # out of the process's memory
    forget_keys()
    assert code(me(token)) == 1002


def test_a_refresh_token_lasts_seven_days_and_each_exchange_starts_them_again(
    world: World, traveller: time_machine.Traveller
) -> None:
    first = sign_in()
    traveller.shift(timedelta(days=6, hours=23))
    second = refresh(first["refresh_token"])
    assert second.status_code == 200
    assert second.json()["refresh_token"] != first["refresh_token"]
    assert me(second.json()["access_token"]).status_code == 200
    traveller.shift(timedelta(days=7))
    answer = refresh(second.json()["refresh_token"])
    assert (answer.status_code, code(answer)) == (401, 1002)


def test_a_refresh_token_that_comes_again_ends_everything(world: World, traveller: time_machine.Traveller) -> None:
    first = sign_in()
    second = refresh(first["refresh_token"]).json()
    assert me(second["access_token"]).status_code == 200
    before = AuditEntry.objects.count()
    assert code(refresh(first["refresh_token"])) == 1001  # at once, as from a lost answer
    assert code(refresh(second["refresh_token"])) == 1001
    (entry,) = AuditEntry.objects.order_by("id")[before:]
    assert (entry.action, entry.outcome, entry.actor) == ("token.reuse", "denied", "ada@acme.example")
    assert SignIn.objects.get().revoked_reason == "reuse"
    traveller.shift(10.1)
    for pair in (first, second):
        assert code(me(pair["access_token"])) == 1001


def test_another_sign_in_of_the_same_person_goes_on(world: World) -> None:
    first, other = sign_in(), sign_in()
    refresh(first["refresh_token"])
    refresh(first["refresh_token"])
    forget_keys()
    assert code(me(first["access_token"])) == 1001
    assert me(other["access_token"]).status_code == 200
    assert refresh(other["refresh_token"]).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_exchanges_at_the_same_time_one_wins_and_the_family_ends(
    django_db_serialized_rollback: None,
) -> None:
    user = User.objects.create_user("ada@acme.example", PASSWORD)
    text = tokens.begin(user, SYSTEM).refresh
    start = Barrier(4)

    def exchange(_: int) -> tokens.Pair | int:
        try:
            start.wait(10)
            return tokens.exchange(text, SYSTEM)
        except ApiError as error:
            return error.entry.code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(exchange, range(4)))
    won = [one for one in made if isinstance(one, tokens.Pair)]
    assert len(won) == 1
    assert [one for one in made if one not in won] == [1001, 1001, 1001]
    assert actions().count("token.reuse") == 1
    with pytest.raises(ApiError):
        tokens.exchange(won[0].refresh, SYSTEM)


def test_signing_out_is_idempotent_and_tells_nothing(world: World) -> None:
    first = sign_in()
    newest = refresh(first["refresh_token"]).json()
    before = AuditEntry.objects.count()
    for token in (newest["refresh_token"], newest["refresh_token"], newest["access_token"], "x", "\0" * 9):
        answer = post(f"{TOKEN}/revoke", {"refresh_token": token})
        assert (answer.status_code, answer.content) == (204, b"")
    assert code(me(newest["access_token"])) == 1001
    assert code(refresh(newest["refresh_token"])) == 1001
    assert [entry.action for entry in AuditEntry.objects.order_by("id")[before:]] == ["token.revoke"]
    assert SignIn.objects.get().revoked_reason == "signed_out"


def test_an_old_token_of_the_family_signs_out_too(world: World) -> None:
    first = sign_in()
    newest = refresh(first["refresh_token"]).json()
    post(f"{TOKEN}/revoke", {"refresh_token": first["refresh_token"]})
    assert code(me(newest["access_token"])) == 1001


def change_by_service(user: User) -> None:
    user_password(actor=SYSTEM, user=user, password="another one 12345")


def change_by_model(user: User) -> None:
    user.set_password("another one 12345")
    user.save()


def end_by_service(user: User) -> None:
    user_update(actor=SYSTEM, user=user, is_active=False)


def end_by_model(user: User) -> None:
    user.is_active = False
    user.save(update_fields=["is_active"])


@pytest.mark.parametrize("change", [change_by_service, change_by_model, end_by_service, end_by_model])
def test_a_new_password_or_the_end_of_the_account_ends_every_sign_in(
    world: World, traveller: time_machine.Traveller, change: Any
) -> None:
    pairs = [sign_in(), sign_in()]
    others = sign_in("ben@acme.example")
    change(User.objects.get(pk=world.ada.pk))
    User.objects.filter(pk=world.ada.pk).update(is_active=True)
    traveller.shift(10.1)
    for pair in pairs:
        assert code(me(pair["access_token"])) == 1001
        assert code(refresh(pair["refresh_token"])) == 1001
    assert me(others["access_token"]).status_code == 200


@pytest.mark.parametrize("change", [change_by_model, end_by_model])
def test_no_sign_in_slips_through_while_the_password_changes(
    world: World, monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    def overtaken(*_: Any, **__: Any) -> User:
        """The password was right when it was looked at."""
        found = User.objects.get(pk=world.ada.pk)
        change(User.objects.get(pk=world.ada.pk))
        return found

    monkeypatch.setattr(views, "authenticate", overtaken)
    assert code(post(TOKEN, {"email": "ada@acme.example", "password": PASSWORD})) == 1001
    assert not SignIn.objects.exists()


def test_an_ordinary_save_or_a_stronger_hash_ends_nothing(world: World) -> None:
    pair = sign_in()
    user = User.objects.get(pk=world.ada.pk)
    user.name = "Ada"
    user.save()
    user.password = "sha1$old$hash"
    user.save()  # as an upgraded hash is saved
    forget_keys()
    assert me(pair["access_token"]).status_code == 200


def test_someone_deactivated_behind_our_back_is_out_within_ten_seconds(
    world: World, traveller: time_machine.Traveller
) -> None:
    pair = sign_in()
    assert me(pair["access_token"]).status_code == 200
    User.objects.filter(pk=world.ada.pk).update(is_active=False)
    traveller.shift(10.1)
    assert code(me(pair["access_token"])) == 1001
    assert code(refresh(pair["refresh_token"])) == 1001


def test_a_known_token_costs_no_query(world: World, django_assert_num_queries: Any) -> None:
    token = sign_in()["access_token"]
    request = RequestFactory().get("/", headers={"Authorization": f"Bearer {token}"})
    # The family with its user, the memberships, the projects, the organization's limits.
    with django_assert_num_queries(4):
        authenticate_request(request)
    with django_assert_num_queries(0):
        authenticate_request(request)


def test_expired_families_are_removed(world: World, traveller: time_machine.Traveller) -> None:
    sign_in()
    traveller.shift(timedelta(days=7, minutes=14))
    sign_in()
    tasks.remove_expired_sign_ins()
    assert SignIn.objects.count() == 2
    traveller.shift(timedelta(minutes=2))
    tasks.remove_expired_sign_ins()
    assert SignIn.objects.count() == 1


def test_the_address_has_a_bucket_of_its_own(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    charged = []

    def refuse(charges: Any, **_: Any) -> Any:
        charged.extend(charges)
        return Verdict(False, charges[0][0], 0, 1_800_000_000, 6), None

    monkeypatch.setattr(views, "take", refuse)
    body = {"email": "ada@acme.example", "password": PASSWORD}
    answer = post(TOKEN, body, REMOTE_ADDR="192.0.2.3")
    assert (answer.status_code, code(answer), answer["Retry-After"]) == (429, 1500, "6")
    assert answer["X-RateLimit-Limit"] == "10"
    for address in ("2001:db8::1", "2001:db8::ffff:2"):
        post(TOKEN, body, REMOTE_ADDR=address)
    keys = [bucket.key for bucket, _ in charged]
    assert keys[0] == "hub:limit:{address:192.0.2.3}:auth/token"
    assert keys[1] == keys[2] == "hub:limit:{address:2001:db8::}:auth/token"
    assert not SignIn.objects.exists()
