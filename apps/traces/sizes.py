"""How large tables are, as the catalogue has it: nothing is counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django.db.backends.utils import CursorWrapper

# A partitioned table or a view has no size of its own and is left out.
_SIZES = """
SELECT c.relname::text, pg_total_relation_size(c.oid), greatest(c.reltuples, 0)::bigint
FROM unnest(%s::text[]) AS n (name) JOIN pg_class c ON c.oid = to_regclass(n.name)
WHERE c.relkind = 'r' ORDER BY 2 DESC
"""
_DATABASE = "SELECT pg_database_size(current_database())"


class Size(NamedTuple):
    """A table with its indexes."""

    name: str
    bytes: int
    rows_estimate: int


def sizes_of(cursor: CursorWrapper, names: Sequence[str]) -> list[Size]:
    """Of these tables as far as they exist, the largest first."""
    cursor.execute(_SIZES, [list(names)])
    return [Size(*row) for row in cursor.fetchall()]


def database_size(cursor: CursorWrapper) -> int:
    """Bytes on disk, everything included."""
    cursor.execute(_DATABASE)
    return int(cursor.fetchone()[0])
