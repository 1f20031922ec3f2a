"""What the OpenAPI document says of schedules."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from apps.common.reads import fields, paging
from apps.common.reads.schemas import COUNT, PAGE, TEXT, TIME, array, names, obj
from apps.exports.api.openapi import ACCEPTED, MAYBE_TEXT, MAYBE_TIME, TAGS
from apps.exports.spec import KINDS
from apps.exports.times import LEAST, PERIODS

_FLAG: dict[str, Any] = {"type": "boolean"}
_SCHEDULE = obj(
    id=COUNT,
    name=TEXT,
    kind={"type": "string", "enum": list(KINDS)},
    cron=TEXT,
    timezone=TEXT,
    period={"type": "string", "enum": list(PERIODS)},
    export={
        "type": ["object", "null"],
        "additionalProperties": True,
        "description": "What is asked for at each run; null without `traces:content` where texts are asked about",
    },
    projects={**array(TEXT), "description": "Slugs, as of the last run"},
    contains_content=_FLAG,
    enabled=_FLAG,
    paused_reason={**MAYBE_TEXT, "description": "Why the hub has switched it off"},
    next_run_at={**MAYBE_TIME, "description": "null while it is switched off"},
    last_run_at=MAYBE_TIME,
    created_by={**TEXT, "description": "Who made it or last changed it: it runs with that caller's rights"},
    created_at=TIME,
    updated_at=TIME,
)
_ASKED: dict[str, Any] = {
    "name": "Costs of the month",
    "kind": "costs",
    "cron": "0 6 1 * *",
    "timezone": "Europe/Berlin",
    "period": "previous_month",
    "export": {"format": "xlsx", "interval": "1day", "group_by": ["provider", "model"]},
}
_SAMPLE: dict[str, Any] = {
    "id": 3,
    **_ASKED,
    "projects": ["default", "web"],
    "contains_content": False,
    "enabled": True,
    "paused_reason": None,
    "next_run_at": "2026-12-01T05:00:00Z",
    "last_run_at": "2026-11-01T05:00:04Z",
    "created_by": "ada@acme.example",
    "created_at": "2026-10-05T10:00:00Z",
    "updated_at": "2026-10-05T10:00:00Z",
}


def _answer(schema: dict[str, Any], example: dict[str, Any]) -> OpenApiResponse:
    return OpenApiResponse(schema, examples=[OpenApiExample("answer", example, response_only=True)])


def _asking(operation: str, summary: str, form: type[Any], example: dict[str, Any], status: int) -> dict[str, Any]:
    return {
        "operation_id": operation,
        "summary": summary,
        "description": f"It runs with the rights of whoever made it or last changed it, at most every "
        f"{LEAST.seconds // 60} minutes.",
        "tags": TAGS,
        "request": form,
        "examples": [OpenApiExample("Such as", example, request_only=True)],
        "responses": {status: _answer(_SCHEDULE, _SAMPLE)},
        "extensions": {"x-errors": [404, 409]},
    }


def creating(form: type[Any]) -> dict[str, Any]:
    return _asking("export_schedules_create", "Make a schedule", form, _ASKED, 201)


def changing(form: type[Any]) -> dict[str, Any]:
    return _asking("export_schedules_update", "Change a schedule", form, {"cron": "30 6 1 * *"}, 200)


LIST: dict[str, Any] = {
    "operation_id": "export_schedules_list",
    "summary": "Schedules of exports",
    "tags": TAGS,
    "parameters": [*paging.PARAMETERS, fields.PARAMETER],
    "responses": {
        200: _answer(
            obj(data=array(_SCHEDULE), pagination=PAGE),
            {"data": [_SAMPLE], "pagination": {"limit": 50, "next_cursor": None, "has_more": False}},
        )
    },
    "extensions": {"x-errors": [400]},
}
ONE: dict[str, Any] = {
    "operation_id": "export_schedules_read",
    "summary": "One schedule",
    "tags": TAGS,
    "parameters": [fields.PARAMETER],
    "responses": {200: _answer(_SCHEDULE, _SAMPLE)},
    "extensions": {"x-errors": [400, 404]},
}
DELETE: dict[str, Any] = {
    "operation_id": "export_schedules_delete",
    "summary": "Delete a schedule",
    "description": "The exports that it made stay until they expire.",
    "tags": TAGS,
    "responses": {204: OpenApiResponse(description="Done.")},
    "extensions": {"x-errors": [400, 404]},
}
RUN: dict[str, Any] = {
    "operation_id": "export_schedules_run",
    "summary": "Export it now",
    "description": "The range is that of a run at this moment, and the export is yours. The next run stays.",
    "tags": TAGS,
    "request": None,
    "responses": {202: ACCEPTED},
    "extensions": {"x-errors": [400, 404]},
}
NAMES = names(ONE)
