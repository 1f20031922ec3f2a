"""Usage as spans report it, and its cut into disjoint kinds."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

NOTHING: Mapping[str, int] = MappingProxyType({})


class Usage(NamedTuple):
    """What one call used. `prompt` includes cached and written tokens, `completion` includes reasoning and audio.

    `other` holds the kinds without a field: cache_write_5m, cache_write_1h, audio_input, audio_output, audio_cached,
    image_input, image_output, image_cached, video_input, video_output, citation, web_search_queries and the fees
    listed in `FEES`. Other keys are taken for parts of the counts above and change no price.
    """

    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    other: Mapping[str, int] = NOTHING


# Kinds that are no tokens: our key, then other senders' names for it.
FEES: dict[str, tuple[str, ...]] = {
    "web_searches": ("web_search_queries", "web_search_requests", "web_searches", "grounding_queries"),
    "social_searches": ("social_searches", "x_searches"),
    "storage_searches": ("storage_searches", "file_search_queries", "file_searches"),
    "code_executions": ("code_executions",),
    "rerank_searches": ("rerank_searches", "search_units"),
    "input_characters": ("input_characters", "characters"),
    "input_pages": ("input_document_pages", "input_pages"),
    "input_annotated_pages": ("input_annotated_document_pages",),
}
_FEE_OF = {name: kind for kind, names in FEES.items() for name in names}


# What senders call a modality's tokens, and the kinds they become.
_INPUTS = (
    ("audio_input", "audio_cached", "input_audio", "cached_audio"),
    ("image_input", "image_cached", "input_image", "cached_image"),
    ("video_input", None, "input_video", None),
)
_OUTPUTS = (
    ("audio_output", "output_audio"),
    ("image_output", "output_image"),
    ("video_output", "output_video"),
    ("citation", "citation"),
)
_SECONDS = frozenset({"audio_seconds", "input_audio_seconds", "output_audio_seconds"})


def split(usage: Usage, shortest_audio: int = 0) -> dict[str, int]:
    """Cut usage into disjoint kinds: every token is in exactly one of them, and none is negative."""
    other = usage.other
    counts: dict[str, int] = {}
    _input_kinds(usage, counts)
    _output_kinds(usage, counts)
    for name, value in other.items():
        kind = _FEE_OF.get(name)
        if kind is not None and value > 0:
            counts[kind] = counts.get(kind, 0) + value
    if not _SECONDS.isdisjoint(other):
        _durations(other, shortest_audio, counts)
    return counts


def _input_kinds(usage: Usage, counts: dict[str, int]) -> None:
    other = usage.other
    cached = max(0, usage.cached or 0)
    brief, long = max(0, other.get("cache_write_5m", 0)), max(0, other.get("cache_write_1h", 0))
    # A breakdown by lifetime may leave a remainder (tools run by the server), which is billed too.
    written = max(usage.cache_write or 0, brief + long)
    rest = max(0, (usage.prompt or 0) - cached - written)
    for sent, sent_cached, kind, cached_kind in _INPUTS:
        if sent not in other and sent_cached not in other:
            continue
        # A modality's cached tokens are billed as cached ones only. Where the sender does not say how many of a
        # modality were cached, what does not fit into the uncached rest must have been.
        told = max(0, min(cached, other.get(sent_cached, 0))) if sent_cached and cached_kind else 0
        if cached_kind and told:
            counts[cached_kind] = told
            cached -= told
        fresh = max(0, min(rest, other.get(sent, 0) - told))
        if fresh:
            counts[kind] = fresh
            rest -= fresh
    if rest:
        counts["input"] = rest
    if cached:
        counts["cached"] = cached
    for kind, count in (("cache_write_5m", brief), ("cache_write_1h", long), ("cache_write", written - brief - long)):
        if count:
            counts[kind] = count


def _output_kinds(usage: Usage, counts: dict[str, int]) -> None:
    other = usage.other
    rest = max(0, usage.completion or 0)
    thought = max(0, min(rest, usage.reasoning or 0))
    if thought:
        counts["reasoning"] = thought
        rest -= thought
    for sent, kind in _OUTPUTS:
        part = max(0, min(rest, other.get(sent, 0)))
        if part:
            counts[kind] = part
            rest -= part
    if rest:
        counts["output"] = rest


def _durations(other: Mapping[str, int], shortest: int, counts: dict[str, int]) -> None:
    heard, said = other.get("input_audio_seconds", 0), other.get("output_audio_seconds", 0)
    rest = other.get("audio_seconds", 0) - heard - said
    for kind, count in (("input_audio_seconds", heard), ("output_audio_seconds", said), ("audio_seconds", rest)):
        if count > 0:
            counts[kind] = max(count, shortest)
