"""What a span takes over from its trace, resolved when it is read.

A billable span without a user, session, environment, team or tags of its own counts for its trace's. The `trace` table
knows those of every trace as of the last refresh. A trace with spans in marked minutes may have changed since, so
readers that must not miss anything compute its values from raw spans: `dirty_attr`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apps.traces.summary import INHERITED, Range, inherited_sql, spans_of

DEFAULT_ENVIRONMENT = "default"
_TRACE = "trace"
_LONG = "interval '1 hour'"  # as in the index `trace_long`


def _silent(wanted: Sequence[str]) -> str:
    return " OR ".join(f"s.{name} IS NULL" for name in wanted)


def _join(trace: str, wanted: Sequence[str]) -> str:
    """A span that says everything itself asks for no trace: looking one up costs ten times what reading a span does."""
    key = f"CASE WHEN {_silent(wanted)} THEN s.trace_id END"
    return f"LEFT JOIN {trace} t ON t.project_id = s.project_id AND t.trace_id = {key}"


def _traces_around(wanted: Sequence[str], span: str, projects: str, low: str, high: str) -> str:
    """A FROM item: the traces of the spans that start in a range, if any of these asks for one.

    Found by their times, which costs a fifth of looking up one after the other by their ids. The row of a trace covers
    all its spans but for those in marked minutes, whose traces are computed anew.
    """
    asked = f"EXISTS (SELECT FROM {span} AND ({_silent(wanted)}))"
    found = f"SELECT {', '.join(('t.project_id', 't.trace_id', *(f't.{name}' for name in wanted)))} FROM trace t"
    within = f"t.project_id = ANY({projects}) AND {asked}"
    usual = f"t.first_start >= {low} - {_LONG} AND t.first_start < {high}"
    earlier = f"t.first_start < {low} - {_LONG} AND t.last_start >= {low} AND t.last_start - t.first_start > {_LONG}"
    return f"({found} WHERE {within} AND {usual} UNION ALL {found} WHERE {within} AND {earlier})"


# Marks overlap a lot (one a batch): joined first, so that no span is looked at twice.
def _ctes(columns: Sequence[str]) -> str:
    """The traces with spans in marked minutes, with what they say now of these columns and what their rows say."""
    return f"""\
marked AS (
    SELECT m.project_id, lower(r.span) AS lo, upper(r.span) AS hi
    FROM (
        SELECT project_id, range_agg(tstzrange(lo, hi)) AS spans
        FROM (SELECT DISTINCT project_id, lo, hi FROM span_mark WHERE project_id = ANY(%s) AND inherited) d
        GROUP BY project_id
    ) m, unnest(m.spans) AS r (span)
), dirty_trace AS MATERIALIZED (
    SELECT u.project_id, u.trace_id, least(u.lo, t.first_start) AS lo, greatest(u.hi, t.last_start) AS hi,
        t.trace_id IS NOT NULL AS known, t.first_start, t.last_start,
        {", ".join(f"t.{column} AS old_{column}" for column in columns)}
    FROM (
        SELECT m.project_id, s.trace_id, min(s.start_time) AS lo, max(s.start_time) AS hi
        FROM marked m CROSS JOIN LATERAL (
            SELECT s.trace_id, s.start_time FROM span s
            WHERE s.project_id = m.project_id AND s.start_time >= m.lo AND s.start_time < m.hi
            OFFSET 0
        ) s
        GROUP BY m.project_id, s.trace_id
    ) u
    LEFT JOIN trace t ON t.project_id = u.project_id AND t.trace_id = u.trace_id
), dirty_attr AS MATERIALIZED (
    SELECT b.project_id, b.trace_id, b.known, b.first_start, b.last_start,
        {", ".join(f"b.old_{column}" for column in columns)}, a.*
    FROM dirty_trace b CROSS JOIN LATERAL (
        SELECT {", ".join(f"{inherited_sql(column)} AS {column}" for column in columns)}
        FROM span s
        WHERE {spans_of("b")}
    ) a
)"""


def dirty_minutes(wanted: Sequence[str]) -> str:
    """The statement of `attribution_dirty`; its parameter is the list of project ids."""
    now, before = ", ".join(wanted), ", ".join(f"old_{column}" for column in wanted)
    return f"""
WITH {_ctes(wanted)}
SELECT project_id, date_trunc('minute', first_start, 'UTC'),
    date_trunc('minute', last_start, 'UTC') + interval '1 minute'
FROM dirty_attr
WHERE known AND ROW({now}) IS DISTINCT FROM ROW({before})
"""


@dataclass(frozen=True, slots=True)
class Resolved:
    """Text for a statement over raw spans with resolved dimensions.

    Args:
        ctes: what goes after WITH (empty where nothing is needed). It holds one placeholder, the list of project ids.
        joins: what follows `span s` after FROM.
        columns: the resolved expression for each inherited column. `environment` is never NULL.
    """

    ctes: str
    joins: str
    columns: dict[str, str]

    @property
    def source(self) -> str:
        """What goes after FROM: `span s` and its joins."""
        return f"span s {self.joins}".rstrip()

    def joins_within(self, span: str, projects: str, low: str, high: str) -> str:
        """The joins for spans that start from `low` up to, not with, `high`.

        Args:
            span: what goes after FROM to read just these spans as `s`, up to its WHERE.
            projects: an array of their projects.
        """
        around = _traces_around(tuple(self.columns), span, projects, low, high)
        return self.joins.replace(_TRACE, around, 1)


def _column(name: str, dirty: bool) -> str:
    of_trace = f"CASE WHEN a.trace_id IS NULL THEN t.{name} ELSE a.{name} END" if dirty else f"t.{name}"
    default = f", '{DEFAULT_ENVIRONMENT}'" if name == "environment" else ""
    return f"coalesce(s.{name}, {of_trace}{default})"


def resolved_from(dirty: bool, wanted: Sequence[str] = INHERITED) -> Resolved:
    """How to read raw spans with what they take over from their traces.

    Args:
        dirty: right whatever has been written since the last refresh (needed while there are marks); otherwise
            right only where no trace has changed since.
        wanted: those of `INHERITED` that the statement reads.
    """
    columns = {name: _column(name, dirty) for name in wanted}
    if not dirty:
        return Resolved("", _join(_TRACE, wanted), columns)
    join = "LEFT JOIN dirty_attr a ON a.project_id = s.project_id AND a.trace_id = s.trace_id"
    return Resolved(_ctes(wanted), f"{_join(_TRACE, wanted)} {join}", columns)


def attribution_dirty(cursor: Any, project_ids: list[int], wanted: Sequence[str] = INHERITED) -> list[Range]:
    """Minutes whose cells are wrong since a trace in marked minutes now says something else than its row.

    Only of the columns `wanted`, some of `INHERITED`, and at least one.

    The marked minutes themselves are not listed again.
    """
    cursor.execute(dirty_minutes(wanted), [project_ids])
    rows: list[Range] = cursor.fetchall()
    return rows
