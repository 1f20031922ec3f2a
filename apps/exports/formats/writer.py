"""What every format offers: rows in, a file out, and what was counted on the way."""

from __future__ import annotations

import builtins
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

from apps.exports.formats.sink import Sink
from apps.exports.spec import Column, Compression


class Writer(ABC):
    """Writes one file to `out` at constant memory. Either `close` ends it or `discard` gives it up, as leaving its
    `with` block without a `close` does.

    Args:
        columns: of the file, in order; rows have their values by `Column`'s rules.
        out: takes the bytes; only `write` and `flush` are called, and it stays open.
        cut_long_cells: cut what the format cannot hold in a cell, instead of failing.
        scratch: the folder for temporary files, where a format needs any.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        out: BinaryIO,
        compression: Compression,
        *,
        cut_long_cells: bool = False,
        scratch: Path | None = None,
    ) -> None:
        self.columns = tuple(columns)
        self.rows = 0
        self.cells_cut = 0
        self.sink = Sink(out, compression)

    @property
    def bytes(self) -> int:
        """Of the finished file, after `close`."""
        return self.sink.bytes

    @property
    def sha256(self) -> str:
        """Of the finished file, after `close`."""
        return self.sink.sha256

    @abstractmethod
    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Write some rows, a few thousand at most.

        Raises:
            ExportFailed: a value that this format cannot hold.
        """

    def write_lines(self, data: builtins.bytes, rows: int) -> None:
        """Write finished lines, each with its line feed, as they are. CSV alone can."""
        raise TypeError(f"{type(self).__name__} takes rows, not lines")

    def close(self, alive: Callable[[], None] | None = None) -> None:
        """Finish the file, which takes xlsx about as long as writing its rows.

        Args:
            alive: called now and then meanwhile; what it raises ends the work, and there is no file.

        Raises:
            NotProven: the finished file itself says another number of rows than were written.
        """
        self.sink.alive = alive
        try:
            self._finish()
        except BaseException:
            self.sink.mute()
            raise
        self.sink.end()

    def discard(self) -> None:
        """Give the file up and remove what lies beside it. Harmless after `close` and when called twice."""
        self.sink.mute()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever was not closed by now is given up."""
        self.discard()

    @abstractmethod
    def _finish(self) -> None:
        """Write the file's end."""
