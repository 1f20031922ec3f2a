"""Every page in a browser, narrow, light and dark: axe finds nothing, nothing is wider than the window, nothing leaves.

The pages are found by their routes; one server and one browser serve them all, since both take seconds to start.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.console.browsing import CHROMIUM, Window, browser, session_of
from tests.support.axe import pale, violations

pytestmark = [
    pytest.mark.processes,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH"),
    pytest.mark.timeout(280),
]
# Beside the console; Swagger UI is looked at in tests/pages/test_browser.py.
FURTHER = ("/account", "/account/password", "/docs/errors/")


@pytest.fixture
def hub(transactional_db: None, tmp_path: Path) -> Iterator[tuple[str, Any]]:
    from django.core.cache import cache
    from django.db import connection

    from tests.clients.hub import running_hub
    from tests.support.spans import clear_spans
    from tests.support.world import make_world

    cache.clear()
    clear_spans()
    world = make_world()
    with running_hub(connection.settings_dict, tmp_path / "web.log") as address:
        yield address, world
    clear_spans()


def test_every_page(hub: tuple[str, Any]) -> None:
    from tests.console.furnished import furnish

    address, world = hub
    paths, cookie = whole_pages(furnish(world), world.ada), session_of(world.ada)
    found: list[str] = []
    with browser() as started:
        window = Window(started, address, width=360, color_scheme="light")
        look(window, "/login", found)
        window.take(cookie)
        for path in (*paths, *FURTHER):
            look(window, path, found)
    assert window.wrong + found == []


def whole_pages(addresses: dict[str, str], user: Any) -> list[str]:
    """Those that are pages, not parts of pages, files or redirects."""
    from django.test import Client

    web = Client(headers={"Accept": "text/html"})
    web.force_login(user)
    answers = {path: web.get(path) for path in addresses.values()}
    return [path for path, answer in answers.items() if not answer.streaming and b"<html" in answer.content]


def look(window: Window, path: str, found: list[str]) -> None:
    """At one page, in both schemes."""
    window.open(path)
    found.extend(violations(window.page))
    window.page.emulate_media(color_scheme="dark")
    found.extend(f"dark: {one}" for one in pale(window.page))
    window.page.emulate_media(color_scheme="light")
