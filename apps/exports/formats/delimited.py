"""CSV: RFC 4180 in UTF-8 with line feeds, a header, NULL as nothing and an empty text as "".

The bytes are those of PostgreSQL's COPY with FORMAT csv, so that ready lines of it can stand beside rows written here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from apps.common.reads.spreadsheets import runs
from apps.exports.formats.values import boolean_text, number_text, texts_text, time_text, usd_text
from apps.exports.formats.writer import Writer
from apps.exports.spec import Column, Compression

_NEEDS_QUOTES = re.compile('[",\r\n]').search


def quoted(text: str) -> str:
    """A text as a CSV cell."""
    if not text:
        return '""'
    if _NEEDS_QUOTES(text):
        return '"' + text.replace('"', '""') + '"'
    return text


def _risky(text: str) -> str:
    return quoted(f"'{text}" if runs(text) else text)


def _texts(value: Sequence[str]) -> str:
    return quoted(texts_text(value))


_CELLS: dict[str, Callable[[Any], str]] = {
    "integer": str,
    "number": number_text,
    "usd": usd_text,
    "time": time_text,
    "boolean": boolean_text,
    "texts": _texts,
    "json": quoted,
}


def cell_of(column: Column) -> Callable[[Any], str]:
    """What writes a value of this column that is not None."""
    if column.type == "text":
        return _risky if column.risky else quoted
    return _CELLS[column.type]


def header(columns: Sequence[Column]) -> bytes:
    return (",".join(quoted(column.name) for column in columns) + "\n").encode()


class CsvWriter(Writer):
    """One line per row."""

    def __init__(
        self,
        columns: Sequence[Column],
        out: BinaryIO,
        compression: Compression,
        *,
        cut_long_cells: bool = False,
        scratch: Path | None = None,
    ) -> None:
        super().__init__(columns, out, compression)
        self._cells = [cell_of(column) for column in columns]
        self.sink.write(header(columns))

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        cells = self._cells
        lines = [
            ",".join(["" if value is None else cell(value) for cell, value in zip(cells, row, strict=True)])
            for row in rows
        ]
        if lines:
            lines.append("")
            self.write_lines("\n".join(lines).encode(), len(rows))

    def write_lines(self, data: bytes, rows: int) -> None:
        self.sink.write(data)
        self.rows += rows

    def _finish(self) -> None:
        """The last line has ended already."""
