"""From a RawSpan to a SpanRow: `STEPS`, one after another.

A step reads and changes a `Work`; it returns a `Drop` to refuse the span, else None. What a step may rely on is what
the steps before it did; their order is the pipeline's definition.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from apps.costs.providers import infer_provider, normalise_provider
from apps.ingest import content as contents
from apps.ingest import usage as usages
from apps.ingest.attribute_map import LABELS
from apps.ingest.clean import mend_json
from apps.ingest.convert import money, text
from apps.ingest.evaluations import read_evaluations
from apps.ingest.finishing import (
    MAX_ID,
    cut_dimensions,
    encode_content,
    estimate_tokens,
    fingerprint,
    redact,
    set_content,
)
from apps.ingest.mapping import collect
from apps.ingest.raw import Drop, RawSpan
from apps.ingest.vocabulary import AGENT_OPERATIONS, BILLABLE_KINDS, VERCEL_KINDS, WRAPPER_NAMES
from apps.ingest.work import (
    ATTRIBUTES_CUT,
    EXCLUSIVE_USAGE,
    MAX_LABEL,
    NUMBER_DROPPED,
    TEXT_REPAIRED,
    TIME_REPAIRED,
    Rules,
    Step,
    Work,
)
from apps.traces.columns import SpanRow

_ENVIRONMENT: Final = re.compile(r"[a-z0-9_-]{1,40}")
_STATUS: Final = {1: "ok", 2: "error"}
_TOKEN_COLUMNS: Final = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
_USAGE_COLUMNS: Final = frozenset((*_TOKEN_COLUMNS, *usages.EXTRAS))
_LABELS: Final = frozenset(LABELS)


def check_identity(work: Work) -> Drop | None:
    raw = work.raw
    if raw.problem is not None:
        return raw.problem
    trace_id, span_id, parent = raw.trace_id, raw.span_id, raw.parent_span_id
    if raw.origin.strict_ids:
        if len(trace_id) != 32 or trace_id == "0" * 32:
            return Drop("invalid_trace_id", "traceId must be 16 bytes that are not all zero")
        if len(span_id) != 16 or span_id == "0" * 16:
            return Drop("invalid_span_id", "spanId must be 8 bytes that are not all zero")
        if parent and len(parent) != 16:
            return Drop("invalid_parent_span_id", "parentSpanId must be 8 bytes")
        return None
    if not 0 < len(trace_id) <= MAX_ID:
        return Drop("invalid_trace_id", f"trace_id must be 1 to {MAX_ID} characters")
    if not 0 < len(span_id) <= MAX_ID:
        return Drop("invalid_span_id", f"span_id must be 1 to {MAX_ID} characters")
    return (
        Drop("invalid_parent_span_id", f"parent_span_id is over {MAX_ID} characters") if len(parent) > MAX_ID else None
    )


def settle_times(work: Work) -> Drop | None:
    """A missing or impossible edge takes the other's place; the start decides whether the span is kept."""
    raw, rules = work.raw, work.rules
    start, end = raw.start_ns, raw.end_ns
    if not start > 0:
        if end <= 0:
            return Drop("missing_timestamp", f"{_start_field(raw)} and the end are both missing or unreadable")
        start = end
        work.flags |= TIME_REPAIRED
    if start < rules.oldest_ns:
        return Drop("older_than_retention", f"{_start_field(raw)} lies before the retention of the project")
    if start > rules.newest_ns:
        return Drop("in_the_future", f"{_start_field(raw)} lies more than 24 hours ahead")
    if not start <= end <= rules.newest_ns:
        end = start
        work.flags |= TIME_REPAIRED
    start_us = start // 1_000
    row = work.row = SpanRow(rules.project_id, raw.trace_id, raw.span_id, start_us, end // 1_000 - start_us)
    row.name = raw.name
    row.parent_span_id = raw.parent_span_id or None
    row.attribute_count = len(raw.attributes)
    return None


def _start_field(raw: RawSpan) -> str:
    return "startTimeUnixNano" if raw.origin.strict_ids else "start_time"


def map_attributes(work: Work) -> Drop | None:
    hits = work.hits = collect(work.raw.attributes, work.prepared.table)
    work.values = hits.values
    if hits.number_dropped:
        work.flags |= NUMBER_DROPPED
    if hits.cut:
        work.flags |= ATTRIBUTES_CUT
    if work.raw.events:
        work.events = contents.read_events(work.raw, hits, work.prepared.table)
    if hits.indexed and contents.place_indexed(hits):
        work.flags |= ATTRIBUTES_CUT
    if work.values.get("app_root"):
        work.row.parent_span_id = None
    return None


def name_model(work: Work) -> Drop | None:
    row, values = work.row, work.values
    model = values.get("model")
    if model is None and "invocation" in values:  # OpenInference's failed calls name their model only here
        model = text(values["invocation"].get("model"))
    row.model = model
    row.request_model = values.get("request_model")
    given = values.get("provider")
    if given is not None:
        row.provider = normal = normalise_provider(given)
        if normal != given:
            values["provider_raw"] = given
    elif model is not None:
        row.provider = infer_provider(model)
    return None


def classify(work: Work) -> Drop | None:
    """Kind and billable. A span without a usable kind that names a model of its own is an LLM call."""
    row, values = work.row, work.values
    kind = values.get("kind")
    if kind is None:
        kind = "llm" if row.model is not None else "span"
    row.kind = kind
    if kind in BILLABLE_KINDS and row.name not in WRAPPER_NAMES:
        operation = values.get("vercel_operation")
        outer = operation is not None and operation not in VERCEL_KINDS
        row.billable = not outer and values.get("operation") not in AGENT_OPERATIONS
    return None


def set_status(work: Work) -> Drop | None:
    raw, row, values = work.raw, work.row, work.values
    row.error_type = values.get("error_type")
    failed = (
        raw.status_code == 2
        or row.error_type is not None
        or "exception_event" in values
        or values.get("level") == "ERROR"
    )
    row.status = "error" if failed else _STATUS.get(raw.status_code, "unset")
    if failed:
        row.error_message = raw.status_message or values.get("error_message")
    elif raw.status_message or "error_message" in values:
        work.hits.rest.setdefault("status.message", raw.status_message or values["error_message"])
    return None


def set_dimensions(work: Work) -> Drop | None:
    row, values = work.row, work.values
    row.user_id = values.get("user_id")
    row.session_id = values.get("session_id")
    given = values.get("environment") or work.prepared.environment
    if given is not None:
        row.environment = normal = environment(given)
        if normal != given:
            values["environment_raw"] = given
    tags = values.get("tags")
    if tags is not None:
        row.tags = tags
        row.team = next((tag[5:].strip() or None for tag in tags if tag.startswith("team:")), None)
    return None


def environment(given: str) -> str:
    """Lower case, without a leading `langfuse-`; what is then not 1 to 40 of a-z, 0-9, - and _ is `default`."""
    lowered = given.strip().lower().removeprefix("langfuse-")
    return lowered if _ENVIRONMENT.fullmatch(lowered) else "default"


def count_tokens(work: Work) -> Drop | None:
    row, values = work.row, work.values
    counts = {name: values[name] for name in _USAGE_COLUMNS & values.keys()}
    if "usage_details" in values or "usage_object" in values or "provider_metadata" in values:
        _add_usage_objects(work, counts)
    if not counts:
        return None
    exclusive = work.prepared.openlit and row.provider in ("anthropic", "aws.bedrock")
    if usages.settle(counts, exclusive_sender=exclusive):
        work.flags |= EXCLUSIVE_USAGE
    row.prompt_tokens = counts.pop("prompt_tokens", None)
    row.completion_tokens = counts.pop("completion_tokens", None)
    row.total_tokens = counts.pop("total_tokens", None)
    row.cached_tokens = counts.pop("cached_tokens", None)
    row.cache_write_tokens = counts.pop("cache_write_tokens", None)
    row.reasoning_tokens = counts.pop("reasoning_tokens", None)
    if counts:
        row.scratch["usage"] = counts
        row.usage = orjson.dumps(counts)
    return None


def _add_usage_objects(work: Work, counts: dict[str, int]) -> None:
    """Usage objects fill what no attribute gave. Their counts are inclusive by now, whatever the sender's were."""
    values = work.values
    for name in ("usage_details", "usage_object"):
        if name in values:
            for column, count in usages.from_usage_object(values[name]).items():
                counts.setdefault(column, count)
    metadata = values.get("provider_metadata")
    if metadata is not None:
        for column, count in usages.from_vercel_metadata(metadata).items():
            counts.setdefault(column, count)


def set_cost(work: Work) -> Drop | None:
    """What the sender says it cost. A total alone stays a total: its parts are unknown."""
    row, values = work.row, work.values
    total, given, made = values.get("cost_total"), values.get("cost_input"), values.get("cost_output")
    details = values.get("cost_details")
    if details is not None and total is None and given is None and made is None:
        total, given, made = (_amount(work, details.get(name)) for name in ("total", "input", "output"))
        others = [_amount(work, value) for name, value in details.items() if name not in ("total", "input", "output")]
        if total is None and any(part is not None for part in (given, made, *others)):
            total = sum(part for part in (given, made, *others) if part is not None)
    elif total is None and (given is not None or made is not None):
        total = (given or 0) + (made or 0)
    if total is not None:
        row.client_cost = row.total_cost = total
        row.prompt_cost, row.completion_cost = given, made
        row.cost_source = "client"
    return None


def _amount(work: Work, value: Any) -> int | None:
    amount = money(value)
    if amount is None or isinstance(amount, int):
        return amount
    work.flags |= NUMBER_DROPPED
    return None


def set_ttft(work: Work) -> Drop | None:
    values = work.values
    ttft = values.get("ttft")
    if ttft is None and "completion_start" in values and work.raw.start_ns > 0:
        ttft = (values["completion_start"] - work.raw.start_ns) // 1_000
        if ttft < 0:
            ttft = None
            work.flags |= NUMBER_DROPPED
    work.row.ttft_us = ttft
    return None


def set_labels(work: Work) -> Drop | None:
    values = work.values
    labels = dict(work.prepared.labels)
    for name in _LABELS & values.keys():
        value = values[name]
        labels[name] = value[:MAX_LABEL] if type(value) is str else value
    for name in ("provider_raw", "environment_raw", "level"):
        if name in values:
            labels[name] = values[name][:MAX_LABEL]
    if "service_tier" not in labels:
        tier = _nested_tier(values)
        if tier is not None:
            labels["service_tier"] = tier[:MAX_LABEL]
    work.row.scratch["service_tier"] = labels.get("service_tier")
    if labels:
        work.row.labels, repaired = mend_json(orjson.dumps(labels))
        if repaired:
            work.flags |= TEXT_REPAIRED
    return None


def _nested_tier(values: dict[str, Any]) -> str | None:
    for source in ("invocation", "model_parameters"):
        if source in values and (tier := text(values[source].get("service_tier"))):
            return tier
    openai = values["provider_metadata"].get("openai") if "provider_metadata" in values else None
    return text(openai.get("serviceTier")) if isinstance(openai, dict) else None


STEPS: Final[tuple[Step, ...]] = (
    check_identity,
    settle_times,
    map_attributes,
    name_model,
    classify,
    set_status,
    set_dimensions,
    count_tokens,
    set_cost,
    set_ttft,
    set_labels,
    set_content,
    estimate_tokens,
    redact,
    encode_content,
    cut_dimensions,
    read_evaluations,
    fingerprint,
)


def normalise(raw: RawSpan, rules: Rules) -> SpanRow | Drop:
    """Run the steps: the row to store, or why there is none."""
    work = Work(raw, rules)
    for step in STEPS:
        drop = step(work)
        if drop is not None:
            return drop
    return work.row
