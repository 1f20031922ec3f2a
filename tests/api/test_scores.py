"""Scores over the API: what is taken, what is refused and why, and what a list shows to whom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from apps.orgs.models import Project
from apps.orgs.projects import forget_projects
from apps.traces.scores import MAX_TEXT
from tests.support.world import World

pytestmark = pytest.mark.django_db
PATH = "/api/v1/scores"
TRACE = {"trace_id": "t1", "name": "relevance"}
NOW = datetime.now(UTC)


def send(world: World, body: Any, **more: Any) -> Any:
    return world.send("POST", PATH, body, **more)


def listed(world: World, **parameters: Any) -> list[dict[str, Any]]:
    answer = world.get(PATH, **parameters)
    assert answer.status_code == 200, answer.content
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


@pytest.mark.parametrize(
    ("given", "data_type", "value"),
    [
        ({"value": 0.25}, "numeric", 0.25),
        ({"value": -3}, "numeric", -3.0),
        ({"value": True}, "boolean", True),
        ({"value": "polite"}, "categorical", "polite"),
        ({"value": 1, "data_type": "boolean"}, "boolean", True),
        ({"value": 0.0, "data_type": "boolean"}, "boolean", False),
        ({"value": "1", "data_type": "categorical"}, "categorical", "1"),
    ],
)
def test_a_value_has_the_type_it_says_or_shows(world: World, given: Any, data_type: str, value: Any) -> None:
    answer = send(world, {**TRACE, **given})
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1), answer.content
    [row] = listed(world)
    assert (row["data_type"], row["value"], row["source"]) == (data_type, value, "api")
    assert row["id"] == answer.json()["results"][0]["id"]


REFUSED: list[tuple[Any, int, str | None]] = [
    ({"value": None}, 1201, "value"),
    ({"value": []}, 1203, "value"),
    ({"value": "high", "data_type": "numeric"}, 1202, "value"),
    ({"value": True, "data_type": "numeric"}, 1202, "value"),
    ({"value": 2, "data_type": "boolean"}, 1202, "value"),
    ({"value": 2, "data_type": "categorical"}, 1202, "value"),
    ({"value": 1, "data_type": "NUMERIC"}, 1202, "data_type"),
    ({"value": 1e16}, 1202, "value"),
    ({"value": 10**400}, 1202, "value"),
    ({"value": "x" * 257}, 1202, "value"),
    ({"value": "a\x00b"}, 1202, "value"),
    ({"value": 1, "name": "n" * 257}, 1202, "name"),
    ({"value": 1, "name": ""}, 1202, "name"),
    ({"value": 1, "name": 7}, 1203, "name"),
    ({"value": 1, "name": "a\x00b"}, 1202, "name"),
    ({"value": 1, "name": "\ud800"}, 1202, "name"),
    ({"value": 1, "trace_id": None}, 1201, "trace_id"),
    ({"value": 1, "trace_id": None, "span_id": "s"}, 1201, "trace_id"),
    ({"value": 1, "session_id": "s"}, 1202, "session_id"),
    ({"value": 1, "id": "a/b"}, 1202, "id"),
    ({"value": 1, "comment": "c" * 10_000_000}, 1205, "comment"),
    ({"value": 1, "comment": 5}, 1203, "comment"),
    ({"value": 1, "metadata": {"k": "v" * MAX_TEXT}}, 1205, "metadata"),
    ({"value": 1, "metadata": {"k": "a\x00"}}, 1202, "metadata"),
    ({"value": 1, "metadata": []}, 1203, "metadata"),
    ({"value": 1, "source": "robot"}, 1202, "source"),
    ({"value": 1, "timestamp": "1970-01-02T00:00:00Z"}, 1202, "timestamp"),
    ({"value": 1, "timestamp": (NOW + timedelta(hours=25)).isoformat()}, 1202, "timestamp"),
    ({"value": 1, "timestamp": "today"}, 1203, "timestamp"),
    ({"value": 1, "vaule": 1}, 1202, "vaule"),
]


@pytest.mark.parametrize(("given", "code", "field"), REFUSED)
def test_what_cannot_be_taken_is_refused_with_its_field(world: World, given: Any, code: int, field: str | None) -> None:
    answer = send(world, {**TRACE, **given})
    assert answer.status_code == 400
    assert (answer.json()["error"]["code"], answer.json()["error"]["field"]) == (code, field)
    assert listed(world) == []


@pytest.mark.parametrize(
    "body", [b'{"trace_id":"t","name":"n","value":NaN}', b'{"trace_id":"t","name":"n","value":1e999}']
)
def test_a_number_that_is_none_is_refused(world: World, body: bytes) -> None:
    assert send(world, body).json()["error"]["field"] == "value"


def test_of_a_list_each_is_judged_by_itself(world: World) -> None:
    good = {**TRACE, "value": 1, "id": "one"}
    answer = send(world, {"scores": [good, 5, {**TRACE, "value": None}, {**good, "value": 2}, {**good, "id": "two"}]})
    assert answer.status_code == 200
    document = answer.json()
    assert [document[name] for name in ("accepted", "updated", "rejected")] == [2, 1, 2]
    assert [result["status"] for result in document["results"]] == [
        "accepted",
        "rejected",
        "rejected",
        "updated",
        "accepted",
    ]
    assert document["results"][2] == {
        "index": 2,
        "id": None,
        "status": "rejected",
        "code": 1201,
        "field": "value",
        "message": "value is missing.",
    }
    assert {row["id"]: row["value"] for row in listed(world)} == {"one": 2.0, "two": 1.0}


def test_a_list_has_a_limit(world: World) -> None:
    answer = send(world, {"scores": [{**TRACE, "value": 1}] * 1_001})
    assert answer.json()["error"]["code"] == 1205
    assert send(world, {"scores": []}).json()["results"] == []
    assert send(world, {"scores": {}}).json()["error"]["code"] == 1203
    assert send(world, []).json()["error"]["code"] == 1200


def test_a_later_write_replaces_the_whole_score_and_moves_the_version(world: World) -> None:
    send(world, {**TRACE, "id": "a", "value": 1, "comment": "first"})
    before = world.get(PATH)
    again = send(world, {**TRACE, "id": "a", "value": "bad"})
    assert again.json()["updated"] == 1
    [row] = listed(world)
    assert (row["value"], row["data_type"], row["comment"]) == ("bad", "categorical", None)
    assert world.get(PATH)["ETag"] != before["ETag"]


def test_the_same_score_again_writes_nothing(world: World) -> None:
    score = {**TRACE, "id": "a", "value": 1, "timestamp": NOW.isoformat(), "metadata": {"k": [1, None]}}
    send(world, score)
    before = world.get(PATH)
    assert send(world, score).json()["updated"] == 1
    assert world.get(PATH)["ETag"] == before["ETag"]


def test_filters_keep_what_they_say(world: World) -> None:
    send(
        world,
        {
            "scores": [
                {"trace_id": "t1", "name": "a", "value": 1, "source": "human", "environment": "Prod", "author": "ada"},
                {"trace_id": "t1", "span_id": "s1", "name": "a", "value": 3, "environment": "langfuse-dev"},
                {"session_id": "c1", "name": "b", "value": True},
                {"trace_id": "t2", "name": "c", "value": "red", "timestamp": (NOW - timedelta(days=3)).isoformat()},
            ]
        },
    )

    def values(**parameters: Any) -> set[Any]:
        return {row["value"] for row in listed(world, **parameters)}

    assert values() == {1, 3, "red"}
    assert values(name="a") == {1, 3}
    assert values(name="b,c") == {True, "red"}
    assert values(trace_id="t1") == {1, 3}
    assert values(span_id="s1") == {3}
    assert values(session_id="c1") == {True}
    assert values(source="human") == {1}
    assert values(author="ada") == {1}
    assert values(data_type="categorical,boolean") == {True, "red"}
    assert values(environment="prod") == {1}
    assert values(environment="dev") == {3}
    assert values(min_value=2) == {3}
    assert [row["name"] for row in listed(world, max_value=1)] == ["b", "a"] or values(max_value=1) == {1}
    assert values(end_time=(NOW - timedelta(days=1)).isoformat()) == {"red"}
    assert values(start_time=(NOW - timedelta(days=1)).isoformat(), name="c") == set()
    for wrong in ({"nmae": "a"}, {"source": "robot"}, {"min_value": "x"}, {"name": ","}, {"end_time": "now"}):
        assert world.get(PATH, **wrong).status_code == 400


def test_pages_hold_every_score_once_newest_first(world: World) -> None:
    moments = [(NOW - timedelta(minutes=number // 3)).isoformat() for number in range(11)]
    send(world, {"scores": [{**TRACE, "value": n, "timestamp": moment} for n, moment in enumerate(moments)]})
    send(
        world,
        {"scores": [{**TRACE, "value": 100 + n, "timestamp": moments[0]} for n in range(4)]},
        **{"X-Project": "web"},
    )
    seen: list[dict[str, Any]] = []
    cursor = None
    while True:
        more: dict[str, str] = {"cursor": cursor} if cursor else {}
        document = world.get(PATH, limit=2, include_total="true", **more).json()
        seen += document["data"]
        cursor = document["pagination"]["next_cursor"]
        assert document["pagination"]["total"] == 15
        if cursor is None:
            break
    assert sorted(row["value"] for row in seen) == [*range(11), 100, 101, 102, 103]
    assert [row["timestamp"] for row in seen] == sorted((row["timestamp"] for row in seen), reverse=True)
    assert {row["project"] for row in seen} == {"default", "web"}


def test_an_id_on_two_projects_is_two_scores(world: World) -> None:
    score = {**TRACE, "id": "same", "value": 1}
    send(world, score)
    send(world, {**score, "value": 2}, **{"X-Project": "web"})
    assert world.get(f"{PATH}/same").json()["error"]["code"] == 1201
    assert world.get(f"{PATH}/same", project="web").json()["data"]["value"] == 2.0
    assert world.send("DELETE", f"{PATH}/same?project=web").status_code == 204
    assert world.get(f"{PATH}/same").json()["data"]["value"] == 1.0
    assert world.send("DELETE", f"{PATH}/same?project=web").json()["error"]["code"] == 1300


@pytest.mark.parametrize("score_id", ["%00", "a%00b", "%FF", "a" * 5000])
def test_an_id_that_none_can_have_is_not_there(world: World, score_id: str) -> None:
    for method in ("GET", "DELETE"):
        answer = world.send(method, f"{PATH}/{score_id}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, 1300)


@pytest.mark.parametrize("text", ["1_0", "\u0663", "\u00bd", "1,5", "0x1f"])
def test_numbers_are_plain(world: World, text: str) -> None:
    answer = world.get(PATH, min_value=text)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 1203)


def test_comment_and_metadata_are_content(world: World) -> None:
    send(world, {**TRACE, "id": "a", "value": 1, "comment": "Frank said so", "metadata": {"who": "Frank"}})
    _, viewer = world.new_key()
    for path in (PATH, f"{PATH}/a"):
        mine, theirs = world.get(path), world.get(path, key=viewer)
        assert b"Frank" in mine.content
        assert theirs.status_code == 200
        assert b"Frank" not in theirs.content


def test_redaction_and_the_content_switch_hold_for_scores(world: World) -> None:
    score = {**TRACE, "value": 1, "comment": "ask ada@acme.example", "metadata": {"to": ["ben@acme.example"]}}
    Project.objects.filter(pk=world.default.pk).update(redact_patterns=["email"])
    forget_projects()
    send(world, {**score, "id": "redacted"})
    Project.objects.filter(pk=world.default.pk).update(store_content=False)
    forget_projects()
    send(world, {**score, "id": "nothing"})
    rows = {row["id"]: (row["comment"], row["metadata"]) for row in listed(world)}
    assert rows == {"redacted": ("ask [email]", {"to": ["[email]"]}), "nothing": (None, None)}


def test_nobody_sees_or_replaces_another_tenants_score(world: World) -> None:
    send(world, {**TRACE, "id": "mine", "value": 1}, key=world.zenith_key)
    assert listed(world) == []
    assert world.get(f"{PATH}/mine").status_code == 404
    assert world.send("DELETE", f"{PATH}/mine").status_code == 404
    assert send(world, {**TRACE, "id": "mine", "value": 9}).json()["accepted"] == 1
    assert world.get(f"{PATH}/mine", key=world.zenith_key).json()["data"]["value"] == 1.0


def test_a_deleted_score_is_gone_and_lists_say_so(world: World) -> None:
    send(world, {**TRACE, "id": "a", "value": 1})
    before = world.get(PATH)
    assert world.send("DELETE", f"{PATH}/a").status_code == 204
    after = world.get(PATH)
    assert after.json()["data"] == []
    assert after["ETag"] != before["ETag"]


def test_a_score_marks_its_own_minute_and_the_first_of_its_trace(world: World) -> None:
    begin = (NOW - timedelta(days=2)).replace(second=30, microsecond=0)
    span = {"trace_id": "t1", "span_id": "s", "name": "x", "start_time": begin.isoformat(), "duration_ms": 5}
    world.send("POST", "/api/v1/traces", span)
    with connection.cursor() as cursor:
        for refreshed in (False, True):
            if refreshed:
                from apps.metrics.refresh import refresh

                refresh()
            cursor.execute("SELECT coalesce(max(id), 0) FROM span_mark")
            last = cursor.fetchone()[0]
            when = NOW - timedelta(hours=5)
            send(world, {**TRACE, "value": int(refreshed), "id": "a", "timestamp": when.isoformat()})
            cursor.execute("SELECT lo FROM span_mark WHERE id > %s", [last])
            found = {row[0] for row in cursor.fetchall()}
            assert found == {when.replace(second=0, microsecond=0), begin.replace(second=0)}


def test_fields_keep_what_was_asked_for(world: World) -> None:
    send(world, {**TRACE, "value": 1, "metadata": {"a": 1}})
    assert listed(world, fields="name,value") == [{"name": "relevance", "value": 1.0}]
    assert world.get(PATH, fields="nmae").status_code == 400
