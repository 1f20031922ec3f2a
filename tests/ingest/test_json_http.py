"""`POST /api/v1/traces`: plain JSON spans."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from django.conf import settings
from django.test import Client

from apps.ingest.attribute_map import HUB_FIELDS
from apps.ingest.models import DeadLetter
from apps.ingest.native import FIELDS, decode_span, moment
from tests.ingest.world import JSON, Sender, stored

PATH = "/api/v1/traces"


def now() -> str:
    return datetime.now(UTC).isoformat()


def span(**fields: Any) -> dict[str, Any]:
    return {"trace_id": "t1", "span_id": "s1", "start_time": now(), "duration_ms": 1500, **fields}


def every_field(start: datetime) -> dict[str, Any]:
    """A span with every field but the duration, and one that is not ours."""
    return {
        "trace_id": "5B8EFFF798038103D269B633813FC60C",
        "span_id": "EEE19B7EC3C1B174",
        "parent_span_id": "my parent",
        "name": "chat",
        "kind": "llm",
        "start_time": start.isoformat(),
        "end_time": (start + timedelta(milliseconds=1500.25)).isoformat(),
        "status": "error",
        "status_message": "boom",
        "provider": "OpenAI",
        "model": "gpt-4o-2024-08-06",
        "request_model": "gpt-4o",
        "prompt_tokens": 1_000,
        "completion_tokens": 100,
        "total_tokens": 1_100,
        "cached_tokens": 50,
        "cache_write_tokens": 5,
        "reasoning_tokens": 7,
        "usage": {"web_search_queries": 2},
        "cost_usd": 0.5,
        "prompt_cost_usd": 0.2,
        "completion_cost_usd": 0.3,
        "user_id": "ada",
        "session_id": "s",
        "environment": "Prod",
        "tags": ["x", "team:search"],
        "error_type": "Boom",
        "error_message": "other",
        "ttft_ms": 320.5,
        "finish_reason": "stop",
        "service_tier": "default",
        "stream": True,
        "agent_name": "a",
        "tool_name": "t",
        "prompt_name": "p",
        "prompt_version": "3",
        "release": "r1",
        "input": [{"role": "user", "content": "hi"}],
        "output": "hello",
        "attributes": {"own": 1},
        "events": [{"name": "e", "time": start.isoformat(), "attributes": {"k": 1}}],
        "resource": {"service.name": "svc"},
        "unknown_field": {"kept": True},
    }


def test_one_span_with_every_field(acme: Sender) -> None:
    start = datetime.now(UTC).replace(microsecond=250_000)
    sent = every_field(start)
    assert set(sent) == FIELDS - {"duration_ms"} | {"unknown_field"}
    answer = acme.post(sent, PATH)
    assert (answer.status_code, orjson.loads(answer.content)) == (200, {"accepted": 1, "rejected": [], "warnings": []})
    [row], [content] = stored(), stored("span_content")
    expected = {
        "trace_id": "5b8efff798038103d269b633813fc60c",
        "span_id": "eee19b7ec3c1b174",
        "parent_span_id": "my parent",
        "name": "chat",
        "kind": "llm",
        "billable": True,
        "start_time": start,
        "duration_us": 1_500_250,
        "status": "error",
        "error_message": "boom",
        "error_type": "Boom",
        "provider": "openai",
        "model": "gpt-4o-2024-08-06",
        "request_model": "gpt-4o",
        "prompt_tokens": 1_000,
        "completion_tokens": 100,
        "total_tokens": 1_100,
        "cached_tokens": 50,
        "cache_write_tokens": 5,
        "reasoning_tokens": 7,
        "usage": {"web_search_queries": 2},
        "client_cost": 500_000_000_000,
        "prompt_cost": 200_000_000_000,
        "completion_cost": 300_000_000_000,
        "user_id": "ada",
        "session_id": "s",
        "environment": "prod",
        "team": "search",
        "tags": ["x", "team:search"],
        "ttft_us": 320_500,
    }
    assert {name: row[name] for name in expected} == expected
    assert orjson.loads(content["input"]) == sent["input"]
    assert content["output"] == "hello"
    assert content["attributes"]["span"] == {"own": 1, "unknown_field": {"kept": True}}
    assert row["labels"]["release"] == "r1"
    assert row["labels"]["finish_reasons"] == ["stop"]


def test_bad_spans_are_listed_and_the_others_kept(acme: Sender) -> None:
    spans = [
        span(span_id="a"),
        5,
        span(trace_id=7),
        span(start_time="1970-01-02T00:00:00Z", end_time="1970-01-02T00:00:01Z"),
        span(start_time="nope", duration_ms=None),
        span(status="great"),
        span(attributes=[]),
        span(span_id="x" * 257),
        span(span_id="b"),
    ]
    answer = acme.post({"spans": spans}, PATH)
    body = orjson.loads(answer.content)
    assert (answer.status_code, body["accepted"]) == (200, 2)
    assert [(item["index"], item["reason"]) for item in body["rejected"]] == [
        (1, "malformed"),
        (2, "invalid_trace_id"),
        (3, "older_than_retention"),
        (4, "missing_timestamp"),
        (5, "malformed"),
        (6, "malformed"),
        (7, "invalid_span_id"),
    ]
    assert "start_time" in body["rejected"][3]["message"]
    assert DeadLetter.objects.filter(source="json").count() == 7


def test_missing_ids_are_made_from_the_content(acme: Sender) -> None:
    bare = {"name": "n", "start_time": now(), "model": "gpt-4o"}
    for _ in range(2):
        assert acme.post({"spans": [bare, bare, {**bare, "name": "m"}]}, PATH).status_code == 200
    rows = stored()
    assert len(rows) == 3
    assert all(len(row["trace_id"]) == 32 and len(row["span_id"]) == 16 for row in rows)
    acme.post({"spans": [{**bare, "trace_id": "mine"}]}, PATH)
    assert "mine" in {row["trace_id"] for row in stored()}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"not json", 400, 1200),
        (b"[]", 400, 1200),
        (b"5", 400, 1200),
        (b"", 400, 1200),
        (b'{"spans": 5}', 400, 1203),
    ],
)
def test_bad_bodies_get_the_envelope(acme: Sender, body: bytes, status: int, code: int) -> None:
    answer = acme.post(body, PATH)
    assert answer.status_code == status
    assert orjson.loads(answer.content)["error"]["code"] == code


def test_other_refusals_get_the_envelope(acme: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    assert acme.post(b"{}", PATH, content_type="text/plain").status_code == 415
    assert Client().post(PATH, b"{}", content_type=JSON).status_code == 401
    unknown = acme.post({"spans": []}, PATH + "?projct=x")
    assert (unknown.status_code, orjson.loads(unknown.content)["error"]["code"]) == (400, 1202)
    monkeypatch.setattr(settings, "HUB", settings.HUB.model_copy(update={"ingest_max_spans": 1}))
    many = acme.post({"spans": [span(), span()]}, PATH)
    assert (many.status_code, orjson.loads(many.content)["error"]["code"]) == (400, 1205)
    monkeypatch.setattr(settings, "HUB", settings.HUB.model_copy(update={"ingest_max_body_bytes": 1_000}))
    assert acme.post(b" " * 1_001, PATH).status_code == 413
    assert acme.post({"spans": []}, PATH).status_code == 200


def test_lone_surrogates_and_nan_are_mended(acme: Sender) -> None:
    body = orjson.dumps(span(input="MARK", prompt_tokens=1.5)).replace(b"MARK", b"\\ud800").replace(b"1.5", b"NaN")
    assert acme.post(body, PATH).status_code == 200
    assert stored("span_content")[0]["input"] == "\ufffd"
    assert stored()[0]["prompt_tokens"] is None


MOMENT = 1_767_225_600
NO_TIMES: list[Any] = [None, "", "soon", "0001-01-01T00:00:00Z", True, -5, 0, math.nan, math.inf, 10**40, [], {}]
TIMES: list[tuple[Any, int]] = [
    ("2026-01-01T00:00:00Z", MOMENT * 10**9),
    ("2026-01-01T01:00:00.000001+01:00", MOMENT * 10**9 + 1_000),
    ("2026-01-01T00:00:00", MOMENT * 10**9),
    ("2026-01-01", MOMENT * 10**9),
    (MOMENT, MOMENT * 10**9),
    (MOMENT + 0.5, MOMENT * 10**9 + 5 * 10**8),
    (str(MOMENT), MOMENT * 10**9),
    (MOMENT * 1_000, MOMENT * 10**9),
    (MOMENT * 1_000_000 + 1, MOMENT * 10**9 + 1_000),
    (MOMENT * 10**9 + 1, MOMENT * 10**9 + 1),
    *((bad, 0) for bad in NO_TIMES),
]


@pytest.mark.parametrize(("given", "expected"), TIMES)
def test_moments(given: Any, expected: int) -> None:
    assert moment(given) == expected


@pytest.mark.parametrize(
    ("fields", "start", "end"),
    [
        ({"start_time": MOMENT, "duration_ms": 1.5}, 0, 1_500_000),
        ({"end_time": MOMENT, "duration_ms": 1.5}, -1_500_000, 0),
        ({"start_time": MOMENT, "duration_ms": "2"}, 0, 2_000_000),
        ({"start_time": MOMENT, "duration_ms": -2}, 0, None),
        ({"start_time": MOMENT, "duration_ms": "x"}, 0, None),
        ({"start_time": MOMENT, "end_time": MOMENT + 1, "duration_ms": 5}, 0, 10**9),
    ],
)
def test_durations(fields: dict[str, Any], start: int, end: int | None) -> None:
    raw = decode_span(fields, 0)
    assert raw.start_ns == MOMENT * 10**9 + start
    assert raw.end_ns == (0 if end is None else MOMENT * 10**9 + end)


@pytest.mark.parametrize("start", ["1970-01-01", "1969-07-20T20:17:40Z"])
def test_a_date_at_or_before_the_epoch_is_too_old_and_not_missing(acme: Sender, start: str) -> None:
    answer = orjson.loads(acme.post({"start_time": start, "duration_ms": 1}, PATH).content)
    assert [item["reason"] for item in answer["rejected"]] == ["older_than_retention"]


def test_every_own_field_is_a_column_of_the_map() -> None:
    raw = decode_span(dict.fromkeys(HUB_FIELDS, "x"), 0)
    assert set(raw.attributes) == {f"hub.{field}" for field in HUB_FIELDS}
