"""Tokens: from whatever the sender counted to inclusive counts.

Stored prompt tokens include cached and cache-write tokens, completion tokens include reasoning tokens. OpenTelemetry,
OpenAI and Gemini (for its prompt) count so; raw Anthropic, Bedrock and Langfuse `usage_details` count each kind apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from apps.ingest.convert import MAX_TOKENS, token
from apps.ingest.vocabulary import USAGE_KEYS

Counts = dict[str, int]
EXTRAS: Final = (
    "cache_write_5m",
    "cache_write_1h",
    "audio_input",
    "audio_output",
    "audio_cached",
    "image_input",
    "image_output",
    "video_input",
    "text_input",
    "text_output",
)
_MAX_KINDS: Final = 64
_NON_TOKENS: Final = ("web_search", "grounding", "requests", "queries", "seconds", "characters")


def _count(source: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        value = token(source.get(name))
        if isinstance(value, int):
            return value
    return None


def _nested(source: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    for name in names:
        value = source.get(name)
        if isinstance(value, dict):
            return value
    return {}


def _present(**counts: int | None) -> Counts:
    return {name: value for name, value in counts.items() if value is not None}


def from_usage_object(usage: Mapping[str, Any]) -> Counts:
    """Inclusive counts from a provider's or a tracer's usage object, told apart by its keys.

    Keys of the result are our token columns and `EXTRAS`; other kinds keep the sender's name.
    """
    for wrapper in ("usageMetadata", "usage_metadata", "usage"):
        if isinstance(usage.get(wrapper), dict):
            usage = usage[wrapper]
    if any(name in usage for name in ("prompt_tokens", "completion_tokens", "promptTokens", "completionTokens")):
        return _openai_chat(usage)
    if "input_tokens_details" in usage or "output_tokens_details" in usage:
        return _openai_responses(usage)
    if any(name in usage for name in ("promptTokenCount", "candidatesTokenCount", "prompt_token_count")):
        return _gemini(usage)
    if "inputTokens" in usage or "outputTokens" in usage:
        return _bedrock(usage)
    if isinstance(usage.get("cache_creation"), dict) or "server_tool_use" in usage:
        return _anthropic(usage)
    return from_disjoint(usage)


def _openai_chat(usage: Mapping[str, Any]) -> Counts:
    prompt = _nested(usage, "prompt_tokens_details", "promptTokensDetails")
    completion = _nested(usage, "completion_tokens_details", "completionTokensDetails")
    cached = _count(prompt, "cached_tokens")
    written = _count(prompt, "cache_creation_tokens", "cache_write_tokens")
    return _present(
        prompt_tokens=_count(usage, "prompt_tokens", "promptTokens"),
        completion_tokens=_count(usage, "completion_tokens", "completionTokens"),
        total_tokens=_count(usage, "total_tokens", "totalTokens"),
        cached_tokens=_count(usage, "cache_read_input_tokens") if cached is None else cached,
        cache_write_tokens=_count(usage, "cache_creation_input_tokens") if written is None else written,
        reasoning_tokens=_count(completion, "reasoning_tokens"),
        audio_input=_count(prompt, "audio_tokens"),
        audio_output=_count(completion, "audio_tokens"),
        image_input=_count(prompt, "image_tokens"),
    )


def _openai_responses(usage: Mapping[str, Any]) -> Counts:
    given = _nested(usage, "input_tokens_details")
    made = _nested(usage, "output_tokens_details")
    return _present(
        prompt_tokens=_count(usage, "input_tokens"),
        completion_tokens=_count(usage, "output_tokens"),
        total_tokens=_count(usage, "total_tokens"),
        cached_tokens=_count(given, "cached_tokens"),
        reasoning_tokens=_count(made, "reasoning_tokens"),
        audio_input=_count(given, "audio_tokens"),
        image_input=_count(given, "image_tokens"),
        audio_output=_count(made, "audio_tokens"),
    )


def _gemini(usage: Mapping[str, Any]) -> Counts:
    """Gemini's prompt includes what was cached; its thoughts lie outside the candidates."""
    prompt = _count(usage, "promptTokenCount", "prompt_token_count")
    tool_use = _count(usage, "toolUsePromptTokenCount", "tool_use_prompt_token_count") or 0
    thoughts = _count(usage, "thoughtsTokenCount", "thoughts_token_count")
    candidates = _count(usage, "candidatesTokenCount", "candidates_token_count")
    made = None if candidates is None and thoughts is None else (candidates or 0) + (thoughts or 0)
    return _present(
        prompt_tokens=None if prompt is None else prompt + tool_use,
        completion_tokens=made,
        total_tokens=_count(usage, "totalTokenCount", "total_token_count"),
        cached_tokens=_count(usage, "cachedContentTokenCount", "cached_content_token_count"),
        reasoning_tokens=thoughts,
    )


def _bedrock(usage: Mapping[str, Any]) -> Counts:
    return _exclusive(
        _count(usage, "inputTokens"),
        _count(usage, "outputTokens"),
        _count(usage, "cacheReadInputTokens"),
        _count(usage, "cacheWriteInputTokens"),
    )


def _anthropic(usage: Mapping[str, Any]) -> Counts:
    """Anthropic's input tokens exclude both cache kinds; a breakdown of the writes may cover only part of them."""
    split = _nested(usage, "cache_creation")
    five = _count(split, "ephemeral_5m_input_tokens")
    hour = _count(split, "ephemeral_1h_input_tokens")
    written = _count(usage, "cache_creation_input_tokens")
    if five is not None or hour is not None:
        written = max(written or 0, (five or 0) + (hour or 0))
    counts = _exclusive(
        _count(usage, "input_tokens"),
        _count(usage, "output_tokens"),
        _count(usage, "cache_read_input_tokens"),
        written,
    )
    counts.update(_present(cache_write_5m=five, cache_write_1h=hour))
    searches = _count(_nested(usage, "server_tool_use"), "web_search_requests")
    if searches:
        counts["web_search_queries"] = searches
    return counts


def _exclusive(given: int | None, made: int | None, read: int | None, written: int | None) -> Counts:
    parts = [part for part in (given, read, written) if part is not None]
    return _present(
        prompt_tokens=sum(parts) if parts else None,
        completion_tokens=made,
        cached_tokens=read,
        cache_write_tokens=written,
    )


def from_disjoint(usage: Mapping[str, Any]) -> Counts:
    """Inclusive counts from kinds that do not overlap (Langfuse `usage_details`): each key counts to its side."""
    kinds: Counts = {}
    given = made = 0
    sides = set()
    for key, value in list(usage.items())[:_MAX_KINDS]:
        count = token(value)
        if not isinstance(count, int) or not isinstance(key, str):
            continue
        name = USAGE_KEYS.get(key, key[:64])
        kinds[name] = kinds.get(name, 0) + count
        side = _side(key, name)
        if side == "input":
            given += count
        elif side == "output":
            made += count
        sides.add(side)
    split = kinds.get("cache_write_5m", 0) + kinds.get("cache_write_1h", 0)
    written = kinds.get("cache_write")
    if split and written is not None:
        given, kinds["cache_write"] = _merge_split(kinds, given, made, written, split)
    elif split:
        kinds["cache_write"] = split
    kinds.pop("input", None)
    kinds.pop("output", None)
    renamed = {
        "cached": "cached_tokens",
        "cache_write": "cache_write_tokens",
        "reasoning": "reasoning_tokens",
        "total": "total_tokens",
    }
    counts = {renamed.get(name, name): count for name, count in kinds.items()}
    if "audio_cached" in counts:
        counts["cached_tokens"] = counts.get("cached_tokens", 0) + counts["audio_cached"]
    counts.update(_present(prompt_tokens=given if "input" in sides else None))
    counts.update(_present(completion_tokens=made if "output" in sides else None))
    return counts


def _merge_split(kinds: Counts, given: int, made: int, written: int, split: int) -> tuple[int, int]:
    """A write count beside its 5m/1h breakdown: apart from it, or (if the total says so) the whole of it."""
    total = kinds.get("total")
    whole = total is not None and written >= split and total == given + made - split
    return (given - split, written) if whole else (given, written + split)


def _side(key: str, name: str) -> str:
    if name == "total" or any(unit in key for unit in _NON_TOKENS):
        return "other"
    if name in ("cached", "cache_write", "audio_cached") or name.startswith(("input", "cache_write", "audio_input")):
        return "input"
    if name == "reasoning" or name.startswith(("output", "audio_output")):
        return "output"
    return "input" if key.startswith("input") else "other"


def settle(counts: dict[str, Any], *, exclusive_sender: bool) -> bool:
    """Make the counts of a span inclusive and whole, in place; true if the sender's were not inclusive.

    Where read + write exceed the prompt, the prompt cannot include them; where the sender's total is exactly the sum
    of all the parts, it did not either.
    """
    five, hour = counts.get("cache_write_5m"), counts.get("cache_write_1h")
    if five is not None or hour is not None:
        counts["cache_write_tokens"] = max(counts.get("cache_write_tokens") or 0, (five or 0) + (hour or 0))
    cache = (counts.get("cached_tokens") or 0) + (counts.get("cache_write_tokens") or 0)
    reasoning = counts.get("reasoning_tokens") or 0
    if not cache and not reasoning:
        _settle_total(counts)
        return False
    given, made, total = counts.get("prompt_tokens"), counts.get("completion_tokens"), counts.get("total_tokens")
    both = (given or 0) + (made or 0)
    added = False
    if cache and (
        exclusive_sender or cache > (given or 0) or total == both + cache or total == both + cache + reasoning
    ):
        counts["prompt_tokens"] = min((given or 0) + cache, MAX_TOKENS)
        added = True
    if reasoning and (reasoning > (made or 0) or total == both + reasoning or total == both + cache + reasoning):
        counts["completion_tokens"] = min((made or 0) + reasoning, MAX_TOKENS)
        added = True
    _settle_total(counts)
    return added


def _settle_total(counts: dict[str, Any]) -> None:
    """The total is prompt + completion where both are known; else the sender's, if it covers the known one."""
    given, made = counts.get("prompt_tokens"), counts.get("completion_tokens")
    if given is not None and made is not None:
        counts["total_tokens"] = given + made
    elif given is not None or made is not None:
        counts["total_tokens"] = max(counts.get("total_tokens") or 0, given or 0, made or 0)


def from_vercel_metadata(metadata: Mapping[str, Any]) -> Counts:
    """Cache counts that the Vercel AI SDK reports only among its provider's metadata."""
    openai, anthropic, bedrock = (_nested(metadata, name) for name in ("openai", "anthropic", "bedrock"))
    usage = _nested(anthropic, "usage")
    split = _nested(usage, "cache_creation")
    cached = (
        _count(openai, "cachedPromptTokens"),
        _count(usage, "cache_read_input_tokens"),
        _count(_nested(bedrock, "usage"), "cacheReadInputTokens"),
    )
    written = (
        _count(usage, "cache_creation_input_tokens"),
        _count(anthropic, "cacheCreationInputTokens"),
        _count(_nested(bedrock, "usage"), "cacheWriteInputTokens"),
    )
    return _present(
        cached_tokens=next((count for count in cached if count is not None), None),
        cache_write_tokens=next((count for count in written if count is not None), None),
        cache_write_5m=_count(split, "ephemeral_5m_input_tokens"),
        cache_write_1h=_count(split, "ephemeral_1h_input_tokens"),
        reasoning_tokens=_count(openai, "reasoningTokens"),
    )
