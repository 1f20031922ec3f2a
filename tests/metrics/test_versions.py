"""The version of the data behind an ETag: never the same for different answers, and the same while nothing is written.

What is checked against is the answers themselves, asked from the spans after every step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.db import connection
from hypothesis import HealthCheck, example, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from apps.metrics import compile_timescale
from apps.metrics import refresh as folding
from apps.metrics.build import Build
from apps.metrics.ranges import Ranges
from apps.metrics.refresh import Marks, Pass, refresh
from apps.metrics.runner import answer
from apps.metrics.spec import Filter, MetricRef, QuerySpec
from apps.metrics.summary import summarize
from apps.metrics.versions import version_of
from apps.orgs.models import Organization, Project
from apps.traces.writer import write
from tests.support.cells import clear_cells
from tests.support.spans import span_row, us

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 11, 5, 12, 30, 15, 250_000, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 5, tzinfo=UTC)
DAY = timedelta(days=1)
COUNT = MetricRef("request_count", "sum", "n")
COST = MetricRef("total_cost", "sum", "cost")
P95 = MetricRef("duration", "p95", "p95")


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    clear_cells()
    with time_machine.travel(NOW, tick=False):
        yield
    clear_cells()


@dataclass(frozen=True)
class Asked:
    """A question, and the (project, days before today) whose writes it may depend on; None: any of its projects'."""

    spec: QuerySpec
    depends: frozenset[tuple[int, int]] | None
    report: bool = False

    def version(self) -> tuple[Any, ...]:
        back = self.spec.end - self.spec.start if self.report else None
        return version_of(self.spec, summary=self.report, before=back)

    def answer(self) -> Any:
        if self.report:
            return summarize(self.spec).blocks
        made = answer(self.spec)
        return made.plan.start, made.plan.end, made.rows

    def depends_on(self, project: int, day: int) -> bool:
        if self.depends is None:
            return project in self.spec.project_ids
        return (project, day) in self.depends


def _spec(first: int, last: int, *projects: int, **more: Any) -> QuerySpec:
    """Whole days, counted back from today, both included."""
    start, end = MIDNIGHT - first * DAY, MIDNIGHT - (last - 1) * DAY
    return QuerySpec(1, projects, start, end, more.pop("metrics", (COUNT, COST)), **more)


def _days(first: int, last: int, *projects: int) -> frozenset[tuple[int, int]]:
    return frozenset((project, day) for project in projects for day in range(last, first + 1))


QUESTIONS = (
    Asked(_spec(0, 0, 1, interval="1hour", group_by=("model",)), _days(0, 0, 1)),
    Asked(_spec(2, 1, 1, 2, interval="1day", group_by=("project",)), _days(2, 1, 1, 2)),
    Asked(_spec(3, 0, 2, metrics=(COUNT, P95)), _days(3, 0, 2)),
    Asked(_spec(0, 0, 1, compare_to=DAY), _days(1, 0, 1)),
    Asked(_spec(1, 1, 1, group_by=("user_id",)), None),
    Asked(_spec(1, 1, 1, filters=(Filter("environment", "eq", ("staging",)),)), None),
    Asked(_spec(1, 0, 1, 2), None, report=True),
    Asked(replace(_spec(1, 1, 1), start=MIDNIGHT - DAY, end=MIDNIGHT - DAY + timedelta(hours=1)), _days(1, 1, 1)),
)

WRITES = st.tuples(
    st.just("write"),
    st.sampled_from((1, 1, 2, 3)),  # 3 belongs to another organization
    st.integers(0, 3),  # days before today
    st.sampled_from((0, 1, 59, 720, 1439)),  # the minute of the day
    st.integers(0, 1),  # which trace
    st.integers(0, 2),  # which span of it: the same again replaces, repeats or is of no account
    st.integers(1, 3),  # its duration, which decides between arrivals
    st.sampled_from((None, "ann")),  # a root that arrives late gives its user to spans of other days
)
STEPS = st.one_of(WRITES, WRITES, WRITES, st.just(("refresh",)), st.just(("nothing",)))


def _write(step: tuple[Any, ...]) -> tuple[int, int]:
    _, project, day, minute, trace, span, duration, user = step
    start = MIDNIGHT - day * DAY + timedelta(minutes=minute)
    row = span_row(
        project_id=project,
        trace_id=f"{project:08x}{trace:024x}",
        span_id=f"{span + 1:016x}",
        parent_span_id=None if user else "f" * 16,
        start_us=us(start),
        duration_us=duration,
        user_id=user,
        environment="staging" if user else None,
        status="error" if duration == 3 else "ok",
        error_type="slow" if duration == 3 else None,
    )
    write([row])
    return project, day


@profile(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(STEPS, min_size=2, max_size=9))
@example([("write", 1, 1, 5, 0, 0, 1, None), ("write", 1, 0, 5, 0, 1, 1, "ann"), ("refresh",)])  # a late root
@example([("write", 1, 1, 5, 0, 0, 1, None), ("refresh",), ("write", 1, 0, 5, 0, 1, 1, "ann"), ("refresh",)])
def test_an_unchanged_version_means_an_equal_answer(steps: list[tuple[Any, ...]]) -> None:
    clear_cells()
    with connection.cursor() as cursor:
        aggregates = compile_timescale.in_use(cursor)
    seen: list[dict[Any, Any]] = [{question.version(): question.answer()} for question in QUESTIONS]
    before = [question.version() for question in QUESTIONS]
    for step in steps:
        touched = None
        if step[0] == "write":
            touched = _write(step)
        elif step[0] == "refresh":
            refresh(NOW + DAY)
        for number, question in enumerate(QUESTIONS):
            version = question.version()
            if step[0] == "refresh" and aggregates:
                # Marks of changed traces lie there while aggregates are refreshed, and are counted: it may grow.
                assert all(now >= then for now, then in zip(version[:-1], before[number][:-1], strict=True))
            elif touched is None or not question.depends_on(*touched):
                assert version == before[number], f"{step} changed the version of {question}"
            found = question.answer()
            assert seen[number].setdefault(version, found) == found, f"{step} changed the answer to {question}"
            before[number] = version


def test_the_same_span_again_changes_nothing() -> None:
    step = ("write", 1, 0, 5, 1, 1, 2, None)
    _write(step)
    before = QUESTIONS[0].version()
    _write(step)
    assert QUESTIONS[0].version() == before


def test_a_mark_over_several_days_counts_in_each_and_so_does_its_fold() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO span_mark (project_id, lo, hi) VALUES (1, %s, %s)", [MIDNIGHT - 3 * DAY, MIDNIGHT - DAY]
        )
    expected = {3: 1, 2: 1, 1: 0, 0: 0}
    for _ in range(2):
        assert {day: version_of(_spec(day, day, 1))[0] for day in expected} == expected
        assert version_of(_spec(3, 0, 1))[0] == 2
        refresh(NOW)


def test_marks_of_changed_traces_and_their_fold_count_alike() -> None:
    """Where continuous aggregates are refreshed in between, they lie there for others to see."""
    changed = Ranges.of([])
    for minutes in (0, 10, 20):
        start = MIDNIGHT + timedelta(minutes=minutes)
        changed |= Ranges.of([(1, start, start + timedelta(minutes=1))])
    with connection.cursor() as cursor:
        build = Build(cursor, None, changed, {}, {})  # type: ignore[arg-type]  # nothing is built with it
        done = Pass(NOW, Marks(), build, changed)
        folding._mark_changed(cursor, done)
        while_marked = version_of(_spec(0, 0, 1))
        folding._remove(cursor, done)
    assert version_of(_spec(0, 0, 1)) == while_marked
    assert while_marked[0] == 3


def _of_project(days: int | None) -> QuerySpec:
    organization = Organization.objects.create(slug="acme", name="Acme")
    project = Project.objects.create(organization=organization, slug="p", name="p", raw_retention_days=days)
    return replace(_spec(3, 0, project.pk), start=NOW - 5 * DAY)


def test_behind_the_edge_of_a_projects_retention_the_minute_counts() -> None:
    spec = _of_project(4)
    before = version_of(spec)
    with time_machine.travel(NOW + timedelta(seconds=10), tick=False):
        assert version_of(spec) == before
    with time_machine.travel(NOW + timedelta(minutes=1), tick=False):
        assert version_of(spec) != before


def test_in_front_of_the_edge_time_alone_changes_nothing() -> None:
    spec = _of_project(7)
    before = version_of(spec)
    with time_machine.travel(NOW + timedelta(hours=10), tick=False):
        assert version_of(spec) == before
    with time_machine.travel(NOW + 2 * DAY + timedelta(minutes=1), tick=False):
        assert version_of(spec) != before  # the edge has passed the start


def test_a_projects_retention_and_the_edge_once_reached_count() -> None:
    spec = _of_project(None)
    whole = version_of(spec)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO retention_floor (relation, project_id, floor) VALUES ('span', 0, %s)", [MIDNIGHT - DAY]
        )
    reached = version_of(spec)
    assert reached != whole
    Project.objects.update(raw_retention_days=2)
    assert version_of(spec) not in (whole, reached)


def test_the_installations_retention_counts_behind_the_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(_spec(3, 0, 1), start=NOW - 200 * DAY)
    before = version_of(spec)
    monkeypatch.setattr(settings.HUB, "rollup_1h_retention_days", 100)
    assert version_of(spec) != before
