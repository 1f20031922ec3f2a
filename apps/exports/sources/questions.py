"""Exports of what the metrics engine answers: its rows, window by window, with what proves them in every row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from apps.exports.failures import ExportFailed, NotProven
from apps.exports.sources import raw
from apps.exports.sources.base import Cursor
from apps.exports.sources.base import Row as Cells
from apps.exports.sources.sums import AnswerSums, hull, proving
from apps.exports.sources.windows import windows
from apps.exports.spec import MAX_ROWS, Column, ExportSpec
from apps.exports.totals import Totals
from apps.metrics.finish import Row
from apps.metrics.runner import Answer
from apps.metrics.spec import Filter, MetricRef, QuerySpec
from apps.metrics.state import Range, read_state
from apps.traces.current import raw_floors

BATCH: Final = 2_000
_IDS = ("user_id", "session_id")
# No value of any dimension: a condition with it holds for all spans and still has cells read that know the dimension.
_NOBODY: Final = "no value is this one 9d1f6c1e-5f0d-4d0b-9d6a-3f4f1a2b7c11"
Group = tuple[Any, ...]


class QuestionSource:
    """Rows of an answer of the metrics engine: by time, then by the groups' texts; what has no group comes last.

    Args:
        query: the question; its fill is done here, over all windows.
        columns: all that a row may have; the spec's fields choose among them.
        made: a row of the file's values by name, from one of the engine's.
    """

    def __init__(
        self,
        spec: ExportSpec,
        query: QuerySpec,
        columns: Iterable[Column],
        made: Callable[[Row], Mapping[str, Any]] = lambda row: row,
    ) -> None:
        by_name = {column.name: column for column in columns}
        self.spec, self.columns = spec, tuple(by_name[name] for name in spec.fields)
        self.truncated = False
        self.about: dict[str, Any] = {}
        self._made, self.query = made, query
        self._proving = proving(query.metrics)
        hidden = [ref for ref in self._proving.every if ref not in query.metrics]
        self._query = replace(query, metrics=(*query.metrics, *hidden), limit=None, having=(), sort=())
        sources = {ref.formula.source for ref in query.metrics}
        # Every group with requests is a row, unless nothing but percentiles or scores is asked for.
        self._all_rows = bool(sources & {"components", "distinct"}) or not (query.group_by or query.interval)
        self._raw_whole = False
        self._rows, self._sums = 0, AnswerSums(self._proving)
        self._answered: list[Range] = []  # what all values are of: nothing yet, or one range

    # What the export must add up to

    def counted(self, cursor: Cursor) -> Totals | str:
        """Rows and sums by SQL over raw spans, or why they cannot be had."""
        floors = raw_floors(cursor, self._query.project_ids)
        kept = max(read_state(cursor, self._query).raw_from, *floors.values())
        self._raw_whole = self.spec.start >= kept
        limit = self.spec.limit
        if not self._proving.spans:
            return self._counted_scores(cursor)
        if not self._raw_whole:
            return f"Raw spans are kept since {kept:%Y-%m-%dT%H:%M:%SZ}; older rows are made of what is kept of them."
        plain = self._all_rows and not self._proving.scores
        valued = () if self._all_rows else _measured(self.query.metrics)
        if limit is not None and not (plain and self._query.fill == "none"):
            return "With a limit, the first rows of such a question are not counted over raw spans."
        found = raw.totals(
            cursor,
            self._query,
            columns=self._proving.columns,
            rows=not self._proving.scores,
            limit=limit,
            valued=valued,
        )
        if limit is None and found.rows is not None and found.rows > MAX_ROWS:
            raise ExportFailed(f"The export has {found.rows} rows; at most {MAX_ROWS} without a limit.")
        if self._proving.scores and not self._query.filters:
            found = replace(
                found, scores=raw.scores(cursor, self._query, [ref.formula.id for ref in self._proving.scores])
            )
        return found

    def _counted_scores(self, cursor: Cursor) -> Totals | str:
        if self._query.filters or self.spec.limit is not None:
            return "Scores with filters or a limit are not counted apart from the metrics engine."
        names = [ref.formula.id for ref in self._proving.scores]
        return Totals(None, None, None, None, scores=raw.scores(cursor, self._query, names))

    def written(self) -> Totals:
        """By the values in the rows given out."""
        return self._sums.totals(self._rows)

    def engine(self, cursor: Cursor) -> Totals | str:
        """The same question without groups; in one piece, unless it reaches back to where cells are all there is."""
        if self.truncated:
            return "The limit left rows out, and the metrics engine answers for all of them."
        bounds = self._sums.range or [(self.spec.start, self.spec.end)]
        whole = replace(
            self._query,
            start=bounds[0][0],
            end=bounds[0][1],
            interval=None if self._raw_whole else self._query.interval,
            group_by=(),
            fill="none",
            metrics=self._proving.every,
            filters=(*self._query.filters, *self._of_the_same_cells()),
        )
        sums = AnswerSums(self._proving)
        for _, made in windows(cursor, whole):
            sums.note(made.plan)
            for row in made.rows:
                sums.add(row)
        if self._sums.range != sums.range:
            return "Of the oldest part only coarser cells are kept, which answer for another range without groups."
        return sums.totals()

    def _of_the_same_cells(self) -> tuple[Filter, ...]:
        """Conditions that all spans meet. What is older than raw spans is answered from the cells of users or sessions.

        Of a user who was deleted these hold nothing any more, where the other cells keep the sums.
        """
        names = [name for name in _IDS if name in self._query.dimensions]
        return () if self._raw_whole else tuple(Filter(name, "ne", (_NOBODY,)) for name in names)

    # The rows

    def batches(self, cursor: Cursor) -> Iterator[Sequence[Cells]]:
        """All rows in the file's order, a window at a time; an empty batch where a window has none."""
        groups = self._groups(cursor) if self._query.fill != "none" and self._query.interval else None
        limit = self.spec.limit
        most = MAX_ROWS if limit is None else limit
        for part, made in windows(cursor, self._query):
            self._note(made)
            yield ()
            for rows in _batched(self._ordered(part, made, groups)):
                taken = rows[: most - self._rows]
                if len(taken) < len(rows):
                    if limit is None:
                        raise ExportFailed(
                            f"The export has more than {MAX_ROWS} rows; at most that many without a limit."
                        )
                    self.truncated = True
                batch = []
                for row in taken:
                    self._sums.add(row)
                    batch.append(self._cells(self._made(row)))
                self._rows += len(batch)
                yield batch
                if self.truncated:
                    return

    def _cells(self, values: Mapping[str, Any]) -> Cells:
        """A row of the file. The engine says 0 of money, too, where there is nothing to add up."""
        return [
            Decimal(values[column.name]) if column.type == "usd" and values[column.name] == 0 else values[column.name]
            for column in self.columns
        ]

    def _ordered(self, part: QuerySpec, made: Answer, groups: Sequence[Group] | None) -> Iterator[Row]:
        """The window's rows as the file has them."""
        rows = []
        for row in made.rows:
            if self._has_values(row):
                rows.append(row)
            else:
                self._sums.add(row)  # asked for alone to prove the others
        if groups is not None:
            yield from self._filled(part, rows, groups)
            return
        rows.sort(
            key=lambda row: (
                (row.get("timestamp"), _rank(self._group(row))) if part.interval else _rank(self._group(row))
            )
        )
        yield from rows

    def _has_values(self, row: Row) -> bool:
        """Whether the engine would answer this row without what is asked for to prove the others."""
        if self._all_rows:
            return True
        return any(
            row[ref.alias] is not None for ref in self.query.metrics if ref.formula.source == "percentile"
        ) or any(row[ref.alias] for ref in self._proving.scores)

    def _group(self, row: Row) -> Group:
        return tuple(row[name] for name in self._query.group_by)

    def _groups(self, cursor: Cursor) -> list[Group]:
        """All groups of the whole range: gaps of each are filled from the first bucket on."""
        whole = replace(self._query, interval=None, fill="none")
        found = {self._group(row) for _, made in windows(cursor, whole) for row in made.rows if self._has_values(row)}
        if not self._query.group_by:
            found = {()}
        rows = len(found) * len(self._query.buckets.starts) if self._query.buckets else len(found)
        if self.spec.limit is None and rows > MAX_ROWS:
            raise ExportFailed(f"Filled, the export has {rows} rows; at most {MAX_ROWS} without a limit.")
        return sorted(found, key=_rank)

    def _filled(self, part: QuerySpec, rows: Sequence[Row], groups: Sequence[Group]) -> Iterator[Row]:
        """Every group in every bucket."""
        if part.buckets is None:
            raise TypeError("gaps are between buckets")
        zero = self._query.fill == "zero"
        blank = {ref.alias: _zero(ref) if zero else None for ref in self._query.metrics}
        found = {(row["timestamp"], self._group(row)): row for row in rows}
        for start in part.buckets.starts:
            for group in groups:
                row = found.pop((start, group), None)
                named = dict(zip(self._query.group_by, group, strict=True))
                yield {"timestamp": start, **named, **blank} if row is None else row
        if found:
            raise NotProven("A bucket has a group that the whole range has not.")

    def _note(self, made: Answer) -> None:
        """What the manifest says of how the windows were answered."""
        chosen = made.plan
        self._sums.note(chosen)
        self._answered = hull([*self._answered, (chosen.start, chosen.end)])
        known = self.about.get("data_source", [])
        self.about["data_source"] = [*known, *(name for name in chosen.sources if name not in known)]
        self.about["percentile_error"] = max(self.about.get("percentile_error", 0), chosen.percentile_error)
        edges = zip(("start_time", "end_time"), self._answered[0], strict=True)
        self.about["range"] = {name: f"{edge:%Y-%m-%dT%H:%M:%S.%fZ}" for name, edge in edges}


def _measured(metrics: Sequence[MetricRef]) -> tuple[str, ...]:
    """The columns of spans of which some must have a value for a row to be there."""
    names = {"latency": "duration_us", "ttft": "ttft_us"}
    return tuple(dict.fromkeys(names[ref.formula.value] for ref in metrics if ref.formula.value))


def _batched(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _rank(group: Group) -> tuple[tuple[bool, str], ...]:
    """Texts by code point; what has no value comes last."""
    return tuple((value is None, value or "") for value in group)


def _zero(ref: MetricRef) -> int | float | Decimal:
    output = ref.formula.output
    return 0 if output == "integer" else Decimal() if output == "usd" else 0.0
