"""What the steps of the pipeline share: a batch's rules, a resource's facts, and one span on its way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import orjson

from apps.ingest.clean import mend_json
from apps.ingest.convert import text
from apps.ingest.mapping import Hits, Table, table_for
from apps.ingest.raw import Drop, Origin, RawEvent, RawSpan
from apps.ingest.redaction import Redactor
from apps.traces.columns import Flag, SpanRow

MAX_LABEL: Final = 256
DAY_NS: Final = 86_400 * 10**9
FUTURE_NS: Final = DAY_NS

# IntFlag arithmetic is slow; the pipeline adds plain integers.
TIME_REPAIRED: Final = int(Flag.TIME_REPAIRED)
DIMENSION_CUT: Final = int(Flag.DIMENSION_CUT)
CONTENT_CUT: Final = int(Flag.CONTENT_CUT)
ATTRIBUTES_CUT: Final = int(Flag.ATTRIBUTES_CUT)
TEXT_REPAIRED: Final = int(Flag.TEXT_REPAIRED)
EXCLUSIVE_USAGE: Final = int(Flag.EXCLUSIVE_USAGE)
NUMBER_DROPPED: Final = int(Flag.NUMBER_DROPPED)
REDACTED: Final = int(Flag.REDACTED)
CONTENT_OFF: Final = int(Flag.CONTENT_OFF)
TOKENS_ESTIMATED: Final = int(Flag.TOKENS_ESTIMATED)

_NO_VALUES: Final[dict[str, Any]] = {}


class ProjectSettings(Protocol):
    """What ingest asks of a project (`apps.orgs.projects.IngestProject`)."""

    @property
    def id(self) -> int: ...
    @property
    def organization_id(self) -> int: ...
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

    __slots__ = ("estimate_tokens", "max_content", "newest_ns", "oldest_ns", "project_id", "redactor", "store_content")

    def __init__(
        self,
        project: ProjectSettings,
        *,
        now_ns: int,
        max_content: int,
        redactor: Redactor | None = None,
        estimate_tokens: bool = False,
    ) -> None:
        self.estimate_tokens = estimate_tokens
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
