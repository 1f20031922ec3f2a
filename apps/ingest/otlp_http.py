"""OTLP over HTTP: `/v1/traces`, and `/v1/metrics` and `/v1/logs`, which are received and not stored.

Answers are in the request's encoding; errors are google.rpc.Status, as JSON where the encoding is unreadable.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Final, Literal

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from apps.common.edge.exceptions import translate
from apps.common.errors import ApiError
from apps.ingest import otlp, otlp_json
from apps.ingest.body import BodyError, read_body
from apps.ingest.raw import RawSpan, UndecodableError
from apps.ingest.service import Receipt, ingest
from apps.orgs import audit
from apps.orgs.access import Principal
from apps.orgs.door import admit, requires
from apps.orgs.projects import IngestProject, project_for_ingest
from apps.orgs.span_limits import charging
from apps.traces.writer import WriteUnavailable

logger = logging.getLogger(__name__)

Encoding = Literal["application/x-protobuf", "application/json"]
PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
MAX_MESSAGE: Final = 2_000
MAX_NAMED_SPANS: Final = 10

# HTTP status -> google.rpc.Code
_RPC_CODES: Final = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 413: 8, 415: 3, 429: 8, 503: 14, 504: 4}


class _Refused(Exception):
    """An answer that is not 200."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}


def encoding_of(request: HttpRequest) -> Encoding | None:
    """By prefix, since parameters such as `; charset=utf-8` occur."""
    media_type = request.META.get("CONTENT_TYPE", "").strip().lower()
    if media_type.startswith((PROTOBUF, "application/protobuf", "application/vnd.google.protobuf")):
        return "application/x-protobuf"
    return "application/json" if media_type.startswith(JSON) else None


def status_answer(encoding: Encoding | None, status: int, message: str, headers: dict[str, str]) -> HttpResponse:
    """A google.rpc.Status, whose two fields are written by hand: the class is in a package of its own."""
    code = _RPC_CODES.get(status, 13)
    if encoding == PROTOBUF:
        text = message.encode()
        body = bytes((0x08, code, 0x12)) + _varint(len(text)) + text
    else:
        body = orjson.dumps({"code": code, "message": message})
    return HttpResponse(body, status=status, content_type=encoding or JSON, headers=headers)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _admit(request: HttpRequest, *, spans: bool = False) -> Principal:
    if request.method != "POST":
        raise _Refused(405, f"{request.method} is not offered here, only POST", {"Allow": "POST"})
    return admit(request, "traces:write", spans=spans)


def _known_encoding(request: HttpRequest) -> Encoding:
    encoding = encoding_of(request)
    if encoding is None:
        raise _Refused(415, f"Content-Type must be {PROTOBUF} or {JSON}")
    return encoding


def _answer_errors(request: HttpRequest, error: Exception) -> HttpResponse:
    encoding = encoding_of(request)
    if isinstance(error, _Refused):
        return status_answer(encoding, error.status, error.message, error.headers)
    if isinstance(error, BodyError):
        return status_answer(encoding, error.status, error.message, {})
    if isinstance(error, UndecodableError):
        return status_answer(encoding, 400, str(error), {})
    if isinstance(error, WriteUnavailable):
        return status_answer(encoding, 503, str(error), {"Retry-After": str(error.retry_after)})
    known = translate(error)
    if known.entry.category == "AUTHORIZATION":
        audit.refusal(request, known)
    if known.status >= 500:
        logger.error("%s %s failed with %s", request.method, request.path, known.entry.name, exc_info=error)
    return present(known, request)


def present(known: ApiError, request: HttpRequest) -> HttpResponse:
    """An error of the catalogue as a Status."""
    # Only 429, 502, 503 and 504 may be sent again; a database that failed under us is a matter of time.
    headers = dict(known.headers)
    if known.status in (429, 502, 503, 504):
        headers.setdefault("Retry-After", "5")
    return status_answer(encoding_of(request), known.status, known.message, headers)


@csrf_exempt
@requires(POST="traces:write")
def traces(request: HttpRequest) -> HttpResponse:
    """ExportTraceService over HTTP."""
    try:
        principal = _admit(request, spans=True)
        with charging(request) as charge:
            encoding = _known_encoding(request)
            parts = _by_project(principal, request, _decode(request, encoding))
            charge((project, len(part)) for project, part in parts)
        receipt = Receipt()
        for project, part in parts:
            receipt.add(ingest(project, part, source="otlp"))
    except Exception as error:  # noqa: BLE001 - an outer loop: whatever it is, OTLP clients are answered with a Status
        return _answer_errors(request, error)
    return _receipt_answer(receipt, encoding)


def _decode(request: HttpRequest, encoding: Encoding) -> list[RawSpan]:
    hub = settings.HUB
    body = read_body(request, hub.ingest_max_body_bytes)
    if not body:
        return []
    spans = otlp.decode(body) if encoding == PROTOBUF else otlp_json.decode(body)
    if len(spans) > hub.ingest_max_spans:
        raise _Refused(413, f"{len(spans)} spans in one request; at most {hub.ingest_max_spans} are taken")
    return spans


def _by_project(
    principal: Principal, request: HttpRequest, spans: list[RawSpan]
) -> list[tuple[IngestProject, list[RawSpan]]]:
    """The spans by the project they go to: with an organization's key a resource may name its own."""
    groups: dict[str | None, list[RawSpan]] = {}
    if principal.key_project_id is None:
        for span in spans:
            hint = span.origin.resource.get("openinference.project.name")
            groups.setdefault(hint if isinstance(hint, str) else None, []).append(span)
    else:
        groups[None] = spans
    # Every project is found before the first span is stored: an unknown one refuses the request as a whole.
    return [(project_for_ingest(principal, request, hint), part) for hint, part in groups.items()]


def rejection_message(receipt: Receipt) -> str:
    """What a sender needs to mend it: reasons with counts, the field, and the first spans at fault."""
    counts = Counter((item.reason, item.message) for item in receipt.rejected)
    named = {item.reason: [f"span {item.index}"] for item in reversed(receipt.rejected)}
    parts = [
        f"{reason} ({count}, first {named[reason][0]}): {message}" for (reason, message), count in counts.most_common()
    ]
    return "; ".join([*parts, *receipt.warnings])[:MAX_MESSAGE]


def _receipt_answer(receipt: Receipt, encoding: Encoding) -> HttpResponse:
    message = rejection_message(receipt)
    rejected = len(receipt.rejected)
    if encoding == JSON:
        partial = {"rejectedSpans": str(rejected), "errorMessage": message}
        return HttpResponse(orjson.dumps({"partialSuccess": partial} if message else {}), content_type=JSON)
    answer = ExportTraceServiceResponse()
    if message:
        answer.partial_success.rejected_spans = rejected
        answer.partial_success.error_message = message
    return HttpResponse(answer.SerializeToString(), content_type=PROTOBUF)


_NOT_STORED: Final = "not stored: this hub keeps traces only"


@csrf_exempt
@requires(POST="traces:write")
def metrics(request: HttpRequest) -> HttpResponse:
    """ExportMetricsService: answered so that a client does not retry, and not stored."""
    return _unstored(request, ExportMetricsServiceResponse())


@csrf_exempt
@requires(POST="traces:write")
def logs(request: HttpRequest) -> HttpResponse:
    """ExportLogsService: answered so that a client does not retry, and not stored."""
    return _unstored(request, ExportLogsServiceResponse())


def _unstored(request: HttpRequest, answer: ExportMetricsServiceResponse | ExportLogsServiceResponse) -> HttpResponse:
    try:
        _admit(request)
        encoding = _known_encoding(request)
        read_body(request, settings.HUB.ingest_max_body_bytes)
    except Exception as error:  # noqa: BLE001 - an outer loop, as in `traces`
        return _answer_errors(request, error)
    if encoding == JSON:
        return HttpResponse(orjson.dumps({"partialSuccess": {"errorMessage": _NOT_STORED}}), content_type=JSON)
    answer.partial_success.error_message = _NOT_STORED
    return HttpResponse(answer.SerializeToString(), content_type=PROTOBUF)
