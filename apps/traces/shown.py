"""What the API shows of a trace's row: the same in lists, in searches and in the detail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.common.reads.schemas import COUNT, NUMBER, TEXT, TIME, array, obj
from apps.traces.attribution import DEFAULT_ENVIRONMENT

OPEN_STATUS = "unset"  # of a trace whose root has not arrived
# What `shown` reads: expressions over `t`, a row of `trace`.
ENVIRONMENT = f"coalesce(t.environment, '{DEFAULT_ENVIRONMENT}')"
STATUS = f"coalesce(t.root_status, '{OPEN_STATUS}')"
_TOKENS = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")
_COSTS = ("prompt_cost", "completion_cost", "total_cost")
_NAMES = ("trace_id", "project_id", "root_name", "status", "first_start", "end_time", "duration_us")
_OWNERS = ("user_id", "session_id", "environment", "team", "tags", "providers", "models", "kinds")
_COUNTS = ("span_count", "request_count", "error_count")
_FIELDS = (*_NAMES, *_OWNERS, *_COUNTS, *_TOKENS, *_COSTS, "root_span_id")
_RESOLVED = {"status": STATUS, "environment": ENVIRONMENT}
PICKED = [_RESOLVED.get(name, f"t.{name}") for name in _FIELDS]

_OR_NULL = {"type": ["string", "null"]}
_TEXTS = array(TEXT)
_SHAPE: dict[str, dict[str, Any]] = {
    "trace_id": TEXT,
    "project": TEXT,
    "name": {**_OR_NULL, "description": "The root's; null while no root has arrived"},
    "status": {"type": "string", "enum": ["ok", "error", "unset"], "description": "The root's"},
    "start_time": TIME,
    "end_time": TIME,
    "duration_ms": {**NUMBER, "description": "From the root's start to the last end"},
    "user_id": _OR_NULL,
    "session_id": _OR_NULL,
    "environment": TEXT,
    "team": _OR_NULL,
    "tags": _TEXTS,
    "providers": {**_TEXTS, "description": "Of the billable spans"},
    "models": {**_TEXTS, "description": "Of the billable spans"},
    "kinds": {**_TEXTS, "description": "Of all spans"},
    "span_count": COUNT,
    "request_count": {**COUNT, "description": "Billable spans"},
    "error_count": {**COUNT, "description": "Spans whose status is error"},
    "has_error": {"type": "boolean"},
    **{name: {"type": ["integer", "null"]} for name in _TOKENS},
    **{f"{name}_usd": NUMBER for name in _COSTS},
}
TRACE = obj(**_SHAPE)
NAMES = tuple(_SHAPE)


def usd(picodollars: Any) -> Decimal | None:
    """Picodollars as exact dollars."""
    return None if picodollars is None else Decimal(picodollars).scaleb(-12)


def ms(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1000


def shown(row: Sequence[Any], slugs: Mapping[int, str]) -> dict[str, Any]:
    """A row of `PICKED` as the API shows it.

    Args:
        slugs: the projects' by id.
    """
    found = dict(zip(_FIELDS, row, strict=True))
    return {
        "trace_id": found["trace_id"],
        "project": slugs[found["project_id"]],
        "name": found["root_name"],
        "status": found["status"],
        "start_time": found["first_start"],
        "end_time": found["end_time"],
        "duration_ms": ms(found["duration_us"]),
        **{name: found[name] for name in _OWNERS},
        "tags": found["tags"] or [],
        **{name: found[name] for name in _COUNTS},
        "has_error": found["error_count"] > 0,
        **{name: found[name] for name in _TOKENS},
        **{f"{name}_usd": usd(found[name]) for name in _COSTS},
    }


def value_of(row: Sequence[Any], column: str) -> Any:
    """A column of a row of `PICKED`."""
    return row[_FIELDS.index(column)]


def start_of(row: Sequence[Any]) -> datetime:
    start: datetime = value_of(row, "first_start")
    return start
