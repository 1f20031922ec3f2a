"""What is stored of a span is enough to price it again: computed anew, every cost is what ingest computed."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from django.db import connection

from apps.costs.pricebook.models import PriceVersion
from apps.costs.pricebook.overrides import OrganizationPrices, compile_book_of
from apps.costs.repricing import statements
from apps.costs.repricing.outcome import Stored, outcome, priced
from apps.costs.repricing.statements import Position
from apps.ingest.attribute_map import COLUMNS, DIALECTS
from apps.ingest.normalise import normalise
from apps.ingest.service import price_rows
from apps.ingest.work import Rules
from apps.traces.columns import SpanRow
from apps.traces.writer import write
from tests.ingest.build import Settings, raw_span, rules

COUNTED = (
    *("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens", "cache_write_5m"),
    *(
        "cache_write_1h",
        "reasoning_tokens",
        "audio_input",
        "audio_output",
        "image_input",
        "image_output",
        "video_input",
    ),
    *("text_input", "text_output"),
)
KEYS = {
    column: [
        key if isinstance(key, str) else key[0] for dialect in DIALECTS for key in getattr(COLUMNS[column], dialect)
    ]
    for column in (*COUNTED, "service_tier", "cost_total", "usage_details", "usage_object")
}
DETAILS = (
    *("input", "output", "input_cached_tokens", "input_cache_creation_5m", "input_cache_creation_1h", "input_audio"),
    *("cache_creation_input_tokens", "output_reasoning_tokens", "output_audio", "input_image", "web_search_queries"),
    *("grounding_queries", "file_search_queries", "code_executions", "search_units", "input_characters", "pages"),
    *("audio_seconds", "input_audio_seconds", "input_document_pages", "something_else", "total"),
)
CALLS = (
    *(("openai", "gpt-4o"), ("openai", "gpt-4o-audio-preview"), ("openai", "o3-mini"), ("openai", "gpt-5")),
    *(("anthropic", "claude-sonnet-4-5"), ("deepseek", "deepseek-chat"), ("groq", "whisper-large-v3")),
    *(("gcp.gemini", "gemini-2.5-pro"), ("x_ai", "grok-4"), ("perplexity", "sonar-pro"), ("cohere", "rerank-v3.5")),
    *(("mistral_ai", "mistral-ocr"), (None, "us.anthropic.claude-sonnet-4-5-20250929-v1:0"), ("ollama", "llama3")),
    *(("openai", "own-model"), (None, "nobody-knows"), ("a gateway", "openai/gpt-4o-mini"), ("openai", None)),
)
TIERS = ("batch", "flex", "priority", "fast", "default", "auto", "Priority", "gold", "", True, 7)
NOW_NS = time.time_ns()


def number(chance: random.Random) -> Any:
    kind = chance.random()
    if kind < 0.75:
        return chance.choice([0, 1, 7, 130_213, chance.randrange(300_000)])
    return chance.choice([str(chance.randrange(9_999)), 12.0, -5, 10**15, 2.5, "x", float(10**9)])


def attributes(chance: random.Random) -> dict[str, Any]:
    provider, model = chance.choice(CALLS)
    made: dict[str, Any] = {
        "gen_ai.operation.name": chance.choice(["chat", "chat", "chat", "embeddings", "invoke_agent"])
    }
    if provider is not None:
        made["gen_ai.provider.name"] = provider
    if model is not None:
        made["gen_ai.response.model"] = model
    for column in chance.sample(COUNTED, chance.randrange(7)):
        if KEYS[column]:
            made[chance.choice(KEYS[column])] = number(chance)
    if chance.random() < 0.4:
        made[chance.choice(KEYS["service_tier"])] = chance.choice(TIERS)
    if chance.random() < 0.3:
        details = {key: number(chance) for key in chance.sample(DETAILS, chance.randrange(1, 7))}
        made[chance.choice(KEYS["usage_details"] + KEYS["usage_object"])] = chance.choice(
            [details, orjson.dumps(details).decode()]
        )
    if chance.random() < 0.1:
        made[chance.choice(KEYS["cost_total"])] = chance.choice([0, 0.0123, "1.5", 10**6])
    return made


def traffic(chance: random.Random, count: int) -> list[SpanRow]:
    made = []
    for place in range(count):
        begin = NOW_NS - chance.randrange(1, 20 * 86_400) * 10**9
        raw = raw_span(
            attributes(chance), span_id=f"{place + 1:016x}", start_ns=begin, end_ns=begin + chance.randrange(10**10)
        )

        row = normalise(raw, Rules(Settings(), now_ns=NOW_NS, max_content=10_000))
        assert isinstance(row, SpanRow), row
        made.append(row)
    return made


def book() -> OrganizationPrices | None:
    """Own prices for some of these models, from the middle of a day on."""
    noon = datetime.now(UTC).replace(hour=12) - timedelta(days=9)
    said = [
        ("exact", "own-model", {"input": "0.1", "output": "0.3", "web_search": "0.01"}, [], None),
        ("prefix", "gpt-", {"input": "1.000001", "output": "3", "reasoning": "4", "request": "0.001"}, [], noon),
        ("regex", "gemini", {"input": "1", "output": "9"}, [{"above": 100_000, "prices": {"input": "2.5"}}], None),
    ]
    return compile_book_of(
        PriceVersion(
            entry_id=place, number=1, match=match, model=model, prices=prices, tiers=tiers, effective_from=begin
        )
        for place, (match, model, prices, tiers, begin) in enumerate(said, start=1)
    )


def read_back() -> list[Stored]:
    with connection.cursor() as cursor:
        behind = Position(1, datetime(2000, 1, 1, tzinfo=UTC), "", "")
        return statements.read(cursor, behind, datetime(2100, 1, 1, tzinfo=UTC), (), (), 100_000)


@pytest.mark.django_db
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("seed", [1])
def test_repriced_from_what_is_stored_every_cost_is_what_ingest_computed(own: bool, seed: int) -> None:
    chance = random.Random(seed)
    rows, prices = traffic(chance, 1_500), book() if own else None
    price_rows(rows, prices)
    write(rows, within_transaction=True)
    spans = read_back()
    assert len(spans) == sum(row.billable for row in rows) > 1_000
    sources: set[str] = set()
    for span in spans:
        new = outcome(span.costs, priced(span, prices), include_client_costs=False)
        assert new == span.costs, span
        sources |= {new.cost_source, str(new.unpriced_reason)}
    assert sources >= {"client", "computed", "none", "no_usage", "no_price_for_usage", "no_price_for_tier", "no_model"}
    reached = {
        span.costs.price_version_id for span in spans if str(span.costs.price_version_id).startswith("override:")
    }
    assert reached == ({"override:1.1", "override:2.1", "override:3.1"} if own else set())


@pytest.mark.django_db
def test_usage_of_agents_is_stored_and_never_priced() -> None:
    """What an agent's span reports is the sum of the calls below it."""
    rolled_up = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.response.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 9,
    }
    row = normalise(raw_span(rolled_up), rules())
    assert isinstance(row, SpanRow)
    price_rows([row])
    assert (row.billable, row.prompt_tokens, row.total_cost, row.computed_cost) == (False, 9, None, None)
    write([row], within_transaction=True)
    assert read_back() == []
