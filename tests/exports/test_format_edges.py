"""What formats do at their edges: long cells, many rows, no rows, the same bytes again, a file given up."""

from __future__ import annotations

import gc
import gzip
import hashlib
import io
import json
import os
import time
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest

from apps.common.errors import ApiError
from apps.exports import formats
from apps.exports.asking import spec_of
from apps.exports.failures import Cancelled, ExportFailed, NotProven
from apps.exports.formats import content_type, extension, missing, parquet, sheets, writer_for
from apps.exports.formats.values import number_text, usd_text
from apps.exports.spec import COMPRESSIONS, FORMATS, Column, Compression, Format
from apps.orgs.access import PERMISSIONS, Principal
from apps.orgs.models import Role
from bench import readers
from tests.exports.test_formats import COLUMNS, EXAMPLES

TEXT = (Column("n", "integer"), Column("text", "text"))


def made(
    format: Format, compression: Compression, columns: Sequence[Column], rows: Sequence[Any], **more: Any
) -> bytes:
    out = io.BytesIO()
    writer = writer_for(format, compression, columns, out, **more)
    for row in rows:
        writer.write([row])
    writer.close()
    assert writer.rows == len(rows)
    assert writer.bytes == len(out.getvalue())
    assert writer.sha256 == hashlib.sha256(out.getvalue()).hexdigest()
    return out.getvalue()


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("format", FORMATS)
def test_the_same_rows_give_the_same_bytes(
    format: Format, compression: Compression, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made(format, compression, COLUMNS, EXAMPLES[3])
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    before = os.umask(0o077)
    try:
        time.sleep(1.1 if format == "xlsx" else 0)  # a zip file's times go by seconds
        assert made(format, compression, COLUMNS, EXAMPLES[3], scratch=tmp_path) == first
    finally:
        os.umask(before)
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("format", [format for format in FORMATS if format != "xlsx"])
def test_a_megabyte_in_a_cell(format: Format, tmp_path: Path) -> None:
    long = 'wide \u00e9\U0001f9ee "text",\n' * 60_000
    rows = [(1, long), (2, None), (3, long[::-1])]
    path = tmp_path / f"file.{extension(format, 'none')}"
    path.write_bytes(made(format, "none", TEXT, rows))
    for read in readers.READERS[format].values():
        assert list(read(path, TEXT)) == [readers.given(read, TEXT, row) for row in rows]


def test_what_no_cell_of_a_sheet_holds_fails_and_says_where() -> None:
    writer = writer_for("xlsx", "none", TEXT, io.BytesIO())
    with pytest.raises(ExportFailed, match=r"32768 characters in `text`.*cut_long_cells"):
        writer.write([(1, "x" * 32_768)])
    writer.discard()


@pytest.mark.parametrize("letter", ["x", "\U0001f9ee", "<", "\x01"])
def test_what_no_cell_of_a_sheet_holds_is_cut_where_that_is_allowed(letter: str) -> None:
    most = 32_767 // sheets.units(letter)
    out = io.BytesIO()
    writer = writer_for("xlsx", "none", TEXT, out, cut_long_cells=True)
    writer.write([(1, letter * most), (2, letter * (most + 1)), (3, letter * 100_000)])
    writer.close()
    assert writer.cells_cut == 2
    texts = [str(row[1]) for row in openpyxl.load_workbook(out).active.values][1:]
    whole, *cut = [readers._ESCAPE.sub(lambda found: chr(int(found[1], 16)), text) for text in texts]
    assert whole == letter * most
    for text, length in zip(cut, (most + 1, 100_000), strict=True):
        assert text.endswith(f"\u2026 [cut: {length} characters]")
        assert 32_766 <= sheets.units(text) <= 32_767
        assert set(text.split("\u2026")[0]) == {letter}


def test_rows_go_on_on_further_sheets(tmp_path: Path) -> None:
    path = tmp_path / "file.xlsx"
    rows = [(number, f"row {number}") for number in range(20)]
    with path.open("wb") as out:
        writer = sheets.XlsxWriter(TEXT, out, "none", scratch=tmp_path, sheet_rows=7)
        for start in range(0, 20, 4):
            writer.write(rows[start : start + 4])
        writer.close()
    assert list(readers.xlsx_openpyxl(path, TEXT)) == [list(row) for row in rows]
    book = openpyxl.load_workbook(path)
    assert [sheet.max_row for sheet in book] == [7, 7, 7, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["file.xlsx"]


def test_every_sheet_can_be_read_as_it_opens() -> None:
    """A bold header that stays in sight, and columns as wide as what is in them."""
    columns = (
        Column("at", "time"),
        Column("text", "text"),
        Column("completion_cost_usd", "usd"),
        Column("n", "integer"),
    )
    out = io.BytesIO()
    writer = sheets.XlsxWriter(columns, out, "none", sheet_rows=3)
    writer.write([(datetime(2026, 3, 1, tzinfo=UTC), "x", Decimal("0.5"), number) for number in range(4)])
    writer.close()
    for sheet in openpyxl.load_workbook(out):
        assert sheet.freeze_panes == "A2"
        assert [cell.font.b for cell in sheet[1]] == [True] * 4
        assert [cell.font.b for cell in sheet[2]] == [False] * 4
        widths = [sheet.column_dimensions[letter].width for letter in "ABCD"]
        for width, least in zip(widths, (28, 20, len("completion_cost_usd"), 12), strict=True):
            assert least <= width < least + 5


def test_a_full_sheet_is_followed_by_none(tmp_path: Path) -> None:
    out = io.BytesIO()
    writer = sheets.XlsxWriter(TEXT, out, "none", sheet_rows=7)
    writer.write([(number, "") for number in range(6)])
    writer.close()
    assert [sheet.max_row for sheet in openpyxl.load_workbook(out)] == [7]


def test_a_sheet_has_no_formulas_and_no_links() -> None:
    texts = ["=1+1", "{=1}", "http://a.example", "mailto:a@b.example", "internal:Sheet1!A1", "<r><t>x</t></r>", "+1"]
    data = made("xlsx", "none", TEXT, [(number, text) for number, text in enumerate(texts)])
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert not [name for name in archive.namelist() if "sheet1.xml.rels" in name]
    sheet = archive.read("xl/worksheets/sheet1.xml")
    assert b"<f" not in sheet.replace(b"<fonts", b"")
    assert b"hyperlink" not in sheet
    assert [cell.data_type for cell in openpyxl.load_workbook(io.BytesIO(data)).active["B"]] == ["s"] * 8


@pytest.mark.parametrize("text", [" a", "a ", "\n", "a\n", "\ta", "\u00a0a"])
def test_spaces_about_a_text_are_marked_as_its_own(text: str) -> None:
    """Excel takes them off otherwise; openpyxl never does."""
    sheet = zipfile.ZipFile(io.BytesIO(made("xlsx", "none", TEXT, [(1, text)]))).read("xl/worksheets/sheet1.xml")
    assert f'<t xml:space="preserve">{text}</t>'.encode() in sheet


@pytest.mark.parametrize(
    ("column", "value", "kind", "read"),
    [
        ("integer", 999_999_999_999_999, "n", 999_999_999_999_999),
        ("integer", 2**53 + 1, "s", "9007199254740993"),
        ("integer", -(2**63), "s", "-9223372036854775808"),
        ("usd", Decimal("123.456789012345"), "n", 123.456789012345),
        ("usd", Decimal("1234.567890123456"), "s", "1234.567890123456"),
        ("usd", Decimal("0.000000000001"), "n", 1e-12),
        ("number", 0.1 + 0.2, "n", 0.30000000000000004),
        ("number", float("nan"), "s", "NaN"),
        ("boolean", False, "b", False),
    ],
)
def test_a_number_that_a_sheet_would_round_is_text(column: Any, value: Any, kind: str, read: Any) -> None:
    cell = openpyxl.load_workbook(io.BytesIO(made("xlsx", "none", [Column("v", column)], [(value,)]))).active["A2"]
    assert (cell.data_type, cell.value) == (kind, read)


def test_json_without_rows_is_an_empty_array() -> None:
    assert json.loads(made("json", "none", TEXT, [])) == []
    assert made("jsonl", "none", TEXT, []) == b""
    assert made("csv", "none", TEXT, []) == b"n,text\n"


def test_line_separators_of_unicode_end_no_line() -> None:
    data = made("jsonl", "none", TEXT, [(1, "a\u2028b\u2029c"), (2, "\x85\x0b\x0c\x1c")])
    assert len(data.decode().splitlines()) == 3  # U+0085 is a line end to Python alone
    assert [json.loads(line)["text"] for line in data.split(b"\n")[:-1]] == ["a\u2028b\u2029c", "\x85\x0b\x0c\x1c"]


def test_costs_are_exact_json_numbers() -> None:
    data = made("jsonl", "none", [Column("usd", "usd")], [(Decimal("123456789.123456789012"),), (Decimal("5E-12"),)])
    assert data == b'{"usd":123456789.123456789012}\n{"usd":0.000000000005}\n'


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_parquet_fails_with_a_reason_where_it_holds_no_such_number(value: int) -> None:
    writer = writer_for("parquet", "zstd", TEXT, io.BytesIO())
    with pytest.raises(ExportFailed, match="Parquet cannot hold"):
        writer.write([(value, "")])
    writer.discard()


def test_row_groups_are_bounded_by_rows_and_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP_ROWS", 10)
    monkeypatch.setattr(parquet, "GROUP_BYTES", 10_000)
    rows = [(number, "x") for number in range(25)] + [(number, "x" * 4_000) for number in range(7)]
    file = pq.ParquetFile(io.BytesIO(made("parquet", "none", TEXT, rows)))
    groups = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
    assert groups == [10, 10, 8, 3, 1]
    assert file.metadata.num_rows == 32
    assert [str(field.type) for field in pq.read_schema(io.BytesIO(made("parquet", "none", COLUMNS, [])))] == [
        *("string", "string", "int64", "double", "decimal128(38, 12)", "timestamp[us, tz=UTC]", "bool"),
        *("list<element: string>", "string"),
    ]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_parquet_compresses_inside(compression: Compression) -> None:
    file = pq.ParquetFile(io.BytesIO(made("parquet", compression, TEXT, [(1, "x")])))
    expected = {"none": "UNCOMPRESSED", "gzip": "GZIP", "zstd": "ZSTD"}[compression]
    assert file.metadata.row_group(0).column(1).compression == expected


@pytest.mark.parametrize("format", ["parquet", "xlsx"])
def test_a_finished_file_of_other_rows_is_no_file(format: Format) -> None:
    writer = writer_for(format, "none", TEXT, io.BytesIO())
    writer.write([(1, "a"), (2, "b")])
    writer.rows += 1
    with pytest.raises(NotProven, match="2 rows, 3 were written"):
        writer.close()
    writer.discard()


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_given_up_leaves_nothing_beside_it(format: Format, tmp_path: Path) -> None:
    out = io.BytesIO()
    with pytest.raises(KeyError), writer_for(format, "zstd", TEXT, out, scratch=tmp_path) as writer:
        writer.write([(1, "a")])
        before = len(out.getvalue())
        raise KeyError
    writer.discard()
    assert not [*tmp_path.iterdir()]
    del writer
    gc.collect()
    assert len(out.getvalue()) == before


@pytest.mark.parametrize(("calls", "where"), [(1, "while rows are put into the book"), (6, "while the book is packed")])
def test_a_long_close_can_be_ended(calls: int, where: str, tmp_path: Path) -> None:
    out = io.BytesIO()
    writer = writer_for("xlsx", "none", TEXT, out, scratch=tmp_path)
    for batch in range(40):
        writer.write([(n, hashlib.sha512(str(n).encode()).hexdigest()) for n in range(batch * 500, batch * 500 + 500)])
    asked: list[int] = []

    def alive() -> None:
        asked.append(len(out.getvalue()))
        if len(asked) == calls:
            raise Cancelled

    with pytest.raises(Cancelled), writer:
        writer.close(alive)
    assert (asked[-1] > 0) == (where == "while the book is packed")
    gc.collect()
    assert len(out.getvalue()) - asked[-1] < 300_000
    assert not [*tmp_path.iterdir()]


class Full(io.BytesIO):
    """A disk that is full."""

    def write(self, _: Any) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_is_an_os_error(format: Format, compression: Compression, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as failure:
        writer = writer_for(format, compression, TEXT, Full(), scratch=tmp_path)
        writer.write([(1, "a" * 300_000 if format != "xlsx" else "a")] * 10)
        writer.close()
    assert failure.value.errno == 28
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("format", [format for format in FORMATS if format != "csv"])
def test_only_csv_takes_lines(format: Format) -> None:
    writer = writer_for(format, "none", TEXT, io.BytesIO())
    with pytest.raises(TypeError):
        writer.write_lines(b"1,a\n", 1)
    writer.discard()


def test_csv_takes_finished_lines_between_rows() -> None:
    out = io.BytesIO()
    writer = writer_for("csv", "gzip", TEXT, out)
    writer.write([(1, "a")])
    writer.write_lines(b"2,b\n3,c\n", 2)
    writer.write([(4, None)])
    writer.close()
    assert gzip.decompress(out.getvalue()) == b"n,text\n1,a\n2,b\n3,c\n4,\n"
    assert writer.rows == 4


def test_gzip_keeps_no_time() -> None:
    assert made("csv", "gzip", TEXT, [])[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"


def test_names_and_types() -> None:
    assert extension("csv", "gzip") == "csv.gz"
    assert extension("parquet", "zstd") == "parquet"
    assert content_type("xlsx", "none").endswith("spreadsheetml.sheet")
    assert content_type("json", "zstd") == "application/zstd"
    assert content_type("parquet", "gzip") == "application/vnd.apache.parquet"


def test_times_are_in_utc_whatever_their_zone() -> None:
    moment = datetime.fromisoformat("2026-03-01T01:30:00.000001+05:30")
    assert made("csv", "none", [Column("at", "time")], [(moment,)]) == b"at\n2026-02-28T20:00:00.000001Z\n"
    table = pq.read_table(io.BytesIO(made("parquet", "none", [Column("at", "time")], [(moment,)])))
    assert table["at"][0].as_py() == moment.astimezone(UTC)


def test_a_format_that_is_not_installed_is_refused_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [missing(format) for format in FORMATS] == [None] * len(FORMATS)
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    assert [format for format in FORMATS if missing(format)] == ["parquet"]
    principal = Principal(1, "acme", {"default": 1}, PERMISSIONS[Role.ADMIN], "a key")
    with pytest.raises(ApiError, match="cannot write parquet: pyarrow is not installed") as refused:
        spec_of("costs", {"format": "parquet"}, principal, datetime(2026, 3, 1, tzinfo=UTC))
    assert refused.value.field == "format"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (999999999999999.0, "999999999999999"),
        (1e15, "1e+15"),
        (-1234567890123456.0, "-1.234567890123456e+15"),
        (1e22, "1e+22"),
        (1e-5, "1e-05"),
        (12.0, "12"),
    ],
)
def test_long_numbers_are_written_as_the_database_writes_them(value: float, text: str) -> None:
    assert number_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("0.1234567890125", "0.123456789012"), ("1E+3", "1000"), ("10", "10"), ("0E-12", "0"), ("-0.50", "-0.5")],
)
def test_costs_have_twelve_places_at_most_and_no_exponent(value: str, text: str) -> None:
    assert usd_text(Decimal(value)) == text
