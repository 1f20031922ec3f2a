"""What every page of the console costs and weighs, whatever pages there are: found by their routes.

A page asks the metrics engine three times at most, weighs less than 300 kB, and sends no more statements when it has
more to list.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.contrib.staticfiles import finders
from django.db import connection
from django.test import Client

from apps.traces.tiers import detect
from tests.console.conftest import HTML
from tests.console.furnished import furnish, more_of_everything
from tests.support.counted import STANDING, counted
from tests.support.world import World

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("every-page")]
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "page_counts.json"
MOST_BYTES, MOST_ASKED = 300_000, 3
ASSET = re.compile(r'(?:src|href)="/static/([^"?]+\.(?:js|css|svg|png|woff2))"')
# What the metrics engine answers; the rest are plain reads.
ENGINE = re.compile(r"^/api/v1/(metrics|costs|performance|users|models|sessions|quality|summary)")


def weight(answer: Any) -> int:
    """The page with all its scripts, styles and pictures, none of them packed."""
    text = answer.content.decode()
    files = [finders.find(name) for name in set(ASSET.findall(text))]
    assert all(files), text
    return len(answer.content) + sum(Path(str(file)).stat().st_size for file in files)


def test_every_page_opens_is_light_and_asks_little(world: World, browser_of: Any) -> None:
    addresses, closed, heavy, curious = furnish(world), {}, {}, {}
    web = browser_of(world.ada)
    for route, path in addresses.items():
        answer = web.get(path)
        if answer.status_code == 302 and not answer["Location"].startswith("/login"):
            continue  # it is for POST, or passes on to a page of its own
        if answer.status_code != 200:
            closed[route] = answer.status_code
            continue
        if (bytes_ := weight(answer)) >= MOST_BYTES:
            heavy[route] = bytes_
        asked = [one.path for one in getattr(answer.wsgi_request, "hub_asked", []) if ENGINE.match(one.path)]
        if len(asked) > MOST_ASKED:
            curious[route] = asked
    assert len(addresses) > 40
    assert (closed, heavy, curious) == ({}, {}, {})


def test_the_number_of_rows_changes_nothing(world: World, browser_of: Any) -> None:
    """Ten times of everything that a page lists, and no statement more."""
    addresses = furnish(world)
    web = browser_of(world.ada)
    before = {route: statements(web, path) for route, path in addresses.items()}
    within_the_table({route: len(texts) for route, texts in before.items()})
    more_of_everything(world)
    after = {route: statements(web, path) for route, path in addresses.items()}
    more = {
        route: [text for text in after[route] if after[route].count(text) > before[route].count(text)]
        for route in addresses
        if len(after[route]) > len(before[route])
    }
    assert not more, "\n".join(f"{route}: {text[:300]}" for route, texts in more.items() for text in set(texts))


def within_the_table(found: dict[str, int]) -> None:
    """The statements of every page, once everybody is known and nothing kept: no more than is written down."""
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    table = json.loads(GOLDEN.read_text(encoding="utf-8"))
    if detect(connection).hypertables:  # how far the rollups are, and what is stored, takes a few statements more there
        table |= {route: found[route] for route in ("/ingest", "/ingest/installation")}
    over = {route: (count, table.get(route)) for route, count in found.items() if count > table.get(route, 0)}
    assert over == {}, "run with UPDATE_GOLDEN=1 if the change is meant"
    assert set(table) == set(found), "the table names pages that are gone: run with UPDATE_GOLDEN=1"


def statements(web: Client, path: str) -> list[str]:
    """What a page asks the database once everybody is known, nothing of it kept."""
    patient = mock.patch("apps.common.edge.deadline.SLACK_SECONDS", 1e9)
    with mock.patch("apps.common.cells.monotonic", lambda: STANDING), patient:
        web.get(path)
        with counted() as seen:
            web.get(path, headers={"Accept": HTML, "Cache-Control": "no-cache"})
    return seen
