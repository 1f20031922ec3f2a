"""The proof of an export: three independent sums of the same snapshot, compared field by field.

`sql` is what SQL over raw spans says the export must add up to, before anything is written; `written` is what the
rows that went into the file add up to; `engine` is what the metrics engine answers to the same question. Money is
compared in picodollars, so there is no tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from apps.exports.failures import NotProven
from apps.exports.totals import Totals

# What the metrics engine knows: it counts billable spans, whatever the rows of the file are.
ENGINE_FIELDS = ("requests", "total_cost", "total_tokens")
ALL_FIELDS = tuple(item.name for item in fields(Totals))


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
        compared = {
            "sql": [name for name in ALL_FIELDS if not isinstance(self.sql, str) and _known(self.sql, name)],
            "engine": [] if isinstance(self.engine, str) else list(ENGINE_FIELDS),
        }
        return {
            "written": self.written.shown(),
            **{name: None if isinstance(side, str) else side.shown() for name, side in sides.items()},
            "compared": compared,
            "not_compared": {name: side for name, side in sides.items() if isinstance(side, str)},
        }


def _known(side: Totals, name: str) -> bool:
    """Whether a side has this figure at all: of rows and of sums over all spans, None means that it has not."""
    return name in ENGINE_FIELDS or getattr(side, name) is not None


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
    if not isinstance(sql, str):
        names = [name for name in ALL_FIELDS if name != "rows" or sql.rows is not None]
        found += _differences(written, sql, names, "the spans say")
    if not isinstance(engine, str):
        found += _differences(written, engine, ENGINE_FIELDS, "the metrics say")
    if found:
        raise NotProven(f"The file is not what the database says it must be: {'; '.join(found)}.")
    return Proof(written, sql, engine)


def _differences(written: Totals, other: Totals, names: tuple[str, ...] | list[str], who: str) -> list[str]:
    ours, theirs = written.shown(), other.shown()
    made = []
    for name in names:
        if getattr(written, name) != getattr(other, name):
            shown = name if name in ours else f"{name}_usd"
            made.append(f"{shown} is {ours[shown]} where {who} {theirs[shown]}")
    return made
