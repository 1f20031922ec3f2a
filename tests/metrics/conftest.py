"""Tests of the cells commit for real: they start from, and leave behind, empty tables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cells import clear_cells


@pytest.fixture
def empty_cells(transactional_db: None) -> Iterator[None]:
    clear_cells()
    yield
    clear_cells()
