"""What the instrumented programs call: one chat, one streamed chat, one embedding, one call that fails."""

from __future__ import annotations

from typing import Any

import openai


def make_calls() -> None:
    client = openai.OpenAI(max_retries=0)
    messages: Any = [{"role": "user", "content": "Hello?"}]
    client.chat.completions.create(model="gpt-4o", messages=messages)
    options: Any = {"include_usage": True}
    stream = client.chat.completions.create(model="gpt-4o", messages=messages, stream=True, stream_options=options)
    for _ in stream:
        pass
    client.embeddings.create(model="text-embedding-3-small", input="Hello")
    try:
        client.chat.completions.create(model="gpt-4o-fails", messages=messages)
    except openai.BadRequestError:
        return
    raise SystemExit("the failing call did not fail")
