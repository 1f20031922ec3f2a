"""The catalogue of metrics: what can be asked, in which unit, and the formula over components that answers it.

A formula is applied once, last, to merged components; nothing here is ever averaged twice. Formulas are SQL over the
component columns and give the value in the metric's unit (milliseconds, dollars), so that ordering, limits and
conditions can run in the database. `{seconds}` stands for the length of the bucket inside the asked range.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from apps.metrics.components import MEASURES, USAGE_COMPONENTS, Measure

Source = Literal["components", "distinct", "percentile", "score"]
Output = Literal["integer", "number", "rate", "ms", "usd", "text", "time", "score"]

AGGREGATIONS: tuple[str, ...] = ("sum", "avg", "min", "max", "count", "stddev", "p50", "p90", "p95", "p99")
PERCENTILES: dict[str, int] = {"p50": 50, "p90": 90, "p95": 95, "p99": 99}
DIMENSION_NAMES: tuple[str, ...] = (
    "provider",
    "model",
    "environment",
    "status",
    "user_id",
    "session_id",
    "project",
    "name",
    "kind",
)


@dataclass(frozen=True, slots=True)
class Formula:
    """How one aggregation of one metric is computed.

    Args:
        source: merged components, distinct ids, a percentile, or the table of scores.
        output: how the value is written in answers.
        sql: for components, the formula over their columns; for scores, the aggregate over `x`.
        components: the component columns the formula reads.
        id: for distinct counts, the id that is counted; for scores, their name.
        value: for percentiles, the kind of histogram cells ("latency" or "ttft").
        percent: for percentiles, the rank; a fraction of one only for the quantiles that reports ask for.
    """

    source: Source
    output: Output
    sql: str = ""
    components: tuple[str, ...] = ()
    id: str = ""
    value: Literal["", "latency", "ttft"] = ""
    percent: float = 0


@dataclass(frozen=True, slots=True)
class Metric:
    """One catalogue entry."""

    name: str
    unit: str
    description: str
    natural: str
    formulas: dict[str, Formula]

    @property
    def aggregations(self) -> tuple[str, ...]:
        return tuple(name for name in AGGREGATIONS if name in self.formulas)


# What a component is worth in the metric's unit; multiplication by a NUMERIC literal keeps money exact.
_SCALE: dict[Output, str] = {"ms": "::double precision / 1000", "usd": " * 0.000000000001", "integer": "", "number": ""}


def _scaled(sql: str, output: Output) -> str:
    return f"({sql}){_SCALE[output]}"


def _measure_formulas(measure: Measure, output: Output) -> dict[str, Formula]:
    name = measure.name
    total, count, squares = f"{name}_sum", f"{name}_count", f"{name}_sq"
    mean: Output = "usd" if output == "usd" else "ms" if output == "ms" else "number"
    # No request cost nothing; requests of which none says what it cost have an unknown sum, not a sum of 0.
    known = f"CASE WHEN {count} > 0 THEN {total} WHEN requests = 0 THEN 0 END"
    formulas = {
        "sum": Formula("components", output, _scaled(known, output), (total, count, "requests")),
        "avg": Formula("components", mean, _scaled(f"{total}::numeric / nullif({count}, 0)", mean), (total, count)),
        "count": Formula("components", "integer", count, (count,)),
    }
    if measure.wide:
        variance = (
            f"({count}::numeric * {squares} - {total}::numeric * {total}) / nullif({count}::numeric * ({count} - 1), 0)"
        )
        formulas |= {
            "min": Formula("components", output, _scaled(f"{name}_min", output), (f"{name}_min",)),
            "max": Formula("components", output, _scaled(f"{name}_max", output), (f"{name}_max",)),
            "stddev": Formula("components", mean, _scaled(f"sqrt({variance})", mean), (total, count, squares)),
        }
    return formulas


def _percentile_formulas(value: Literal["latency", "ttft"]) -> dict[str, Formula]:
    return {name: Formula("percentile", "ms", value=value, percent=percent) for name, percent in PERCENTILES.items()}


_SUCCESSES = "requests - errors"


def _count(sql: str, *components: str) -> dict[str, Formula]:
    formula = Formula("components", "integer", sql, components)
    return {"sum": formula, "count": formula}


def _ratio(sql: str, output: Output, *components: str) -> dict[str, Formula]:
    return {"avg": Formula("components", output, sql, components)}


def _entries() -> list[Metric]:
    requests = [
        Metric("request_count", "requests", "Billable spans.", "sum", _count("requests", "requests")),
        Metric("error_count", "requests", "Billable spans with status error.", "sum", _count("errors", "errors")),
        Metric(
            "success_count",
            "requests",
            "Billable spans without status error.",
            "sum",
            _count(_SUCCESSES, "requests", "errors"),
        ),
        Metric(
            "error_rate",
            "fraction",
            "Errors by requests, 0 to 1; null without requests.",
            "avg",
            _ratio("errors::double precision / nullif(requests, 0)", "rate", "requests", "errors"),
        ),
        Metric(
            "success_rate",
            "fraction",
            "Requests without error by requests, 0 to 1; null without requests.",
            "avg",
            _ratio(f"({_SUCCESSES})::double precision / nullif(requests, 0)", "rate", "requests", "errors"),
        ),
        Metric(
            "throughput",
            "requests/s",
            "Requests a second, over the part of the bucket inside the range.",
            "avg",
            _ratio("requests::double precision / {seconds}", "rate", "requests"),
        ),
        Metric(
            "tokens_per_second",
            "tokens/s",
            "Completion tokens by the seconds of the requests that made them.",
            "avg",
            _ratio("tps_tokens * 1000000::double precision / nullif(tps_us, 0)", "number", "tps_tokens", "tps_us"),
        ),
    ]
    return [*requests, *_measures(), *_distinct()]


_MEASURED: dict[str, tuple[str, str]] = {
    "duration": ("ms", "From the start to the end of a request."),
    "ttft": ("ms", "From the start of a request to its first token, where it was streamed."),
    "total_cost": ("usd", "Cost of requests: the sender's where given, else computed; null where nothing is priced."),
    "prompt_cost": ("usd", "The part of the cost that prompts made."),
    "completion_cost": ("usd", "The part of the cost that completions made."),
    "total_tokens": ("tokens", "Prompt and completion tokens."),
    "prompt_tokens": ("tokens", "Prompt tokens, cached ones included."),
    "completion_tokens": ("tokens", "Completion tokens, reasoning included."),
    "cached_tokens": ("tokens", "Prompt tokens read from the provider's cache."),
    "reasoning_tokens": ("tokens", "Completion tokens spent on reasoning."),
}
_OUTPUT: dict[str, Output] = {"ms": "ms", "usd": "usd", "tokens": "integer"}


def _measures() -> list[Metric]:
    made = []
    for measure in MEASURES:
        unit, description = _MEASURED[measure.name]
        formulas = _measure_formulas(measure, _OUTPUT[unit])
        if measure.name == "duration":
            formulas |= _percentile_formulas("latency")
        elif measure.name == "ttft":
            formulas |= _percentile_formulas("ttft")
        made.append(Metric(measure.name, unit, description, "avg" if unit == "ms" else "sum", formulas))
    return made


def _distinct() -> list[Metric]:
    return [
        Metric(name, unit, description, "count", {"count": Formula("distinct", "integer", id=column)})
        for name, unit, description, column in (
            ("unique_users", "users", "Distinct users, through the trace; spans without one are left out.", "user_id"),
            (
                "unique_sessions",
                "sessions",
                "Distinct sessions, through the trace; spans without one are left out.",
                "session_id",
            ),
        )
    ]


SCORE_PREFIX = "score."
SCORE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


@lru_cache(maxsize=1024)
def score_metric(name: str) -> Metric:
    """`score.<name>`: every score of this name.

    avg, sum, min, max, stddev (of a sample, n - 1) and percentiles (nearest rank, exact) are over the values of numeric
    scores and, as 1 and 0, of boolean ones: null where there is none, stddev below two. count counts every score of
    the name, categorical ones too.
    """
    aggregates = {
        "sum": "sum(x.value)",
        "avg": "avg(x.value)",
        "min": "min(x.value)",
        "max": "max(x.value)",
        "stddev": "stddev_samp(x.value)",
        **{
            percentile: f"percentile_disc({percent / 100}) WITHIN GROUP (ORDER BY x.value)"
            for percentile, percent in PERCENTILES.items()
        },
    }
    formulas = {how: Formula("score", "score", sql, id=name) for how, sql in aggregates.items()}
    formulas["count"] = Formula("score", "integer", "count(*)", id=name)
    # For reports, which need the sample of an average; no aggregation that a client can name.
    formulas["valued"] = Formula("score", "integer", "count(x.value)", id=name)
    description = f"Scores named {name}: numbers as they are, true and false as 1 and 0; count counts categories too."
    return Metric(f"{SCORE_PREFIX}{name}", "score", description, "avg", formulas)


def find(name: str) -> Metric | None:
    """The metric of this name: one of the catalogue, or a score's."""
    if name.startswith(SCORE_PREFIX):
        plain = name.removeprefix(SCORE_PREFIX)
        return score_metric(plain) if SCORE_NAME.fullmatch(plain) else None
    return CATALOGUE.get(name)


CATALOGUE: dict[str, Metric] = {metric.name: metric for metric in _entries()}


class _Quantiles(dict[str, Formula]):
    """`q47.5` and the like: the quantile of durations at any percentage."""

    def __missing__(self, name: str) -> Formula:
        return Formula("percentile", "ms", value="latency", percent=float(name.removeprefix("q")))


_QUANTILES = _Quantiles(q50=Formula("percentile", "ms", value="latency", percent=50.0))
# What reports ask for beside the catalogue; no client can name these.
INTERNAL: dict[str, Metric] = {
    "parts": Metric(
        "parts",
        "",
        "Components as they are stored, of which tests need the exact sums.",
        "requests",
        {item.name: Formula("components", "integer", item.name, (item.name,)) for item in USAGE_COMPONENTS},
    ),
    "duration_quantile": Metric("duration_quantile", "ms", "Durations at any percentage.", "q50", _QUANTILES),
    "error_sample": Metric(
        "error_sample",
        "text",
        "The message of one error of a group.",
        "min",
        {"min": Formula("components", "text", "sample_message", ("sample_message",))},
    ),
    "first_seen": Metric(
        "first_seen",
        "time",
        "When the first request without a cost began.",
        "min",
        {"min": Formula("components", "time", "first_seen", ("first_seen",))},
    ),
    "last_seen": Metric(
        "last_seen",
        "time",
        "When the last request without a cost began.",
        "max",
        {"max": Formula("components", "time", "last_seen", ("last_seen",))},
    ),
}
