"""Models and their comparison: the API's figures, the choice in the address, verdicts seen from either side."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.console.chosen import Chosen, read, written
from apps.console.figures import shown
from apps.console.pages.compare import _seen
from tests.support.world import World

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=30)
BOTH = "gpt-4o,claude-sonnet-4-5"


@given(st.lists(st.builds(Chosen, NAMES, st.none() | NAMES | st.just("")), max_size=10, unique=True))
def test_a_choice_comes_back_from_its_address(chosen: list[Chosen]) -> None:
    assert read(written(chosen)) == chosen
    assert read(dict(parse_qsl(urlencode({"models": written(chosen)}))).get("models", "")) == chosen


def test_plain_names_are_written_plainly() -> None:
    assert written([Chosen("gpt-4o"), Chosen("meta/llama:8b", "together")]) == "gpt-4o,together|meta/llama:8b"
    assert read(" gpt-4o , gpt-4o,,|x") == [Chosen("gpt-4o"), Chosen("x", "")]


def test_the_list_is_the_report(story: World, ada: Any) -> None:
    page = ada.get("/models", {"range": "7d", "sort_by": "requests"})
    url = page.context["report"].url
    said = story.get("/api/v1/metrics/models", **dict(parse_qsl(url.partition("?")[2]))).json(parse_float=Decimal)
    text = page.content.decode()
    assert [row["model"] for row in page.context["rows"]] == [row["model"] for row in said["data"]]
    for row in said["data"]:
        assert f">{shown(row['total_cost_usd'], 'usd')}<" in text
        assert f">{shown(row['p95_duration_ms'], 'ms')}<" in text
        assert f'value="{row["model"]}"' in text


def test_the_comparison_is_the_apis(story: World, ada: Any) -> None:
    page = ada.get("/models/compare", {"range": "7d", "models": BOTH})
    bar = page.context["bar"]
    body = {"models": BOTH.split(","), **bar.period(), "filters": []}
    said = story.send("POST", "/api/v1/models/compare", body, key=story.key).json(parse_float=Decimal)
    assert page.context["answer"].document["models"] == said["models"]
    text = page.content.decode()
    for model in said["models"]:
        assert f">{shown(model['latency']['avg_ms'], 'ms')}<" in text
        assert f">{shown(model['samples']['requests'], 'count')}<" in text
    assert any(row["verdict"] == "significant" for row in said["differences"])
    assert ">better<" in text or ">worse<" in text


def test_too_few_requests_are_called_so(story: World, ada: Any) -> None:
    page = ada.get("/models/compare", {"range": "24h", "models": BOTH})
    assert {row["verdict"] for row in page.context["differences"]} == {"insufficient_data"}
    assert b"too few" in page.content
    assert b"No verdict" in page.content


def test_enough_requests_without_a_figure_are_not_called_too_few(story: World, ada: Any) -> None:
    begin = datetime.now(UTC) - timedelta(hours=2)
    span = {"name": "embed", "kind": "embedding", "provider": "openai", "model": "text-embedding-3-small"}
    sent = [
        {**span, "start_time": (begin + timedelta(seconds=n)).isoformat(), "duration_ms": 50, "prompt_tokens": 9}
        for n in range(40)
    ]
    assert story.send("POST", "/api/v1/traces", {"spans": sent}, key=story.key).json()["accepted"] == 40
    page = ada.get("/models/compare", {"range": "7d", "models": "claude-sonnet-4-5,text-embedding-3-small"})
    (speed,) = (row for row in page.context["differences"] if row["label"] == "Tokens a second")
    assert (speed["verdict"], speed["other_n"]) == ("insufficient_data", 40)
    rows = re.findall(r"<tr[ >].*?</tr>", page.content.decode(), re.DOTALL)
    (told,) = (row for row in rows if "measure-name" in row and "Tokens a second" in row)
    assert "no verdict" in told and "too few hours with this figure" in told and "it takes" not in told


def test_the_questions_of_a_comparison(story: World, ada: Any) -> None:
    page = ada.get("/models/compare", {"range": "7d", "models": BOTH, "environment": "production"})
    asked = page.wsgi_request.hub_asked
    assert [(one.method, one.status) for one in asked] == [("GET", 200), ("POST", 200)]
    assert [len(ada.get(path).wsgi_request.hub_asked) for path in ("/models", "/models/compare")] == [2, 1]


@pytest.mark.parametrize("models", ["", "gpt-4o", ",".join(f"m{number}" for number in range(11))])
def test_too_few_and_too_many_are_not_asked_about(story: World, ada: Any, models: str) -> None:
    page = ada.get("/models/compare", {"models": models})
    assert page.status_code == 200
    assert page.context["answer"] is None
    assert (b"Tick at least one more" in page.content) == (models == "gpt-4o")
    assert (b"At most ten" in page.content) == ("m10" in models)


def test_ticked_boxes_are_joined(story: World, ada: Any) -> None:
    page = ada.get("/models/compare?models=gpt-4o&models=claude-sonnet-4-5")
    assert [one.model for one in page.context["chosen"]] == BOTH.split(",")
    assert page.context["answer"].ok


def test_a_viewer_is_told_and_nothing_is_asked(story: World, ben: Any) -> None:
    from apps.orgs.models import AuditEntry

    before = AuditEntry.objects.count()
    page = ben.get("/models/compare", {"models": BOTH})
    assert page.status_code == 200
    assert b"<code>metrics:query</code>" in page.content
    assert not [one for one in page.wsgi_request.hub_asked if one.method == "POST"]
    assert b'name="models"' not in ben.get("/models").content
    assert AuditEntry.objects.count() == before


def test_a_refusal_of_the_api_is_told(story: World, ada: Any) -> None:
    page = ada.get("/models/compare", {"models": "gpt-4o,openai|gpt-4o"})
    assert page.status_code == 200
    assert b"compared with itself" in page.content


def test_a_model_at_two_providers_is_chosen_by_provider(world: World, ada: Any) -> None:
    begin = datetime.now(UTC) - timedelta(minutes=30)
    spans = [
        {
            "trace_id": f"{number:032x}",
            "span_id": f"{number:016x}",
            "name": "chat",
            "kind": "llm",
            "start_time": begin.isoformat(),
            "duration_ms": 10 * number,
            "provider": provider,
            "model": "llama, the|odd %2C one",
        }
        for number, provider in enumerate(("groq", "together"), 1)
    ]
    assert world.send("POST", "/api/v1/traces", {"spans": spans}, key=world.key).json()["rejected"] == []
    rows = ada.get("/models").context["rows"]
    entries = [row["entry"] for row in rows]
    assert len(set(entries)) == 2
    page = ada.get("/models/compare?" + urlencode([("models", entry) for entry in entries]))
    assert {row["provider"] for row in page.context["columns"]} == {row["provider"] for row in rows}
    assert all(one["on"] for one in page.context["choices"])


NUMBERS = st.decimals(-1000, 1000, places=3)


@given(NUMBERS, NUMBERS, NUMBERS, st.sampled_from(["x", "y", None]))
def test_a_difference_reads_the_same_from_both_sides(
    value: Decimal, low: Decimal, high: Decimal, better: str | None
) -> None:
    row = {
        "measure": "avg_duration_ms",
        **{"a": "x", "b": "y", "a_n": 1, "b_n": 2, "a_value": 3, "b_value": 4, "better": better},
        **{"difference": value, "difference_low": low, "difference_high": high},
        **{"verdict": "significant", "p_adjusted": 0, "method": "welch_t", "effect_size": 1},
    }
    from_y, from_x = _seen(row, "y"), _seen(row, "x")
    assert (from_y["other"], from_x["other"]) == ("x", "y")
    assert (from_y["other_value"], from_y["base_value"]) == (from_x["base_value"], from_x["other_value"])
    assert (from_y["low"], from_y["high"]) == (-from_x["high"], -from_x["low"])
    assert from_y["size"] == from_x["size"] == abs(value)
    assert {from_y["word"], from_x["word"]} == ({"slower", "faster"} if value else {""})
    assert from_y["word"] == ("slower" if value > 0 else "faster" if value < 0 else "")
    assert {from_y["tone"], from_x["tone"]} == ({"good", "bad"} if better else {""})
    assert from_y["tone"] == {"x": "good", "y": "bad", None: ""}[better]
