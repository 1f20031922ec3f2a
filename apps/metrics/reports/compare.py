"""The comparison of models: figures with their samples, and for each difference whether it is more than chance.

Formulas, tests and minimum samples are in docs/reports.md. For each way of grouping (by model, by provider and model)
three questions: sums over stretches of time, successes that have a price, percentiles with their intervals. Stretches
serve as clusters: what goes on in an hour strikes all its requests, which are then worth less than so many independent
ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from itertools import combinations
from typing import Any

from apps.metrics.catalog import SCORE_NAME
from apps.metrics.reports.base import MIN_SAMPLE, Asking, Report, made, references
from apps.metrics.reports.compare_body import MOST_SCORES, Candidate, Comparison
from apps.metrics.reports.models import SUCCESS, cost_per_success
from apps.metrics.significance import (
    Ratio,
    Sample,
    Test,
    design_effect,
    holm,
    proportions,
    quantile_ranks,
    ratio_of,
    ratios,
    welch,
    wilson,
)
from apps.metrics.spec import Filter, MetricRef, QuerySpec
from apps.traces.scores import score_names

MIN_CLUSTERS = 10
PICO = Decimal("1e-12")
PARTS: tuple[str, ...] = (
    "requests",
    "errors",
    "duration_sum",
    "duration_count",
    "duration_sq",
    "ttft_sum",
    "ttft_count",
    "ttft_sq",
    "total_cost_sum",
    "total_cost_count",
    "total_cost_sq",
    "total_tokens_sum",
    "total_tokens_count",
    "tps_tokens",
    "tps_us",
)
QUANTILES = (50, 95)
# Subject, name of the best, and whether less is better.
BEST: dict[str, tuple[str, bool]] = {
    "latency": ("fastest", True),
    "cost": ("cheapest", True),
    "reliability": ("most_reliable", True),
    "throughput": ("highest_throughput", False),
}


@dataclass
class Side:
    """What is known of one model: sums per stretch of time, and what was asked beside."""

    candidate: Candidate
    clusters: list[Mapping[str, Any]] = field(default_factory=list)
    priced_successes: int = 0
    quantiles: Mapping[str, Any] = field(default_factory=dict)
    samples: dict[str, Sample] = field(default_factory=dict)
    scores: dict[str, Sample] = field(default_factory=dict)

    @cached_property
    def totals(self) -> Mapping[str, int]:
        return {part: sum(row[part] or 0 for row in self.clusters) for part in PARTS}

    def total(self, part: str) -> int:
        return self.totals[part]

    @property
    def failures(self) -> tuple[int, int]:
        return self.total("errors"), self.total("requests")

    def sample(self, name: str, scale: float) -> Sample:
        """Mean and variance of a measure, widened by its clusters."""
        if name not in self.samples:
            self.samples[name] = self._sample(name, scale)
        return self.samples[name]

    def _sample(self, name: str, scale: float) -> Sample:
        n, total = self.total(f"{name}_count"), self.total(f"{name}_sum")
        plain = Sample.of(n, total, self.total(f"{name}_sq"))
        pairs = [(float(row[f"{name}_count"] or 0), float(row[f"{name}_sum"] or 0)) for row in self.clusters]
        design, clusters = design_effect(pairs, plain.variance)
        return Sample.of(n, total, self.total(f"{name}_sq"), scale, design, clusters)

    @cached_property
    def error_design(self) -> float:
        """By how much errors come in bursts."""
        x, n = self.failures
        pairs = [(float(row["requests"]), float(row["errors"])) for row in self.clusters]
        return design_effect(pairs, x / n * (1 - x / n))[0]

    @cached_property
    def speed(self) -> Ratio | None:
        """Tokens a second over the stretches that have any."""
        pairs = [(row["tps_us"] / 1e6, float(row["tps_tokens"] or 0)) for row in self.clusters if row["tps_us"]]
        return ratio_of(pairs) if len(pairs) >= MIN_CLUSTERS else None


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure by which models are compared.

    Args:
        n: how many values the figure of a model is made of.
        value: the figure.
        test: of two models whose samples suffice.
        less_is_better: None where nobody can say.
    """

    name: str
    subject: str
    n: Callable[[Side], int]
    value: Callable[[Side], float]
    test: Callable[[Side, Side], Test]
    less_is_better: bool | None = True
    enough: Callable[[Side], bool] = lambda side: True


def _mean(name: str, subject: str, measure: str, scale: float) -> Measure:
    return Measure(
        name,
        subject,
        lambda side: side.total(f"{measure}_count"),
        lambda side: side.total(f"{measure}_sum") / side.total(f"{measure}_count") * scale,
        lambda a, b: welch(a.sample(measure, scale), b.sample(measure, scale)),
    )


def _speed(side: Side) -> Ratio:
    found = side.speed
    if found is None:
        raise ValueError("asked of a model with too few stretches of time")
    return found


MEASURES: tuple[Measure, ...] = (
    _mean("avg_duration_ms", "latency", "duration", 1e-3),
    _mean("avg_ttft_ms", "ttft", "ttft", 1e-3),
    _mean("cost_per_request_usd", "cost", "total_cost", 1e-12),
    Measure(
        "error_rate",
        "reliability",
        lambda side: side.total("requests"),
        lambda side: side.total("errors") / side.total("requests"),
        lambda a, b: proportions(*a.failures, *b.failures, a.error_design, b.error_design),
    ),
    Measure(
        "tokens_per_second",
        "throughput",
        lambda side: side.total("requests"),
        lambda side: _speed(side).value,
        lambda a, b: ratios(_speed(a), _speed(b)),
        less_is_better=False,
        enough=lambda side: side.speed is not None,
    ),
)


def _score(name: str) -> Measure:
    """A score's average; whether more of it is better, its name does not say."""
    return Measure(
        f"score.{name}",
        "quality",
        lambda side: side.scores[name].n if name in side.scores else 0,
        lambda side: side.scores[name].mean,
        lambda a, b: welch(a.scores[name], b.scores[name]),
        less_is_better=None,
    )


def compare(asked: Comparison) -> Report:
    """The comparison.

    Raises:
        ApiError: as `runner.answer`.
    """

    def make(asking: Asking) -> dict[str, Any]:
        sides = _sides(asking, asked)
        measures = [item for item in MEASURES if _wanted(item, asked.subjects)]
        measures += [_score(name) for name in sorted({name for side in sides for name in side.scores})]
        differences = _differences(sides, measures, asked.alpha)
        return {
            "models": [_figures(side, asked) for side in sides],
            "differences": differences,
            "best": {
                name: _best(sides, measure, differences)
                for subject, (name, _) in BEST.items()
                for measure in measures
                if measure.subject == subject
            },
        }

    return made(asked.base, make)


def _wanted(measure: Measure, subjects: Sequence[str]) -> bool:
    """Errors are always compared; time to first token goes with latency."""
    return measure.subject == "reliability" or {"ttft": "latency"}.get(measure.subject, measure.subject) in subjects


def cluster_interval(span: timedelta) -> str:
    """The stretches that a range is cut into: 200 at most for half a year, whole cells of the rollups."""
    limits = {"15min": 2, "1hour": 8, "6hour": 50, "1day": 200}
    return next((name for name, days in limits.items() if span <= timedelta(days=days)), "1week")


def _sides(asking: Asking, asked: Comparison) -> list[Side]:
    sides = {item: Side(item) for item in asked.candidates}
    for names in dict.fromkeys(item.group_by for item in asked.candidates):
        group = {item.key: side for item, side in sides.items() if item.group_by == names}
        spec = replace(asked.base, group_by=names, filters=(*asked.base.filters, *_filters(names, group)))
        parts = tuple(MetricRef("parts", name, name) for name in PARTS)
        interval = cluster_interval(spec.end - spec.start)
        for row in asking.rows(replace(spec, metrics=parts, interval=interval)):
            if (side := group.get(tuple(row[name] for name in names))) is not None:
                side.clusters.append(row)
        successes = references((("n", "total_cost", "count"),))
        for row in asking.rows(replace(spec, metrics=successes, filters=(*spec.filters, SUCCESS))):
            if (side := group.get(tuple(row[name] for name in names))) is not None:
                side.priced_successes = row["n"]
        if "latency" in asked.subjects:
            _ask_quantiles(asking, spec, list(group.values()))
        if "quality" in asked.subjects:
            _ask_scores(asking, spec, group, asked.scores)
    return list(sides.values())


def _filters(names: Sequence[str], group: Mapping[tuple[str | None, ...], Side]) -> tuple[Filter, ...]:
    return tuple(Filter(name, "in", tuple(dict.fromkeys(key[at] for key in group))) for at, name in enumerate(names))


def _ask_scores(
    asking: Asking, spec: QuerySpec, group: Mapping[tuple[str | None, ...], Side], wanted: tuple[str, ...] | None
) -> None:
    """Mean, deviation and number of the values of scores."""
    if wanted is None:
        found = score_names(asking.cursor, spec.project_ids, 10 * MOST_SCORES)
        wanted = tuple(name for name in found if SCORE_NAME.fullmatch(name))[:MOST_SCORES]
    if not wanted:
        return
    refs = tuple(
        MetricRef(f"score.{name}", how, f"{how}_{at}")
        for at, name in enumerate(wanted)
        for how in ("avg", "stddev", "valued")
    )
    for row in asking.rows(replace(spec, metrics=refs)):
        side = group.get(tuple(row[name] for name in spec.group_by))
        for at, name in enumerate(wanted):
            if side is not None and row[f"valued_{at}"]:
                deviation = row[f"stddev_{at}"]
                variance = math.nan if deviation is None else deviation**2
                side.scores[name] = Sample(row[f"valued_{at}"], row[f"avg_{at}"], variance)


def _ask_quantiles(asking: Asking, spec: QuerySpec, group: Sequence[Side]) -> None:
    """p50 and p95 of each model, and the order statistics between which they lie with 95% confidence."""
    refs = {f"p{percent}": MetricRef("duration", f"p{percent}", f"p{percent}") for percent in QUANTILES}
    for at, side in enumerate(group):
        n = side.total("duration_count")
        for percent in QUANTILES:
            ranks = quantile_ranks(n, percent / 100) if n else None
            for name, rank in zip(("low", "high"), ranks or (), strict=False):
                alias = f"p{percent}_{name}_{at}"
                refs[alias] = MetricRef("duration_quantile", f"q{(rank - 0.5) / n * 100!r}", alias)
    found = {
        tuple(row[name] for name in spec.group_by): row
        for row in asking.rows(replace(spec, metrics=tuple(refs.values())))
    }
    for at, side in enumerate(group):
        row = found.get(side.candidate.key, {})
        made: dict[str, Any] = {}
        for percent in QUANTILES:
            made[f"p{percent}_ms"] = row.get(f"p{percent}")
            made[f"p{percent}_low_ms"] = row.get(f"p{percent}_low_{at}")
            made[f"p{percent}_high_ms"] = row.get(f"p{percent}_high_{at}")
        side.quantiles = made


def _figures(side: Side, asked: Comparison) -> dict[str, Any]:
    requests, errors = side.total("requests"), side.total("errors")
    priced = side.total("total_cost_count")
    cost = side.total("total_cost_sum") * PICO if priced else None
    figures: dict[str, Any] = {
        "label": side.candidate.label,
        "provider": side.candidate.provider,
        "model": side.candidate.model,
        "sufficient": requests >= MIN_SAMPLE,
        "samples": {
            "requests": requests,
            "errors": errors,
            "priced": priced,
            "ttft": side.total("ttft_count"),
            "clusters": len(side.clusters),
        },
        "reliability": _reliability(side, requests, errors),
        "latency": None,
        "cost": None,
        "throughput": None,
        "quality": None,
    }
    if "latency" in asked.subjects:
        figures["latency"] = {
            "avg_ms": _mean_of(side, "duration", 1e-3),
            "stddev_ms": _deviation(side, "duration", 1e-3),
            **side.quantiles,
            "ttft_avg_ms": _mean_of(side, "ttft", 1e-3),
        }
    if "cost" in asked.subjects:
        tokens = side.total("total_tokens_count")
        figures["cost"] = {
            "total_cost_usd": cost,
            "cost_per_request_usd": None if cost is None else (cost / priced).quantize(PICO),
            "cost_per_successful_request_usd": cost_per_success(cost, side.priced_successes),
            "unpriced_requests": requests - priced,
            "tokens_per_request": round(side.total("total_tokens_sum") / tokens, 6) if tokens else None,
        }
    if "throughput" in asked.subjects:
        length, seconds = side.total("tps_us") / 1e6, (asked.base.end - asked.base.start).total_seconds()
        figures["throughput"] = {
            "tokens_per_second": round(side.total("tps_tokens") / length, 6) if length else None,
            "requests_per_second": round(requests / seconds, 12),
        }
    if "quality" in asked.subjects:
        figures["quality"] = {
            name: {"avg": _digits(item.mean), "stddev": _digits(_spread(item)), "scores": item.n}
            for name, item in sorted(side.scores.items())
        }
    return figures


def _spread(item: Sample) -> float | None:
    return math.sqrt(item.variance) if item.n > 1 else None


def _reliability(side: Side, requests: int, errors: int) -> dict[str, Any]:
    if not requests:
        return {"error_rate": None, "error_rate_low": None, "error_rate_high": None}
    effective = requests / side.error_design
    low, high = wilson(errors / requests * effective, effective)
    rate = errors / requests
    return {"error_rate": round(rate, 12), "error_rate_low": round(low, 6), "error_rate_high": round(high, 6)}


def _mean_of(side: Side, name: str, scale: float) -> float | None:
    n = side.total(f"{name}_count")
    return round(side.total(f"{name}_sum") / n * scale, 6) if n else None


def _deviation(side: Side, name: str, scale: float) -> float | None:
    n = side.total(f"{name}_count")
    if n < 2:
        return None
    return round(math.sqrt(Sample.of(n, side.total(f"{name}_sum"), side.total(f"{name}_sq"), scale).variance), 6)


def _suffices(side: Side, measure: Measure) -> bool:
    return measure.n(side) >= MIN_SAMPLE and measure.enough(side)


def _differences(sides: Sequence[Side], measures: Sequence[Measure], alpha: float) -> list[dict[str, Any]]:
    """Every pair by every measure; p-values adjusted over all tests that were made."""
    rows: list[dict[str, Any]] = []
    tests: list[tuple[dict[str, Any], Test, Measure]] = []
    for measure in measures:
        for a, b in combinations(sides, 2):
            row = _row(a, b, measure)
            rows.append(row)
            if _suffices(a, measure) and _suffices(b, measure):
                test = measure.test(a, b)
                row |= _tested(a, b, measure, test)
                tests.append((row, test, measure))
    adjusted = holm([test.p for _, test, _ in tests])
    for (row, test, measure), p in zip(tests, adjusted, strict=True):
        row["p_adjusted"] = _digits(p)
        row["verdict"] = "significant" if p < alpha else "not_significant"
        if p < alpha and measure.less_is_better is not None:
            row["better"] = row["a"] if (test.difference < 0) == measure.less_is_better else row["b"]
    return rows


def _row(a: Side, b: Side, measure: Measure) -> dict[str, Any]:
    names = ("a_value", "b_value", "difference", "difference_low", "difference_high", "difference_pct")
    return {
        "measure": measure.name,
        "a": a.candidate.label,
        "b": b.candidate.label,
        "verdict": "insufficient_data",
        "better": None,
        "a_n": measure.n(a),
        "b_n": measure.n(b),
        **dict.fromkeys((*names, "effect_size", "method", "statistic", "p_value", "p_adjusted")),
    }


def _tested(a: Side, b: Side, measure: Measure, test: Test) -> dict[str, Any]:
    ours, theirs = measure.value(a), measure.value(b)
    return {
        "a_value": _digits(ours),
        "b_value": _digits(theirs),
        "difference": _digits(test.difference),
        "difference_low": _digits(test.low),
        "difference_high": _digits(test.high),
        "difference_pct": round(test.difference / theirs * 100, 4) if theirs else None,
        "effect_size": _digits(test.effect),
        "method": test.method,
        "statistic": _digits(test.statistic),
        "p_value": _digits(test.p),
    }


def _best(sides: Sequence[Side], measure: Measure, differences: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The model that is significantly better than every other one with enough data, else those it is tied with."""
    known = [side for side in sides if _suffices(side, measure)]
    left_out = [side.candidate.label for side in sides if side not in known]
    if len(known) < 2:
        return {"model": None, "tied_with": [], "reason": "insufficient_data", "left_out": left_out}
    order = sorted(known, key=measure.value, reverse=measure.less_is_better is False)
    first = order[0].candidate.label
    beaten = {
        row["b"] if row["a"] == first else row["a"]
        for row in differences
        if row["measure"] == measure.name and row["better"] == first
    }
    tied = [side.candidate.label for side in order[1:] if side.candidate.label not in beaten]
    if tied:
        return {"model": None, "tied_with": [first, *tied], "reason": "not_significant", "left_out": left_out}
    return {"model": first, "tied_with": [], "reason": None, "left_out": left_out}


def _digits(value: float | None) -> float | None:
    """Nine significant digits: what is estimated has no more."""
    return None if value is None else float(f"{value:.9g}")
