"""From a RawSpan to a SpanRow: `STEPS`, one after another.

A step reads and changes a `Work`; it returns a `Drop` to refuse the span, else None. What a step may rely on is what
the steps before it did; their order is the pipeline's definition.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final, Protocol

import orjson

from apps.costs.providers import infer_provider, normalise_provider
from apps.ingest import content as contents
from apps.ingest import usage as usages
from apps.ingest.attribute_map import AGENT_OPERATIONS, BILLABLE_KINDS, LABELS, VERCEL_KINDS, WRAPPER_NAMES
from apps.ingest.clean import Cleaner, cut_bytes, mend_json, mend_text
from apps.ingest.convert import json_object, money, text
from apps.ingest.mapping import Hits, Table, collect, table_for
from apps.ingest.raw import Drop, Origin, RawEvent, RawSpan
from apps.ingest.redaction import Redactor
from apps.traces.columns import Flag, SpanRow

MAX_DIMENSION: Final = 256
MAX_ID: Final = 256
MAX_MESSAGE: Final = 1_000
MAX_LABEL: Final = 256
FUTURE_NS: Final = 86_400 * 10**9
DAY_NS: Final = 86_400 * 10**9

# IntFlag arithmetic is slow; the pipeline adds plain integers.
_TIME_REPAIRED = int(Flag.TIME_REPAIRED)
_DIMENSION_CUT = int(Flag.DIMENSION_CUT)
_CONTENT_CUT = int(Flag.CONTENT_CUT)
_ATTRIBUTES_CUT = int(Flag.ATTRIBUTES_CUT)
_TEXT_REPAIRED = int(Flag.TEXT_REPAIRED)
_EXCLUSIVE_USAGE = int(Flag.EXCLUSIVE_USAGE)
_NUMBER_DROPPED = int(Flag.NUMBER_DROPPED)
_REDACTED = int(Flag.REDACTED)
_CONTENT_OFF = int(Flag.CONTENT_OFF)

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
_NO_VALUES: Final[dict[str, Any]] = {}


class ProjectSettings(Protocol):
    """What ingest asks of a project (`apps.orgs.projects.IngestProject`)."""

    @property
    def id(self) -> int: ...
    @property
    def store_content(self) -> bool: ...
    @property
    def redact_patterns(self) -> tuple[str, ...]: ...
    @property
    def redact_custom(self) -> tuple[str, ...]: ...
    @property
    def raw_retention_days(self) -> int: ...


class Rules:
    """What holds for every span of a batch: the project's settings, worked out once."""

    __slots__ = ("max_content", "newest_ns", "oldest_ns", "project_id", "redactor", "store_content")

    def __init__(
        self, project: ProjectSettings, *, now_ns: int, max_content: int, redactor: Redactor | None = None
    ) -> None:
        self.project_id = project.id
        self.store_content = project.store_content
        self.redactor = redactor
        self.max_content = max_content
        self.oldest_ns = now_ns - project.raw_retention_days * DAY_NS
        self.newest_ns = now_ns + FUTURE_NS


class Prepared:
    """An Origin, worked out once: its map, its encoded resource and scope, and what it gives to every span."""

    __slots__ = ("encoded", "environment", "exclusive", "labels", "openlit", "repaired", "table")

    def __init__(self, origin: Origin) -> None:
        resource = origin.resource
        self.table: Table = table_for(origin.scope_name)
        self.environment = text(resource.get("langfuse.environment"))
        if self.environment is None:
            self.environment = text(resource.get("deployment.environment.name")) or text(
                resource.get("deployment.environment")
            )
        self.openlit = resource.get("telemetry.sdk.name") == "openlit" or origin.scope_name.startswith("openlit")
        self.labels: dict[str, Any] = {}
        for label, value in (
            ("service_name", text(resource.get("service.name"))),
            ("release", text(resource.get("langfuse.release")) or text(resource.get("service.version"))),
            ("scope", origin.scope_name or None),
        ):
            if value is not None:
                self.labels[label] = value[:MAX_LABEL]
        self.encoded, self.repaired = self._encode(origin)

    @staticmethod
    def _encode(origin: Origin) -> tuple[bytes, bool]:
        parts: dict[str, Any] = {}
        if origin.resource:
            parts["resource"] = origin.resource
        scope: dict[str, Any] = {}
        if origin.scope_name:
            scope["name"] = origin.scope_name
        if origin.scope_version:
            scope["version"] = origin.scope_version
        if origin.scope_attributes:
            scope["attributes"] = origin.scope_attributes
        if scope:
            parts["scope"] = scope
        return mend_json(orjson.dumps(parts)) if parts else (b"", False)


class Work:
    """One span on its way."""

    __slots__ = ("cut", "events", "flags", "hits", "prepared", "raw", "row", "rules", "values")

    def __init__(self, raw: RawSpan, rules: Rules) -> None:
        self.raw = raw
        self.rules = rules
        prepared = raw.origin.prepared
        if prepared is None:
            prepared = raw.origin.prepared = Prepared(raw.origin)
        self.prepared: Prepared = prepared
        self.flags: int = raw.flags
        self.row: SpanRow = _UNSET_ROW
        self.hits: Hits = _UNSET_HITS
        self.values: dict[str, Any] = _NO_VALUES
        self.events: list[RawEvent] | None = None


_UNSET_ROW: Final = SpanRow(0, "", "", 0, 0)
_UNSET_HITS: Final = Hits({}, [], {}, False, False)

Step = Callable[[Work], Drop | None]


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
            return Drop("missing_timestamp", "startTimeUnixNano and endTimeUnixNano are both missing")
        start = end
        work.flags |= _TIME_REPAIRED
    if start < rules.oldest_ns:
        return Drop("older_than_retention", "startTimeUnixNano lies before the retention of the project")
    if start > rules.newest_ns:
        return Drop("in_the_future", "startTimeUnixNano lies more than 24 hours ahead")
    if not start <= end <= rules.newest_ns:
        end = start
        work.flags |= _TIME_REPAIRED
    start_us = start // 1_000
    row = work.row = SpanRow(rules.project_id, raw.trace_id, raw.span_id, start_us, end // 1_000 - start_us)
    row.name = raw.name
    row.parent_span_id = raw.parent_span_id or None
    row.attribute_count = len(raw.attributes)
    return None


def map_attributes(work: Work) -> Drop | None:
    hits = work.hits = collect(work.raw.attributes, work.prepared.table)
    work.values = hits.values
    if hits.number_dropped:
        work.flags |= _NUMBER_DROPPED
    if hits.cut:
        work.flags |= _ATTRIBUTES_CUT
    if work.raw.events:
        work.events = contents.read_events(work.raw, hits, work.prepared.table)
    if hits.indexed and contents.place_indexed(hits):
        work.flags |= _ATTRIBUTES_CUT
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
    elif raw.status_message:
        work.hits.rest.setdefault("status.message", raw.status_message)
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
        work.flags |= _EXCLUSIVE_USAGE
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
    work.flags |= _NUMBER_DROPPED
    return None


def set_ttft(work: Work) -> Drop | None:
    values = work.values
    ttft = values.get("ttft")
    if ttft is None and "completion_start" in values and work.raw.start_ns > 0:
        ttft = (values["completion_start"] - work.raw.start_ns) // 1_000
        if ttft < 0:
            ttft = None
            work.flags |= _NUMBER_DROPPED
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
            work.flags |= _TEXT_REPAIRED
    return None


def _nested_tier(values: dict[str, Any]) -> str | None:
    for source in ("invocation", "model_parameters"):
        if source in values and (tier := text(values[source].get("service_tier"))):
            return tier
    openai = values["provider_metadata"].get("openai") if "provider_metadata" in values else None
    return text(openai.get("serviceTier")) if isinstance(openai, dict) else None


def set_content(work: Work) -> Drop | None:
    row, values, raw = work.row, work.values, work.raw
    row.input, row.output = values.get("input"), values.get("output")
    instructions = values.get("system_instructions")
    if instructions is not None:
        parts = [f'"system_instructions":{_embedded(instructions)}']
        if row.input is not None:
            parts.append(f'"messages":{_embedded(row.input)}')
        row.input = "{" + ",".join(parts) + "}"
    if row.parent_span_id is None:
        row.input = row.input or values.get("trace_input")
        row.output = row.output or values.get("trace_output")
    if raw.links:
        work.hits.rest["links"] = raw.links
    return None


def _embedded(value: str) -> str:
    """Content inside a JSON object: JSON as it is, other text quoted."""
    return value if value[:1] in "[{" and json_object(f'{{"v":{value}}}') else orjson.dumps(value).decode()


def redact(work: Work) -> Drop | None:
    """Patterns of the project, over everything that is content, before any of it is encoded."""
    redactor = work.rules.redactor
    if redactor is None:
        return None
    row, rest = work.row, work.hits.rest
    redactor.hit = False
    row.error_message = None if row.error_message is None else redactor.text(row.error_message)
    row.input = _redacted(redactor, row.input)
    row.output = _redacted(redactor, row.output)
    for key in list(rest):
        rest[key] = redactor.value(rest[key])
    if work.events:
        work.events = [event._replace(attributes=redactor.value(event.attributes)) for event in work.events]
    if redactor.hit:
        work.flags |= _REDACTED
    return None


def _redacted(redactor: Redactor, value: str | None) -> str | None:
    """JSON content is redacted text by text, so that it stays JSON and escapes hide nothing."""
    if value is None:
        return None
    if value[:1] in "[{":
        try:
            parsed = orjson.loads(value)
        except orjson.JSONDecodeError:
            return redactor.text(value)
        cleaned = redactor.value(parsed)
        return value if cleaned == parsed else orjson.dumps(cleaned).decode()
    return redactor.text(value)


def encode_content(work: Work) -> Drop | None:
    """Attributes and events as JSON, texts without NUL, all of it within the limit; nothing where content is off."""
    row, rules = work.row, work.rules
    if not rules.store_content:
        row.input = row.output = row.error_message = None
        work.flags |= _CONTENT_OFF
        return None
    rest = work.hits.rest
    encoded = b""
    if rest:
        encoded, repaired = mend_json(_dumps(work, rest))
        if repaired:
            work.flags |= _TEXT_REPAIRED
    row.attributes = _framed(work, encoded)
    if work.events:
        listed = [{"name": e.name, "time_unix_nano": e.time_ns, "attributes": e.attributes} for e in work.events]
        row.events, repaired = mend_json(_dumps(work, listed))
        if repaired:
            work.flags |= _TEXT_REPAIRED
    row.input = _mended(work, row.input)
    row.output = _mended(work, row.output)
    size = len(row.input or "") + len(row.output or "") + len(row.attributes or b"") + len(row.events or b"")
    if size * 4 > rules.max_content:
        _fit(work)
    return None


def _dumps(work: Work, value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # a surrogate or a huge integer that came in as Python data
        cleaner = Cleaner()
        value = cleaner.value(value)
        work.flags |= _TEXT_REPAIRED if cleaner.text_repaired else 0
        return orjson.dumps(value)


def _framed(work: Work, span: bytes) -> bytes | None:
    """`{"span": ..., "resource": ..., "scope": ...}`, each part only where there is something."""
    shared = work.prepared.encoded
    if work.prepared.repaired:
        work.flags |= _TEXT_REPAIRED
    if shared and work.rules.redactor is not None:
        shared = orjson.dumps(work.rules.redactor.value(orjson.loads(shared)))
    if not span:
        return shared or None
    return b'{"span":' + span + (b"," + shared[1:] if shared else b"}")


def _mended(work: Work, value: str | None) -> str | None:
    if value is None:
        return None
    mended = mend_text(value) if "\x00" in value or not value.isascii() else value
    if mended is not value:
        work.flags |= _TEXT_REPAIRED
    return mended


def _fit(work: Work) -> None:
    """Cut content to the limit: attributes and events may take a quarter each, input and output share the rest."""
    row, limit = work.row, work.rules.max_content
    quarter = limit // 4
    total = sum(len(part.encode()) for part in (row.input, row.output) if part is not None)
    total += len(row.attributes or b"") + len(row.events or b"")
    if total <= limit:
        return
    work.flags |= _CONTENT_CUT
    if row.attributes is not None and len(row.attributes) > quarter:
        row.attributes = _shrunk(orjson.loads(row.attributes), quarter)
        work.flags |= _ATTRIBUTES_CUT
    if row.events is not None and len(row.events) > quarter:
        row.events = _shrunk(orjson.loads(row.events), quarter)
    room = limit - len(row.attributes or b"") - len(row.events or b"")
    given, made = len((row.input or "").encode()), len((row.output or "").encode())
    if row.input is not None:
        row.input = cut_bytes(row.input, max(room // 2, room - made))
        given = len(row.input.encode())
    if row.output is not None:
        row.output = cut_bytes(row.output, room - given)


def _shrunk(value: Any, limit: int) -> bytes | None:
    """JSON within the limit: ever shorter texts, then ever shorter lists and objects."""
    for longest in (10_000, 1_000, 100):
        encoded = orjson.dumps(_shorter(value, longest, longest))
        if len(encoded) <= limit:
            return encoded
    encoded = orjson.dumps(_shorter(value, 16, 16))
    return encoded if len(encoded) <= limit else None


def _shorter(value: Any, text_limit: int, items: int) -> Any:
    if isinstance(value, str):
        return value[:text_limit]
    if isinstance(value, list):
        return [_shorter(item, text_limit, items) for item in value[:items]]
    if isinstance(value, dict):
        return {key[:text_limit]: _shorter(item, text_limit, items) for key, item in list(value.items())[:items]}
    return value


_DIMENSIONS: Final = ("name", "provider", "model", "request_model", "team", "user_id", "session_id", "error_type")


def cut_dimensions(work: Work) -> Drop | None:
    """No dimension is longer than an index takes, and no text holds what PostgreSQL refuses."""
    row = work.row
    for name in _DIMENSIONS:
        value = getattr(row, name)
        if value is not None and (len(value) > MAX_DIMENSION or not value.isascii() or "\x00" in value):
            setattr(row, name, _cut(work, value, MAX_DIMENSION))
    if row.error_message is not None:
        row.error_message = _cut(work, row.error_message, MAX_MESSAGE)
    if row.tags is not None:
        row.tags = [_cut(work, tag, MAX_DIMENSION) for tag in row.tags]
    if not work.raw.origin.strict_ids:
        row.trace_id, row.span_id = _cut(work, row.trace_id, MAX_ID), _cut(work, row.span_id, MAX_ID)
        if row.parent_span_id is not None:
            row.parent_span_id = _cut(work, row.parent_span_id, MAX_ID)
    return None


def _cut(work: Work, value: str, limit: int) -> str:
    mended = mend_text(value)
    if mended is not value and mended != value:
        work.flags |= _TEXT_REPAIRED
    if len(mended) > limit:
        work.flags |= _DIMENSION_CUT
        return mended[:limit]
    return mended


def fingerprint(work: Work) -> Drop | None:
    """The content hash that decides between two arrivals of equal length and attribute count.

    Over what the sender said, not over prices: a new price list must not make an old span look different.
    """
    row = work.row
    row.flags = work.flags
    essence = orjson.dumps(
        (
            row.name,
            row.kind,
            row.status,
            row.parent_span_id,
            row.provider,
            row.model,
            row.request_model,
            row.environment,
            row.user_id,
            row.session_id,
            row.error_type,
            row.error_message,
            row.ttft_us,
            row.prompt_tokens,
            row.completion_tokens,
            row.total_tokens,
            row.cached_tokens,
            row.cache_write_tokens,
            row.reasoning_tokens,
            row.client_cost,
            row.tags,
            row.input,
            row.output,
        )
    )
    digest = blake2b(essence, digest_size=8)
    for part in (row.usage, row.labels, row.attributes, row.events):
        digest.update(part or b"\x00")
    row.content_hash = int.from_bytes(digest.digest(), "big", signed=True)
    return None


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
    redact,
    encode_content,
    cut_dimensions,
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
