"""Reading the spans of an export: counted first, then slice after slice in the file's order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings

from apps.exports.failures import ExportFailed
from apps.exports.sources.base import Cursor, Row
from apps.exports.sources.spans import engine, reading, statements
from apps.exports.sources.spans.columns import DECLARED
from apps.exports.sources.spans.question import condition_of
from apps.exports.sources.spans.statements import Slice
from apps.exports.sources.spans.sums import SpanSums
from apps.exports.spec import MAX_ROWS, ExportSpec
from apps.exports.totals import Totals
from apps.traces.current import Source, current_traces, raw_floors
from apps.traces.search.candidates import find, pending
from apps.traces.search.walk import last_start

_US: Final = timedelta(microseconds=1)
# Slices grow where there are few spans and shrink where there are many: what one of them sorts stays small.
FIRST_WIDTH: Final = timedelta(hours=1)
WIDEST: Final = timedelta(days=16)
NARROWEST: Final = timedelta(minutes=1)
FEW: Final = 50_000
MOST_CANDIDATES: Final = 20_000
MANY: Final = 400_000


@dataclass(frozen=True, slots=True)
class _Project:
    """A project, with what its current traces are read from.

    Args:
        touched: the first and the last start of spans of the traces that may say something else than their rows;
            None where no such trace has spans in the range.
        candidates: the traces that the index of words names; None where it was not asked or names too many.
    """

    source: Source
    whole: Slice
    touched: tuple[datetime, datetime] | None
    candidates: list[str] | None

    def source_of(self, part: Slice) -> Source:
        """What a slice's traces are read from: mostly their rows as they are, which is much cheaper."""
        if self.touched is not None and self.touched[0] < part.hi and part.lo <= self.touched[1]:
            return self.source
        return replace(self.source, ctes="")


class SpanSource:
    """One export's spans, in a snapshot."""

    def __init__(self, spec: ExportSpec) -> None:
        self.spec = spec
        self._declared = [DECLARED[name] for name in spec.fields]
        self.columns = tuple(made.column for made in self._declared)
        self._condition = condition_of(spec.question, (spec.start, spec.end))
        self._written = SpanSums()
        self.truncated = False

    def counted(self, cursor: Cursor) -> Totals:
        cursor.execute(statements.PREPARE)
        self._check_kept(cursor)
        sums = SpanSums()
        for project in self._projects(cursor):
            sums.add(self._count(cursor, project, project.whole))
        limit = self.spec.limit
        if limit is None and sums.rows > MAX_ROWS:
            raise ExportFailed(
                f"These are {sums.rows:,} spans and a file has at most {MAX_ROWS:,}. Ask for a shorter range, or for"
                " the first of them with limit."
            )
        self.truncated = limit is not None and sums.rows > limit
        return self._first_counted(cursor) if self.truncated else sums.totals

    def _first_counted(self, cursor: Cursor) -> Totals:
        sums = SpanSums()
        for project, part in self._slices(cursor, sums):
            sums.add(self._count(cursor, project, part, self._left(sums)))
        return sums.totals

    def batches(self, cursor: Cursor) -> Iterator[Sequence[Row]]:
        content = any(column.content for column in self.columns)
        for project, part in self._slices(cursor, self._written):
            sql, parameters = self._rows(project, part)
            for rows in reading.rows(cursor, sql, parameters, content=content):
                self._written.add_rows(rows)
                yield [row[statements.PROVING :] for row in rows]

    def has_lines(self, cursor: Cursor) -> bool:
        """Whether the server can COPY."""
        return getattr(settings, "WRITER_SINK", "copy") == "copy"

    def lines(self, cursor: Cursor) -> Iterator[tuple[bytes, int]]:
        """Ready lines of CSV, and how many rows they are."""
        for project, part in self._slices(cursor, self._written):
            sql, parameters = self._rows(project, part, lines=True)
            for prefixes, data in reading.lines(cursor, statements.copied(sql), parameters):
                self._written.add_prefixes(prefixes)
                yield data, len(prefixes)

    def written(self) -> Totals:
        return self._written.totals

    def engine(self, cursor: Cursor) -> Totals | str:
        _allow_loops(cursor, True)
        if self.truncated:
            return "Metrics count all requests, and the limit left rows out."
        floors = raw_floors(cursor, self.spec.project_ids)
        return engine.answered(cursor, self.spec, max(floors.values()))

    def _rows(self, project: _Project, part: Slice, *, lines: bool = False) -> tuple[str, dict[str, Any]]:
        left = self._left(self._written)
        source = project.source_of(part)
        sql = statements.rows(source, self._condition, self._declared, lines=lines, limited=left is not None)
        return sql, self._parameters(project, part, left)

    def _count(self, cursor: Cursor, project: _Project, part: Slice, left: int | None = None) -> Totals:
        source = project.source_of(part)
        _allow_loops(cursor, self._condition.traces and not source.dirty)
        sql = statements.counted(source, self._condition, limited=left is not None)
        cursor.execute(sql.encode(), self._parameters(project, part, left), prepare=False, binary=True)
        row = cursor.fetchone()
        assert row is not None
        return Totals(row[0], row[1], *(None if value is None else int(value) for value in row[2:]))

    def _left(self, sums: SpanSums) -> int | None:
        return None if self.spec.limit is None else self.spec.limit - sums.rows

    def _parameters(self, project: _Project, part: Slice, left: int | None) -> dict[str, Any]:
        return {
            **project.source.parameters,
            **self._condition.values,
            **part.parameters(self.spec.start, self.spec.end),
            "span_traces": list(self._condition.trace_ids or ()),
            "span_candidates": project.candidates,
            "span_limit": left,
        }

    def _projects(self, cursor: Cursor) -> Iterator[_Project]:
        bounds = (self.spec.start, self.spec.end)
        floors = raw_floors(cursor, self.spec.project_ids)
        for number, slug in self.spec.projects:
            source = current_traces(cursor, [number], within=bounds)
            last = self.spec.end
            if self._condition.traces:
                last = last_start(cursor, source, bounds)
            whole = Slice(number, slug, self.spec.start, last, floors[number], last)
            yield _Project(source, whole, self._touched(cursor, source, whole), self._candidates(cursor, whole))

    def _candidates(self, cursor: Cursor, whole: Slice) -> list[str] | None:
        query, projects = self._condition.anchor, [whole.project_id]
        if query is None:
            return None
        waiting = pending(cursor, projects, whole.lo)
        if waiting.covers(whole.lo, whole.hi):
            return None
        found = find(cursor, projects, query, dict(self._condition.values), whole.lo, whole.hi, MOST_CANDIDATES)
        return None if found is None else [*{*found, *waiting.traces}]

    def _touched(self, cursor: Cursor, source: Source, whole: Slice) -> tuple[datetime, datetime] | None:
        traced = self._condition.traces or self._condition.trace or any(made.of_trace for made in self._declared)
        if not traced or not source.dirty:
            return None
        sql = statements.TOUCHED.format(ctes=source.ctes).encode()
        parameters = {**source.parameters, **whole.parameters(self.spec.start, self.spec.end)}
        row = cursor.execute(sql, parameters, prepare=False, binary=True).fetchone()
        return (row[0], row[1]) if row is not None and row[0] is not None else None

    def _slices(self, cursor: Cursor, sums: SpanSums) -> Iterator[tuple[_Project, Slice]]:
        """Ranges of starts that have spans, in order; none after the last row that is asked for."""
        width = FIRST_WIDTH
        for project in self._projects(cursor):
            at, end = project.whole.lo, project.whole.hi
            while at < end and (left := self._left(sums)) != 0:
                whole = replace(project.whole, lo=at)
                parameters = self._parameters(project, whole, left)
                row = cursor.execute(statements.FIRST.encode(), parameters, prepare=False, binary=True).fetchone()
                if row is None or row[0] is None:
                    break
                before, at = sums.rows, row[0]
                part = replace(whole, lo=at, hi=min(at + width, end))
                _allow_loops(cursor, self._condition.traces and not project.source_of(part).dirty)
                yield project, part
                at, width = part.hi, _adapted(width, sums.rows - before)

    def _check_kept(self, cursor: Cursor) -> None:
        check_kept(cursor, self.spec.project_ids, self.spec.end)


def check_kept(cursor: Cursor, projects: Sequence[int], end: datetime) -> None:
    """Refuse a range of which nothing is kept any more: an empty file would not be true.

    Raises:
        ExportFailed: saying since when spans are kept.
    """
    since = min(raw_floors(cursor, projects).values(), default=None)
    if since is not None and end <= since:
        raise ExportFailed(f"Spans are kept since {since:%Y-%m-%d} and the range ends before.")


def _allow_loops(cursor: Cursor, allowed: bool) -> None:
    cursor.execute(statements.LOOPS.encode(), {"loops": "on" if allowed else "off"}, prepare=False)


def _adapted(width: timedelta, rows: int) -> timedelta:
    if rows > MANY:
        return max(width / 4, NARROWEST)
    return min(width * 4, WIDEST) if rows < FEW else width
