"""Which entry of the price list a span's provider and model name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from genai_prices.types import ClauseStartsWith
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.costs.matching import _alias, _in_list, _Index, find, forms, price_list
from apps.costs.providers import infer_provider, normalise_provider, price_list_of

NAMES = sorted({model.id for provider in price_list().values() for model in provider.models})


@pytest.mark.parametrize(
    ("provider", "model", "entry"),
    [
        ("openai", "gpt-4o", "openai/gpt-4o"),
        ("openai", "GPT-4o", "openai/gpt-4o"),
        ("openai", "gpt-4o-2024-08-06", "openai/gpt-4o"),
        ("openai", "openai/gpt-4o", "openai/gpt-4o"),
        ("openai", "anthropic/claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("anthropic", "claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4-5"),
        ("openrouter", "openai/gpt-4o", "openrouter/openai/gpt-4o"),
        ("azure", "gpt-4o", "openai/gpt-4o"),
        ("gcp.gemini", "models/gemini-2.5-flash", "google/gemini-2.5-flash"),
        ("gcp.vertex_ai", "publishers/google/models/gemini-2.5-flash", "google/gemini-2.5-flash"),
        ("gcp.vertex_ai", "claude-sonnet-4-5@20250929", "google/claude-sonnet-4-5"),
        ("litellm", "bedrock/us.amazon.nova-lite-v1:0", "aws/amazon.nova-lite-v1:0"),
        (None, "gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini"),
        (None, "claude-3-haiku-20240307", "anthropic/claude-3-haiku"),
        (None, "mistral/mistral-large-latest", "mistral/mistral-large"),
        ("some-gateway", "gpt-4o", "openai/gpt-4o"),
    ],
)
def test_an_entry_is_found(provider: str | None, model: str, entry: str) -> None:
    found = find(provider, model)
    assert found is not None
    assert found.name == entry


def test_regions_have_prices_of_their_own() -> None:
    name = "anthropic.claude-sonnet-4-5-20250929-v1:0"
    regional, everywhere = find("aws.bedrock", f"us.{name}"), find("aws.bedrock", f"global.{name}")
    assert regional is not None
    assert everywhere is not None
    assert (regional.name, everywhere.name) == (f"aws/regional.{name}", f"aws/global.{name}")


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "claude-sonnet-4-5"), ("openai", "my-model"), ("ollama", "deepseek-r1"), (None, "llama"), (None, "/")],
)
def test_no_entry_is_found(provider: str | None, model: str) -> None:
    assert find(provider, model) is None


def test_every_listed_model_finds_itself() -> None:
    missed = [
        (provider.id, model.id)
        for provider in price_list().values()
        for model in provider.models
        if (found := find(provider.id, model.id)) is None or found.model is not model
    ]
    assert missed == []


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(NAMES), st.sampled_from(["", "-20260102", "-2026-01-02", "-latest", "x", ":0"]), st.data())
def test_aliases_are_found_as_the_price_list_finds_them(name: str, tail: str, data: st.DataObject) -> None:
    provider = data.draw(st.sampled_from(sorted(price_list().values(), key=lambda provider: provider.id)))
    wanted = name.lower() + tail
    found = _in_list(provider.id, wanted)
    if found is not None and found.model.id.lower() == wanted:
        return
    assert (found and found.model) is provider.find_model(wanted)


def texts(clause: Any) -> Iterator[str]:
    """The names and beginnings that a clause of the price list knows."""
    for part in getattr(clause, "or_", None) or getattr(clause, "and_", None) or [clause]:
        if part is not clause:
            yield from texts(part)
    for field in ("equals", "starts_with", "contains", "ends_with"):
        text = getattr(clause, field, None)
        if text:
            yield text.lower()


def test_every_name_in_the_price_list_is_found_as_the_price_list_finds_it() -> None:
    wrong = []
    for provider in price_list().values():
        for name in sorted({name for model in provider.models for name in texts(model.match)}):
            found = _in_list(provider.id, name)
            listed = provider.find_model(name)
            if (found and found.model) is not listed and (found is None or found.model.id.lower() != name):
                wrong.append((provider.id, name))
    assert wrong == []


@pytest.mark.parametrize(("clause_at", "found"), [(0, 0), (2, 1)])
def test_of_two_models_that_answer_to_a_name_the_first_is_meant(clause_at: int, found: int) -> None:
    index = _Index({}, {"abc": 1}, [(clause_at, ClauseStartsWith("ab"))])
    assert _alias(index, "abc") == found
    assert _alias(index, "abd") == clause_at
    assert _alias(index, "x") is None


def test_a_name_of_many_parts_is_not_tried_to_its_end() -> None:
    assert len(forms("a/" * 200 + "b")) <= 5


def test_the_region_is_stripped_last() -> None:
    names = [name for _, name in forms("bedrock/us.anthropic.claude-3-haiku-20240307-v1:0")]
    assert names[:2] == [
        "bedrock/us.anthropic.claude-3-haiku-20240307-v1:0",
        "us.anthropic.claude-3-haiku-20240307-v1:0",
    ]
    first_without_region = next(i for i, name in enumerate(names) if name.startswith("anthropic."))
    assert all("us." in name for name in names[:first_without_region])
    assert "anthropic.claude-3-haiku" in names


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("az.ai.openai", "azure.ai.openai"),
        ("azure", "azure.ai.openai"),
        ("Azure", "azure.ai.openai"),
        ("azure.ai.openai", "azure.ai.openai"),
        ("vertex_ai", "gcp.vertex_ai"),
        ("vertexai", "gcp.vertex_ai"),
        ("gcp.vertex_ai", "gcp.vertex_ai"),
        ("gemini", "gcp.gemini"),
        ("gcp.gemini", "gcp.gemini"),
        ("xai", "x_ai"),
        ("x_ai", "x_ai"),
        ("x-ai", "x_ai"),
        ("mistralai", "mistral_ai"),
        ("mistral_ai", "mistral_ai"),
        ("aws", "aws.bedrock"),
        ("AWS", "aws.bedrock"),
        ("amazon", "aws.bedrock"),
        ("aws.bedrock", "aws.bedrock"),
        ("OpenAI", "openai"),
        ("openai.chat", "openai"),
        ("Anthropic", "anthropic"),
        ("anthropic.messages", "anthropic"),
        ("Our Own Gateway", "our own gateway"),
    ],
)
def test_a_provider_has_one_name(raw: str, kept: str) -> None:
    assert normalise_provider(raw) == kept
    assert normalise_provider(kept) == kept


def test_canonical_providers_are_in_the_price_list() -> None:
    from apps.costs.providers import _PRICE_LISTS

    assert {name for name in _PRICE_LISTS.values() if name} <= set(price_list())
    assert price_list_of("ollama") == ""
    assert price_list_of("nobody") is None


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("openai/gpt-4o", "openai"),
        ("gpt-4.1-mini", "openai"),
        ("o3-mini", "openai"),
        ("claude-opus-4-5", "anthropic"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws.bedrock"),
        ("amazon.nova-lite-v1:0", "aws.bedrock"),
        ("gemini-2.5-pro", "gcp.gen_ai"),
        ("mixtral-8x7b", "mistral_ai"),
        ("grok-4", "x_ai"),
        ("my-own-model", None),
        ("", None),
    ],
)
def test_a_models_name_may_give_its_provider_away(model: str, provider: str | None) -> None:
    assert infer_provider(model) == provider
