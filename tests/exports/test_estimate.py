"""The rows an export is expected to have, before it is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from django.db import connection

from apps.exports import estimate
from apps.exports.estimate import estimated_rows
from apps.exports.spec import Kind
from tests.exports.questions import asked, exported, fill_world
from tests.metrics.test_oracle import NOW
from tests.support.cells import clear_cells
from tests.support.world import World, make_world

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(transactional_db: None) -> Iterator[World]:
    clear_cells()
    with time_machine.travel(NOW, tick=False):
        world = make_world()
        fill_world(world, "refreshed")
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE span")
        yield world
    clear_cells()


EXACT: tuple[tuple[Kind, dict[str, Any]], ...] = (
    ("metrics", {"metrics": ["request_count"]}),
    ("metrics", {"metrics": ["request_count"], "group_by": ["model", "user_id"]}),
    ("metrics", {"metrics": ["request_count"], "interval": "1hour", "group_by": ["model"], "fill": "zero"}),
    ("costs", {"interval": "none", "group_by": ["team", "status"]}),
    ("costs", {"interval": "1hour", "limit": 5}),
    ("metrics", {"metrics": ["request_count"], "limit": 1, "group_by": ["model"]}),
)


def test_groups_are_counted(world: World) -> None:
    for kind, body in EXACT:
        assert estimated_rows(asked(world, kind, body)) == len(exported(world, kind, body)[0]), body


def test_rows_are_at_most_as_many_as_requests(world: World) -> None:
    body = {"metrics": ["request_count"], "interval": "1min", "group_by": ["user_id", "model"]}
    rows, made = exported(world, "metrics", body)
    found = estimated_rows(asked(world, "metrics", body))
    assert found is not None
    assert len(rows) <= found <= made.manifest["sums"]["requests"]


def test_spans_are_guessed_from_statistics(world: World) -> None:
    rows, _ = exported(world, "traces", {})
    everything = estimated_rows(asked(world, "traces", {}))
    assert everything is not None
    assert len(rows) / 2 <= everything <= len(rows) * 2
    some = estimated_rows(asked(world, "traces", {"model": "gpt-4o", "status": "error"}))
    assert some is not None
    assert some < everything
    assert estimated_rows(asked(world, "traces", {"limit": 3})) == 3


def test_what_takes_too_long_is_not_estimated(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(cursor: Any, spec: Any) -> int:
        cursor.execute(b"SET LOCAL statement_timeout = 20")
        cursor.execute(b"SELECT pg_sleep(5)")
        return 1

    monkeypatch.setattr(estimate, "_spans", slow)
    assert estimated_rows(asked(world, "traces", {})) is None
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
