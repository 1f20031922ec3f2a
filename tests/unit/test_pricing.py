"""Prices of single calls: the cases that cost users of other tools money, and what unpriced means."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import pytest

from apps.costs import pricing
from apps.costs.books import Book, Rates
from apps.costs.pricing import REASONS, Priced, Usage, price
from apps.costs.usage import split

NOON = int(datetime(2026, 11, 5, 12, tzinfo=UTC).timestamp()) * 1_000_000
DOLLAR = 10**12


def call(model: str, usage: Usage, provider: str | None = None, at_us: int = NOON, tier: str | None = None) -> Priced:
    return price(provider=provider, model=model, at_us=at_us, usage=usage, service_tier=tier)


def test_cached_and_written_tokens_are_part_of_the_prompt() -> None:
    usage = Usage(130_213, 200, 128_955, 1_253)
    assert split(usage) == {"input": 5, "cached": 128_955, "cache_write": 1_253, "output": 200}
    got = call("claude-sonnet-4-5", usage, "anthropic")
    # Below 200,000 tokens: 3 $, 0.30 $, 3.75 $ and 15 $ a million.
    assert got.prompt_cost == 5 * 3_000_000 + 128_955 * 300_000 + 1_253 * 3_750_000
    assert got.completion_cost == 200 * 15_000_000


def test_a_prompt_above_the_threshold_is_dearer_throughout() -> None:
    small = call("claude-sonnet-4-5", Usage(200_000, 10), "anthropic")
    large = call("claude-sonnet-4-5", Usage(200_001, 10), "anthropic")
    assert small.total_cost == 200_000 * 3_000_000 + 10 * 15_000_000
    assert large.total_cost == 200_001 * 6_000_000 + 10 * 22_500_000


def test_openrouter_counts_cached_tokens_in_the_prompt() -> None:
    assert split(Usage(17_903, 0, 17_817)) == {"input": 86, "cached": 17_817}


def test_codex_counts() -> None:
    assert split(Usage(117_231, 225, 115_584)) == {"input": 1_647, "cached": 115_584, "output": 225}


def test_openai_cached_tokens_are_priced_at_the_cached_rate() -> None:
    got = call("gpt-4o", Usage(73_550, 20_480, 65_304), "openai")
    assert got.total_cost == (73_550 - 65_304) * 2_500_000 + 65_304 * 1_250_000 + 20_480 * 10_000_000


def test_an_image_token_in_the_cache_is_billed_once() -> None:
    told = split(Usage(100, 7, 60, other={"image_input": 90, "image_cached": 55}))
    assert told == {"input": 5, "input_image": 35, "cached": 5, "cached_image": 55, "output": 7}
    # Without word of the overlap, the images that do not fit beside the cached tokens were among them.
    assert split(Usage(100, 7, 60, other={"image_input": 90})) == {"input_image": 40, "cached": 60, "output": 7}


def test_a_breakdown_of_writes_that_is_too_small_leaves_a_remainder_that_is_billed() -> None:
    usage = Usage(190_000, 1, 0, 184_457, other={"cache_write_5m": 31_490})
    assert split(usage) == {"input": 5_543, "cache_write_5m": 31_490, "cache_write": 152_967, "output": 1}


def test_a_breakdown_of_writes_alone_counts_as_the_write() -> None:
    assert split(Usage(1_000, 0, other={"cache_write_1h": 400})) == {"input": 600, "cache_write_1h": 400}


def test_writes_that_live_an_hour_cost_more() -> None:
    short = call("claude-sonnet-4-5", Usage(1_000, 0, 0, 1_000, other={"cache_write_5m": 1_000}), "anthropic")
    long = call("claude-sonnet-4-5", Usage(1_000, 0, 0, 1_000, other={"cache_write_1h": 1_000}), "anthropic")
    assert (short.prompt_cost, long.prompt_cost) == (1_000 * 3_750_000, 1_000 * 6_000_000)


def test_nothing_is_ever_negative() -> None:
    counts = split(Usage(10, 5, 50, 20, 40, {"audio_input": 900, "audio_output": 70}))
    assert min(counts.values()) > 0
    assert counts == {"cached": 50, "cache_write": 20, "reasoning": 5}
    assert call("gpt-4o", Usage(-5, -1, -3), "openai").total_cost == 0


def test_reasoning_is_part_of_the_completion() -> None:
    assert call("gpt-5", Usage(0, 100, reasoning=80), "openai") == call("gpt-5", Usage(0, 100), "openai")


def test_fees_are_in_the_total_and_on_no_side() -> None:
    got = call("gpt-4o", Usage(100, 10, other={"web_search_queries": 3}), "openai")
    assert got.prompt_cost == 100 * 2_500_000
    assert got.completion_cost == 10 * 10_000_000
    assert got.total_cost == 100 * 2_500_000 + 10 * 10_000_000 + 3 * DOLLAR // 100


def test_an_embedding_has_no_completion() -> None:
    got = call("text-embedding-3-small", Usage(1_000), "openai")
    assert got == Priced(20_000_000, None, 20_000_000, "genai-prices:0.2.3:openai/text-embedding-3-small")
    assert got.total_cost == 1_000 * 20_000


def test_a_price_holds_from_its_day() -> None:
    before = int(datetime(2026, 3, 12, 23, 59, 59, tzinfo=UTC).timestamp()) * 1_000_000
    after = before + 1_000_000
    big = Usage(300_000, 0)
    assert call("claude-opus-4-6", big, "anthropic", before).total_cost == 300_000 * 10_000_000
    assert call("claude-opus-4-6", big, "anthropic", after).total_cost == 300_000 * 5_000_000


def test_a_price_may_change_by_the_hour() -> None:
    midnight = NOON - 12 * 3_600_000_000
    night, day = midnight + 29 * 60_000_000, midnight + 30 * 60_000_000
    usage = Usage(1_000, 0)
    assert call("deepseek-chat", usage, "deepseek", night).total_cost == 1_000 * 135_000
    assert call("deepseek-chat", usage, "deepseek", day).total_cost == 1_000 * 270_000


@pytest.mark.parametrize("tier", [None, "", "auto", "default", "standard", "ON_DEMAND"])
def test_ordinary_tiers_cost_the_listed_price(tier: str | None) -> None:
    assert call("gpt-4o", Usage(100, 0), "openai", tier=tier).total_cost == 100 * 2_500_000


def test_a_batch_costs_half() -> None:
    got = call("gpt-4o", Usage(100, 0), "openai", tier="batch")
    assert got.total_cost == 100 * 1_250_000
    assert got.price_version_id == "genai-prices:0.2.3:openai/gpt-4o:batch"


@pytest.mark.parametrize(
    ("reason", "got"),
    [
        ("no_model", price(provider="openai", model=None, at_us=NOON, usage=Usage(1, 1))),
        ("no_model", call("  ", Usage(1, 1), "openai")),
        ("unknown_model", call("gpt-of-tomorrow", Usage(1, 1), "openai")),
        ("unknown_model", call("gpt-4o", Usage(1, 1), "ollama")),
        ("no_usage", call("gpt-4o", Usage(), "openai")),
        ("no_price_for_usage", call("text-embedding-3-small", Usage(1, other={"web_search_queries": 1}), "openai")),
        ("no_price_for_tier", call("gpt-4o", Usage(1, 1), "openai", tier="flex")),
        ("no_price_for_tier", call("gpt-4o", Usage(1, 1), "azure", tier="batch")),
        ("usage_out_of_range", call("gpt-4o", Usage(10**18, 1), "openai")),
    ],
)
def test_unpriced_is_null_with_a_reason(reason: str, got: Priced) -> None:
    assert got == Priced(unpriced_reason=reason)  # type: ignore[arg-type]
    assert reason in REASONS


def test_every_reason_is_explained() -> None:
    assert set(REASONS) == set(get_args(pricing.Reason))


def test_no_tokens_at_all_is_a_cost_of_zero() -> None:
    assert call("gpt-4o", Usage(0, 0), "openai").total_cost == 0


def test_finer_prices_are_rounded_once_and_half_to_even() -> None:
    of = {"input": 1, "cached": 1, "cache_write": 1, "output": 1, "reasoning": 1}
    book = Book("b", 2, (), (Rates(1, 1, 1, 1, 1, of),), {})
    assert pricing._cost(book, Usage(1, 1)) == Priced(0, 0, 1, "b")
    assert pricing._cost(book, Usage(3, 0)) == Priced(2, 0, 2, "b")
