"""CSV that nobody's spreadsheet runs."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.common.reads.spreadsheets import ALWAYS, FORMULA, SPACES, csv_lines, harmless, restored


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        " =1",
        "\n@x",
        "＝1",
        "|calc",
        "\u200e=1",
        "\ufeff +1",
        "\x01=1",
        "\xad=1",
        "\u061c=1",
        "\u180e\u2061=1",
        "\uff5c1",
        "\ufe661",
        "'=1",
        "'",
    ],
)
def test_what_a_spreadsheet_would_run_is_text(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        (-1, "-1"),
        (1.5, "1.5"),
        (Decimal("-0.5"), "-0.5"),
        ("ada@acme", "ada@acme"),
        ("", ""),
        ('{"a": -1}', '{"a": -1}'),
        (" a sentence goes on", " a sentence goes on"),
        ("it's", "it's"),
    ],
)
def test_everything_else_stays(value: object, cell: str) -> None:
    assert harmless(value) == cell


@given(st.lists(st.lists(st.text(), min_size=2, max_size=2), max_size=5))
def test_a_reader_gets_back_what_was_written(rows: list[list[str]]) -> None:
    text = b"".join(csv_lines(["a", "b"], rows)).decode("utf-8", "surrogatepass")
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read == [["a", "b"], *[[harmless(cell) for cell in row] for row in rows]]


@given(st.text(st.sampled_from(ALWAYS + SPACES + "a1")) | st.text())
def test_an_apostrophe_is_taken_off_again(text: str) -> None:
    cell = harmless(text)
    assert restored(cell) == text
    assert not cell.lstrip(SPACES).startswith(tuple(FORMULA))
