"""Counts of what arrived: every span that was answered once, in its project and its five minutes."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.ingest import tally
from apps.ingest.models import DeadLetter, IngestCount
from apps.ingest.redrive import redrive
from apps.orgs.models import Project
from tests.support.world import World, make_world


@pytest.fixture
def world(db: None) -> World:
    tally._held.clear()
    return make_world()


def now() -> datetime:
    return datetime.now(UTC)


def span(**more: Any) -> dict[str, Any]:
    return {"name": "chat", "kind": "llm", "start_time": now().isoformat(), "duration_ms": 5, **more}


OLD = "2001-01-01T00:00:00Z"


def of(project: Project) -> dict[str, int]:
    day = timedelta(days=1)
    return {reason: spans for _, reason, spans in tally.sums([project.pk], now() - day, now() + day)}


def test_counts_what_was_answered(world: World) -> None:
    world.send("POST", "/api/v1/traces", {"spans": [span(), span(), span(start_time=OLD)]}, key=world.key)
    world.send("POST", "/api/v1/traces", {"spans": [span()]}, key=world.zenith_key)
    assert of(world.default) == {}  # nothing is written on the way of a request
    assert tally.flush() == 3
    assert of(world.default) == {tally.ACCEPTED: 2, "older_than_retention": 1}
    assert of(world.zenith_project) == {tally.ACCEPTED: 1}
    world.send("POST", "/api/v1/traces", span(), key=world.key)
    tally.flush()
    assert tally.flush() == 0
    assert of(world.default) == {tally.ACCEPTED: 3, "older_than_retention": 1}


def test_a_letter_that_is_refused_again_is_no_further_refusal(world: World) -> None:
    world.send("POST", "/api/v1/traces", {"spans": [span(start_time=OLD)]}, key=world.key)
    redrive()
    Project.objects.filter(pk=world.default.pk).update(raw_retention_days=None)
    tally.flush()
    assert of(world.default) == {"older_than_retention": 1}
    assert DeadLetter.objects.count() == 1


def test_what_could_not_be_written_is_held(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tally.count(world.default.pk, 5, {"malformed": 2})
    monkeypatch.setattr(tally, "_ADD", "SELECT nothing FROM nowhere WHERE %s IS NULL AND %s %s %s")
    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute("SAVEPOINT before")
        try:
            tally.flush()
        finally:
            cursor.execute("ROLLBACK TO SAVEPOINT before")
    tally.count(world.default.pk, 1, {})
    monkeypatch.undo()
    tally.flush()
    assert of(world.default) == {tally.ACCEPTED: 6, "malformed": 2}


def test_a_project_that_is_gone_keeps_nothing_back(world: World) -> None:
    tally.count(2_000_000_000, 5, {})
    tally.count(world.default.pk, 1, {})
    assert tally.flush() == 2
    assert of(world.default) == {tally.ACCEPTED: 1}


def test_holds_no_more_than_it_may(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "MOST_HELD", 2)
    for reason in ("a", "b", "a", "c"):
        tally.count(world.default.pk, 0, {reason: 1})
    tally.flush()
    assert of(world.default) == {"a": 2, "b": 1}


MINUTES = st.integers(0, 600)


@settings(max_examples=15, deadline=None)
@given(
    rows=st.lists(st.tuples(MINUTES, st.sampled_from(["", "x", "y"]), st.integers(1, 9)), max_size=12),
    start=MINUTES,
    length=st.integers(5, 600),
    width=st.sampled_from([5, 15, 60]),
)
def test_the_course_adds_up_to_the_sums(rows: Any, start: int, length: int, width: int) -> None:
    """Whatever the steps, each span is in one of them, accepted or not."""
    _ask(rows, start, length, width)


def _ask(rows: Any, start: int, length: int, width: int) -> None:
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    lo, hi = begin + timedelta(minutes=start), begin + timedelta(minutes=start + length)
    project = Project.objects.get(slug="web")
    IngestCount.objects.all().delete()
    added: Counter[tuple[datetime, str]] = Counter()
    for minute, reason, spans in rows:
        added[tally.bucket_of(begin + timedelta(minutes=minute)), reason] += spans
    IngestCount.objects.bulk_create(
        IngestCount(project=project, bucket=bucket, reason=reason, spans=spans)
        for (bucket, reason), spans in added.items()
    )
    course = tally.course([project.pk], lo, hi, timedelta(minutes=width))
    wanted: Counter[tuple[datetime, bool]] = Counter()
    for (bucket, reason), spans in added.items():
        if tally.bucket_of(lo) <= bucket < hi:
            steps = (bucket - tally.bucket_of(lo)) // timedelta(minutes=width)
            wanted[tally.bucket_of(lo) + steps * timedelta(minutes=width), reason == ""] += spans
    assert {(moment, good): spans for moment, good, spans in course} == dict(wanted)
    assert sum(spans for *_, spans in tally.sums([project.pk], lo, hi)) == wanted.total()


@pytest.fixture(autouse=True)
def _a_project(world: World) -> None:
    """For the examples, which share one world."""


def test_expires(world: World) -> None:
    tally.count(world.default.pk, 1, {})
    tally.flush()
    assert tally.expire(now() - timedelta(days=1)) == 0
    assert tally.expire(now() + timedelta(minutes=1)) == 1
