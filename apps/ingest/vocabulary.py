"""Names that senders use for values and events, and ours: data beside the attribute map."""

from __future__ import annotations

# Events: what they bring to a span without the attribute.
DETAIL_EVENTS = frozenset({"gen_ai.client.inference.operation.details"})
MESSAGE_EVENTS: dict[str, str] = {
    "gen_ai.system.message": "input",
    "gen_ai.user.message": "input",
    "gen_ai.assistant.message": "input",
    "gen_ai.tool.message": "input",
    "gen_ai.choice": "output",
}
CONTENT_EVENTS: dict[str, tuple[str, str]] = {
    "gen_ai.content.prompt": ("input", "gen_ai.prompt"),
    "gen_ai.content.completion": ("output", "gen_ai.completion"),
}
TTFT_EVENTS = frozenset({"gen_ai.content.completion.chunk", "First Token Stream Event", "ai.stream.firstChunk"})

KINDS: dict[str, str] = {
    "chat": "llm",
    "text_completion": "llm",
    "generate_content": "llm",
    "completion": "llm",
    "generate": "llm",
    "llm": "llm",
    "generation": "llm",
    "embeddings": "embedding",
    "embedding": "embedding",
    "retrieval": "retriever",
    "retriever": "retriever",
    "rerank": "reranker",
    "reranker": "reranker",
    "create_agent": "agent",
    "invoke_agent": "agent",
    "invoke_workflow": "agent",
    "plan": "agent",
    "agent_step": "agent",
    "agent": "agent",
    "execute_tool": "tool",
    "tool": "tool",
    "chain": "chain",
    "workflow": "chain",
    "task": "chain",
    "guardrail": "guardrail",
    "evaluator": "evaluator",
    "prompt": "prompt",
    "span": "span",
    "event": "event",
}
BILLABLE_KINDS = frozenset({"llm", "embedding", "reranker"})
AGENT_OPERATIONS = frozenset({"create_agent", "invoke_agent", "invoke_workflow", "plan", "agent_step"})
WRAPPER_NAMES = frozenset({"raw_gen_ai_request"})

VERCEL_KINDS: dict[str, str] = {
    "ai.generateText.doGenerate": "llm",
    "ai.generateObject.doGenerate": "llm",
    "ai.streamText.doStream": "llm",
    "ai.streamObject.doStream": "llm",
    "ai.embed.doEmbed": "embedding",
    "ai.embedMany.doEmbed": "embedding",
    "ai.rerank.doRerank": "reranker",
    "ai.toolCall": "tool",
}

LEVELS: dict[str, str] = {
    "ERROR": "ERROR",
    "FATAL": "ERROR",
    "CRITICAL": "ERROR",
    "WARN": "WARNING",
    "WARNING": "WARNING",
    "INFO": "DEFAULT",
    "LOG": "DEFAULT",
    "OK": "DEFAULT",
    "DEFAULT": "DEFAULT",
    "TRACE": "DEBUG",
    "DEBUG": "DEBUG",
}

# Usage objects whose keys do not overlap (Langfuse `usage_details`): key -> our usage kind. Every other `input_*` and
# `output_*` key is a kind of its own that counts to its side.
USAGE_KEYS: dict[str, str] = {
    "input": "input",
    "input_tokens": "input",
    "input_text": "input",
    "input_modality_1": "input",
    "promptTokenCount": "input",
    "prompt_token_count": "input",
    "output": "output",
    "output_tokens": "output",
    "output_text": "output",
    "output_modality_1": "output",
    "candidatesTokenCount": "output",
    "candidates_token_count": "output",
    "input_cached_tokens": "cached",
    "input_cache_read": "cached",
    "cache_read_input_tokens": "cached",
    "cached_content_token_count": "cached",
    "cachedContentTokenCount": "cached",
    "input_cache_creation": "cache_write",
    "cache_creation_input_tokens": "cache_write",
    "cache_write_tokens": "cache_write",
    "input_cache_write": "cache_write",
    "input_cache_creation_5m": "cache_write_5m",
    "input_cache_creation_1h": "cache_write_1h",
    "output_reasoning_tokens": "reasoning",
    "output_reasoning": "reasoning",
    "reasoning_tokens": "reasoning",
    "thoughtsTokenCount": "reasoning",
    "thoughts_token_count": "reasoning",
    "input_audio": "audio_input",
    "input_audio_tokens": "audio_input",
    "output_audio": "audio_output",
    "output_audio_tokens": "audio_output",
    "input_cached_audio_tokens": "audio_cached",
    "input_image": "image_input",
    "input_image_tokens": "image_input",
    "total": "total",
    "total_tokens": "total",
    "totalTokenCount": "total",
}
