"""Ingest health: what came, what was refused, dead letters and their way back; each sees what is theirs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.ingest import tally
from apps.ingest.models import DeadLetter
from apps.orgs.models import AuditEntry, Project, Role
from apps.orgs.projects import forget_projects
from tests.support.world import World

OLD = (datetime.now(UTC) - timedelta(days=200)).isoformat()


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    tally._held.clear()


def span(**more: Any) -> dict[str, Any]:
    return {"name": "chat", "kind": "llm", "start_time": datetime.now(UTC).isoformat(), "duration_ms": 5, **more}


def sent(world: World, *spans: dict[str, Any], key: str | None = None) -> None:
    world.send("POST", "/api/v1/traces", {"spans": list(spans)}, key=key or world.key)
    tally.flush()


def letters_of(page: Any) -> list[int]:
    return [one.pk for one, _ in page.context["letters"]]


def test_tells_what_came_and_what_was_refused(world: World, ada: Any) -> None:
    sent(world, span(), span(), span(), span(start_time=OLD), {"name": "x"})
    sent(world, span(), key=world.zenith_key)
    page = ada.get("/ingest?range=1h")
    total = page.context["total"]
    assert (total.accepted, total.refused) == (3, 2)
    assert [(slug, came.accepted, came.refused) for slug, came, _ in page.context["rows"]] == [
        ("default", 3, 2),
        ("web", 0, 0),
    ]
    assert {(name, spans) for name, spans, *_ in page.context["reasons"]} == {
        ("older_than_retention", 1),
        ("missing_timestamp", 1),
    }
    chart = page.context["chart"]
    assert [sum(one.values) for one in chart.series] == [3, 2]
    assert len(chart.times) == len(chart.series[0].values)
    assert ada.get("/ingest?project=web").context["empty"]
    assert page.wsgi_request.__dict__.get("hub_asked", []) == []  # the metrics engine is not asked at all


def test_other_pages_filters_do_not_seem_to_hold_here(world: World, ada: Any) -> None:
    sent(world, span())
    page = ada.get("/ingest?model=gpt-4o&range=6h")
    assert page.context["total"].accepted == 1
    assert page.context["named_filters"] == [] and b"gpt-4o" not in page.content


def test_states_without_data_and_without_permission(world: World, ada: Any, browser_of: Any) -> None:
    assert b"Nothing arrived in this range" in ada.get("/ingest").content
    dora = browser_of(world.dora)
    told = dora.get("/ingest?project=default")
    assert told.status_code == 200 and b"The project is outside your membership." in told.content
    assert b"There is no project" in ada.get("/ingest?project=secret").content


def test_each_sees_the_letters_of_their_projects(world: World, ada: Any, browser_of: Any) -> None:
    sent(world, span(start_time=OLD), span(start_time=OLD))
    sent(world, span(start_time=OLD), key=world.zenith_key)
    mine = [one.pk for one in DeadLetter.objects.filter(project=world.default).order_by("-pk")]
    foreign = DeadLetter.objects.get(project=world.zenith_project).pk
    assert letters_of(ada.get("/ingest/letters")) == mine
    dora = browser_of(world.dora)
    assert letters_of(dora.get("/ingest/letters")) == []
    for web, number in ((dora, mine[0]), (ada, foreign), (ada, 10**18), (ada, 0)):
        assert web.get(f"/ingest/letters/{number}").status_code == 404
        assert web.post(f"/ingest/letters/{number}").status_code == 404
    assert ada.get("/ingest/letters/x").status_code == 404
    assert ada.post("/ingest/letters", {"letter": [mine[0], foreign]}).status_code == 404
    assert not DeadLetter.objects.exclude(redriven_at=None).exists()


def test_filters_of_letters(world: World, ada: Any) -> None:
    sent(world, span(start_time=OLD, trace_id="t1"), {"name": "x"}, span(start_time=OLD, input="y" * 90_000))
    old, timeless, cut = DeadLetter.objects.order_by("pk").values_list("pk", flat=True)
    asked = {
        "": [cut, timeless, old],
        "reason=missing_timestamp": [timeless],
        "state=cut": [cut],
        "state=waiting": [timeless, old],
        "state=redriven": [],
        "trace_id=t1": [old],
        "project=web": [],
        "range=last_month": [],
    }
    assert {query: letters_of(ada.get(f"/ingest/letters?{query}")) for query in asked} == asked
    assert ada.get("/ingest/letters?state=lost").status_code == 400
    assert ada.get("/ingest/letters?after=x").status_code == 400


def test_pages_through_letters_of_several_projects(world: World, ada: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.console.pages import letters

    monkeypatch.setattr(letters, "SHOWN", 3)
    for _ in range(4):
        sent(world, span(start_time=OLD), span(start_time=OLD))
        world.send("POST", "/api/v1/traces", span(start_time=OLD), **{"X-Project": "web"})
    found: list[int] = []
    query = "?range=24h"
    while query:
        page = ada.get(f"/ingest/letters{query}")
        found += letters_of(page)
        query = page.context["following"]
    order = DeadLetter.objects.order_by("-received_at", "-pk").values_list("pk", flat=True)
    assert found == list(order) and len(found) == 12


def test_drives_letters_in_again(world: World, ada: Any) -> None:
    sent(world, *(span(start_time=OLD, trace_id=f"t{number}") for number in range(3)), {"name": "x"})
    Project.objects.filter(pk=world.default.pk).update(raw_retention_days=None)
    numbers = list(DeadLetter.objects.order_by("pk").values_list("pk", flat=True))
    page = ada.post("/ingest/letters?range=6h", {"letter": [numbers[0], numbers[3]]}, follow=True)
    assert page.redirect_chain[0][0].startswith("/ingest/letters?range=6h")
    assert b"Refused again: 2" in page.content
    # The time when it began is mended in the letter, as a sender's clock would be.
    for letter in DeadLetter.objects.filter(pk__in=numbers[:3]):
        soon = int(datetime.now(UTC).timestamp() * 1e9)
        letter.payload = _with_time(letter.payload, soon)
        letter.save()
    forget_projects()
    page = ada.post(f"/ingest/letters/{numbers[0]}", follow=True)
    assert b"Spans now: 1." in page.content and page.context["state"] == "redriven"
    assert b'href="/traces/t0?project=default"' in page.content
    assert b"They are spans already" in ada.post(f"/ingest/letters/{numbers[0]}", follow=True).content
    page = ada.post("/ingest/letters", {"all": "1"}, follow=True)
    assert b"Spans now: 2." in page.content and b"Refused again: 1 (missing_timestamp)" in page.content
    traces = world.get("/api/v1/traces", limit=10).json()["data"]
    assert {one["trace_id"] for one in traces} == {"t0", "t1", "t2"}
    assert AuditEntry.objects.filter(action="dead_letter.redrive", actor="ada@acme.example").count() == 2


def _with_time(payload: str, nanoseconds: int) -> str:
    import orjson

    span = orjson.loads(payload)
    return orjson.dumps({**span, "start_ns": nanoseconds, "end_ns": nanoseconds, "problem": None}).decode()


def test_what_a_span_says_is_for_those_who_read_texts(world: World, ada: Any, ben: Any) -> None:
    sent(world, span(start_time=OLD, input="my <secret> question"))
    number = DeadLetter.objects.get().pk
    assert b"my &lt;secret&gt; question" in ada.get(f"/ingest/letters/{number}").content
    page = ben.get(f"/ingest/letters/{number}")
    assert page.status_code == 200 and b"secret" not in page.content and b"traces:content" in page.content
    for path in ("/ingest/letters", f"/ingest/letters/{number}"):
        assert b'<form method="post"' not in ben.get(path).content.split(b"<main", 1)[1]
        assert ben.post(path, {"all": "1"}).status_code == 403


def test_the_installation_is_for_those_who_run_it(world: World, ada: Any, browser_of: Any) -> None:
    assert b"/ingest/installation" not in ada.get("/ingest").content
    assert ada.get("/ingest/installation").status_code == 403
    root = world.new_person("root@acme.example", Role.VIEWER)
    root.is_superuser = True
    root.save()
    web = browser_of(root)
    assert b'hx-get="/ingest/installation"' in web.get("/ingest").content
    page = web.get("/ingest/installation")
    panels = {one.title: one for one in page.context["panels"]}
    assert not any(one.failed for one in panels.values())
    assert "span" in {row[0] for row in panels["Storage"].rows}
    assert {row[0] for row in panels["Background work"].rows} == {"hub", "exports", "maintenance"}


def test_a_panel_that_fails_leaves_the_others(world: World, browser_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.console import installation

    def broken(*_: Any) -> Any:
        raise OSError("the broker is away")

    monkeypatch.setattr(installation, "workers", broken)
    root = world.new_person("root@acme.example", Role.VIEWER)
    root.is_superuser = True
    root.save()
    page = browser_of(root).get("/ingest/installation")
    assert [one.failed for one in page.context["panels"]] == [False, False, True]
    assert b"the broker is away" not in page.content
