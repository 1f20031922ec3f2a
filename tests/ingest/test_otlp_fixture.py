"""The fixture that the wire format's description gives, with its expected results."""

from __future__ import annotations

import gzip
from datetime import timedelta
from typing import Any

import orjson
import pytest
import time_machine
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.ingest.build import to_protobuf
from tests.ingest.world import JSON, PROTOBUF, Sender, stored

MOMENT = "2025-05-22T00:00:10+00:00"
REQUEST = b"""{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"bot"}},
 {"key":"deployment.environment.name","value":{"stringValue":"Production"}}]},
 "scopeSpans":[{"scope":{"name":"t"},"spans":[
 {"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","name":"chat claude","kind":3,
  "startTimeUnixNano":"1747872000000000000","endTimeUnixNano":1747872001500000000,
  "attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}},
  {"key":"gen_ai.provider.name","value":{"stringValue":"anthropic"}},
  {"key":"gen_ai.request.model","value":{"stringValue":"claude-sonnet-4-5"}},
  {"key":"gen_ai.usage.input_tokens","value":{"intValue":"130213"}},
  {"key":"gen_ai.usage.cache_read.input_tokens","value":{"intValue":"128955"}},
  {"key":"gen_ai.usage.cache_creation.input_tokens","value":{"intValue":1253}},
  {"key":"gen_ai.usage.output_tokens","value":{"intValue":"200"}},
  {"key":"gen_ai.response.time_to_first_chunk","value":{"doubleValue":0.42}},
  {"key":"gen_ai.response.finish_reasons","value":{"arrayValue":{"values":[{"stringValue":"stop"}]}}},
  {"key":"novalue"}],"status":{},"futureField":1},
 {"traceId":"xyz","spanId":"EEE19B7EC3C1B175","name":"bad"}]}]}]}"""


def expected(row: dict[str, Any]) -> None:
    assert row["trace_id"] == "5b8efff798038103d269b633813fc60c"
    assert row["prompt_tokens"] == 130213
    assert row["prompt_tokens"] - row["cached_tokens"] - row["cache_write_tokens"] == 5
    assert row["completion_tokens"] == 200
    assert row["ttft_us"] == 420_000
    assert row["duration_us"] == 1_500_000
    assert row["environment"] == "production"
    assert row["status"] == "unset"
    assert row["kind"] == "llm"
    assert row["billable"]


@time_machine.travel(MOMENT, tick=False)
def test_json(acme: Sender) -> None:
    answer = acme.post(REQUEST)
    assert answer.status_code == 200
    partial = orjson.loads(answer.content)["partialSuccess"]
    assert partial["rejectedSpans"] == "1"
    assert "traceId" in partial["errorMessage"]
    rows = stored()
    assert len(rows) == 1
    expected(rows[0])


@time_machine.travel(MOMENT, tick=False)
def test_sent_again_changes_nothing(acme: Sender) -> None:
    acme.post(REQUEST)
    before = stored(), stored("span_content")
    acme.post(REQUEST)
    assert (stored(), stored("span_content")) == before


@pytest.mark.parametrize("packed", [False, True])
def test_protobuf_gives_the_same_row(acme: Sender, packed: bool) -> None:
    with time_machine.travel(MOMENT, tick=False) as clock:
        acme.post(REQUEST)
        before = stored(), stored("span_content")
        clock.shift(timedelta(seconds=5))
        body = to_protobuf(orjson.loads(REQUEST))
        headers = {"Content-Encoding": "gzip"} if packed else {}
        answer = acme.post(gzip.compress(body) if packed else body, content_type=PROTOBUF, headers=headers)
    assert answer.status_code == 200
    assert answer["Content-Type"] == PROTOBUF
    message = ExportTraceServiceResponse.FromString(answer.content)
    assert message.partial_success.rejected_spans == 1
    assert "traceId" in message.partial_success.error_message
    assert (stored(), stored("span_content")) == before


@time_machine.travel(MOMENT, tick=False)
def test_content_type_parameters_are_ignored(acme: Sender) -> None:
    answer = acme.post(REQUEST, content_type=f"{JSON}; charset=utf-8")
    assert answer.status_code == 200
    assert len(stored()) == 1
