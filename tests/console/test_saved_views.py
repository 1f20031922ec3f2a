"""Saved views: one's own, shared ones, and nobody else's."""

from __future__ import annotations

from typing import Any

import pytest

from apps.console import saved
from apps.console.models import SavedView
from tests.support.world import World

QUERY = "range=7d&status=error&model=gpt-4o&f1=ttft_ms&o1=gt&v1=100"


def names(page: Any) -> list[str]:
    return [view.name for view in page.context["views"]]


def test_a_view_is_kept_opened_and_replaced(world: World, ada: Any) -> None:
    made = ada.post("/traces/views", {"name": "  Slow   errors ", "query": QUERY})
    assert made["Location"] == f"/traces?{QUERY}"
    page = ada.get("/traces")
    assert names(page) == ["Slow errors"]
    assert f'href="/traces?{QUERY}"'.replace("&", "&amp;").encode() in page.content
    ada.post("/traces/views", {"name": "Slow errors", "query": "status=ok"})
    assert [view.query for view in ada.get("/traces").context["views"]] == ["status=ok"]


def test_only_what_the_page_knows_is_kept(world: World, ada: Any) -> None:
    ada.post("/traces/views", {"name": "v", "query": "status=error&cursor=abc&next=//evil&csrf=1"})
    assert SavedView.objects.get().query == "status=error"


def test_views_are_private_until_shared_and_never_leave_the_organization(
    world: World, ada: Any, ben: Any, browser_of: Any
) -> None:
    ada.post("/traces/views", {"name": "mine", "query": "status=error"})
    ada.post("/traces/views", {"name": "ours", "query": "status=error", "shared": "1"})
    assert names(ada.get("/traces")) == ["mine", "ours"]
    assert names(ben.get("/traces")) == ["ours"]
    assert names(browser_of(world.cleo).get("/traces")) == []


def test_who_deletes_what(world: World, ada: Any, ben: Any, browser_of: Any) -> None:
    for web, name, shared in ((ada, "mine", ""), (ada, "ours", "1"), (ben, "his", ""), (ben, "theirs", "1")):
        web.post("/traces/views", {"name": name, "query": "status=error", "shared": shared})
    number = {view.name: view.pk for view in SavedView.objects.all()}
    cleo = browser_of(world.cleo)

    def gone(web: Any, name: str) -> int:
        return int(web.post(f"/traces/views/{number[name]}/delete").status_code)

    assert [gone(cleo, name) for name in number] == [404] * 4
    assert (gone(ben, "mine"), gone(ben, "ours"), gone(ada, "his")) == (404, 404, 404)
    assert (gone(ada, "theirs"), gone(ben, "his"), gone(ada, "ours")) == (302, 302, 302)
    assert [view.name for view in SavedView.objects.all()] == ["mine"]
    assert ada.get(f"/traces/views/{number['mine']}/delete").status_code == 302
    assert SavedView.objects.count() == 1  # looking deletes nothing


@pytest.mark.parametrize(
    "sent",
    [{"name": " ", "query": ""}, {"name": "x" * 81, "query": ""}, {"name": "x", "query": "search=" + "y" * 4_000}],
    ids=["no name", "a long name", "a long search"],
)
def test_what_cannot_be_kept_is_told(world: World, ada: Any, sent: dict[str, str]) -> None:
    page = ada.post("/traces/views", sent, follow=True)
    assert b"notice-bad" in page.content and not SavedView.objects.exists()


def test_there_is_an_end_to_them(world: World, ada: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved, "MOST", 2)
    for number in range(3):
        ada.post("/traces/views", {"name": f"v{number}", "query": "status=error"})
    assert SavedView.objects.count() == 2
    ada.post("/traces/views", {"name": "v0", "query": "status=ok"})  # replacing is no further one
    assert SavedView.objects.get(name="v0").query == "status=ok"
