"""What an entry of the price book can price, and in which unit."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from apps.costs.books import Book, assemble

MILLION, ONE = 1_000_000, 1


class PriceKind(NamedTuple):
    """A price of the book: its name in the price list's own terms, and how many units it is the price of."""

    key: str
    per: int
    unit: str


_TOKENS, _CHARACTERS = "million tokens", "million characters"
# A kind without a price of its own has the price of the next wider one; on a tie the first here wins.
PRICE_KINDS: dict[str, PriceKind] = {
    "input": PriceKind("input_mtok", MILLION, _TOKENS),
    "cache_read": PriceKind("cache_read_mtok", MILLION, _TOKENS),
    "cache_write": PriceKind("cache_write_mtok", MILLION, _TOKENS),
    "cache_write_5m": PriceKind("cache_write_5m_mtok", MILLION, _TOKENS),
    "cache_write_1h": PriceKind("cache_write_1h_mtok", MILLION, _TOKENS),
    "output": PriceKind("output_mtok", MILLION, _TOKENS),
    "reasoning": PriceKind("output_reasoning_mtok", MILLION, _TOKENS),
    "input_audio": PriceKind("input_audio_mtok", MILLION, _TOKENS),
    "cached_audio": PriceKind("cache_audio_read_mtok", MILLION, _TOKENS),
    "output_audio": PriceKind("output_audio_mtok", MILLION, _TOKENS),
    "input_image": PriceKind("input_image_mtok", MILLION, _TOKENS),
    "output_image": PriceKind("output_image_mtok", MILLION, _TOKENS),
    "input_characters": PriceKind("input_mchars", MILLION, _CHARACTERS),
    "request": PriceKind("requests_kcount", ONE, "call"),
    "web_search": PriceKind("web_searches_kcount", ONE, "search"),
    "file_search": PriceKind("storage_searches_kcount", ONE, "search"),
    "rerank_search": PriceKind("rerank_searches_kcount", ONE, "search"),
    "code_execution": PriceKind("code_executions_kcount", ONE, "execution"),
    "page": PriceKind("input_document_kpages", ONE, "page"),
    "audio_hour": PriceKind("audio_hours", 3600, "hour of audio"),
}


def dollars(text: str) -> Decimal:
    """A stored price."""
    return Decimal(text)


def compile_prices(name: str, prices: Mapping[str, str], tiers: list[Mapping[str, object]]) -> Book:
    """Make an entry's prices ready to multiply; what a tier does not price stays as it is below it."""
    merged = [dict(prices)]
    for tier in tiers:
        higher = tier["prices"]
        assert isinstance(higher, Mapping)
        merged.append({**merged[-1], **higher})
    bands = [_per_unit(band) for band in merged]
    # A kind that only a tier prices is not priced below it: the bands price the same kinds (checked on entry).
    starts = tuple(int(str(tier["above"])) for tier in tiers)
    return assemble(name, starts, bands)


def _per_unit(prices: Mapping[str, str]) -> dict[str, Fraction]:
    ordered = (kind for kind in PRICE_KINDS if kind in prices)
    return {PRICE_KINDS[kind].key: Fraction(prices[kind]) / PRICE_KINDS[kind].per for kind in ordered}
