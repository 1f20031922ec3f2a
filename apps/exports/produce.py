"""Make one export: everything is read in one snapshot, written as it comes, and proven before it counts as made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import psycopg
from django.db import connection, transaction

from apps.common.observe.statements import MeteredCursor
from apps.exports import formats
from apps.exports.proof import Proof, prove
from apps.exports.sources import source_of
from apps.exports.sources.base import Cursor, LineSource, Source
from apps.exports.spec import ExportSpec

SCHEMA_VERSION: Final = 1
# Nobody waits in a request for this: the job's own deadline ends it. Planning many partitions by JIT costs seconds.
_BEGIN = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; "
_LIMITS = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '30s'; SET LOCAL jit = off"

# Rows so far, and how many there will be (None: nobody knows). May raise Cancelled or Stopping.
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Produced:
    """A finished, proven file, and what is said about it."""

    manifest: dict[str, Any]
    rows: int
    bytes: int
    sha256: str
    content_type: str
    file_name: str


@contextmanager
def export_snapshot() -> Iterator[Cursor]:
    """A cursor in one read-only snapshot, without the limit that statements of web requests have.

    Inside a transaction that is already open (tests) its isolation is taken as it is.
    """
    nested = connection.in_atomic_block
    with transaction.atomic():
        raw = cast("psycopg.Connection[Any]", connection.connection)
        # Django's own cursors note broken connections; a bare one has to be watched for it.
        with connection.wrap_database_errors, MeteredCursor[Any](raw) as cursor:
            cursor.execute(f"{'' if nested else _BEGIN}{_LIMITS}".encode())
            yield cursor


def produce(
    spec: ExportSpec, out: BinaryIO, *, job_id: str, progress: Progress, scratch: Path | None = None
) -> Produced:
    """Write an export to `out` and prove it.

    Args:
        progress: called before the first row and after every few thousand.
        scratch: where temporary files may lie while it runs; none are left there.

    Raises:
        ExportFailed: it cannot be done; NotProven among them: what was written is not what it must be.
        Cancelled, Stopping: as `progress` raised them.
    """
    source = source_of(spec)
    with export_snapshot() as cursor:
        taken = _taken(cursor)
        sql = source.counted(cursor)
        total = None if isinstance(sql, str) else sql.rows
        progress(0, total)
        writer = formats.writer_for(
            spec.format, spec.compression, source.columns, out, cut_long_cells=spec.cut_long_cells, scratch=scratch
        )
        try:
            for rows in _write(source, writer, cursor):
                progress(rows, total)
            writer.close(lambda: progress(writer.rows, total))
        except BaseException:
            writer.discard()
            raise
        engine = source.engine(cursor)
    proof = prove(sql=sql, engine=engine, written=source.written(), file_rows=writer.rows)
    name = file_name(spec, job_id)
    content_type = formats.content_type(spec.format, spec.compression)
    file = {"name": name, "bytes": writer.bytes, "sha256": writer.sha256, "content_type": content_type}
    made = manifest(spec, job_id, source, proof, taken, {"cells_cut": writer.cells_cut, "file": file})
    return Produced(made, writer.rows, writer.bytes, writer.sha256, content_type, name)


def _write(source: Source, writer: formats.Writer, cursor: Cursor) -> Iterator[int]:
    """Everything into the file; the rows in it after each piece."""
    if source.spec.format == "csv" and isinstance(source, LineSource) and source.has_lines(cursor):
        for data, count in source.lines(cursor):
            writer.write_lines(data, count)
            yield writer.rows
        return
    for batch in source.batches(cursor):
        if batch:
            writer.write(batch)
        yield writer.rows


def _taken(cursor: Cursor) -> dict[str, Any]:
    """When and of which transactions the snapshot is."""
    row = cursor.execute(b"SELECT transaction_timestamp(), pg_current_snapshot()::text").fetchone()
    when, name = row or (datetime.now(UTC), "")
    return {"time": _iso(when), "id": name}


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def file_name(spec: ExportSpec, job_id: str) -> str:
    """Kind, first and last day, and the beginning of the job's id."""
    days = f"{spec.start:%Y%m%d}-{spec.end:%Y%m%d}"
    return f"{spec.kind}_{days}_{str(job_id)[:8]}.{formats.extension(spec.format, spec.compression)}"


def manifest(
    spec: ExportSpec, job_id: str, source: Source, proof: Proof, snapshot: dict[str, Any], more: dict[str, Any]
) -> dict[str, Any]:
    """What a file holds, so that whoever has both can check it years later."""
    written = proof.written.shown()
    about = getattr(source, "about", None)  # how the rows came to be, where a kind has something to say of it
    return {
        "schema_version": SCHEMA_VERSION,
        "hub_version": version("analytics-hub"),
        "job_id": str(job_id),
        "kind": spec.kind,
        "organization_id": spec.organization_id,
        "projects": [{"id": number, "slug": slug} for number, slug in spec.projects],
        "range": {"start_time": _iso(spec.start), "end_time": _iso(spec.end)},
        "question": dict(spec.question),
        "limit": spec.limit,
        "content": spec.content,
        "fields": [{"name": item.name, "type": item.type, "description": item.description} for item in source.columns],
        "format": spec.format,
        "compression": spec.compression,
        "snapshot": snapshot,
        "rows": written.pop("rows"),
        "sums": written,
        "proof": proof.shown(),
        "truncated": source.truncated,
        **({"answered": about} if about else {}),
        **more,
    }
