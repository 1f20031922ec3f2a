"""Partitions are there before they are needed and go when their time is over."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import connection, connections

from apps.orgs.models import Organization, Project
from apps.traces import retention, schema, storage, writer
from apps.traces.models import Span, SpanContent, SpanMark, Trace
from apps.traces.summary import refresh_traces
from tests.support.spans import T0, span_row, us

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _at_t0() -> Iterator[None]:
    with time_machine.travel(T0):
        yield


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(retention, "LOCK_TIMEOUT", "200ms")


@pytest.fixture
def _short(settings: Any) -> None:
    """Raw spans 10 days, content 4."""
    settings.HUB = settings.HUB.model_copy(update={"raw_retention_days": 10, "content_retention_days": 4})


short = pytest.mark.usefixtures("_short")


def _days(table: str) -> list[Any]:
    with connection.cursor() as cursor:
        return sorted(schema.partition_days(cursor, table))


def _written(moment: datetime, project: int = 1) -> str:
    row = span_row(start_us=us(moment), output="text", project_id=project)
    writer.write([row])
    return row.trace_id


def _drop_every_partition() -> None:
    with connection.cursor() as cursor:
        for table in schema.SPAN_TABLES:
            for name in schema.partition_days(cursor, table).values():
                cursor.execute(f"DROP TABLE {name}")


def _only_plain() -> None:
    if storage.tier().hypertables:
        pytest.skip("native partitions are for plain PostgreSQL")


@short
@pytest.mark.django_db
def test_partitions_reach_from_the_retention_to_three_days_ahead() -> None:
    _only_plain()
    _drop_every_partition()
    assert storage.prepare(T0) == 14 + 8 + 8
    today = T0.date()
    assert _days("span") == schema.days_between(today - 10 * DAY, today + 3 * DAY)
    assert _days("span_content") == schema.days_between(today - 4 * DAY, today + 3 * DAY)
    assert _days("span_text") == _days("span_content")
    assert storage.prepare(T0) == 0
    assert storage.prepare(T0 + DAY) == 3


@short
@pytest.mark.django_db
def test_what_is_past_its_retention_goes_and_the_rest_stays() -> None:
    ages = {days: _written(T0 - days * DAY) for days in (0, 3, 4, 5, 9, 10, 11, 12)}
    with connection.cursor() as cursor:
        refresh_traces(cursor, [(1, T0 - 20 * DAY, T0 + DAY)])
    SpanMark.objects.all().delete()
    report = retention.drop_expired(T0)
    kept = {days for days, trace in ages.items() if Span.objects.filter(trace_id=trace).exists()}
    assert kept == {0, 3, 4, 5, 9, 10}
    assert set(Trace.objects.values_list("trace_id", flat=True)) == {ages[days] for days in kept}
    assert SpanContent.objects.count() == 3
    assert report.postponed == []
    assert not SpanMark.objects.exists(), "retention marks nothing"
    again = retention.drop_expired(T0)
    assert (again.partitions, again.rows, again.traces) == ([], 0, 0)


@short
@pytest.mark.django_db
def test_the_edge_of_what_is_whole_never_moves_back(settings: Any) -> None:
    edge = storage.raw_floor(T0)
    assert edge == datetime(2026, 10, 26, tzinfo=T0.tzinfo)
    retention.drop_expired(T0)
    settings.HUB = settings.HUB.model_copy(update={"raw_retention_days": 90})
    assert storage.raw_floor(T0) == edge
    assert storage.raw_floor(T0 + 100 * DAY) == edge + 20 * DAY


@short
@pytest.mark.django_db
def test_a_project_may_keep_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    organization = Organization.objects.create(slug="acme", name="Acme")
    less = Project.objects.create(
        organization=organization, slug="less", name="Less", raw_retention_days=2, content_retention_days=1
    )
    other = less.pk + 1
    for days in (0, 1, 2, 3, 3, 3, 3, 3, 6):
        for project in (less.pk, other):
            _written(T0 - days * DAY, project)
    with connection.cursor() as cursor:
        refresh_traces(cursor, [(p, T0 - 20 * DAY, T0 + DAY) for p in (less.pk, other)])
    retention.drop_expired(T0)
    assert Span.objects.filter(project_id=other).count() == 9
    assert Trace.objects.filter(project_id=other).count() == 9
    assert SpanContent.objects.filter(project_id=other).count() == 8
    assert Span.objects.filter(project_id=less.pk).count() == 3
    assert Trace.objects.filter(project_id=less.pk).count() == 3
    assert SpanContent.objects.filter(project_id=less.pk).count() == 2
    assert retention.drop_expired(T0 + DAY).rows == 2


@short
def test_a_long_reader_delays_only_the_removal(committed_spans: None) -> None:
    """The reader holds its partition; writers go on meanwhile, and the next run finishes."""
    _only_plain()
    _written(T0 - 12 * DAY)
    _written(T0)
    storage.prepare(T0)
    reading, done = threading.Event(), threading.Event()

    def read() -> None:
        with connections["default"].cursor() as cursor:
            cursor.execute("BEGIN; SELECT count(*) FROM span")
            reading.set()
            done.wait(30)
            cursor.execute("COMMIT")
        connections.close_all()

    reader = threading.Thread(target=read)
    reader.start()
    assert reading.wait(10)
    try:
        report = retention.drop_expired(T0)
        name = schema.partition_name("span", (T0 - 12 * DAY).date())
        assert name in report.postponed
        _written(T0)
    finally:
        done.set()
        reader.join()
    assert name in retention.drop_expired(T0).partitions
    assert Span.objects.count() == 2
    storage.prepare()


def test_many_processes_prepare_at_once(committed_spans: None) -> None:
    _only_plain()
    later = datetime(2040, 1, 1, tzinfo=T0.tzinfo)
    made: list[int] = []

    def prepare() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        made.append(storage.prepare(later))
        connections.close_all()

    threads = [threading.Thread(target=prepare) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = schema.days_between(later.date() - 90 * DAY, later.date() + 3 * DAY)
    assert len(made) == 4
    assert set(expected) <= set(_days("span"))


@pytest.mark.django_db
def test_a_partition_that_was_detached_comes_back_with_its_rows() -> None:
    _only_plain()
    _written(T0)
    name = schema.partition_name("span", T0.date())
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE span DETACH PARTITION {name}")
    assert Span.objects.count() == 0
    storage.prepare(T0)
    assert Span.objects.count() == 1


@pytest.mark.django_db
def test_the_status_names_tier_tables_and_days() -> None:
    # Later than any other test: deleted rows of theirs may still fill pages of their days.
    latest = T0 + 7000 * DAY
    _written(latest)
    out = StringIO()
    call_command("storage", "status", "--json", stdout=out)
    status = json.loads(out.getvalue())
    assert status["tier"] == storage.tier()
    known = {"span", "span_content", "span_text", "span_mark", "text_mark", "trace", "session"}
    assert set(status["tables"]) == known
    assert status["tables"]["span"]["newest_data_day"] == latest.date().isoformat()
    assert status["tables"]["span"]["bytes"] > 0
    text = StringIO()
    call_command("storage", "status", stdout=text)
    assert f"tier: {storage.tier()}" in text.getvalue()


@pytest.mark.django_db
def test_without_the_extension_there_is_nothing_to_upgrade_to() -> None:
    _only_plain()
    with pytest.raises(CommandError, match="does not offer"):
        call_command("storage", "upgrade")
