"""JSON answers: money is exact, times are UTC."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.common.jsontext import decimal_text, dumps, zulu


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("45.30", "45.3"),
        ("0.000000000001", "0.000000000001"),
        ("0.0000000000005", "0"),
        ("0.0000000000015", "0.000000000002"),
        ("1E+3", "1000"),
        ("1E-7", "0.0000001"),
        ("-0.00", "0"),
        ("0E-20", "0"),
        ("100", "100"),
        ("123456789012345678901234.123456789012345", "123456789012345678901234.123456789012"),
        ("0E+999999999", "0"),
        ("1E-999999999", "0"),
        ("1" * 60 + "." + "1" * 13, "1" * 60 + "." + "1" * 12),
        ("1E+400", "1e+400"),  # beyond a double: a zero for each place could fill the memory
        ("-1E+999999999", "-1e+999999999"),
        ("NaN", "null"),
        ("Infinity", "null"),
    ],
)
def test_decimals_are_plain_numbers(value: str, text: str) -> None:
    assert decimal_text(Decimal(value)) == text
    assert dumps({"cost": Decimal(value)}) == f'{{"cost":{text}}}'.encode()


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20))
def test_decimals_keep_twelve_places(value: Decimal) -> None:
    text = decimal_text(value)
    wide = Context(prec=80, rounding=ROUND_HALF_EVEN)
    assert Decimal(text) == value.quantize(Decimal("1e-12"), context=wide)
    assert "e" not in text.lower()
    assert json.loads(text, parse_float=Decimal) == Decimal(text)


def test_times_are_utc_with_z() -> None:
    moment = datetime(2026, 11, 5, 2, tzinfo=timezone(timedelta(hours=2)))
    assert zulu(datetime(2026, 11, 5, tzinfo=UTC)) == "2026-11-05T00:00:00Z"
    assert dumps([datetime(2026, 11, 5, 0, 0, 0, 5, tzinfo=UTC)]) == b'["2026-11-05T00:00:00.000005Z"]'
    assert datetime.fromisoformat(zulu(moment)) == moment


def test_sets_are_sorted_and_odd_keys_are_text() -> None:
    assert dumps({"a": {"c", "b"}, 1: None}) == b'{"a":["b","c"],"1":null}'


def test_bytes_are_a_bug() -> None:
    with pytest.raises(TypeError):
        dumps({"a": b"x"})
