"""xlsx: texts that stay texts, numbers that a double holds, as many sheets as the rows need.

XlsxWriter makes the workbook around the rows. The rows' own XML is made here and goes straight to the file where
XlsxWriter keeps a sheet's rows (its `constant_memory` mode): its own writer of cells takes a text in `<r>` tags for
markup, rounds doubles to 16 digits, and does not escape `_x0041_x0042_` so that a reader gets it back.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from xlsxwriter import Workbook
from xlsxwriter.exceptions import FileCreateError
from xlsxwriter.utility import xl_col_to_name
from xlsxwriter.worksheet import Worksheet

from apps.exports.failures import ExportFailed, NotProven
from apps.exports.formats.values import number_text, texts_text, time_text, usd_text
from apps.exports.formats.writer import Writer
from apps.exports.spec import Column, Compression

SHEET_ROWS: Final = 1_048_576
CELL_CHARACTERS: Final = 32_767
_DIGITS: Final = 15  # what every double holds and every spreadsheet shows
_WIDTHS: Final = {"text": 20, "texts": 20, "json": 20, "time": 28}  # in characters; others have room for a figure
_COPIED: Final = 1 << 20
_MADE: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - XlsxWriter takes it for UTC
# XML 1.0 has no such characters, and would read a carriage return as a line feed; an underscore that looks like the
# beginning of an escape is escaped itself.
_ESCAPED = re.compile("[&<>\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_SPECIAL = re.compile("[&<>_\x00-\x08\x0b-\x1f\ufffe\uffff]").search
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


Cell = Callable[[int, Any], str]  # of a row's number and a value, a cell's XML


def escaped(text: str) -> str:
    """A text as the content of an element of a sheet."""
    # Looking for one character of a class is cheaper than the rule itself, and most texts have none.
    return _ESCAPED.sub(_escape, text) if _SPECIAL(text) else text


def _escape(match: re.Match[str]) -> str:
    found = match.group()
    return _ENTITIES.get(found) or f"_x{ord(found):04X}_"


def units(text: str) -> int:
    """Its length as a spreadsheet counts it: in UTF-16."""
    return len(text.encode("utf-16-le")) // 2


def shortened(text: str) -> str:
    """As much of a text as a cell holds, with a mark at its end."""
    mark = f"\u2026 [cut: {len(text)} characters]"
    kept = 2 * (CELL_CHARACTERS - len(mark))
    return text.encode("utf-16-le")[:kept].decode("utf-16-le", "ignore") + mark


class Sheet(Worksheet):  # type: ignore[misc]
    """A sheet whose rows come as XML."""

    filled = 0
    finished = 0
    alive: Callable[[], None] | None = None

    def append(self, rows: list[str], columns: int) -> None:
        self.row_data_fh.write("".join(rows))
        self.filled += len(rows)
        self.dim_rowmin, self.dim_rowmax = 0, self.filled - 1
        self.dim_colmin, self.dim_colmax = 0, columns - 1

    def _write_optimized_sheet_data(self) -> None:
        """Copy the rows into the sheet and count them there."""
        self._xml_start_tag("sheetData")
        self.row_data_fh.seek(0)
        end = "</row>"
        kept = ""
        while data := self.row_data_fh.read(_COPIED):
            self.fh.write(data)
            self.finished += (kept + data).count(end)
            kept = data[-len(end) + 1 :]
            if self.alive is not None:
                self.alive()
        self.row_data_fh.close()
        Path(self.row_data_filename).unlink()
        self._xml_end_tag("sheetData")


class XlsxWriter(Writer):
    """Rows on sheets, each with the header."""

    def __init__(
        self,
        columns: Sequence[Column],
        out: BinaryIO,
        compression: Compression,
        *,
        cut_long_cells: bool = False,
        scratch: Path | None = None,
        sheet_rows: int = SHEET_ROWS,
    ) -> None:
        super().__init__(columns, out, compression)
        self._cut = cut_long_cells
        self._sheet_rows = sheet_rows
        self._folder = tempfile.TemporaryDirectory(prefix="xlsx-", dir=scratch)
        options = {"constant_memory": True, "tmpdir": self._folder.name, "use_zip64": True}
        self._book = Workbook(self.sink, options)
        self._book.set_properties({"created": _MADE})
        self._bold = self._book.add_format({"bold": True})._get_xf_index()
        self._texts = [self._text(column.name, xl_col_to_name(place)) for place, column in enumerate(columns)]
        self._cells = [self._cell(column, xl_col_to_name(place)) for place, column in enumerate(columns)]
        self._sheet = self._new_sheet()

    def _new_sheet(self) -> Sheet:
        sheet = self._book.add_worksheet(worksheet_class=Sheet)
        sheet.freeze_panes(1, 0)
        for place, column in enumerate(self.columns):
            sheet.set_column(place, place, max(_WIDTHS.get(column.type, 12), min(len(column.name) + 2, 40)))
        names = [text(1, column.name) for text, column in zip(self._texts, self.columns, strict=True)]
        names = [name.replace(" t=", f' s="{self._bold}" t=', 1) for name in names]
        sheet.append([f'<row r="1">{"".join(names)}</row>'], len(names))
        return sheet  # type: ignore[no-any-return]

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        done = 0
        while done < len(rows):
            if self._sheet.filled >= self._sheet_rows:
                self._sheet = self._new_sheet()
            part = rows[done : done + self._sheet_rows - self._sheet.filled]
            first = self._sheet.filled + 1
            self._sheet.append([self._row(number, row) for number, row in enumerate(part, first)], len(self._cells))
            self.rows += len(part)
            done += len(part)

    def _row(self, number: int, row: Sequence[Any]) -> str:
        cells = [cell(number, value) for cell, value in zip(self._cells, row, strict=True) if value is not None]
        return f'<row r="{number}">{"".join(cells)}</row>'

    def _cell(self, column: Column, letter: str) -> Cell:
        """What writes a value of this column that is not None."""
        text = self._text(column.name, letter)

        def number_or_text(made: Callable[[Any], str], plain: Callable[[Any, str], bool]) -> Cell:
            def cell(number: int, value: Any) -> str:
                shown = made(value)
                if plain(value, shown):
                    return f'<c r="{letter}{number}"><v>{shown}</v></c>'
                return text(number, shown)

            return cell

        def boolean(number: int, value: Any) -> str:
            return f'<c r="{letter}{number}" t="b"><v>{int(value)}</v></c>'

        return {
            "text": text,
            "json": text,
            "texts": lambda number, value: text(number, texts_text(value)),
            "time": lambda number, value: text(number, time_text(value)),
            "boolean": boolean,
            "integer": number_or_text(str, _few_digits),
            "usd": number_or_text(usd_text, _few_digits),
            "number": number_or_text(number_text, lambda value, _: math.isfinite(value)),
        }[column.type]

    def _text(self, name: str, letter: str) -> Cell:
        """What writes a text into this column."""

        def text(number: int, value: str) -> str:
            if len(value) > CELL_CHARACTERS // 2 and units(value) > CELL_CHARACTERS:
                value = self._shortened(value, name)
            space = ' xml:space="preserve"' if value != value.strip() else ""
            return f'<c r="{letter}{number}" t="inlineStr"><is><t{space}>{escaped(value)}</t></is></c>'

        return text

    def _shortened(self, text: str, name: str) -> str:
        if not self._cut:
            raise ExportFailed(
                f"A text of {len(text)} characters in `{name}` is too long for a cell of xlsx, which holds"
                f" {CELL_CHARACTERS}: choose another format, or set cut_long_cells to have it cut."
            )
        self.cells_cut += 1
        return shortened(text)

    def discard(self) -> None:
        super().discard()
        for sheet in self._book.worksheets():
            sheet.row_data_fh.close()
        self._folder.cleanup()

    def _finish(self) -> None:
        for sheet in self._book.worksheets():
            sheet.alive = self.sink.alive
        try:
            self._book.close()
        except FileCreateError as error:
            # The library wraps what the disk said, and with it whether trying again would help.
            raise error.args[0] from error
        finally:
            self._folder.cleanup()
        sheets = self._book.worksheets()
        finished = sum(sheet.finished for sheet in sheets) - len(sheets)
        if finished != self.rows:
            raise NotProven(f"The finished sheets hold {finished} rows, {self.rows} were written.")


def _few_digits(_: Any, shown: str) -> bool:
    return len(shown) <= _DIGITS or len(shown.lstrip("-0.").replace(".", "")) <= _DIGITS
