"""GET /api/v1/costs: every bucket and the totals equal plain Python over the rows, to the last picodollar."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

from tests.costs.asking import Asking
from tests.costs.oracle import cost, figures, usd, within
from tests.metrics.oracle import Seen, bucket
from tests.support.spans import T0_US, span_row
from tests.support.world import World

START, END = datetime(2026, 10, 31, 5, 17, tzinfo=UTC), datetime(2026, 11, 5, 12, 31, tzinfo=UTC)
RANGE = {"start_time": START.isoformat(), "end_time": END.isoformat()}


GROUPS = ((), ("model",), ("environment", "user_id"), ("team", "provider", "kind"))


def test_series_equal_the_raw_rows(asking: Asking) -> None:
    zone = "America/New_York"
    spans = within(asking.rows, asking.slugs, START, END)
    for interval, group_by in product(("1hour", "6hour", "1day", "1week", "1month"), GROUPS):
        body = asking.get("/costs", **RANGE, interval=interval, group_by=",".join(group_by), timezone=zone)
        expected: dict[Any, list[Seen]] = {}
        for span in spans:
            when = bucket(span.start, interval, ZoneInfo(zone)).strftime("%Y-%m-%dT%H:%M:%SZ")
            expected.setdefault((when, *(span.values[name] for name in group_by)), []).append(span)
        found = {(row.pop("timestamp"), *(row.pop(name) for name in group_by)): row for row in body["data"]}
        assert found == {key: figures(members) for key, members in expected.items()}
        assert body["totals"] == figures(spans)
        assert sum(row["total_cost_usd"] or 0 for row in found.values()) == usd(cost(spans))


FILTERS: tuple[dict[str, str], ...] = (
    {"provider": "openai"},
    {"model": "gpt-4o,claude-sonnet-4-5", "environment": "production"},
    {"user_id": "ann"},
    {"tag": "a"},
    {"tag": "team:y", "status": "error"},
)


def kept(span: Seen, filters: dict[str, str]) -> bool:
    if "tag" in filters and filters["tag"] not in (span.values["tags"] or []):
        return False
    return all(span.values[name] in value.split(",") for name, value in filters.items() if name != "tag")


def test_filters_keep_what_they_name(asking: Asking) -> None:
    for filters in FILTERS:
        body = asking.get("/costs", **RANGE, **filters)
        expected = within(asking.rows, asking.slugs, START, END, partial(kept, filters=filters))
        assert body["totals"] == figures(expected)


def test_what_is_unpriced_is_unknown_and_nothing_at_all_costs_nothing(world: World) -> None:
    asking = Asking(world)
    empty = asking.get("/costs", **RANGE)
    assert (empty["totals"]["total_cost_usd"], empty["totals"]["requests"], empty["data"]) == (0, 0, [])
    asking.store([span_row(project_id=world.default.pk, start_us=T0_US - 1_000_000, total_cost=None)])
    body = asking.get("/costs", **RANGE)
    assert (body["totals"]["total_cost_usd"], body["totals"]["priced_requests"]) == (None, 0)
    filled = asking.get("/costs", **RANGE, fill="zero")
    assert [row["total_cost_usd"] for row in filled["data"]] == [0, 0, 0, 0, 0, None]


NONSENSE: tuple[tuple[dict[str, str], int], ...] = (
    ({"interval": "1min"}, 1202),
    ({"interval": "1day", "granularity": "1hour"}, 1202),
    ({"group_by": "tag"}, 1202),
    ({"group_by": "model,provider,team,kind"}, 1205),
    ({"timezone": "Mars/Base"}, 1202),
    ({"modle": "gpt-4o"}, 1202),
    ({"tag": ""}, 1202),
    ({"model": ","}, 1202),
    ({"fill": "null"}, 1202),
    ({"start_time": "2026-11-05T00:00:00Z", "end_time": "2026-11-04T00:00:00Z"}, 1204),
    ({"start_time": "2024-01-05T00:00:00Z", "interval": "1hour"}, 1204),
)


def test_what_makes_no_sense_is_refused(world: World) -> None:
    for query, code in NONSENSE:
        answer = world.get("/api/v1/costs", **query)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code), query
