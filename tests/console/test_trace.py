"""One trace: its rows, its parts, and who sees what of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.support.world import World

TRACE = f"{10:032x}"  # the tenth of the story: a chain and two calls, all of them failed


def test_shows_the_spans_and_figures_of_the_api(story: World, ada: Any) -> None:
    page = ada.get(f"/traces/{TRACE}")
    assert page.status_code == 200
    said = story.get(f"/api/v1/traces/{TRACE}").json()
    assert [row.span["span_id"] for row in page.context["picture"].rows] == [one["span_id"] for one in said["spans"]]
    assert page.context["trace"]["totals"].keys() == said["totals"].keys()
    assert len(page.wsgi_request.hub_asked) == 2


def test_the_parts_of_time_and_money_are_the_whole(story: World, ada: Any) -> None:
    context = ada.get(f"/traces/{TRACE}").context
    totals = context["trace"]["totals"]
    assert sum(part.value for part in context["cost_parts"]) == totals["total_cost_usd"]
    assert sum(part.value for part in context["time_parts"]) == totals["duration_ms"]


def test_begins_with_the_span_where_the_error_began(story: World, ada: Any) -> None:
    page = ada.get(f"/traces/{TRACE}")
    assert (page.context["span"].row["depth"], page.context["span"].row["status"]) == (1, "error")
    assert b"rate_limit" in page.content and b"Too many requests" in page.content
    assert ada.get(f"/traces/{11:032x}").context["span"].row["depth"] == 0


def test_htmx_gets_the_chosen_span_alone(story: World, ada: Any) -> None:
    address = f"/traces/{TRACE}?span={9 * 8 + 2:016x}"
    part = ada.get(address, headers={"HX-Request": "true", "HX-Target": "span"})
    assert part.content.lstrip().startswith(b"<section") and b"<html" not in part.content
    restored = {"HX-Request": "true", "HX-Target": "span", "HX-History-Restore-Request": "true"}
    assert b"<html" in ada.get(address, headers=restored).content


def test_what_is_not_there_is_404_and_what_is_twice_is_asked_for(story: World, ada: Any, browser_of: Any) -> None:
    assert ada.get(f"/traces/{'e' * 32}").status_code == 404
    assert browser_of(story.cleo).get(f"/traces/{TRACE}").status_code == 404  # another tenant's
    assert browser_of(story.dora).get(f"/traces/{TRACE}").status_code == 404  # of a project that she does not see
    span = story.get(f"/api/v1/traces/{TRACE}").json()["spans"][0]
    twin = {"trace_id": TRACE, "span_id": "a" * 16, "name": "twin", "start_time": span["start_time"]}
    story.send("POST", "/api/v1/traces", twin, key=story.wide_key, **{"X-Project": "web"})
    page = ada.get(f"/traces/{TRACE}")
    assert page.status_code == 400 and b"?of=web" in page.content
    assert ada.get(f"/traces/{TRACE}?of=web").context["trace"]["name"] == "twin"


def span_of(number: int, call: int | None = None) -> str:
    """The id of a span of the story's trace of this number, counted from 0: its root's, or a call's."""
    return f"{number * 8 + 1 + (0 if call is None else call + 1):016x}"


def test_texts_are_shown_to_those_who_may_read_content_alone(story: World, ada: Any, ben: Any) -> None:
    address = f"/traces/{TRACE}?span={span_of(9, 0)}"
    seen, hidden = ada.get(address).content, ben.get(address).content
    assert b"Answer politely" in seen and b"customer.tier" in seen and b"Too many requests" in seen
    assert b"Answer politely" not in hidden and b"customer.tier" not in hidden and b"Too many requests" not in hidden
    assert b"traces:content" in hidden and b"rate_limit" in hidden
    assert ben.get(f"/traces/{TRACE}/text?span={span_of(9, 0)}").status_code == 403


def test_what_a_span_says_is_never_markup(story: World, ada: Any) -> None:
    evil = "<script>alert(1)</script>"
    span = {"trace_id": "c" * 32, "span_id": "c" * 16, "name": evil, "kind": "llm", "status": "error"}
    more = {"input": f'[{{"role": "{evil[:20]}", "content": "{evil}"}}]', "output": evil, "error_type": evil}
    moment = {"start_time": datetime.now(UTC).isoformat(), "user_id": evil, "model": evil, "tags": [evil]}
    assert story.send("POST", "/api/v1/traces", {**span, **more, **moment}, key=story.key).json()["accepted"] == 1
    for address in (f"/traces/{'c' * 32}", "/traces?range=7d"):
        page = ada.get(address)
        assert page.status_code == 200 and b"<script>alert" not in page.content, address


def test_the_whole_text_is_a_file(story: World, ada: Any) -> None:
    answer = ada.get(f"/traces/{TRACE}/text?span={span_of(9, 0)}&side=output")
    assert answer.content == b"Your refund was sent on Monday."
    assert answer["Content-Type"].startswith("text/plain") and "attachment" in answer["Content-Disposition"]
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert ada.get(f"/traces/{TRACE}/text?span=nobody").status_code == 404


def test_a_score_is_added_shown_and_taken_away(
    story: World, ada: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings.HUB, "cache_ttl_trace", 300)
    address = f"/traces/{TRACE}"
    ada.get(address)
    assert ada.get(address).context["answer"].source["cached"]  # a kept answer must not hide the score
    sent = {"name": "quality", "data_type": "numeric", "value": "0.25", "comment": "too short"}
    assert ada.post(address, sent)["Location"].endswith("#scores")
    page = ada.get(address)
    (score,) = page.context["scores"]
    assert (score["name"], score["value"], score["source"], score["author"]) == (
        *("quality", Decimal("0.25"), "human"),
        story.ada.get_username(),
    )
    assert b"too short" in page.content
    assert story.get("/api/v1/scores", trace_id=TRACE).json()["data"][0]["project"] == "default"
    ada.post(address, {"unscore": score["id"]})
    assert ada.get(address).context["scores"] == []


def test_a_score_of_a_span_stands_at_the_span(
    story: World, ada: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings.HUB, "cache_ttl_trace", 300)
    address = f"/traces/{TRACE}?span={span_of(9, 0)}"
    assert ada.get(address).context["span"].scores == []
    sent = {"name": "polite", "data_type": "boolean", "value": "yes", "span_id": span_of(9, 0)}
    assert ada.post(address, sent).status_code == 302
    (score,) = ada.get(address).context["span"].scores
    assert score["value"] is True
    ada.post(address, {"unscore": score["id"], "span_id": score["span_id"]})
    assert ada.get(address).context["span"].scores == []


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"name": "quality", "data_type": "numeric", "value": "good"}, "value"),
        ({"name": "quality", "data_type": "boolean", "value": "perhaps"}, "value"),
        ({"name": "", "data_type": "numeric", "value": "1"}, "name"),
    ],
)
def test_a_wrong_score_is_told_at_its_field(story: World, ada: Any, sent: dict[str, str], field: str) -> None:
    page = ada.post(f"/traces/{TRACE}", sent)
    assert page.status_code == 400 and list(page.context["form"].errors) == [field]
    assert story.get("/api/v1/scores", trace_id=TRACE).json()["data"] == []


def test_a_trace_that_is_not_there_is_not_judged(story: World, ada: Any) -> None:
    page = ada.post(f"/traces/{'f' * 32}", {"name": "resolved", "data_type": "boolean", "value": "yes"})
    assert page.status_code == 404
    assert story.get("/api/v1/scores", trace_id="f" * 32).json()["data"] == []


def test_scores_and_deletion_are_not_for_viewers(story: World, ben: Any) -> None:
    page = ben.get(f"/traces/{TRACE}")
    assert b"Store the score" not in page.content and b"/delete" not in page.content
    assert ben.post(f"/traces/{TRACE}", {"name": "x", "data_type": "numeric", "value": "1"}).status_code == 403
    assert ben.post(f"/traces/{TRACE}/delete").status_code == 403


def test_a_trace_is_deleted_after_a_question(story: World, ada: Any, browser_of: Any) -> None:
    assert b"Delete for good" in ada.get(f"/traces/{TRACE}/delete").content
    assert browser_of(story.cleo).post(f"/traces/{TRACE}/delete").status_code == 404
    assert story.get(f"/api/v1/traces/{TRACE}").status_code == 200
    gone = ada.post(f"/traces/{TRACE}/delete", follow=True)
    assert gone.redirect_chain == [("/traces", 302)] and b"The trace is deleted." in gone.content
    assert ada.get(f"/traces/{TRACE}").status_code == 404


def test_ten_thousand_spans_fit_on_a_page(story: World, ada: Any) -> None:
    begin = datetime.now(UTC) - timedelta(minutes=10)
    name = "n" * 200
    spans = [
        {
            "trace_id": "d" * 32,
            "span_id": f"{number:016x}",
            "parent_span_id": f"{max(1, number // 7):016x}" if number > 1 else None,
            "name": name,
            "start_time": (begin + timedelta(milliseconds=number)).isoformat(),
            "duration_ms": 5,
            "input": "x" * 50,
        }
        for number in range(1, 10_003)
    ]
    for part in (spans[:9_000], spans[9_000:]):
        assert story.send("POST", "/api/v1/traces", {"spans": part}, key=story.key).json()["rejected"] == []
    page = ada.get(f"/traces/{'d' * 32}")
    assert page.status_code == 200 and len(page.content) < 200_000
    assert page.context["trace"]["spans_truncated"] and b">10,002</span> spans; the first" in page.content
