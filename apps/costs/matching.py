"""From the provider and model that a span names to an entry of the price list.

The order is: the name as it is, exactly; then the price list's own aliases for it; then the same with a provider's
prefix stripped (`openai/gpt-4o`), then a version mark (`:0`), then a date suffix (`-2024-08-06`), and last a region
(`us.`, `global.`), because regions have prices of their own. The first that is found is the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from apps.costs.providers import infer_provider, normalise_provider, price_list_of

if TYPE_CHECKING:
    from genai_prices.types import MatchLogic, ModelInfo, Provider

_DEPTH = 4  # prefixes; `publishers/google/models/` are three
_VERSION = re.compile(r":\d+$")
_BEDROCK_VERSION = re.compile(r"-v\d+(?::\d+)?$")
_DATE = re.compile(r"[-@](?:20\d{2}-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])|latest|default)$")
_COMPACT_DATE = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")
_REGION = re.compile(r"^(?:us|eu|ap|apac|au|ca|jp|in|sa|me|af|us-gov|global)\.(?=[a-z0-9]+\.)")


class Entry(NamedTuple):
    """A model in the price list, and whose list it stands in; `lent` where another provider was asked for it."""

    provider: Provider
    model: ModelInfo
    lent: bool = False

    @property
    def name(self) -> str:
        return f"{self.provider.id}/{self.model.id}"


@cache
def price_list() -> dict[str, Provider]:
    """The bundled price list by provider. Loaded at first use: it takes half a second and 50 MB."""
    from genai_prices.data import providers

    return {provider.id: provider for provider in providers}


class _Index(NamedTuple):
    """A provider's models for looking up: by id, by names that must be equal, and by clauses in the list's order."""

    ids: dict[str, ModelInfo]
    equal: dict[str, int]
    clauses: list[tuple[int, MatchLogic]]


@cache
def _index(provider_id: str) -> _Index:
    """Most aliases are plain names: found in a dictionary, they need not be tried one after another."""
    from genai_prices.types import ClauseEquals, ClauseOr

    made = _Index({}, {}, [])
    for position, model in enumerate(price_list()[provider_id].models):
        made.ids.setdefault(model.id.lower(), model)
        for clause in model.match.or_ if isinstance(model.match, ClauseOr) else [model.match]:
            if isinstance(clause, ClauseEquals):
                made.equal.setdefault(clause.equals.lower(), position)
            else:
                made.clauses.append((position, clause))
    return made


def _alias(index: _Index, name: str) -> int | None:
    """The position of the first model that answers to a name."""
    equal = index.equal.get(name)
    for position, clause in index.clauses:
        if equal is not None and position >= equal:
            break
        if clause.is_match(name):
            return position
    return equal


def _in_list(provider_id: str, name: str) -> Entry | None:
    provider, index = price_list()[provider_id], _index(provider_id)
    model = index.ids.get(name)
    if model is not None:
        return Entry(provider, model)
    # Some senders write a date without hyphens that the list writes with them.
    for text in dict.fromkeys((name, _COMPACT_DATE.sub(r"-\1-\2-\3", name))):
        position = _alias(index, text)
        if position is not None:
            return Entry(provider, provider.models[position])
    return None


def _in_lists(provider_id: str, name: str) -> Entry | None:
    """In a provider's own list, else in the lists of those whose models it sells."""
    for candidate in (provider_id, *(price_list()[provider_id].fallback_model_providers or ())):
        found = _in_list(candidate, name) if candidate in price_list() else None
        if found is not None:
            return found._replace(lent=candidate != provider_id)
    return None


def _without_prefixes(name: str) -> Iterator[tuple[str, str]]:
    """`a/b/c` gives (a, b/c) and (b, c): what is left, and the prefix just before it. No deeper than names go."""
    for _ in range(_DEPTH):
        head, slash, name = name.partition("/")
        if not slash or not name:
            return
        yield head, name


def forms(model: str) -> list[tuple[str | None, str]]:
    """The names under which to look a model up, in order, each with the provider's prefix that was stripped."""
    name = model.strip().lower()
    found: list[tuple[str | None, str]] = [(None, name), *_without_prefixes(name)]
    for pattern in (_VERSION, _BEDROCK_VERSION, _DATE, _REGION):
        found += [(prefix, pattern.sub("", text)) for prefix, text in found if pattern.search(text)]
    return [form for form in dict.fromkeys(found) if form[1]]


def _list_named(provider: str) -> str | None:
    """The price list of a provider; "" for one that has none, None for one that we do not know."""
    named = price_list_of(normalise_provider(provider))
    if named is None:
        own = provider.strip().lower()
        return own if own in price_list() else None
    return named


@lru_cache(maxsize=8192)
def find(provider: str | None, model: str) -> Entry | None:
    """The price list's entry for a model, or None.

    A provider that has a price list is asked first, then one that the model's prefix names. The provider is inferred
    from the model's name where none is given or the given one is unknown (a gateway). A provider known to have no
    list, such as one's own machines, is not given its model's namesake's price.
    """
    stated = _list_named(provider) if provider else None
    if stated == "":
        return None
    for prefix, name in forms(model):
        named = _list_named(prefix) if prefix else None
        lists = [found for found in (stated, named) if found]
        if not lists and named is None:
            inferred = infer_provider(name)
            lists = [guess for guess in (_list_named(inferred) if inferred else None,) if guess]
        for candidate in dict.fromkeys(lists):
            entry = _in_lists(candidate, name)
            if entry is not None:
                return entry
    return None


@lru_cache(maxsize=8192)
def names_of(provider: str | None, model: str) -> tuple[str, ...]:
    """The names by which an organization's own price may mean a model, the most exact first.

    The name as sent, without its provider's prefixes, and as the price list calls it. Only of a model that the price
    list does not know are versions and dates stripped: of those it knows, some dates have prices of their own.
    """
    name = model.strip().lower()
    found = [name, *(text for _, text in _without_prefixes(name))]
    entry = find(provider, model)
    if entry is not None:
        found.append(entry.model.id.lower())
    else:
        for pattern in (_VERSION, _BEDROCK_VERSION, _DATE):
            found += [pattern.sub("", text) for text in found if pattern.search(text)]
    return tuple(dict.fromkeys(text for text in found if text))
