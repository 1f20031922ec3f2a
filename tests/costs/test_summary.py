"""GET /api/v1/costs/summary and /change: every block equals plain Python over the rows."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from apps.orgs.models import Role
from tests.costs.asking import Asking
from tests.costs.oracle import cost, figures, usd, within
from tests.costs.test_series import END, RANGE, START
from tests.costs.test_shares import groups_of, of
from tests.metrics.oracle import Seen
from tests.support.spans import span_row
from tests.support.world import World

DAY = timedelta(days=1)
ZONE = ZoneInfo("America/New_York")
EVER = datetime(2026, 1, 1, tzinfo=UTC)


def zulu(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), ZONE)


def between(asking: Asking, start: datetime, end: datetime) -> list[Seen]:
    return within(asking.rows, asking.slugs, start, end)


def growth(now: int, before: int) -> Decimal | None:
    return round(Decimal(now - before) / before * 100, 4) if before else None


def same_growth(found: Any, now: int, before: int) -> None:
    right = growth(now, before)
    assert found == right if right is None else abs(found - right) <= Decimal("0.0001")


def test_summary_equals_the_raw_rows(asking: Asking) -> None:
    body = asking.get("/costs/summary", **RANGE, timezone=str(ZONE))
    spans = between(asking, START, END)
    totals = body["totals"]
    assert of(totals) == figures(spans)
    unpriced = sum(span.row.total_cost is None for span in spans)
    assert totals["unpriced_requests"] == unpriced
    assert abs(totals["unpriced_share"] - Decimal(unpriced) / len(spans)) < Decimal("0.000001")
    each = usd(cost(spans)) / (len(spans) - unpriced)
    assert abs(totals["cost_per_request_usd"] - each) <= Decimal("1e-12")
    per_1k = usd(cost(spans)) * 1000 / totals["total_tokens"]
    assert abs(totals["cost_per_1k_tokens_usd"] - per_1k) <= Decimal("1e-12")
    for name in ("provider", "model", "environment"):
        block, groups = body[f"by_{name}"], groups_of(spans, name)
        assert {row["value"]: (row["total_cost_usd"], row["requests"]) for row in block["data"]} == {
            value: (figures(members)["total_cost_usd"], len(members)) for value, members in groups.items()
        }
        assert block["others"] == {"groups": 0, "total_cost_usd": 0, "requests": 0, "share": 0}
        assert sum(row["total_cost_usd"] or 0 for row in block["data"]) == usd(cost(spans))


def test_days_and_weeks_of_a_zone(asking: Asking) -> None:
    body = asking.get("/costs/summary", **RANGE, timezone=str(ZONE))
    today = END.astimezone(ZONE).date()
    first = START.astimezone(ZONE).date()
    days = [first + n * DAY for n in range((today - first).days + 1)]
    assert [row["date"] for row in body["daily_trend"]] == [day.isoformat() for day in days]
    for row, day in zip(body["daily_trend"], days, strict=True):
        _check_point(asking, row, midnight(day), midnight(day + DAY), midnight(day - DAY))
    mondays = [today - today.weekday() * DAY - 7 * n * DAY for n in reversed(range(8))]
    assert [row["week_of"] for row in body["weekly_trend"]] == [day.isoformat() for day in mondays]
    for row, day in zip(body["weekly_trend"], mondays, strict=True):
        _check_point(asking, row, midnight(day), midnight(day + 7 * DAY), midnight(day - 7 * DAY))


def _check_point(asking: Asking, row: dict[str, Any], start: datetime, end: datetime, before: datetime) -> None:
    now = between(asking, start, min(end, END))
    assert row["start_time"] == zulu(start)
    assert (row["total_cost_usd"], row["requests"]) == (figures(now)["total_cost_usd"], len(now))
    assert row["complete"] == (end <= END)
    if row["complete"]:
        same_growth(row["growth_pct"], cost(now), cost(between(asking, before, start)))
    else:
        assert row["growth_pct"] is None


def test_a_day_under_way_is_held_against_as_much_of_the_days_before(asking: Asking) -> None:
    noon = END.astimezone(ZONE)
    for end in (noon, midnight(noon.date())):
        query = {"start_time": START.isoformat(), "end_time": end.isoformat()}
        body = asking.get("/costs/summary", **query, timezone=str(ZONE))
        today = (end - timedelta(microseconds=1)).date()
        for name, length in (("day_over_day", 1), ("week_over_week", 7)):
            start = midnight(today - (length - 1) * DAY)
            cut = datetime.combine(end.date() - length * DAY, end.time(), ZONE)
            now = between(asking, start, end)
            days = [today - n * DAY for n in range(length, 2 * length)]
            before = [
                span
                for day in days
                for span in between(asking, midnight(day), cut if day == days[0] else midnight(day + DAY))
            ]
            block = body[name]
            assert block["current"]["start_time"] == zulu(start)
            assert block["previous"]["end_time"] == zulu(cut)
            assert block["current"]["total_cost_usd"] == figures(now)["total_cost_usd"]
            assert block["previous"]["total_cost_usd"] == figures(before)["total_cost_usd"]
            assert (block["current"]["requests"], block["previous"]["requests"]) == (len(now), len(before))
            assert block["change_usd"] == usd(cost(now) - cost(before))
            same_growth(block["change_pct"], cost(now), cost(before))


def test_top_traces_are_for_those_who_may_read_traces(asking: Asking, world: World) -> None:
    body = asking.get("/costs/summary", **RANGE)
    sums: dict[str, int] = {}
    starts: dict[str, int] = {}
    known = {row.identity: row for row in sorted(asking.rows, key=lambda row: row.rank)}
    for row in known.values():
        starts[row.trace_id] = min(row.start_us, starts.get(row.trace_id, row.start_us))
        if row.billable and row.total_cost is not None:
            sums[row.trace_id] = sums.get(row.trace_id, 0) + row.total_cost
    inside = [name for name in sums if START.timestamp() * 10**6 <= starts[name] < END.timestamp() * 10**6]
    best = sorted((sums[name] for name in inside), reverse=True)[:10]
    assert [row["total_cost_usd"] for row in body["top_traces"]] == [usd(value) for value in best]
    assert all(usd(sums[row["trace_id"]]) == row["total_cost_usd"] for row in body["top_traces"])
    _, billing = world.new_key(role=Role.BILLING)
    assert world.send("GET", "/api/v1/costs/summary", key=billing).json()["top_traces"] is None


def test_more_values_than_are_shown_are_one_row(world: World) -> None:
    asking = Asking(world)
    asking.store([span_row(model=f"m{n:02}", total_cost=n) for n in range(1, 14)])
    block = asking.get("/costs/summary")["by_model"]
    assert [row["value"] for row in block["data"]] == [f"m{n:02}" for n in range(13, 3, -1)]
    assert (block["others"]["groups"], block["others"]["total_cost_usd"]) == (3, usd(6))


def test_change_equals_the_raw_rows_and_adds_up(asking: Asking) -> None:
    middle = datetime(2026, 11, 3, 7, tzinfo=UTC)
    query = {"start_time": middle.isoformat(), "end_time": END.isoformat()}
    explicit = {"compare_start": START.isoformat(), "compare_end": middle.isoformat()}
    length = END - middle
    for compared, start, end in (
        ({}, middle - length, middle),
        ({"compare_to": "3d"}, middle - 3 * DAY, END - 3 * DAY),
        (explicit, START, middle),
    ):
        body = asking.get("/costs/change", **query, **compared, limit=3)
        now, before = between(asking, middle, END), between(asking, start, end)
        assert of(body["current_period"]) == figures(now)
        assert of(body["previous_period"]) == figures(before)
        assert body["change"]["change_usd"] == usd(cost(now) - cost(before))
        parts = [*body["data"], body["others"]]
        assert sum(part["change_usd"] for part in parts) == body["change"]["change_usd"]
        for name, value in body["change"]["effects"].items():
            assert sum(part["effects"][name] for part in parts) == value
        for part in [*parts, body["change"]]:
            assert sum(part["effects"].values()) == part["change_usd"]
        models = {(span.values["provider"], span.values["model"]) for span in [*now, *before]}
        assert body["others"]["models"] == len(models) - 3
        for row in body["data"]:
            mine = [
                [
                    span
                    for span in spans
                    if (span.values["provider"], span.values["model"]) == (row["provider"], row["model"])
                ]
                for spans in (now, before)
            ]
            assert row["change_usd"] == usd(cost(mine[0]) - cost(mine[1]))
            assert row["current_cost_usd"] == figures(mine[0])["total_cost_usd"]


def test_change_refuses_what_says_two_things(world: World) -> None:
    both = {"compare_to": "1d", "compare_start": START.isoformat(), "compare_end": END.isoformat()}
    for query, code in (
        (both, 1202),
        ({"compare_start": START.isoformat()}, 1201),
        ({"compare_to": "yesterday"}, 1203),
        ({"compare_start": END.isoformat(), "compare_end": START.isoformat()}, 1204),
    ):
        answer = world.get("/api/v1/costs/change", **query)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code), query
    assert answer.json()["error"]["field"] == "compare_start", "the range itself is as it should be"
