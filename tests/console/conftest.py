"""Fixtures of the console's tests: the story's spans, and browsers of Acme's people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # this module may be read before Django's settings are
    from django.test import Client

    from tests.support.world import World

HTML = "text/html,application/xhtml+xml,*/*;q=0.8"


@pytest.fixture
def world(db: None) -> World:
    from django.core.cache import cache

    from tests.support.world import make_world

    cache.clear()
    return make_world()


@pytest.fixture
def story(world: World) -> World:
    """Three days of a support bot in the project `default`."""
    from tests.support.story import tell

    tell(world)
    return world


@pytest.fixture
def browser_of(world: World) -> Iterator[Callable[[Any], Client]]:
    """A browser in which somebody has signed in."""
    from django.test import Client

    def open_for(user: Any) -> Client:
        web = Client(raise_request_exception=False, headers={"Accept": HTML})
        web.force_login(user)
        return web

    yield open_for


@pytest.fixture
def ada(world: World, browser_of: Callable[[Any], Client]) -> Client:
    """The admin's browser."""
    return browser_of(world.ada)


@pytest.fixture
def ben(world: World, browser_of: Callable[[Any], Client]) -> Client:
    """The viewer's browser."""
    return browser_of(world.ben)


@pytest.fixture
def web() -> Client:
    """A browser in which nobody has signed in."""
    from django.test import Client

    return Client(raise_request_exception=False, headers={"Accept": HTML})
