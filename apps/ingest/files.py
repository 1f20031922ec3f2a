"""Readers of files of spans: each yields (spans, position) pairs, and can start again from any position it gave."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import orjson
from django.conf import settings

from apps.ingest.native import decode_span
from apps.ingest.otlp_json import load_json, spans_of
from apps.ingest.raw import Drop, Origin, RawSpan, UndecodableError

PARQUET_ROWS: Final = 1_000
_JSON_COLUMNS: Final = ("attributes", "resource", "usage", "events", "tags", "input", "output")
_BOM: Final = b"\xef\xbb\xbf"


class Item(NamedTuple):
    """A line or row: its spans, and where reading goes on after it."""

    row: int
    spans: list[RawSpan]
    position: int


class Reader(Protocol):
    """A file of spans. `total` and the positions are bytes or rows, as `unit` says."""

    unit: str
    total: int

    def items(self, position: int, row: int) -> Iterator[Item]: ...


def unreadable(row: int, message: str, text: str) -> RawSpan:
    """A line that is no span, as a span that will be refused."""
    return RawSpan(Origin(), index=row, attributes={"line": text[:1_000]}, problem=Drop("malformed", message))


def spans_of_node(node: Any, row: int) -> list[RawSpan]:
    """A parsed line: OTLP JSON if it has `resourceSpans`, else one of our JSON spans."""
    if isinstance(node, dict) and "resourceSpans" in node:
        spans = spans_of(node)
        for span in spans:
            span.index = row
        return spans
    return [decode_span(node, row, seed=f"row {row}")]


class JsonLines:
    """One JSON document a line. Positions are byte offsets of line starts."""

    unit = "B"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.total = path.stat().st_size

    def items(self, position: int, row: int) -> Iterator[Item]:
        limit: int = settings.HUB.ingest_max_body_bytes
        with self.path.open("rb") as handle:
            handle.seek(position)
            while line := handle.readline(limit + 1):
                row += 1
                if len(line) > limit:
                    while line and not line.endswith(b"\n"):
                        line = handle.readline(limit)
                    yield Item(row, [unreadable(row, f"the line is over {limit} bytes", "")], handle.tell())
                    continue
                yield Item(row, self._spans(line, row), handle.tell())

    @staticmethod
    def _spans(line: bytes, row: int) -> list[RawSpan]:
        line = line.removeprefix(_BOM).strip()
        if not line:
            return []
        try:
            document, _ = load_json(line)
            return spans_of_node(document, row)
        except UndecodableError as error:
            return [unreadable(row, str(error).replace("the body", "the line"), line.decode("utf-8", "replace"))]


def require_times(columns: list[str]) -> None:
    """
    Raises:
        UndecodableError: no row could have a time, so that each would be refused.
    """
    if not {"start_time", "end_time"}.intersection(columns):
        names = ", ".join(columns[:10])[:300] or "none"
        raise UndecodableError(f"it needs a column start_time or end_time; its columns are: {names}")


class CommaSeparated:
    """CSV with a header line of our field names; other columns become attributes. Positions are rows."""

    unit = "row"

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as text:
            try:
                require_times(next(csv.reader(text), []))
            except csv.Error as error:
                raise UndecodableError(str(error)) from None
        with path.open("rb") as handle:
            self.total = max(0, sum(block.count(b"\n") for block in iter(lambda: handle.read(1 << 20), b"")) - 1)

    def items(self, position: int, row: int) -> Iterator[Item]:
        csv.field_size_limit(settings.HUB.ingest_max_body_bytes)
        with self.path.open("rb") as raw:
            text = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline="")
            number = 0
            try:
                for record in csv.DictReader(text, restkey="extra columns"):
                    number += 1
                    if number > position:
                        yield Item(number, [decode_span(_record(record), number, seed=f"row {number}")], number)
            except csv.Error as error:
                number += 1
                yield Item(number, [unreadable(number, f"not readable as CSV: {error}", "")], number)


def _record(record: dict[str, Any]) -> dict[str, Any]:
    """Empty cells are absent; cells of structured fields may hold JSON."""
    found = {key: value for key, value in record.items() if value not in (None, "")}
    for key in _JSON_COLUMNS:
        value = found.get(key)
        if isinstance(value, str) and value[:1] in "[{":
            try:
                found[key] = orjson.loads(value)
            except orjson.JSONDecodeError:
                continue
    return found


class Parquet:
    """Parquet with our field names as columns; positions are rows."""

    unit = "row"

    def __init__(self, path: Path) -> None:
        try:
            from pyarrow import parquet
        except ImportError:
            raise UndecodableError("Parquet needs pyarrow: pip install 'analytics-hub[parquet]'") from None
        self.file = parquet.ParquetFile(path)
        require_times(self.file.schema_arrow.names)
        self.total = self.file.metadata.num_rows

    def items(self, position: int, row: int) -> Iterator[Item]:
        number = 0
        for group in range(self.file.num_row_groups):
            rows = self.file.metadata.row_group(group).num_rows
            if number + rows <= position:
                number += rows
                continue
            for batch in self.file.iter_batches(batch_size=PARQUET_ROWS, row_groups=[group]):
                for record in batch.to_pylist():
                    number += 1
                    if number > position:
                        yield Item(number, [decode_span(_record(record), number, seed=f"row {number}")], number)


FORMATS: Final[dict[str, type[JsonLines] | type[CommaSeparated] | type[Parquet]]] = {
    "jsonl": JsonLines,
    "csv": CommaSeparated,
    "parquet": Parquet,
}
_SUFFIXES: Final = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".parquet": "parquet"}


def format_of(path: Path) -> str | None:
    """The format that a file's name says."""
    return _SUFFIXES.get(path.suffix.lower())
