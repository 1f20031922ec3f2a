"""What holds for any request."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.ingest import otlp, otlp_json, redaction
from apps.ingest.attribute_map import COLUMNS, DIALECTS, INDEXED
from apps.ingest.clean import Cleaner, mend_json
from apps.ingest.native import FIELDS, decode_span
from apps.ingest.normalise import normalise
from apps.ingest.raw import Drop
from apps.ingest.redaction import Redactor, redactor_for, validate_patterns
from apps.ingest.service import normalise_all, price_rows
from apps.traces.columns import SpanRow
from apps.traces.writer import distinct
from tests.ingest.build import NOW_NS, json_request, rules, to_protobuf
from tests.ingest.world import JSON, PROTOBUF, Sender, stored

KEYS = sorted(
    {
        key if isinstance(key, str) else key[0]
        for column in COLUMNS.values()
        for dialect in DIALECTS
        for key in getattr(column, dialect)
    }
    | {f"{prefix}{slot}.message.content" for prefix in INDEXED for slot in (0, 3, 10_000)}
)
# Text as JSON can carry it: no lone surrogates, since those are not the same request in protobuf.
texts = st.text(st.characters(codec="utf-8"), max_size=20)
scalars = st.one_of(
    texts,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=True, width=64),
    st.none(),
    st.sampled_from(["chat", "LLM", "generation", '{"input": 5}', "[1]", "1.5", "2026-01-01T00:00:00Z", "a,b"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
attributes = st.dictionaries(st.one_of(st.sampled_from(KEYS), texts), values, max_size=12)
moments = st.one_of(
    st.integers(NOW_NS - 10**12, NOW_NS + 10**12), st.sampled_from([0, 1, 10**9, NOW_NS + 10**17, 2**64 - 1])
)
names = st.sampled_from(["exception", "gen_ai.user.message", "gen_ai.choice", "First Token Stream Event", "other"])


@st.composite
def spans(draw: st.DrawFn) -> dict[str, Any]:
    from tests.ingest.build import key_values

    events = [
        {"name": name, "timeUnixNano": str(draw(moments)), "attributes": key_values(draw(attributes))}
        for name in draw(st.lists(names, max_size=2))
    ]
    return {
        "traceId": draw(st.sampled_from(["", "00" * 16, "ab" * 16, "cd" * 16, "ab"])),
        "spanId": draw(st.sampled_from(["", "00" * 8, "12" * 8, "34" * 8, "1234"])),
        "parentSpanId": draw(st.sampled_from(["", "56" * 8, "56"])),
        "name": draw(texts),
        "startTimeUnixNano": str(draw(moments)),
        "endTimeUnixNano": str(draw(moments)),
        "attributes": key_values(draw(attributes)),
        "status": {"code": draw(st.integers(0, 2)), "message": draw(texts)},
        "events": events,
    }


requests = st.builds(
    json_request,
    st.lists(spans(), max_size=4),
    attributes,
    st.sampled_from(["", "ai", "langfuse-sdk", "openinference.instrumentation.openai", "litellm"]),
)


def outcomes(raws: list[Any]) -> list[SpanRow | Drop]:
    rule = rules(redact_patterns=("email", "phone", "card", "key"))
    return [normalise(raw, rule) for raw in raws]


@given(requests)
def test_json_and_protobuf_of_a_request_give_the_same_rows(request: dict[str, Any]) -> None:
    from_json = outcomes(otlp_json.decode(orjson.dumps(request)))
    from_protobuf = outcomes(otlp.decode(to_protobuf(request)))
    assert from_json == from_protobuf


@given(requests)
def test_every_span_becomes_a_row_or_a_drop_that_is_storable(request: dict[str, Any]) -> None:
    raws = otlp_json.decode(orjson.dumps(request))
    rows, dropped = normalise_all(raws, rules(max_content=2_000))
    assert len(rows) + len(dropped) == len(raws) == len(request["resourceSpans"][0]["scopeSpans"][0]["spans"])
    price_rows(rows)
    for row in rows:
        check_storable(row)


def check_storable(row: SpanRow) -> None:
    texts_of = [row.name, row.provider, row.model, row.user_id, row.session_id, row.environment, row.error_type]
    for text in [*texts_of, row.error_message, row.input, row.output, *(row.tags or [])]:
        assert text is None or "\x00" not in text
        assert text is None or text.encode() is not None  # no lone surrogates
    assert all(text is None or len(text) <= 256 for text in [*texts_of, *(row.tags or [])])
    for encoded in (row.usage, row.labels, row.attributes, row.events):
        assert encoded is None or (orjson.loads(encoded) is not None and not mend_json(encoded)[1])
    numbers = [row.duration_us, row.ttft_us, row.prompt_tokens, row.completion_tokens, row.total_tokens]
    numbers += [row.cached_tokens, row.cache_write_tokens, row.reasoning_tokens, row.total_cost, row.client_cost]
    assert all(number is None or 0 <= number < 2**62 for number in numbers)
    assert (row.cached_tokens or 0) + (row.cache_write_tokens or 0) <= (row.prompt_tokens or 0)
    assert (row.reasoning_tokens or 0) <= (row.completion_tokens or 0)
    size = sum(len((text or "").encode()) for text in (row.input, row.output))
    assert size + len(row.attributes or b"") + len(row.events or b"") <= 2_000


@given(st.lists(requests, max_size=3), st.randoms(use_true_random=False))
def test_order_never_matters(sent: list[dict[str, Any]], chance: random.Random) -> None:
    raws = [raw for request in sent for raw in otlp_json.decode(orjson.dumps(request))]
    rows, _ = normalise_all(raws, rules())
    shuffled = chance.sample(rows, len(rows))
    assert distinct(rows) == distinct(shuffled)
    assert distinct([*rows, *shuffled]) == distinct(rows)


PLAIN_FIELDS = sorted(FIELDS)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.one_of(st.sampled_from(PLAIN_FIELDS), st.text(max_size=6)), json_values, max_size=10))
def test_any_plain_json_span_is_a_row_or_a_drop(node: dict[str, Any]) -> None:
    raw = decode_span(node | {"start_time": NOW_NS}, 0)
    row = normalise(raw, rules(max_content=2_000))
    if isinstance(row, SpanRow):
        check_storable(row)


@given(json_values)
def test_cleaned_values_are_json(value: Any) -> None:
    encoded = orjson.dumps(Cleaner().value(value))
    assert not mend_json(encoded)[1]


@given(st.text(max_size=300))
def test_built_in_patterns_leave_nothing_for_a_second_pass(text: str) -> None:
    redactor = redactor_for(("email", "phone", "card", "key"), ())
    assert isinstance(redactor, Redactor)
    once = redactor.text(text)
    assert redactor.text(once) == once


def damaged(body: bytes, place: int, byte: int) -> bytes:
    return body[:place] + bytes([byte]) + body[place + 1 :]


SLOW = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
bodies = st.one_of(
    st.binary(max_size=200),
    requests.map(orjson.dumps),
    requests.map(to_protobuf),
    st.builds(lambda body, cut: body[:cut], requests.map(to_protobuf), st.integers(0, 400)),
    st.builds(damaged, requests.map(to_protobuf), st.integers(0, 400), st.integers(0, 255)),
    json_values.map(lambda value: orjson.dumps(Cleaner().value(value))),
)


@SLOW
@given(
    bodies,
    st.sampled_from([JSON, PROTOBUF, "text/plain", "application/json; charset=utf-8"]),
    st.sampled_from([None, "gzip", "deflate", "identity", "br"]),
    st.sampled_from(["/v1/traces", "/v1/metrics", "/v1/logs", "/api/v1/traces"]),
)
def test_any_bytes_at_the_door_never_fail(
    acme: Sender, body: bytes, content_type: str, encoding: str | None, path: str
) -> None:
    headers = {"Content-Encoding": encoding} if encoding else {}
    answer = acme.post(body, path, content_type=content_type, headers=headers)
    assert answer.status_code in (200, 400, 413, 415), answer.content


@SLOW
@given(requests)
def test_accepted_and_rejected_are_all_that_was_sent_and_a_replay_changes_nothing(
    acme: Sender, request: dict[str, Any]
) -> None:
    from tests.support.spans import clear_spans

    clear_spans()
    sent = len(request["resourceSpans"][0]["scopeSpans"][0]["spans"])
    for span in request["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        shift_to_now(span)
    answer = acme.post(request)
    partial = orjson.loads(answer.content).get("partialSuccess", {})
    rows = stored()
    assert len(rows) <= sent - int(partial.get("rejectedSpans", 0))
    assert bool(rows) == (sent > int(partial.get("rejectedSpans", 0)))
    before = rows, stored("span_content")
    again = acme.post(to_protobuf(request), content_type=PROTOBUF)
    assert again.status_code == 200
    assert (stored(), stored("span_content")) == before


def shift_to_now(span: dict[str, Any]) -> None:
    """The generated times lie around a fixed moment; the server's clock is the real one."""
    import time

    for edge in ("startTimeUnixNano", "endTimeUnixNano"):
        moment = int(span[edge])
        if abs(moment - NOW_NS) <= 10**12:
            span[edge] = str(moment - NOW_NS + time.time_ns())


REFUSED = ["(a+)+", "(a|aa)*b", "(?:a*)*", "a*a*a*a*b", "(", "", "x*", "(a)\\1", "(?:(?:a{1,9}){1,9}){1,9}", "x" * 501]
TAKEN = [
    "sk-[a-z0-9]+",
    "[A-Z]{2}\\d{6}",
    "secret\\s{0,5}=\\s{0,5}\\S+",
    "(?i)password",
    "(?:foo|bar)-\\d+",
    "user-(\\d{1,9})",
]


@pytest.mark.parametrize("pattern", REFUSED)
def test_patterns_that_can_run_away_are_refused(pattern: str) -> None:
    assert validate_patterns([], [pattern])


@pytest.mark.parametrize("pattern", TAKEN)
def test_ordinary_patterns_are_taken(pattern: str) -> None:
    assert validate_patterns(["email"], [pattern]) == []


def test_unknown_and_too_many_patterns_are_refused() -> None:
    assert "nope" in validate_patterns(["nope"], [])[0]
    assert validate_patterns([], ["a"] * 21)


@given(st.text("ab -1\n", max_size=3_000), st.integers(0, 2_900))
def test_own_patterns_are_found_across_windows(text: str, place: int) -> None:
    redactor = redactor_for((), ("key-[0-9]{4}x+",))
    assert redactor is not None
    secret = "key-1234" + "x" * 700
    found = redactor.text(text[:place] + secret + text[place:])
    assert found == text[:place] + "[redacted]" + text[place:]


def test_a_stored_pattern_that_cannot_be_run_withholds_the_text() -> None:
    redactor = redactor_for((), ("(a+)+$",))
    assert redactor is not None
    assert "secret" not in redactor.text("secret")


def test_what_takes_too_long_is_withheld_by_the_time_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        used = 0.0

        def thread_time(self) -> float:
            self.used += step
            return self.used

        def monotonic(self) -> float:
            pytest.fail("a machine that stands still would take the text away")

    monkeypatch.setattr(redaction, "time", Clock())
    redactor = redactor_for((), ("key-[0-9]{4}",))
    assert redactor is not None
    step = 0.01
    assert redactor.text("a key-1234 " + "b" * 2_000) == "a [redacted] " + "b" * 2_000
    step = redaction.TIME_LIMIT_SECONDS
    assert redactor.text("a key-1234 " + "b" * 2_000) == redaction.WITHHELD
