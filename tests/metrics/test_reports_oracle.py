"""The reports equal plain Python over the raw rows: from spans, from cells, and with late spans after a refresh."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine

from apps.metrics.catalog import CATALOGUE
from apps.metrics.refresh import refresh
from apps.metrics.reports import metric, models, performance, trends
from apps.metrics.reports.base import Report
from apps.metrics.spec import MetricRef, QuerySpec, Sort
from apps.traces.columns import SpanRow
from apps.traces.writer import write
from tests.metrics import oracle
from tests.metrics.test_oracle import NOW, SLUGS, histograms_preferred, late_arrivals, traffic
from tests.support.cells import clear_cells

pytestmark = pytest.mark.django_db(transaction=True)
END = datetime(2026, 11, 5, 12, 31, tzinfo=UTC)
SPAN = timedelta(days=3)
LENGTH = SPAN.total_seconds()
STATES = ("raw", "cells", "late")


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    clear_cells()
    with time_machine.travel(NOW, tick=False):
        yield
    clear_cells()


@pytest.fixture(params=STATES)
def rows(request: pytest.FixtureRequest) -> Iterator[list[SpanRow]]:
    made = traffic(STATES.index(request.param) + 20, 240)
    write(made)
    if request.param == "raw":
        yield made
        return
    refresh(NOW)
    if request.param == "late":
        late = late_arrivals(made)
        write(late)
        made += late
    with histograms_preferred():
        yield made


def base(**more: Any) -> QuerySpec:
    return QuerySpec(
        organization_id=1,
        project_ids=(1, 2),
        projects=tuple(SLUGS.items()),
        start=END - SPAN,
        end=END,
        metrics=(),
        **more,
    )


def spans(rows: Sequence[SpanRow], group_by: Sequence[str] = (), before: bool = False, **more: Any) -> Any:
    end = END - SPAN if before else END
    return oracle.groups(oracle.resolved(rows, SLUGS), end - SPAN, end, more.get("interval"), group_by, ZoneInfo("UTC"))


def same(found: Any, metric: str, how: str, members: Sequence[oracle.Seen], report: Report, length: float) -> None:
    right = oracle.value(metric, how, members, length)
    if right is None or found is None:
        assert found is right, (metric, how)
        return
    error = max(made.plan.percentile_error for made in report.answers) if how.startswith("p") else 0.0
    limit = Decimal("1e-12") if isinstance(right, Decimal) else 1.01e-6 + abs(right) * max(error, 1e-12)
    assert abs(type(right)(found) - right) <= limit, (metric, how, found, right)


def check_figures(figures: dict[str, Any], members: Sequence[oracle.Seen], report: Report, length: float) -> None:
    for field, name, how in performance.RATES:
        same(figures[field], name, how, members, report, length)
    for field, name, how in performance.LATENCY:
        same(figures["latency"][field], name, how, members, report, length)
    for field, name, how in performance.TTFT:
        same(figures["ttft"][field.removeprefix("ttft_")], name, how, members, report, length)


@pytest.mark.parametrize("group_by", [("provider", "model"), ("environment",), ("project", "kind")])
def test_performance(rows: list[SpanRow], group_by: tuple[str, ...]) -> None:
    report = performance.performance(base(interval="6hour", group_by=group_by, limit=20))
    blocks = report.blocks
    check_figures(blocks["current_period"], spans(rows)[()], report, LENGTH)
    check_figures(blocks["previous_period"], spans(rows, before=True)[()], report, LENGTH)
    groups = spans(rows, group_by)
    assert {tuple(row[name] for name in group_by) for row in blocks["groups"]} == set(groups)
    for row in blocks["groups"]:
        check_figures(row, groups[tuple(row[name] for name in group_by)], report, LENGTH)
    counts = [row["requests"] for row in blocks["groups"]]
    assert counts == sorted(counts, reverse=True)
    large = {key for key, members in groups.items() if len(members) >= 30}
    assert {tuple(row[name] for name in group_by) for row in blocks["slowest"]} <= large
    assert len(blocks["slowest"]) == min(5, len(large))
    series = spans(rows, interval="6hour")
    assert {row["timestamp"] for row in blocks["series"]} == {key[0] for key in series}
    for row in blocks["series"]:
        key = (row["timestamp"],)
        seconds = oracle.seconds(key, END - SPAN, END, "6hour", ZoneInfo("UTC"))
        for field, name, how in performance.SERIES:
            same(row[field], name, how, series[key], report, seconds)


def test_performance_without_the_previous_period(rows: list[SpanRow]) -> None:
    blocks = performance.performance(base(interval="1day", group_by=("model",), limit=1), compare=False).blocks
    assert blocks["previous_period"] is None and blocks["changes"] is None
    assert len(blocks["groups"]) == 1


def test_changes_of_performance(rows: list[SpanRow]) -> None:
    blocks = performance.performance(base(interval="1day", group_by=("model",), limit=1)).blocks
    now, before = len(spans(rows)[()]), len(spans(rows, before=True)[()])
    assert blocks["changes"]["requests_change_pct"] == pytest.approx((now - before) / before * 100, abs=1e-4)
    p95 = [blocks[name]["latency"]["p95_ms"] for name in ("current_period", "previous_period")]
    assert blocks["changes"]["p95_latency_change_pct"] == pytest.approx((p95[0] / p95[1] - 1) * 100, abs=1e-4)


def test_models(rows: list[SpanRow]) -> None:
    report = models.models(base(group_by=models.MODEL, limit=100, sort=(Sort("total_cost_usd", True),)))
    groups, whole = spans(rows, models.MODEL), spans(rows)[()]
    found = {(row["provider"], row["model"]): row for row in report.blocks["data"]}
    assert set(found) == set(groups)
    all_cost = sum(member.row.total_cost or 0 for member in whole)
    for key, members in groups.items():
        row = found[key]
        for field, name, how in models.FIGURES:
            if field != "priced_requests":
                same(row[field], name, how, members, report, LENGTH)
        priced = [member.row for member in members if member.row.total_cost is not None]
        good = [item for item in priced if item.status != "error"]
        cost = sum(item.total_cost or 0 for item in priced)
        right = Decimal(cost) / len(good) / 10**12 if good else None
        made = row["cost_per_successful_request_usd"]
        assert made is right is None or abs(made - right) <= Decimal("1e-12")
        assert row["unpriced_requests"] == len(members) - len(priced)
        assert row["share_of_requests"] == pytest.approx(len(members) / len(whole), abs=1e-6)
        assert row["share_of_cost"] == (pytest.approx(cost / all_cost, abs=1e-6) if priced else None)
    costs = [row["total_cost_usd"] for row in report.blocks["data"] if row["total_cost_usd"] is not None]
    assert costs == sorted(costs, reverse=True)
    totals = report.blocks["totals"]
    assert (totals["models"], totals["requests"]) == (len(groups), len(whole))
    assert totals["total_cost_usd"] == Decimal(all_cost) / 10**12


def test_a_model_that_is_never_priced_costs_null_not_nothing() -> None:
    made = [row for row in traffic(5, 60) if row.billable]
    for row in made:
        row.total_cost, row.provider, row.model = None, "openai", "gpt-4o"
    write(made)
    (row,) = models.models(base(group_by=models.MODEL, limit=5)).blocks["data"]
    assert row["total_cost_usd"] is row["cost_per_successful_request_usd"] is row["share_of_cost"] is None
    assert row["unpriced_requests"] == row["requests"] > 0


def test_every_metric(rows: list[SpanRow]) -> None:
    for name, entry in CATALOGUE.items():
        spec = replace(base(), metrics=tuple(MetricRef(name, how, how) for how in entry.aggregations))
        report = metric.metric_report(spec, entry)
        for block, before in (("current_period", False), ("previous_period", True)):
            members = spans(rows, before=before)[()]
            for how in entry.aggregations:
                same(report.blocks[block]["values"][how], name, how, members, report, LENGTH)
        assert report.blocks["value"] == report.blocks["current_period"]["values"][entry.natural]


@pytest.mark.parametrize("interval", ["1hour", "1day"])
def test_what_trends_are_computed_from(rows: list[SpanRow], interval: str) -> None:
    """Whole buckets from the first with a request on; empty ones count 0 or nothing."""
    asked = [("request_count", "sum"), ("total_cost", "sum"), ("duration", "avg"), ("error_rate", "avg")]
    metrics = tuple(MetricRef(name, how, name) for name, how in asked)
    report = trends.trends(replace(base(interval=interval), metrics=metrics))
    length = timedelta(hours=1) if interval == "1hour" else timedelta(days=1)
    groups = spans(rows, interval=interval)
    moment = (END - SPAN).replace(minute=0) + timedelta(hours=1)
    if interval == "1day":
        moment = moment.replace(hour=0) + timedelta(days=1)
    whole = []
    while moment + length <= END:
        whole.append(moment)
        moment += length
    while (whole[0],) not in groups:
        whole.pop(0)
    assert [row["timestamp"] for row in report.blocks["series"]] == whole
    for row in report.blocks["series"]:
        members = groups.get((row["timestamp"],), [])
        for name, how in asked:
            right = oracle.value(name, how, members, length.total_seconds())
            assert row[name] == (None if right is None else pytest.approx(float(right), rel=1e-9, abs=1e-6)), name
    points = [sum(row[name] is not None for row in report.blocks["series"]) for name, _ in asked]
    assert [row["points"] for row in report.blocks["data"]] == points
