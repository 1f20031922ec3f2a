"""New scores and costs leave what spans take over from their traces alone, and their marks say so."""

from __future__ import annotations

import pytest
from django.db import connection

from apps.common.reads.snapshot import snapshot
from apps.metrics import state
from apps.metrics.params import reference
from apps.metrics.spec import QuerySpec
from apps.traces.schema import EPOCH
from apps.traces.writer import marks_sql
from tests.support.spans import T0
from tests.support.world import World, make_world


@pytest.fixture
def world(db: None) -> World:
    return make_world()


def attribution_is_open(world: World) -> bool:
    """Whether a question by user has to work out what marked traces say."""
    users = reference("unique_users", None, None)
    spec = QuerySpec(world.acme.pk, (world.default.pk,), EPOCH, T0, (users,))
    with snapshot() as cursor:
        return state.read_state(cursor, spec).attribution_dirty is not None


def test_a_score_does_not_open_the_attribution(world: World) -> None:
    body = {"session_id": "talk", "name": "resolved", "value": True}
    assert world.send("POST", "/api/v1/scores", body, key=world.key).status_code < 300
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), bool_or(inherited) FROM span_mark")
        assert cursor.fetchone() == (1, False)
    assert not attribution_is_open(world)


@pytest.mark.parametrize("inherited", [True, False])
def test_a_mark_opens_it_where_it_may_have_changed(world: World, inherited: bool) -> None:
    with connection.cursor() as cursor:
        cursor.execute(marks_sql([(world.default.pk, 10, 11)], inherited=inherited))
    assert attribution_is_open(world) is inherited
