"""Every key of the attribute map: alone on a span, it gives its column."""

from __future__ import annotations

from typing import Any

import pytest

from apps.ingest.attribute_map import COLUMNS, DIALECTS
from tests.ingest.build import attributes_of, labels_of, row_of, usage_of

_U = "gen_ai.usage."
_DETAILS = "langfuse.observation.usage_details"
_LABEL, _USAGE = "label:", "usage:"

TOKEN_KEYS: dict[str, list[str]] = {
    "prompt_tokens": [
        _U + "input_tokens",
        _U + "prompt_tokens",
        "llm.usage.prompt_tokens",
        "llm.token_count.prompt",
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
    ],
    "completion_tokens": [
        _U + "output_tokens",
        _U + "completion_tokens",
        "llm.usage.completion_tokens",
        "llm.token_count.completion",
        "ai.usage.outputTokens",
        "ai.usage.completionTokens",
    ],
    "total_tokens": [
        _U + "total_tokens",
        "llm.usage.total_tokens",
        "llm.token_count.total",
        "ai.usage.totalTokens",
        "ai.usage.tokens",
    ],
    "cached_tokens": [
        _U + "cache_read.input_tokens",
        _U + "cache_read_input_tokens",
        _U + "cache_read_tokens",
        _U + "details.cache_read_tokens",
        _U + "details.cache_read_input_tokens",
        _U + "input_cached_tokens",
        "llm.token_count.prompt_details.cache_read",
        "ai.usage.cachedInputTokens",
        "ai.usage.inputTokenDetails.cacheReadTokens",
    ],
    "cache_write_tokens": [
        _U + "cache_creation.input_tokens",
        _U + "cache_creation_input_tokens",
        _U + "cache_write_tokens",
        _U + "details.cache_write_tokens",
        _U + "details.cache_creation_input_tokens",
        "llm.token_count.prompt_details.cache_write",
        "ai.usage.inputTokenDetails.cacheWriteTokens",
    ],
    "reasoning_tokens": [
        _U + "reasoning.output_tokens",
        _U + "reasoning_tokens",
        "llm.usage.reasoning_tokens",
        _U + "details.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
        "ai.usage.reasoningTokens",
        "ai.usage.outputTokenDetails.reasoningTokens",
    ],
    "usage:cache_write_5m": [
        _U + "cache_creation.input_tokens.ephemeral_5m",
        _U + "cache_creation_input_tokens.ephemeral_5m",
    ],
    "usage:cache_write_1h": [
        _U + "cache_creation.input_tokens.ephemeral_1h",
        _U + "cache_creation_input_tokens.ephemeral_1h",
    ],
    "usage:audio_input": [
        _U + "audio.input_tokens",
        _U + "audio_input_tokens",
        _U + "input_audio_tokens",
        "llm.token_count.prompt_details.audio",
    ],
    "usage:audio_output": [
        _U + "audio.output_tokens",
        _U + "audio_output_tokens",
        _U + "output_audio_tokens",
        "llm.token_count.completion_details.audio",
    ],
    "usage:image_input": [_U + "image.input_tokens", "llm.token_count.prompt_details.image"],
    "usage:image_output": [_U + "image.output_tokens"],
    "usage:video_input": [_U + "video.input_tokens"],
    "usage:text_input": [_U + "text.input_tokens"],
    "usage:text_output": [_U + "text.output_tokens"],
}
TEXT_KEYS: dict[str, list[str]] = {
    "provider": [
        "gen_ai.provider.name",
        "gen_ai.system",
        "llm.provider",
        "llm.system",
        "ai.model.provider",
        "aisdk.model.provider",
    ],
    "model": [
        "gen_ai.response.model",
        "gen_ai.request.model",
        "llm.response.model",
        "model",
        "llm.response.model_name",
        "llm.model_name",
        "llm.request.model_name",
        "embedding.model_name",
        "reranker.model_name",
        "langfuse.observation.model.name",
        "ai.response.model",
        "ai.model.id",
        "aisdk.model.id",
    ],
    "request_model": ["gen_ai.request.model", "llm.request.model_name", "ai.model.id"],
    "user_id": [
        "enduser.id",
        "gen_ai.user",
        "llm.user",
        "user.id",
        "traceloop.association.properties.user_id",
        "langfuse.user.id",
        "langfuse.observation.metadata.langfuse_user_id",
        "langfuse.trace.metadata.langfuse_user_id",
        "ai.telemetry.metadata.userId",
    ],
    "session_id": [
        "gen_ai.conversation.id",
        "session.id",
        "traceloop.association.properties.session_id",
        "traceloop.association.properties.chat_id",
        "traceloop.association.properties.thread_id",
        "traceloop.association.properties.conversation_id",
        "langfuse.session.id",
        "langfuse.observation.metadata.langfuse_session_id",
        "langfuse.trace.metadata.langfuse_session_id",
        "ai.telemetry.metadata.sessionId",
    ],
    "environment": ["deployment.environment.name", "deployment.environment", "langfuse.environment"],
    "error_type": ["error.type", "exception.type"],
    "input": [
        "gen_ai.input.messages",
        "gen_ai.tool.call.arguments",
        "gen_ai.retrieval.query.text",
        "gen_ai.prompt",
        "input.value",
        "traceloop.entity.input",
        "langfuse.observation.input",
        "ai.prompt.messages",
        "ai.prompt",
        "ai.toolCall.args",
        "ai.value",
        "ai.values",
    ],
    "output": [
        "gen_ai.output.messages",
        "gen_ai.tool.call.result",
        "gen_ai.completion",
        "output.value",
        "traceloop.entity.output",
        "langfuse.observation.output",
        "ai.response.text",
        "ai.response.object",
        "ai.response.toolCalls",
        "ai.toolCall.result",
        "ai.result.text",
        "ai.result.object",
        "ai.result.toolCalls",
    ],
    "label:service_tier": [
        "openai.response.service_tier",
        "openai.request.service_tier",
        "gen_ai.openai.response.service_tier",
        "gen_ai.openai.request.service_tier",
        "gen_ai.request.service_tier",
        "anthropic.response.service_tier",
        "anthropic.request.service_tier",
    ],
    "label:agent_id": ["gen_ai.agent.id"],
    "label:agent_name": ["gen_ai.agent.name", "agent.name"],
    "label:agent_version": ["gen_ai.agent.version"],
    "label:tool_name": ["gen_ai.tool.name", "tool.name", "ai.toolCall.name"],
    "label:tool_call_id": ["gen_ai.tool.call.id", "ai.toolCall.id"],
    "label:tool_type": ["gen_ai.tool.type"],
    "label:workflow_name": ["traceloop.workflow.name"],
    "label:entity_name": ["traceloop.entity.name"],
    "label:prompt_name": ["gen_ai.prompt.name", "traceloop.prompt.key", "langfuse.observation.prompt.name"],
    "label:prompt_version": [
        "llm.prompt_template.version",
        "traceloop.prompt.version",
        "langfuse.observation.prompt.version",
    ],
    "label:release": ["service.version", "langfuse.release", "langfuse.version"],
    "label:trace_name": ["langfuse.trace.name"],
    "label:function_id": ["ai.telemetry.functionId"],
}
# Attributes, the column to look at, what it should hold.
OTHERS: list[tuple[dict[str, Any], str, Any]] = [
    ({"gen_ai.response.finish_reasons": ["stop", "length"]}, "label:finish_reasons", ["stop", "length"]),
    ({"gen_ai.finishReason": "stop"}, "label:finish_reasons", ["stop"]),
    ({"gen_ai.response.finish_reason": "stop"}, "label:finish_reasons", ["stop"]),
    ({"gen_ai.response.stop_reason": "end_turn"}, "label:finish_reasons", ["end_turn"]),
    ({"llm.finish_reason": "stop"}, "label:finish_reasons", ["stop"]),
    ({"llm.response.finish_reason": "stop"}, "label:finish_reasons", ["stop"]),
    ({"gen_ai.completion.0.finish_reason": "stop"}, "label:finish_reasons", ["stop"]),
    ({"ai.response.finishReason": "stop"}, "label:finish_reasons", ["stop"]),
    ({"gen_ai.request.batch": True}, "label:service_tier", "batch"),
    ({"llm.invocation_parameters": '{"service_tier":"flex"}'}, "label:service_tier", "flex"),
    ({"langfuse.observation.model.parameters": '{"service_tier":"flex"}'}, "label:service_tier", "flex"),
    ({"ai.response.providerMetadata": '{"openai":{"serviceTier":"flex"}}'}, "label:service_tier", "flex"),
    ({"gen_ai.request.stream": True}, "label:stream", True),
    ({"gen_ai.is_streaming": "true"}, "label:stream", True),
    ({"llm.is_streaming": False}, "label:stream", False),
    ({"tag.tags": ["a", "team:search"]}, "tags", ["a", "team:search"]),
    ({"tag.tags": ["a", "team:search"]}, "team", "search"),
    ({"langfuse.trace.tags": '["a","b"]'}, "tags", ["a", "b"]),
    ({"langfuse.tags": "a, b,a"}, "tags", ["a", "b"]),
    ({"langfuse.observation.metadata.langfuse_tags": ["x"]}, "tags", ["x"]),
    ({"langfuse.trace.metadata.langfuse_tags": "x"}, "tags", ["x"]),
    ({"ai.telemetry.metadata.tags": ["x"]}, "tags", ["x"]),
    ({"gen_ai.response.time_to_first_chunk": 0.42}, "ttft_us", 420_000),
    ({"gen_ai.client.operation.time_to_first_chunk": 0.5}, "ttft_us", 500_000),
    ({"gen_ai.server.time_to_first_token": 1}, "ttft_us", 1_000_000),
    ({"ai.response.msToFirstChunk": 250.5}, "ttft_us", 250_500),
    ({"ai.stream.msToFirstChunk": "250"}, "ttft_us", 250_000),
    ({"llm.chat_completions.streaming_time_to_generate": 3.0}, "ttft_us", None),
    ({"langfuse.observation.completion_start_time": "2026-11-05T12:30:15.750000Z"}, "ttft_us", 500_000),
    ({"langfuse.observation.completion_start_time": '"2026-11-05T12:30:15.750000+00:00"'}, "ttft_us", 500_000),
    ({"gen_ai.usage.cost": 0.5}, "client_cost", 500_000_000_000),
    ({"gen_ai.usage.total_cost": 0.5}, "client_cost", 500_000_000_000),
    ({"llm.cost.total": "0.1"}, "client_cost", 100_000_000_000),
    ({"gen_ai.cost.total_cost": 1e-12}, "client_cost", 1),
    ({"gen_ai.usage.input_cost": 0.25}, "prompt_cost", 250_000_000_000),
    ({"llm.cost.prompt": 0.25}, "prompt_cost", 250_000_000_000),
    ({"gen_ai.cost.input_cost": 0.25}, "prompt_cost", 250_000_000_000),
    ({"gen_ai.usage.output_cost": 0.25}, "completion_cost", 250_000_000_000),
    ({"llm.cost.completion": 0.25}, "completion_cost", 250_000_000_000),
    ({"gen_ai.cost.output_cost": 0.25}, "completion_cost", 250_000_000_000),
    ({"langfuse.observation.cost_details": '{"input":0.1,"output":0.2,"total":0.3}'}, "client_cost", 300_000_000_000),
    ({"langfuse.observation.cost_details": '{"input":0.1,"output":0.2,"search":0.3}'}, "client_cost", 600_000_000_000),
    ({_DETAILS: '{"input":86,"input_cached_tokens":17817,"output":10}'}, "prompt_tokens", 17_903),
    ({"langfuse.observation.usage": '{"input":5,"output":10}'}, "total_tokens", 15),
    ({"metadata.usage_object": "{'prompt_tokens': 7, 'completion_tokens': 2}"}, "prompt_tokens", 7),
    ({"langfuse.internal.is_app_root": True}, "parent_span_id", None),
    ({"langfuse.observation.level": "ERROR"}, "status", "error"),
    ({"langfuse.observation.level": "FATAL"}, "status", "error"),
    ({"langfuse.observation.level": "CRITICAL"}, "label:level", "ERROR"),
    ({"langfuse.observation.level": "WARN"}, "label:level", "WARNING"),
    ({"langfuse.observation.level": "info"}, "label:level", "DEFAULT"),
    ({"langfuse.observation.level": "TRACE"}, "label:level", "DEBUG"),
    ({"langfuse.observation.level": "ERROR", "langfuse.observation.status_message": "m"}, "error_message", "m"),
    ({"error.type": "t", "exception.message": "m"}, "error_message", "m"),
    ({"error.type": "t"}, "status", "error"),
]
OPENINFERENCE_KINDS = (
    *("llm", "embedding", "chain", "retriever", "reranker"),
    *("tool", "agent", "guardrail", "evaluator", "prompt"),
)
KINDS: list[tuple[dict[str, Any], str]] = [
    *(({"gen_ai.operation.name": name}, "llm") for name in ("chat", "text_completion", "generate_content")),
    ({"gen_ai.operation.name": "embeddings"}, "embedding"),
    ({"gen_ai.operation.name": "retrieval"}, "retriever"),
    *(({"gen_ai.operation.name": n}, "agent") for n in ("create_agent", "invoke_agent", "invoke_workflow", "plan")),
    ({"gen_ai.operation.name": "execute_tool"}, "tool"),
    *(({"gen_ai.operation.name": name}, "llm") for name in ("completion", "generate")),
    *(({"llm.request.type": name}, "llm") for name in ("chat", "completion")),
    ({"llm.request.type": "rerank"}, "reranker"),
    ({"llm.request.type": "embedding"}, "embedding"),
    *(
        ({"openinference.span.kind": name.upper()}, name)
        for name in [
            "llm",
            "embedding",
            "chain",
            "retriever",
            "reranker",
            "tool",
            "agent",
            "guardrail",
            "evaluator",
            "prompt",
        ]
    ),
    *(({"traceloop.span.kind": name}, "chain") for name in ("workflow", "task")),
    *(({"traceloop.span.kind": name}, name) for name in ("agent", "tool")),
    *(
        ({"langfuse.observation.type": name}, name)
        for name in ["span", "event", "embedding", "agent", "tool", "chain", "retriever", "guardrail", "evaluator"]
    ),
    ({"langfuse.observation.type": "generation"}, "llm"),
    ({"langfuse.observation.type": "tool", "gen_ai.operation.name": "chat"}, "tool"),
    ({"ai.operationId": "ai.generateText.doGenerate"}, "llm"),
    ({"ai.operationId": "ai.streamObject.doStream"}, "llm"),
    ({"operation.name": "ai.streamText.doStream my-function"}, "llm"),
    ({"ai.operationId": "ai.embedMany.doEmbed"}, "embedding"),
    ({"ai.operationId": "ai.toolCall"}, "tool"),
    *(
        ({"ai.operationId": f"ai.{name}"}, "chain")
        for name in ("generateText", "streamText", "embed", "generateObject")
    ),
    ({"operation.name": "not ours"}, "span"),
    ({"gen_ai.operation.name": "something new"}, "span"),
    ({"gen_ai.operation.name": "something new", "openinference.span.kind": "TOOL"}, "tool"),
    ({"gen_ai.request.model": "gpt-4o"}, "llm"),
    ({}, "span"),
]


def value_of(attributes: dict[str, Any], column: str, **fields: Any) -> Any:
    row = row_of(attributes, **fields)
    if column.startswith(_LABEL):
        return labels_of(row).get(column.removeprefix(_LABEL))
    if column.startswith(_USAGE):
        return usage_of(row).get(column.removeprefix(_USAGE))
    return getattr(row, column)


def _pairs(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(key, column) for column, keys in table.items() for key in keys]


@pytest.mark.parametrize(("key", "column"), _pairs(TOKEN_KEYS))
def test_token_keys(key: str, column: str) -> None:
    assert value_of({key: 17}, column) == 17
    assert key not in attributes_of(row_of({key: 17}))


@pytest.mark.parametrize(("key", "column"), _pairs(TEXT_KEYS))
def test_text_keys(key: str, column: str) -> None:
    assert value_of({key: "some-text"}, column) == "some-text"
    assert key not in attributes_of(row_of({key: "some-text"}))


@pytest.mark.parametrize(("attributes", "column", "expected"), OTHERS)
def test_other_keys(attributes: dict[str, Any], column: str, expected: Any) -> None:
    assert value_of(attributes, column) == expected


@pytest.mark.parametrize(("attributes", "kind"), KINDS)
def test_kinds(attributes: dict[str, Any], kind: str) -> None:
    assert row_of(attributes).kind == kind


def test_the_table_above_names_every_key_of_the_map() -> None:
    tested = {key for _, keys in [*TOKEN_KEYS.items(), *TEXT_KEYS.items()] for key in keys}
    tested |= {key for attributes, _, _ in OTHERS for key in attributes}
    tested |= {key for attributes, _ in KINDS for key in attributes}
    tested |= {"gen_ai.system_instructions", "langfuse.trace.input", "langfuse.trace.output"}  # below
    dialects = [dialect for dialect in DIALECTS if dialect != "hub"]
    keys = {
        key if isinstance(key, str) else key[0]
        for column in COLUMNS.values()
        for dialect in dialects
        for key in getattr(column, dialect)
    }
    assert keys <= tested, keys - tested


@pytest.mark.parametrize("column", sorted({*TOKEN_KEYS, *TEXT_KEYS} - {"environment"}))
def test_precedence_is_left_to_right(column: str) -> None:
    """Each key beats the keys to its right, whatever the order on the span; Langfuse's model beats all."""
    keys = {**TOKEN_KEYS, **TEXT_KEYS}[column]
    if column == "model":
        keys = ["langfuse.observation.model.name", *(k for k in keys if not k.startswith("langfuse"))]
    token = column in TOKEN_KEYS
    for position in range(len(keys) - 1):
        rest = keys[position:]
        values = {key: 100 + i if token else f"value{i}" for i, key in enumerate(rest)}
        for attributes in (values, dict(reversed(values.items()))):
            assert value_of(attributes, column) == values[rest[0]]


def test_a_key_that_lost_stays_an_attribute_unless_it_says_the_same() -> None:
    row = row_of({"gen_ai.usage.input_tokens": 5, "llm.token_count.prompt": 5, "gen_ai.usage.prompt_tokens": 6})
    assert row.prompt_tokens == 5
    assert attributes_of(row) == {"gen_ai.usage.prompt_tokens": 6}


def test_an_empty_value_is_not_present() -> None:
    assert row_of({"gen_ai.response.model": "", "gen_ai.request.model": "gpt-4o"}).model == "gpt-4o"


def test_the_scope_puts_its_dialect_first() -> None:
    both = {"gen_ai.request.model": "a", "llm.model_name": "b", "ai.model.id": "c"}
    assert row_of(both).model == "a"
    assert row_of(both, scope="openinference.instrumentation.openai").model == "b"
    assert row_of(both, scope="ai").model == "c"


def test_environment_langfuse_wins_and_span_beats_resource() -> None:
    resource = {"deployment.environment.name": "res", "deployment.environment": "old"}
    assert row_of(resource=resource).environment == "res"
    assert row_of({"deployment.environment": "span"}, resource=resource).environment == "span"
    assert row_of({"langfuse.environment": "lf", "deployment.environment.name": "x"}).environment == "lf"
    assert row_of(resource={"langfuse.environment": "lf", **resource}).environment == "lf"
    assert row_of().environment is None


def test_vercel_provider_is_cut_at_the_dot() -> None:
    assert row_of({"ai.model.provider": "anthropic.messages"}).provider == "anthropic"


def test_provider_aliases_keep_the_raw_name() -> None:
    rows = [row_of({"gen_ai.system": name}) for name in ("az.ai.openai", "azure", "azure.ai.openai")]
    assert len({row.provider for row in rows}) == 1
    assert labels_of(rows[1])["provider_raw"] == "azure"


def test_a_model_without_provider_gives_it_away() -> None:
    assert row_of({"langfuse.observation.model.name": "claude-sonnet-4-5"}).provider == "anthropic"
