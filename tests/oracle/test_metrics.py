"""`GET /metrics` and the summary against the raw rows."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from tests.oracle import raw
from tests.oracle.conftest import Asked
from tests.oracle.money import near, same_money

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("oracle-metrics")]


def test_costs_and_counts_of_every_hour_and_group(hub: Asked) -> None:
    answer = hub.get(
        "/api/v1/metrics",
        metrics="request_count,error_count,total_cost,prompt_cost,total_tokens,unique_users",
        interval="1hour",
        group_by="model,environment",
        **hub.range,
    )
    expected = (
        raw.billable()
        .filter(pl.col("start_time").is_between(hub.start, hub.end, closed="left"))
        .group_by(pl.col("start_time").dt.truncate("1h").alias("hour"), "model", "environment")
        .agg(
            pl.len().alias("requests"),
            (pl.col("status") == "error").sum().alias("errors"),
            pl.col("total_cost").sum(),
            pl.col("total_cost").count().alias("priced"),
            pl.col("prompt_cost").sum(),
            pl.col("prompt_cost").count().alias("prompt_priced"),
            pl.col("total_tokens").sum(),
            pl.col("total_tokens").count().alias("counted"),
            pl.col("user_id").drop_nulls().n_unique().alias("users"),
        )
    )
    wanted = {
        (row["hour"].strftime("%Y-%m-%dT%H:%M:%SZ"), row["model"], row["environment"]): row
        for row in expected.to_dicts()
    }
    got = {(row["timestamp"], row["model"], row["environment"]): row for row in answer["data"]}
    assert got.keys() == wanted.keys()
    for key, row in got.items():
        want = wanted[key]
        assert (row["request_count"], row["error_count"], row["unique_users"]) == (
            want["requests"],
            want["errors"],
            want["users"],
        )
        assert same_money(row["total_cost"], want["total_cost"] if want["priced"] else None), key
        assert same_money(row["prompt_cost"], want["prompt_cost"] if want["prompt_priced"] else None), key
        assert row["total_tokens"] == (want["total_tokens"] if want["counted"] else None)


def _period(hub: Asked, rows: pl.DataFrame) -> dict[str, Any]:
    return {
        "total_requests": rows.height,
        "cost": int(rows["total_cost"].sum()),
        "total_tokens": rows["total_tokens"].sum(),
        "avg_duration_ms": rows["duration_us"].mean() / 1000,  # type: ignore[operator]
        "p95_duration_ms": raw.nearest_rank(rows["duration_us"], 95) / 1000,
        "error_rate": (rows["status"] == "error").mean(),
        "unique_users": rows["user_id"].drop_nulls().n_unique(),
        "unique_sessions": rows["session_id"].drop_nulls().n_unique(),
    }


def test_the_summary(hub: Asked) -> None:
    answer = hub.get("/api/v1/metrics/summary", **hub.range)["current_period"]
    rows = raw.billable().filter(pl.col("start_time").is_between(hub.start, hub.end, closed="left"))
    want = _period(hub, rows)
    assert same_money(answer["total_cost_usd"], want["cost"])
    for name in ("total_requests", "total_tokens", "unique_users", "unique_sessions"):
        assert answer[name] == want[name], name
    for name in ("avg_duration_ms", "error_rate"):
        assert float(answer[name]) == near(want[name]), name
    # From histograms it is within the error that the answer states, which is at most one percent.
    assert float(answer["p95_duration_ms"]) == near(want["p95_duration_ms"], 0.0101)
