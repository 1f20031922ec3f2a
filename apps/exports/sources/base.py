"""What a kind of export has to offer to whatever writes, proves and documents it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import psycopg

from apps.exports.spec import Column, ExportSpec
from apps.exports.totals import Totals

Cursor = psycopg.Cursor[Any]
Row = Sequence[Any]


class Source(Protocol):
    """Rows of one export, read in a snapshot that is already open. Made anew for every try."""

    spec: ExportSpec
    columns: tuple[Column, ...]  # the spec's fields, in their order
    truncated: bool  # the limit left rows out; right once all batches are out

    def counted(self, cursor: Cursor) -> Totals | str:
        """What SQL over raw spans says the whole export must add up to; read before anything is written.

        Or why it cannot say, in words for the manifest: then the metrics engine alone is compared with.

        Raises:
            ExportFailed: more rows than `MAX_ROWS` and no limit; a range that is not kept.
        """
        ...

    def batches(self, cursor: Cursor) -> Iterator[Sequence[Row]]:
        """All rows, a few thousand at a time, from a server-side cursor: memory does not grow with them."""
        ...

    def written(self) -> Totals:
        """What the rows given out so far add up to, by the values in the rows themselves."""
        ...

    def engine(self, cursor: Cursor) -> Totals | str:
        """What the metrics engine says of the same on this connection, or why it cannot be asked."""
        ...


@runtime_checkable
class LineSource(Protocol):
    """A source that can also give ready lines of CSV."""

    def has_lines(self, cursor: Cursor) -> bool:
        """Whether this connection can: COPY is at hand."""
        ...

    def lines(self, cursor: Cursor) -> Iterator[tuple[bytes, int]]:
        """The lines of all rows, with how many rows each piece holds; `written` counts them too."""
        ...
