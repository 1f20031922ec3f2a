"""The audit log: what it holds, and that it never stands in an answer's way."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, transaction
from django.test import RequestFactory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.orgs import audit
from apps.orgs.audit import SYSTEM, Actor, difference, record, storable
from apps.orgs.models import AuditEntry, Role
from tests.support.world import World

ADA = Actor("user", 7, "ada@acme.example", "192.0.2.7", "req_1")


def entries(**found: Any) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(**found).order_by("id"))


def test_a_record_holds_who_what_and_how_it_changed(db: None) -> None:
    before, after = difference({"name": "a", "role": "viewer", "gone": 1}, {"name": "a", "role": "admin", "new": None})
    record(ADA, "member.update", organization_id=3, object_type="member", object_id=9, before=before, after=after)
    (entry,) = entries()
    assert (entry.actor_kind, entry.actor_id, entry.actor, entry.address) == ("user", 7, ADA.name, "192.0.2.7")
    assert (entry.organization_id, entry.object_type, entry.object_id, entry.outcome) == (3, "member", "9", "done")
    assert (entry.before, entry.after) == ({"role": "viewer", "gone": 1}, {"role": "admin", "new": None})
    assert entry.request_id == "req_1"


def test_an_entry_goes_with_its_change(db: None) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        record(SYSTEM, "organization.create")
        raise RuntimeError
    assert entries() == []


def test_secrets_are_hidden_by_their_name(db: None) -> None:
    told = {"password": "p", "secret_sha256": "s", "nested": {"refresh_token": "t", "tokens": 5}, "prefix": "ah_1"}
    record(SYSTEM, "key.create", after=told)
    hidden = audit.HIDDEN
    assert entries()[0].after == {
        "password": hidden,
        "secret_sha256": hidden,
        "nested": {"refresh_token": hidden, "tokens": 5},
        "prefix": "ah_1",
    }


NUMBERS = st.floats(-1e9, 1e9) | st.sampled_from([float("nan"), float("inf")])
WILD = st.text(st.characters() | st.just("\0") | st.characters(categories=["Cs"]), max_size=400)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(name=WILD, value=st.recursive(st.none() | NUMBERS | WILD | st.binary(), st.lists, max_leaves=5))
def test_whatever_was_sent_can_be_written_down(db: None, name: str, value: Any) -> None:
    with transaction.atomic():
        actor = Actor("anonymous", None, name, None, name)
        record(actor, name, object_type=name, object_id=name, object_name=name, after={name: value})
        entry = AuditEntry.objects.latest("id")
        assert entry.after == storable({name: value})
        transaction.set_rollback(True)


def test_entries_are_never_changed_or_removed(db: None) -> None:
    record(SYSTEM, "organization.create")
    with pytest.raises(DatabaseError), transaction.atomic():
        AuditEntry.objects.update(action="x")
    with pytest.raises(DatabaseError), transaction.atomic():
        AuditEntry.objects.all().delete()
    assert entries()[0].action == "organization.create"


def test_a_denial_at_the_door_is_written_down_once(world: World) -> None:
    key, poor = world.new_key(role="", permissions=["costs:read"])
    answer = world.client.get(
        "/api/v1/metrics",
        headers={"Authorization": f"Bearer {poor}", "X-Request-ID": "mine-1"},
        REMOTE_ADDR="192.0.2.9",
    )
    assert answer.status_code == 403
    (entry,) = entries(action="access.denied")
    assert (entry.outcome, entry.organization_id) == ("denied", world.acme.pk)
    assert (entry.actor_kind, entry.actor_id, entry.actor) == ("key", key.pk, key.prefix)
    assert (entry.object_type, entry.object_name) == ("route", "GET /api/v1/metrics")
    assert (entry.address, entry.request_id) == ("192.0.2.9", "mine-1")
    assert entry.after is not None
    assert (entry.after["code"], entry.after["required_permission"]) == (1100, "metrics:read")


def test_strangers_cannot_fill_the_log(world: World) -> None:
    def denied(times: int, path: str, address: str) -> int:
        for _ in range(times):
            assert world.client.get(path, REMOTE_ADDR=address).status_code == 403
        return len(entries(action="access.denied", address=address))

    assert denied(3, "/metrics", "192.0.2.9") == 3
    assert denied(20, "/metrics", "192.0.2.9") == 10
    assert denied(1, "/metrics", "192.0.2.10") == 1
    # Whoever is known pays for requests in tokens, and is written down each time.
    _, poor = world.new_key(role="", permissions=["costs:read"])
    for _ in range(12):
        assert world.get("/api/v1/metrics", key=poor).status_code == 403
    assert len(entries(action="access.denied", actor_kind="key")) == 12


def test_a_hidden_project_is_written_down_and_a_foreign_one_is_not(world: World) -> None:
    assert world.get("/api/v1/metrics", key=world.key, metrics="request_count", project="web").status_code == 403
    (entry,) = entries(outcome="denied")
    assert entry.after is not None
    assert (entry.after["code"], entry.after["project"]) == (1101, "web")
    assert world.get("/api/v1/metrics", key=world.key, metrics="request_count", project="secret").status_code == 404
    assert len(entries(outcome="denied")) == 1


@pytest.mark.parametrize("path", ["/v1/traces", "/api/v1/traces"])
def test_a_sender_who_may_not_write_is_written_down(world: World, path: str) -> None:
    _, text = world.new_key(role=Role.VIEWER)
    answer = world.client.post(path, "{}", content_type="application/json", headers={"X-API-Key": text})
    assert answer.status_code == 403
    assert [entry.object_name for entry in entries(outcome="denied")] == [f"POST {path}"]


def test_the_answer_stands_where_the_log_cannot_be_written(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def down(**_: Any) -> None:
        raise OperationalError("the database is away: host db.internal")

    _, poor = world.new_key(role="", permissions=["costs:read"])
    monkeypatch.setattr(AuditEntry.objects, "create", down)
    with caplog.at_level(logging.ERROR):
        answer = world.get("/api/v1/metrics", key=poor)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, 1100)
    assert "could not be written to the audit log" in caplog.text
    assert "db.internal" not in answer.content.decode()


def test_nobody_and_a_strange_address(rf: RequestFactory) -> None:
    actor = audit.actor_of(rf.get("/", REMOTE_ADDR="unix:"))
    assert (actor.kind, actor.id, actor.address) == ("anonymous", None, None)
