"""A finished answer as bytes: how it is kept, compressed, validated and sent.

An `Entry` holds an answer up to its `meta`, which differs from request to request and is appended when it is sent. So
is it in the gzip form: the kept block ends on a byte boundary (Z_SYNC_FLUSH), a stored block with the meta follows, and
the checksum is continued, so nothing is compressed again.
"""

from __future__ import annotations

import math
import re
import struct
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.utils.http import http_date, parse_http_date_safe

from apps.common import jsontext
from apps.common.ids import request_id

COMPRESS_FROM: Final = 1_024  # bytes; below, the headers weigh more
LEVEL: Final = 5
SETTLED_SECONDS: Final = 2.0
VARY: Final = "Authorization, Cookie, X-API-Key, X-Organization, Accept-Encoding"
_MAGIC = b"HA01"
_HEAD = struct.Struct(">4sddIII32s")
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_TAGS = re.compile(r'(?:W/)?"([^"]*)"')
_GZIP = re.compile(r"(?:^|,)\s*(?:x-)?gzip\s*(?:;\s*q=([0-9.]+))?\s*(?:,|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer without its meta.

    Args:
        etag: 32 hexadecimal digits.
        body: the JSON object up to its last member, without the closing brace.
        packed: a deflate block of the body that ends on a byte boundary; empty for small ones.
        checksum: CRC-32 of the body.
        computed_at: epoch seconds.
        first_seen: when this ETag was first given out, epoch seconds; 0 where nobody knows.
    """

    etag: str
    body: bytes
    packed: bytes
    checksum: int
    computed_at: float
    first_seen: float = 0.0

    def pack(self) -> bytes:
        """As it is kept in Valkey."""
        head = _HEAD.pack(
            _MAGIC,
            self.computed_at,
            self.first_seen,
            self.checksum,
            len(self.body),
            len(self.packed),
            self.etag.encode(),
        )
        return b"".join((head, self.body, self.packed))

    def named(self, etag: str, first_seen: float) -> Entry:
        """The same answer under an ETag."""
        return replace(self, etag=etag, first_seen=first_seen)

    @property
    def size(self) -> int:
        return _HEAD.size + len(self.body) + len(self.packed)

    @property
    def age(self) -> float:
        return time.time() - self.computed_at

    @property
    def last_modified(self) -> int | None:
        """Epoch seconds, rounded up; None while another change in the same second could still be told the same."""
        if not self.first_seen:
            return None
        moment = math.ceil(self.first_seen)
        return moment if time.time() - moment >= SETTLED_SECONDS else None


def unpack(blob: bytes | None) -> Entry | None:
    """What `Entry.pack` made; None for anything else."""
    if blob is None or len(blob) < _HEAD.size or not blob.startswith(_MAGIC):
        return None
    _, computed_at, first_seen, checksum, length, packed, etag = _HEAD.unpack_from(blob)
    middle = _HEAD.size + length
    if len(blob) != middle + packed:
        return None
    return Entry(etag.decode(), blob[_HEAD.size : middle], blob[middle:], checksum, computed_at, first_seen)


def entry_of(document: Mapping[str, Any], *, computed_at: float, etag: str = "") -> Entry:
    """Make the entry of an answer without its meta."""
    body = jsontext.dumps(document)[:-1]
    packed = b""
    if len(body) >= COMPRESS_FROM:
        squeeze = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        packed = squeeze.compress(body) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    return Entry(etag, body, packed, zlib.crc32(body), computed_at)


def respond(entry: Entry, request: HttpRequest, ttl: int, *, cached: bool) -> HttpResponse:
    """The answer, or 304 where the caller's copy is still right."""
    if not_modified(request, entry.etag, entry.last_modified):
        return untouched(entry.etag, entry.last_modified, ttl)
    start = b',"meta":' if len(entry.body) > 1 else b'"meta":'
    meta = {"request_id": request_id(request), "cached": cached, "computed_at": _moment(entry.computed_at)}
    tail = b"".join((start, jsontext.dumps(meta), b"}"))
    if entry.packed and takes_gzip(request.META.get("HTTP_ACCEPT_ENCODING", "")):
        response = HttpResponse(_extended(entry, tail), content_type="application/json")
        response.headers["Content-Encoding"] = "gzip"
    else:
        response = HttpResponse(entry.body + tail, content_type="application/json")
    if cached:
        response.headers["Age"] = str(max(0, int(entry.age)))
    return _described(response, entry.etag, entry.last_modified, ttl)


def untouched(etag: str, last_modified: int | None, ttl: int) -> HttpResponse:
    """304."""
    response = HttpResponse(status=304)
    del response.headers["Content-Type"]
    return _described(response, etag, last_modified, ttl)


def _described(response: HttpResponse, etag: str, last_modified: int | None, ttl: int) -> HttpResponse:
    headers = response.headers
    headers["ETag"] = f'W/"{etag}"'
    headers["Cache-Control"] = f"private, max-age={ttl}"
    headers["Vary"] = VARY
    if last_modified is not None:
        headers["Last-Modified"] = _http_date(last_modified)
    return response


@lru_cache(maxsize=1024)
def _http_date(epoch: int) -> str:
    return http_date(epoch)


def _moment(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)


def _extended(entry: Entry, tail: bytes) -> bytes:
    """The kept block, a stored block with the tail, and the checksum over both."""
    length = len(tail)
    return b"".join(
        (
            _GZIP_HEAD,
            entry.packed,
            b"\x01",
            struct.pack("<HH", length, length ^ 0xFFFF),
            tail,
            struct.pack("<II", zlib.crc32(tail, entry.checksum), (len(entry.body) + length) & 0xFFFFFFFF),
        )
    )


@lru_cache(maxsize=256)
def takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header lets gzip in."""
    found = _GZIP.search(accepted)
    if found is None:
        return False
    try:
        return found[1] is None or float(found[1]) > 0
    except ValueError:
        return False


def not_modified(request: HttpRequest, etag: str, last_modified: int | None) -> bool:
    """Whether the caller's copy is still right; If-Modified-Since counts only where no If-None-Match was sent."""
    tags = request.META.get("HTTP_IF_NONE_MATCH")
    if tags is not None:
        return tags.strip() == "*" or etag in _TAGS.findall(tags)
    since = request.META.get("HTTP_IF_MODIFIED_SINCE")
    if since is None or last_modified is None:
        return False
    moment: int | None = parse_http_date_safe(since)
    return moment is not None and last_modified <= moment


def is_conditional(request: HttpRequest) -> bool:
    return "HTTP_IF_NONE_MATCH" in request.META or "HTTP_IF_MODIFIED_SINCE" in request.META


def wants_fresh(request: HttpRequest) -> bool:
    """Whether the caller takes no cached answer: Cache-Control no-cache, no-store or max-age=0, or Pragma."""
    asked = request.META.get("HTTP_CACHE_CONTROL")
    if asked is None:
        return str(request.META.get("HTTP_PRAGMA", "")).strip().lower() == "no-cache"
    words = {word.strip().lower() for word in asked.split(",")}
    return not words.isdisjoint(("no-cache", "no-store", "max-age=0"))
