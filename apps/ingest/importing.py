"""Backfill from a file: in batches, durable one by one, going on where the last run ended.

What a batch has stored is noted after it is durable. A run that was killed between the two stores that batch again,
which changes nothing, since a span is stored once under its identity.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
from django.db import DatabaseError, InterfaceError

from apps.ingest import tally
from apps.ingest.files import Item, Reader
from apps.ingest.raw import RawSpan
from apps.ingest.service import Receipt, Rejection, ingest
from apps.ingest.work import ProjectSettings
from apps.traces.writer import WriteUnavailable

BATCH_SPANS: Final = 1_000
TRIES: Final = 6
_HEAD_BYTES: Final = 65_536


@dataclass
class Progress:
    """How far an import has come; what the state file holds."""

    path: str
    project_id: int
    head_bytes: int = 0
    head_sha256: str = ""
    position: int = 0
    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    done: bool = False


def state_path(folder: Path, path: Path, project_id: int) -> Path:
    """The state file of an import: one for each file and project."""
    name = hashlib.sha256(f"{path.resolve()}\0{project_id}".encode()).hexdigest()[:32]
    return folder / "imports" / f"{name}.json"


def _head(path: Path, length: int) -> str:
    with path.open("rb") as handle:
        return hashlib.sha256(handle.read(length)).hexdigest()


def load_progress(state: Path, path: Path, project_id: int) -> Progress:
    """Where the last run of this import ended; a new beginning if there was none or the file is another by now."""
    head_bytes = min(path.stat().st_size, _HEAD_BYTES)
    fresh = Progress(str(path.resolve()), project_id, head_bytes, _head(path, head_bytes))
    try:
        known = Progress(**orjson.loads(state.read_bytes()))
    except (OSError, ValueError, TypeError):
        return fresh
    grown = known.head_bytes <= head_bytes and _head(path, known.head_bytes) == known.head_sha256
    return known if grown else fresh


def save_progress(state: Path, progress: Progress) -> None:
    """Write the state file in one step that survives a crash."""
    state.parent.mkdir(parents=True, exist_ok=True)
    temporary = state.with_suffix(f".{os.getpid()}")
    with temporary.open("wb") as handle:
        handle.write(orjson.dumps(asdict(progress)))
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(state)


def run(
    project: ProjectSettings,
    reader: Reader,
    progress: Progress,
    *,
    save: Callable[[Progress], None],
    advance: Callable[[int], Any],
    report: Callable[[Rejection], None],
) -> Progress:
    """Import what is left of a file.

    Args:
        project: where the spans land.
        reader: the file.
        progress: where to begin; changed as batches become durable.
        save: called with the progress after each batch.
        advance: called with how far the position moved.
        report: called with each span that was refused; its index is the row.
    """
    batch: list[RawSpan] = []
    last: Item | None = None
    for item in reader.items(progress.position, progress.rows):
        batch += item.spans
        last = item
        if len(batch) >= BATCH_SPANS:
            _store(project, batch, last, progress, save, advance, report)
            batch = []
    if last is not None and (batch or last.position > progress.position):
        _store(project, batch, last, progress, save, advance, report)
    progress.done = True
    save(progress)
    with suppress(DatabaseError, InterfaceError):  # the spans are durable
        tally.flush()
    return progress


def _store(
    project: ProjectSettings,
    batch: list[RawSpan],
    last: Item,
    progress: Progress,
    save: Callable[[Progress], None],
    advance: Callable[[int], Any],
    report: Callable[[Rejection], None],
) -> None:
    receipt = _ingest(project, batch)
    for rejection in receipt.rejected:
        report(rejection)
    moved = last.position - progress.position
    progress.accepted += receipt.accepted
    progress.rejected += len(receipt.rejected)
    progress.reasons = dict(Counter(progress.reasons) + Counter(r.reason for r in receipt.rejected))
    progress.position, progress.rows = last.position, last.row
    save(progress)
    advance(moved)


def _ingest(project: ProjectSettings, batch: list[RawSpan]) -> Receipt:
    """Store a batch, waiting a while for a database that is away."""
    for attempt in range(1, TRIES + 1):
        try:
            return ingest(project, batch, source="import")
        except WriteUnavailable:
            if attempt == TRIES:
                raise
            time.sleep(min(2 ** (attempt - 1), 15))
    raise AssertionError("unreachable")
