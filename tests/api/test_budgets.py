"""Budgets: who sees and changes them, the exact sums behind their states, calendars and clocks, the forecast."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.conf import settings
from django.db import connection

from apps.costs.budgets.models import Budget
from apps.costs.budgets.periods import period_of
from apps.costs.daily import midnight
from apps.metrics.refresh import refresh
from apps.orgs.models import AuditEntry
from apps.traces.writer import write
from tests.support.cells import clear_cells
from tests.support.spans import span_row, us

if TYPE_CHECKING:
    from tests.support.world import World

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 11, 5, 12, 30, tzinfo=UTC)
PATH = "/api/v1/budgets"
PICO = 10**12
MONTHLY = {"name": "all", "amount_usd": 100, "period": "month", "thresholds": [1, 0.5, 0.8]}


@pytest.fixture(autouse=True)
def _now() -> Iterator[None]:
    clear_cells()
    with time_machine.travel(NOW, tick=False):
        yield
    clear_cells()


def make(world: World, key: str | None = None, **given: Any) -> Any:
    answer = world.send("POST", PATH, {**MONTHLY, **given}, key=key)
    assert answer.status_code == 201, answer.content
    return json.loads(answer.content, parse_float=Decimal)


def read(world: World, number: int, tail: str = "", key: str | None = None) -> Any:
    answer = world.get(f"{PATH}/{number}{tail}", key=key)
    assert answer.status_code == 200, answer.content
    return json.loads(answer.content, parse_float=Decimal)


def spend(world: World, moment: datetime, dollars: str = "1", project: int | None = None, **more: Any) -> None:
    cost = int(Decimal(dollars) * PICO)
    write([span_row(project_id=project or world.default.pk, start_us=us(moment), total_cost=cost, **more)])


def by_sql(condition: str, *values: Any) -> Decimal:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT coalesce(sum(total_cost), 0) FROM span WHERE billable AND {condition}", values)
        return Decimal(cursor.fetchone()[0]) / PICO


def code(answer: Any) -> int:
    return int(answer.json()["error"]["code"])


# -- the definition ---------------------------------------------------------------------------------------------------


def test_a_budget_is_made_changed_listed_and_deleted_on_the_record(world: World) -> None:
    made = make(world, amount_usd=0.1, projects=["web"], teams=["red", "red"], hard_stop=True, timezone="Asia/Tokyo")
    assert (made["amount_usd"], made["projects"], made["teams"]) == (Decimal("0.1"), ["web"], ["red"])
    assert made["thresholds"] == [Decimal("0.5"), Decimal("0.8"), 1]
    assert (made["starts_on"], made["active"]) == ("2026-11-01", True)
    path = f"{PATH}/{made['id']}"
    changed = world.send("PATCH", path, {"amount_usd": 0.25, "projects": []}).json()
    assert (changed["amount_usd"], changed["projects"], changed["teams"]) == (0.25, [], ["red"])
    listed = world.get(PATH).json()
    assert listed["data"] == [changed]
    assert world.send("PATCH", path, {"amount_usd": 0.25}).json() == changed
    assert world.send("DELETE", path).status_code == 204
    assert world.get(path).status_code == 404
    entries = AuditEntry.objects.filter(object_type="budget").order_by("id")
    assert [entry.action for entry in entries] == ["budget.create", "budget.update", "budget.delete"]
    assert entries[1].before == {"amount": "0.100000000000", "project_ids": [world.web.pk]}
    assert entries[1].after == {"amount": "0.250000000000", "project_ids": []}
    assert entries[2].before is not None
    assert entries[2].before["teams"] == ["red"]
    assert not Budget.objects.exists()


@pytest.mark.parametrize(
    ("given", "expected", "field"),
    [
        ({"name": ""}, 1201, "name"),
        ({"amount_usd": 0}, 1202, "amount_usd"),
        ({"amount_usd": -1}, 1202, "amount_usd"),
        ({"amount_usd": "5"}, 1203, "amount_usd"),
        ({"amount_usd": True}, 1203, "amount_usd"),
        ({"amount_usd": 1e300}, 1202, "amount_usd"),
        ({"period": "year"}, 1202, "period"),
        ({"timezone": "Mars"}, 1202, "timezone"),
        ({"thresholds": [0]}, 1202, "thresholds"),
        ({"thresholds": [11]}, 1202, "thresholds"),
        ({"thresholds": "0.5"}, 1202, "thresholds"),
        ({"starts_on": "1900-01-01"}, 1202, "starts_on"),
        ({"starts_on": 5}, 1203, "starts_on"),
        ({"hard_stop": "yes"}, 1203, "hard_stop"),
        ({"models": ["a\x00"]}, 1202, "models"),
        ({"projects": ["nowhere"]}, 1300, "projects"),
        ({"projects": ["secret"]}, 1300, "projects"),
        ({"users": ["ada"], "period": "quarter", "timezone": "Asia/Tokyo"}, 1202, "users"),
        ({"amuont": 1}, 1202, "amuont"),
    ],
)
def test_refusals(world: World, given: dict[str, Any], expected: int, field: str) -> None:
    answer = world.send("POST", PATH, {**MONTHLY, **given})
    assert code(answer) == expected, answer.content
    assert (answer.json()["error"]["field"] or "").startswith(field)
    assert not Budget.objects.exists()


def test_names_are_taken_once_an_organization(world: World) -> None:
    make(world)
    assert code(world.send("POST", PATH, MONTHLY)) == 1400
    theirs = {**MONTHLY, "projects": ["secret"]}
    assert world.send("POST", PATH, theirs, key=world.zenith_key).status_code == 201
    other = make(world, name="other")
    assert code(world.send("PATCH", f"{PATH}/{other['id']}", {"name": "all"})) == 1400


def test_callers_of_some_projects_see_and_make_budgets_of_these_alone(world: World) -> None:
    everything, web, mine = (
        make(world),
        make(world, name="w", projects=["web"]),
        make(world, name="d", projects=["default"]),
    )
    both = make(world, name="b", projects=["default", "web"])
    key = world.key  # of the project `default`
    assert [row["id"] for row in world.get(PATH, key=key).json()["data"]] == [mine["id"]]
    assert read(world, mine["id"], key=key)["name"] == "d"
    for hidden in (everything, web, both):
        for tail in ("", "/status"):
            assert code(world.get(f"{PATH}/{hidden['id']}{tail}", key=key)) == 1102
        assert code(world.send("PATCH", f"{PATH}/{hidden['id']}", {"amount_usd": 1}, key=key)) == 1102
        assert code(world.send("DELETE", f"{PATH}/{hidden['id']}", key=key)) == 1102
    assert code(world.send("POST", PATH, {**MONTHLY, "name": "x"}, key=key)) == 1102
    assert code(world.send("POST", PATH, {**MONTHLY, "name": "x", "projects": ["web"]}, key=key)) == 1101
    assert code(world.send("PATCH", f"{PATH}/{mine['id']}", {"projects": []}, key=key)) == 1102
    assert make(world, key=key, name="y", projects=["default"])["projects"] == ["default"]
    assert code(world.get(f"{PATH}/{mine['id']}", key=world.zenith_key)) == 1300


def test_who_may_change(world: World) -> None:
    made = make(world)
    _, analyst = world.new_key(role="analyst")
    _, viewer = world.new_key()
    _, billing = world.new_key(role="billing")
    assert read(world, made["id"], key=analyst)["name"] == "all"
    assert code(world.send("PATCH", f"{PATH}/{made['id']}", {"amount_usd": 1}, key=analyst)) == 1100
    assert code(world.get(PATH, key=viewer)) == 1100
    assert world.send("PATCH", f"{PATH}/{made['id']}", {"amount_usd": 1}, key=billing).status_code == 200


# -- the state --------------------------------------------------------------------------------------------------------


def test_what_is_spent_is_the_sum_of_the_spans(world: World) -> None:
    for number in range(1, 40):
        moment = NOW - timedelta(hours=7 * number)
        project = world.web.pk if number % 3 == 0 else world.default.pk
        more = {"model": f"m{number % 2}", "team": ("red", "blue", None)[number % 3], "user_id": f"u{number % 4}"}
        spend(world, moment, f"1.{number:012}", project, **more)
    spend(world, NOW, "50", billable=False, kind="agent")
    scopes: dict[str, tuple[dict[str, Any], str, list[Any]]] = {
        "all": ({}, "true", []),
        "web": ({"projects": ["web"]}, "project_id = %s", [world.web.pk]),
        "model": ({"models": ["m1"]}, "model = 'm1'", []),
        "teams": ({"teams": ["red", "blue"]}, "team IN ('red', 'blue')", []),
        "users": ({"users": ["u1", "u2"]}, "user_id IN ('u1', 'u2')", []),
        "several": (
            {"projects": ["default"], "models": ["m0"], "teams": ["blue"], "providers": ["openai"]},
            "project_id = %s AND model = 'm0' AND team = 'blue'",
            [world.default.pk],
        ),
        "nobody": ({"environments": ["nowhere"]}, "false", []),
    }
    made = {name: make(world, name=name, **given)["id"] for name, (given, _, _) in scopes.items()}
    for _ in range(2):
        for name, (_, condition, values) in scopes.items():
            expected = by_sql(f"start_time >= '2026-11-01' AND {condition}", *values)
            assert name == "nobody" or expected > 0, name
            state = read(world, made[name], "/status")
            assert state["spent_usd"] == expected, name
            assert state["remaining_usd"] == 100 - expected
            assert state["fraction"] == (expected / 100).quantize(Decimal("1e-6"))
            assert read(world, made[name])["state"]["spent_usd"] == expected
        refresh()


def test_thresholds_name_the_hour_in_which_they_were_reached(world: World) -> None:
    made = make(world, hard_stop=True)["id"]
    for moment, dollars in (
        (datetime(2026, 10, 31, 23, 59, 59, 999_999, tzinfo=UTC), "1000"),
        (datetime(2026, 11, 1, 0, 0, tzinfo=UTC), "49.999999999999"),
        (datetime(2026, 11, 2, 9, 20, tzinfo=UTC), "0.000000000001"),
        (datetime(2026, 11, 4, 17, 59, 59, tzinfo=UTC), "49"),
    ):
        spend(world, moment, dollars)
    state = read(world, made, "/status")
    assert [row["reached_in"] for row in state["thresholds"]] == ["2026-11-02T09:00:00Z", "2026-11-04T17:00:00Z", None]
    assert [row["amount_usd"] for row in state["thresholds"]] == [50, 80, 100]
    assert (state["exceeded"], state["hard_stop_reached"]) == (False, False)
    spend(world, NOW, "1")
    state = read(world, made, "/status")
    assert state["thresholds"][2]["reached_in"] == "2026-11-05T12:00:00Z"
    assert (state["exceeded"], state["hard_stop_reached"], state["remaining_usd"]) == (False, True, 0)
    spend(world, NOW, "0.000000000001")
    assert read(world, made, "/status")["exceeded"] is True
    world.send("PATCH", f"{PATH}/{made}", {"active": False})
    state = read(world, made, "/status")
    assert (state["active"], state["hard_stop_reached"], state["exceeded"]) == (False, False, True)


def test_unpriced_requests_are_counted_and_not_taken_for_free(world: World) -> None:
    made = make(world)["id"]
    unpriced = {"total_cost": None, "computed_cost": None, "cost_source": "none", "unpriced_reason": "unknown_model"}
    write([span_row(project_id=world.default.pk, start_us=us(NOW), **unpriced) for _ in range(3)])
    state = read(world, made, "/status")
    assert (state["spent_usd"], state["unpriced_requests"]) == (0, 3)
    spend(world, NOW, "2")
    state = read(world, made, "/status")
    assert (state["spent_usd"], state["unpriced_requests"]) == (2, 3)


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Kolkata", "Europe/Berlin", "Pacific/Auckland"])
@pytest.mark.parametrize("period", ["day", "week", "month", "quarter"])
def test_periods_follow_the_clocks_of_their_zone(world: World, zone: str, period: str) -> None:
    """To the microsecond on both edges, in zones whose clocks changed inside the quarter."""
    with time_machine.travel(datetime(2026, 11, 5, 23, 30, tzinfo=UTC), tick=False):
        start, end = period_of(period, datetime.now(ZoneInfo(zone)).date())
        low, high = midnight(start, ZoneInfo(zone)), midnight(end, ZoneInfo(zone))
        made = make(world, period=period, timezone=zone)["id"]
        second = timedelta(microseconds=1)
        for moment, dollars in ((low - second, "1"), (low, "2"), (high - second, "4"), (high, "8")):
            if moment < datetime.now(UTC) + timedelta(hours=24):
                spend(world, moment, dollars)
        expected = by_sql("start_time >= %s AND start_time < %s", low, high)
        assert expected in (2, 6)
        for _ in range(2):
            state = read(world, made, "/status")
            assert state["spent_usd"] == expected
            assert (state["period_start"], state["period_end"]) == (
                start.isoformat(),
                (end - timedelta(days=1)).isoformat(),
            )
            refresh()


def test_a_budget_counts_from_its_first_day(world: World) -> None:
    spend(world, NOW - timedelta(days=2), "5")
    late = make(world, name="late", starts_on="2026-11-04")
    assert read(world, late["id"])["state"]["spent_usd"] == 0
    spend(world, NOW - timedelta(days=1), "3")
    assert read(world, late["id"], "/status")["spent_usd"] == 3
    coming = make(world, name="coming", starts_on="2027-02-10", hard_stop=True)
    state = read(world, coming["id"])["state"]
    assert (state["state"], state["period_start"], state["period_end"]) == ("scheduled", "2027-02-01", "2027-02-28")
    assert (state["spent_usd"], state["forecast"], state["hard_stop_reached"]) == (0, None, False)
    assert state["counted_from"] == "2027-02-10T00:00:00Z"


def test_the_forecast_says_when_the_amount_will_be_passed(world: World) -> None:
    write(
        [
            span_row(project_id=world.default.pk, start_us=us(NOW - timedelta(days=n, hours=6)), total_cost=2 * PICO)
            for n in range(60)
        ]
    )
    made = make(world, amount_usd=35)["id"]
    state = read(world, made)["state"]
    # 2 dollars a day since the first; by the end of the 17th 34, of the 18th 36.
    assert state["spent_usd"] == 10
    forecast = state["forecast"]
    assert forecast["projected_usd"] == pytest.approx(60, abs=Decimal("0.01"))
    assert forecast["forecast_to_exceed"] == "2026-11-18"
    assert forecast["exceed_probability"] == Decimal("0.99")
    assert forecast["backtest"]["coverage_80"] == 1
    world.send("PATCH", f"{PATH}/{made}", {"amount_usd": 500})
    forecast = read(world, made)["state"]["forecast"]
    assert (forecast["forecast_to_exceed"], forecast["exceed_probability"]) == (None, Decimal("0.01"))
    world.send("PATCH", f"{PATH}/{made}", {"amount_usd": 9})
    state = read(world, made)["state"]
    assert state["exceeded"]
    assert (state["forecast"]["forecast_to_exceed"], state["forecast"]["exceed_probability"]) == (None, 1)


def test_without_a_history_there_is_no_forecast(world: World) -> None:
    assert read(world, make(world)["id"])["state"]["forecast"] is None


# -- kept answers -----------------------------------------------------------------------------------------------------


def test_a_kept_state_goes_with_a_change_and_its_tag_with_a_write(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings.HUB, "cache_ttl_costs", 60)
    made = make(world)["id"]
    path = f"{PATH}/{made}/status"
    first = world.get(path)
    assert world.get(path).json()["meta"]["cached"] is True
    asking = {"If-None-Match": first["ETag"], "Cache-Control": "no-cache"}
    assert world.send("GET", path, **asking).status_code == 304
    world.send("PATCH", f"{PATH}/{made}", {"amount_usd": 7})
    changed = world.get(path)
    assert changed.json()["remaining_usd"] == 7
    assert changed["ETag"] != first["ETag"]
    spend(world, NOW)
    again = world.send("GET", path, **{**asking, "If-None-Match": changed["ETag"]})
    assert (again.status_code, again.json()["spent_usd"]) == (200, 1)
    with time_machine.travel(NOW + timedelta(minutes=9), tick=False):
        same = world.send("GET", path, **{**asking, "If-None-Match": again["ETag"]})
        assert same.status_code == 304, "the passing of minutes alone changes nothing"


# -- periods ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["day", "week", "month", "quarter"])
def test_periods_lie_end_to_end(kind: str) -> None:
    day, last = date(2023, 12, 1), None
    while day < date(2026, 3, 1):
        start, end = period_of(kind, day)
        assert start <= day < end
        if last is not None:
            assert (start, end) == last or start == last[1]
        last = (start, end)
        day += timedelta(days=1)
    assert period_of("week", date(2026, 11, 5)) == (date(2026, 11, 2), date(2026, 11, 9))
    assert period_of("quarter", date(2026, 11, 5)) == (date(2026, 10, 1), date(2027, 1, 1))
    assert period_of("month", date(2024, 2, 29)) == (date(2024, 2, 1), date(2024, 3, 1))
