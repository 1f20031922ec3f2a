"""Where a file's bytes go: compressed, counted and hashed on their way, nothing kept."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from typing import BinaryIO, Protocol

import zstandard

from apps.exports.spec import Compression

GZIP_LEVEL, ZSTD_LEVEL = 6, 3
ALIVE_BYTES = 256 * 1024


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def _compressor(compression: Compression) -> _Compressor | None:
    if compression == "gzip":
        # zlib's own header has no name and the time 0: the same rows give the same bytes.
        return zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    if compression == "zstd":
        return zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True).compressobj()
    return None


class Sink:
    """Takes a file's bytes; forwards them to `out`, which needs `write` alone.

    It has what libraries ask of a file they only write to, and no `seek`, so that nothing already hashed changes.
    """

    def __init__(self, out: BinaryIO, compression: Compression) -> None:
        self._out = out
        self._compressor = _compressor(compression)
        self._sha256 = hashlib.sha256()
        self.taken = 0
        self.bytes = 0
        self.closed = False
        self.tail: bytearray | None = None  # when set, keeps what is written from then on
        self._muted = False
        self.alive: Callable[[], None] | None = None  # called now and then from `write`, may raise
        self._asked = 0

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def write(self, data: bytes) -> int:
        """Take some bytes of the uncompressed file."""
        size = len(data)
        if self._muted:
            return size
        self.taken += size
        if self.alive is not None and self.taken - self._asked >= ALIVE_BYTES:
            self._asked = self.taken
            self.alive()
        if self.tail is not None:
            self.tail += data
        self._pass_on(data if self._compressor is None else self._compressor.compress(data))
        return size

    def end(self) -> None:
        """Write what the compressor still holds. Idempotent; `out` stays open."""
        if self.closed:
            return
        self.closed = True
        if self._compressor is not None:
            self._pass_on(self._compressor.flush())
        self._out.flush()

    def mute(self) -> None:
        """Let nothing through any more: libraries write an end even to a file that is given up."""
        self._muted = self.closed = True

    def _pass_on(self, data: bytes) -> None:
        if data:
            self._out.write(data)
            self._sha256.update(data)
            self.bytes += len(data)

    def tell(self) -> int:
        return self.taken

    def flush(self) -> None:
        """Nothing to do: every byte has been passed on."""

    def close(self) -> None:
        """Libraries close what they are given; `end` is what ends the file."""

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True
