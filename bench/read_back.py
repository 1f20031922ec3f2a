"""Export awkward spans from a real database, read every file with libraries of others, compare every cell.

    python -m bench.read_back [--rows 1000000] [--formats csv,parquet] [--compressions gzip,zstd]

A hub of its own is filled with spans whose texts break formats and whose numbers are at their edges (bench.awkward),
all columns are exported in each format, and each file is read back row by row beside a plain SELECT of the same spans.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from apps.exports.spec import COMPRESSIONS, FORMATS, Column, ExportSpec
from bench import readers
from bench.awkward import load_awkward
from bench.exporting import exported, set_up, spec_of
from bench.hub import Hub, running_hub
from bench.queries import fold

# The bits of `flags`, written down once more.
FLAGS = (
    *("time_repaired", "dimension_cut", "content_cut", "attributes_cut", "text_repaired", "exclusive_usage"),
    *("tokens_estimated", "number_dropped", "redacted", "content_off"),
)
# The dimensions of the root hold for spans of its trace that have none.
SELECT = """
SELECT p.slug AS project, s.*, r.user_id AS root_user, r.session_id AS root_session, r.environment AS root_environment,
    r.team AS root_team, r.tags AS root_tags, c.input, c.output, s.usage::text AS usage_text,
    s.labels::text AS labels_text, c.attributes::text AS attributes_text, c.events::text AS events_text
FROM span s
JOIN orgs_project p ON p.id = s.project_id
LEFT JOIN span r ON r.project_id = s.project_id AND r.trace_id = s.trace_id AND r.span_id = s.parent_span_id
LEFT JOIN span_content c ON c.project_id = s.project_id AND c.trace_id = s.trace_id AND c.span_id = s.span_id
    AND c.start_time = s.start_time
WHERE s.project_id = %s
ORDER BY s.start_time, s.trace_id, s.span_id
"""
Stored = Mapping[str, Any]


def _usd(name: str) -> Callable[[Stored], Any]:
    return lambda row: None if row[name] is None else Decimal(row[name]).scaleb(-12)


def _ms(name: str) -> Callable[[Stored], Any]:
    return lambda row: None if row[name] is None else row[name] / 1000


def _inherited(name: str, root: str, default: Any = None) -> Callable[[Stored], Any]:
    def value(row: Stored) -> Any:
        return next((found for found in (row[name], row[root]) if found is not None), default)

    return value


def _text(name: str) -> Callable[[Stored], Any]:
    return lambda row: row[f"{name}_text"]


WORKED_OUT: dict[str, Callable[[Stored], Any]] = {
    "end_time": lambda row: row["start_time"] + timedelta(microseconds=row["duration_us"]),
    "duration_ms": _ms("duration_us"),
    "ttft_ms": _ms("ttft_us"),
    "user_id": _inherited("user_id", "root_user"),
    "session_id": _inherited("session_id", "root_session"),
    "environment": _inherited("environment", "root_environment", "default"),
    "team": _inherited("team", "root_team"),
    "tags": _inherited("tags", "root_tags", []),
    "flags": lambda row: [name for bit, name in enumerate(FLAGS) if row["flags"] >> bit & 1],
    **{f"{name}_usd": _usd(name) for name in ("prompt_cost", "completion_cost", "total_cost")},
    **{name: _text(name) for name in ("usage", "labels", "attributes", "events")},
}


def stored(
    connection: psycopg.Connection[Any], project_id: int, columns: Sequence[Column]
) -> Generator[list[Any], None, None]:
    """The rows as a plain SELECT gives them, a few thousand at a time."""
    makers = [WORKED_OUT.get(column.name, lambda row, name=column.name: row[name]) for column in columns]
    with connection.cursor("stored", row_factory=psycopg.rows.dict_row) as cursor:
        cursor.itersize = 2000
        cursor.execute(SELECT.encode(), [project_id])
        for row in cursor:
            yield [make(row) for make in makers]


def cut(value: Any, found: Any) -> Any:
    """What a cell of a sheet holds of a text that is too long for it."""
    if not isinstance(value, str) or len(value.encode("utf-16-le")) <= 2 * 32_767 or not isinstance(found, str):
        return value
    mark = f"\u2026 [cut: {len(value)} characters]"
    kept = found.removesuffix(mark)
    return kept + mark if value.startswith(kept) and len(found.encode("utf-16-le")) > 2 * 32_700 else value


@dataclass
class Compared:
    """What came out of one reading."""

    rows: int = 0
    cells: int = 0
    wrong: int = 0
    first: str = ""

    def add(self, columns: Sequence[Column], number: int, found: Sequence[Any], wanted: Sequence[Any]) -> None:
        self.rows += 1
        self.cells += len(columns)
        # True is 1 in Python: most rows are equal, and of them only what may be true or false is looked at again.
        if found == wanted and not any(
            isinstance(left, bool) != isinstance(right, bool)
            for column, left, right in zip(columns, found, wanted, strict=True)
            if column.type in ("boolean", "integer")
        ):
            return
        for column, left, right in zip(columns, found, wanted, strict=True):
            if left != right or isinstance(left, bool) != isinstance(right, bool):
                self.wrong += 1
                self.first = self.first or f"row {number}, {column.name}: {left!r:.200} instead of {right!r:.200}"


def compare(
    columns: Sequence[Column], read: readers.Reader, path: Path, rows: Iterator[list[Any]], *, sheet: bool
) -> Compared:
    """Every cell of a file beside every cell of the database."""
    made = Compared()
    found = read(path, columns)
    for number, row in enumerate(rows):
        got = next(found, None)
        if got is None:
            made.wrong += 1
            made.first = made.first or f"the file ends before row {number}"
            return made
        wanted = readers.given(read, columns, row)
        if sheet and not all(left == right for left, right in zip(got, wanted, strict=True)):
            wanted = [cut(value, cell) for value, cell in zip(wanted, got, strict=True)]
        made.add(columns, number, got, wanted)
    if next(found, None) is not None:
        made.wrong += 1
        made.first = made.first or "the file has rows that the database has not"
    return made


def check(hub: Hub, spec: ExportSpec, folder: Path) -> int:
    """Export once, read with every reader; the number of cells that differ."""
    began = time.perf_counter()
    path, produced, columns = exported(spec, folder)
    seconds = time.perf_counter() - began
    sha256 = hashlib.file_digest(path.open("rb"), "sha256").hexdigest()
    agreed = (produced.sha256, produced.bytes) == (sha256, path.stat().st_size)
    print(
        f"  {spec.format:<8} {spec.compression:<5} {produced.rows:>10,} rows {produced.bytes / 1e6:>9,.1f} MB"
        f" {seconds:>7.1f} s, size and SHA-256 {'agree' if agreed else 'DIFFER'}",
        flush=True,
    )
    wrong = int(not agreed)
    with psycopg.connect(hub.database_url) as connection:
        for name, read in readers.READERS[spec.format].items():
            began = time.perf_counter()
            with closing(stored(connection, hub.project_id, columns)) as rows:
                result = compare(columns, read, path, rows, sheet=spec.format == "xlsx")
            seconds = time.perf_counter() - began
            print(
                f"    read by {name:<9} {result.rows:>10,} rows {result.cells:>13,} cells {result.wrong:>6} differ"
                f" {seconds:>8.1f} s {result.first}",
                flush=True,
            )
            wrong += result.wrong + (result.rows != produced.rows)
    path.unlink()
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--compressions", default="none")
    options = parser.parse_args()
    formats = [name for name in FORMATS if name in options.formats.split(",")]
    compressions = [name for name in COMPRESSIONS if name in options.compressions.split(",")]
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with running_hub() as hub:
        start = load_awkward(hub.database_url, project_id=hub.project_id, spans=options.rows, end=end, days=3)
        fold(hub, options.rows)
        set_up(hub)
        wrong = 0
        with tempfile.TemporaryDirectory(prefix="read-back-", dir=os.environ.get("BENCH_DIR") or None) as folder:
            for format in formats:
                for compression in compressions:
                    spec = spec_of(hub.project_id, start, end, format=format, compression=compression)
                    wrong += check(hub, spec, Path(folder))
        print(f"\n  {wrong} differences")
        if wrong:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
