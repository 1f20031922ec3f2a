"""Values as text, the same in every format that writes text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import orjson

from apps.common.jsontext import decimal_text as usd_text

__all__ = ["boolean_text", "number_text", "texts_text", "time_text", "usd_text"]


def time_text(value: datetime) -> str:
    """ISO 8601 in UTC with microseconds: `2026-03-01T08:00:00.000000Z`."""
    return value.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


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
