"""Figures as people read them: rounded for the eye, exact in the title. Every figure has its unit."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

NOTHING: Final = "–"
MOST_PERCENT: Final = 1_000
_MOST_DIGITS: Final = 300
_STEPS: Final = ((1_000_000_000_000, "T"), (1_000_000_000, "B"), (1_000_000, "M"))


def number_of(value: Any) -> Decimal | None:
    """A figure of an answer; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    number = Decimal(str(value))
    return number if number.is_finite() else None


def typed_number(text: str) -> Decimal | str:
    """A number that somebody typed; what is none, or none that JSON can carry, stays the text that the API refuses."""
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        return text
    return number if number.is_finite() and abs(number.adjusted()) < _MOST_DIGITS else text


def _grouped(number: Decimal, places: int) -> str:
    return f"{number:,.{places}f}"


def _large(size: Decimal) -> str | None:
    """1.23M and so on, from a million up."""
    for step, letter in _STEPS:
        if size >= step:
            return f"{_grouped(size / step, 2)}{letter}"
    return None


def usd(number: Decimal) -> str:
    """
    >>> [usd(Decimal(text)) for text in ("0", "0.000423", "0.5", "12.346", "1234567")]
    ['$0', '$0.00042', '$0.500', '$12.35', '$1.23M']
    """
    size, sign = abs(number), "-" if number < 0 else ""
    if size == 0:
        return "$0"
    if size < 1:
        # Three places, or two digits where they begin later.
        places = 3 if size >= Decimal("0.1") else min(12, 1 - size.adjusted())
        return f"{sign}${size:.{places}f}"
    return f"{sign}${_large(size) or _grouped(size, 2)}"


def usd_change(number: Decimal) -> str:
    """A difference of money, signed.

    >>> [usd_change(Decimal(text)) for text in ("0", "0.000423", "-12.346")]
    ['$0', '+$0.00042', '-$12.35']
    """
    return f"+{usd(number)}" if number > 0 else usd(number)


def count(number: Decimal) -> str:
    """
    >>> [count(Decimal(text)) for text in ("0", "1234", "2.5", "12345678")]
    ['0', '1,234', '2.5', '12.35M']
    """
    size, sign = abs(number), "-" if number < 0 else ""
    places = 0 if size == size.to_integral_value() or size >= 100 else 1
    return f"{sign}{_large(size) or _grouped(size, places)}"


def ms(number: Decimal) -> str:
    """Milliseconds as a length of time.

    >>> [ms(Decimal(text)) for text in ("0.42", "842.4", "1240", "95000", "7500000")]
    ['0.42 ms', '842 ms', '1.24 s', '1 min 35 s', '2 h 5 min']
    """
    size, sign = abs(number), "-" if number < 0 else ""
    if size < 10:
        return f"{sign}{size:.2f}".rstrip("0").rstrip(".") + " ms"
    if size < 1_000:
        return f"{sign}{size:.0f} ms"
    if size < 60_000:
        return f"{sign}{size / 1000:.2f} s"
    seconds = int(size / 1000)
    if seconds < 3_600:
        return f"{sign}{seconds // 60} min {seconds % 60} s"
    return f"{sign}{seconds // 3600:,} h {seconds % 3600 // 60} min"


def rate(number: Decimal) -> str:
    """A fraction of 0 to 1 in percent.

    >>> [rate(Decimal(text)) for text in ("0", "0.0004", "0.0321", "0.5", "1")]
    ['0%', '<0.1%', '3.2%', '50%', '100%']
    """
    percent = number * 100
    if 0 < percent < Decimal("0.1"):
        return "<0.1%"
    text = f"{percent:.1f}".removesuffix(".0")
    return f"{text}%"


def pct(number: Decimal) -> str:
    """A change in percent, signed; beyond 1,000% as the factor, which is what people then say.

    >>> [pct(Decimal(text)) for text in ("0", "12.34", "-3", "1000", "1234.5", "5108323.5952")]
    ['0%', '+12.3%', '-3%', '+1,000%', '×13.3', '×51,084']
    """  # noqa: RUF002
    size = abs(number)
    if number > MOST_PERCENT:
        factor = number / 100 + 1
        return f"×{_large(factor) or _grouped(factor, 0 if factor >= 100 else 1)}"
    text = _grouped(size, 0 if size >= 100 else 1).removesuffix(".0")
    sign = "" if text == "0" else "+" if number > 0 else "-"
    return f"{sign}{text}%"


def size(number: Decimal) -> str:
    """Bytes.

    >>> [size(Decimal(text)) for text in ("0", "999", "1536", "5000000000")]
    ['0 B', '999 B', '1.5 kB', '5.0 GB']
    """
    if number < 1_000:
        return f"{number:.0f} B"
    power = min(4, int(math.log10(number)) // 3)
    return f"{number / 1000**power:.1f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"


def per_second(number: Decimal) -> str:
    """A throughput; by the minute or the hour where a second has little of it.

    >>> [per_second(Decimal(text)) for text in ("0", "1234.5", "12.34", "0.05", "0.0001")]
    ['0/s', '1,234/s', '12.34/s', '3.00/min', '0.36/h']
    """
    if 0 < abs(number) < Decimal("0.1"):
        minute = number * 60
        return f"{minute:.2f}/min" if abs(minute) >= Decimal("0.1") else f"{number * 3600:,.2f}/h"
    if not number:
        return "0/s"
    return f"{number:,.2f}/s" if abs(number) < 100 else f"{number:,.0f}/s"


def score(number: Decimal) -> str:
    """A score, or a mean of scores.

    >>> [score(Decimal(text)) for text in ("0", "0.8036", "4.5", "1234.56", "0.00012")]
    ['0', '0.804', '4.5', '1,235', '0.00012']
    """
    size = abs(number)
    if size >= 100:
        return f"{number:,.0f}"
    places = 3 if size >= Decimal("0.01") or not size else min(12, 1 - size.adjusted())
    text = f"{number:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def points(number: Decimal) -> str:
    """A difference of two fractions in percentage points.

    >>> [points(Decimal(text)) for text in ("0.0088", "-0.5", "0")]
    ['0.88 points', '-50.00 points', '0 points']
    """
    return f"{number * 100:.2f} points" if number else "0 points"


UNITS: Final[dict[str, tuple[Callable[[Decimal], str], str]]] = {
    "usd": (usd, "US dollars"),
    "usd_change": (usd_change, "US dollars"),
    "count": (count, ""),
    "requests": (count, "requests"),
    "tokens": (count, "tokens"),
    "ms": (ms, "milliseconds"),
    "rate": (rate, "of 1"),
    "pct": (pct, "percent"),
    "bytes": (size, "bytes"),
    "per_second": (per_second, "a second"),
    "score": (score, ""),
    "points": (points, "of 1"),
}


def shown(value: Any, unit: str) -> str:
    """A figure with its unit; a dash where there is none."""
    number = number_of(value)
    return NOTHING if number is None else UNITS[unit][0](number)


def exact(value: Any, unit: str) -> str:
    """The figure without rounding, for its title."""
    number = number_of(value)
    if number is None:
        return "no data"
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    whole, _, part = text.partition(".")
    return f"{int(whole):,}{'.' if part else ''}{part} {UNITS[unit][1]}".strip().replace("-0.", "-0.")
