"""What goes into a file comes out of it again, for every format and compression, by readers that did not write it."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.exports.formats import extension, writer_for
from apps.exports.spec import COMPRESSIONS, FORMATS, Column, Compression, Format
from bench import readers

COLUMNS = (
    Column("name", "text"),
    Column("id", "text", risky=False),
    Column("tokens", "integer"),
    Column("ratio", "number"),
    Column("cost_usd", "usd"),
    Column("at", "time"),
    Column("billable", "boolean"),
    Column("tags", "texts"),
    Column("attributes", "json"),
)
STORED = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
AWKWARD = [
    *("=1+1", "+1", "-1", "@SUM(A1)", "|x", "\t=1", "\r", "\n", "\r\n", " =1", "\uff1d1", "'", "''", "'=1"),
    *('"', '""', ",", ";", '","', "\\.", "\\N", "\\", "NULL", "null", "NaN", "N/A", "", " ", "  x  ", "\u00a0"),
    *("\U0001f9ee", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u200f\u05d0", "\u202egpj.exe", "\u2028", "\u2029"),
    *("\x01", "\x08", "\x0b", "\x1f", "\x7f", "\x85", "\ufffe", "\uffff", "\U0001fffe", "\ufeff", "\ufffd"),
    *("_x000D_", "_x0041_x0042_", "__x0041_", "_x005F_", "_X0041_", "<r><t>x</t></r>", "<r></r>", "</row>", "<row>"),
    *("&amp;", "<b>", "]]>", "<!--", "1", "1.0", "007", "1e5", "true", "2026-01-01", "http://x.example", "#REF!"),
]
TEXTS = st.sampled_from(AWKWARD) | st.lists(st.sampled_from(AWKWARD), max_size=4).map("".join) | st.text(STORED)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 10**15, 10**15 - 1, 2**53, 2**53 + 1, 2**63 - 1])
PICODOLLARS = st.integers(-(10**25), 10**25) | st.sampled_from([0, 1, -1, 10**12, 10**27 - 1, 123456789012345678])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXTS,
    "integer": INTEGERS,
    "number": st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0.1 + 0.2, 1e15, 1e16, 5e-324, 1 / 3]),
    "usd": PICODOLLARS.map(lambda amount: Decimal(amount).scaleb(-12)),
    "time": st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    "boolean": st.booleans(),
    "texts": st.lists(TEXTS, max_size=3),
    "json": st.builds(lambda value, wide: json.dumps(value, indent=wide), JSONS, st.sampled_from([None, 1])),
}
ROWS = st.lists(st.tuples(*(st.none() | VALUES[column.type] for column in COLUMNS)), max_size=12)
READINGS = [(format, name) for format in FORMATS for name in readers.READERS[format]]
# One of each awkward thing, and rows of nothing.
EXAMPLES: tuple[list[Any], ...] = (
    [(text, text, None, None, None, None, None, [text], json.dumps({text: text})) for text in AWKWARD],
    [],
    [(None,) * len(COLUMNS)],
    [(None, "", -1, -0.0, Decimal("-0.000000000001"), datetime(2026, 3, 1, tzinfo=UTC), False, [], "-1")] * 3,
)


def written(
    folder: Path, format: Format, compression: Compression, columns: Sequence[Column], rows: Sequence[Any]
) -> Path:
    """A file of these rows, written in two calls."""
    path = folder / f"file.{extension(format, compression)}"
    with path.open("wb") as out:
        writer = writer_for(format, compression, columns, out, scratch=folder)
        writer.write(rows[: len(rows) // 2])
        writer.write(rows[len(rows) // 2 :])
        writer.close()
    assert writer.rows == len(rows)
    assert writer.bytes == path.stat().st_size
    return path


def same(found: Any, expected: Any) -> bool:
    """Equal in value and in type, as far as readers keep types."""
    if isinstance(expected, float) and isinstance(found, float):
        return math.copysign(1, found) == math.copysign(1, expected) and found == expected
    return bool(found == expected) and isinstance(found, bool) == isinstance(expected, bool)


def check(format: Format, compression: Compression, reader: str, rows: list[Any]) -> None:
    read = readers.READERS[format][reader]
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), format, compression, COLUMNS, rows)
        found = [[readers.as_utc(value) for value in row] for row in read(path, COLUMNS)]
    expected = [readers.given(read, COLUMNS, row) for row in rows]
    assert len(found) == len(expected)
    for number, (got, wanted) in enumerate(zip(found, expected, strict=True)):
        for column, left, right in zip(COLUMNS, got, wanted, strict=True):
            assert same(left, right), (number, column.name, left, right)


@pytest.mark.parametrize(("format", "reader"), READINGS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=ROWS)
def test_every_cell_comes_back(format: Format, reader: str, rows: list[Any]) -> None:
    check(format, "none", reader, rows)


@pytest.mark.parametrize(("format", "reader"), READINGS)
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_compression_gives_the_same_rows(format: Format, compression: Compression, reader: str) -> None:
    for rows in EXAMPLES:
        check(format, compression, reader, rows)
