"""What the OpenAPI document says of export jobs; ids and figures of the examples are invented."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from apps.common.reads import fields, paging
from apps.common.reads.schemas import COUNT, META, PAGE, TEXT, TIME, UNTOUCHED, array, nullable, obj, query
from apps.exports.models import ExportJob
from apps.exports.sources import costs, metrics
from apps.exports.sources.spans import question as spans
from apps.exports.spec import COMPRESSIONS, FORMATS, KINDS, MAX_ROWS, Kind

TAGS = ["exports"]
FILTERS = ("status", "kind", "schedule_id")
_FLAG: dict[str, Any] = {"type": "boolean"}
_MAYBE_COUNT: dict[str, Any] = {"type": ["integer", "null"]}
MAYBE_TEXT: dict[str, Any] = {"type": ["string", "null"]}
MAYBE_TIME: dict[str, Any] = {"type": ["string", "null"], "format": "date-time"}
_STATUS: dict[str, Any] = {"type": "string", "enum": list(ExportJob.Status.values)}
_ANY: dict[str, Any] = {"type": ["object", "null"], "additionalProperties": True}
_ESTIMATE = obj(rows={**_MAYBE_COUNT, "description": "Rows to be expected; null where nobody knows"})
_SUMMARY = nullable(
    obj(
        rows=_MAYBE_COUNT,
        sums={**_ANY, "description": "Requests, cost and tokens that the rows add up to"},
        snapshot={**_ANY, "description": "Time and id of the snapshot that the rows were read in"},
        truncated={"type": ["boolean", "null"], "description": "`limit` left rows out"},
        cells_cut={**_MAYBE_COUNT, "description": "Texts that were cut since no cell holds them"},
    )
)
_JOB: dict[str, dict[str, Any]] = {
    "job_id": {"type": "string", "format": "uuid"},
    "kind": {"type": "string", "enum": list(KINDS)},
    "status": _STATUS,
    "progress_percent": {"type": "number", "description": "Written rows of counted ones; 100 once there is a file"},
    "rows_done": COUNT,
    "estimate": _ESTIMATE,
    "row_count": _MAYBE_COUNT,
    "file_size_bytes": _MAYBE_COUNT,
    "sha256": {**MAYBE_TEXT, "description": "Of the file as it is downloaded"},
    "file_name": MAYBE_TEXT,
    "content_type": MAYBE_TEXT,
    "manifest": _SUMMARY,
    "error": {**MAYBE_TEXT, "description": "Why it failed"},
    "format": {"type": "string", "enum": list(FORMATS)},
    "compression": {"type": "string", "enum": list(COMPRESSIONS)},
    "start_time": TIME,
    "end_time": TIME,
    "projects": {**array(TEXT), "description": "Slugs"},
    "fields": array(TEXT),
    "limit": _MAYBE_COUNT,
    "contains_content": {**_FLAG, "description": "Texts are in it or were asked about: it takes traces:content"},
    "cancel_requested": _FLAG,
    "schedule_id": _MAYBE_COUNT,
    "created_by": TEXT,
    "created_at": TIME,
    "started_at": MAYBE_TIME,
    "completed_at": {**MAYBE_TIME, "description": "When it ended, however it did"},
    "expires_at": {**MAYBE_TIME, "description": "Until then the file is kept"},
    "status_url": TEXT,
    "manifest_url": MAYBE_TEXT,
    "download_url": {
        **MAYBE_TEXT,
        "description": "A signed link to the file that needs no token: as good as the caller's own rights are when it "
        "is followed, until the file expires. null where there is no file, or not for this caller",
    },
}
_ID: Final = "7f1c3f0e-6a52-4c5b-9a55-0d3a8e1b2c4d"
_SHA: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_SAMPLE: dict[str, Any] = {
    "job_id": _ID,
    "kind": "costs",
    "status": "completed",
    "progress_percent": 100.0,
    "rows_done": 31,
    "estimate": {"rows": 30},
    "row_count": 31,
    "file_size_bytes": 2_431,
    "sha256": _SHA,
    "file_name": "costs_20261001-20261101_7f1c3f0e.csv",
    "content_type": "text/csv; charset=utf-8",
    "manifest": {
        "rows": 31,
        "sums": {"requests": 120_400, "total_cost_usd": 310.5, "total_tokens": 81_230_411},
        "snapshot": {"time": "2026-11-05T10:00:01.250000Z", "id": "812:812:"},
        "truncated": False,
        "cells_cut": 0,
    },
    "error": None,
    "format": "csv",
    "compression": "none",
    "start_time": "2026-10-01T00:00:00Z",
    "end_time": "2026-11-01T00:00:00Z",
    "projects": ["default"],
    "fields": ["timestamp", "provider", "model", "total_cost_usd"],
    "limit": None,
    "contains_content": False,
    "cancel_requested": False,
    "schedule_id": None,
    "created_by": "ada@acme.example",
    "created_at": "2026-11-05T10:00:00Z",
    "started_at": "2026-11-05T10:00:01Z",
    "completed_at": "2026-11-05T10:00:02Z",
    "expires_at": "2026-11-12T10:00:02Z",
    "status_url": f"/api/v1/export/jobs/{_ID}",
    "manifest_url": f"/api/v1/export/jobs/{_ID}/manifest",
    "download_url": "/api/v1/export/files/WyI3ZjFj...MTJdIg.k3J.../costs_20261001-20261101_7f1c3f0e.csv",
}


def _response(schema: dict[str, Any], example: dict[str, Any], description: str = "") -> OpenApiResponse:
    examples = [OpenApiExample("answer", example, response_only=True)]
    return OpenApiResponse(schema, description=description, examples=examples)


_TEXTS: dict[str, Any] = {"oneOf": [TEXT, array(TEXT)]}
_SHARED: dict[str, dict[str, Any]] = {
    "format": {"type": "string", "enum": list(FORMATS), "default": "csv"},
    "compression": {"type": "string", "enum": list(COMPRESSIONS), "default": "none"},
    "start_time": {**TIME, "description": "Included; 7 days before end_time if not given"},
    "end_time": {**TIME, "description": "Not included; now if not given"},
    "project": {**_TEXTS, "description": "Slugs; all that you see if not given"},
    "fields": {**_TEXTS, "description": "Columns, in this order; a fitting choice if not given"},
    "limit": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_ROWS,
        "description": "The first rows in the file's order; without it more rows than this fail",
    },
    "cut_long_cells": {**_FLAG, "description": "xlsx: cut texts that no cell holds, rather than fail"},
}
_WHAT: dict[str, str] = {
    "traces": "One row is one span. Filters by the names of the list of traces, and `filter` as in the search.",
    "metrics": "Metrics, interval, group_by and filters as in `POST /metrics/query`; one row is one bucket and group.",
    "costs": "Costs by interval and group_by; one row is one bucket and group.",
}
_RANGE: dict[str, Any] = {"start_time": "2026-11-01T00:00:00Z", "end_time": "2026-11-08T00:00:00Z"}
_ASKED: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "traces": [
        ("Spans of a model as Parquet", {"format": "parquet", **_RANGE, "model": "gpt-4o"}),
        ("Errors as packed JSON lines", {"format": "jsonl", "compression": "gzip", "status": "error", "limit": 1_000}),
    ],
    "metrics": [
        (
            "Requests and costs by hour and model",
            {
                **_RANGE,
                "metrics": [{"metric": "request_count"}, {"metric": "total_cost"}],
                "interval": "1hour",
                "group_by": ["model"],
            },
        ),
    ],
    "costs": [("Costs by day", {**_RANGE, "interval": "1day", "group_by": ["provider", "model"]})],
}


ACCEPTED = _response(
    obj(job_id=_JOB["job_id"], status=_STATUS, status_url=TEXT, estimate=_ESTIMATE),
    {"job_id": _ID, "status": "pending", "status_url": _SAMPLE["status_url"], "estimate": {"rows": 30}},
    "Accepted; `status_url` tells how far it is.",
)


_KEYS: dict[Kind, tuple[str, ...]] = {"traces": spans.KEYS, "metrics": metrics.KEYS, "costs": costs.KEYS}
_FILTER: Final = "Only these: a value, or a list of values of which one must be it"
_OWN: dict[str, str] = {
    "filter": "A tree of conditions, as in `POST /api/v1/traces/search`",
    "filters": "As in `POST /api/v1/metrics/query`",
    "fill": "What buckets without data become: `none` (default), `zero` or `null`",
    "group_by": "Dimensions: a row for each value",
    "has_error": "true or false",
    "include_percentiles": "Percentiles of duration and ttft too",
    "interval": "The width of a row's bucket",
    "match": "`spans` (default): the filters hold for the span. `traces`: for its trace",
    "metrics": "As in `POST /api/v1/metrics/query`",
    "search": "Words in the input or output",
    "timezone": "IANA name of the zone whose days, weeks and months are meant; UTC if not given",
    **{
        f"{edge}_{name}": f"{word} {what}"
        for edge, word in (("min", "At least this"), ("max", "At most this"))
        for name, what in (("duration_ms", "many milliseconds"), ("cost", "many dollars"), ("tokens", "many tokens"))
    },
}


def creating(kind: Kind) -> dict[str, Any]:
    """`POST /api/v1/export/{kind}`."""
    own = {name: {"description": _OWN.get(name, _FILTER)} for name in _KEYS[kind]}
    body = {"type": "object", "properties": {**_SHARED, **own}, "additionalProperties": False}
    return {
        "operation_id": f"export_{kind}",
        "summary": f"Export {kind}",
        "description": f"{_WHAT[kind]} Answers at once; a worker makes the file. docs/exports.md has every field.",
        "tags": TAGS,
        "request": {"application/json": body},
        "examples": [OpenApiExample(name, value, request_only=True) for name, value in _ASKED[kind]],
        "responses": {202: ACCEPTED},
        "extensions": {"x-errors": [404]},
    }


LIST: dict[str, Any] = {
    "operation_id": "export_jobs_list",
    "summary": "Exports, the newest first",
    "tags": TAGS,
    "parameters": [
        query("status", f"One or several, separated by commas, of {', '.join(ExportJob.Status.values)}"),
        query("kind", f"One or several, separated by commas, of {', '.join(KINDS)}"),
        query("schedule_id", "What this schedule has made", type=OpenApiTypes.INT),
        *paging.PARAMETERS,
        fields.PARAMETER,
    ],
    "responses": {
        200: _response(
            obj(data=array(obj(**_JOB)), pagination=PAGE),
            {"data": [_SAMPLE], "pagination": {"limit": 50, "next_cursor": None, "has_more": False}},
        )
    },
    "extensions": {"x-errors": [400]},
}
ONE: dict[str, Any] = {
    "operation_id": "export_jobs_read",
    "summary": "One export: how far it is, what came out",
    "tags": TAGS,
    "parameters": [fields.PARAMETER],
    "responses": {
        200: _response(
            obj(**_JOB, meta=META),
            {
                **_SAMPLE,
                "meta": {
                    "request_id": "req_0123456789abcdef01234567",
                    "cached": False,
                    "computed_at": "2026-11-05T10:00:05Z",
                },
            },
        ),
        **UNTOUCHED,
    },
    "extensions": {"x-errors": [400, 404]},
}
_NOTHING = ("row_count", "file_size_bytes", "sha256", "file_name", "content_type", "manifest", "expires_at")
_CANCELLED: dict[str, Any] = {
    **_SAMPLE,
    **dict.fromkeys((*_NOTHING, "manifest_url", "download_url")),
    **{"status": "cancelled", "progress_percent": 41.9, "rows_done": 13, "cancel_requested": True},
}
CANCEL: dict[str, Any] = {
    "operation_id": "export_jobs_cancel",
    "summary": "Cancel an export",
    "description": "Whoever works on it stops within seconds. 409 where it is over.",
    "tags": TAGS,
    "responses": {200: _response(obj(**_JOB), _CANCELLED)},
    "extensions": {"x-errors": [400, 404, 409]},
}
MANIFEST: dict[str, Any] = {
    "operation_id": "export_jobs_manifest",
    "summary": "What the file holds, and the proof of it",
    "description": "docs/exports.md tells what is in it. It stays when the file has expired.",
    "tags": TAGS,
    "responses": {
        200: _response(
            {"type": "object", "additionalProperties": True},
            {"schema_version": 1, "job_id": _ID, "kind": "costs", "rows": 31, "truncated": False},
        )
    },
    "extensions": {"x-errors": [400, 404, 409]},
}
_BYTES: dict[tuple[int, str], Any] = {
    (status, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY, description=text)
    for status, text in ((200, "The file, with its own content type"), (206, "The bytes that Range asks for"))
}


def _header(name: str, description: str) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, description=description)


_FILE: dict[str, Any] = {
    "tags": TAGS,
    "parameters": [
        _header("Range", "`bytes=0-1023`, `bytes=-500`; of several ranges the whole file is answered"),
        _header("If-Range", "The ETag of the file that the range is of: another one is answered whole"),
        _header("If-None-Match", "ETags of copies that are there already"),
    ],
    "responses": {**_BYTES, 304: UNTOUCHED[304]},
    "extensions": {"x-errors": [400, 404, 409, 412, 416]},
}
DOWNLOAD: dict[str, Any] = {
    "operation_id": "export_jobs_download",
    "summary": "The file of a finished export",
    "description": "Its ETag is its sha256. A packed file comes as it is, without a Content-Encoding. 503 while the "
    "server sends as many files as it can.",
    **_FILE,
}
FILE: dict[str, Any] = {
    "operation_id": "export_file",
    "summary": "The same by a signed link",
    "description": "`download_url` of a job. It needs no token, and opens what the rights of whoever asked for it "
    "allow at that moment.",
    **_FILE,
    "auth": [],
    "extensions": {"x-errors": [400, 403, 404, 409, 412, 416, 429]},
}
