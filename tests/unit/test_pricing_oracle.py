"""Our prices against the price list's own calculation, over its models, times, tiers and all kinds of usage."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from genai_prices.data_units import unit_data
from genai_prices.types import PriceContext
from genai_prices.types import Usage as ListedUsage
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apps.costs import books, pricing
from apps.costs.matching import Entry, find, price_list
from apps.costs.usage import Usage

MODELS = [(provider.id, model.id) for provider in price_list().values() for model in provider.models]
# A model with tiers, dates, variants, audio, night prices or fees is rare in the list and must not be rare here.
ODD = [
    (provider.id, model.id)
    for provider in price_list().values()
    for model in provider.models
    if isinstance(model.prices, list)
    or model.price_variants
    or len(
        {"input_audio_mtok", "input_image_mtok", "requests_kcount", "audio_hours", "output_reasoning_mtok"}
        & set(vars(model.prices))
    )
    or any(hasattr(value, "tiers") for value in vars(model.prices).values())
]
counts = st.one_of(
    st.just(0), st.integers(0, 50), st.integers(0, 2_000_000), st.sampled_from([128_000, 199_999, 200_000, 200_001])
)
TOKENS: tuple[str, ...] = (
    "input",
    "input_audio",
    "input_image",
    "input_video",
    "cached",
    "cached_audio",
    "cached_image",
)
TOKENS += ("cache_write", "cache_write_5m", "cache_write_1h", "output", "output_audio", "output_image", "output_video")
TOKENS += ("reasoning", "citation")
FEES = ("web_searches", "storage_searches", "input_characters", "input_pages", "input_audio_seconds")


@st.composite
def kinds(draw: st.DrawFn) -> dict[str, int]:
    chosen = draw(st.sets(st.sampled_from(TOKENS + FEES), max_size=6)) | draw(
        st.sampled_from([set(), {"input", "output"}])
    )
    return {kind: draw(counts) for kind in sorted(chosen)}


def ours(kind: Mapping[str, int]) -> Usage:
    """The kinds as a sender reports them: inclusive."""
    n = {name: kind.get(name, 0) for name in (*TOKENS, *FEES)}
    cached = n["cached"] + n["cached_audio"] + n["cached_image"]
    written = n["cache_write"] + n["cache_write_5m"] + n["cache_write_1h"]
    fresh = n["input"] + n["input_audio"] + n["input_image"] + n["input_video"]
    other = {
        "audio_input": n["input_audio"] + n["cached_audio"],
        "audio_cached": n["cached_audio"],
        "image_input": n["input_image"] + n["cached_image"],
        "image_cached": n["cached_image"],
        "video_input": n["input_video"],
        "cache_write_5m": n["cache_write_5m"],
        "cache_write_1h": n["cache_write_1h"],
        "audio_output": n["output_audio"],
        "image_output": n["output_image"],
        "video_output": n["output_video"],
        "citation": n["citation"],
        "web_search_queries": n["web_searches"],
        "storage_searches": n["storage_searches"],
        "input_characters": n["input_characters"],
        "input_document_pages": n["input_pages"],
        "input_audio_seconds": n["input_audio_seconds"],
    }
    completion = sum(
        n[name] for name in ("output", "output_audio", "output_image", "output_video", "reasoning", "citation")
    )
    kept = {name: value for name, value in other.items() if value}
    return Usage(fresh + cached + written, completion, cached, written, n["reasoning"], kept)


def theirs(kind: Mapping[str, int]) -> ListedUsage:
    """The same for the list: every unit it knows is the sum of the kinds inside it."""
    sums: dict[str, Any] = {}
    for key, unit in unit_data.items():
        inside = (count for name, count in kind.items() if unit["dimensions"].items() <= books.KINDS[name].items())
        if key != "requests":
            sums[key] = sum(inside)
    return ListedUsage(**sums)


def context_of(entry: Entry, tier: str | None, moment: datetime) -> PriceContext | None:
    offered = {"batch": [{"processing": "batch"}], "fast": [{"service_tier": "fast"}, {"speed": "fast"}]}
    for wanted in offered.get(tier or "", [{"service_tier": tier or ""}]):
        for variant in entry.model.price_variants or []:
            if variant.when == wanted and (variant.constraint is None or variant.constraint.active(moment)):
                return wanted
    return None


moments = st.datetimes(datetime(2023, 6, 1), datetime(2027, 6, 1), timezones=st.just(UTC))  # noqa: DTZ001


@settings(max_examples=600, deadline=None)
@example(("elevenlabs", "eleven_realtime_v1_max"), {"input_audio_seconds": 90}, datetime(2026, 6, 1, tzinfo=UTC), None)
@given(
    st.one_of(st.sampled_from(ODD), st.sampled_from(MODELS)),
    kinds(),
    moments,
    st.sampled_from([None, "default", "batch", "flex", "priority", "fast"]),
)
def test_every_price_equals_the_price_lists_own(
    named: tuple[str, str], kind: dict[str, int], moment: datetime, tier: str | None
) -> None:
    entry = find(*named)
    assert entry is not None
    at_us = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    got = pricing.price(provider=named[0], model=named[1], at_us=at_us, usage=ours(kind), service_tier=tier)
    context = context_of(entry, tier, moment) if tier not in (None, "default") else None
    if tier not in (None, "default") and context is None:
        assert got.unpriced_reason == "no_price_for_tier"
        return
    if got.unpriced_reason == "no_price_for_usage":
        priced = books.compile_book("", entry.model.get_prices(moment, context)).bands[0].of
        assert [name for name, count in kind.items() if count and name not in priced]
        return
    listed = entry.model.calc_price(theirs(kind), entry.provider, genai_request_timestamp=moment, price_context=context)
    for mine, their in (
        (got.total_cost, listed.total_price),
        (got.prompt_cost, listed.input_price),
        (got.completion_cost, listed.output_price),
    ):
        assert mine is not None
        assert abs(Decimal(mine) - their * 10**12) <= Decimal("0.500001")
    assert got.price_version_id is not None
    assert got.price_version_id.startswith(f"genai-prices:0.2.3:{entry.name}")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(MODELS), kinds())
def test_usage_is_cut_without_loss(named: tuple[str, str], kind: dict[str, int]) -> None:
    from apps.costs.usage import split

    usage = ours(kind)
    assert split(usage) == {name: count for name, count in kind.items() if count}
