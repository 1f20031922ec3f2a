"""Costs against the raw rows, to the last decimal."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from tests.oracle import raw
from tests.oracle.conftest import Asked
from tests.oracle.money import near, same_money

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("oracle-costs")]
ZONE = "America/St_Johns"  # half an hour off the full one
COLUMN = {"user": "user_id", "session": "session_id"}


def in_range(hub: Asked) -> pl.DataFrame:
    return raw.billable().filter(pl.col("start_time").is_between(hub.start, hub.end, closed="left"))


def cost(rows: pl.DataFrame) -> int | None:
    """Null where requests have no price, 0 where there are none."""
    if rows.height and not rows["total_cost"].count():
        return None
    return int(rows["total_cost"].sum())


def check(answered: dict[str, Any], rows: pl.DataFrame) -> None:
    assert same_money(answered["total_cost_usd"], cost(rows))
    assert answered["requests"] == rows.height
    assert answered["priced_requests"] == rows["total_cost"].count()
    assert answered["total_tokens"] == (rows["total_tokens"].sum() if rows["total_tokens"].count() else None)


@pytest.mark.parametrize("interval", ["1hour", "1day", "1week"])
@pytest.mark.parametrize("zone", ["UTC", ZONE])
def test_over_time(hub: Asked, interval: str, zone: str) -> None:
    answer = hub.get("/api/v1/costs", interval=interval, group_by="model", timezone=zone, **hub.range)
    rows = in_range(hub)
    check(answer["totals"], rows)
    local = (
        pl.col("start_time")
        .dt.convert_time_zone(zone)
        .dt.truncate({"1hour": "1h", "1day": "1d", "1week": "1w"}[interval])
    )
    parts = dict(rows.group_by(local.dt.convert_time_zone("UTC").alias("bucket"), "model"))
    shown = {(row["timestamp"], row["model"]): row for row in answer["data"]}
    assert len(shown) == len(answer["data"])
    assert shown.keys() == {(f"{bucket:%Y-%m-%dT%H:%M:%SZ}", model) for bucket, model in parts}
    for (bucket, model), part in parts.items():
        check(shown[(f"{bucket:%Y-%m-%dT%H:%M:%SZ}", model)], part)
    total = sum((Decimal(row["total_cost_usd"] or 0) for row in answer["data"]), Decimal())
    assert total == Decimal(answer["totals"]["total_cost_usd"])


@pytest.mark.parametrize("by", ["model", "provider", "user", "environment", "session"])
def test_breakdown(hub: Asked, by: str) -> None:
    rows, column = in_range(hub), COLUMN.get(by, by)
    answer = hub.get("/api/v1/costs/breakdown", by=by, limit=1000, **hub.range)
    parts = {key[0]: part for key, part in rows.group_by(column)}
    shown = {row["value"]: row for row in answer["data"]}
    assert shown.keys() == parts.keys()
    whole = cost(rows) or 0
    for value, part in parts.items():
        check(shown[value], part)
        assert float(shown[value]["share"]) == near((cost(part) or 0) / whole, 1e-3)
    check(answer["totals"], rows)
    # What is shown and the others are the whole, however few are shown.
    few = hub.get("/api/v1/costs/breakdown", by=by, limit=2, **hub.range)
    together = sum((Decimal(row["total_cost_usd"] or 0) for row in few["data"]), Decimal())
    assert together + Decimal(few["others"]["total_cost_usd"] or 0) == Decimal(few["totals"]["total_cost_usd"])


def by_tag(rows: pl.DataFrame) -> dict[str | None, pl.DataFrame]:
    listed = rows.with_columns(pl.col("tags").list.unique()).explode("tags")
    return {key[0]: part for key, part in listed.group_by("tags")}


def test_breakdown_by_tag_may_exceed_the_total(hub: Asked) -> None:
    rows = in_range(hub)
    answer = hub.get("/api/v1/costs/breakdown", by="tag", limit=1000, **hub.range)
    parts = by_tag(rows)
    shown = {row["value"]: row for row in answer["data"]}
    assert shown.keys() == parts.keys()
    for tag, part in parts.items():
        check(shown[tag], part)
    check(answer["totals"], rows)


@pytest.mark.parametrize("dimension", ["user", "team", "provider", "model", "environment"])
def test_attribution(hub: Asked, dimension: str) -> None:
    rows, column = in_range(hub), COLUMN.get(dimension, dimension)
    answer = hub.get("/api/v1/costs/attribution", dimension=dimension, limit=1000, **hub.range)
    parts = {key[0]: part for key, part in rows.group_by(column)}
    nobody = parts.pop(None, rows.clear())
    shown = {row["value"]: row for row in answer["data"]}
    assert shown.keys() == parts.keys()
    for value, part in parts.items():
        check(shown[value], part)
    if nobody.height:
        check(answer["unattributed"], nobody)


def test_attribution_by_one_key_of_the_tags(hub: Asked) -> None:
    rows = in_range(hub)
    answer = hub.get("/api/v1/costs/attribution", dimension="tag", key="tier", limit=1000, **hub.range)
    parts = {tag.partition(":")[2]: part for tag, part in by_tag(rows).items() if tag and tag.startswith("tier:")}
    shown = {row["tag_value"]: row for row in answer["data"]}
    assert shown.keys() == parts.keys()
    for value, part in parts.items():
        check(shown[value], part)
    tagged = pl.col("tags").list.eval(pl.element().str.starts_with("tier:")).list.any().fill_null(value=False)
    check(answer["unattributed"], rows.filter(~tagged))
