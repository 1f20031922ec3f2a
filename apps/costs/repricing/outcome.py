"""What a stored span costs by other prices: from its columns, by the rules that ingest follows."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import orjson

from apps.costs.pricing import Overrides, Priced, Usage, price


class Costs(NamedTuple):
    """The columns of a span that pricing decides."""

    prompt_cost: int | None
    completion_cost: int | None
    total_cost: int | None
    computed_cost: int | None
    cost_source: str
    unpriced_reason: str | None
    price_version_id: str | None


class Stored(NamedTuple):
    """A billable span, as far as its price goes."""

    trace_id: str
    span_id: str
    start_time: datetime
    start_us: int
    ingested_at: datetime
    provider: str | None
    model: str | None
    service_tier: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    usage: str | None
    costs: Costs


def priced(span: Stored, overrides: Overrides | None) -> Priced:
    """Price a span from what is stored of it."""
    extras = orjson.loads(span.usage) if span.usage else None
    usage = Usage(
        span.prompt_tokens,
        span.completion_tokens,
        span.cached_tokens,
        span.cache_write_tokens,
        span.reasoning_tokens,
        *((extras,) if extras else ()),
    )
    return price(
        provider=span.provider,
        model=span.model,
        at_us=span.start_us,
        usage=usage,
        service_tier=span.service_tier,
        overrides=overrides,
    )


def outcome(old: Costs, found: Priced, *, include_client_costs: bool) -> Costs:
    """The costs of a span anew. A sender's cost stays the total, unless asked otherwise and there is a price."""
    if old.cost_source == "client" and not (include_client_costs and found.total_cost is not None):
        return old._replace(computed_cost=found.total_cost, price_version_id=found.price_version_id)
    if found.total_cost is None:
        return Costs(None, None, None, None, "none", found.unpriced_reason, None)
    return Costs(
        found.prompt_cost,
        found.completion_cost,
        found.total_cost,
        found.total_cost,
        "computed",
        None,
        found.price_version_id,
    )


def differs(old: Costs, new: Costs) -> bool:
    """Whether the money differs; a price list of another version at the same price changes nothing."""
    return old[:-1] != new[:-1]
