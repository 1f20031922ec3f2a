"""How bodies of exports of spans are read, and how little of the rows is held at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from apps.common.errors import ApiError
from apps.common.reads.reading import Problems
from apps.common.reads.snapshot import snapshot
from apps.exports.asking import Asked
from apps.exports.sources.spans import reading
from apps.exports.sources.spans.columns import COLUMNS, DEFAULTS
from apps.exports.sources.spans.reader import read
from apps.exports.sources.spans.source import SpanSource
from apps.exports.spec import ExportSpec
from apps.orgs.scopes import Scope
from apps.traces import writer
from tests.exports.test_spans import BOUNDS, spec_of
from tests.support.spans import T0, T0_US, span_row

pytestmark = pytest.mark.usefixtures("committed_spans")
SCOPE = Scope(1, {"one": 1})


def asked(body: Mapping[str, Any]) -> Asked:
    problems = Problems()
    made = read(body, SCOPE, BOUNDS, problems)
    problems.check()
    return made


def refused(body: Mapping[str, Any]) -> tuple[int, str | None]:
    with pytest.raises(ApiError) as caught:
        asked(body)
    return caught.value.entry.code, caught.value.field


def test_a_body_without_filters_asks_for_all_spans() -> None:
    made = asked({})
    assert made.question == {"match": "spans"}
    assert not made.content
    assert made.defaults == DEFAULTS
    assert {column.name for column in made.columns} - {*DEFAULTS} == {
        *("error_message", "input", "output", "attributes", "events")
    }
    assert all(column.content == (column.name not in DEFAULTS) for column in COLUMNS)


def test_a_text_is_one_value_and_its_commas_are_its_own() -> None:
    made = asked({"name": "a,b", "model": ["x", "y"], "min_cost": "0.5", "has_error": False})
    assert made.question == {
        **{"match": "spans", "name": ["a,b"], "model": ["x", "y"], "min_cost": "0.5", "has_error": False}
    }


LEAF = {"field": "model", "operator": "eq", "value": "x"}


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"match": "trace"}, 1202, "match"),
        ({"match": None}, 1203, "match"),
        ({"user_id": None}, 1203, "user_id"),
        ({"user_id": []}, 1202, "user_id"),
        ({"user_id": ["a", 5]}, 1203, "user_id"),
        ({"user_id": {"a": 1}}, 1203, "user_id"),
        ({"user_id": ["a"] * 101}, 1202, "user_id"),
        ({"user_id": "\ud800"}, 1202, "user_id"),
        ({"user_id": "a\0"}, 1202, "user_id"),
        ({"user_id": "a" * 1001}, 1202, "user_id"),
        ({"status": ["ok", "failed"]}, 1202, "status"),
        ({"min_cost": None}, 1203, "min_cost"),
        ({"min_cost": -1}, 1202, "min_cost"),
        ({"max_tokens": "many"}, 1203, "max_tokens"),
        ({"max_tokens": True}, 1203, "max_tokens"),
        ({"has_error": None}, 1203, "has_error"),
        ({"has_error": "perhaps"}, 1203, "has_error"),
        ({"search": 5}, 1203, "search"),
        ({"search": "---"}, 1202, "search"),
        ({"filter": {**LEAF, "field": "modle"}}, 1202, "filter.field"),
        ({"filter": None}, 1203, "filter"),
        ({"filter": {"field": "name", "operator": "regex", "value": "("}}, 1203, "name"),
    ],
)
def test_what_cannot_be_read_is_refused(body: dict[str, Any], code: int, field: str) -> None:
    assert refused(body) == (code, field)


def test_several_problems_are_told_together() -> None:
    problems = Problems()
    read({"status": "bad", "min_cost": -1}, SCOPE, BOUNDS, problems)
    assert [error.field for error in problems.found] == ["status", "min_cost"]


@pytest.mark.parametrize(
    ("body", "content"),
    [
        ({"search": "parcel"}, True),
        ({"filter": LEAF}, False),
        ({"filter": {"operator": "NOT", "filters": [{**LEAF, "field": "error_message"}]}}, True),
        ({"filter": {"field": "attributes.tier", "operator": "eq", "value": 5}}, True),
        ({"match": "traces", "search": "parcel"}, True),
    ],
)
def test_asking_about_texts_needs_their_permission(body: dict[str, Any], content: bool) -> None:
    assert asked(body).content == content


def test_a_question_is_kept_as_json() -> None:
    body = {"match": "traces", "filter": LEAF, "tag": "a", "max_cost": 0.1, "search": "late", "user_id": ["u"]}
    spec = spec_of(dict(asked(body).question))
    again = ExportSpec.from_json(spec.to_json())
    assert again == spec
    assert SpanSource(again)._condition == SpanSource(spec)._condition


def test_texts_are_held_by_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    large = 200_000
    rows = [
        span_row(trace_id="t", span_id=f"{n:03}", start_us=T0_US + n, input=("x" * large) if n >= 60 else "x")
        for n in range(70)
    ]
    writer.write(rows)
    monkeypatch.setattr(reading, "CONTENT_BYTES", 3 * large)
    monkeypatch.setattr(reading, "LINE_BYTES", 3 * large)
    spec = replace(spec_of({"match": "spans"}), start=T0 - timedelta(hours=1), end=T0 + timedelta(hours=1))
    with snapshot() as cursor:
        sizes = [len(batch) for batch in SpanSource(spec).batches(cursor)]
        assert sum(sizes) == 70
        assert max(sizes[1:]) == 3
        pieces = list(SpanSource(spec).lines(cursor))
        assert max(len(data) for data, _ in pieces) < 4 * large
        assert sum(count for _, count in pieces) == 70
