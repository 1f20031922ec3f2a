"""Whatever the pages of performance, quality, models and conversations lead to is there and takes what they pass on."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urljoin

import pytest
from django.urls import resolve

from apps.console.page import MENU
from apps.console.reach import PLACES
from tests.support.world import World

PAGES = (
    "/performance?range=7d&environment=production&by=kind",
    "/performance?range=7d&view=trends",
    "/quality?range=7d&compare=1",
    "/quality/scores?range=7d&source=human",
    "/models?range=7d&sort_by=errors",
    "/models/compare?range=7d&models=gpt-4o,claude-sonnet-4-5",
    "/conversations?range=7d&has_error=true&tz=Europe/Berlin",
    "/conversations/session-2",
)


def kind_of(address: str) -> tuple[str, frozenset[str]]:
    """Addresses that differ in values alone count as one."""
    path, _, query = address.partition("?")
    return re.sub(r"[0-9a-f]{32}|(?<=/)(session|user)-\d+", "*", path), frozenset(name for name, _ in parse_qsl(query))


@pytest.mark.parametrize("address", PAGES)
def test_every_link_leads_somewhere(story: World, ada: Any, address: str) -> None:
    scores = [{"trace_id": f"{1:032x}", "name": "ok", "value": True, "source": "human"}]
    scores.append({"session_id": "session-2", "name": "resolved", "value": True, "source": "human"})
    assert story.send("POST", "/api/v1/scores", {"scores": scores}, key=story.key).status_code == 200
    page = ada.get(address)
    assert page.status_code == 200
    body = page.content.decode().partition("<main")[2]
    links = {unescape(link) for link in re.findall(r'(?:href|hx-get)="([^"#]+)(?:#[^"]*)?"', body)}
    kinds = {kind_of(target): target for link in links if (target := urljoin(address, link)) != address}
    assert kinds
    wrong = {target: code for target in kinds.values() if (code := ada.get(target).status_code) >= 400}
    assert wrong == {}


OPEN_TO_MANY = ("/overview?range=7d", "/overview/users?range=7d", "/performance?range=7d", "/quality?range=7d")
FURTHER = ("/models?range=7d", "/users?range=7d", "/costs?range=7d", "/costs/change?range=7d", "/users/user-1?range=7d")


@pytest.mark.parametrize("role", ["viewer", "billing"])
def test_no_link_leads_to_what_a_role_does_not_open(story: World, browser_of: Any, role: str) -> None:
    web = browser_of(story.new_person(f"{role}@acme.example", role))
    pages = {address: web.get(address) for address in (*OPEN_TO_MANY, *FURTHER)}
    texts = {address: page.content.decode() for address, page in pages.items() if page.status_code == 200}
    assert len(texts) >= len(OPEN_TO_MANY)
    leads = {
        kind_of(target): target
        for address, text in texts.items()
        for link in re.findall(r'(?:href|hx-get)="([^"#]+)|"(?:drill|link)": "([^"#]+)', text)
        if (target := urljoin(address, unescape(link[0] or link[1]))).startswith("/") and "{" not in target
    }
    # Beside what needs no permission; the API has its own answers.
    asked = [target for target in leads.values() if not target.startswith(("/static/", "/api/", "/docs/"))]
    assert [target for target in asked if web.get(target).status_code == 403] == []
    if role == "billing":
        assert not any('"drill": "/traces' in text for text in texts.values())
    assert all("</a>" in text and text.count("<a") == text.count("</a>") for text in texts.values())


def test_menu_and_links_know_what_a_page_needs() -> None:
    """What is written down for links and for the menu is what the pages themselves declare."""
    menu = {place.path: place.permission for _, places in MENU for place in places}
    views: dict[str, Any] = {path: resolve(path).func for path in (*PLACES, *menu)}
    declared = {path: view.required_permission["GET"] for path, view in views.items()}
    assert {path: declared[path] for path in PLACES} == PLACES
    assert {path: declared[path] for path in menu} == menu
