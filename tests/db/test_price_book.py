"""Which price holds for a call: the compiled book against a plain reading of the rules, and what it costs ingest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.costs.pricebook import overrides
from apps.costs.pricebook.models import PriceEntry, PriceVersion
from apps.costs.pricebook.overrides import compile_book_of, forget_books, prices_of
from apps.costs.pricing import Usage, price
from apps.orgs.models import Organization

DAY = datetime(2026, 11, 1, tzinfo=UTC)
NAMES = ("gpt-4o", "openai/gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-2024-05-13", "own-model", "own-model-2026-01-01")
# What a name may be called beside itself; gpt-4o of May 2024 has a price of its own in the list.
ALSO = {
    "openai/gpt-4o": ["gpt-4o"],
    "gpt-4o-2024-08-06": ["gpt-4o"],
    "own-model-2026-01-01": ["own-model"],
}


@dataclass(frozen=True)
class Call:
    model: str
    provider: str | None
    tier: str | None
    at: datetime


def states() -> st.SearchStrategy[PriceVersion]:
    hours = st.none() | st.integers(-30, 54)
    patterns = st.sampled_from(
        [
            *(("exact", name) for name in (*NAMES, "gpt-4o-mini")),
            *(("prefix", text) for text in ("g", "gpt-4o", "own", "x")),
            *(("regex", text) for text in ("4o", "^own-", "2024", "nothing")),
        ]
    )
    return st.builds(
        _state,
        patterns,
        st.sampled_from([None, "openai", "azure.ai.openai"]),
        st.sampled_from([None, None, "standard", "batch"]),
        hours,
        hours,
    )


def _state(
    pattern: tuple[str, str], provider: str | None, tier: str | None, begin: int | None, end: int | None
) -> PriceVersion:
    if begin is not None and end is not None and begin >= end:
        end = None
    edges = [None if edge is None else DAY + timedelta(hours=edge) for edge in (begin, end)]
    return PriceVersion(
        match=pattern[0],
        model=pattern[1],
        provider=provider,
        service_tier=tier,
        effective_from=edges[0],
        effective_to=edges[1],
        number=1,
    )


calls = st.builds(
    Call,
    st.sampled_from(NAMES),
    st.sampled_from([None, "openai", "azure.ai.openai"]),
    st.sampled_from([None, "default", "batch"]),
    st.integers(0, 24 * 60 - 1).map(lambda minute: DAY + timedelta(minutes=minute)),
)


def first_that_holds(book: list[PriceVersion], call: Call) -> PriceVersion | None:
    """The rules as the documentation states them, one after another."""
    names = [call.model, *ALSO.get(call.model, [])]
    # Every one of these names is a model of OpenAI's or of nobody's.
    provider = call.provider or ("openai" if "gpt" in call.model else None)
    tier = "batch" if call.tier == "batch" else "standard"
    found = [
        one
        for one in book
        if (one.effective_from is None or one.effective_from <= call.at)
        and (one.effective_to is None or call.at < one.effective_to)
        and one.provider in (None, provider)
        and one.service_tier in (None, tier)
    ]
    exact = [one for name in names for one in found if (one.match, one.model) == ("exact", name)]
    best = [one for one in exact if one.model == exact[0].model]
    if not best:
        fitting = [one for one in found if one.match == "prefix" and any(name.startswith(one.model) for name in names)]
        fitting = fitting or [
            one for one in found if one.match == "regex" and any(re.search(one.model, name) for name in names)
        ]
        longest = max((len(one.model) for one in fitting), default=0)
        best = [one for one in fitting if len(one.model) == longest]
    best = [one for one in best if one.provider] or best
    best = [one for one in best if one.service_tier] or best
    return min(best, key=lambda one: one.entry_id, default=None)


@settings(max_examples=300, deadline=None)
@given(st.lists(states(), max_size=7), st.lists(calls, min_size=1, max_size=6))
def test_the_entry_that_holds_is_the_first_by_the_rules(book: list[PriceVersion], asked: list[Call]) -> None:
    for number, one in enumerate(book, start=1):
        one.entry_id, one.prices, one.tiers = number, {"input": str(number), "output": "0"}, []
    compiled = compile_book_of(book)
    for call in asked:
        at_us = overrides.micros(call.at)
        asked_of = {"provider": call.provider, "model": call.model, "at_us": at_us, "service_tier": call.tier}
        got = price(**asked_of, usage=Usage(1_000_000, 0), overrides=compiled)  # type: ignore[arg-type]
        expected = first_that_holds(book, call)
        if expected is None:
            assert got == price(**asked_of, usage=Usage(1_000_000, 0))  # type: ignore[arg-type]
        else:
            assert (got.total_cost, got.price_version_id) == (
                expected.entry_id * 10**12,
                f"override:{expected.entry_id}.1",
            )


@pytest.mark.django_db
def test_the_book_is_read_once_in_ten_seconds_and_compiled_once_a_change() -> None:
    organization = Organization.objects.create(slug="acme", name="Acme")
    forget_books()
    with CaptureQueriesContext(
        connection,
    ) as seen:
        for _ in range(50):
            assert prices_of(organization.pk) is None
    assert len(seen) == 1
    entry = PriceEntry.objects.create(organization=organization, created_at=DAY)
    PriceVersion.objects.create(
        entry=entry,
        organization=organization,
        number=1,
        match="exact",
        model="m",
        prices={"input": "1"},
        author="",
        recorded_at=DAY,
    )
    assert prices_of(organization.pk) is None  # up to ten seconds old
    with mock.patch("apps.common.cells.monotonic", lambda: 10.0**9):
        first = prices_of(organization.pk)
        assert first is not None
    with mock.patch("apps.common.cells.monotonic", lambda: 2.0 * 10**9):
        assert prices_of(organization.pk) is first
    forget_books()
