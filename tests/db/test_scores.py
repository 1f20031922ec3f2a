"""Scores in the database: what a trace was given, what its deletion takes along, and what expires."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from apps.orgs.models import Organization
from apps.orgs.services import project_create
from apps.traces import retention, scores_retention
from apps.traces.scores import Score, delete_scores, score_names, scores_of
from apps.traces.scores_cells import fold_scores, forget_user
from apps.traces.scores_writer import write_scores
from tests.support.cells import marks

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 5, 12, 30, 15, tzinfo=UTC)


def score(key: str, **more: Any) -> Score:
    fields: dict[str, Any] = {"trace_id": "t1", "timestamp": NOW, **more}
    return Score(fields.pop("project_id", 1), key, fields.pop("name", "n"), "numeric", 1.0, **fields)


def ids() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM score")
        return {key for (key,) in cursor.fetchall()}


def test_a_trace_has_its_own_and_its_spans_scores_the_oldest_first() -> None:
    write_scores(
        [
            score("later", timestamp=NOW + timedelta(hours=1)),
            score("of the span", span_id="s", metadata=b'{"k": 1}', comment="c"),
            score("of its session", session_id="c", derived=True),
            score("other trace", trace_id="t2"),
            score("foreign", project_id=2),
        ]
    )
    with connection.cursor() as cursor:
        found = scores_of(cursor, 1, ["t1", "t2", "t3"])
    assert {trace: [one.id for one in given] for trace, given in found.items()} == {
        "t1": ["of the span", "later"],
        "t2": ["other trace"],
    }
    assert (found["t1"][0].metadata, found["t1"][0].comment, found["t1"][0].timestamp) == (b'{"k": 1}', "c", NOW)


def test_deleting_traces_takes_what_was_said_of_them_and_marks_it() -> None:
    write_scores(
        [
            score("trace"),
            score("span", span_id="s"),
            score("brought for its session", session_id="c", derived=True),
            score("session", trace_id=None, session_id="c"),
            score("kept", trace_id="t2"),
            score("foreign", project_id=2),
        ]
    )
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM span_mark")
        assert delete_scores(cursor, 1, ["t1"]) == 3
        assert delete_scores(cursor, 1, ["t1"]) == 0
        cursor.execute("SELECT project_id, lo FROM span_mark")
        assert cursor.fetchall() == [(1, NOW.replace(second=0))]
    assert ids() == {"session", "kept", "foreign"}


def test_names_are_found_step_by_step() -> None:
    write_scores([score(f"{name}{n}", name=name, project_id=p) for name in "cab" for n in range(3) for p in (1, 2)])
    write_scores([score("x", name="z", project_id=3)])
    with connection.cursor() as cursor:
        assert score_names(cursor, [1, 2], 200) == ["a", "b", "c"]
        assert len(score_names(cursor, [1, 2], 2)) <= 2
        assert score_names(cursor, [], 200) == []


def test_scores_expire_and_their_content_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores_retention, "BATCH", 2)
    organization = Organization.objects.create(slug="acme", name="Acme")
    short = project_create(organization=organization, slug="short", content_retention_days=3)
    long = project_create(organization=organization, slug="long")
    ages = (0, 5, 29, 31, 399, 402, 403, 404)
    for project in (short, long):
        write_scores(
            [
                score(f"{project.slug}{age}", project_id=project.pk, timestamp=NOW - timedelta(days=age), comment="c")
                for age in ages
            ]
        )
    with connection.cursor() as cursor:
        fold_scores(
            cursor, [(p.pk, NOW - timedelta(days=500), NOW + timedelta(days=1)) for p in (short, long)], traces=False
        )
    before = marks()
    assert retention.drop_expired(NOW).scores == 6
    assert ids() == {f"{slug}{age}" for slug in ("short", "long") for age in ages[:5]}
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM score_cell")
        assert {key for (key,) in cursor.fetchall()} == ids()
        cursor.execute("SELECT id FROM score WHERE comment IS NOT NULL")
        assert {key for (key,) in cursor.fetchall()} == {"short0", "long0", "long5", "long29"}
    assert marks() == before
    assert retention.drop_expired(NOW).scores == 0


def test_a_deleted_users_name_leaves_the_cells_of_traces_that_are_not_kept() -> None:
    write_scores([score("kept", trace_id="t1"), score("expired", trace_id="t2"), score("other", trace_id="t3")])
    with connection.cursor() as cursor:
        fold_scores(cursor, [(1, NOW - timedelta(days=1), NOW + timedelta(days=1))], traces=False)
        cursor.execute("UPDATE score_cell SET user_id = CASE id WHEN 'other' THEN 'bob' ELSE 'ann' END")
        cursor.execute(
            "INSERT INTO trace (project_id, trace_id, first_start, last_start, end_time, span_count, request_count,"
            " error_count, duration_us, models, providers, kinds)"
            " VALUES (1, 't1', %s, %s, %s, 1, 0, 0, 0, '{}', '{}', '{}')",
            [NOW, NOW, NOW],
        )
        forget_user(cursor, 1, "ann")
        cursor.execute("SELECT id, user_id FROM score_cell ORDER BY id")
        assert cursor.fetchall() == [("expired", None), ("kept", "ann"), ("other", "bob")]
