"""What an export is asked for: one frozen value, checked once, kept with the job as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal

Kind = Literal["traces", "metrics", "costs"]
Format = Literal["csv", "json", "jsonl", "parquet", "xlsx"]
Compression = Literal["none", "gzip", "zstd"]
ColumnType = Literal["text", "integer", "number", "usd", "time", "boolean", "texts", "json"]

KINDS: Final[tuple[Kind, ...]] = ("traces", "metrics", "costs")
FORMATS: Final[tuple[Format, ...]] = ("csv", "json", "jsonl", "parquet", "xlsx")
COMPRESSIONS: Final[tuple[Compression, ...]] = ("none", "gzip", "zstd")
# What reading each kind needs beside the permissions for exports themselves.
READS: Final[Mapping[Kind, str]] = {"traces": "traces:read", "metrics": "metrics:read", "costs": "costs:read"}
CONTENT: Final = "traces:content"
MAX_ROWS: Final = 10_000_000
MAX_RANGE: Final = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the file.

    Values by type, None where there is none: text `str`, integer `int`, number `float`, usd `Decimal` dollars exact to
    12 decimals, time `datetime` with a zone, boolean `bool`, texts `list[str]`, json `str` (JSON text as stored).

    Args:
        risky: a text that a sender chose, so that a spreadsheet might run it.
    """

    name: str
    type: ColumnType
    description: str = ""
    content: bool = False
    risky: bool = True


@dataclass(frozen=True)
class ExportSpec:
    """One export of one organization's projects.

    Args:
        projects: (id, slug), never empty; the caller sees them all.
        start, end: of what is exported, half-open.
        fields: the columns, in the file's order.
        content: whether texts are exported or asked about, so that `traces:content` is needed to make and to take it.
        limit: at most so many rows, the first in the file's order; None for all (at most `MAX_ROWS`).
        cut_long_cells: let xlsx cut what no cell holds, with a mark, instead of failing.
        question: what the kind's own source reads: JSON values, made and read by that source alone.
    """

    kind: Kind
    organization_id: int
    projects: tuple[tuple[int, str], ...]
    start: datetime
    end: datetime
    format: Format
    compression: Compression
    fields: tuple[str, ...]
    content: bool = False
    limit: int | None = None
    cut_long_cells: bool = False
    question: Mapping[str, Any] = field(default_factory=dict)

    @property
    def project_ids(self) -> tuple[int, ...]:
        return tuple(number for number, _ in self.projects)

    def to_json(self) -> dict[str, Any]:
        made = asdict(self)
        made["projects"] = [list(pair) for pair in self.projects]
        made["fields"] = list(self.fields)
        return made | {"start": self.start.isoformat(), "end": self.end.isoformat(), "question": dict(self.question)}

    @classmethod
    def from_json(cls, made: Mapping[str, Any]) -> ExportSpec:
        times = {name: datetime.fromisoformat(made[name]) for name in ("start", "end")}
        projects = tuple((int(number), str(slug)) for number, slug in made["projects"])
        return cls(**{**made, **times, "projects": projects, "fields": tuple(made["fields"])})
