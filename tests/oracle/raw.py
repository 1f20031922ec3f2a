"""The raw rows as polars frames, and what the contract says is derived from them: traces, what spans take over.

Read by plain SQL, computed by polars: nothing of the product takes part.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl
from django.db import connection

PICO = 10**12
SUMMED = ("total_cost", "prompt_cost", "completion_cost", "total_tokens", "prompt_tokens", "completion_tokens")
INHERITED = ("user_id", "session_id", "environment", "team", "tags")
_COLUMNS = {
    "project_id": pl.Int64,
    "trace_id": pl.String,
    "span_id": pl.String,
    "start_time": pl.Datetime("us", "UTC"),
    "duration_us": pl.Int64,
    "parent_span_id": pl.String,
    "name": pl.String,
    "kind": pl.String,
    "billable": pl.Boolean,
    "status": pl.String,
    "provider": pl.String,
    "model": pl.String,
    "environment": pl.String,
    "team": pl.String,
    "user_id": pl.String,
    "session_id": pl.String,
    "error_type": pl.String,
    "ttft_us": pl.Int64,
    "prompt_tokens": pl.Int64,
    "completion_tokens": pl.Int64,
    "total_tokens": pl.Int64,
    "cached_tokens": pl.Int64,
    "reasoning_tokens": pl.Int64,
    "prompt_cost": pl.Int64,
    "completion_cost": pl.Int64,
    "total_cost": pl.Int64,
    "cost_source": pl.String,
    "unpriced_reason": pl.String,
    "tags": pl.List(pl.String),
}
_SCORES = {
    "project_id": pl.Int64,
    "id": pl.String,
    "name": pl.String,
    "data_type": pl.String,
    "value": pl.Float64,
    "label": pl.String,
    "trace_id": pl.String,
    "span_id": pl.String,
    "session_id": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
}


_projects: list[int] = []


def about(projects: Iterable[int]) -> None:
    """From now on read the rows of these projects."""
    _projects[:] = projects


def _read(table: str, columns: dict[str, Any]) -> pl.DataFrame:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE project_id = ANY(%s)", [_projects])
        rows = cursor.fetchall()
    return pl.DataFrame(rows, schema=columns, orient="row")


def spans() -> pl.DataFrame:
    """Every stored span as it stands."""
    return _read("span", _COLUMNS).sort("start_time", "span_id")


def scores() -> pl.DataFrame:
    return _read("score", _SCORES)


def _of_trace(column: str) -> pl.Expr:
    """The root's value, else that of the first span which has one."""
    root = pl.col(column).filter(pl.col("parent_span_id").is_null()).first()
    return pl.coalesce(root, pl.col(column).drop_nulls().first()).alias(f"trace_{column}")


def resolved(every: pl.DataFrame | None = None) -> pl.DataFrame:
    """All spans with what they count for: their own user, session, environment, team and tags, else the trace's."""
    every = spans() if every is None else every
    of_traces = every.group_by("project_id", "trace_id", maintain_order=True).agg(*map(_of_trace, INHERITED))
    made = every.join(of_traces, on=["project_id", "trace_id"], how="left")
    taken = [pl.coalesce(column, f"trace_{column}").alias(column) for column in INHERITED]
    return made.with_columns(taken).with_columns(pl.col("environment").fill_null("default"))


def billable(every: pl.DataFrame | None = None) -> pl.DataFrame:
    """The requests: what every count, latency, token and cost sums."""
    return resolved(every).filter("billable")


def traces(every: pl.DataFrame | None = None) -> pl.DataFrame:
    """One row a trace, as the contract words it."""
    every = spans() if every is None else every
    end = pl.col("start_time") + pl.duration(microseconds=pl.col("duration_us"))
    root = pl.col("parent_span_id").is_null()
    begun = pl.coalesce(pl.col("start_time").filter(root).min(), pl.col("start_time").min())
    sums = [
        pl.when(pl.col(name).filter("billable").count() > 0)
        .then(pl.col(name).filter("billable").sum())
        .otherwise(None)
        .alias(name)
        for name in (
            "total_cost",
            "prompt_cost",
            "completion_cost",
            "total_tokens",
            "prompt_tokens",
            "completion_tokens",
        )
    ]
    return every.group_by("project_id", "trace_id", maintain_order=True).agg(
        pl.col("start_time").min().alias("first_start"),
        end.max().alias("end_time"),
        (end.max() - begun).dt.total_microseconds().alias("duration"),
        pl.col("name").filter(root).first().alias("name"),
        pl.col("status").filter(root).first().alias("status"),
        pl.len().alias("spans"),
        pl.col("billable").sum().alias("requests"),
        (pl.col("status") == "error").sum().alias("errors"),
        pl.col("model").filter("billable").drop_nulls().unique().sort().alias("models"),
        pl.col("provider").filter("billable").drop_nulls().unique().sort().alias("providers"),
        *map(_of_trace, INHERITED),
        *sums,
    )


def nearest_rank(values: pl.Series, percent: int) -> int:
    """The smallest value that at least so many percent of the values do not exceed."""
    ordered = values.drop_nulls().sort()
    return int(ordered[-(-len(ordered) * percent // 100) - 1])
