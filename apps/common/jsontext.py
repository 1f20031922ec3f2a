"""JSON as the API writes it: exact decimals, times in UTC ending in Z."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import orjson

PLACES = Decimal("1e-12")
_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)
# No double is so large. Written out, a number that somebody typed as 1e999999999 would be a gigabyte of zeros.
_MOST_DIGITS = 310
_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC | orjson.OPT_NON_STR_KEYS


def decimal_text(value: Decimal) -> str:
    """A decimal as a JSON number: at most 12 places, no exponent, no trailing zeros; `null` if not finite.

    A number beyond what a double holds keeps an exponent.
    """
    if not value.is_finite():
        return "null"
    exponent = value.as_tuple().exponent
    if value and value.adjusted() >= _MOST_DIGITS:
        return format(value, "e")
    if isinstance(exponent, int) and exponent < -12:
        context = _WIDE if value.adjusted() < 40 else Context(prec=_MOST_DIGITS + 20, rounding=ROUND_HALF_EVEN)
        value = value.quantize(PLACES, context=context)
    elif not value:
        return "0"  # whatever its exponent
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _default(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(decimal_text(value))
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, (bytes, memoryview)):
        raise TypeError("bytes are not JSON")
    return str(value)


def dumps(value: Any, *, indented: bool = False) -> bytes:
    """Encode an answer."""
    return orjson.dumps(value, default=_default, option=_OPTIONS | (orjson.OPT_INDENT_2 if indented else 0))


def zulu(moment: datetime) -> str:
    """An aware time as ISO 8601 in UTC with Z."""
    text: str = orjson.dumps(moment, option=_OPTIONS).decode()
    return text.strip('"')
