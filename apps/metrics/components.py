"""Components: the additive quantities that cells store and every metric is computed from.

A component is SQL over the raw table (alias `s`, billable spans only) and a rule that merges two of them. Nothing
that does not merge (an average, a percentile, a distinct count) is ever stored as a component.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Merge = Literal["sum", "min", "max"]


@dataclass(frozen=True, slots=True)
class Component:
    """One stored quantity.

    Args:
        name: the column of the cells.
        raw: the aggregate over raw spans, alias `s`; its type is already `type`.
        merge: how two values of it become one; NULL is neutral.
        type: the PostgreSQL type of the column.
    """

    name: str
    raw: str
    merge: Merge
    type: str

    def merged(self, alias: str) -> str:
        """The aggregate that merges cells of a table under this alias."""
        text = f"{self.merge}({alias}.{self.name})"
        return f"{text}::{self.type}" if self.merge == "sum" else text


@dataclass(frozen=True, slots=True)
class Measure:
    """A number that a span may carry; `wide` ones also keep squares, minimum and maximum."""

    name: str
    column: str
    sum_type: str
    wide: bool


MEASURES: tuple[Measure, ...] = (
    Measure("duration", "duration_us", "bigint", True),
    Measure("ttft", "ttft_us", "bigint", True),
    Measure("total_cost", "total_cost", "numeric", True),
    Measure("prompt_cost", "prompt_cost", "numeric", False),
    Measure("completion_cost", "completion_cost", "numeric", False),
    Measure("total_tokens", "total_tokens", "bigint", True),
    Measure("prompt_tokens", "prompt_tokens", "bigint", True),
    Measure("completion_tokens", "completion_tokens", "bigint", True),
    Measure("cached_tokens", "cached_tokens", "bigint", False),
    Measure("reasoning_tokens", "reasoning_tokens", "bigint", False),
)


def _of(measure: Measure) -> tuple[Component, ...]:
    name, column = measure.name, f"s.{measure.column}"
    narrow = (
        Component(f"{name}_sum", f"sum({column})::{measure.sum_type}", "sum", measure.sum_type),
        Component(f"{name}_count", f"count({column})", "sum", "bigint"),
    )
    if not measure.wide:
        return narrow
    return (
        *narrow,
        # Squares of picodollars pass bigint at 3 cents and squares of microseconds at 50 minutes.
        Component(f"{name}_sq", f"sum({column}::numeric * {column})", "sum", "numeric"),
        Component(f"{name}_min", f"min({column})", "min", "bigint"),
        Component(f"{name}_max", f"max({column})", "max", "bigint"),
    )


_TIMED = "s.completion_tokens IS NOT NULL AND s.duration_us > 0"

USAGE_COMPONENTS: tuple[Component, ...] = (
    Component("requests", "count(*)", "sum", "bigint"),
    Component("errors", "count(*) FILTER (WHERE s.status = 'error')", "sum", "bigint"),
    *(component for measure in MEASURES for component in _of(measure)),
    # Tokens a second is a ratio of sums over the spans that have both, so it is exact at every grouping.
    Component("tps_tokens", f"sum(s.completion_tokens) FILTER (WHERE {_TIMED})::bigint", "sum", "bigint"),
    Component("tps_us", f"sum(s.duration_us) FILTER (WHERE {_TIMED})::bigint", "sum", "bigint"),
)

# There are nearly as many user and session cells as spans: they keep squares and extremes of durations alone.
ID_COMPONENTS: tuple[Component, ...] = tuple(
    component
    for component in USAGE_COMPONENTS
    if component.name.startswith("duration_") or not component.name.endswith(("_sq", "_min", "_max"))
)

ERROR_COMPONENTS: tuple[Component, ...] = (
    Component("errors", "count(*)", "sum", "bigint"),
    Component("sample_message", 'min(left(s.error_message, 500) COLLATE "C")', "min", "text"),
)

# Of requests without a cost: how many, what they used, and since and until when.
UNPRICED_COMPONENTS: tuple[Component, ...] = (
    *(
        item
        for item in USAGE_COMPONENTS
        if item.name == "requests" or item.name.endswith(("tokens_sum", "tokens_count"))
    ),
    Component("first_seen", "min(s.start_time)", "min", "timestamptz"),
    Component("last_seen", "max(s.start_time)", "max", "timestamptz"),
)
# Why a span has no cost; NULL where it has one. Over a span `s`, or the resolved spans of a refresh.
UNPRICED_REASON = "CASE WHEN s.total_cost IS NULL THEN coalesce(s.unpriced_reason, 'unknown') END"

COMPONENTS: dict[str, Component] = {
    component.name: component for component in (*USAGE_COMPONENTS, ERROR_COMPONENTS[1], *UNPRICED_COMPONENTS[-2:])
}
