"""`GET /api/v1/costs/forecast`: the history it reads, the days it means, the sums it shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import time_machine
from django.db import connection

from apps.costs.daily import Daily, day_of, midnight
from apps.costs.outlook import add_months, next_month
from apps.costs.projection import Projection, usd
from apps.metrics.forecasting import forecast
from apps.metrics.refresh import refresh
from apps.traces.writer import write
from tests.support.cells import clear_cells
from tests.support.spans import span_row, us

if TYPE_CHECKING:
    from tests.support.world import World

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 11, 5, 12, 30, tzinfo=UTC)
PATH = "/api/v1/costs/forecast"
PICO = 10**12
DAYS = 60


@pytest.fixture(autouse=True)
def _now() -> Iterator[None]:
    clear_cells()
    with time_machine.travel(NOW, tick=False):
        yield
    clear_cells()


def cost_of(number: int) -> int:
    """In picodollars, of the day so many days ago: a week's pattern that is never round."""
    return (3 + (number * 5) % 7) * PICO + 333_333_333_333


def tell(world: World, days: int = DAYS, hour: int = 6, **more: Any) -> None:
    """A request every day at this UTC hour, today included."""
    rows = [
        span_row(
            project_id=world.default.pk,
            start_us=us(NOW.replace(hour=hour, minute=10) - timedelta(days=number)),
            total_cost=cost_of(number),
            **more,
        )
        for number in range(days)
    ]
    write(rows)


def asked(world: World, **parameters: Any) -> Any:
    answer = world.get(PATH, **parameters)
    assert answer.status_code == 200, answer.content
    return json.loads(answer.content, parse_float=Decimal)


def test_a_weekly_habit_goes_on_and_its_days_add_up(world: World) -> None:
    tell(world)
    for _ in range(2):
        body = asked(world, forecast_period="next_week")
        assert body["history"] == {"first_date": "2026-09-07", "days": DAYS - 1, "unpriced_requests": 0}
        made = body["forecast"]
        assert made["status"] == "ok"
        assert (made["start_date"], made["end_date"], made["days"]) == ("2026-11-05", "2026-11-11", 7)
        assert [row["date"] for row in body["data"]] == [f"2026-11-{day:02}" for day in range(5, 12)]
        expected = [float(cost_of(-number % 7)) / PICO for number in range(7)]
        np.testing.assert_allclose([float(row["cost_usd"]) for row in body["data"]], expected, rtol=1e-4)
        assert float(made["total_cost_usd"]) == pytest.approx(sum(expected), rel=1e-4)
        assert made["backtest"]["mape"] < 1
        assert made["backtest"]["naive"]["mape"] > 10
        refresh()


def test_the_month_is_what_is_spent_and_the_rest_forecast(world: World) -> None:
    tell(world)
    body = asked(world)
    month = body["month"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(total_cost) FROM span WHERE start_time >= '2026-11-01' AND billable")
        spent = Decimal(cursor.fetchone()[0]) / PICO
    assert month["spent_usd"] == spent
    assert (month["start_date"], month["end_date"]) == ("2026-11-01", "2026-11-30")
    coming = sum(float(cost_of(-number % 7)) / PICO for number in range(1, 26))
    assert float(month["projected_usd"]) == pytest.approx(float(spent) + coming, rel=1e-3)
    assert (body["forecast"]["end_date"], body["forecast"]["days"]) == ("2026-12-04", 30)


def test_days_are_those_of_the_zone(world: World) -> None:
    # 06:10 UTC is 22:10 of the day before in Los Angeles, where clocks went back on 1 November: 23:10 before it.
    tell(world)
    zone = "America/Los_Angeles"
    body = asked(world, timezone=zone)
    assert body["history"]["first_date"] == "2026-09-06"
    assert body["history"]["days"] == DAYS
    assert body["forecast"]["start_date"] == "2026-11-05"
    assert body["data"][0]["timestamp"] == "2026-11-05T08:00:00Z"
    # Of November there: the spans of 2, 3, 4 and 5 November UTC.
    assert body["month"]["spent_usd"] == sum(Decimal(cost_of(number)) for number in range(4)) / PICO


def test_filters_and_projects_narrow_the_history(world: World) -> None:
    tell(world, model="a", team="red", user_id="ada")
    write([span_row(project_id=world.web.pk, start_us=us(NOW), total_cost=PICO, model="b")])
    assert asked(world)["month"]["spent_usd"] > asked(world, project="default")["month"]["spent_usd"]
    whole = asked(world, project="default")["month"]
    for name, value in (("model", "a"), ("team", "red"), ("user_id", "ada"), ("provider", "openai")):
        assert asked(world, project="default", **{name: value})["month"] == whole
    assert asked(world, model="b")["month"]["spent_usd"] == 1
    assert asked(world, team="blue")["forecast"]["status"] == "not_enough_data"


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "Europe/Berlin"])
def test_users_are_answered_as_far_back_as_they_are_kept(world: World, zone: str) -> None:
    tell(world, user_id="ada")
    refresh()
    assert asked(world, user_id="ada", timezone=zone)["history"]["days"] == DAYS - 1


def test_too_little_is_said_and_not_guessed(world: World) -> None:
    body = asked(world)
    assert body["forecast"]["status"] == "not_enough_data"
    assert body["forecast"]["total_cost_usd"] is body["month"]["projected_usd"] is body["forecast"]["backtest"] is None
    assert body["data"] == []
    assert body["month"]["spent_usd"] == 0
    tell(world, 6)
    body = asked(world)
    assert body["forecast"]["status"] == "ok"
    assert body["forecast"]["method"] == "mean"
    assert body["forecast"]["backtest"] is None


def test_days_without_any_price_are_unknown_and_counted(world: World) -> None:
    tell(world)
    before = asked(world, forecast_period="next_week")["forecast"]["total_cost_usd"]
    unpriced = {"total_cost": None, "computed_cost": None, "cost_source": "none", "unpriced_reason": "unknown_model"}
    rows = [
        span_row(project_id=world.web.pk, start_us=us(NOW - timedelta(days=60 + number)), **unpriced)
        for number in range(3)
    ]
    write(rows)
    body = asked(world, forecast_period="next_week")
    assert body["history"]["unpriced_requests"] == 3
    assert body["history"]["days"] == DAYS + 2
    assert body["forecast"]["total_cost_usd"] == pytest.approx(before, rel=Decimal("1e-3"))


@pytest.mark.parametrize(
    ("parameters", "code", "words"),
    [
        ({"forecast_period": "next_year"}, 1202, "forecast_period"),
        ({"forecast_period": "custom"}, 1201, "days or forecast_end"),
        ({"forecast_period": "next_week", "days": "3"}, 1202, "custom"),
        ({"days": "0"}, 1202, "1 to 366"),
        ({"days": "367"}, 1202, "366"),
        ({"days": "7", "forecast_end": "2026-12-01"}, 1202, "or"),
        ({"forecast_end": "tomorrow"}, 1203, "date"),
        ({"forecast_end": "2026-11-04"}, 1204, "today"),
        ({"timezone": "Mars"}, 1202, "IANA"),
        ({"team": ""}, 1202, "team"),
        ({"modle": "x"}, 1202, "model"),
    ],
)
def test_refusals(world: World, parameters: dict[str, str], code: int, words: str) -> None:
    answer = world.get(PATH, **parameters)
    assert answer.json()["error"]["code"] == code
    assert words in answer.json()["error"]["message"]


def test_custom_ends_with_the_day_that_is_named(world: World) -> None:
    tell(world)
    body = asked(world, forecast_end="2026-11-08")
    assert [row["date"] for row in body["data"]] == ["2026-11-05", "2026-11-06", "2026-11-07", "2026-11-08"]
    assert asked(world, days=4)["data"] == body["data"]
    assert len(asked(world, days=366)["data"]) == 366


def test_a_write_changes_the_tag(world: World) -> None:
    tell(world)
    first = world.get(PATH)
    again = world.client.get(
        PATH, headers={"Authorization": f"Bearer {world.wide_key}", "If-None-Match": first["ETag"]}
    )
    assert again.status_code == 304
    tell(world, 1)
    later = world.client.get(
        PATH,
        headers={
            "Authorization": f"Bearer {world.wide_key}",
            "If-None-Match": first["ETag"],
            "Cache-Control": "no-cache",
        },
    )
    assert later.status_code == 200


# -- parts ----------------------------------------------------------------------------------------------------------


def test_months_end_where_calendars_say() -> None:
    assert add_months(date(2026, 1, 31), 1) == date(2026, 2, 28)
    assert add_months(date(2024, 1, 31), 1) == date(2024, 2, 29)
    assert add_months(date(2026, 11, 30), 3) == date(2027, 2, 28)
    assert add_months(date(2026, 12, 5), 1) == date(2027, 1, 5)
    assert next_month(date(2026, 12, 31)) == date(2027, 1, 1)


def test_midnight_of_days_on_which_clocks_change() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert midnight(date(2026, 10, 25), berlin) == datetime(2026, 10, 24, 22, tzinfo=UTC)
    assert midnight(date(2026, 10, 26), berlin) == datetime(2026, 10, 25, 23, tzinfo=UTC)
    for zone in ("America/Sao_Paulo", "Africa/Cairo", "Asia/Kathmandu", "Pacific/Apia", "America/Havana"):
        for number in range(366 * 2):
            day = date(2017, 1, 1) + timedelta(days=number)
            assert day_of(midnight(day, ZoneInfo(zone)), ZoneInfo(zone)) == day


def _history(costs: list[float], today: float) -> Daily:
    days = tuple(Decimal(str(cost)) for cost in [*costs, today])
    return Daily(date(2026, 11, 5) - timedelta(days=len(costs)), date(2026, 11, 5), days, 0)


def test_today_counts_once_and_no_less_than_is_spent() -> None:
    made = forecast(np.full(60, 10.0), 10)
    quiet = Projection.make(Decimal(43), _history([10.0] * 60, 3.0), made, 5)
    assert quiet.point == pytest.approx((50, 60, 70, 80, 90))
    busy = Projection.make(Decimal(55), _history([10.0] * 60, 15.0), made, 5)
    assert busy.point == pytest.approx((55, 65, 75, 85, 95))
    assert all(value >= 55 for edge in busy.edges.values() for value in edge)


def test_the_day_on_which_an_amount_is_passed() -> None:
    made = forecast(np.full(60, 10.0), 10)
    line = Projection.make(Decimal(43), _history([10.0] * 60, 3.0), made, 5)
    assert line.passes(Decimal(49)) == date(2026, 11, 5)
    assert line.passes(Decimal("70.5")) == date(2026, 11, 8)
    assert line.passes(Decimal(91)) is None


def test_the_chance_falls_with_the_amount() -> None:
    rng = np.random.default_rng(1)
    costs = [float(value) for value in rng.lognormal(2, 0.3, 90)]
    made = forecast(np.array(costs), 20)
    line = Projection.make(Decimal(8), _history(costs, 8.0), made, 20)
    amounts = np.linspace(9, line.edges["upper_95"][-1] * 1.5, 40)
    chances = [line.chance(Decimal(str(amount))) for amount in amounts]
    assert chances == sorted(chances, reverse=True)
    assert (chances[0], chances[-1]) == (0.99, 0.01)
    assert line.chance(Decimal(7)) == 1
    for edge, part in (("lower_80", 0.9), ("upper_80", 0.1), ("upper_95", 0.025)):
        assert line.chance(Decimal(str(line.edges[edge][-1]))) == pytest.approx(part, abs=0.002)
    assert line.chance(usd(line.point[-1])) == pytest.approx(0.5, abs=0.01)
