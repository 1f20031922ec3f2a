"""Traffic of two projects for tests of what the API says of conversations and users."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from django.db import connection

from apps.metrics.refresh import refresh
from apps.traces.columns import SpanRow
from apps.traces.models import Span, SpanMark
from apps.traces.scores import Score
from apps.traces.scores_writer import write_scores
from apps.traces.writer import write
from tests.support.cells import clear_cells
from tests.support.conversations import Row
from tests.support.spans import span_row, us
from tests.support.world import World, make_world

NOW = datetime.now(UTC).replace(second=0, microsecond=0)
START, END = NOW - timedelta(days=5), NOW - timedelta(hours=1)


def table(name: str) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {name}")
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def traffic(projects: list[int], seed: int = 1, traces: int = 60) -> list[SpanRow]:
    """Conversations of one to some turns: roots that are missing, errors, several users, unknown costs, same starts."""
    dice = random.Random(seed)
    made = []
    for number in range(traces):
        begin = us(START - timedelta(days=1)) + dice.randrange(0, 6 * 86_400, 1_200) * 1_000_000
        trace_id = f"{number:032x}"
        shared = {
            "project_id": projects[number % len(projects)],
            "trace_id": trace_id,
            "session_id": dice.choice([None, *(f"s {letter}/{letter}" for letter in "abcdefghijklmnop")]),
            "user_id": dice.choice([None, "ann", "bob"]),
            "environment": dice.choice([None, "production", "staging"]),
        }
        for place in range(dice.randint(1, 3)):
            known = dice.random() < 0.6
            made.append(
                span_row(
                    **shared,
                    span_id=f"{number * 4 + place:016x}",
                    start_us=begin + place * 1_000_000,
                    duration_us=dice.randrange(1, 90_000_000_000),
                    parent_span_id=None if place == 0 and dice.random() < 0.8 else f"{number * 4:016x}",
                    billable=place > 0 or dice.random() < 0.5,
                    status=dice.choice(["ok", "ok", "error", "unset"]),
                    total_cost=dice.randrange(10**13) if known else None,
                    prompt_cost=None,
                    completion_cost=None,
                )
            )
    return made


def tell_conversations() -> World:
    """Most of it folded, some written, changed and deleted since."""
    clear_cells()
    world = make_world()
    rows = traffic([world.default.pk, world.web.pk])
    late = [row for number, row in enumerate(rows) if number % 5 == 0]
    write([row for number, row in enumerate(rows) if number % 5])
    _verdicts(world, ["s a/a", "s b/b", "s c/c"], True)
    refresh()
    write(late)
    _verdicts(world, ["s c/c", "s d/d"], False)
    doomed = Span.objects.filter(trace_id__in=[f"{number:032x}" for number in (3, 4, 30, 31)])
    for project, start in list(doomed.values_list("project_id", "start_time")):
        SpanMark.objects.create(project_id=project, lo=start, hi=start + timedelta(seconds=1), created_at=NOW)
    doomed.delete()
    return world


def _verdicts(world: World, sessions: list[str], value: bool) -> None:
    write_scores(
        [
            Score(world.default.pk, f"{name} {value}", "resolved", "boolean", float(value), NOW, session_id=name)
            for name in sessions
        ]
    )
