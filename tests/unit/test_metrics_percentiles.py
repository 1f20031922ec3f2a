"""Merging histogram cells: nearest rank, within one percent, whatever the grouping."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.common.bins import GAMMA, RELATIVE_ERROR, ZERO_BIN
from apps.metrics import percentiles

RANKS = (50, 90, 95, 99)


def cell(values: list[int]) -> percentiles.Cells:
    """The histogram of some microseconds, as a refresh would store it."""
    bins = [ZERO_BIN if value <= 0 else math.ceil(math.log(value) / math.log(GAMMA)) for value in values]
    found, counts = np.unique(np.array(bins, dtype=np.int64), return_counts=True)
    return found, counts.astype(np.int64)


def nearest_rank(values: list[int], rank: int) -> float:
    return sorted(values)[-(-rank * len(values) // 100) - 1] / 1000


groups = st.lists(
    st.lists(st.lists(st.one_of(st.integers(0, 50), st.integers(0, 10**12)), min_size=1, max_size=30), max_size=4),
    min_size=1,
    max_size=6,
)


@settings(max_examples=200, deadline=None)
@given(groups)
def test_every_percentile_is_within_the_error(found: list[list[list[int]]]) -> None:
    answers = percentiles.percentiles([[cell(values) for values in members] for members in found], RANKS)
    for members, answer in zip(found, answers, strict=True):
        values = [value for part in members for value in part]
        if not values:
            assert answer == [None] * len(RANKS)
            continue
        for rank, value in zip(RANKS, answer, strict=True):
            exact = nearest_rank(values, rank)
            assert value == pytest.approx(exact, rel=RELATIVE_ERROR * (1 + 1e-9), abs=1e-6)


def test_more_groups_than_one_block() -> None:
    many = [[cell([n + 1, n + 2])] for n in range(2 * percentiles._BLOCK + 7)]
    answers = percentiles.percentiles(many, (50,))
    assert len(answers) == len(many)
    assert answers[-1][0] == pytest.approx(len(many) / 1000, rel=RELATIVE_ERROR)


def test_nothing() -> None:
    assert percentiles.percentiles([], RANKS) == []
    assert percentiles.percentiles([[]], RANKS) == [[None] * 4]


def sent(values: list[int], width: int) -> bytes:
    """An array as PostgreSQL sends it: dimensions, NULLs or not, element type, length, lower bound, elements."""
    header = struct.pack(">iiIii", 1, 0, 23 if width == 4 else 20, len(values), 1)
    return header + b"".join(struct.pack(">i", width) + value.to_bytes(width, "big", signed=True) for value in values)


cells = st.lists(st.tuples(st.integers(-1, 2_183), st.integers(1, 2**62)), min_size=1, max_size=12)


@given(st.lists(cells, min_size=1, max_size=6))
def test_joined_cells(found: list[list[tuple[int, int]]]) -> None:
    sizes = np.array([len(one) for one in found], np.int64)
    bins = b"".join(sent([value for value, _ in one], 4) for one in found)
    counts = b"".join(sent([number for _, number in one], 8) for one in found)
    read = percentiles.unpacked(sizes, bins, counts)
    assert list(zip(*(part.tolist() for part in read), strict=True)) == [pair for one in found for pair in one]
