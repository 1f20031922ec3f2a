"""Reading a request's body: streamed, inflated, and never more of it than the limit."""

from __future__ import annotations

import zlib
from typing import Any, Final

from django.http import HttpRequest

from apps.common.errors import ApiError

_CHUNK: Final = 65_536
_MAX_MEMBERS: Final = 10_000  # empty ones cost time and never reach the limit of bytes
_GZIP: Final = 16 + zlib.MAX_WBITS
_ENCODINGS: Final = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}


class BodyError(Exception):
    """The body cannot be taken: an HTTP status (400, 413 or 415) and a sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def read_body(request: HttpRequest, limit: int) -> bytes:
    """The body of a request, decoded from its Content-Encoding.

    Raises:
        BodyError: 413 when it is larger than the limit, packed or unpacked; 415 for an unknown encoding; 400 when it
            is cut short or damaged.
    """
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity") and encoding not in _ENCODINGS:
        raise BodyError(415, "Content-Encoding must be gzip, deflate or identity")
    body = _read_stream(request, limit)
    if encoding in _ENCODINGS and body:
        return inflate(body, _ENCODINGS[encoding], limit)
    return body


def _too_large(limit: int) -> BodyError:
    return BodyError(413, f"the body is larger than {limit} bytes")


def _read_stream(request: HttpRequest, limit: int) -> bytes:
    """Read `wsgi.input` itself: for a chunked body, which has no length, Django's `request.body` is empty."""
    stream: Any = request.META.get("wsgi.input")
    declared = request.META.get("CONTENT_LENGTH") or ""
    if declared:
        if not declared.isdecimal():
            raise BodyError(400, "Content-Length is not a number")
        length = int(declared[:20])
        if length > limit:
            raise _too_large(limit)
        return _read_exactly(stream, length)
    if "chunked" not in request.META.get("HTTP_TRANSFER_ENCODING", "").lower() or stream is None:
        return b""
    parts: list[bytes] = []
    size = 0
    while part := _read(stream, _CHUNK):
        parts.append(part)
        size += len(part)
        if size > limit:
            raise _too_large(limit)
    return b"".join(parts)


def _read_exactly(stream: Any, length: int) -> bytes:
    parts: list[bytes] = []
    missing = length
    while missing > 0:
        part = _read(stream, missing)
        if not part:
            raise BodyError(400, "the body is shorter than its Content-Length")
        parts.append(part)
        missing -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _read(stream: Any, size: int) -> bytes:
    try:
        part: bytes = stream.read(size)
    except ApiError:
        raise
    except OSError:
        raise BodyError(400, "the body ended before it was complete") from None
    return part


def inflate(packed: bytes, window: int, limit: int) -> bytes:
    """Inflate, but never more than the limit: a bomb is cut off there. See `read_body` for what is raised."""
    try:
        return _inflate(packed, window, limit)
    except zlib.error:
        if window != zlib.MAX_WBITS:
            raise BodyError(400, "the body is not valid gzip") from None
    try:  # "deflate" means zlib's frame, but some senders leave the frame out
        return _inflate(packed, -zlib.MAX_WBITS, limit)
    except zlib.error:
        raise BodyError(400, "the body is not valid deflate") from None


def _inflate(packed: bytes, window: int, limit: int) -> bytes:
    parts: list[bytes] = []
    room = limit + 1
    view = memoryview(packed)
    position = members = 0
    while position < len(view):  # gzip allows several members one after another
        members += 1
        if members > _MAX_MEMBERS:
            raise BodyError(400, f"the body has more than {_MAX_MEMBERS} gzip members")
        inflater = zlib.decompressobj(window)
        # A slice at a time: what follows a member is copied, and of many small ones that would be the body each time.
        while not inflater.eof and position < len(view):
            piece = view[position : position + _CHUNK]
            part = inflater.decompress(piece, room)
            parts.append(part)
            room -= len(part)
            if room <= 0 or inflater.unconsumed_tail:
                raise _too_large(limit)
            position += len(piece) - len(inflater.unused_data)
        if not inflater.eof:
            raise BodyError(400, "the compressed body is cut short")
        if window != _GZIP:
            break
    return b"".join(parts)
