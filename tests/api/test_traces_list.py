"""The list of traces over HTTP, against the same list made in Python from the spans that were sent."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from django.db import connection

from apps.traces import listing
from apps.traces.columns import SpanRow
from apps.traces.models import SpanMark
from apps.traces.summary import refresh_traces
from apps.traces.writer import write
from tests.support.spans import T0, T0_US, clear_spans, span_row

if TYPE_CHECKING:
    from tests.support.world import World

pytestmark = pytest.mark.django_db
MINUTE = 60_000_000
DAY = 1440 * MINUTE
NOW = T0 + timedelta(hours=1)
Row = dict[str, Any]


@pytest.fixture(autouse=True)
def _at_t0() -> Iterator[None]:
    clear_spans()
    with time_machine.travel(NOW, tick=False):
        yield


def _spans(world: World, chance: random.Random, count: int) -> list[SpanRow]:
    rows = []
    for number in range(count):
        start = T0_US - chance.choice((0, 1, 5, 200, 9_000)) * MINUTE - chance.randrange(3) * 1_000_000
        project = chance.choice((world.default.pk, world.default.pk, world.web.pk))
        root = chance.random() < 0.8
        shared = {
            "project_id": project,
            "trace_id": f"trace-{number:03}",
            "user_id": chance.choice((None, "ann", "bob")),
            "session_id": chance.choice((None, "s1", "s2")),
            "environment": chance.choice((None, "staging", "default")),
            "tags": chance.choice((None, ["a"], ["a", "b:c"])),
        }
        for place in range(chance.randint(1, 3)):
            priced = chance.random() < 0.6
            rows.append(
                span_row(
                    **shared,
                    span_id=f"{number:03}-{place}",
                    parent_span_id=None if root and place == 0 else f"{number:03}-0",
                    start_us=start + place * 1_000,
                    duration_us=chance.choice((500, 1_000_000, 2_000_001)),
                    name=chance.choice(("answer", "plan")),
                    kind=chance.choice(("llm", "tool")),
                    billable=chance.random() < 0.7,
                    model=chance.choice((None, "gpt-4o", "claude")),
                    provider=chance.choice((None, "openai", "anthropic")),
                    status=chance.choice(("ok", "ok", "error", "unset")),
                    total_cost=chance.choice((1, 10**9, 10**12 + 1)) if priced else None,
                    total_tokens=chance.choice((None, 10, 500)),
                )
            )
    return rows


def _time(us: int) -> str:
    moment = datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000)
    return moment.isoformat().replace("+00:00", "Z")


def _sum(spans: list[SpanRow], name: str) -> int | None:
    known = [getattr(span, name) for span in spans if span.billable and getattr(span, name) is not None]
    return sum(known) if known else None


def _row(world: World, spans: list[SpanRow]) -> Row:
    """A trace as the list shows it, and under `_` what only the order and the conditions look at."""
    root = next((span for span in spans if span.parent_span_id is None), None)
    billable = [span for span in spans if span.billable]
    end = max(span.start_us + span.duration_us for span in spans)
    errors = sum(span.status == "error" for span in spans)
    first = spans[0]
    cost = _sum(spans, "total_cost")
    return {
        "_at": (first.start_us, first.project_id, first.trace_id),
        "trace_id": first.trace_id,
        "project": {world.default.pk: "default", world.web.pk: "web"}[first.project_id],
        "name": root and root.name,
        "status": root.status if root else "unset",
        "start_time": _time(first.start_us),
        "end_time": _time(end),
        "duration_ms": (end - first.start_us) / 1000,
        "user_id": first.user_id,
        "session_id": first.session_id,
        "environment": first.environment or "default",
        "tags": first.tags or [],
        "providers": sorted({span.provider for span in billable if span.provider}),
        "models": sorted({span.model for span in billable if span.model}),
        "kinds": sorted({span.kind for span in spans}),
        "span_count": len(spans),
        "request_count": len(billable),
        "error_count": errors,
        "has_error": errors > 0,
        "total_tokens": _sum(spans, "total_tokens"),
        "total_cost_usd": None if cost is None else float(Decimal(cost).scaleb(-12)),
    }


def _at_least(name: str, least: float) -> Callable[[Row], bool]:
    return lambda row: row[name] is not None and row[name] >= least


def _at_most(name: str, most: float) -> Callable[[Row], bool]:
    return lambda row: row[name] is not None and row[name] <= most


CONDITIONS: list[tuple[dict[str, str], Callable[[Row], bool]]] = [
    ({"user_id": "ann"}, lambda row: row["user_id"] == "ann"),
    ({"user_id": "ann,bob"}, lambda row: row["user_id"] in ("ann", "bob")),
    ({"session_id": "s1"}, lambda row: row["session_id"] == "s1"),
    ({"environment": "default"}, lambda row: row["environment"] == "default"),
    ({"environment": "staging"}, lambda row: row["environment"] == "staging"),
    ({"status": "unset"}, lambda row: row["status"] == "unset"),
    ({"status": "ok,error"}, lambda row: row["status"] in ("ok", "error")),
    ({"name": "plan"}, lambda row: row["name"] == "plan"),
    ({"provider": "openai"}, lambda row: "openai" in row["providers"]),
    ({"model": "claude,none"}, lambda row: "claude" in row["models"]),
    ({"kind": "tool"}, lambda row: "tool" in row["kinds"]),
    ({"tag": "b:c"}, lambda row: "b:c" in row["tags"]),
    ({"has_error": "true"}, lambda row: row["has_error"]),
    ({"has_error": "false"}, lambda row: not row["has_error"]),
    ({"min_duration_ms": "1000"}, _at_least("duration_ms", 1000)),
    ({"max_duration_ms": "2000.0005"}, _at_most("duration_ms", 2000.0005)),
    ({"min_cost": "0.001"}, _at_least("total_cost_usd", 0.001)),
    ({"max_cost": "0.0010000000011"}, _at_most("total_cost_usd", 0.0010000000011)),
    ({"min_tokens": "500"}, _at_least("total_tokens", 500)),
    ({"max_tokens": "10"}, _at_most("total_tokens", 10)),
    ({"project": "web"}, lambda row: row["project"] == "web"),
    ({"trace_id": "trace-001,trace-002"}, lambda row: row["trace_id"] in ("trace-001", "trace-002")),
    ({"start_time": "2026-11-05T12:30:00Z"}, lambda row: row["start_time"] >= "2026-11-05T12:30"),
    ({"end_time": "2026-11-05T12:30:14Z"}, lambda row: row["start_time"] < "2026-11-05T12:30:14"),
]
SORTS = ("start_time", "duration_ms", "total_cost_usd", "total_tokens")


def _sorted(rows: list[Row], sort: str, descending: bool) -> list[Row]:
    known = [row for row in rows if row[sort] is not None]
    unknown = [row for row in rows if row[sort] is None]
    known.sort(key=lambda row: (row[sort], row["_at"]), reverse=descending)
    unknown.sort(key=lambda row: row["_at"], reverse=descending)
    return [{name: value for name, value in row.items() if name != "_at"} for row in known + unknown]


def _pages(world: World, **parameters: str) -> Iterator[Row]:
    cursor: dict[str, str] = {}
    for _ in range(100):
        answer = world.get("/api/v1/traces", **parameters, **cursor)
        assert answer.status_code == 200, answer.content
        body = answer.json()
        yield from body["data"]
        if not body["pagination"]["has_more"]:
            assert body["pagination"]["next_cursor"] is None
            return
        assert len(body["data"]) == int(parameters["limit"])
        cursor = {"cursor": body["pagination"]["next_cursor"]}
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize("refreshed", ["half", "none", "all"])
def test_every_filter_and_order_page_by_page(world: World, refreshed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(refreshed)
    if refreshed == "half":
        # Few as they are: look for them along the index of the order, as for what is common.
        for name in ("FEW_BY_START", "FEW_BY_VALUE", "FEW_PART"):
            monkeypatch.setattr(listing, name, -1)
    spans = _spans(world, chance, 40)
    half = len(spans) // 2 if refreshed == "half" else len(spans) if refreshed == "all" else 0
    for batch in (spans[:half], spans[half:]):
        write(batch, within_transaction=True)
        if batch is spans[:half] or refreshed == "all":
            with connection.cursor() as cursor:
                refresh_traces(cursor, [(mark.project_id, mark.lo, mark.hi) for mark in SpanMark.objects.all()])
            SpanMark.objects.all().delete()
    traces: dict[str, list[SpanRow]] = {}
    for span in spans:
        traces.setdefault(span.trace_id, []).append(span)
    rows = [_row(world, made) for made in traces.values()]
    for number in range(45):
        chosen = chance.sample(CONDITIONS, k=chance.choice((0, 1, 1, 2)))
        parameters: dict[str, str] = {}
        for condition, _ in chosen:
            parameters |= condition
        # A later condition on the same parameter replaced an earlier one.
        asked = [holds for query, holds in chosen if query.items() <= parameters.items()]
        kept = [row for row in rows if all(holds(row) for holds in asked)]
        sort, descending = chance.choice(SORTS), chance.random() < 0.5
        order = {"sort_by": sort, "sort_order": "desc" if descending else "asc"}
        limit = chance.choice(("1", "3", "7", "1000")) if number % 10 else "2"
        found = [
            {name: value for name, value in row.items() if name in _row_names(rows)}
            for row in _pages(world, limit=limit, **order, **parameters)
        ]
        assert found == _sorted(kept, sort, descending), (parameters, order, limit)


def _row_names(rows: list[Row]) -> set[str]:
    return set(rows[0]) - {"_at"}


def test_a_total_counts_all_pages_and_fields_choose_columns(world: World) -> None:
    write([span_row(project_id=world.default.pk) for _ in range(5)], within_transaction=True)
    body = world.get("/api/v1/traces", limit="2", include_total="true", fields="trace_id,total_cost_usd").json()
    assert body["pagination"]["total"] == 5
    assert [set(row) for row in body["data"]] == [{"trace_id", "total_cost_usd"}] * 2


def test_the_default_range_is_a_week_and_a_named_trace_is_found_whenever_it_was(world: World) -> None:
    old = span_row(project_id=world.default.pk, start_us=T0_US - 8 * DAY)
    write([old, span_row(project_id=world.default.pk, start_us=T0_US - 6 * DAY)], within_transaction=True)
    assert len(world.get("/api/v1/traces").json()["data"]) == 1
    assert world.get("/api/v1/traces", trace_id=old.trace_id).json()["data"][0]["trace_id"] == old.trace_id


@pytest.mark.parametrize(
    ("parameters", "code", "field"),
    [
        ({"usr_id": "ann"}, 1202, "usr_id"),
        ({"status": "fine"}, 1202, "status"),
        ({"sort_by": "cost"}, 1202, "sort_by"),
        ({"sort_order": "up"}, 1202, "sort_order"),
        ({"limit": "1001"}, 1202, "limit"),
        ({"cursor": "x"}, 1203, "cursor"),
        ({"min_cost": "much"}, 1203, "min_cost"),
        ({"max_tokens": "-1"}, 1202, "max_tokens"),
        ({"has_error": "perhaps"}, 1203, "has_error"),
        ({"user_id": "a\x00b"}, 1202, "user_id"),
        ({"name": ","}, 1202, "name"),
        ({"fields": "trace"}, 1202, "fields"),
        ({"start_time": "2026-11-06T00:00:00Z", "end_time": "2026-11-05T00:00:00Z"}, 1204, "start_time"),
        ({"start_time": "2026-11-06"}, 1203, "start_time"),
        ({"project": "secret"}, 1300, "project"),
    ],
)
def test_what_is_wrong_is_refused(world: World, parameters: dict[str, str], code: int, field: str) -> None:
    answer = world.get("/api/v1/traces", **parameters)
    assert (answer.json()["error"]["code"], answer.json()["error"]["field"]) == (code, field)


def test_a_cursor_of_other_filters_is_refused(world: World) -> None:
    write([span_row(project_id=world.default.pk) for _ in range(3)], within_transaction=True)
    cursor = world.get("/api/v1/traces", limit="1").json()["pagination"]["next_cursor"]
    assert world.get("/api/v1/traces", limit="1", cursor=cursor).status_code == 200
    assert world.get("/api/v1/traces", limit="1", cursor=cursor, user_id="a").json()["error"]["code"] == 1203


def test_a_late_span_of_any_day_changes_the_etag(world: World) -> None:
    asked = {"start_time": "2026-11-05T12:00:00Z", "end_time": "2026-11-05T13:00:00Z"}
    first = span_row(project_id=world.default.pk, trace_id="t", user_id=None)
    write([first], within_transaction=True)
    answer = world.get("/api/v1/traces", **asked)
    headers = {"Authorization": f"Bearer {world.wide_key}", "If-None-Match": answer.headers["ETag"]}
    assert world.client.get("/api/v1/traces", asked, headers=headers).status_code == 304
    late = span_row(project_id=world.default.pk, trace_id="t", start_us=T0_US + 20 * DAY, user_id="ann")
    write([late], within_transaction=True)
    again = world.client.get("/api/v1/traces", asked, headers=headers)
    assert again.status_code == 200
    assert again.json()["data"][0]["span_count"] == 2
