"""Fixtures of the API's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # this module may be read before Django's settings are
    from tests.support.world import World


@pytest.fixture
def world(db: None) -> World:
    from tests.support.world import make_world

    return make_world()
