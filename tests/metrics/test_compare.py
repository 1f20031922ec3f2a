"""The comparison of models: figures equal plain Python over raw rows, verdicts equal SciPy's on single values."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import fmean, stdev
from typing import Any

import pytest
import time_machine
from scipy import stats

from apps.metrics.refresh import refresh
from apps.metrics.reports.compare import cluster_interval, compare
from apps.metrics.reports.compare_body import SUBJECTS, Candidate, Comparison
from apps.metrics.significance import holm
from apps.metrics.spec import QuerySpec
from apps.traces.columns import SpanRow
from apps.traces.writer import write
from tests.metrics.test_oracle import histograms_preferred
from tests.support.cells import clear_cells
from tests.support.spans import span_row, us

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 11, 5, 12, 30, tzinfo=UTC)
START, END = NOW - timedelta(days=3), NOW
# Model, provider, requests, mean of log duration, error rate, cost in picodollars.
FAST, SLOW, TWIN, RARE = "fast", "slow", "twin", "rare"
MODELS = (
    (FAST, "a", 400, 13.0, 0.02, 10**9),
    (SLOW, "b", 300, 13.5, 0.15, 3 * 10**9),
    (TWIN, "b", 350, 13.0, 0.02, 10**9),
)


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    clear_cells()
    with time_machine.travel(NOW, tick=False):
        yield
    clear_cells()


def traffic(models: Any = (*MODELS, (RARE, "a", 12, 11.0, 0.0, 10**7)), seed: int = 1) -> list[SpanRow]:
    pick = random.Random(seed)
    made = []
    for model, provider, count, level, failing, cost in models:
        for _ in range(count):
            start = START + timedelta(seconds=pick.uniform(0, 3 * 86400 - 1))
            failed = pick.random() < failing
            duration = int(pick.lognormvariate(level, 0.5))
            made.append(
                span_row(
                    start_us=us(start),
                    model=model,
                    provider=provider,
                    duration_us=duration,
                    ttft_us=pick.choice((None, duration // 4)),
                    status="error" if failed else pick.choice(("ok", "unset")),
                    total_cost=None if pick.random() < 0.1 else int(cost * pick.uniform(0.5, 1.5)),
                    completion_tokens=pick.choice((None, duration // pick.randrange(8_000, 12_000))),
                )
            )
    return made


def ask(*labels: str, subjects: tuple[str, ...] = SUBJECTS, alpha: float = 0.05, **more: Any) -> dict[str, Any]:
    base = QuerySpec(organization_id=1, project_ids=(1,), start=START, end=END, metrics=(), **more)
    return compare(Comparison(base, tuple(Candidate(label) for label in labels), subjects, alpha)).blocks


@pytest.mark.parametrize("from_cells", [False, True])
def test_the_figures_of_a_model(from_cells: bool) -> None:
    rows = traffic()
    write(rows)
    if from_cells:
        refresh(NOW)
        with histograms_preferred():
            found = ask(FAST, SLOW, RARE)["models"]
    else:
        found = ask(FAST, SLOW, RARE)["models"]
    for made, label in zip(found, (FAST, SLOW, RARE), strict=True):
        mine = [row for row in rows if row.model == label]
        errors = [row for row in mine if row.status == "error"]
        priced = [row.total_cost for row in mine if row.total_cost is not None]
        good = [row for row in mine if row.total_cost is not None and row.status != "error"]
        durations = sorted(row.duration_us / 1000 for row in mine)
        first = [row.ttft_us / 1000 for row in mine if row.ttft_us is not None]
        timed = [row for row in mine if row.completion_tokens is not None]
        samples = made["samples"]
        assert (made["label"], made["sufficient"]) == (label, len(mine) >= 30)
        assert samples["requests"] == len(mine) and samples["errors"] == len(errors)
        assert (samples["priced"], samples["ttft"]) == (len(priced), len(first))
        assert made["reliability"]["error_rate"] == pytest.approx(len(errors) / len(mine))
        assert made["reliability"]["error_rate_low"] <= made["reliability"]["error_rate"]
        latency = made["latency"]
        assert latency["avg_ms"] == pytest.approx(fmean(durations), abs=1e-6)
        assert latency["stddev_ms"] == pytest.approx(stdev(durations), abs=1e-6)
        assert latency["ttft_avg_ms"] == pytest.approx(fmean(first), abs=1e-6)
        error = 0.0101 if from_cells else 1e-9
        assert latency["p50_ms"] == pytest.approx(durations[-(-len(mine) // 2) - 1], rel=error)
        cost = made["cost"]
        assert cost["total_cost_usd"] == Decimal(sum(priced)) / 10**12
        assert abs(cost["cost_per_request_usd"] - Decimal(sum(priced)) / len(priced) / 10**12) <= Decimal("1e-12")
        right = Decimal(sum(priced)) / len(good) / 10**12
        assert abs(cost["cost_per_successful_request_usd"] - right) <= Decimal("1e-12")
        assert cost["unpriced_requests"] == len(mine) - len(priced)
        speed = sum(row.completion_tokens or 0 for row in timed) / sum(row.duration_us for row in timed) * 1e6
        assert made["throughput"]["tokens_per_second"] == pytest.approx(speed, abs=1e-6)
        for percent in (50, 95):
            ranks = ranks_of(len(mine), percent / 100)
            for side, rank in zip(("low", "high"), ranks, strict=True):
                value = latency[f"p{percent}_{side}_ms"]
                assert value is None if rank is None else value == pytest.approx(durations[rank - 1], rel=error)


def ranks_of(n: int, p: float) -> tuple[int | None, int | None]:
    low, high = int(stats.binom.ppf(0.025, n, p)), int(stats.binom.ppf(0.975, n, p)) + 1
    return (low, high) if low >= 1 and high <= n else (None, None)


def test_verdicts_are_those_of_single_values() -> None:
    """One request in each stretch: clusters cannot widen anything, so SciPy's tests of the values must come out."""
    rows = []
    for number in range(72):
        start = us(START.replace(minute=0) + timedelta(hours=1 + number)) if number < 70 else us(START)
        for model, level in ((FAST, 900_000), (SLOW, 1_000_000)):
            failed = number % (9 if model == FAST else 3) == 0
            rows.append(
                span_row(
                    start_us=start,
                    model=model,
                    duration_us=level + (number * 7919) % 300_000,
                    status="error" if failed else "ok",
                    total_cost=10**9 + (number * 104_729) % 10**8 * (3 if model == SLOW else 1),
                )
            )
    write(rows)
    found = {row["measure"]: row for row in ask(FAST, SLOW)["differences"]}
    values = {model: [row for row in rows if row.model == model] for model in (FAST, SLOW)}
    for measure, column, scale in (
        ("avg_duration_ms", "duration_us", 1e3),
        ("cost_per_request_usd", "total_cost", 1e12),
    ):
        a, b = ([getattr(row, column) / scale for row in values[model]] for model in (FAST, SLOW))
        right = stats.ttest_ind(a, b, equal_var=False)
        row = found[measure]
        assert row["method"] == "welch_t"
        # A design effect above 1 by chance may only make the test more careful.
        assert row["p_value"] >= right.pvalue * (1 - 1e-6)
        assert row["difference"] == pytest.approx(fmean(a) - fmean(b), rel=1e-6)
        assert row["difference_low"] < row["difference"] < row["difference_high"]
    assert found["avg_ttft_ms"]["verdict"] == "insufficient_data" and found["avg_ttft_ms"]["p_value"] is None
    assert found["error_rate"]["better"] == FAST and found["error_rate"]["a_value"] == pytest.approx(8 / 72)
    tested = [row for row in found.values() if row["p_value"] is not None]
    assert [row["p_adjusted"] for row in tested] == pytest.approx(holm([row["p_value"] for row in tested]), rel=1e-6)


def test_the_best_is_named_only_where_it_is() -> None:
    write(traffic())
    found = ask(FAST, SLOW, TWIN, RARE)
    fastest, cheapest = found["best"]["fastest"], found["best"]["cheapest"]
    assert fastest["model"] is None and set(fastest["tied_with"]) == {FAST, TWIN}
    assert fastest["reason"] == "not_significant" and fastest["left_out"] == [RARE]
    assert cheapest["model"] is None and set(cheapest["tied_with"]) == {FAST, TWIN}
    two = ask(FAST, SLOW)["best"]
    assert two["fastest"] == {"model": FAST, "tied_with": [], "reason": None, "left_out": []}
    assert two["cheapest"]["model"] == two["most_reliable"]["model"] == FAST
    assert two["highest_throughput"]["model"] is None


def test_no_recommendation_from_twelve_requests() -> None:
    write(traffic())
    found = ask(FAST, RARE)
    assert {row["verdict"] for row in found["differences"]} == {"insufficient_data"}
    assert all(item["model"] is None and item["reason"] == "insufficient_data" for item in found["best"].values())
    assert [model["sufficient"] for model in found["models"]] == [True, False]


def test_a_bad_hour_is_not_a_bad_model() -> None:
    """All failures of one model in one hour of the three days: one event, not thirty."""
    rows = traffic(((FAST, "a", 400, 13.0, 0.0, 10**9), (SLOW, "b", 400, 13.0, 0.0, 10**9)))
    hour = us(START.replace(minute=0) + timedelta(hours=30))
    for row in [row for row in rows if row.model == SLOW][:30]:
        row.status, row.start_us = "error", hour + row.start_us % 3_600_000_000
    write(rows)
    row = next(row for row in ask(FAST, SLOW)["differences"] if row["measure"] == "error_rate")
    assert row["b_value"] == 0.075 and row["verdict"] == "not_significant"
    assert stats.fisher_exact([[0, 400], [30, 370]])[1] < 1e-8, "taken for independent it would be beyond doubt"


def test_equal_models_are_seldom_called_different() -> None:
    """Sixteen copies of one model, eight comparisons: with Holm one answer in twenty has a false alarm."""
    alarms = 0
    for seed in range(8):
        clear_cells()
        write(traffic(((FAST, "a", 120, 13.0, 0.05, 10**9), (TWIN, "a", 120, 13.0, 0.05, 10**9)), seed))
        alarms += any(row["verdict"] == "significant" for row in ask(FAST, TWIN)["differences"])
    assert alarms <= 2


def test_a_model_of_several_providers_is_one_or_several() -> None:
    write([span_row(start_us=us(START), model="m", provider=name) for name in ("a", "b", None) for _ in range(2)])
    write([span_row(start_us=us(START), model="n", provider="a")])
    base = QuerySpec(organization_id=1, project_ids=(1,), start=START, end=END, metrics=())
    one = Candidate("m", "a", False), Candidate("m", "b", False), Candidate("m", None, False), Candidate("n")
    found = compare(Comparison(base, one, SUBJECTS, 0.05)).blocks["models"]
    assert [(item["label"], item["samples"]["requests"]) for item in found] == [
        ("a/m", 2),
        ("b/m", 2),
        ("unknown/m", 2),
        ("n", 1),
    ]
    assert ask("m", "n")["models"][0]["samples"]["requests"] == 6


def test_a_model_that_was_never_asked() -> None:
    write(traffic())
    made = ask(FAST, "nobody")["models"][1]
    assert made["samples"]["requests"] == 0
    assert made["reliability"]["error_rate"] is made["latency"]["avg_ms"] is made["cost"]["total_cost_usd"] is None


def test_subjects_limit_what_is_compared() -> None:
    write(traffic())
    found = ask(FAST, SLOW, subjects=("cost",))
    assert {row["measure"] for row in found["differences"]} == {"cost_per_request_usd", "error_rate"}
    assert set(found["best"]) == {"cheapest", "most_reliable"}
    assert found["models"][0]["latency"] is None and found["models"][0]["throughput"] is None


@pytest.mark.parametrize(
    ("days", "interval"), [(1, "15min"), (7, "1hour"), (30, "6hour"), (180, "1day"), (900, "1week")]
)
def test_stretches(days: int, interval: str) -> None:
    assert cluster_interval(timedelta(days=days)) == interval
