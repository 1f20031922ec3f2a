from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.spans import clear_spans


@pytest.fixture
def committed_spans(transactional_db: None) -> Iterator[None]:
    """Real transactions on empty span tables, emptied again at the end."""
    clear_spans()
    yield
    clear_spans()
