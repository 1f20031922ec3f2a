"""Folders for hubs that are started here."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A folder in which no hub ever ran."""
    folder = tmp_path / "data"
    yield folder
    # Root's servers may keep their data outside a folder that the service user cannot reach.
    servers = folder / "servers"
    if servers.is_symlink():
        shutil.rmtree(servers.resolve(), ignore_errors=True)


@pytest.fixture
def kept_dir() -> Iterator[Path]:
    """A folder in which a hub ran before and ended in order, which saves the time of a first start."""
    from tests.support.prepared import prepared_folder

    with prepared_folder() as folder:
        yield folder / "data"
