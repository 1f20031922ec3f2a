"""Span rows for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Any

from apps.traces.columns import SpanRow

# A fixed moment inside a minute, an hour and a day; tests that need "now" freeze or pass it near here.
T0 = datetime(2026, 11, 5, 12, 30, 15, 250_000, tzinfo=UTC)
DELETED = ("trace_tombstone", "user_deletion")
_numbers = count(1)


def us(moment: datetime) -> int:
    """Microseconds since the Unix epoch."""
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


T0_US = us(T0)


def span_row(**overrides: Any) -> SpanRow:
    """A priced, billable LLM span that starts at T0, with ids of its own; any column can be given."""
    number = next(_numbers)
    values: dict[str, Any] = {
        "project_id": 1,
        "trace_id": f"{number:032x}",
        "span_id": f"{number:016x}",
        "start_us": T0_US,
        "duration_us": 1_500_000,
        "name": "chat gpt-4o",
        "kind": "llm",
        "billable": True,
        "status": "ok",
        "provider": "openai",
        "model": "gpt-4o",
        "prompt_tokens": 1_000,
        "completion_tokens": 200,
        "total_tokens": 1_200,
        "prompt_cost": 2_500_000_000,
        "completion_cost": 2_000_000_000,
        "total_cost": 4_500_000_000,
        "computed_cost": 4_500_000_000,
        "cost_source": "computed",
        "attribute_count": 5,
    }
    return SpanRow(**{**values, **overrides})


def clear_spans() -> None:
    """Empty every table of spans: Django's own flush between tests leaves tables it does not manage alone.

    By DELETE, since TRUNCATE gives every one of some two hundred partitions and their indexes a new file.
    """
    from django.db import connection

    words = ("span_text", "text_mark")
    tables = (
        "span",
        "span_content",
        *words,
        "span_mark",
        "trace",
        "session",
        "session_cell",
        "score",
        "score_cell",
        "score_mark",
        "retention_floor",
        *DELETED,
    )
    with connection.cursor() as cursor:
        for table in (*tables, "reprice_change"):
            cursor.execute(f"DELETE FROM {table}")
