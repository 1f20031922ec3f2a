"""The columns that an export of spans may have, each with its SQL: as a value for the cursor, as text for COPY.

A statement reads spans in an inner query over `s` (a span) and `t` (its trace), which sorts them, and makes values and
texts of them in an outer one over `x`, so that nothing is computed that is sorted afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from apps.common.reads.spreadsheets import harmless_sql
from apps.exports.spec import Column, ColumnType
from apps.traces.attribution import DEFAULT_ENVIRONMENT
from apps.traces.columns import Flag

_DOLLARS: Final = "({0} * 0.000000000001::numeric)"
_MS: Final = "({0} / 1000::double precision)"
_OF_TRACE: Final = re.compile(r"\bt\.")
_END: Final = "(s.start_time + s.duration_us * interval '1 microsecond')"
_FLAGS: Final = ", ".join(f"CASE WHEN {{0}} & {flag.value} <> 0 THEN '{str(flag.name).lower()}' END" for flag in Flag)
_FLAG_NAMES: Final = f"(CASE WHEN {{0}} = 0 THEN '{{{{}}}}'::text[] ELSE array_remove(ARRAY[{_FLAGS}], NULL) END)"
_LINES: Final[dict[ColumnType, str]] = {
    "usd": "trim_scale({0})",
    "time": "to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
    "boolean": "CASE {0} WHEN true THEN 'true' WHEN false THEN 'false' END",
    "texts": "to_json({0})::text",
}
# What every row says beside its columns, so that the file's sums can be compared with the database's.
PROOF: Final = ("s.total_cost AS proof_cost", "s.total_tokens AS proof_tokens", "s.billable AS proof_billable")


def needs_trace(sql: str) -> bool:
    """Whether an expression reads the trace, `t`."""
    return _OF_TRACE.search(sql) is not None


@dataclass(frozen=True, slots=True)
class Declared:
    """A column and where it comes from.

    Args:
        inner: SQL over `s` and `t`; empty for what the outer query finds by itself.
        value: SQL over the inner column, `{0}`, that gives the value of the column's type.
        source: of a content column: its name in `span_content`.
    """

    column: Column
    inner: str
    value: str = "{0}"
    source: str = ""

    @property
    def name(self) -> str:
        return self.column.name

    @property
    def of_trace(self) -> bool:
        """Whether its SQL needs the trace."""
        return needs_trace(self.inner)

    @property
    def outer(self) -> str:
        """The value in the outer query."""
        if self.source:
            return self.value.format(f"c.{self.source}")
        return self.value.format(f"x.{self.name}")

    @property
    def line(self) -> str:
        """The same as COPY writes it into a line of CSV: the bytes that the CSV writer makes of the value."""
        if self.column.type == "text" and self.column.risky:
            return harmless_sql(self.outer)
        return _LINES.get(self.column.type, "{0}").format(self.outer)


def _text(name: str, inner: str, description: str = "", *, risky: bool = True) -> Declared:
    return Declared(Column(name, "text", description, risky=risky), inner)


def _plain() -> Iterator[Declared]:
    yield Declared(Column("project", "text", "The project's slug", risky=False), "", "%(span_slug)s::text")
    yield _text("trace_id", "s.trace_id")
    yield _text("span_id", "s.span_id")
    yield _text("parent_span_id", "s.parent_span_id")
    yield _text("name", "s.name")
    yield _text("kind", "s.kind")
    yield Declared(Column("billable", "boolean", "Whether it counts as a request", risky=False), "s.billable")
    yield _text("status", "s.status", "`ok`, `error` or `unset`", risky=False)
    yield Declared(Column("start_time", "time", risky=False), "s.start_time")
    yield Declared(Column("end_time", "time", risky=False), _END)
    yield Declared(Column("duration_ms", "number", risky=False), "s.duration_us", _MS)
    yield Declared(Column("ttft_ms", "number", "Time to the first token", risky=False), "s.ttft_us", _MS)
    yield _text("provider", "s.provider")
    yield _text("model", "s.model")
    yield _text("request_model", "s.request_model", "The model that was asked for, where it differs")
    environment = f"coalesce(s.environment, t.environment, '{DEFAULT_ENVIRONMENT}')"
    yield _text("environment", environment, "The span's, else its trace's")
    for name in ("team", "user_id", "session_id"):
        yield _text(name, f"coalesce(s.{name}, t.{name})", "The span's, else its trace's")
    tags = Column("tags", "texts", "The span's, else its trace's", risky=False)
    yield Declared(tags, "coalesce(s.tags, t.tags)", "coalesce({0}, '{{}}'::text[])")
    yield _text("error_type", "s.error_type")
    for name in ("prompt", "completion", "total", "cached", "cache_write", "reasoning"):
        yield Declared(Column(f"{name}_tokens", "integer", risky=False), f"s.{name}_tokens")
    for name in ("prompt", "completion", "total"):
        yield Declared(Column(f"{name}_cost_usd", "usd", risky=False), f"s.{name}_cost", _DOLLARS)
    yield _text("cost_source", "s.cost_source", "`client`, `computed` or `none`", risky=False)
    yield _text("unpriced_reason", "s.unpriced_reason")
    yield _text("price_version_id", "s.price_version_id")
    yield Declared(Column("usage", "json", "Usage of further kinds", risky=False), "s.usage", "{0}::text")
    yield Declared(Column("labels", "json", "What is kept beside the dimensions", risky=False), "s.labels", "{0}::text")
    flags = Column("flags", "texts", "What was mended when it came in", risky=False)
    yield Declared(flags, "s.flags", _FLAG_NAMES)


def _content() -> Iterator[Declared]:
    yield Declared(Column("error_message", "text", content=True), "s.error_message")
    yield Declared(Column("input", "text", content=True), "", source="input")
    yield Declared(Column("output", "text", content=True), "", source="output")
    for name in ("attributes", "events"):
        yield Declared(Column(name, "json", content=True, risky=False), "", "{0}::text", source=name)


DECLARED: Final[dict[str, Declared]] = {made.name: made for part in (_plain(), _content()) for made in part}
COLUMNS: Final = tuple(made.column for made in DECLARED.values())
DEFAULTS: Final = tuple(column.name for column in COLUMNS if not column.content)
