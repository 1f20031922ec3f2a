"""What the planner has to know of the rollups: how far they are built, and which minutes are dirty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from django.conf import settings

from apps.common.edge.deadline import TimedCursor
from apps.metrics.rollups import ROLLUPS
from apps.metrics.spec import QuerySpec
from apps.traces.attribution import attribution_dirty
from apps.traces.storage import raw_floor

Range = tuple[datetime, datetime]
NEVER = datetime(1970, 1, 1, tzinfo=UTC)

# Marks come one a batch and overlap a lot, so they are merged where they are.
_STATE = """
SELECT r.names, r.watermarks, m.lows, m.highs, p.days,
    EXISTS (SELECT 1 FROM span_mark WHERE project_id = ANY(%(projects)s::integer[]) AND inherited) AS marked
FROM (SELECT array_agg(rollup) AS names, array_agg(watermark) AS watermarks FROM rollup_state) r,
    (SELECT array_agg(lower(u.span)) AS lows, array_agg(upper(u.span)) AS highs FROM unnest((
        SELECT range_agg(tstzrange(lo, hi)) FROM (
            SELECT DISTINCT lo, hi FROM span_mark
            WHERE project_id = ANY(%(projects)s::integer[]) AND hi > %(start)s AND lo < %(end)s
        ) d
    )) AS u (span)) m,
    (SELECT min(raw_retention_days) AS days FROM orgs_project WHERE id = ANY(%(projects)s::integer[])) p
"""
_ESTIMATE = """
SELECT coalesce(sum(requests), 0)::bigint FROM usage_project_1h
WHERE project_id = ANY(%(projects)s::integer[]) AND bucket > %(start)s - interval '1 hour' AND bucket < %(end)s
"""


@dataclass(frozen=True, slots=True)
class RollupState:
    """One consistent view, read in the transaction of the query.

    Args:
        watermarks: per rollup: every bucket that ends at or before it has been built, or is empty.
        dirty: merged ranges of minutes whose cells may be wrong, ascending.
        attribution_dirty: the same for what spans take over from their traces; None where the question does not
            depend on it, or there are no marks at all.
        raw_from: raw spans are complete from here on.
        now: the time of the question.
        raw_estimate: about how many requests the asked projects have in the range; None where not asked.
        kept_days: per setting name, how many days those cells are kept.
    """

    watermarks: Mapping[str, datetime]
    dirty: tuple[Range, ...]
    attribution_dirty: tuple[Range, ...] | None
    raw_from: datetime
    now: datetime
    raw_estimate: int | None = None
    kept_days: Mapping[str, int] = field(default_factory=dict)

    def watermark(self, rollup: str) -> datetime:
        return self.watermarks.get(rollup, NEVER)

    def kept_from(self, setting: str) -> datetime:
        days = self.kept_days.get(setting)
        return NEVER if days is None else self.now - timedelta(days=days)


@dataclass(slots=True)
class _Seen:
    """What a snapshot has been asked for some projects, kept with its cursor: a report asks several questions in one.

    Args:
        start, end: the range whose marks are in `row`.
    """

    start: datetime
    end: datetime
    row: tuple[Any, ...]
    floor: datetime
    attributed: dict[tuple[str, ...], tuple[Range, ...]] = field(default_factory=dict)
    estimates: dict[Range, int] = field(default_factory=dict)


def read_state(cursor: psycopg.Cursor[Any], spec: QuerySpec) -> RollupState:
    """Read what the planner needs, in the transaction of the query."""
    now = datetime.now(UTC)
    seen = _seen(cursor, spec, now)
    names, watermarks, lows, highs, days, marked = seen.row
    # A mark outside the range may still touch a trace that reaches into it.
    attributed = _attribution(cursor, spec, seen) if marked and spec.involves_attribution else None
    dirty = zip(lows or (), highs or (), strict=True)
    return RollupState(
        watermarks=dict(zip(names or (), watermarks or (), strict=True)),
        dirty=tuple((low, high) for low, high in dirty if high > spec.start and low < spec.end),
        attribution_dirty=attributed,
        raw_from=seen.floor if days is None else max(seen.floor, now - timedelta(days=days)),
        now=now,
        raw_estimate=_estimate(cursor, spec, seen) if spec.wants_percentiles else None,
        kept_days={
            name: getattr(settings.HUB, name)
            for name in ("score_retention_days", *(rollup.retention for rollup in ROLLUPS.values()))
        },
    )


def _seen(cursor: psycopg.Cursor[Any], spec: QuerySpec, now: datetime) -> _Seen:
    """Read for the question's range and, since reports compare, the one before it."""
    notes = cursor.notes if isinstance(cursor, TimedCursor) else {}
    found: _Seen | None = notes.get(spec.project_ids)
    if found is None or spec.start < found.start or spec.end > found.end:
        start = spec.start - (spec.end - spec.start)
        asked = {"projects": list(spec.project_ids), "start": start, "end": spec.end}
        row = cursor.execute(_STATE, asked, prepare=False, binary=True).fetchone()
        found = notes[spec.project_ids] = _Seen(start, spec.end, row or (*(None,) * 5, False), raw_floor(now))
    return found


def _estimate(cursor: psycopg.Cursor[Any], spec: QuerySpec, seen: _Seen) -> int:
    span = (spec.start, spec.end)
    if span not in seen.estimates:
        asked = {"projects": list(spec.project_ids), "start": spec.start, "end": spec.end}
        row = cursor.execute(_ESTIMATE, asked, prepare=False, binary=True).fetchone()
        seen.estimates[span] = row[0] if row else 0
    return seen.estimates[span]


def _attribution(cursor: psycopg.Cursor[Any], spec: QuerySpec, seen: _Seen) -> tuple[Range, ...]:
    if spec.inherited not in seen.attributed:
        rows = attribution_dirty(cursor, list(spec.project_ids), spec.inherited)
        seen.attributed[spec.inherited] = tuple((low, high) for low, high in sorted((row[-2], row[-1]) for row in rows))
    return seen.attributed[spec.inherited]
