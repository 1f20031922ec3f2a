"""Calls whose cost is known to the last picodollar, sent as OTLP/JSON: stored, and told by /costs and /metrics/query.

The token counts are those of bills that other tools got wrong; the costs beside them are worked out by hand.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest

from apps.metrics.refresh import refresh
from tests.ingest.build import json_request, json_span
from tests.ingest.world import stored
from tests.support.cells import clear_cells
from tests.support.world import World, make_world

_U = "gen_ai.usage."
_DETAILS = "langfuse.observation.usage_details"
_OBJECT = "metadata.usage_object"

# name, provider, model, usage, cost in millionths of a dollar
Vector = tuple[str, str | None, str, dict[str, Any], str]
VECTORS: list[Vector] = [
    (
        # 5 x 3 + 128,955 x 0.3 + 1,253 x 3.75 + 200 x 15
        "prompt that includes cached and written tokens",
        "anthropic",
        "claude-sonnet-4-5",
        {
            _U + "input_tokens": 130213,
            _U + "cache_read.input_tokens": 128955,
            _U + "cache_creation.input_tokens": 1253,
            _U + "output_tokens": 200,
        },
        "46400.25",
    ),
    (
        # the same bill from the provider's own object, whose input excludes both
        "prompt that excludes them",
        "anthropic",
        "claude-sonnet-4-5",
        {
            _OBJECT: {
                "input_tokens": 5,
                "cache_read_input_tokens": 128955,
                "cache_creation_input_tokens": 1253,
                "cache_creation": {},
                "output_tokens": 200,
            }
        },
        "46400.25",
    ),
    (
        # 86 x 2.5 + 17,817 x 1.25 + 10 x 10
        "gateway",
        "openrouter",
        "openai/gpt-4o",
        {_U + "input_tokens": 17903, _U + "cache_read.input_tokens": 17817, _U + "output_tokens": 10},
        "22586.25",
    ),
    (
        "kinds apart, as a tracer sends them",
        None,
        "gpt-4o",
        {_DETAILS: '{"input":86,"input_cached_tokens":17817,"output":10}'},
        "22586.25",
    ),
    (
        # 1,647 x 1.25 + 115,584 x 0.125 + 225 x 10
        "coding agent's call",
        "openai",
        "gpt-5-codex",
        {
            _U + "input_tokens": 117231,
            _U + "cache_read.input_tokens": 115584,
            _U + "output_tokens": 225,
            _U + "total_tokens": 117456,
        },
        "18756.75",
    ),
    (
        # 8,246 x 2.5 + 65,304 x 1.25 + 20,480 x 10
        "cached at the cached price",
        "openai",
        "gpt-4o-2024-08-06",
        {
            _OBJECT: {
                "prompt_tokens": 73550,
                "completion_tokens": 20480,
                "prompt_tokens_details": {"cached_tokens": 65304},
            }
        },
        "307045",
    ),
    (
        # 1,000 x 3 + 9,000 x 0.75: of 8,000 image tokens 7,000 were read from the cache, and no token is paid twice
        "image tokens in the cache",
        "x_ai",
        "grok-4",
        {_U + "input_tokens": 10_000, _U + "cache_read.input_tokens": 9_000, _U + "image.input_tokens": 8_000},
        "9750",
    ),
    (
        # 3 x 3 + 31,490 x 3.75 + 152,967 x 3.75: the writes beside the breakdown are paid too
        "writes of which a part is broken down",
        "anthropic",
        "claude-sonnet-4-5",
        {
            _OBJECT: {
                "input_tokens": 3,
                "cache_creation_input_tokens": 184457,
                "cache_creation": {"ephemeral_5m_input_tokens": 31490},
            }
        },
        "691722.75",
    ),
    (
        # 50 x 3 + 20 x 3.75 + 30 x 6
        "writes for five minutes and for an hour",
        "anthropic",
        "claude-sonnet-4-5",
        {
            _U + "input_tokens": 100,
            _U + "cache_creation.input_tokens.ephemeral_5m": 20,
            _U + "cache_creation.input_tokens.ephemeral_1h": 30,
        },
        "405",
    ),
    (
        # 1,000 x 1.1 + 400 x 4.4: reasoning is a part of the output
        "reasoning",
        "openai",
        "o3-mini",
        {_U + "input_tokens": 1_000, _U + "output_tokens": 400, _U + "reasoning.output_tokens": 300},
        "2860",
    ),
    (
        "cost that the sender knows better",
        "openai",
        "gpt-4o",
        {_U + "input_tokens": 1_000, _U + "output_tokens": 100, _U + "cost": 0.25},
        "250000",
    ),
]
ROLLED_UP = {_U + "input_tokens": 500_000, _U + "output_tokens": 90_000}


@pytest.fixture
def told(transactional_db: None) -> Iterator[World]:
    """Acme after one request with all of it, and an agent's span above that repeats the sums."""
    clear_cells()
    world = make_world()
    begin = time.time_ns() - 3_600 * 10**9
    spans = [_span(place, vector, begin) for place, vector in enumerate(VECTORS, start=1)]
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.response.model": "gpt-4o", **ROLLED_UP}
    spans.append(json_span(attributes, spanId="f" * 16, name="agent", **_times(begin)))
    answer = world.client.post(
        "/v1/traces",
        orjson.dumps(json_request(spans)),
        content_type="application/json",
        headers={"Authorization": f"Bearer {world.key}"},
    )
    assert answer.json() == {}, answer.content
    yield world
    clear_cells()


def _times(begin: int) -> dict[str, str]:
    return {"startTimeUnixNano": str(begin), "endTimeUnixNano": str(begin + 10**9)}


def _span(place: int, vector: Vector, begin: int) -> dict[str, Any]:
    name, provider, model, usage, _ = vector
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.response.model": model, **usage}
    if provider is not None:
        attributes["gen_ai.provider.name"] = provider
    return json_span(attributes, spanId=f"{place:016x}", parentSpanId="f" * 16, name=name, **_times(begin))


def dollars(micros: str) -> Decimal:
    return Decimal(micros) / 10**6


def exact(answer: Any) -> Any:
    """JSON with its numbers as they are written."""
    assert answer.status_code == 200, answer.content
    return json.loads(answer.content, parse_float=Decimal, parse_int=Decimal)


def test_every_worked_cost_is_stored_and_told_exactly(told: World) -> None:
    by_name = {row["name"]: row for row in stored()}
    for name, _, _, _, micros in VECTORS:
        row = by_name[name]
        assert (name, Decimal(row["total_cost"])) == (name, dollars(micros) * 10**12)
    assert (by_name["agent"]["prompt_tokens"], by_name["agent"]["total_cost"]) == (500_000, None)

    from_raw = answers(told)
    refresh(datetime.now(UTC) + timedelta(minutes=2))
    assert answers(told) == from_raw
    total, by_span, by_model = from_raw
    assert by_span == {name: dollars(micros) for name, _, _, _, micros in VECTORS}
    assert total == sum(by_span.values())
    assert by_model["gpt-4o"] == dollars("22586.25") + dollars("250000")
    assert sum(by_model.values()) == total


def answers(world: World) -> tuple[Decimal, dict[str, Decimal], dict[str, Decimal]]:
    """The total and the costs by span and by model, as the API tells them now."""
    now = datetime.now(UTC)
    span = {"start_time": (now - timedelta(hours=2)).isoformat(), "end_time": now.isoformat()}
    body = {**span, "metrics": [{"metric": "total_cost", "alias": "cost"}], "group_by": ["name"]}
    rows = exact(world.send("POST", "/api/v1/metrics/query", body))["data"]
    by_span = {row["name"]: row["cost"] for row in rows}
    fresh = {"Cache-Control": "no-cache"}
    query = "&".join(f"{name}={value.replace('+', '%2B')}" for name, value in span.items())
    totals = exact(world.send("GET", f"/api/v1/costs?{query}", **fresh))["totals"]
    by_model = exact(world.send("GET", f"/api/v1/costs/breakdown?by=model&{query}", **fresh))["data"]
    return totals["total_cost_usd"], by_span, {row["value"]: row["total_cost_usd"] for row in by_model}
