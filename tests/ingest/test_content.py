"""Input and output from attributes, dotted lists and events; what stays an attribute."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from apps.ingest.attribute_map import INDEXED
from apps.ingest.raw import RawEvent
from apps.traces.columns import Flag
from tests.ingest.build import NOW_NS, attributes_of, labels_of, row_of


def test_system_instructions_join_the_input() -> None:
    both = row_of({"gen_ai.system_instructions": '[{"type":"text"}]', "gen_ai.input.messages": '[{"role":"user"}]'})
    assert orjson.loads(both.input or "") == {
        "system_instructions": [{"type": "text"}],
        "messages": [{"role": "user"}],
    }
    plain = row_of({"gen_ai.system_instructions": "be [brief", "gen_ai.input.messages": "hi"})
    assert orjson.loads(plain.input or "") == {"system_instructions": "be [brief", "messages": "hi"}


def test_trace_content_is_the_roots() -> None:
    attributes = {"langfuse.trace.input": "i", "langfuse.trace.output": "o"}
    root = row_of(attributes, parent_span_id="")
    assert (root.input, root.output) == ("i", "o")
    assert row_of(attributes).input is None
    assert row_of({**attributes, "langfuse.observation.input": "own"}, parent_span_id="").input == "own"


INDEXED_CASES: list[tuple[dict[str, Any], str, Any]] = [
    (
        {
            "llm.input_messages.1.message.role": "user",
            "llm.input_messages.0.message.role": "system",
            "llm.input_messages.0.message.contents.0.message_content.text": "hi",
        },
        "input",
        [{"role": "system", "contents": [{"message_content": {"text": "hi"}}]}, {"role": "user"}],
    ),
    ({"llm.prompts.0.prompt.text": "p"}, "input", [{"text": "p"}]),
    ({"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "c"}, "input", [{"role": "user", "content": "c"}]),
    ({"llm.output_messages.0.message.content": "c"}, "output", [{"content": "c"}]),
    ({"llm.choices.0.completion.text": "t"}, "output", [{"text": "t"}]),
    ({"gen_ai.completion.0.content": "c"}, "output", [{"content": "c"}]),
]


@pytest.mark.parametrize(("attributes", "side", "expected"), INDEXED_CASES)
def test_dotted_lists(attributes: dict[str, Any], side: str, expected: Any) -> None:
    assert orjson.loads(getattr(row_of(attributes), side)) == expected
    assert attributes_of(row_of(attributes)) == {}


def test_every_dotted_prefix_is_tested() -> None:
    keys = [key for attributes, _, _ in INDEXED_CASES for key in attributes]
    assert all(any(key.startswith(prefix) for key in keys) for prefix in INDEXED)


def test_dotted_lists_are_not_stored_beside_a_value_that_holds_them() -> None:
    said = 'a "quoted"\nline'
    request = orjson.dumps({"messages": [{"role": "user", "content": said}]}).decode()
    attributes = {"llm.input_messages.0.message.content": said, "input.value": request}
    assert row_of(attributes).input == request
    assert attributes_of(row_of(attributes)) == {}
    other = {**attributes, "llm.input_messages.1.message.content": "elsewhere"}
    assert attributes_of(row_of(other))["llm.input_messages"] == [{"content": said}, {"content": "elsewhere"}]


def test_a_slot_number_is_no_memory_attack() -> None:
    row = row_of({"llm.input_messages.999999999.message.content": "x", "llm.input_messages.0.message.content": "y"})
    assert orjson.loads(row.input or "") == [{"content": "y"}]
    assert row.flags & Flag.ATTRIBUTES_CUT


def event(name: str, after_ms: int = 0, **attributes: Any) -> RawEvent:
    return RawEvent(name, NOW_NS + after_ms * 1_000_000, {k.replace("__", "."): v for k, v in attributes.items()})


@pytest.mark.parametrize(
    "name", ["gen_ai.content.completion.chunk", "First Token Stream Event", "ai.stream.firstChunk"]
)
def test_first_token_events(name: str) -> None:
    assert row_of(events=[event(name, 320), event(name, 700)]).ttft_us == 320_000
    assert row_of({"gen_ai.response.time_to_first_chunk": 0.1}, events=[event(name, 320)]).ttft_us == 100_000


def test_exception_events_make_errors_and_stay() -> None:
    row = row_of(events=[event("exception", exception__type="Oops", exception__message="m", exception__stacktrace="s")])
    assert (row.status, row.error_type, row.error_message) == ("error", "Oops", "m")
    assert orjson.loads(row.events or b"")[0]["attributes"]["exception.stacktrace"] == "s"


def test_message_events_are_the_content() -> None:
    events = [event("gen_ai.user.message", content="hi"), event("gen_ai.choice", message="yo")]
    row = row_of(events=events)
    assert orjson.loads(row.input or "")[0]["content"] == "hi"
    assert orjson.loads(row.output or "")[0]["message"] == "yo"
    assert row.events is None


def test_content_events() -> None:
    events = [
        event("gen_ai.content.prompt", gen_ai__prompt="hi"),
        event("gen_ai.content.completion", gen_ai__completion="yo"),
    ]
    row = row_of(events=events)
    assert (row.input, row.output, row.events) == ("hi", "yo", None)


def test_details_event() -> None:
    details = event(
        "gen_ai.client.inference.operation.details", gen_ai__input__messages="i", gen_ai__output__messages="o", kept=1
    )
    row = row_of(events=[details])
    assert (row.input, row.output) == ("i", "o")
    assert orjson.loads(row.events or b"")[0]["attributes"] == {"kept": 1}


def test_evaluation_events_are_kept() -> None:
    row = row_of(events=[event("gen_ai.evaluation.result", gen_ai__evaluation__name="n")])
    assert orjson.loads(row.events or b"")[0]["name"] == "gen_ai.evaluation.result"


def test_everything_unmapped_stays_with_resource_and_scope() -> None:
    row = row_of({"my.own": [1, {"a": None}]}, resource={"service.name": "bot", "host": "h"}, scope="s")
    assert orjson.loads(row.attributes or b"") == {
        "span": {"my.own": [1, {"a": None}]},
        "resource": {"service.name": "bot", "host": "h"},
        "scope": {"name": "s"},
    }
    assert labels_of(row) == {"service_name": "bot", "scope": "s"}


def test_openinference_failed_call_names_its_model_in_its_parameters() -> None:
    row = row_of({"openinference.span.kind": "LLM", "llm.invocation_parameters": '{"model":"gpt-4o"}'})
    assert row.model == "gpt-4o"
    assert "llm.invocation_parameters" in attributes_of(row)


def test_only_numbered_keys_are_dotted_lists() -> None:
    row = row_of({"gen_ai.prompt.version": "v", "llm.input_messages.note": "n"})
    assert row.input is None
    assert attributes_of(row) == {"gen_ai.prompt.version": "v", "llm.input_messages.note": "n"}
