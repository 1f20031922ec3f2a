"""The ten rules that decide whether the figures are right."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from apps.ingest.usage import from_usage_object
from apps.traces.columns import Flag, SpanRow
from tests.ingest.build import NOW_NS, drop_of, labels_of, row_of, usage_of

_U = "gen_ai.usage."


def tokens(row: SpanRow) -> tuple[int | None, ...]:
    return (row.prompt_tokens, row.cached_tokens, row.cache_write_tokens, row.completion_tokens, row.total_tokens)


def uncached(row: SpanRow) -> int:
    return (row.prompt_tokens or 0) - (row.cached_tokens or 0) - (row.cache_write_tokens or 0)


# Rule 1: inclusive storage.
def test_an_inclusive_sender_is_left_alone() -> None:
    row = row_of({_U + "input_tokens": 100, _U + "cache_read.input_tokens": 60, _U + "output_tokens": 10})
    assert tokens(row) == (100, 60, None, 10, 110)
    assert not row.flags & Flag.EXCLUSIVE_USAGE


def test_read_and_write_over_the_prompt_mean_an_exclusive_sender() -> None:
    row = row_of({_U + "input_tokens": 5, _U + "cache_read_tokens": 128955, _U + "cache_write_tokens": 1253})
    assert row.prompt_tokens == 130213
    assert uncached(row) == 5
    assert row.flags & Flag.EXCLUSIVE_USAGE


def test_a_total_that_adds_up_only_exclusively_means_an_exclusive_sender() -> None:
    row = row_of(
        {_U + "input_tokens": 100, _U + "cache_read_tokens": 30, _U + "output_tokens": 20, _U + "total_tokens": 150}
    )
    assert tokens(row) == (130, 30, None, 20, 150)
    assert row.flags & Flag.EXCLUSIVE_USAGE


@pytest.mark.parametrize(("provider", "prompt"), [("anthropic", 160), ("aws.bedrock", 160), ("openai", 100)])
def test_openlit_is_exclusive_for_anthropic_and_bedrock(provider: str, prompt: int) -> None:
    attributes = {"gen_ai.system": provider, _U + "input_tokens": 100, _U + "cache_read_input_tokens": 60}
    row = row_of(attributes, resource={"telemetry.sdk.name": "openlit"})
    assert row.prompt_tokens == prompt
    assert bool(row.flags & Flag.EXCLUSIVE_USAGE) == (prompt == 160)


def test_reasoning_over_the_completion_is_added() -> None:
    row = row_of({_U + "output_tokens": 10, _U + "reasoning_tokens": 50})
    assert (row.completion_tokens, row.reasoning_tokens) == (60, 50)
    assert row.flags & Flag.EXCLUSIVE_USAGE


def test_gemini_thoughts_outside_the_candidates_are_told_by_the_total() -> None:
    row = row_of(
        {_U + "input_tokens": 100, _U + "output_tokens": 40, _U + "reasoning_tokens": 30, _U + "total_tokens": 170}
    )
    assert (row.completion_tokens, row.total_tokens) == (70, 170)


# Rule 2: the vectors.
VECTORS: list[tuple[str, dict[str, Any], tuple[int | None, ...], int]] = [
    (
        "anthropic, raw",
        {
            "metadata.usage_object": {
                "input_tokens": 5,
                "cache_read_input_tokens": 128955,
                "cache_creation_input_tokens": 1253,
                "cache_creation": {},
                "output_tokens": 9,
            }
        },
        (130213, 128955, 1253, 9, 130222),
        5,
    ),
    (
        "openrouter",
        {_U + "input_tokens": 17903, _U + "cache_read.input_tokens": 17817, _U + "output_tokens": 10},
        (17903, 17817, None, 10, 17913),
        86,
    ),
    (
        "codex",
        {
            _U + "input_tokens": 117231,
            _U + "cache_read.input_tokens": 115584,
            _U + "output_tokens": 225,
            _U + "total_tokens": 117456,
        },
        (117231, 115584, None, 225, 117456),
        1647,
    ),
    (
        "openai",
        {
            "metadata.usage_object": {
                "prompt_tokens": 73550,
                "completion_tokens": 20480,
                "prompt_tokens_details": {"cached_tokens": 65304},
            }
        },
        (73550, 65304, None, 20480, 94030),
        8246,
    ),
    (
        "langfuse details",
        {"langfuse.observation.usage_details": '{"input":86,"input_cached_tokens":17817,"output":10}'},
        (17903, 17817, None, 10, 17913),
        86,
    ),
]


@pytest.mark.parametrize(("name", "attributes", "expected", "left"), VECTORS)
def test_vectors(name: str, attributes: dict[str, Any], expected: tuple[int | None, ...], left: int) -> None:
    row = row_of(attributes)
    assert tokens(row) == expected
    assert uncached(row) == left


def test_a_write_total_keeps_the_remainder_beside_its_breakdown() -> None:
    usage = {
        "input_tokens": 3,
        "cache_creation_input_tokens": 184457,
        "cache_creation": {"ephemeral_5m_input_tokens": 31490},
    }
    row = row_of({"metadata.usage_object": usage})
    assert row.cache_write_tokens == 184457
    assert usage_of(row) == {"cache_write_5m": 31490}


def test_cache_writes_of_5m_and_1h_are_kept_apart() -> None:
    row = row_of(
        {
            _U + "input_tokens": 100,
            _U + "cache_creation.input_tokens.ephemeral_5m": 20,
            _U + "cache_creation.input_tokens.ephemeral_1h": 30,
        }
    )
    assert row.cache_write_tokens == 50
    assert usage_of(row) == {"cache_write_5m": 20, "cache_write_1h": 30}


# Rule 3: nothing is counted twice.
LLM = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", _U + "input_tokens": 10}
NOT_BILLABLE: list[tuple[str, dict[str, Any]]] = [
    ("raw_gen_ai_request", LLM),
    ("invoke_agent bot", {**LLM, "gen_ai.operation.name": "invoke_agent"}),
    ("agent", {**LLM, "gen_ai.operation.name": "invoke_agent", "openinference.span.kind": "LLM"}),
    ("agent_step", {**LLM, "gen_ai.operation.name": "agent_step"}),
    ("chain", {"openinference.span.kind": "CHAIN", _U + "input_tokens": 10}),
    *((f"ai.{name}", {**LLM, "ai.operationId": f"ai.{name}"}) for name in ("generateText", "streamText", "embedMany")),
    ("tool", {"gen_ai.operation.name": "execute_tool"}),
]


@pytest.mark.parametrize(("name", "attributes"), NOT_BILLABLE)
def test_wrappers_and_roll_ups_are_stored_and_not_summed(name: str, attributes: dict[str, Any]) -> None:
    row = row_of(attributes, name=name)
    assert not row.billable
    assert row.prompt_tokens == attributes.get(_U + "input_tokens")


@pytest.mark.parametrize(
    "attributes",
    [
        LLM,
        {"gen_ai.operation.name": "embeddings"},
        {"llm.request.type": "rerank"},
        {"ai.operationId": "ai.embed.doEmbed"},
    ],
)
def test_calls_are_billable(attributes: dict[str, Any]) -> None:
    assert row_of(attributes).billable


# Rule 4: the client's cost wins (the computed one beside it: test_service).
def test_a_total_alone_leaves_its_parts_unknown() -> None:
    row = row_of({"gen_ai.usage.cost": 0.3})
    assert (row.total_cost, row.prompt_cost, row.completion_cost, row.cost_source) == (3 * 10**11, None, None, "client")


def test_parts_alone_make_the_total() -> None:
    row = row_of({"gen_ai.usage.input_cost": 0.1, "gen_ai.usage.output_cost": 0.2})
    assert row.total_cost == 3 * 10**11


# Rule 5: test_attribute_map, test_provider_aliases_keep_the_raw_name. Rule 6: environment and times.
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Production", "production"),
        ("langfuse-dev", "dev"),
        ("a_b-9", "a_b-9"),
        ("x" * 40, "x" * 40),
        ("x" * 41, "default"),
        ("two words", "default"),
        ("日本", "default"),
        ("langfuse-", "default"),
    ],
)
def test_environment(given: str, kept: str) -> None:
    row = row_of({"langfuse.environment": given})
    assert row.environment == kept
    assert labels_of(row).get("environment_raw") == (given if given != kept else None)


DAY = 86_400 * 10**9
TIMES: list[tuple[int, int, int, int]] = [  # start, end, kept start, duration in us
    (0, NOW_NS, NOW_NS, 0),
    (NOW_NS, 0, NOW_NS, 0),
    (NOW_NS, NOW_NS - 1, NOW_NS, 0),
    (NOW_NS, NOW_NS + 300 * 365 * DAY, NOW_NS, 0),
    (NOW_NS, NOW_NS + DAY + 10**9, NOW_NS, 0),
]


@pytest.mark.parametrize(("start", "end", "kept", "duration"), TIMES)
def test_a_bad_edge_takes_the_others_place(start: int, end: int, kept: int, duration: int) -> None:
    row = row_of(start_ns=start, end_ns=end)
    assert (row.start_us, row.duration_us) == (kept // 1000, duration)
    assert row.flags & Flag.TIME_REPAIRED


def test_times_keep_microseconds() -> None:
    row = row_of(start_ns=NOW_NS + 1_999, end_ns=NOW_NS + 5_000)
    assert (row.start_us, row.duration_us) == (NOW_NS // 1000 + 1, 4)
    assert not row.flags & Flag.TIME_REPAIRED


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        (0, 0, "missing_timestamp"),
        (1, 2, "older_than_retention"),
        (NOW_NS - 90 * DAY - 1, NOW_NS, "older_than_retention"),
        (NOW_NS + DAY + 1, NOW_NS + DAY + 2, "in_the_future"),
        (4_102_444_800 * 10**9, 4_102_444_800 * 10**9, "in_the_future"),
    ],
)
def test_spans_out_of_time_are_refused(start: int, end: int, reason: str) -> None:
    assert drop_of(start_ns=start, end_ns=end).reason == reason


# Rule 7: test_hostile. Rule 8: an open map of usage kinds.
ALIASES: list[tuple[dict[str, int], dict[str, int]]] = [
    *(
        ({key: 7, "output": 1}, {"prompt_tokens": 7, "completion_tokens": 1})
        for key in ("input", "input_tokens", "input_text", "input_modality_1")
    ),
    *(
        ({"input": 1, key: 7}, {"prompt_tokens": 1, "completion_tokens": 7})
        for key in ("output", "output_tokens", "output_text")
    ),
    *(
        ({"input": 1, key: 7}, {"prompt_tokens": 8, "cached_tokens": 7})
        for key in ("input_cached_tokens", "input_cache_read", "cache_read_input_tokens", "cached_content_token_count")
    ),
    *(
        ({"input": 1, key: 7}, {"prompt_tokens": 8, "cache_write_tokens": 7})
        for key in ("input_cache_creation", "cache_creation_input_tokens", "cache_write_tokens")
    ),
    ({"input": 1, "input_cache_creation_5m": 7}, {"prompt_tokens": 8, "cache_write_tokens": 7, "cache_write_5m": 7}),
    ({"input": 1, "input_cache_creation_1h": 7}, {"prompt_tokens": 8, "cache_write_tokens": 7, "cache_write_1h": 7}),
    *(
        ({"output": 1, key: 7}, {"completion_tokens": 8, "reasoning_tokens": 7})
        for key in ("output_reasoning_tokens", "output_reasoning", "reasoning_tokens")
    ),
    *(({"input": 1, key: 7}, {"prompt_tokens": 8, "audio_input": 7}) for key in ("input_audio", "input_audio_tokens")),
    *(
        ({"output": 1, key: 7}, {"completion_tokens": 8, "audio_output": 7})
        for key in ("output_audio", "output_audio_tokens")
    ),
    ({"input": 1, "input_cached_audio_tokens": 7}, {"prompt_tokens": 8, "audio_cached": 7, "cached_tokens": 7}),
    ({"input": 1, "input_image": 7}, {"prompt_tokens": 8, "image_input": 7}),
    ({"input": 1, "web_search_queries": 7}, {"prompt_tokens": 1, "web_search_queries": 7}),
    ({"input": 1, "grounding_queries": 7}, {"prompt_tokens": 1, "grounding_queries": 7}),
    ({"input": 1, "input_some_new_kind": 7}, {"prompt_tokens": 8, "input_some_new_kind": 7}),
    ({"input": 5, "output": 6, "total": 11}, {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}),
    # The write count is the whole of its breakdown only where the total says so.
    (
        {"input": 1, "input_cache_creation": 9, "input_cache_creation_5m": 4},
        {"prompt_tokens": 14, "cache_write_tokens": 13, "cache_write_5m": 4},
    ),
    (
        {"input": 1, "input_cache_creation": 9, "input_cache_creation_5m": 4, "total": 10},
        {"prompt_tokens": 10, "cache_write_tokens": 9, "cache_write_5m": 4, "total_tokens": 10},
    ),
]


@pytest.mark.parametrize(("usage", "expected"), ALIASES)
def test_disjoint_usage_keys(usage: dict[str, int], expected: dict[str, int]) -> None:
    assert from_usage_object(usage) == expected


RAW_USAGE: list[tuple[dict[str, Any], dict[str, int]]] = [
    (
        {
            "prompt_tokens": 10,
            "completion_tokens": 20,
            "total_tokens": 30,
            "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 2},
        },
        {
            "prompt_tokens": 10,
            "completion_tokens": 20,
            "total_tokens": 30,
            "cached_tokens": 3,
            "audio_input": 1,
            "reasoning_tokens": 4,
            "audio_output": 2,
        },
    ),
    (
        {
            "input_tokens": 10,
            "output_tokens": 20,
            "input_tokens_details": {"cached_tokens": 3},
            "output_tokens_details": {"reasoning_tokens": 4},
        },
        {"prompt_tokens": 10, "completion_tokens": 20, "cached_tokens": 3, "reasoning_tokens": 4},
    ),
    (
        {
            "usageMetadata": {
                "promptTokenCount": 10,
                "candidatesTokenCount": 20,
                "thoughtsTokenCount": 5,
                "cachedContentTokenCount": 3,
            }
        },
        {"prompt_tokens": 10, "completion_tokens": 25, "cached_tokens": 3, "reasoning_tokens": 5},
    ),
    (
        {
            "input_tokens": 10,
            "output_tokens": 20,
            "cache_read_input_tokens": 3,
            "cache_creation_input_tokens": 7,
            "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 2},
            "server_tool_use": {"web_search_requests": 1},
        },
        {
            "prompt_tokens": 20,
            "completion_tokens": 20,
            "cached_tokens": 3,
            "cache_write_tokens": 7,
            "cache_write_5m": 5,
            "cache_write_1h": 2,
            "web_search_queries": 1,
        },
    ),
    (
        {"inputTokens": 10, "outputTokens": 20, "cacheReadInputTokens": 3, "cacheWriteInputTokens": 4},
        {"prompt_tokens": 17, "completion_tokens": 20, "cached_tokens": 3, "cache_write_tokens": 4},
    ),
]


@pytest.mark.parametrize(("usage", "expected"), RAW_USAGE)
def test_raw_usage_objects(usage: dict[str, Any], expected: dict[str, int]) -> None:
    assert from_usage_object(usage) == expected


def test_vercel_metadata_brings_cache_counts() -> None:
    metadata = {
        "anthropic": {
            "usage": {
                "cache_read_input_tokens": 30,
                "cache_creation_input_tokens": 5,
                "cache_creation": {"ephemeral_1h_input_tokens": 5},
            }
        }
    }
    row = row_of({"ai.usage.inputTokens": 100, "ai.response.providerMetadata": orjson.dumps(metadata).decode()})
    assert tokens(row)[:3] == (100, 30, 5)
    assert usage_of(row) == {"cache_write_1h": 5}
    openai = {"openai": {"cachedPromptTokens": 9}}
    assert (
        row_of(
            {"ai.usage.inputTokens": 100, "ai.response.providerMetadata": orjson.dumps(openai).decode()}
        ).cached_tokens
        == 9
    )
    bedrock = {"bedrock": {"usage": {"cacheReadInputTokens": 8}}}
    assert (
        row_of(
            {"ai.usage.inputTokens": 100, "ai.response.providerMetadata": orjson.dumps(bedrock).decode()}
        ).cached_tokens
        == 8
    )


# Rule 9: money is exact.
@pytest.mark.parametrize(
    ("given", "picodollars"),
    [
        (0.1, 10**11),
        ("0.1", 10**11),
        (1e-8, 10_000),
        (2.5e-12, 2),
        (3.5e-12, 4),
        (0, 0),
        (1_000_000, 10**18),
        (0.1 + 0.2, 300_000_000_000),
    ],
)
def test_money_is_quantised_once(given: Any, picodollars: int) -> None:
    assert row_of({"gen_ai.usage.cost": given}).client_cost == picodollars
