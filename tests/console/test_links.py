"""Whatever the pages of performance, quality, models and conversations lead to is there and takes what they pass on."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urljoin

import pytest

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
