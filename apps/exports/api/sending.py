"""A finished file as an answer: whole, in part, or not at all, and never so many at once that nothing else is answered.

A thread of the web process sends a file, for as long as its reader takes. So each process sends only so many at a time,
and `manage.py up` gives it as many threads more than it has for everything else.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Final

from django.conf import settings
from django.db import connection
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header, http_date
from rest_framework.request import Request

from apps.common.errors import ApiError
from apps.exports.api.ranges import Part, Unsatisfiable, names, part_of, wants_part
from apps.exports.links import safe_name
from apps.exports.models import ExportJob
from apps.exports.storage import StorageDown, chunks

logger = logging.getLogger(__name__)
RETRY_AFTER: Final = 5
_slots = threading.BoundedSemaphore(settings.HUB.export_downloads)


class Sending:
    """The pieces of a file, and a place among the files that are being sent, which is given back once."""

    def __init__(self, found: Iterator[bytes], leave: Callable[[], None]) -> None:
        self._found = found
        # Also where a server drops an answer without closing it.
        self._leave = weakref.finalize(self, leave)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._found)

    def close(self) -> None:
        self._leave()


def answer(request: Request, job: ExportJob, taken: Callable[[Part], None]) -> HttpResponseBase:
    """The file, or what a conditional request or a range makes of it.

    Args:
        taken: is told what is about to be sent.

    Raises:
        ApiError: 1202 with status 416 for a range that the file does not have, 1402 with status 412 where If-Match
            names another file, 1303 where the storage has lost it, 1902 while too many files are being sent.
    """
    headers, size = _headers(job), job.file_size_bytes or 0
    etag = headers["ETag"]
    asked = request.META
    if "HTTP_IF_MATCH" in asked and not names(asked["HTTP_IF_MATCH"], etag, weakly=False):
        raise ApiError(1402, "The file is not the one that If-Match names.", status=412)
    if names(asked.get("HTTP_IF_NONE_MATCH"), etag, weakly=True):
        return _bare(304, headers)
    if request.method == "HEAD":
        return _bare(200, {**headers, "Content-Length": str(size), "Content-Type": job.content_type})
    part = None
    if wants_part(asked.get("HTTP_IF_RANGE"), etag):
        try:
            part = part_of(asked.get("HTTP_RANGE"), size)
        except Unsatisfiable:
            outside = {"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"}
            message = f"The file has {size} bytes; none of them is in the range."
            raise ApiError(1202, message, field="Range", status=416, headers=outside) from None
    response = _sent(job, part or Part(0, size), taken, 206 if part else 200)
    if part:
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size}"
    for name, value in headers.items():
        response.headers[name] = value
    return response


def _headers(job: ExportJob) -> dict[str, str]:
    made = {
        "ETag": f'"{job.sha256}"',
        "Accept-Ranges": "bytes",
        "Content-Disposition": content_disposition_header(True, safe_name(job.file_name)) or "attachment",
        # What is sent has the sha256 that was told: nobody on the way may pack it, and nobody keeps it.
        "Cache-Control": "private, no-store, no-transform",
        "X-Content-Type-Options": "nosniff",
    }
    if job.completed_at is not None:
        made["Last-Modified"] = http_date(job.completed_at.timestamp())
    return made


def _bare(status: int, headers: dict[str, str]) -> HttpResponse:
    response = HttpResponse(status=status)
    del response.headers["Content-Type"]
    for name, value in headers.items():
        response.headers[name] = value
    return response


def _sent(job: ExportJob, part: Part, taken: Callable[[Part], None], status: int) -> HttpResponseBase:
    if not _slots.acquire(blocking=False):
        text = "As many files as this server sends at once are being sent. Try again."
        raise ApiError(1902, text, headers={"Retry-After": str(RETRY_AFTER)})
    sending = None
    try:
        found = _begun(job, part)
        taken(part)
        sending = Sending(found, _slots.release)
    finally:
        if sending is None:
            _slots.release()
    if not connection.in_atomic_block:
        connection.close()  # goes back to the pool: a slow reader must not keep it
    response = StreamingHttpResponse(sending, status=status, content_type=job.content_type)
    response.headers["Content-Length"] = str(part.length)
    return response


def _begun(job: ExportJob, part: Part) -> Iterator[bytes]:
    """The pieces, of which the first has been read: what cannot be had is told before the answer begins."""
    try:
        found = chunks(job.file, part.start, part.length)
        first = list(islice(found, 1))
    except FileNotFoundError:
        raise ApiError(1303, "The file of this export is gone.") from None
    except (OSError, StorageDown):
        logger.exception("the file of export %s cannot be read", job.pk)
        raise ApiError(1702, "The file cannot be read from the storage just now. Try again.") from None
    return chain(first, found)
