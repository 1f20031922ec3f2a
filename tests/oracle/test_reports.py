"""The named reports against the raw rows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from tests.oracle import raw
from tests.oracle.conftest import Asked
from tests.oracle.money import near, number, same_money

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("oracle-reports")]


def in_range(hub: Asked) -> pl.DataFrame:
    return raw.billable().filter(pl.col("start_time").is_between(hub.start, hub.end, closed="left"))


def check_latency(answered: dict[str, Any], microseconds: pl.Series) -> None:
    known = microseconds.drop_nulls()
    if known.is_empty():
        assert all(value is None for name, value in answered.items() if name != "count")
        return
    assert float(answered["avg_ms"]) == near(number(known.mean()) / 1000)
    assert float(answered["min_ms"]) == near(number(known.min()) / 1000)
    assert float(answered["max_ms"]) == near(number(known.max()) / 1000)
    if len(known) > 1:
        assert float(answered["stddev_ms"]) == near(number(known.std()) / 1000)
    for percent in (50, 90, 95, 99):
        assert float(answered[f"p{percent}_ms"]) == near(raw.nearest_rank(known, percent) / 1000, 0.0101)


def check_figures(answered: dict[str, Any], rows: pl.DataFrame, seconds: float) -> None:
    errors = int((rows["status"] == "error").sum())
    assert (answered["requests"], answered["errors"]) == (rows.height, errors)
    assert float(answered["error_rate"]) == near(errors / rows.height)
    assert float(answered["throughput_rps"]) == near(rows.height / seconds, 1e-6)
    timed = rows.filter(pl.col("completion_tokens").is_not_null() & (pl.col("duration_us") > 0))
    if timed.height:
        wanted = number(timed["completion_tokens"].sum()) * 1_000_000 / number(timed["duration_us"].sum())
        assert float(answered["tokens_per_second"]) == near(wanted, 1e-6)
    check_latency(answered["latency"], rows["duration_us"])
    check_latency(answered["ttft"], rows["ttft_us"])
    assert answered["ttft"]["count"] == rows["ttft_us"].count()


def test_performance(hub: Asked) -> None:
    answer = hub.get("/api/v1/performance", group_by="provider,environment", interval="1day", limit=1000, **hub.range)
    rows = in_range(hub)
    seconds = (hub.end - hub.start).total_seconds()
    check_figures(answer["current_period"], rows, seconds)
    groups = {(one["provider"], one["environment"]): one for one in answer["groups"]}
    parts = dict(rows.group_by("provider", "environment"))
    assert groups.keys() == parts.keys()
    for key, part in parts.items():
        check_figures(groups[key], part, seconds)
    days = {row["timestamp"]: row["requests"] for row in answer["series"]}
    counted = rows.group_by(pl.col("start_time").dt.truncate("1d").alias("day")).len()
    assert days == {f"{row['day']:%Y-%m-%dT00:00:00Z}": row["len"] for row in counted.to_dicts()}


def test_models(hub: Asked) -> None:
    answer = hub.get("/api/v1/metrics/models", limit=1000, **hub.range)
    rows = in_range(hub)
    whole = int(rows["total_cost"].sum())
    assert same_money(answer["totals"]["total_cost_usd"], whole)
    assert answer["totals"]["requests"] == rows.height
    shown = {(row["provider"], row["model"]): row for row in answer["data"]}
    parts = dict(rows.group_by("provider", "model"))
    assert shown.keys() == parts.keys()
    for key, part in parts.items():
        row = shown[key]
        priced = part.filter(pl.col("total_cost").is_not_null())
        cost = int(priced["total_cost"].sum()) if priced.height else None
        assert row["requests"] == part.height
        assert row["unpriced_requests"] == part.height - priced.height
        assert same_money(row["total_cost_usd"], cost)
        successes = priced.filter(pl.col("status") != "error").height
        if cost is None or not successes:
            assert row["cost_per_successful_request_usd"] is None
        else:
            exact = Decimal(cost) / successes / 10**12
            assert abs(Decimal(row["cost_per_successful_request_usd"]) - exact) <= Decimal("0.5e-12")
        assert float(row["share_of_requests"]) == near(part.height / rows.height, 1e-4)
        assert float(row["avg_duration_ms"]) == near(number(part["duration_us"].mean()) / 1000)


@pytest.mark.parametrize("metric", ["total_cost", "prompt_tokens"])
def test_one_metric(hub: Asked, metric: str) -> None:
    answer = hub.get(f"/api/v1/metrics/{metric}", **hub.range)["current_period"]["values"]
    known = in_range(hub)[metric].drop_nulls()
    scale = Decimal("1e-12") if metric == "total_cost" else Decimal(1)
    for name, wanted in (("sum", known.sum()), ("min", known.min()), ("max", known.max())):
        assert Decimal(answer[name]) == Decimal(round(number(wanted))) * scale, name
    assert answer["count"] == len(known)
    exact = Decimal(int(known.sum())) / len(known) * scale
    assert abs(Decimal(answer["avg"]) - exact) <= Decimal("1e-6")
    assert float(answer["stddev"]) == near(number(known.std()) * float(scale), 1e-6)


def test_one_metric_over_time_adds_up_to_the_whole(hub: Asked) -> None:
    series = hub.get("/api/v1/metrics/total_cost/timeseries", interval="1hour", group_by="model", **hub.range)["data"]
    total = sum((Decimal(row["total_cost"]) for row in series if row["total_cost"] is not None), Decimal())
    assert same_money(total, int(in_range(hub)["total_cost"].sum()))
