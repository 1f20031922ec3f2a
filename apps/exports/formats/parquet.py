"""Parquet: typed columns, row groups that memory holds, and a footer that is read again."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from apps.exports.failures import ExportFailed, NotProven
from apps.exports.formats.writer import Writer
from apps.exports.spec import Column, Compression

# A row group is held in memory until it is full: by rows for scans that skip groups, by bytes for long texts.
GROUP_ROWS: Final = 65_536
GROUP_BYTES: Final = 16 * 1024 * 1024
_TYPES: Final = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "usd": pa.decimal128(38, 12),
    "time": pa.timestamp("us", tz="UTC"),
    "boolean": pa.bool_(),
    "texts": pa.list_(pa.string()),
    "json": pa.string(),
}


def schema_of(columns: Sequence[Column]) -> pa.Schema:
    return pa.schema([pa.field(column.name, _TYPES[column.type]) for column in columns])


class ParquetWriter(Writer):
    """Columns of Arrow, compressed page by page."""

    def __init__(
        self,
        columns: Sequence[Column],
        out: BinaryIO,
        compression: Compression,
        *,
        cut_long_cells: bool = False,
        scratch: Path | None = None,
    ) -> None:
        super().__init__(columns, out, "none")
        self._schema = schema_of(columns)
        self._held: list[pa.RecordBatch] = []
        self._held_rows = self._held_bytes = 0
        self._file = pq.ParquetWriter(self.sink, self._schema, compression=compression)

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        if not rows:
            return
        try:
            arrays = [pa.array(v, f.type) for v, f in zip(zip(*rows, strict=True), self._schema, strict=True)]
        except (pa.ArrowInvalid, OverflowError) as error:
            raise ExportFailed(f"Parquet cannot hold a value: {error}") from error
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        self._held.append(batch)
        self._held_rows += batch.num_rows
        self._held_bytes += batch.nbytes
        self.rows += batch.num_rows
        if self._held_rows >= GROUP_ROWS or self._held_bytes >= GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        if self._held:
            self._file.write_table(pa.Table.from_batches(self._held), row_group_size=self._held_rows)
        self._held = []
        self._held_rows = self._held_bytes = 0

    def discard(self) -> None:
        super().discard()
        self._held = []
        self._file.close()

    def _finish(self) -> None:
        self._write_group()
        self.sink.tail = bytearray()
        self._file.close()
        footer = pq.read_metadata(io.BytesIO(self.sink.tail))
        if footer.num_rows != self.rows:
            raise NotProven(f"The finished Parquet file says {footer.num_rows} rows, {self.rows} were written.")
