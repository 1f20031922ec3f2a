"""The proof of an export: three independent sums of the same snapshot, compared field by field.

`sql` is what SQL over raw spans says the export must add up to, before anything is written; `written` is what the
rows that went into the file add up to; `engine` is what the metrics engine answers to the same question. Money is
compared in picodollars, so there is no tolerance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from apps.exports.failures import NotProven
from apps.exports.totals import Totals, shown_name

# What the metrics engine knows: it counts billable spans, whatever the rows of the file are.
ENGINE_FIELDS = ("requests", "total_cost", "total_tokens", "scores")
ALL_FIELDS = tuple(item.name for item in fields(Totals) if item.name != "columns")
# Figures that a side may not have; of all others None is a value: nobody knows what these requests cost.
OPTIONAL = ("rows", "scores")


@dataclass(frozen=True, slots=True)
class Proof:
    """What was compared and how it came out: made only where everything that could be compared agrees.

    Args:
        sql, engine: the sums of that side, or why there are none.
    """

    written: Totals
    sql: Totals | str
    engine: Totals | str

    def shown(self) -> dict[str, Any]:
        """As the manifest has it."""
        sides = {"sql": self.sql, "engine": self.engine}
        missing = {name: side for name, side in sides.items() if isinstance(side, str)}
        if not isinstance(self.sql, str) and self.sql.rows is None:
            missing["sql.rows"] = "Rows that scores alone make are not counted over raw spans."
        return {
            "written": self.written.shown(),
            **{name: None if isinstance(side, str) else side.shown() for name, side in sides.items()},
            "compared": {
                "sql": [
                    *(shown_name(name) for name in _named(self.sql, ALL_FIELDS) if self._has(name)),
                    *_columns(self.sql),
                ],
                "engine": [
                    *(shown_name(name) for name in _named(self.engine, ENGINE_FIELDS) if self._has(name)),
                    *_columns(self.engine),
                ],
            },
            "not_compared": missing,
        }

    def _has(self, name: str) -> bool:
        """Whether the export has this figure: a cost or tokens that nobody knows are a figure where there are spans."""
        spans = name in ("total_cost", "total_tokens") and self.written.requests is not None
        return spans or getattr(self.written, name) is not None


def _named(side: Totals | str, names: Sequence[str]) -> list[str]:
    """The figures that a side is compared in."""
    if isinstance(side, str):
        return []
    return [name for name in names if name not in OPTIONAL or getattr(side, name) is not None]


def _columns(side: Totals | str) -> list[str]:
    return [] if isinstance(side, str) else list(side.columns)


def prove(*, sql: Totals | str, engine: Totals | str, written: Totals, file_rows: int) -> Proof:
    """Compare everything that can be compared.

    Args:
        file_rows: how many rows the finished file has, by the count of whatever wrote it.

    Raises:
        NotProven: two sides differ; the message names the figures of both.
    """
    found = []
    if written.rows != file_rows:
        found.append(f"the file has {file_rows} rows where {written.rows} were read")
    found += _differences(written, sql, ALL_FIELDS, "the spans say")
    found += _differences(written, engine, ENGINE_FIELDS, "the metrics say")
    if found:
        raise NotProven(f"The file is not what the database says it must be: {'; '.join(found)}.")
    return Proof(written, sql, engine)


def _differences(written: Totals, other: Totals | str, names: Sequence[str], who: str) -> list[str]:
    if isinstance(other, str):
        return []
    ours, theirs = written.shown(), other.shown()
    made = []
    for name in _named(other, names):
        if getattr(written, name) != getattr(other, name):
            shown = shown_name(name)
            made.append(f"{shown} is {ours[shown]} where {who} {theirs[shown]}")
    for name, theirs_of in other.columns.items():
        if written.columns.get(name) != theirs_of:
            made.append(f"{name} is {written.columns.get(name)} where {who} {theirs_of}")
    return made
