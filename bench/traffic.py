"""Prebuilt OTLP requests for the ingest bench: the client's own work stays out of the measured window."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

MODELS = (
    ("openai", "gpt-4o"),
    ("openai", "gpt-4o-mini"),
    ("anthropic", "claude-sonnet-4-5"),
    ("google", "gemini-2.5-flash"),
)
WORDS = [
    "the",
    "model",
    "was",
    "asked",
    "to",
    "name",
    "what",
    "the",
    "customer",
    "needs",
    "and",
    "to",
    "answer",
    "in",
    "one",
    "short",
    "and",
    "friendly",
    "sentence",
]


def text(rng: random.Random, length: int) -> str:
    """Words up to `length` characters."""
    parts: list[str] = []
    size = 0
    while size < length:
        word = rng.choice(WORDS)
        parts.append(word)
        size += len(word) + 1
    return " ".join(parts)[:length]


def _value(value: str | int | float) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(double_value=value)


def _attributes(rng: random.Random, content: int) -> dict[str, str | int | float]:
    provider, model = rng.choice(MODELS)
    prompt = rng.randint(100, 8000)
    attributes: dict[str, str | int | float] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        "gen_ai.response.model": model,
        "gen_ai.response.id": f"resp_{rng.getrandbits(48):x}",
        "gen_ai.usage.input_tokens": prompt,
        "gen_ai.usage.output_tokens": rng.randint(10, 900),
        "gen_ai.usage.cache_read.input_tokens": prompt // 3,
        "gen_ai.response.time_to_first_chunk": round(rng.uniform(0.1, 0.9), 4),
        "gen_ai.conversation.id": f"session-{rng.randint(1, 4000)}",
        "user.id": f"user-{rng.randint(1, 2000)}",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 1024,
        "server.address": "api.example.com",
        "server.port": 443,
    }
    if content:
        attributes["gen_ai.input.messages"] = text(rng, content * 7 // 10)
        attributes["gen_ai.output.messages"] = text(rng, content - content * 7 // 10)
    return attributes


def request(rng: random.Random, *, spans: int, content: int, start_ns: int) -> bytes:
    """One serialized ExportTraceServiceRequest of `spans` spans with `content` characters of text each."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    for key, value in (
        ("service.name", "bench"),
        ("deployment.environment.name", "production"),
        ("telemetry.sdk.language", "python"),
    ):
        resource.resource.attributes.append(KeyValue(key=key, value=_value(value)))
    scope = resource.scope_spans.add()
    scope.scope.name = "bench"
    trace_id = b""
    for index in range(spans):
        if index % 5 == 0:
            trace_id = rng.randbytes(16)
        begin = start_ns + index * 1_000_003
        span = scope.spans.add(
            trace_id=trace_id,
            span_id=rng.randbytes(8),
            name="chat completion",
            kind=3,
            start_time_unix_nano=begin,
            end_time_unix_nano=begin + rng.randint(100_000_000, 9_000_000_000),
        )
        for key, item in _attributes(rng, content).items():
            span.attributes.append(KeyValue(key=key, value=_value(item)))
        if rng.random() < 0.02:
            span.status.code = 2
            span.status.message = "rate limited"
            span.attributes.append(KeyValue(key="error.type", value=_value("rate_limit")))
    encoded: bytes = message.SerializeToString()
    return encoded


def requests(count: int, *, seed: int, spans: int = 100, content: int = 1000, age: float = 5.0) -> Iterator[bytes]:
    """`count` prebuilt requests whose spans began `age` seconds ago."""
    rng = random.Random(seed)
    for _ in range(count):
        yield request(rng, spans=spans, content=content, start_ns=int((time.time() - age) * 1e9))


class Template:
    """A serialized request that can be stamped again and again with fresh trace ids and the present time.

    Building a request costs a hundred times what sending it does; stamping keeps the client cheap, so that the cores
    of the machine go to what is measured.
    """

    def __init__(self, rng: random.Random, *, spans: int, content: int) -> None:
        self.spans = spans
        self._made_ns = time.time_ns()
        self._data = request(rng, spans=spans, content=content, start_ns=self._made_ns)
        message = ExportTraceServiceRequest.FromString(self._data)
        made = message.resource_spans[0].scope_spans[0].spans
        self._traces: dict[bytes, list[int]] = {}
        self._times: list[tuple[int, int]] = []
        position = 0
        for span in made:
            position = self._data.index(span.trace_id, position)
            self._traces.setdefault(span.trace_id, []).append(position)
            for stamp in (span.start_time_unix_nano, span.end_time_unix_nano):
                position = self._data.index(stamp.to_bytes(8, "little"), position)
                self._times.append((position, stamp - self._made_ns))

    def stamp(self, rng: random.Random, *, age: float = 10.0) -> bytes:
        """A copy with new trace ids whose spans begin `age` seconds ago."""
        data = bytearray(self._data)
        for places in self._traces.values():
            fresh = rng.randbytes(16)
            for place in places:
                data[place : place + 16] = fresh
        base = time.time_ns() - int(age * 1e9)
        for place, shift in self._times:
            data[place : place + 8] = (base + shift).to_bytes(8, "little")
        return bytes(data)
