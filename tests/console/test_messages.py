"""Texts of spans as people read them, in the shapes of the SDKs; nothing that was said is lost, and nothing breaks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.console import messages
from apps.console.messages import Piece, read


def said(value: Any) -> list[tuple[str, list[tuple[str, str, str, str]]]]:
    reading = read(value if isinstance(value, str) else json.dumps(value))
    return [
        (message.role, [(piece.kind, piece.head + piece.tail, piece.name, piece.key) for piece in message.pieces])
        for message in reading.messages
    ]


CITY = '{\n  "city": "Rome"\n}'
CALLED = ("assistant", [("call", CITY, "weather", "c1")])
ANSWERED = ("tool", [("result", "21", "", "c1")])


@pytest.mark.parametrize(
    "call",
    [
        {
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
            ]
        },
        {"content": [{"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Rome"}}]},
        {"parts": [{"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Rome"}}]},
        {"content": [{"type": "tool-call", "toolCallId": "c1", "toolName": "weather", "args": {"city": "Rome"}}]},
        {"parts": [{"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Rome"}}}]},
    ],
    ids=["openai", "anthropic", "opentelemetry", "vercel", "gemini"],
)
def test_reads_a_call_of_a_tool_in_every_shape(call: dict[str, Any]) -> None:
    assert said([{"role": "assistant", **call}]) == [CALLED]


@pytest.mark.parametrize(
    "result",
    [
        {"content": "21", "tool_call_id": "c1"},
        {"content": [{"type": "tool_result", "tool_use_id": "c1", "content": "21"}]},
        {"content": [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "21"}]}]},
        {"parts": [{"type": "tool_call_response", "id": "c1", "response": "21"}]},
        {"content": [{"type": "tool-result", "toolCallId": "c1", "result": "21"}]},
    ],
    ids=["openai", "anthropic", "anthropic blocks", "opentelemetry", "vercel"],
)
def test_reads_the_result_of_a_tool_in_every_shape(result: dict[str, Any]) -> None:
    assert said([{"role": "tool", **result}]) == [ANSWERED]


def test_reads_texts_thoughts_and_media() -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 500}},
        {"type": "thinking", "thinking": "A picture."},
    ]
    ((role, pieces),) = said([{"role": "user", "content": parts}])
    assert role == "user"
    assert [(kind, name) for kind, _, name, _ in pieces] == [("text", ""), ("media", "image_url"), ("thought", "")]
    assert pieces[1][1].endswith("(522 characters)") and len(pieces[1][1]) < 120


@pytest.mark.parametrize(
    "document",
    [
        {"messages": [{"role": "user", "content": "hi"}]},
        {"choices": [{"message": {"role": "user", "content": "hi"}}]},
        {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
        {"role": "user", "content": "hi"},
        [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}],
    ],
    ids=["messages", "choices", "contents", "one", "parts"],
)
def test_finds_the_messages_of_a_document(document: Any) -> None:
    assert said(document) == [("user", [("text", "hi", "", "")])]


def test_a_system_text_beside_the_messages_comes_first() -> None:
    both = {"system": "Be kind.", "messages": [{"role": "user", "content": "hi"}]}
    assert [role for role, _ in said(both)] == ["system", "user"]


def test_other_json_is_indented_and_other_text_stays_as_it_is() -> None:
    assert said({"answer": {"a": 1}}) == [("", [("json", '{\n  "answer": {\n    "a": 1\n  }\n}', "", "")])]
    assert said("[not json") == [("", [("text", "[not json", "", "")])]
    assert said("42") == [("", [("text", "42", "", "")])]
    assert said('"quoted"') == [("", [("text", "quoted", "", "")])]


def test_long_texts_are_folded_and_very_long_ones_are_cut_and_counted() -> None:
    (message,) = read("x" * 100_000).messages
    (piece,) = message.pieces
    assert len(piece.head) == messages.FOLDED
    assert len(piece.head) + len(piece.tail) == messages.MOST_TEXT
    assert piece.left_out == 100_000 - messages.MOST_TEXT
    many = read(json.dumps([{"role": "user", "content": "y" * 1_000}] * 500))
    assert (len(many.messages), many.left_out) == (messages.MOST_MESSAGES, 440)
    assert (
        sum(len(one.head) + len(one.tail) for message in many.messages for one in message.pieces) == messages.MOST_TEXT
    )


def test_nesting_without_end_is_no_harm() -> None:
    deep = "[" * 200_000
    assert read(deep).messages[0].pieces[0].kind == "text"
    inside = '{"role":"user","message":' * 900 + "1" + "}" * 900
    assert isinstance(read(inside).messages[0].pieces[0], Piece)
    nested = '{"a":' * 5_000 + "1" + "}" * 5_000
    assert isinstance(read(nested).messages[0].pieces[0], Piece)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "role",
                    "content",
                    "parts",
                    "type",
                    "text",
                    "tool_calls",
                    "function",
                    "arguments",
                    "name",
                    "message",
                    "x",
                ]
            ),
            inner | st.sampled_from(["user", "tool", "text", "tool_use", "tool_result", "image_url", "thinking"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_every_document_can_be_read(document: Any) -> None:
    reading = read(json.dumps(document))
    assert reading.messages
    for message in reading.messages:
        assert isinstance(message.role, str)
        assert all(isinstance(part, str) for piece in message.pieces for part in (piece.head, piece.tail, piece.name))
