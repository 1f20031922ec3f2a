"""Values as text, the same in every format that writes text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import orjson

from apps.common.jsontext import decimal_text


def time_text(value: datetime) -> str:
    """ISO 8601 in UTC with microseconds: `2026-03-01T08:00:00.000000Z`."""
    if value.tzinfo is not UTC:
        value = value.astimezone(UTC)
    return value.isoformat("T", "microseconds")[:-6] + "Z"


def usd_text(value: Decimal) -> str:
    """An exact decimal of at most 12 places, without an exponent and without trailing zeros."""
    text = str(value)
    # What `decimal_text` makes of most costs, at a third of its price.
    if "E" not in text and 1 < len(text) - text.find(".") <= 13 and "." in text:
        return text.rstrip("0").rstrip(".")
    return decimal_text(value)


def number_text(value: float) -> str:
    """The shortest digits that give the same double again.

    Below 10^15 they are PostgreSQL's of a `float8`; beyond that it sometimes takes one digit more than are needed.
    """
    text = repr(value)
    if text.endswith(".0"):
        text = text[:-2]
        if abs(value) >= 1e15:  # Python goes on to 1e16 without an exponent.
            return _with_exponent(text)
    elif text in ("inf", "-inf", "nan"):
        return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}[text]
    return text


def _with_exponent(text: str) -> str:
    digits = text.lstrip("-")
    sign = text[: len(text) - len(digits)]
    mantissa = digits.rstrip("0")
    point = "." if len(mantissa) > 1 else ""
    return f"{sign}{mantissa[0]}{point}{mantissa[1:]}e+{len(digits) - 1:02}"


def boolean_text(value: bool) -> str:
    return "true" if value else "false"


def texts_text(value: Sequence[str]) -> str:
    """A list as JSON text, written as PostgreSQL's `to_json` writes a `text[]`."""
    return orjson.dumps(list(value)).decode()
