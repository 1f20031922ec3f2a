"""What the API shows of a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from apps.common.reads.schemas import COUNT, NUMBER, TEXT, TIME
from apps.traces.attribution import DEFAULT_ENVIRONMENT
from apps.traces.shown import ms, usd

# What `shown` reads: expressions over `x`, a row of `session`.
ENVIRONMENT = f"coalesce(x.environment, '{DEFAULT_ENVIRONMENT}')"
_COUNTS = ("turns", "error_turns", "request_count", "error_count")
_TOKENS = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")
_COSTS = ("prompt_cost", "completion_cost", "total_cost")
_FIELDS = (
    *("session_id", "project_id", "first_start", "end_time", "last_start", "duration_us", "user_id", "users"),
    *("environment", "last_error", "resolved", *_COUNTS, *_TOKENS, *_COSTS),
)
PICKED = [ENVIRONMENT if name == "environment" else f"x.{name}" for name in _FIELDS]

_OR_NULL = {"type": ["string", "null"]}
SHAPE: dict[str, dict[str, Any]] = {
    "session_id": TEXT,
    "project": TEXT,
    "user_id": {**_OR_NULL, "description": "Of the first turn that has one"},
    "users": {**COUNT, "description": "Different users"},
    "environment": {**TEXT, "description": "Of the first turn that has one"},
    "start_time": {**TIME, "description": "The start of the first turn"},
    "last_turn_time": {**TIME, "description": "The start of the last turn"},
    "last_activity": {**TIME, "description": "The latest end of a turn"},
    "duration_ms": {**NUMBER, "description": "From the start of the first turn to the last activity"},
    "turns": COUNT,
    "error_turns": {**COUNT, "description": "Turns that ended in error"},
    "request_count": {**COUNT, "description": "Billable spans"},
    "error_count": {**COUNT, "description": "Spans whose status is error"},
    "has_error": {"type": "boolean"},
    "last_turn_error": {"type": "boolean", "description": "Whether the last turn ended in error"},
    "resolved": {"type": ["boolean", "null"], "description": "By the latest boolean score of that name"},
    **{name: {"type": ["integer", "null"]} for name in _TOKENS},
    **{f"{name}_usd": NUMBER for name in _COSTS},
}


def shown(row: Sequence[Any], slugs: Mapping[int, str]) -> dict[str, Any]:
    """A row of `PICKED` as the API shows it.

    Args:
        slugs: the projects' by id.
    """
    found = dict(zip(_FIELDS, row, strict=True))
    return {
        "session_id": found["session_id"],
        "project": slugs[found["project_id"]],
        **{name: found[name] for name in ("user_id", "users", "environment")},
        "start_time": found["first_start"],
        "last_turn_time": found["last_start"],
        "last_activity": found["end_time"],
        "duration_ms": ms(found["duration_us"]),
        **{name: int(found[name]) for name in _COUNTS},
        "has_error": found["error_count"] > 0,
        "last_turn_error": found["last_error"],
        "resolved": found["resolved"],
        **{name: found[name] for name in _TOKENS},
        **{f"{name}_usd": usd(found[name]) for name in _COSTS},
    }


def value_of(row: Sequence[Any], column: str) -> Any:
    """A column of a row of `PICKED`."""
    return row[_FIELDS.index(column)]
