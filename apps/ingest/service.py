"""`ingest`: the one door for spans, whatever they came in by."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import psycopg
from django.conf import settings
from django.db import DataError

from apps.common.observe import telemetry
from apps.costs.pricebook.overrides import OrganizationPrices, prices_of
from apps.costs.pricing import Usage, price
from apps.ingest import dead_letters, tally
from apps.ingest.normalise import normalise
from apps.ingest.raw import Drop, RawSpan
from apps.ingest.redaction import redactor_for
from apps.ingest.work import ProjectSettings, Rules
from apps.traces.columns import SpanRow
from apps.traces.writer import write

logger = logging.getLogger(__name__)

MAX_WARNINGS = 20


@dataclass(frozen=True, slots=True)
class Rejection:
    """A span that was not stored, and its place in the batch."""

    index: int
    reason: str
    message: str
    trace_id: str
    span_id: str


@dataclass(slots=True)
class Receipt:
    """What became of a batch. `accepted` spans are durable; `rejected` ones are dead letters where possible."""

    accepted: int = 0
    rejected: list[Rejection] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, other: Receipt) -> None:
        """Take in the receipt of another part of the same request."""
        self.accepted += other.accepted
        self.rejected += other.rejected
        self.warnings = list(dict.fromkeys([*self.warnings, *other.warnings]))[:MAX_WARNINGS]


def rules_for(project: ProjectSettings, *, now_ns: int | None = None) -> Rules:
    """A project's settings as the pipeline reads them."""
    return Rules(
        project,
        now_ns=time.time_ns() if now_ns is None else now_ns,
        max_content=settings.HUB.ingest_max_content_bytes,
        redactor=redactor_for(project.redact_patterns, project.redact_custom),
        estimate_tokens=settings.HUB.estimate_tokens,
    )


def normalise_all(raws: Iterable[RawSpan], rules: Rules) -> tuple[list[SpanRow], list[tuple[RawSpan, Drop]]]:
    """The rows of a batch, and the spans that were refused."""
    rows: list[SpanRow] = []
    dropped: list[tuple[RawSpan, Drop]] = []
    for raw in raws:
        row = normalise(raw, rules)
        if isinstance(row, Drop):
            dropped.append((raw, row))
        else:
            row.scratch["raw"] = raw
            rows.append(row)
    return rows, dropped


def price_rows(rows: Sequence[SpanRow], overrides: OrganizationPrices | None = None) -> list[str]:
    """Price the billable rows, in place; returns a warning for each model without a price."""
    unpriced: Counter[tuple[str, str]] = Counter()
    for row in rows:
        if row.billable:
            _price(row, unpriced, overrides)
    return [
        f"{count} span{'s' if count > 1 else ''} stored, but no price for {model} ({reason})"
        for (model, reason), count in unpriced.most_common(MAX_WARNINGS)
    ]


def _price(row: SpanRow, unpriced: Counter[tuple[str, str]], overrides: OrganizationPrices | None) -> None:
    extras = row.scratch.get("usage")
    usage = Usage(
        row.prompt_tokens,
        row.completion_tokens,
        row.cached_tokens,
        row.cache_write_tokens,
        row.reasoning_tokens,
        *((extras,) if extras else ()),
    )
    tier = row.scratch.get("service_tier")
    priced = price(
        provider=row.provider,
        model=row.model,
        at_us=row.start_us,
        usage=usage,
        service_tier=tier if isinstance(tier, str) else None,
        overrides=overrides,
    )
    row.computed_cost = priced.total_cost
    row.price_version_id = priced.price_version_id
    if row.cost_source == "client":
        return
    if priced.total_cost is None:
        row.unpriced_reason = priced.unpriced_reason
        # A call that failed before it used anything costs nothing that a price list could say.
        if row.status != "error" and row.model is not None:
            unpriced[f"model {row.model}", str(priced.unpriced_reason)] += 1
        return
    row.cost_source = "computed"
    row.total_cost, row.prompt_cost, row.completion_cost = priced.total_cost, priced.prompt_cost, priced.completion_cost


def store(rows: Sequence[SpanRow]) -> tuple[int, list[tuple[RawSpan, Drop]]]:
    """Write rows; how many are stored, and those that PostgreSQL refuses as data.

    No such row is known. Were there one, it must not keep its whole batch out, which its sender would send again and
    again: halves are tried until it is alone.
    """
    if not rows:
        return 0, []
    try:
        write(rows)
    except (psycopg.DataError, DataError):
        if len(rows) > 1:
            half = len(rows) // 2
            (first, refused), (second, also_refused) = store(rows[:half]), store(rows[half:])
            return first + second, refused + also_refused
        logger.exception("a span of project %d cannot be stored", rows[0].project_id)
        raw = rows[0].scratch["raw"]
        assert isinstance(raw, RawSpan)
        return 0, [(raw, Drop("unstorable", "the database refuses a value of the span"))]
    return len(rows), []


def ingest(project: ProjectSettings, raw_spans: Sequence[RawSpan], *, source: str | None = "otlp") -> Receipt:
    """Normalise, price and store a batch; what the receipt calls accepted is durable.

    Args:
        project: where the spans land, and the rules that hold there.
        raw_spans: what a decoder made of the request.
        source: named on the dead letters (otlp, json, import); None keeps none, for spans that come from there.

    Raises:
        WriteUnavailable: nothing of the batch is stored, and it may be sent again.
    """
    rules = rules_for(project)
    rows, dropped = normalise_all(raw_spans, rules)
    warnings = price_rows(rows, prices_of(project.organization_id))
    stored, unstorable = store(rows)
    dropped += unstorable
    rejected = [Rejection(raw.index, drop.reason, drop.message, raw.trace_id, raw.span_id) for raw, drop in dropped]
    if dropped and source is not None:
        dead_letters.keep(project, dropped, rules, source=source)
    reasons = Counter(one.reason for one in rejected)
    telemetry.spans_ingested(stored)
    for reason, count in reasons.items():
        telemetry.spans_rejected(reason, count)
    tally.count(project.id, stored, reasons if source is not None else {})  # a dead letter was counted when it came
    return Receipt(stored, rejected, warnings)
