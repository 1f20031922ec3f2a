"""One trace over HTTP: its tree, its figures, its texts, and who may see it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from unittest.mock import ANY

import pytest
import time_machine
from django.db import connection

from apps.traces import detail
from apps.traces.models import SpanMark
from apps.traces.scores import Score
from apps.traces.scores_writer import write_scores
from apps.traces.summary import refresh_traces
from apps.traces.writer import write
from tests.support.spans import T0, T0_US, clear_spans, span_row

if TYPE_CHECKING:
    from tests.support.world import World

pytestmark = pytest.mark.django_db
MS = 1_000
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(autouse=True)
def _at_t0() -> Iterator[None]:
    clear_spans()
    with time_machine.travel(T0 + timedelta(hours=1), tick=False):
        yield


def _span(project: int, name: str, parent: str | None, start: int, length: int, **more: Any) -> Any:
    """A span of the trace, `start` and `length` in milliseconds."""
    return span_row(
        project_id=project,
        trace_id=TRACE,
        span_id=name,
        parent_span_id=parent,
        name=name,
        start_us=T0_US + start * MS,
        duration_us=length * MS,
        **more,
    )


def _tell(world: World) -> None:
    quiet = {"billable": False, "total_cost": None, "prompt_cost": None, "completion_cost": None, "total_tokens": None}
    write(
        [
            _span(world.default.pk, "root", None, 0, 100, user_id="ann", kind="chain", **quiet),
            _span(world.default.pk, "late", "root", 60, 30, input="in", output="out", attributes=b'{"k": 1}'),
            _span(world.default.pk, "early", "root", 10, 20, status="error", error_message="no", usage=b'{"x": 2}'),
            _span(world.default.pk, "lost", "nobody", 5, 10, **quiet),
        ],
        within_transaction=True,
    )


def _get(world: World, **parameters: str) -> Any:
    key = parameters.pop("key", None)
    return world.get(f"/api/v1/traces/{TRACE}", key=key, **parameters)


@pytest.mark.parametrize("refreshed", [False, True])
def test_a_trace_is_given_as_a_tree_with_its_sums(world: World, refreshed: bool) -> None:
    _tell(world)
    if refreshed:
        with connection.cursor() as cursor:
            refresh_traces(cursor, [(mark.project_id, mark.lo, mark.hi) for mark in SpanMark.objects.all()])
        SpanMark.objects.all().delete()
    body = _get(world).json()
    assert [(span["span_id"], span["depth"], span["parent_missing"]) for span in body["spans"]] == [
        ("root", 0, False),
        ("early", 1, False),
        ("late", 1, False),
        ("lost", 0, True),
    ]
    totals = body["totals"]
    assert (totals["duration_ms"], totals["span_count"], totals["request_count"]) == (100.0, 4, 2)
    assert (totals["total_cost_usd"], totals["total_tokens"], totals["error_count"]) == (0.009, 2400, 1)
    assert (body["user_id"], body["name"], body["root_span_id"], body["project"]) == ("ann", "root", "root", "default")
    assert [(step["span_id"], step["duration_ms"]) for step in body["critical_path"]] == [
        *(("root", 10.0), ("early", 20.0), ("root", 30.0), ("late", 30.0), ("root", 10.0)),
    ]
    late, early = body["spans"][2], body["spans"][1]
    assert (late["input"], late["output"], late["attributes"]) == ("in", "out", {"k": 1})
    assert (late["total_cost_usd"], late["total_tokens"], late["offset_ms"]) == (0.0045, 1200, 60.0)
    assert (early["error_message"], early["usage"], early["on_critical_path"]) == ("no", {"x": 2}, True)
    assert (body["spans_truncated"], body["content_truncated"], body["content_visible"]) == (False, False, True)


def test_texts_are_for_those_who_may_read_content(world: World) -> None:
    _tell(world)
    _, viewer = world.new_key()
    write_scores([Score(world.default.pk, "s1", "quality", "numeric", 0.5, T0, trace_id=TRACE, comment="secret")])
    body = _get(world, key=viewer).json()
    assert body["content_visible"] is False
    for span in body["spans"]:
        assert {span[name] for name in detail.CONTENT if not isinstance(span[name], dict)} == {None}
    assert "secret" not in str(body)
    assert body["scores"][0]["value"] == 0.5
    assert _get(world).json()["scores"][0]["comment"] == "secret"


def test_texts_can_be_left_away_and_one_span_be_asked_for(world: World) -> None:
    _tell(world)
    whole, brief = _get(world).json(), _get(world, content="false").json()
    absent = {"input": None, "output": None, "attributes": None, "events": None}
    assert brief["spans"] == [{**span, **absent} for span in whole["spans"]]
    assert brief["spans"][1]["error_message"] == "no"
    assert [brief[name] for name in ("totals", "critical_path", "content_visible")] == [
        whole[name] for name in ("totals", "critical_path", "content_visible")
    ]
    for span in whole["spans"]:
        assert _get(world, span_id=span["span_id"]).json() == {**whole, "spans": [span], "meta": ANY}
    refused = _get(world, span_id="nobody")
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, 1300)
    _, viewer = world.new_key()
    assert _get(world, content="false", key=viewer).json()["spans"][1]["error_message"] is None


def test_a_trace_of_several_projects_has_to_be_named_with_its_project(world: World) -> None:
    _tell(world)
    write([_span(world.web.pk, "other", None, 0, 5)], within_transaction=True)
    answer = _get(world)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["details"]) == (1201, {"projects": ["default", "web"]})
    assert len(_get(world, project="default").json()["spans"]) == 4
    assert [span["span_id"] for span in _get(world, project="web").json()["spans"]] == ["other"]
    assert len(_get(world, key=world.key).json()["spans"]) == 4, "a key of one project sees that one alone"


def test_what_is_hidden_or_foreign_or_absurd_is_not_there(world: World) -> None:
    write([_span(world.web.pk, "other", None, 0, 5)], within_transaction=True)
    assert _get(world).status_code == 200
    for key in (world.key, world.zenith_key):
        answer = _get(world, key=key)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, 1301)
    for name in ("none", "x" * 300, "a%00b", "%ff"):
        answer = world.get(f"/api/v1/traces/{name}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, 1301), name


def test_of_a_very_long_trace_the_first_spans_are_given(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detail, "MAX_SPANS", 2)
    _tell(world)
    body = _get(world).json()
    assert [span["span_id"] for span in body["spans"]] == ["root", "lost"]
    assert body["spans_truncated"] is True
    assert body["totals"]["span_count"] == 4


def test_texts_beyond_the_budget_stay_in_the_database(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detail, "MAX_CONTENT", 10)
    rows = [_span(world.default.pk, f"s{n}", None, n, 5, input="x" * 4) for n in range(4)]
    write(rows, within_transaction=True)
    body = _get(world).json()
    assert [span["input"] for span in body["spans"]] == ["xxxx", "xxxx", None, None]
    assert body["content_truncated"] is True


def test_a_late_span_changes_the_etag_and_fields_choose(world: World) -> None:
    _tell(world)
    first = _get(world)
    headers = {"Authorization": f"Bearer {world.wide_key}", "If-None-Match": first.headers["ETag"]}
    assert world.client.get(f"/api/v1/traces/{TRACE}", headers=headers).status_code == 304
    write([_span(world.default.pk, "more", "root", 86_400_000 * 3, 5)], within_transaction=True)
    assert world.client.get(f"/api/v1/traces/{TRACE}", headers=headers).json()["totals"]["span_count"] == 5
    chosen = _get(world, fields="totals.span_count,spans.span_id").json()
    assert chosen["totals"] == {"span_count": 5}
    assert chosen["spans"][0] == {"span_id": "root"}
    assert set(chosen) == {"totals", "spans", "meta"}
