"""`/v1/traces` and its neighbours over HTTP: what is answered to what."""

from __future__ import annotations

import gzip
import json
import os
import time
import zlib
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from django.conf import settings
from django.test import Client
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from apps.ingest import otlp_http, service
from apps.ingest.models import DeadLetter
from apps.orgs.services import api_key_create, project_create
from apps.traces.writer import WriteUnavailable
from tests.ingest.build import json_request, json_span, to_protobuf
from tests.ingest.world import JSON, PROTOBUF, Sender, stored


def recent(**fields: Any) -> dict[str, Any]:
    now = time.time_ns()
    return json_span(
        {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 10},
        startTimeUnixNano=str(now),
        endTimeUnixNano=str(now + 10**9),
        **fields,
    )


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Lets a test lower a limit of settings.HUB."""
    monkeypatch.setattr(settings, "HUB", settings.HUB.model_copy())
    yield monkeypatch


def status_of(body: bytes) -> tuple[int, str]:
    """google.rpc.Status from protobuf, read by hand: a code below 128 and a message."""
    assert body[0] == 0x08
    code = body[1]
    assert body[2] == 0x12
    length, place, shift = 0, 3, 0
    while True:
        length |= (body[place] & 0x7F) << shift
        shift += 7
        place += 1
        if not body[place - 1] & 0x80:
            break
    text = body[place:]
    assert len(text) == length
    return code, text.decode()


@pytest.mark.parametrize("path", ["/v1/traces", "/api/v1/private/otel/v1/traces"])
def test_full_success_is_empty(acme: Sender, path: str) -> None:
    request = json_request([recent()])
    answer = acme.post(request, path)
    assert (answer.status_code, answer.content, answer["Content-Type"]) == (200, b"{}", JSON)
    answer = acme.post(to_protobuf(request), path, content_type=PROTOBUF)
    assert (answer.status_code, answer.content, answer["Content-Type"]) == (200, b"", PROTOBUF)
    assert len(stored()) == 1


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
def test_an_empty_request_is_200(acme: Sender, content_type: str) -> None:
    assert acme.post(b"", content_type=content_type).status_code == 200
    empty = b"{}" if content_type == JSON else to_protobuf({})
    assert acme.post(empty, content_type=content_type).status_code == 200


def test_an_unpriced_model_is_a_warning(acme: Sender) -> None:
    now = time.time_ns()
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "no-such-model",
        "gen_ai.usage.input_tokens": 1,
    }
    span = json_span(attributes, startTimeUnixNano=str(now), endTimeUnixNano=str(now))
    partial = orjson.loads(acme.post(json_request([span])).content)["partialSuccess"]
    assert partial["rejectedSpans"] == "0"
    assert "no-such-model" in partial["errorMessage"]
    [row] = stored()
    assert row["total_cost"] is None
    assert row["unpriced_reason"]


def test_one_bad_span_among_many_good_ones(acme: Sender) -> None:
    spans = [recent(spanId=f"{number:016x}") for number in range(1, 512)]
    spans.insert(100, recent(traceId="nothex"))
    partial = orjson.loads(acme.post(json_request(spans)).content)["partialSuccess"]
    assert partial["rejectedSpans"] == "1"
    assert "traceId" in partial["errorMessage"]
    assert "span 100" in partial["errorMessage"]
    assert len(stored()) == 511
    letter = DeadLetter.objects.get()
    assert (letter.reason, letter.trace_id) == ("invalid_trace_id", "nothex")


@pytest.mark.parametrize("window", [zlib.MAX_WBITS, -zlib.MAX_WBITS, 16 + zlib.MAX_WBITS])
def test_compressed_bodies(acme: Sender, window: int) -> None:
    packer = zlib.compressobj(wbits=window)
    body = packer.compress(orjson.dumps(json_request([recent()]))) + packer.flush()
    encoding = "gzip" if window > zlib.MAX_WBITS else "deflate"
    assert acme.post(body, headers={"Content-Encoding": encoding}).status_code == 200
    assert len(stored()) == 1


def test_gzip_of_several_members(acme: Sender) -> None:
    body = orjson.dumps(json_request([recent()]))
    packed = gzip.compress(body[:50]) + gzip.compress(body[50:])
    assert acme.post(packed, headers={"Content-Encoding": "gzip"}).status_code == 200
    assert len(stored()) == 1


GZIPPED = gzip.compress(b"{}" * 100, mtime=0)  # the same bytes in every process of the run
BAD_BODIES: list[tuple[bytes, dict[str, str], int]] = [
    (b"not json", {}, 400),
    (b"\xff\xfe", {}, 400),
    (b"[" * 100_000, {}, 400),
    (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, {}, 400),
    (b"[]", {}, 400),
    (b'{"resourceSpans":5}', {}, 400),
    (b'{"resourceSpans":[5]}', {}, 400),
    (b'{"resourceSpans":[{"scopeSpans":{}}]}', {}, 400),
    (b'{"resourceSpans":[{"resource":{"attributes":5}}]}', {}, 400),
    (b"9" * 5_000, {}, 400),
    (GZIPPED[:-10], {"Content-Encoding": "gzip"}, 400),
    (b"\x1f\x8b broken", {"Content-Encoding": "gzip"}, 400),
    (b"broken", {"Content-Encoding": "deflate"}, 400),
    (b"{}", {"Content-Encoding": "br"}, 415),
]


@pytest.mark.parametrize(("body", "headers", "status"), BAD_BODIES)
def test_bad_json_bodies(acme: Sender, body: bytes, headers: dict[str, str], status: int) -> None:
    answer = acme.post(body, headers=headers)
    assert answer.status_code == status
    assert answer["Content-Type"] == JSON
    assert set(orjson.loads(answer.content)) == {"code", "message"}


def test_truncated_protobuf(acme: Sender) -> None:
    body = to_protobuf(json_request([recent()]))
    answer = acme.post(body[:-3], content_type=PROTOBUF)
    assert (answer.status_code, answer["Content-Type"]) == (400, PROTOBUF)
    code, message = status_of(answer.content)
    assert code == 3
    assert "protobuf" in message
    assert stored() == []


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", ""])
def test_unknown_media_types_are_415_as_json(acme: Sender, content_type: str) -> None:
    answer = acme.post(b"{}", content_type=content_type)
    assert (answer.status_code, answer["Content-Type"]) == (415, JSON)
    assert orjson.loads(answer.content)["code"] == 3


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
def test_too_large_is_413(acme: Sender, limits: pytest.MonkeyPatch, content_type: str) -> None:
    limits.setattr(settings.HUB, "ingest_max_body_bytes", 1_000)
    assert acme.post(b" " * 1_001, content_type=content_type).status_code == 413
    bomb = gzip.compress(b" " * 50_000)
    assert len(bomb) < 1_000
    assert acme.post(bomb, content_type=content_type, headers={"Content-Encoding": "gzip"}).status_code == 413


def test_members_may_lie_anywhere_but_not_be_without_number() -> None:
    from apps.ingest.body import BodyError, inflate

    texts = [bytes([number % 251]) * (number * 37 % 5_000) for number in range(400)]
    packed = b"".join(gzip.compress(text, number % 10) for number, text in enumerate([*texts, os.urandom(200_000)]))
    assert inflate(packed, 31, 10_000_000)[: sum(map(len, texts))] == b"".join(texts)
    empty = gzip.compress(b"")
    assert inflate(empty * 10_000, 31, 1_000) == b""
    with pytest.raises(BodyError) as refused:
        inflate(empty * 10_001, 31, 1_000)
    assert refused.value.status == 400


def test_a_bomb_is_not_inflated_beyond_the_limit() -> None:
    from apps.ingest.body import BodyError, inflate

    packer = zlib.compressobj(wbits=31)
    bomb = b"".join([*(packer.compress(b"\0" * 1_000_000) for _ in range(500)), packer.flush()])
    with pytest.raises(BodyError) as caught:
        inflate(bomb, 31, 1_000)
    assert caught.value.status == 413


def test_too_many_spans_are_413_as_a_whole(acme: Sender, limits: pytest.MonkeyPatch) -> None:
    limits.setattr(settings.HUB, "ingest_max_spans", 2)
    spans = [recent(spanId=f"{number:016x}") for number in (1, 2, 3)]
    assert acme.post(json_request(spans)).status_code == 413
    assert stored() == []
    assert acme.post(json_request(spans[:2])).status_code == 200


@pytest.mark.parametrize(("headers", "status", "code"), [({}, 401, 16), ({"X-API-Key": "ah_nope"}, 401, 16)])
@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
def test_without_a_good_key(db: None, headers: dict[str, str], status: int, code: int, content_type: str) -> None:
    answer = Client().post("/v1/traces", b"{}", content_type=content_type, headers=headers)
    assert (answer.status_code, answer["Content-Type"]) == (status, content_type)
    assert answer["WWW-Authenticate"].startswith("Bearer")
    found = orjson.loads(answer.content)["code"] if content_type == JSON else status_of(answer.content)[0]
    assert found == code


def test_a_key_that_may_not_write_is_403(acme: Sender) -> None:
    _, acme.key = api_key_create(organization=acme.organization, role="viewer")
    answer = acme.post(json_request([recent()]))
    assert answer.status_code == 403
    assert "traces:write" in orjson.loads(answer.content)["message"]
    assert stored() == []


def test_other_methods_are_405(acme: Sender) -> None:
    answer = Client().get("/v1/traces")
    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert orjson.loads(answer.content)["code"] == 12


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
def test_an_absent_database_is_503_to_be_sent_again(
    acme: Sender, monkeypatch: pytest.MonkeyPatch, content_type: str
) -> None:
    def unavailable(rows: Any) -> None:
        raise WriteUnavailable("the database is away", retry_after=7)

    monkeypatch.setattr(service, "write", unavailable)
    request = json_request([recent()])
    body = orjson.dumps(request) if content_type == JSON else to_protobuf(request)
    answer = acme.post(body, content_type=content_type)
    assert (answer.status_code, answer["Retry-After"], answer["Content-Type"]) == (503, "7", content_type)
    assert DeadLetter.objects.count() == 0


def test_an_unexpected_failure_says_nothing_of_itself(acme: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(otlp_http, "ingest", broken)
    answer = acme.post(json_request([recent()]))
    assert answer.status_code == 500
    assert b"secret" not in answer.content
    assert orjson.loads(answer.content)["code"] == 13


@pytest.mark.parametrize(
    ("path", "answer_type"),
    [("/v1/metrics", ExportMetricsServiceResponse), ("/v1/logs", ExportLogsServiceResponse)],
)
def test_metrics_and_logs_are_answered_and_not_stored(acme: Sender, path: str, answer_type: Any) -> None:
    answer = acme.post(b"{}", path)
    assert answer.status_code == 200
    assert "not stored" in orjson.loads(answer.content)["partialSuccess"]["errorMessage"]
    answer = acme.post(b"", path, content_type=PROTOBUF)
    assert answer["Content-Type"] == PROTOBUF
    assert "not stored" in answer_type.FromString(answer.content).partial_success.error_message
    assert Client().post(path, b"{}", content_type=JSON).status_code == 401


def test_spans_go_to_the_project_of_the_key_header_or_resource(acme: Sender) -> None:
    other = project_create(organization=acme.organization, slug="other")

    def landed(resource: dict[str, Any], span_id: str, **headers: str) -> int:
        answer = acme.post(json_request([recent(spanId=span_id)], resource), headers=headers)
        assert answer.status_code == 200, answer.content
        return next(int(row["project_id"]) for row in stored() if row["span_id"] == span_id)

    assert landed({}, "1" * 16, **{"X-Project": "other"}) == acme.project.pk  # a project's key decides alone
    _, acme.key = api_key_create(organization=acme.organization, role="developer")
    assert landed({}, "2" * 16) == acme.project.pk
    assert landed({}, "3" * 16, **{"x-project-name": "other"}) == other.pk
    assert landed({"openinference.project.name": "other"}, "4" * 16) == other.pk
    answer = acme.post(json_request([recent(spanId="5" * 16)]), headers={"X-Project": "missing"})
    assert answer.status_code == 404
    for broken in ("a\x00b", "\ud800", "My Project"):  # refused for good: a 503 would be sent again without end
        resource = {"openinference.project.name": broken}
        body = json.dumps(json_request([recent(spanId="6" * 16)], resource)).encode()
        assert acme.post(body).status_code == 404, broken
    assert len(stored()) == 4


def test_nul_and_surrogates_reach_the_database_mended(acme: Sender) -> None:
    span = recent(name="n\x00")
    span["attributes"] += [
        {"key": key, "value": {"stringValue": "MARK"}} for key in ("input.value", "k\x00", "user.id")
    ]
    span["events"] = [{"name": "e", "attributes": [{"key": "t", "value": {"stringValue": "MARK"}}]}]
    answer = acme.post(orjson.dumps(json_request([span])).replace(b"MARK", b"\\ud800\\u0000"))
    assert (answer.status_code, answer.content) == (200, b"{}")
    [row], [content] = stored(), stored("span_content")
    assert (row["name"], row["user_id"], content["input"]) == ("n\ufffd", "\ufffd\ufffd", "\ufffd\ufffd")
    assert content["events"][0]["attributes"] == {"t": "\ufffd\ufffd"}
