"""Random traces and random filters over them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from apps.traces.columns import SpanRow
from tests.support.spans import T0_US, span_row

HOUR = 3_600_000_000
WORDS = ("parcel", "refund", "way", "war", "ware", "late", "4o")
TEXTS = st.none() | st.lists(st.sampled_from(WORDS), max_size=4).map(lambda words: " ".join(words))
NAMES = ("chat", "embed", "100%_a")
VALUES = st.sampled_from(["gold", "5", 5, 5.5, 7, True, False])
ATTRIBUTES = st.none() | st.dictionaries(
    st.sampled_from(["span", "resource"]), st.dictionaries(st.sampled_from(["tier", "n.a"]), VALUES | st.none())
).map(lambda parts: json.dumps(parts).encode())


@st.composite
def spans(draw: st.DrawFn) -> list[SpanRow]:
    rows = []
    for number in range(draw(st.integers(1, 9))):
        rows.append(
            span_row(
                project_id=draw(st.integers(1, 2)),
                trace_id=f"t{draw(st.integers(0, 4))}",
                span_id=f"s{number}",
                # Traces of hours and days, whose spans lie in other windows than their start.
                start_us=T0_US + draw(st.integers(-60, 20)) * HOUR,
                parent_span_id=draw(st.sampled_from([None, "p"])),
                name=draw(st.sampled_from(NAMES)),
                kind=draw(st.sampled_from(["llm", "chain"])),
                billable=draw(st.booleans()),
                status=draw(st.sampled_from(["ok", "error", "unset"])),
                model=draw(st.sampled_from([None, "gpt-4o", "haiku"])),
                user_id=draw(st.sampled_from([None, "u1", "u2"])),
                environment=draw(st.sampled_from([None, "prod"])),
                tags=draw(st.sampled_from([None, [], ["a"], ["a", "team:b"]])),
                labels=draw(st.sampled_from([None, b'{"release": "1.2"}'])),
                duration_us=draw(st.sampled_from([0, 1_500, 2_000_000])),
                total_tokens=draw(st.sampled_from([None, 10, 20])),
                input=draw(TEXTS),
                output=draw(TEXTS),
                attributes=draw(ATTRIBUTES),
            )
        )
    return rows


def leaf(field: str, operator: str, value: Any) -> dict[str, Any]:
    return {"field": field, "operator": operator, "value": value}


def _texts(fields: list[str], values: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    field, value = st.sampled_from(fields), st.sampled_from(values)
    parts = ["contains", "not_contains", "starts_with", "ends_with"]
    return st.one_of(
        st.builds(leaf, field, st.sampled_from(["eq", "ne"]), value | st.none()),
        st.builds(leaf, field, st.sampled_from(["in", "not_in"]), st.lists(value, min_size=1, max_size=2)),
        st.builds(leaf, field, st.sampled_from(parts), value | value.map(lambda text: text[1:3])),
        st.builds(leaf, field, st.just("regex"), st.sampled_from(["^c", "a|r", "[0-9]", "^$", "a+d?"])),
    )


def _numbers(fields: list[str], values: list[float]) -> st.SearchStrategy[dict[str, Any]]:
    field, value = st.sampled_from(fields), st.sampled_from(values)
    orders = st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"])
    lists = st.lists(value, min_size=1, max_size=2)
    return st.builds(leaf, field, orders, value) | st.builds(leaf, field, st.sampled_from(["in", "not_in"]), lists)


TERM = st.sampled_from([*WORDS, "wa*", "re*", '"late parcel"', '"parcel parcel"', "4*"])
QUERY = st.lists(
    st.tuples(st.sampled_from(["", "", "-"]), TERM, st.sampled_from([" ", " ", " OR "])), min_size=1, max_size=3
).map(lambda parts: "".join(f"{minus}{term}{joint}" for minus, term, joint in parts).removesuffix(" OR ").strip())
LEAVES = st.one_of(
    _texts(["name", "kind", "status", "model", "user_id", "environment", "release"], [*NAMES, "u1", "gpt-4o", "prod"]),
    _texts(["tags"], ["a", "team:b"]),
    _texts(["input", "output"], list(WORDS)),
    _texts(["trace_id", "trace.status"], ["t1", "t2", "ok", "unset"]),
    _numbers(["duration_ms", "total_tokens"], [0, 1.5, 10, 2000]),
    _numbers(["trace.error_count", "trace.total_tokens"], [0, 1, 30]),
    _numbers(["attributes.tier", "attributes.n.a"], [5, 5.5, 6]),
    st.builds(leaf, st.sampled_from(["attributes.tier", "attributes.n.a"]), st.sampled_from(["eq", "ne"]), VALUES),
    st.builds(leaf, st.just("billable"), st.sampled_from(["eq", "ne"]), st.booleans()),
    st.builds(leaf, st.sampled_from(["text", "input", "output", "name"]), st.just("search"), QUERY),
    st.builds(leaf, st.just("text"), st.just("search"), QUERY),
)
FILTERS = st.recursive(
    LEAVES,
    lambda below: st.one_of(
        st.builds(
            lambda operator, filters: {"operator": operator, "filters": filters},
            st.sampled_from(["AND", "OR"]),
            st.lists(below, min_size=1, max_size=3),
        ),
        st.builds(lambda one: {"operator": "NOT", "filters": [one]}, below),
    ),
    max_leaves=6,
)
