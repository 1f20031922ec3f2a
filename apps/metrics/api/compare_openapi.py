"""What the OpenAPI schema says of the comparison of models."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from apps.common.reads import fields
from apps.common.reads.schemas import COUNT, META, NUMBER, RANGE, TEXT, TIME, array, nullable, obj
from apps.metrics.api.openapi import SOURCES, TAGS
from apps.metrics.api.reports_openapi import DAY, META_EXAMPLE
from apps.metrics.buckets import INTERVALS
from apps.metrics.catalog import DIMENSION_NAMES
from apps.metrics.reports.compare import BEST, MEASURES
from apps.metrics.reports.compare_body import LEAST, MOST, MOST_SCORES, SUBJECTS

_TEXT_OR_NULL: dict[str, Any] = {"type": ["string", "null"]}
_FLAG: dict[str, Any] = {"type": "boolean"}
_NAMED: dict[str, Any] = {
    "type": "object",
    "required": ["model"],
    "additionalProperties": False,
    "properties": {"provider": _TEXT_OR_NULL, "model": TEXT},
}
_BODY: dict[str, Any] = {
    "type": "object",
    "required": ["models"],
    "additionalProperties": False,
    "properties": {
        "models": {
            "type": "array",
            "minItems": LEAST,
            "maxItems": MOST,
            "items": {"oneOf": [TEXT, _NAMED]},
            "description": "Names, wherever these models run, or {provider, model}",
        },
        "metrics": array({"type": "string", "enum": list(SUBJECTS)}),
        "start_time": TIME,
        "end_time": TIME,
        "filters": array(
            {
                "type": "object",
                "properties": {
                    "field": {"type": "string", "enum": list(DIMENSION_NAMES)},
                    "operator": {"type": "string", "enum": ["eq", "ne", "in", "not_in"]},
                    "value": {"description": "A text or null; a list for in and not_in"},
                },
            }
        ),
        "alpha": {"type": "number", "minimum": 0.0001, "maximum": 0.5, "default": 0.05},
        "scores": {
            **array(TEXT),
            "maxItems": MOST_SCORES,
            "description": f"Names of scores for quality; the first {MOST_SCORES} of the projects if not given",
        },
        "project": {"description": "A slug or a list of slugs"},
    },
}
_LATENCY = obj(
    **dict.fromkeys(
        (
            "avg_ms",
            "stddev_ms",
            "p50_ms",
            "p50_low_ms",
            "p50_high_ms",
            "p95_ms",
            "p95_low_ms",
            "p95_high_ms",
            "ttft_avg_ms",
        ),
        NUMBER,
    )
)
_COST = obj(
    total_cost_usd=NUMBER,
    cost_per_request_usd=NUMBER,
    cost_per_successful_request_usd=NUMBER,
    unpriced_requests=COUNT,
    tokens_per_request=NUMBER,
)
_MODEL = obj(
    label=TEXT,
    provider=_TEXT_OR_NULL,
    model=TEXT,
    sufficient=_FLAG,
    samples=obj(requests=COUNT, errors=COUNT, priced=COUNT, ttft=COUNT, clusters=COUNT),
    reliability=obj(error_rate=NUMBER, error_rate_low=NUMBER, error_rate_high=NUMBER),
    latency=nullable(_LATENCY),
    cost=nullable(_COST),
    throughput=nullable(obj(tokens_per_second=NUMBER, requests_per_second={"type": "number"})),
    quality=nullable({"type": "object", "additionalProperties": obj(avg=NUMBER, stddev=NUMBER, scores=COUNT)}),
)
_DIFFERENCE = obj(
    measure={"type": "string", "description": f"{', '.join(item.name for item in MEASURES)}, or score.<name>"},
    a=TEXT,
    b=TEXT,
    verdict={"type": "string", "enum": ["significant", "not_significant", "insufficient_data"]},
    better=_TEXT_OR_NULL,
    a_n=COUNT,
    b_n=COUNT,
    a_value=NUMBER,
    b_value=NUMBER,
    difference=NUMBER,
    difference_low=NUMBER,
    difference_high=NUMBER,
    difference_pct=NUMBER,
    effect_size=NUMBER,
    method=_TEXT_OR_NULL,
    statistic=NUMBER,
    p_value=NUMBER,
    p_adjusted=NUMBER,
)
_BEST = obj(
    model=_TEXT_OR_NULL,
    tied_with=array(TEXT),
    reason={"type": ["string", "null"], "enum": ["insufficient_data", "not_significant", None]},
    left_out=array(TEXT),
)
_BESTS = {
    "type": "object",
    "properties": {name: _BEST for name, _ in BEST.values()},
    "required": [BEST["reliability"][0]],
}
_EXAMPLE_MODELS = [
    {
        "label": label,
        "provider": None,
        "model": label,
        "sufficient": True,
        "samples": {"requests": 1500, "errors": 12, "priced": 1500, "ttft": 1400, "clusters": 24},
        "reliability": {"error_rate": 0.008, "error_rate_low": 0.0046, "error_rate_high": 0.0139},
        "latency": {
            "avg_ms": average,
            "stddev_ms": 804.1,
            "p50_ms": average - 200,
            "p50_low_ms": average - 230,
            "p50_high_ms": average - 160,
            "p95_ms": average + 1700,
            "p95_low_ms": average + 1500,
            "p95_high_ms": average + 1950,
            "ttft_avg_ms": 310.4,
        },
        "cost": None,
        "throughput": None,
        "quality": None,
    }
    for label, average in (("gpt-4o", 1210.5), ("claude-sonnet-4-5", 1420.5))
]
_EXAMPLE = {
    "metadata": {
        **DAY,
        "alpha": 0.05,
        "correction": "holm",
        "min_sample": 30,
        "cluster_interval": "15min",
        "data_source": ["rollup_15m", "rollup_1h"],
        "fresh_until": "2026-11-06T00:00:00Z",
        "percentile_error": 0.01,
        "query_ms": 21.4,
    },
    "models": _EXAMPLE_MODELS,
    "differences": [
        {
            "measure": "avg_duration_ms",
            "a": "gpt-4o",
            "b": "claude-sonnet-4-5",
            "verdict": "significant",
            "better": "gpt-4o",
            "a_n": 1500,
            "b_n": 1500,
            "a_value": 1210.5,
            "b_value": 1420.5,
            "difference": -210.0,
            "difference_low": -268.1,
            "difference_high": -151.9,
            "difference_pct": -14.7835,
            "effect_size": -0.261,
            "method": "welch_t",
            "statistic": -7.1,
            "p_value": 1.6e-12,
            "p_adjusted": 4.8e-12,
        }
    ],
    "best": {
        "fastest": {"model": "gpt-4o", "tied_with": [], "reason": None, "left_out": []},
        "most_reliable": {
            "model": None,
            "tied_with": ["gpt-4o", "claude-sonnet-4-5"],
            "reason": "not_significant",
            "left_out": [],
        },
    },
    "meta": META_EXAMPLE,
}
COMPARE: dict[str, Any] = {
    "operation_id": "models_compare",
    "summary": "Compare models: figures with samples, and which differences are more than chance",
    "tags": TAGS,
    "parameters": [RANGE[2], fields.PARAMETER],
    "request": {"application/json": _BODY},
    "examples": [
        OpenApiExample(
            "two models",
            {
                "models": ["gpt-4o", {"provider": "anthropic", "model": "claude-sonnet-4-5"}],
                "metrics": ["latency", "cost"],
            },
            request_only=True,
        )
    ],
    "responses": {
        200: OpenApiResponse(
            obj(
                metadata=obj(
                    start_time=TIME,
                    end_time=TIME,
                    alpha={"type": "number"},
                    correction={"type": "string", "enum": ["holm"]},
                    min_sample=COUNT,
                    cluster_interval={"type": "string", "enum": list(INTERVALS)},
                    **SOURCES,
                    query_ms={"type": "number"},
                ),
                models=array(_MODEL),
                differences=array(_DIFFERENCE),
                best=_BESTS,
                meta=META,
            ),
            examples=[OpenApiExample("answer", _EXAMPLE, response_only=True)],
        ),
    },
}
