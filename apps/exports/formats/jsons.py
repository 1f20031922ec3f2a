"""JSON (one array) and JSON lines: an object per row, costs as exact numbers, texts as they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from apps.exports.formats.values import number_text, time_text, usd_text
from apps.exports.formats.writer import Writer
from apps.exports.spec import Column, Compression

# Readers of lines that go by Unicode would end one here; inside JSON the escape is the same character.
_SEPARATORS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else number_text(value)


def _usd(value: Any) -> orjson.Fragment:
    return orjson.Fragment(usd_text(value))


def _json(value: str) -> orjson.Fragment:
    # Line ends of JSON text are white space between its tokens: inside its strings they are escaped.
    return orjson.Fragment(value.replace("\n", " ").replace("\r", " ") if "\n" in value or "\r" in value else value)


_VALUES: dict[str, Callable[[Any], Any]] = {"number": _number, "usd": _usd, "time": time_text, "json": _json}


class JsonLinesWriter(Writer):
    """One object per line."""

    _between, _opening, _closing, _empty = b"\n", b"", b"\n", b""

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
        self._names = [column.name for column in columns]
        self._made = [(place, _VALUES[c.type]) for place, c in enumerate(columns) if c.type in _VALUES]

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        if not rows:
            return
        data = self._between.join([self._object(row) for row in rows])
        for raw, escaped in _SEPARATORS:
            if raw in data:
                data = data.replace(raw, escaped)
        self.sink.write((self._between if self.rows else self._opening) + data)
        self.rows += len(rows)

    def _object(self, row: Sequence[Any]) -> bytes:
        values = list(row)
        for place, make in self._made:
            value = values[place]
            if value is not None:
                values[place] = make(value)
        return orjson.dumps(dict(zip(self._names, values, strict=True)))

    def _finish(self) -> None:
        self.sink.write(self._closing if self.rows else self._empty)


class JsonWriter(JsonLinesWriter):
    """One array of objects, an object to a line; valid without any row, too."""

    _between, _opening, _closing, _empty = b",\n", b"[\n", b"\n]\n", b"[]\n"
