"""Fixtures of ingest's tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.ingest.world import Sender


@pytest.fixture
def acme(db: None) -> Iterator[Sender]:
    from tests.ingest.world import acme_sender  # after Django's settings

    yield from acme_sender()
