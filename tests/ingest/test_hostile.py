"""Bad values inside spans: each has one defined outcome (docs/ingest.md lists them)."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest

from apps.ingest import otlp, otlp_json
from apps.ingest.normalise import normalise
from apps.ingest.raw import RawEvent, RawSpan
from apps.ingest.work import Rules
from apps.traces.columns import Flag, SpanRow
from tests.ingest.build import (
    NOW_NS,
    attributes_of,
    drop_of,
    json_request,
    json_span,
    raw_span,
    row_of,
    rules,
    to_protobuf,
)


def through_json(body: bytes | dict[str, Any], rule: Rules | None = None) -> SpanRow:
    [raw] = otlp_json.decode(body if isinstance(body, bytes) else orjson.dumps(body))
    row = normalise(raw, rule or rules())
    assert isinstance(row, SpanRow), row
    return row


def stored_text(row: SpanRow) -> str:
    parts = [row.name, row.user_id, row.input, row.output, row.error_message]
    encoded = [part.decode() for part in (row.attributes, row.events, row.labels) if part]
    return "\n".join([part for part in parts if part] + encoded)


def test_nul_bytes_are_replaced_everywhere() -> None:
    nul = "a\x00b"
    attributes = {"user.id": nul, "input.value": nul, nul: {"deep": [nul]}, "tag.tags": [nul], "agent.name": nul}
    events = [RawEvent("exception", NOW_NS, {"exception.message": nul})]
    row = row_of(attributes, name=nul, events=events, resource={"host": nul})
    text = stored_text(row)
    assert "\x00" not in text
    assert "\\u0000" not in text
    assert row.user_id == row.input == row.name == row.error_message == "a\ufffdb"
    assert row.tags == ["a\ufffdb"]
    assert row.flags & Flag.TEXT_REPAIRED


def test_an_escaped_backslash_is_no_nul_byte() -> None:
    row = row_of({"k": "\\u0000"})
    assert attributes_of(row)["k"] == "\\u0000"
    assert not row.flags & Flag.TEXT_REPAIRED


@pytest.mark.parametrize("escape", ["\\ud800", "\\udc00", "\\ud800\\ud800"])
def test_lone_surrogates_become_replacement_characters(escape: str) -> None:
    body = orjson.dumps(json_request([json_span({"input.value": "MARK", "k": "MARK"})])).replace(
        b"MARK", escape.encode()
    )
    row = through_json(body)
    assert set(row.input or "") == {"\ufffd"}
    assert set(attributes_of(row)["k"]) == {"\ufffd"}
    assert row.flags & Flag.TEXT_REPAIRED


def test_a_pair_of_surrogates_is_a_character() -> None:
    body = orjson.dumps(json_request([json_span({"input.value": "MARK \x00"})])).replace(b"MARK", b"\\ud83d\\ude00")
    assert (through_json(body).input or "").startswith("\U0001f600")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_dropped(number: float) -> None:
    request = json_request([json_span({"k": number, "gen_ai.usage.cost": number})])
    row = through_json(request)
    assert attributes_of(row)["k"] is None
    assert row.client_cost is None
    assert row.flags & Flag.NUMBER_DROPPED
    [raw] = otlp.decode(to_protobuf(request))
    assert normalise(raw, rules()) == row


def test_bare_nan_in_json_is_read_like_text_nan() -> None:
    body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[%s]}]}]}' % orjson.dumps(json_span({"k": 1.5})).replace(
        b"1.5", b"NaN"
    )
    assert through_json(body).flags & Flag.NUMBER_DROPPED


@pytest.mark.parametrize("bad", [-1, 10**12 + 1, 2**63 - 1, 1.5, -0.5])
def test_absurd_token_counts_are_dropped(bad: float) -> None:
    row = row_of({"gen_ai.usage.input_tokens": bad, "gen_ai.usage.output_tokens": 3})
    assert (row.prompt_tokens, row.completion_tokens, row.total_tokens) == (None, 3, 3)
    assert row.flags & Flag.NUMBER_DROPPED
    assert attributes_of(row)["gen_ai.usage.input_tokens"] == bad


@pytest.mark.parametrize(("given", "kept"), [("12", 12), (12.0, 12), (0, 0), (10**12, 10**12), ("1e3", 1000)])
def test_token_counts_may_be_text_or_whole_floats(given: Any, kept: int) -> None:
    assert row_of({"gen_ai.usage.input_tokens": given}).prompt_tokens == kept


@pytest.mark.parametrize("given", [True, "many", None, [], {}, ""])
def test_what_is_no_number_is_no_token_count(given: Any) -> None:
    row = row_of({"gen_ai.usage.input_tokens": given})
    assert row.prompt_tokens is None
    assert attributes_of(row) == {"gen_ai.usage.input_tokens": given}


@pytest.mark.parametrize("bad", [-0.01, 1_000_000.01, "-1"])
def test_absurd_costs_are_dropped(bad: Any) -> None:
    row = row_of({"gen_ai.usage.cost": bad})
    assert (row.client_cost, row.cost_source) == (None, "none")
    assert row.flags & Flag.NUMBER_DROPPED


@pytest.mark.parametrize("bad", [-1.0, 1e30])
def test_absurd_first_token_times_are_dropped(bad: float) -> None:
    row = row_of({"gen_ai.response.time_to_first_chunk": bad})
    assert row.ttft_us is None
    assert row.flags & Flag.NUMBER_DROPPED


def size_of(row: SpanRow) -> int:
    texts = [part.encode() for part in (row.input, row.output) if part]
    return sum(map(len, texts)) + len(row.attributes or b"") + len(row.events or b"")


BIG = "x" * 10_000_000
WIDE = "\U0001f600" * 400_000


@pytest.mark.parametrize(
    "attributes",
    [
        {"input.value": BIG},
        {"input.value": WIDE, "output.value": WIDE},
        {"unmapped": BIG},
        {"unmapped": [BIG, BIG]},
        {f"key{i}": "y" * 5_000 for i in range(1_000)},
        {"k": {"\\" * 100_000: {"n" * 400_000: [1] * 400_000}}},
        {"input.value": BIG, "output.value": "kept", "unmapped": "kept"},
    ],
)
def test_content_is_cut_at_the_limit(attributes: dict[str, Any]) -> None:
    row = row_of(attributes)
    assert size_of(row) <= 1_000_000
    assert row.flags & Flag.CONTENT_CUT
    orjson.loads(row.attributes or b"{}")


def test_content_within_the_limit_is_not_cut() -> None:
    row = row_of({"input.value": WIDE[:200_000], "unmapped": "z" * 100_000})
    assert len(row.input or "") == 200_000
    assert not row.flags & Flag.CONTENT_CUT


def test_a_short_output_survives_beside_a_huge_input() -> None:
    row = row_of({"input.value": BIG, "output.value": "kept"})
    assert row.output == "kept"
    assert len(row.input or "") > 900_000


def test_many_events_are_cut_at_the_limit() -> None:
    events = [RawEvent("e", NOW_NS, {"t": "x" * 5_000}) for _ in range(1_000)]
    row = row_of(events=events)
    assert size_of(row) <= 1_000_000
    assert row.flags & Flag.CONTENT_CUT


def test_array_slots_are_cut() -> None:
    request = json_request([json_span({"k": ["v"] * 10_001})])
    row = through_json(request)
    assert len(attributes_of(row)["k"]) == 10_000
    assert row.flags & Flag.ATTRIBUTES_CUT
    [raw] = otlp.decode(to_protobuf(request))
    assert normalise(raw, rules()) == row


def test_attributes_are_cut_in_number() -> None:
    row = row_of({f"k{i}": i for i in range(5_000)})
    assert len(attributes_of(row)) == 2_000
    assert row.attribute_count == 5_000
    assert row.flags & Flag.ATTRIBUTES_CUT


def nested(depth: int) -> Any:
    value: Any = "bottom"
    for _ in range(depth):
        value = [value]
    return value


def test_deep_nesting_is_cut() -> None:
    row = through_json(json_request([json_span({"k": nested(60)})]))
    assert b"nested too deep" in (row.attributes or b"")
    assert row.flags & Flag.ATTRIBUTES_CUT
    request = json_request([json_span({"k": nested(40)})])
    [raw] = otlp.decode(to_protobuf(request))
    assert normalise(raw, rules()) == through_json(request)


def test_duplicate_keys_the_last_wins() -> None:
    span = json_span({"user.id": "first"})
    span["attributes"] += [{"key": "user.id", "value": {"stringValue": "last"}}]
    request = json_request([span])
    assert through_json(request).user_id == "last"
    [raw] = otlp.decode(to_protobuf(request))
    assert normalise(raw, rules()) == through_json(request)


def test_dimensions_are_cut_at_256_and_flagged() -> None:
    long = "x" * 257
    attributes = {
        "gen_ai.request.model": long,
        "user.id": long,
        "session.id": long,
        "tag.tags": [long],
        "error.type": long,
    }
    row = row_of(attributes, name=long)
    for value in (row.name, row.model, row.user_id, row.session_id, row.error_type, (row.tags or [""])[0]):
        assert value == "x" * 256
    assert row.flags & Flag.DIMENSION_CUT
    assert not row_of({"user.id": "x" * 256}).flags & Flag.DIMENSION_CUT


def test_tags_are_cut_in_number() -> None:
    assert len(row_of({"tag.tags": [str(i) for i in range(1_000)]}).tags or []) == 100


IDS: list[tuple[str, str, str]] = [
    ("trace_id", "", "invalid_trace_id"),
    ("trace_id", "0" * 32, "invalid_trace_id"),
    ("trace_id", "a" * 31, "invalid_trace_id"),
    ("trace_id", "a" * 34, "invalid_trace_id"),
    ("span_id", "", "invalid_span_id"),
    ("span_id", "0" * 16, "invalid_span_id"),
    ("span_id", "a" * 15, "invalid_span_id"),
    ("parent_span_id", "a" * 8, "invalid_parent_span_id"),
]


@pytest.mark.parametrize(("field", "value", "reason"), IDS)
def test_otlp_ids(field: str, value: str, reason: str) -> None:
    assert drop_of(**{field: value}).reason == reason


@pytest.mark.parametrize("field", ["trace_id", "span_id", "parent_span_id"])
def test_ids_of_other_sources_are_any_text_up_to_256(field: str) -> None:
    assert getattr(row_of(strict_ids=False, **{field: "ü" * 256}), field) == "ü" * 256
    assert drop_of(strict_ids=False, **{field: "x" * 257}).reason == f"invalid_{field}"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"traceId": "g" * 32}, "invalid_trace_id"),
        ({"traceId": 5}, "invalid_trace_id"),
        ({"spanId": None}, "invalid_span_id"),
        ({"spanId": "+" * 16}, "invalid_span_id"),
        ({"parentSpanId": "z" * 16}, "invalid_parent_span_id"),
        ({"attributes": "x"}, "malformed"),
        ({"attributes": [5]}, "malformed"),
        ({"attributes": [{"key": 5}]}, "malformed"),
        ({"attributes": [{"key": "k", "value": 5}]}, "malformed"),
        ({"attributes": [{"key": "k", "value": {"intValue": "x"}}]}, "malformed"),
        ({"attributes": [{"key": "k", "value": {"bytesValue": "*"}}]}, "malformed"),
        ({"events": 5}, "malformed"),
        ({"events": [5]}, "malformed"),
        ({"status": 5}, "malformed"),
        ({"startTimeUnixNano": "soon", "endTimeUnixNano": -5}, "missing_timestamp"),
    ],
)
def test_unreadable_json_spans_are_refused_one_by_one(change: dict[str, Any], reason: str) -> None:
    good = json_span(spanId="1" * 16)
    raws = otlp_json.decode(orjson.dumps(json_request([json_span() | change, 7, good])))
    outcomes = [normalise(raw, rules()) for raw in raws]
    assert [getattr(outcome, "reason", None) for outcome in outcomes] == [reason, "malformed", None]


@pytest.mark.parametrize("value", [{"intValue": 2**63}, {"intValue": str(-(2**70))}, {"unknownValue": 1}])
def test_integers_out_of_range_and_unknown_values_are_null(value: dict[str, Any]) -> None:
    span = json_span()
    span["attributes"] = [{"key": "k", "value": value}]
    assert attributes_of(through_json(json_request([span]))) == {"k": None}


def test_bytes_are_base64_text_in_both_encodings() -> None:
    span = json_span()
    span["attributes"] = [{"key": "k", "value": {"bytesValue": "-_8"}}]
    assert attributes_of(through_json(json_request([span]))) == {"k": "+/8="}


def test_unknown_status_codes_are_unset() -> None:
    assert row_of(status_code=99).status == "unset"
    assert row_of(status_code=1).status == "ok"


def test_a_status_message_without_an_error_is_kept() -> None:
    row = row_of(status_message="all well")
    assert row.error_message is None
    assert attributes_of(row) == {"status.message": "all well"}


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    row = row_of({"user.id": "u", "input.value": "i", "k": 1}, name="n")
    assert row.content_hash == FINGERPRINT


FINGERPRINT = -5074877685732879713


@pytest.mark.parametrize("change", [{"name": "other"}, {"attributes": {"k": 2}}, {"status_code": 2}])
def test_the_fingerprint_sees_every_change(change: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"attributes": {"k": 1}, "name": "n"}

    def made(**values: Any) -> RawSpan:
        return raw_span(values.pop("attributes"), **values)

    first, second = normalise(made(**fields), rules()), normalise(made(**{**fields, **change}), rules())
    assert isinstance(first, SpanRow)
    assert isinstance(second, SpanRow)
    assert first.content_hash != second.content_hash
