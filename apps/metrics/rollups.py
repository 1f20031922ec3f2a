"""The rollups, as data: which cells exist, what they hold, what they are built from, how long they are kept.

Both compilers (plain tables, continuous aggregates), the refresh, the planner and the migration's drift check read
this declaration. Cells hold billable spans only; `environment`, `team`, `user_id`, `session_id` and tags in cells are
resolved through the trace, and `environment` is then 'default' where neither says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from apps.metrics.components import ERROR_COMPONENTS, ID_COMPONENTS, UNPRICED_COMPONENTS, USAGE_COMPONENTS, Component

Kind = Literal["usage", "users", "sessions", "latency", "ttft", "errors", "tags", "unpriced"]
Level = Literal["1m", "15m", "1h", "1d"]

WIDTHS: dict[Level, timedelta] = {
    "1m": timedelta(minutes=1),
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
}
DIMENSIONS: tuple[str, ...] = ("project_id", "provider", "model", "environment", "status", "kind", "team")
PROJECT_ONLY: tuple[str, ...] = ("project_id",)
# A span counts once for each of its tags, so these cells add up for one tag and not over tags: they hold fewer
# dimensions than others. Spans without tags have a cell whose tag is NULL. `tag_again` is NULL but for a tag whose key
# (the text before its first colon) an earlier tag of the span has too: without those a key's tags do add up.
TAG_DIMENSIONS: tuple[str, ...] = ("project_id", "provider", "model", "environment")
TAG_IDS: tuple[str, ...] = ("tag", "tag_again")
DEFAULT_ENVIRONMENT = "default"
RAW = "raw"


@dataclass(frozen=True, slots=True)
class Rollup:
    """One table of cells, keyed by (bucket, dimensions, ids); the name is the table's.

    Args:
        level: the width of its buckets, which are aligned to UTC.
        source: the finer rollup it can be built from, or "raw".
        ids: the column beyond the dimensions (`user_id`, `session_id`, `error_type`, `tag`, `unpriced_reason`). NULL
            is a value like any other, so that the groups of an answer add up to the whole; distinct counts leave it
            out.
        components: what a cell holds; empty for histograms, which hold `bins integer[]` (ascending) and
            `counts bigint[]` of `value`.
        value: the raw column a histogram bins.
        where: a condition beyond `billable` on the raw spans (alias `s`) that count.
        retention: the setting (settings.HUB) that says how many days cells are kept.
    """

    name: str
    kind: Kind
    level: Level
    source: str
    dimensions: tuple[str, ...]
    retention: str
    ids: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()
    value: str | None = None
    where: str | None = None

    @property
    def width(self) -> timedelta:
        return WIDTHS[self.level]

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that name a cell."""
        return ("bucket", *self.dimensions, *self.ids)


def _usage() -> list[Rollup]:
    levels: list[tuple[Level, str, str]] = [
        ("1m", RAW, "rollup_1m_retention_days"),
        ("15m", "usage_1m", "rollup_1h_retention_days"),
        ("1h", "usage_15m", "rollup_1h_retention_days"),
        ("1d", "usage_1h", "rollup_1d_retention_days"),
    ]
    return [
        Rollup(f"usage_{level}", "usage", level, source, DIMENSIONS, retention, components=USAGE_COMPONENTS)
        for level, source, retention in levels
    ]


def _hour_and_day(
    prefix: str,
    kind: Kind,
    sources: tuple[str, str],
    dimensions: tuple[str, ...],
    hour_retention: str,
    *,
    ids: tuple[str, ...] = (),
    components: tuple[Component, ...] = (),
    value: str | None = None,
    where: str | None = None,
) -> list[Rollup]:
    levels: list[tuple[Level, str, str]] = [
        ("1h", sources[0], hour_retention),
        ("1d", sources[1], "rollup_1d_retention_days"),
    ]
    return [
        Rollup(f"{prefix}_{level}", kind, level, source, dimensions, retention, ids, components, value, where)
        for level, source, retention in levels
    ]


def _with_ids(prefix: str, kind: Kind, column: str) -> list[Rollup]:
    keep = "cells_1h_retention_days"
    ids = (column,)
    return [
        *_hour_and_day(prefix, kind, (RAW, f"{prefix}_1h"), DIMENSIONS, keep, ids=ids, components=ID_COMPONENTS),
        *_hour_and_day(
            f"{prefix}_project",
            kind,
            (f"{prefix}_1h", f"{prefix}_project_1h"),
            PROJECT_ONLY,
            keep,
            ids=ids,
            components=ID_COMPONENTS,
        ),
    ]


def _histogram(prefix: str, kind: Kind, column: str) -> list[Rollup]:
    keep = "rollup_1h_retention_days"
    where = f"s.{column} IS NOT NULL"
    narrow = (f"{prefix}_1h", f"{prefix}_project_1h")
    return [
        *_hour_and_day(prefix, kind, (RAW, f"{prefix}_1h"), DIMENSIONS, keep, value=column, where=where),
        *_hour_and_day(f"{prefix}_project", kind, narrow, PROJECT_ONLY, keep, value=column, where=where),
    ]


ROLLUPS: dict[str, Rollup] = {
    rollup.name: rollup
    for rollup in (
        *_usage(),
        *_hour_and_day(
            "usage_project",
            "usage",
            ("usage_1h", "usage_project_1h"),
            PROJECT_ONLY,
            "rollup_1h_retention_days",
            components=USAGE_COMPONENTS,
        ),
        *_with_ids("users", "users", "user_id"),
        *_with_ids("sessions", "sessions", "session_id"),
        *_histogram("latency", "latency", "duration_us"),
        *_histogram("ttft", "ttft", "ttft_us"),
        *_hour_and_day(
            "errors",
            "errors",
            (RAW, "errors_1h"),
            DIMENSIONS,
            "rollup_1h_retention_days",
            ids=("error_type",),
            components=ERROR_COMPONENTS,
            where="s.status = 'error'",
        ),
        *_hour_and_day(
            "tags",
            "tags",
            (RAW, "tags_1h"),
            TAG_DIMENSIONS,
            "cells_1h_retention_days",
            ids=TAG_IDS,
            components=ID_COMPONENTS,
        ),
        *_hour_and_day(
            "unpriced",
            "unpriced",
            (RAW, "unpriced_1h"),
            DIMENSIONS,
            "rollup_1h_retention_days",
            ids=("unpriced_reason",),
            components=UNPRICED_COMPONENTS,
            where="s.unpriced_reason IS NOT NULL",
        ),
    )
}
