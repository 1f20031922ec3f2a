"""Nearest-rank percentiles out of histogram cells, merged by numpy.

A cell holds ascending `bins` and their `counts`; merging adds counts. The arrays come over the wire in PostgreSQL's
binary format and are read in place: as Python lists the same rows take ten times as long. The cells of a group come as
one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.adapt import Loader
from psycopg.pq import Format

from apps.common.bins import GAMMA, ZERO_BIN

_HEADER = 20  # dimensions, null flag, element type, length, lower bound: five integers
_EMPTY = 12
_INT4_ARRAY, _INT8_ARRAY = 1007, 1016  # object ids that every PostgreSQL has
_INT4 = np.dtype([("size", ">i4"), ("value", ">i4")])
_INT8 = np.dtype([("size", ">i4"), ("value", ">i8")])
# So many groups are laid out as one dense table of at most 2,184 bins (all of bigint): 17 MB.
_BLOCK = 1_000

Cells = tuple[NDArray[np.int64], NDArray[np.int64]]


class _ArrayLoader(Loader):
    format = Format.BINARY
    layout = _INT4

    def load(self, data: Any) -> NDArray[np.int64]:
        if len(data) <= _EMPTY:
            return np.empty(0, np.int64)
        # A view of the bytes as they came: all arrays of an answer are converted at once, when they are joined.
        view: NDArray[np.int64] = np.frombuffer(data, self.layout, offset=_HEADER)["value"]
        return view


class Int4ArrayLoader(_ArrayLoader):
    layout = _INT4


class Int8ArrayLoader(_ArrayLoader):
    layout = _INT8


def load_arrays(cursor: psycopg.Cursor[Any]) -> None:
    """Have this cursor give integer arrays without NULLs as numpy arrays."""
    cursor.adapters.register_loader(_INT4_ARRAY, Int4ArrayLoader)
    cursor.adapters.register_loader(_INT8_ARRAY, Int8ArrayLoader)


def unpacked(sizes: NDArray[np.int64], bins: bytes, counts: bytes) -> Cells:
    """The bins and counts of many cells that came as one value each: what PostgreSQL sends of every array, joined.

    Fifty cells a group are a tenth of the work that they are as rows of their own.

    Args:
        sizes: how many bins each cell has, never 0.
    """
    return _joined(sizes, bins, 2), _joined(sizes, counts, 3)


def _joined(sizes: NDArray[np.int64], data: bytes, width: int) -> NDArray[np.int64]:
    """The elements of joined integer arrays, `width` words each: its length, and one or two words of value."""
    if len(sizes) == 1:
        view: NDArray[np.int64] = np.frombuffer(data, _INT4 if width == 2 else _INT8, offset=_HEADER)["value"]
        return view
    words = np.frombuffer(data, ">i4")
    header = _HEADER // words.itemsize
    lengths = header + width * np.asarray(sizes, np.int64)
    starts = lengths.cumsum() - lengths
    elements = np.ones(len(words), np.bool_)
    elements[(starts[:, None] + np.arange(header)).ravel()] = False
    found = words[elements].reshape(-1, width).astype(np.int64)
    return found[:, 1] if width == 2 else (found[:, 1] << 32) | (found[:, 2] & 0xFFFFFFFF)


def bin_values(bins: NDArray[np.int64]) -> NDArray[np.float64]:
    """What bins stand for, in microseconds: at most 1% from everything in them."""
    exact = 2.0 * np.power(GAMMA, bins.astype(np.float64)) / (GAMMA + 1.0)
    return np.where(bins == ZERO_BIN, 0.0, exact)


def percentiles(groups: Sequence[Sequence[Cells]], ranks: Sequence[float]) -> list[list[float | None]]:
    """For every group of cells the percentiles (ranks in percent) in milliseconds; None for an empty group."""
    answers: list[list[float | None]] = []
    for at in range(0, len(groups), _BLOCK):
        answers += _block(groups[at : at + _BLOCK], ranks)
    return answers


def _block(groups: Sequence[Sequence[Cells]], ranks: Sequence[float]) -> list[list[float | None]]:
    cells = [(index, *cell) for index, members in enumerate(groups) for cell in members if len(cell[0])]
    if not cells:
        return [[None] * len(ranks) for _ in groups]
    bins = np.concatenate([cell[1] for cell in cells], dtype=np.int64)
    counts = np.concatenate([cell[2] for cell in cells], dtype=np.int64)
    owners = np.repeat([cell[0] for cell in cells], [len(cell[1]) for cell in cells])
    low = int(bins.min())
    width = int(bins.max()) - low + 1
    # Counts stay far below 2^53, so adding them as doubles is exact.
    table = np.bincount(owners * width + (bins - low), weights=counts, minlength=len(groups) * width)
    # One running sum over all groups: a rank within a group is a rank in it, after those of the groups before.
    running = table.astype(np.int64).cumsum()
    ends = running[width - 1 :: width]
    before = np.concatenate(([0], ends[:-1]))
    totals = ends - before
    columns = []
    for rank in ranks:
        if isinstance(rank, int):
            wanted = (totals * rank + 99) // 100
        else:
            wanted = np.clip(np.ceil(totals * (rank / 100)), 1, np.maximum(totals, 1)).astype(np.int64)
        place = np.searchsorted(running, before + wanted)
        columns.append(bin_values(place % width + low) / 1000.0)
    return [
        [round(float(column[index]), 6) if totals[index] else None for column in columns]
        for index in range(len(groups))
    ]
