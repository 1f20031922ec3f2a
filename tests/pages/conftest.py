"""Fixtures of the pages' tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # this module may be read before Django's settings are
    from django.test import Client

    from apps.orgs.models import User
    from tests.support.world import World

PASSWORD = "correct horse 17"


@pytest.fixture
def world(db: None) -> World:
    from django.core.cache import cache

    from tests.support.world import make_world

    cache.clear()
    return make_world()


@pytest.fixture
def ada(world: World) -> User:
    """Ada, with a password that she knows."""
    world.ada.set_password(PASSWORD)
    world.ada.save()
    return world.ada


@pytest.fixture
def web() -> Client:
    """A browser: it asks for HTML and keeps cookies."""
    from django.test import Client

    return Client(raise_request_exception=False, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})


@pytest.fixture
def signed_in(web: Client, ada: User) -> Client:
    answer: Any = web.post("/login", {"email": ada.email, "password": PASSWORD})
    assert answer.status_code == 302
    return web
