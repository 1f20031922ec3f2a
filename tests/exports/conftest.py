"""Fixtures of exports' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.spans import clear_spans

if TYPE_CHECKING:
    from tests.exports.jobbing import Place


@pytest.fixture
def own_storage(settings: Any, tmp_path: Path) -> Path:
    """Files of exports lie in a folder of the test's own."""
    local = settings.STORAGES["exports"]
    options = {**local["OPTIONS"], "location": tmp_path / "exports" / "files"}
    settings.STORAGES = {**settings.STORAGES, "exports": {**local, "OPTIONS": options}}
    settings.HUB = settings.HUB.model_copy(update={"hub_data_dir": tmp_path})
    return tmp_path


@pytest.fixture
def acme(transactional_db: None, own_storage: Path) -> Iterator[Place]:
    """An organization in real transactions, on empty tables of spans."""
    from tests.exports.jobbing import place

    clear_spans()
    yield place("acme")
    clear_spans()


@pytest.fixture
def committed_spans(transactional_db: None) -> Iterator[None]:
    """Real transactions on empty tables of spans and of what is made from them, emptied again at the end."""
    from tests.support.cells import clear_cells

    clear_cells()
    yield
    clear_cells()
