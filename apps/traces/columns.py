"""The columns of a span: one declaration that the writer, the storage and the queries share.

A `SpanRow` is what the ingest pipeline produces and `writer.write` stores. Times are integer microseconds,
money is integer trillionths of a US dollar ("picodollars"), so nothing is ever rounded twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from apps.traces.scores import Score


class Flag(IntFlag):
    """Marks on a span that say what ingest had to mend; stored as the integer `flags`."""

    TIME_REPAIRED = 1  # an edge was missing or before the other: the other edge was used
    DIMENSION_CUT = 2  # a dimension was cut at 256 characters
    CONTENT_CUT = 4  # content was cut at the limit
    ATTRIBUTES_CUT = 8  # more attributes or list slots than are kept, or a value was cut
    TEXT_REPAIRED = 16  # NUL bytes or lone surrogates were replaced
    EXCLUSIVE_USAGE = 32  # the sender's prompt tokens did not include cached ones; they were added
    TOKENS_ESTIMATED = 64  # token counts are estimates
    NUMBER_DROPPED = 128  # a NaN, infinite, negative or absurd number was dropped
    REDACTED = 256  # a redaction pattern matched
    CONTENT_OFF = 512  # the project stores no content


class Column(NamedTuple):
    """A column of the span table: its name, its PostgreSQL type, and whether it may be NULL."""

    name: str
    type: str
    null: bool = True


SPAN_COLUMNS: tuple[Column, ...] = (
    Column("project_id", "integer", False),
    Column("trace_id", "text", False),
    Column("span_id", "text", False),
    Column("start_time", "timestamptz", False),
    Column("duration_us", "bigint", False),
    Column("parent_span_id", "text"),
    Column("name", "text", False),
    Column("kind", "text", False),
    Column("billable", "boolean", False),
    Column("status", "text", False),
    Column("provider", "text"),
    Column("model", "text"),
    Column("request_model", "text"),
    Column("environment", "text"),
    Column("team", "text"),
    Column("user_id", "text"),
    Column("session_id", "text"),
    Column("error_type", "text"),
    Column("error_message", "text"),
    Column("ttft_us", "bigint"),
    Column("prompt_tokens", "bigint"),
    Column("completion_tokens", "bigint"),
    Column("total_tokens", "bigint"),
    Column("cached_tokens", "bigint"),
    Column("cache_write_tokens", "bigint"),
    Column("reasoning_tokens", "bigint"),
    Column("prompt_cost", "bigint"),
    Column("completion_cost", "bigint"),
    Column("total_cost", "bigint"),
    Column("client_cost", "bigint"),
    Column("computed_cost", "bigint"),
    Column("cost_source", "text", False),
    Column("unpriced_reason", "text"),
    Column("price_version_id", "text"),
    Column("usage", "jsonb"),
    Column("tags", "text[]"),
    Column("labels", "jsonb"),
    Column("flags", "integer", False),
    Column("attribute_count", "integer", False),
    Column("content_hash", "bigint", False),
)
CONTENT_COLUMNS: tuple[Column, ...] = (
    Column("project_id", "integer", False),
    Column("trace_id", "text", False),
    Column("span_id", "text", False),
    Column("start_time", "timestamptz", False),
    Column("input", "text"),
    Column("output", "text"),
    Column("attributes", "jsonb"),
    Column("events", "jsonb"),
)
IDENTITY = ("trace_id", "span_id", "start_time", "project_id")


@dataclass(slots=True)
class SpanRow:
    """One span, ready to be stored.

    Field names are the columns', but for `start_us` (`start_time`, microseconds since the Unix epoch). JSON columns
    (`usage`, `labels`, `attributes`, `events`) hold encoded JSON bytes or None; `environment`, `team`, `user_id`
    and `session_id` are only what the span itself says: the trace's are resolved when read.

    `labels` keeps what is mapped but not a dimension: agent_*, tool_*, prompt_*, release, service_name,
    service_tier, stream, finish_reasons, scope, provider_raw, environment_raw.
    `usage` keeps usage kinds without a column of their own: cache_write_5m, cache_write_1h, audio_input,
    audio_output, image_input, web_search_queries and the like.
    """

    project_id: int
    trace_id: str
    span_id: str
    start_us: int
    duration_us: int
    parent_span_id: str | None = None
    name: str = ""
    kind: str = "span"
    billable: bool = False
    status: str = "unset"
    provider: str | None = None
    model: str | None = None
    request_model: str | None = None
    environment: str | None = None
    team: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    ttft_us: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    prompt_cost: int | None = None
    completion_cost: int | None = None
    total_cost: int | None = None
    client_cost: int | None = None
    computed_cost: int | None = None
    cost_source: str = "none"
    unpriced_reason: str | None = None
    price_version_id: str | None = None
    usage: bytes | None = None
    tags: list[str] | None = None
    labels: bytes | None = None
    flags: int = 0
    attribute_count: int = 0
    content_hash: int = 0
    input: str | None = None
    output: str | None = None
    attributes: bytes | None = None
    events: bytes | None = None
    # Verdicts that came with the span: rows of their own, written in the same transaction.
    scores: tuple[Score, ...] = ()
    # Working fields of the pipeline, never stored.
    scratch: dict[str, object] = field(default_factory=dict, repr=False, compare=False)

    @property
    def identity(self) -> tuple[str, str, int, int]:
        """(trace_id, span_id, start_us, project_id): the key under which a span is stored once."""
        return (self.trace_id, self.span_id, self.start_us, self.project_id)

    @property
    def rank(self) -> tuple[int, int, int]:
        """Of two arrivals with one identity the greater rank stays: (end, attributes, content hash).

        The start is part of the identity, so comparing durations compares ends.
        """
        return (self.duration_us, self.attribute_count, self.content_hash)

    @property
    def has_content(self) -> bool:
        return not (self.input is None and self.output is None and self.attributes is None and self.events is None)
