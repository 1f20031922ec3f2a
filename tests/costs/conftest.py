"""A world that stands still in time, and traffic in it as it may lie: raw, in cells, or both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import time_machine

if TYPE_CHECKING:  # this module may be read before Django's settings are
    from tests.costs.asking import Asking
    from tests.support.world import World


@pytest.fixture
def world(transactional_db: None) -> Iterator[World]:
    from tests.metrics.test_oracle import NOW
    from tests.support.cells import clear_cells
    from tests.support.world import make_world

    clear_cells()
    with time_machine.travel(NOW, tick=False):
        yield make_world()
    clear_cells()


@pytest.fixture(params=["raw", "refreshed", "late"])
def asking(request: pytest.FixtureRequest, world: World) -> Asking:
    from tests.costs.asking import over

    return over(world, request.param)
