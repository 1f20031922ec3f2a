"""Comparing answers with what was recomputed: money to the last decimal, ratios to a float's precision."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

PICO = Decimal(10) ** -12


def usd(pico: int | None) -> Decimal | None:
    """Trillionths of a dollar as the dollars of an answer."""
    return None if pico is None else Decimal(pico) * PICO


def same_money(answered: Any, pico: int | None) -> bool:
    """Whether an answer says exactly this many trillionths."""
    if answered is None or pico is None:
        return answered is None and pico is None
    return Decimal(answered) == Decimal(pico) * PICO


def near(value: float | None, relative: float = 1e-9) -> Any:
    """A number that went through binary floats and was rounded for the answer."""
    return value if value is None else pytest.approx(value, rel=relative, abs=1e-6)


def number(value: Any) -> float:
    """What polars aggregated, as a float."""
    return float(value)
