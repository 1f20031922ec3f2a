"""`/api/v1/audit`: filtered, paged, exported; nobody reads of others' tenants or projects."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError

from apps.orgs.models import AuditEntry, Role
from tests.support.world import World

URL = "/api/v1/audit"
START = datetime(2026, 11, 1, tzinfo=UTC)


def error(answer: Any) -> tuple[int, int, str | None]:
    found = answer.json()["error"]
    return answer.status_code, found["code"], found["field"]


@pytest.fixture
def log(world: World) -> list[AuditEntry]:
    """Ten entries of Acme, an hour apart, and one of Zenith."""

    def entry(hour: int, organization_id: int, **more: Any) -> AuditEntry:
        return AuditEntry(
            **{
                "at": START + timedelta(hours=hour),
                "organization_id": organization_id,
                "project_id": world.web.pk if hour % 2 else None,
                "outcome": "denied" if hour % 3 == 0 else "done",
                "actor_kind": "user",
                "actor_id": world.ada.pk,
                "actor": "ada@acme.example" if hour < 5 else "=cmd|' /C calc'!A0",
                "action": "key.create" if hour < 5 else "member.update",
                "object_type": "key",
                "object_id": str(hour),
                "object_name": "ah_0",
                "after": {"name": "-1"},
                "address": "192.0.2.1",
                "request_id": "req_1",
                **more,
            }
        )

    rows = [entry(hour, world.acme.pk) for hour in range(10)]
    AuditEntry.objects.bulk_create([*rows, entry(3, world.zenith.pk, project_id=world.zenith_project.pk)])
    return rows


WINDOW = {"start_time": "2026-11-01T00:00:00Z", "end_time": "2026-11-02T00:00:00Z"}


def hours(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.content
    return [int(row["object"]["id"]) for row in answer.json()["data"]]


def test_the_newest_first(world: World, log: list[AuditEntry]) -> None:
    answer = world.get(URL, **WINDOW)
    assert hours(answer) == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert answer.json()["data"][6] == {
        "id": log[3].pk,
        "timestamp": "2026-11-01T03:00:00Z",
        "action": "key.create",
        "outcome": "denied",
        "actor": {"kind": "user", "id": world.ada.pk, "name": "ada@acme.example"},
        "object": {"type": "key", "id": "3", "name": "ah_0"},
        "project": "web",
        "before": None,
        "after": {"name": "-1"},
        "address": "192.0.2.1",
        "request_id": "req_1",
    }


def test_a_range_has_its_start_before_its_end(world: World) -> None:
    turned = {"start_time": WINDOW["end_time"], "end_time": WINDOW["start_time"]}
    assert error(world.get(URL, **turned)) == (400, 1204, "start_time")
    assert error(world.get(f"{URL}/export", format="csv", **turned)) == (400, 1204, "start_time")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"start_time": "2026-11-01T07:00:00Z"}, [9, 8, 7]),
        ({"end_time": "2026-11-01T03:00:00+01:00"}, [1, 0]),
        ({"end_time": "2026-11-01T03:00:00 01:00"}, [1, 0]),
        ({"actor": "ada@acme.example"}, [4, 3, 2, 1, 0]),
        ({"action": "member.update", "outcome": "denied"}, [9, 6]),
        ({"action": "member.update,key.create", "object_id": "4"}, [4]),
        ({"object_type": "project"}, []),
        ({"project": "web"}, [9, 7, 5, 3, 1]),
        ({"project": "default"}, []),
    ],
)
def test_filters(world: World, log: list[AuditEntry], filters: dict[str, str], expected: list[int]) -> None:
    assert hours(world.get(URL, **{**WINDOW, **filters})) == expected
    lines = b"".join(world.get(f"{URL}/export", format="jsonl", **{**WINDOW, **filters}).streaming_content)
    assert [int(json.loads(line)["object"]["id"]) for line in lines.splitlines()] == expected


@pytest.mark.parametrize(
    ("filters", "code", "field"),
    [
        ({"start_time": "2026-11-01"}, 1203, "start_time"),
        ({"start_time": "2026-11-01T00:00:00"}, 1203, "start_time"),
        ({"end_time": "0001-01-01T00:00:00+23:00"}, 1203, "end_time"),
        ({"end_time": "\0"}, 1203, "end_time"),
        ({"actor": ""}, 1202, "actor"),
        ({"actor": "a\0"}, 1202, "actor"),
        ({"action": "x" * 1001}, 1202, "action"),
        ({"object_id": "1" * 65}, 1202, "object_id"),
        ({"outcome": "denid"}, 1202, "outcome"),
        ({"project": "\0"}, 1300, "project"),
        ({"project": "secret"}, 1300, "project"),
        ({"actr": "x"}, 1202, "actr"),
    ],
)
def test_filters_that_are_refused(world: World, filters: dict[str, str], code: int, field: str) -> None:
    for path in (URL, f"{URL}/export"):
        assert error(world.get(path, **filters))[1:] == (code, field)


def test_pages_of_the_log(world: World, log: list[AuditEntry]) -> None:
    met: list[int] = []
    parameters: dict[str, Any] = {**WINDOW, "limit": 3, "fields": "object.id", "include_total": "true"}
    while True:
        answer = world.get(URL, **parameters)
        met += hours(answer)
        pagination = answer.json()["pagination"]
        assert pagination["total"] == 10
        if not pagination["has_more"]:
            break
        parameters["cursor"] = pagination["next_cursor"]
    assert met == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert answer.json()["data"] == [{"object": {"id": "0"}}]


def test_who_reads_which(world: World, log: list[AuditEntry]) -> None:
    foreign = world.get(URL, key=world.zenith_key, **WINDOW)
    assert hours(foreign) == [3]
    assert (foreign.json()["data"][0]["project"], foreign.json()["data"][0]["id"] == log[3].pk) == ("secret", False)
    _, of_web = world.new_key(role=Role.ADMIN, project=world.web)
    assert hours(world.get(URL, key=of_web, **WINDOW)) == [9, 7, 5, 3, 1]
    assert error(world.get(URL, key=of_web, project="default"))[:2] == (403, 1101)
    for role in (Role.DEVELOPER, Role.ANALYST, Role.BILLING, Role.VIEWER):
        _, key = world.new_key(role=role)
        for path in (URL, f"{URL}/export"):
            assert error(world.get(path, key=key))[:2] == (403, 1100)


def test_nothing_changes_the_log(world: World, log: list[AuditEntry]) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert world.send(method, URL, {}).status_code == 405


def test_csv_is_nobodys_formula(world: World, log: list[AuditEntry]) -> None:
    answer = world.get(f"{URL}/export", **WINDOW)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="audit-acme.csv"'
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode(), newline="")))
    assert [row["object_id"] for row in rows] == ["9", "8", "7", "6", "5", "4", "3", "2", "1", "0"]
    assert rows[0]["actor_name"] == "'=cmd|' /C calc'!A0"
    assert (rows[0]["timestamp"], rows[0]["project"], rows[0]["before"]) == ("2026-11-01T09:00:00Z", "web", "")
    assert json.loads(rows[0]["after"]) == {"name": "-1"}


def test_an_export_takes_memory_for_a_chunk_alone(world: World) -> None:
    big = {"text": "x" * 2_000}
    rows = [
        AuditEntry(organization_id=world.acme.pk, at=START, outcome="done", action="x", after=big, object_id="1")
        for _ in range(4_000)
    ]
    AuditEntry.objects.bulk_create(rows, batch_size=1_000)
    del rows
    answer = world.get(f"{URL}/export", format="jsonl", **WINDOW)
    tracemalloc.start()
    try:
        size = sum(len(part) for part in answer.streaming_content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 8_000_000
    assert peak < 5_000_000


def test_an_export_that_fails_at_once_is_an_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Iterator[Any]:
        raise OperationalError("gone")
        yield

    monkeypatch.setattr("apps.orgs.api.audit._streamed", broken)
    assert error(world.get(f"{URL}/export"))[0] == 503


@pytest.mark.parametrize("form", ["xml", "", "CSV", "\0"])
def test_formats(world: World, form: str) -> None:
    assert error(world.get(f"{URL}/export", format=form)) == (400, 1202, "format")
