"""Exported files read by libraries that had no part in writing them, row by row, as the values that they stand for.

Nothing here is of the product but the documented rule that takes a cell's apostrophe off.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import IO, Any

import duckdb
import openpyxl
import pandas
import polars
import pyarrow.parquet
import zstandard

from apps.exports.spec import Column

Rows = Iterator[list[Any]]
Reader = Callable[[Path, Sequence[Column]], Rows]

_STEP = 1 << 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")


def opened(path: Path) -> IO[bytes]:
    """The file, decompressed by its name."""
    if path.suffix == ".gz":
        return gzip.open(path)  # type: ignore[return-value]
    if path.suffix == ".zst":
        return zstandard.open(path, "rb")  # type: ignore[no-any-return]
    return path.open("rb")


def loads(text: str) -> Any:
    """JSON with exact numbers."""
    return json.loads(text, parse_float=Decimal)


def _moment(text: str) -> datetime:
    if not text.endswith("Z"):
        raise ValueError(f"{text!r} is not in UTC")
    return datetime.fromisoformat(text)


_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "text": str,
    "integer": int,
    "number": float,
    "usd": Decimal,
    "time": _moment,
    "boolean": {"true": True, "false": False}.__getitem__,
    "texts": loads,
    "json": loads,
}


def _cell(column: Column, text: str | None) -> Any:
    """A CSV cell's value."""
    if column.type == "text" and text is not None:
        return text[1:] if column.risky and text.startswith("'") else text
    return _FROM_TEXT[column.type](text) if text else None


def _same_header(found: Sequence[Any], columns: Sequence[Column]) -> None:
    if list(found) != [column.name for column in columns]:
        raise ValueError(f"the header is {found}")


def csv_module(path: Path, columns: Sequence[Column]) -> Rows:
    """Python's csv: None comes as an empty text."""
    csv.field_size_limit(sys.maxsize)
    with io.TextIOWrapper(opened(path), "utf-8", newline="") as text:
        lines = csv.reader(text, strict=True)
        _same_header(next(lines), columns)
        for cells in lines:
            # A line without anything is a row of one column without a value.
            yield [_cell(column, cell) for column, cell in zip(columns, cells or [""], strict=True)]


def csv_pandas(path: Path, columns: Sequence[Column]) -> Rows:
    """pandas: None comes as an empty text."""
    options: dict[str, Any] = {"dtype": str, "keep_default_na": False, "skip_blank_lines": False}
    with opened(path) as file, pandas.read_csv(file, chunksize=5000, encoding="utf-8", **options) as frames:
        for frame in frames:
            _same_header(list(frame.columns), columns)
            for cells in frame.itertuples(index=False, name=None):
                yield [_cell(column, cell) for column, cell in zip(columns, cells, strict=True)]


def csv_duckdb(path: Path, columns: Sequence[Column]) -> Rows:
    """DuckDB: tells None and an empty text apart."""
    names = {f"c{place}": "VARCHAR" for place in range(len(columns))}
    yield from _duckdb_rows(
        "SELECT * FROM read_csv($path, auto_detect = false, columns = $names, header = true, delim = ',', quote = '\"',"
        " escape = '\"', nullstr = '', allow_quoted_nulls = false, max_line_size = 100000000, parallel = false)",
        {"path": str(path), "names": names},
        lambda cells: [_cell(column, cell) for column, cell in zip(columns, cells, strict=True)],
    )


def _duckdb_rows(sql: str, parameters: dict[str, Any], made: Callable[[Sequence[Any]], list[Any]]) -> Rows:
    found = _duckdb().cursor().execute(sql, parameters)
    while rows := found.fetchmany(2000):
        for row in rows:
            yield made(row)


@cache
def _duckdb() -> Any:
    return duckdb.connect()


_FROM_JSON: dict[str, Callable[[Any], Any]] = {
    "number": float,
    "usd": Decimal,
    "time": _moment,
}


def _object(columns: Sequence[Column], found: dict[str, Any]) -> list[Any]:
    _same_header(list(found), columns)
    return [
        made(value) if value is not None and (made := _FROM_JSON.get(column.type)) else value
        for column, value in zip(columns, found.values(), strict=True)
    ]


def json_lines(path: Path, columns: Sequence[Column]) -> Rows:
    """Python's json, a line at a time."""
    with io.TextIOWrapper(opened(path), "utf-8", newline="\n") as text:
        for line in text:
            if len(line.splitlines()) > 1 and any(mark in line for mark in "\u2028\u2029"):
                raise ValueError("a line has a line separator of Unicode in it")
            yield _object(columns, loads(line))


def json_array(path: Path, columns: Sequence[Column]) -> Rows:
    """Python's json, an element of the array at a time, wherever its lines end."""
    decoder = json.JSONDecoder(parse_float=Decimal)
    with io.TextIOWrapper(opened(path), "utf-8", newline="") as text:
        held = text.read(_STEP)
        if not held.startswith("["):
            raise ValueError("no array")
        held, ended = held[1:].lstrip(), False
        while not held.startswith("]"):
            try:
                found, end = decoder.raw_decode(held)
                rest = held[end:].lstrip()
                if not rest and not ended:
                    raise ValueError("more may follow")
            except ValueError:
                if ended:
                    raise
                more = text.read(max(_STEP, len(held)))
                held, ended = held + more, not more
                continue
            yield _object(columns, found)
            if rest[:1] not in (",", "]"):
                raise ValueError(f"{rest[:10]!r} between two elements")
            held = rest[1:].lstrip() if rest.startswith(",") else rest
            if not held:
                held = text.read(_STEP).lstrip()
        if held[1:].strip() or text.read().strip():
            raise ValueError("something follows the array")


def _json_texts(columns: Sequence[Column], row: Sequence[Any]) -> list[Any]:
    return [
        loads(value) if column.type == "json" and value is not None else value
        for column, value in zip(columns, row, strict=True)
    ]


def parquet_duckdb(path: Path, columns: Sequence[Column]) -> Rows:
    # Without its time zones, which need another library: a time comes as microseconds.
    names = [
        ("epoch_us({})" if column.type == "time" else "{}").format('"' + column.name.replace('"', '""') + '"')
        for column in columns
    ]
    times = [place for place, column in enumerate(columns) if column.type == "time"]

    def made(row: Sequence[Any]) -> list[Any]:
        values = _json_texts(columns, row)
        for place in times:
            values[place] = None if values[place] is None else _EPOCH + timedelta(microseconds=values[place])
        return values

    yield from _duckdb_rows(
        f"SELECT {', '.join(names)} FROM read_parquet($path, file_row_number = true) ORDER BY file_row_number",
        {"path": str(path)},
        made,
    )


def parquet_polars(path: Path, columns: Sequence[Column]) -> Rows:
    """polars has a reader of its own; group by group."""
    groups = pyarrow.parquet.ParquetFile(path).metadata
    start = 0
    for number in range(groups.num_row_groups):
        size = groups.row_group(number).num_rows
        frame = polars.scan_parquet(path).slice(start, size).collect()
        _same_header(frame.columns, columns)
        yield from (_json_texts(columns, row) for row in frame.iter_rows())
        start += size


def parquet_pyarrow(path: Path, columns: Sequence[Column]) -> Rows:
    with pyarrow.parquet.ParquetFile(path) as file:
        _same_header(file.schema_arrow.names, columns)
        for batch in file.iter_batches(2000):
            yield from (_json_texts(columns, list(row.values())) for row in batch.to_pylist())


def _sheet_cell(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, str):
        text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), value)
        return _FROM_TEXT[column.type](text)
    if column.type == "boolean":
        if not isinstance(value, bool):
            raise ValueError(f"{value!r} is no boolean")
        return value
    return _FROM_TEXT[column.type](repr(value))


def xlsx_openpyxl(path: Path, columns: Sequence[Column]) -> Rows:
    """openpyxl; the escapes of control characters, which it leaves, by the rule of the format."""
    whole: Path | IO[bytes] = path if path.suffix == ".xlsx" else io.BytesIO(opened(path).read())
    book = openpyxl.load_workbook(whole, read_only=True)
    for sheet in book.worksheets:
        rows = sheet.iter_rows(values_only=True)
        _same_header(next(rows), columns)
        for row in rows:
            yield [_sheet_cell(column, value) for column, value in zip(columns, row, strict=True)]
    book.close()


def as_utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


# By format; what a reader cannot tell apart from an empty text is said beside it.
READERS: dict[str, dict[str, Reader]] = {
    "csv": {"csv": csv_module, "pandas": csv_pandas, "duckdb": csv_duckdb},
    "json": {"json": json_array},
    "jsonl": {"json": json_lines},
    "parquet": {"duckdb": parquet_duckdb, "polars": parquet_polars, "pyarrow": parquet_pyarrow},
    "xlsx": {"openpyxl": xlsx_openpyxl},
}
NO_NULL_TEXT = (csv_module, csv_pandas)


def given(reader: Reader, columns: Sequence[Column], row: Sequence[Any]) -> list[Any]:
    """What a reader must give for a row as the database has it."""
    made = []
    for column, value in zip(columns, row, strict=True):
        if column.type == "text" and value is None and reader in NO_NULL_TEXT:
            value = ""
        if column.type == "number" and value == 0 and reader is xlsx_openpyxl:
            value = 0.0  # a sheet has no zero below zero
        made.append(loads(value) if column.type == "json" and value is not None else value)
    return made
