"""What the OpenAPI document says of the report on conversations."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from apps.common.reads import fields
from apps.common.reads.schemas import COUNT, META, NUMBER, RANGE, TEXT, TIME, UNTOUCHED, array, nullable, obj, query
from apps.metrics.api.samples import META as META_SAMPLE
from apps.metrics.buckets import INTERVALS
from apps.metrics.reports.conversations import CHANGES

_PERIOD = obj(
    start_time=TIME,
    end_time=TIME,
    conversations=COUNT,
    turns=obj(total=COUNT, avg=NUMBER, p50=NUMBER, p95=NUMBER, max=NUMBER),
    duration_ms=obj(avg=NUMBER, p50=NUMBER, p95=NUMBER),
    cost_usd=obj(total=NUMBER, avg=NUMBER, p50=NUMBER, p95=NUMBER, sample_size=COUNT),
    tokens=obj(total=NUMBER, avg=NUMBER, sample_size=COUNT),
    errors=obj(conversations=COUNT, rate=NUMBER, turn_rate=NUMBER),
    resolution=obj(rate=NUMBER, resolved=COUNT, sample_size=COUNT),
    abandonment=obj(rate=NUMBER, abandoned=COUNT, sample_size=COUNT, pending=COUNT),
)


def _period(day: int, count: int) -> dict[str, Any]:
    return {
        "start_time": f"2026-11-{day:02}T00:00:00Z",
        "end_time": f"2026-11-{day + 1:02}T00:00:00Z",
        "conversations": count,
        "turns": {"total": count * 3, "avg": 3.0, "p50": 2, "p95": 9, "max": 41},
        "duration_ms": {"avg": 412300.5, "p50": 180412.3, "p95": 1604210.8},
        "cost_usd": {"total": count * 0.02, "avg": 0.02, "p50": 0.011, "p95": 0.074, "sample_size": count},
        "tokens": {"total": count * 4000, "avg": 4000.0, "sample_size": count},
        "errors": {"conversations": 12, "rate": 0.04, "turn_rate": 0.015},
        "resolution": {"rate": 0.82, "resolved": 82, "sample_size": 100},
        "abandonment": {"rate": 0.02, "abandoned": 6, "sample_size": 300, "pending": 0},
    }


_SAMPLE: dict[str, Any] = {
    "metadata": {
        "start_time": "2026-11-05T00:00:00Z",
        "end_time": "2026-11-06T00:00:00Z",
        "interval": "1day",
        "timezone": "UTC",
        "as_of": "2026-11-06T09:30:00Z",
        "percentile_error": 0.01,
        "query_ms": 14.2,
    },
    "current_period": _period(5, 300),
    "previous_period": _period(4, 250),
    "changes": {name: 20.0 if name.startswith("conversations") else 0.0 for name in CHANGES},
    "turns_distribution": [
        {"from": 1, "to": 1, "conversations": 120, "share": 0.4},
        {"from": 2, "to": 2, "conversations": 180, "share": 0.6},
    ],
    "series": [
        {
            "timestamp": "2026-11-05T00:00:00Z",
            "conversations": 300,
            "turns_avg": 3.0,
            "duration_avg_ms": 412300.5,
            "cost_usd": 6.0,
            "resolution_rate": 0.82,
            "abandonment_rate": 0.02,
        }
    ],
    "meta": META_SAMPLE,
}
REPORT: dict[str, Any] = {
    "operation_id": "metrics_conversations",
    "summary": "Conversations: turns, length, cost, resolution, abandonment",
    "description": "Of the conversations that began in the range (7 days if none is given), beside the range of equal "
    "length before it. A turn is one trace of a session. Resolved: by the latest boolean score `resolved`, among those "
    "that have one. Abandoned: the last turn ended in error and none followed within 30 minutes; a conversation whose "
    "last turn ended less than 30 minutes ago is pending and in neither. Every figure: docs/conversations.md.",
    "tags": ["metrics"],
    "parameters": [
        *RANGE,
        query("user_id", "Only these users: the user of the first turn that has one"),
        query("environment", "Only these environments: that of the first turn that has one"),
        query("interval", "Of the series; granularity is another name", enum=INTERVALS, default="1day"),
        query("granularity", "Another name for interval", enum=INTERVALS),
        query("timezone", "IANA name of the zone whose clock the series follows", default="UTC"),
        query("compare_previous_period", "false leaves the previous period out", type=OpenApiTypes.BOOL),
        fields.PARAMETER,
    ],
    "responses": {
        200: OpenApiResponse(
            obj(
                metadata=obj(
                    start_time=TIME,
                    end_time=TIME,
                    interval={"type": "string", "enum": list(INTERVALS)},
                    timezone=TEXT,
                    as_of={**TIME, "description": "The moment up to which a last turn could be followed"},
                    percentile_error={"type": "number"},
                    query_ms={"type": "number"},
                ),
                current_period=_PERIOD,
                previous_period=nullable(_PERIOD),
                changes=nullable(obj(**dict.fromkeys(CHANGES, NUMBER))),
                turns_distribution=array(
                    {
                        "type": "object",
                        "properties": {
                            "from": COUNT,
                            "to": {**NUMBER, "description": "null: no end"},
                            "conversations": COUNT,
                            "share": NUMBER,
                        },
                        "required": ["from", "to", "conversations", "share"],
                    }
                ),
                series=array(
                    obj(
                        timestamp=TIME,
                        conversations=COUNT,
                        turns_avg=NUMBER,
                        duration_avg_ms=NUMBER,
                        cost_usd=NUMBER,
                        resolution_rate=NUMBER,
                        abandonment_rate=NUMBER,
                    )
                ),
                meta=META,
            ),
            examples=[OpenApiExample("conversations", _SAMPLE)],
        ),
        **UNTOUCHED,
    },
}
