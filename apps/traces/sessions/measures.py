"""Reading the conversations that began in a range as cells that add up: stored hours, and what they miss, aggregated.

Whole hours come from `session_cell`; the parts of hours at the edges, and everything where a condition is asked for
that cells do not hold, from the rows of `session`. A conversation that was touched since the last refresh is taken out
of its stored hour as it was (its cells count -1) and put in as it is now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from apps.traces.schema import EPOCH
from apps.traces.sessions.cells import COLUMNS, ENVIRONMENT, HOUR, aggregate
from apps.traces.sessions.current import SessionSource, relation

HOUR_LENGTH = timedelta(hours=1)
_RANGE = "x.first_start >= %({0})s AND x.first_start < %({1})s"
_CELL = ", ".join(f"c.{name}" for name in COLUMNS)
_TOUCHED = """(
    SELECT x.* FROM session_touched d CROSS JOIN LATERAL (
        SELECT * FROM session x WHERE x.project_id = d.project_id AND x.session_id = d.session_id OFFSET 0
    ) x
) x"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The conversations that are meant.

    Args:
        starts: the first moments of the buckets that figures are wanted for.
        whole_hours: the buckets consist of whole hours of UTC.
    """

    start: datetime
    end: datetime
    starts: tuple[datetime, ...]
    whole_hours: bool
    users: tuple[str, ...] | None = None
    environments: tuple[str, ...] | None = None

    @property
    def conditions(self) -> str:
        users = " AND x.user_id = ANY(%(wanted_users)s::text[])" if self.users is not None else ""
        places = f" AND {ENVIRONMENT} = ANY(%(wanted_environments)s::text[])" if self.environments is not None else ""
        return users + places

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "range_start": self.start,
            "range_end": self.end,
            "wanted_starts": list(self.starts),
            "wanted_users": list(self.users or ()),
            "wanted_environments": list(self.environments or ()),
        }


_BUCKET = "(%(wanted_starts)s::timestamptz[])[width_bucket(x.first_start, %(wanted_starts)s::timestamptz[])]"


def cells(cursor: Any, source: SessionSource, wanted: Wanted) -> list[tuple[Any, ...]]:
    """(sign, a moment in the bucket, then `COLUMNS`) of cells that add up to the range."""
    low = wanted.start + (EPOCH - wanted.start) % HOUR_LENGTH
    high = wanted.end - (wanted.end - EPOCH) % HOUR_LENGTH
    values = {**source.parameters, **wanted.parameters, "whole_low": low, "whole_high": high}
    if wanted.users is not None or not wanted.whole_hours or low >= high:
        rows = f"{relation(source, _RANGE.format('range_start', 'range_end') + wanted.conditions)} x"
        parts = [_part(1, aggregate(rows, _BUCKET))]
    else:
        parts = _whole_hours(source, wanted, low, high)
    head = f"WITH {source.ctes}\n" if source.ctes else ""
    sql = head + "\nUNION ALL\n".join(parts)
    found: list[tuple[Any, ...]] = cursor.execute(sql.encode(), values, prepare=False, binary=True).fetchall()
    return found


def _part(sign: int, select: str) -> str:
    return f"(SELECT {sign}, p.* FROM ({select}) p)"


def _whole_hours(source: SessionSource, wanted: Wanted, low: datetime, high: datetime) -> list[str]:
    stored = " AND c.environment = ANY(%(wanted_environments)s::text[])" if wanted.environments is not None else ""
    parts = [
        f"(SELECT 1, c.bucket, {_CELL} FROM session_cell c WHERE c.project_id = ANY(%(current_projects)s)"
        f" AND c.bucket >= %(whole_low)s AND c.bucket < %(whole_high)s{stored})"
    ]
    for first, last, there in (
        ("range_start", "whole_low", wanted.start < low),
        ("whole_high", "range_end", high < wanted.end),
    ):
        if there:
            parts.append(
                _part(1, aggregate(f"{relation(source, _RANGE.format(first, last) + wanted.conditions)} x", HOUR))
            )
    if source.dirty:
        inside = f" WHERE {_RANGE.format('whole_low', 'whole_high')}{wanted.conditions}"
        parts.append(_part(1, aggregate(f"session_dirty x{inside}", HOUR)))
        parts.append(_part(-1, aggregate(f"{_TOUCHED}{inside}", HOUR)))
    return parts


def pending(
    cursor: Any, source: SessionSource, wanted: Wanted, cutoff: datetime
) -> Sequence[tuple[datetime, int, int]]:
    """(bucket, conversations, those whose last turn ended in error) of which the last turn ended after the cutoff."""
    where = f"{_RANGE.format('range_start', 'range_end')} AND x.end_time > %(cutoff)s AND x.last_end > %(cutoff)s"
    rows = relation(source, where + wanted.conditions)
    head = f"WITH {source.ctes}\n" if source.ctes else ""
    sql = f"{head}SELECT {_BUCKET}, count(*), count(*) FILTER (WHERE x.last_error) FROM {rows} x GROUP BY 1"
    values = {**source.parameters, **wanted.parameters, "cutoff": cutoff}
    found: list[tuple[datetime, int, int]] = cursor.execute(sql.encode(), values).fetchall()
    return found


def any_pending(cursor: Any, project_ids: Sequence[int], cutoff: datetime, end: datetime) -> bool:
    """Whether a figure that depends on the cutoff may change by time alone."""
    cursor.execute(
        "SELECT EXISTS (SELECT FROM span_mark WHERE project_id = ANY(%(projects)s)) OR EXISTS ("
        " SELECT FROM session x WHERE x.project_id = ANY(%(projects)s) AND x.end_time > %(cutoff)s"
        " AND x.last_end > %(cutoff)s AND x.first_start < %(end)s)",
        {"projects": list(project_ids), "cutoff": cutoff, "end": end},
    )
    return bool(cursor.fetchone()[0])
