"""File formats: a writer for each, at constant memory, counting rows and bytes and hashing as it writes."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, Final

from apps.exports.formats.writer import Writer
from apps.exports.spec import Column, Compression, Format

__all__ = ["Writer", "content_type", "extension", "missing", "writer_for"]

_TYPES: Final[dict[Format, str]] = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_WRAPPED: Final[dict[Compression, tuple[str, str]]] = {
    "gzip": ("application/gzip", ".gz"),
    "zstd": ("application/zstd", ".zst"),
}
_WRITERS: Final[dict[Format, str]] = {
    "csv": "delimited.CsvWriter",
    "json": "jsons.JsonWriter",
    "jsonl": "jsons.JsonLinesWriter",
    "parquet": "parquet.ParquetWriter",
    "xlsx": "sheets.XlsxWriter",
}


def writer_for(
    format: Format,
    compression: Compression,
    columns: Sequence[Column],
    out: BinaryIO,
    *,
    cut_long_cells: bool = False,
    scratch: Path | None = None,
) -> Writer:
    """A writer of this format to `out`, where `missing(format)` is None.

    Args:
        out: open for writing; only `write` and `flush` are called, and it stays open.
        cut_long_cells: let xlsx cut what no cell holds, with a mark, instead of failing.
        scratch: the folder where xlsx keeps the rows of its sheets until the file is put together; the system's
            temporary folder by default. `close` and `discard` leave nothing there.
    """
    # Loaded when asked for: web processes never write a file, and pyarrow is large.
    module, name = _WRITERS[format].split(".")
    made: type[Writer] = getattr(import_module(f"apps.exports.formats.{module}"), name)
    return made(columns, out, compression, cut_long_cells=cut_long_cells, scratch=scratch)


def missing(format: Format) -> str | None:
    """What has to be installed before this format can be written; None when all is there."""
    return "pyarrow" if format == "parquet" and find_spec("pyarrow") is None else None


def content_type(format: Format, compression: Compression) -> str:
    """The media type of a finished file."""
    wrapped = None if format == "parquet" else _WRAPPED.get(compression)
    return wrapped[0] if wrapped else _TYPES[format]


def extension(format: Format, compression: Compression) -> str:
    """How a finished file's name ends, without the first dot. Parquet is compressed inside and keeps its name."""
    wrapped = None if format == "parquet" else _WRAPPED.get(compression)
    return format + (wrapped[1] if wrapped else "")
