"""CSV that a spreadsheet shows rather than runs.

The rule: a text gets one apostrophe in front of it when its first character is one of `FORMULA`, a tab, a carriage
return, a line feed or an apostrophe, or when it begins with spaces and what follows them is one of `FORMULA`. Numbers,
times and JSON are never touched. Undoing it: a cell of a text that begins with an apostrophe loses that one. Texts that
begin with an apostrophe of their own have got another, so nothing is lost.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

# What makes a spreadsheet take a cell for a formula; East Asian ones take the full-width and small forms as well.
FORMULA: Final = "=+-@|\uff1d\uff0b\uff0d\uff20\uff5c\ufe66\ufe62\ufe63\ufe6b"
ALWAYS: Final = FORMULA + "\t\r\n'"
# What spreadsheets, importers and people skip: white space, control characters, marks of no width and of direction.
SPACES: Final = (
    "\x01\x02\x03\x04\x05\x06\x07\x08\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x7f"
    "\xad\u061c\u180e\u2061\u2062\u2063\u2064\u206a\u206b\u206c\u206d\u206e\u206f"
    " \t\n\v\f\r\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u202f\u205f\u2060\u2066\u2067\u2068\u2069"
    "\u3000\ufeff"
)
_ALWAYS = frozenset(ALWAYS)
_SPACES = frozenset(SPACES)
_FORMULA = tuple(FORMULA)


def runs(text: str) -> bool:
    """Whether a text needs its apostrophe."""
    first = text[:1]
    if first in _ALWAYS:
        return True
    return first in _SPACES and text.lstrip(SPACES).startswith(_FORMULA)


def restored(cell: str) -> str:
    """The text that a cell of a text column stands for."""
    return cell[1:] if cell.startswith("'") else cell


def harmless(value: object) -> str:
    """A cell's text; an apostrophe keeps a spreadsheet from running it."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value)
    return f"'{value}" if runs(value) else value


def harmless_sql(column: str) -> str:
    """`harmless` of a text column as an SQL expression; NULL stays NULL.

    For most texts it costs one look at the first character. The database's encoding must be UTF-8, where `ascii` is
    the code point.
    """
    always, formula, either = _codes(ALWAYS), _codes(FORMULA), _codes(ALWAYS + SPACES)
    spaces = "".join(f"\\u{ord(character):04x}" for character in SPACES)
    return (
        f"CASE WHEN ascii({column}) IN ({either}) AND"
        f" (ascii({column}) IN ({always}) OR ascii(ltrim({column}, E'{spaces}')) IN ({formula}))"
        f" THEN '''' || {column} ELSE {column} END"
    )


def _codes(characters: str) -> str:
    return ", ".join(str(code) for code in sorted({ord(character) for character in characters}))


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    """CSV (RFC 4180) line by line, with a header."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(header)
    for row in rows:
        yield _taken(buffer)
        writer.writerow([harmless(value) for value in row])
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()
