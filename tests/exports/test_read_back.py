"""Awkward spans out of the database through every format and back, cell by cell: `bench.read_back` in small."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from apps.exports.spec import COMPRESSIONS, FORMATS, Compression, Format
from apps.traces.writer import write
from bench import readers
from bench.awkward import Maker
from bench.exporting import exported, spec_of
from bench.read_back import Compared, compare, stored
from tests.support.world import make_world

SPANS = 300
START = datetime(2026, 11, 5, tzinfo=UTC)
END = START + timedelta(days=1)


@pytest.fixture
def project(committed_spans: None, monkeypatch: pytest.MonkeyPatch) -> int:
    """A project with awkward spans, one with a megabyte in a cell."""
    monkeypatch.setattr("bench.awkward.LONG_EVERY", SPANS)
    world = make_world()
    rows = list(Maker(world.default.pk, START, 86_400, SPANS).rows())
    assert max(len(row.output or "") for row in rows) == 1_000_000
    write(rows)
    return world.default.pk


def read_back(project: int, format: Format, compression: Compression, folder: Path) -> list[Compared]:
    spec = spec_of(project, START, END, format=format, compression=compression)
    path, produced, columns = exported(spec, folder)
    assert produced.rows == SPANS
    raw: Any = connection.connection
    made = []
    for read in readers.READERS[format].values():
        with raw.transaction(), closing(stored(raw, project, columns)) as rows:
            made.append(compare(columns, read, path, rows, sheet=format == "xlsx"))
    return made


def test_every_cell_of_every_format_is_the_databases(project: int, tmp_path: Path) -> None:
    for format in FORMATS:
        for compression in COMPRESSIONS:
            for result in read_back(project, format, compression, tmp_path):
                assert (format, compression, result.wrong, result.first) == (format, compression, 0, "")
                assert result.rows == SPANS
                assert result.cells > 40 * SPANS


def test_a_cell_that_differs_is_found(project: int, tmp_path: Path) -> None:
    """The comparison itself: one changed cell, one missing row, one row too many."""
    spec = spec_of(project, START, END, format="jsonl")
    path, _, columns = exported(spec, tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    changed = lines[5].replace(b'"billable":true', b'"billable":1').replace(b'"billable":false', b'"billable":0')
    raw: Any = connection.connection
    with raw.transaction():
        rows = list(stored(raw, project, columns))
    for data, wrong in (([*lines[:5], changed, *lines[6:]], 1), (lines[:-1], 1), ([*lines, lines[0]], 1)):
        path.write_bytes(b"".join(data))
        assert compare(columns, readers.json_lines, path, iter(rows), sheet=False).wrong == wrong
