"""Which attribute of which convention becomes which column: data, versioned, and nothing but data.

Every column has one cell per dialect, in the order of `DIALECTS`; inside a cell the first present key wins, then the
next dialect is tried. A span whose scope names a dialect (`SCOPE_DIALECTS`) asks that dialect first, and the columns
of `LANGFUSE_WINS` ask Langfuse first whatever the scope. A key may carry the name of a converter of its own
(`convert.CONVERTERS`); otherwise the column's applies. `mapping` compiles this once, at import.
"""

from __future__ import annotations

from typing import NamedTuple

VERSION = 1

DIALECTS = ("hub", "genai", "deprecated", "openinference", "traceloop", "langfuse", "vercel", "litellm")

SCOPE_DIALECTS: tuple[tuple[str, str], ...] = (
    ("openinference", "openinference"),
    ("langfuse", "langfuse"),
    ("@arizeai/openinference", "openinference"),
)
SCOPE_NAMES: dict[str, str] = {"ai": "vercel", "litellm": "litellm"}

LANGFUSE_WINS = frozenset({"kind", "model", "environment"})

Key = str | tuple[str, str]
Cell = tuple[Key, ...]


class Column(NamedTuple):
    """One row of the map: the converter and the cells of each dialect."""

    convert: str
    genai: Cell = ()
    deprecated: Cell = ()
    openinference: Cell = ()
    traceloop: Cell = ()
    langfuse: Cell = ()
    vercel: Cell = ()
    litellm: Cell = ()
    hub: Cell = ()


_LF_METADATA = ("langfuse.observation.metadata.", "langfuse.trace.metadata.")


def _metadata(name: str) -> tuple[str, ...]:
    return tuple(prefix + name for prefix in _LF_METADATA)


_USAGE = "gen_ai.usage."
_AI = "ai.usage."

TOKENS: dict[str, Column] = {
    "prompt_tokens": Column(
        "token",
        (_USAGE + "input_tokens",),
        (_USAGE + "prompt_tokens", "llm.usage.prompt_tokens"),
        ("llm.token_count.prompt",),
        vercel=(_AI + "inputTokens", _AI + "promptTokens"),
    ),
    "completion_tokens": Column(
        "token",
        (_USAGE + "output_tokens",),
        (_USAGE + "completion_tokens", "llm.usage.completion_tokens"),
        ("llm.token_count.completion",),
        vercel=(_AI + "outputTokens", _AI + "completionTokens"),
    ),
    "total_tokens": Column(
        "token",
        (),
        (_USAGE + "total_tokens", "llm.usage.total_tokens"),
        ("llm.token_count.total",),
        vercel=(_AI + "totalTokens", _AI + "tokens"),
    ),
    "cached_tokens": Column(
        "token",
        (_USAGE + "cache_read.input_tokens",),
        (
            _USAGE + "cache_read_input_tokens",
            _USAGE + "cache_read_tokens",
            _USAGE + "details.cache_read_tokens",
            _USAGE + "details.cache_read_input_tokens",
            _USAGE + "input_cached_tokens",
        ),
        ("llm.token_count.prompt_details.cache_read",),
        vercel=(_AI + "cachedInputTokens", _AI + "inputTokenDetails.cacheReadTokens"),
    ),
    "cache_write_tokens": Column(
        "token",
        (_USAGE + "cache_creation.input_tokens",),
        (
            _USAGE + "cache_creation_input_tokens",
            _USAGE + "cache_write_tokens",
            _USAGE + "details.cache_write_tokens",
            _USAGE + "details.cache_creation_input_tokens",
        ),
        ("llm.token_count.prompt_details.cache_write",),
        vercel=(_AI + "inputTokenDetails.cacheWriteTokens",),
    ),
    "cache_write_5m": Column(
        "token",
        deprecated=(
            _USAGE + "cache_creation.input_tokens.ephemeral_5m",
            _USAGE + "cache_creation_input_tokens.ephemeral_5m",
        ),
    ),
    "cache_write_1h": Column(
        "token",
        deprecated=(
            _USAGE + "cache_creation.input_tokens.ephemeral_1h",
            _USAGE + "cache_creation_input_tokens.ephemeral_1h",
        ),
    ),
    "reasoning_tokens": Column(
        "token",
        (_USAGE + "reasoning.output_tokens",),
        (_USAGE + "reasoning_tokens", "llm.usage.reasoning_tokens", _USAGE + "details.reasoning_tokens"),
        ("llm.token_count.completion_details.reasoning",),
        vercel=(_AI + "reasoningTokens", _AI + "outputTokenDetails.reasoningTokens"),
    ),
    "audio_input": Column(
        "token",
        (_USAGE + "audio.input_tokens",),
        (_USAGE + "audio_input_tokens", _USAGE + "input_audio_tokens"),
        ("llm.token_count.prompt_details.audio",),
    ),
    "audio_output": Column(
        "token",
        (_USAGE + "audio.output_tokens",),
        (_USAGE + "audio_output_tokens", _USAGE + "output_audio_tokens"),
        ("llm.token_count.completion_details.audio",),
    ),
    "image_input": Column(
        "token", (_USAGE + "image.input_tokens",), openinference=("llm.token_count.prompt_details.image",)
    ),
    "video_input": Column("token", (_USAGE + "video.input_tokens",)),
    "text_input": Column("token", (_USAGE + "text.input_tokens",)),
    "text_output": Column("token", (_USAGE + "text.output_tokens",)),
    "image_output": Column("token", (_USAGE + "image.output_tokens",)),
    "usage_details": Column("json", langfuse=("langfuse.observation.usage_details", "langfuse.observation.usage")),
    "usage_object": Column("json", litellm=("metadata.usage_object",)),
}

MONEY: dict[str, Column] = {
    "cost_total": Column(
        "money",
        deprecated=(_USAGE + "cost", _USAGE + "total_cost"),
        openinference=("llm.cost.total",),
        litellm=("gen_ai.cost.total_cost",),
    ),
    "cost_input": Column(
        "money",
        deprecated=(_USAGE + "input_cost",),
        openinference=("llm.cost.prompt",),
        litellm=("gen_ai.cost.input_cost",),
    ),
    "cost_output": Column(
        "money",
        deprecated=(_USAGE + "output_cost",),
        openinference=("llm.cost.completion",),
        litellm=("gen_ai.cost.output_cost",),
    ),
    "cost_details": Column("json", langfuse=("langfuse.observation.cost_details",)),
}

DIMENSIONS: dict[str, Column] = {
    "kind": Column(
        "kind",
        ("gen_ai.operation.name",),
        ("llm.request.type",),
        ("openinference.span.kind",),
        ("traceloop.span.kind",),
        ("langfuse.observation.type",),
        (("ai.operationId", "vercel_kind"), ("operation.name", "vercel_kind")),
    ),
    "provider": Column(
        "text",
        ("gen_ai.provider.name",),
        ("gen_ai.system",),
        ("llm.provider", "llm.system"),
        vercel=(("ai.model.provider", "before_dot"), ("aisdk.model.provider", "before_dot")),
    ),
    "model": Column(
        "text",
        ("gen_ai.response.model", "gen_ai.request.model"),
        ("llm.response.model", "model"),
        (
            "llm.response.model_name",
            "llm.model_name",
            "llm.request.model_name",
            "embedding.model_name",
            "reranker.model_name",
        ),
        langfuse=("langfuse.observation.model.name",),
        vercel=("ai.response.model", "ai.model.id", "aisdk.model.id"),
    ),
    "request_model": Column(
        "text",
        ("gen_ai.request.model",),
        openinference=("llm.request.model_name",),
        vercel=("ai.model.id",),
    ),
    "user_id": Column(
        "text",
        ("enduser.id",),
        ("gen_ai.user", "llm.user"),
        ("user.id",),
        ("traceloop.association.properties.user_id",),
        ("langfuse.user.id", *_metadata("langfuse_user_id")),
        ("ai.telemetry.metadata.userId",),
    ),
    "session_id": Column(
        "text",
        ("gen_ai.conversation.id",),
        (),
        ("session.id",),
        tuple(
            "traceloop.association.properties." + name
            for name in ("session_id", "chat_id", "thread_id", "conversation_id")
        ),
        ("langfuse.session.id", *_metadata("langfuse_session_id")),
        ("ai.telemetry.metadata.sessionId",),
    ),
    "environment": Column(
        "text",
        ("deployment.environment.name", "deployment.environment"),
        langfuse=("langfuse.environment",),
    ),
    "tags": Column(
        "tags",
        openinference=("tag.tags",),
        langfuse=("langfuse.trace.tags", "langfuse.tags", *_metadata("langfuse_tags")),
        vercel=("ai.telemetry.metadata.tags",),
    ),
    "error_type": Column("text", ("error.type",), ("exception.type",)),
    "error_message": Column("text", (), ("exception.message",), langfuse=("langfuse.observation.status_message",)),
    "level": Column("level", langfuse=("langfuse.observation.level",)),
    "app_root": Column("flag", langfuse=("langfuse.internal.is_app_root",)),
}

TIMES: dict[str, Column] = {
    "ttft": Column(
        "seconds",
        ("gen_ai.response.time_to_first_chunk",),
        ("gen_ai.client.operation.time_to_first_chunk", "gen_ai.server.time_to_first_token"),
        vercel=(("ai.response.msToFirstChunk", "millis"), ("ai.stream.msToFirstChunk", "millis")),
    ),
    "completion_start": Column("instant", langfuse=("langfuse.observation.completion_start_time",)),
}

LABELS: dict[str, Column] = {
    "finish_reasons": Column(
        "texts",
        ("gen_ai.response.finish_reasons",),
        ("gen_ai.finishReason", "gen_ai.response.finish_reason", "gen_ai.response.stop_reason"),
        ("llm.finish_reason",),
        ("llm.response.finish_reason", "gen_ai.completion.0.finish_reason"),
        vercel=("ai.response.finishReason",),
    ),
    "service_tier": Column(
        "text",
        ("openai.response.service_tier", "openai.request.service_tier"),
        (
            "gen_ai.openai.response.service_tier",
            "gen_ai.openai.request.service_tier",
            "gen_ai.request.service_tier",
            "anthropic.response.service_tier",
            "anthropic.request.service_tier",
            ("gen_ai.request.batch", "batch"),
        ),
    ),
    "stream": Column("flag", ("gen_ai.request.stream",), ("gen_ai.is_streaming", "llm.is_streaming")),
    "agent_id": Column("text", ("gen_ai.agent.id",)),
    "agent_name": Column("text", ("gen_ai.agent.name",), openinference=("agent.name",)),
    "agent_version": Column("text", ("gen_ai.agent.version",)),
    "tool_name": Column("text", ("gen_ai.tool.name",), openinference=("tool.name",), vercel=("ai.toolCall.name",)),
    "tool_call_id": Column("text", ("gen_ai.tool.call.id",), vercel=("ai.toolCall.id",)),
    "tool_type": Column("text", ("gen_ai.tool.type",)),
    "workflow_name": Column("text", traceloop=("traceloop.workflow.name",)),
    "entity_name": Column("text", traceloop=("traceloop.entity.name",)),
    "prompt_name": Column(
        "text",
        ("gen_ai.prompt.name",),
        traceloop=("traceloop.prompt.key",),
        langfuse=("langfuse.observation.prompt.name",),
    ),
    "prompt_version": Column(
        "text",
        openinference=("llm.prompt_template.version",),
        traceloop=("traceloop.prompt.version",),
        langfuse=("langfuse.observation.prompt.version",),
    ),
    "release": Column("text", ("service.version",), langfuse=("langfuse.release", "langfuse.version")),
    "trace_name": Column("text", langfuse=("langfuse.trace.name",)),
    "function_id": Column("text", vercel=("ai.telemetry.functionId",)),
}

CONTENT: dict[str, Column] = {
    "system_instructions": Column("content", ("gen_ai.system_instructions",)),
    "input": Column(
        "content",
        ("gen_ai.input.messages", "gen_ai.tool.call.arguments", "gen_ai.retrieval.query.text"),
        ("gen_ai.prompt",),
        ("input.value",),
        ("traceloop.entity.input",),
        ("langfuse.observation.input",),
        ("ai.prompt.messages", "ai.prompt", "ai.toolCall.args", "ai.value", "ai.values"),
    ),
    "output": Column(
        "content",
        ("gen_ai.output.messages", "gen_ai.tool.call.result"),
        ("gen_ai.completion",),
        ("output.value",),
        ("traceloop.entity.output",),
        ("langfuse.observation.output",),
        (
            "ai.response.text",
            "ai.response.object",
            "ai.response.toolCalls",
            "ai.toolCall.result",
            "ai.result.text",
            "ai.result.object",
            "ai.result.toolCalls",
        ),
    ),
    "trace_input": Column("content", langfuse=("langfuse.trace.input",)),
    "trace_output": Column("content", langfuse=("langfuse.trace.output",)),
}

# Read for a value inside them, and kept among the attributes as well.
SOURCES: dict[str, Column] = {
    "invocation": Column("json", openinference=("llm.invocation_parameters",)),
    "model_parameters": Column("json", langfuse=("langfuse.observation.model.parameters",)),
    "provider_metadata": Column("json", vercel=("ai.response.providerMetadata",)),
    "vercel_operation": Column("vercel", vercel=("ai.operationId", "operation.name")),
    "operation": Column("text", ("gen_ai.operation.name",)),
}

# A plain JSON span's own fields (native.py): attributes `hub.<field>`, which come before every other dialect's.
HUB_FIELDS: dict[str, str] = {
    "kind": "kind",
    "provider": "provider",
    "model": "model",
    "request_model": "request_model",
    "prompt_tokens": "prompt_tokens",
    "completion_tokens": "completion_tokens",
    "total_tokens": "total_tokens",
    "cached_tokens": "cached_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "reasoning_tokens": "reasoning_tokens",
    "usage": "usage_object",
    "cost_usd": "cost_total",
    "prompt_cost_usd": "cost_input",
    "completion_cost_usd": "cost_output",
    "user_id": "user_id",
    "session_id": "session_id",
    "environment": "environment",
    "tags": "tags",
    "error_type": "error_type",
    "error_message": "error_message",
    "ttft_ms": "ttft",
    "finish_reason": "finish_reasons",
    "service_tier": "service_tier",
    "stream": "stream",
    "agent_name": "agent_name",
    "tool_name": "tool_name",
    "prompt_name": "prompt_name",
    "prompt_version": "prompt_version",
    "release": "release",
    "input": "input",
    "output": "output",
}
_HUB_CONVERTERS = {"ttft_ms": "millis"}

_COLUMNS: dict[str, Column] = {**TOKENS, **MONEY, **DIMENSIONS, **TIMES, **LABELS, **CONTENT, **SOURCES}


def _hub_cell(column: str) -> Cell:
    return tuple(
        (f"hub.{field}", _HUB_CONVERTERS.get(field, _COLUMNS[column].convert))
        for field, target in HUB_FIELDS.items()
        if target == column
    )


COLUMNS: dict[str, Column] = {name: column._replace(hub=_hub_cell(name)) for name, column in _COLUMNS.items()}

# Dotted lists: prefix -> (side, place among that side's sources).
INDEXED: dict[str, tuple[str, str]] = {
    "llm.input_messages.": ("input", "openinference"),
    "llm.prompts.": ("input", "openinference"),
    "gen_ai.prompt.": ("input", "traceloop"),
    "llm.output_messages.": ("output", "openinference"),
    "llm.choices.": ("output", "openinference"),
    "gen_ai.completion.": ("output", "traceloop"),
}
