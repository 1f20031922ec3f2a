"""Bins of histograms whose width grows with the value, so that a percentile has a guaranteed relative error."""

from __future__ import annotations

# Histogram bins: bin = ceil(ln(x) / ln(GAMMA)) for x >= 1, ZERO_BIN below. The value of a bin is
# 2 * GAMMA^bin / (GAMMA + 1), at most RELATIVE_ERROR away from every x in it.
RELATIVE_ERROR = 0.01
GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
ZERO_BIN = -1


def bin_sql(value: str) -> str:
    """The bin of a value that is not NULL, as an integer expression.

    The arithmetic is double precision on every path, so a value has one bin wherever it is computed.
    """
    return (
        f"CASE WHEN {value} <= 0 THEN {ZERO_BIN} "
        f"ELSE ceil(ln({value}::double precision) / ln({GAMMA!r}::double precision))::integer END"
    )
