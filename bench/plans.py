"""Which day partitions (or chunks) the answer to a request reads: every statement is explained as it runs.

The hub's code runs in this process on the hub's database; each statement is executed under EXPLAIN (ANALYZE) first, and
the relations that were really scanned are counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

_READS = re.compile(r"\s*(?:SELECT|WITH)\b", re.IGNORECASE)
_DAYS = re.compile(r"^(span|span_content)_p\d{8}$|^_hyper_\d+_\d+_chunk$|^compress_hyper_\d+_\d+_chunk$")


def scanned(plan: dict[str, Any]) -> Iterator[str]:
    """The partitions and chunks that a plan has scanned."""
    name = plan.get("Relation Name", "")
    if _DAYS.match(name) and plan.get("Actual Loops", 0) > 0:
        yield name
    for inner in plan.get("Plans", ()):
        yield from scanned(inner)


def sequential(plan: dict[str, Any]) -> Iterator[str]:
    """The partitions and chunks that a plan has read from end to end."""
    if plan.get("Node Type") == "Seq Scan" and _DAYS.match(plan.get("Relation Name", "")) and plan["Actual Loops"] > 0:
        yield str(plan["Relation Name"])
    for inner in plan.get("Plans", ()):
        yield from sequential(inner)


class Seen:
    """What has been scanned since the last reset."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.statements = 0
        self.parts: set[str] = set()
        self.whole: set[str] = set()

    def note(self, plan: dict[str, Any]) -> None:
        self.statements += 1
        self.parts.update(scanned(plan))
        self.whole.update(sequential(plan))


@contextmanager
def watched() -> Iterator[Seen]:
    """Explain every read that psycopg executes in this process."""
    seen = Seen()
    plain = psycopg.Cursor.execute

    def execute(self: Any, query: Any, params: Any = None, **more: Any) -> Any:
        text = query.decode() if isinstance(query, bytes) else str(query)
        if _READS.match(text) and self.connection.info.transaction_status != psycopg.pq.TransactionStatus.INERROR:
            with psycopg.Cursor(self.connection) as beside:
                found = plain(beside, f"EXPLAIN (ANALYZE, FORMAT JSON) {text}".encode(), params).fetchone()
            if found is not None:
                document = found[0] if not isinstance(found[0], str) else json.loads(found[0])
                seen.note(document[0]["Plan"])
        return plain(self, query, params, **more)

    psycopg.Cursor.execute = execute  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        psycopg.Cursor.execute = plain  # type: ignore[method-assign]
