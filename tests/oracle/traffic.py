"""Traffic of the awkward kind, as plain JSON spans: late roots, retries, replacements, unpriced, errored, rolled up.

It is sent in waves, between which a test may refresh: a later wave is late for the traces of an earlier one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

Span = dict[str, Any]
PROJECTS = ("default", "web")
MODELS = (
    ("openai", "gpt-4o"),
    ("openai", "gpt-4o-mini"),
    ("anthropic", "claude-sonnet-4-5"),
    ("google", "gemini-2.5-flash"),
    ("acme", "house-model-1"),  # in no price list
)


@dataclass
class Traffic:
    """Batches in the order of their sending, by the slug of the project."""

    waves: list[dict[str, list[Span]]] = field(default_factory=list)


def make(
    seed: int, start: datetime, days: float, traces: int, projects: tuple[str, ...] = ("default", "web")
) -> Traffic:
    """Traces spread over the days from `start`, in three waves."""
    rng = random.Random(seed)
    waves: list[dict[str, list[Span]]] = [{slug: [] for slug in PROJECTS} for _ in range(3)]
    for number in range(traces):
        slug = PROJECTS[0] if rng.random() < 0.7 else rng.choice(PROJECTS)
        begin = start + timedelta(seconds=rng.random() * days * 86400)
        for wave, span in _trace(rng, f"{seed:08x}{number:024x}", begin):
            waves[wave][slug].append(span)
    return Traffic(waves)


def _trace(rng: random.Random, trace_id: str, begin: datetime) -> Iterator[tuple[int, Span]]:
    root_id = f"{rng.getrandbits(64):016x}"
    shared = {
        "trace_id": trace_id,
        "user_id": rng.choice([None, "ada", "ben", "cleo", "dora", "eve"]),
        "session_id": rng.choice([None, *(f"chat-{n}" for n in range(12))]),
        "environment": rng.choice([None, "production", "staging"]),
        "tags": rng.choice([None, ["team:red"], ["team:blue", "tier:pro"], ["tier:free", "beta", "team:red"]]),
    }
    wave = rng.choice([0, 0, 0, 1])
    root: Span = {
        **shared,
        "span_id": root_id,
        "name": rng.choice(["answer", "summarise", "plan"]),
        "kind": rng.choice(["chain", "agent"]),
        "start_time": begin.isoformat(),
        "duration_ms": rng.randint(1, 60_000),
        "status": rng.choice(["ok", "ok", "unset", "error"]),
    }
    if root["kind"] == "agent" and rng.random() < 0.5:
        root |= {"model": "gpt-4o", "provider": "openai", "prompt_tokens": 99_999, "completion_tokens": 9_999}
    if rng.random() < 0.85:
        yield (2 if rng.random() < 0.2 else wave), root  # a late root corrects the answers
    for _ in range(rng.randint(0, 4)):
        span = _call(rng, trace_id, root_id, begin)
        yield wave, span
        if rng.random() < 0.1:
            yield 2, dict(span)  # a client's retry
        elif rng.random() < 0.1:
            yield 2, {**span, "duration_ms": span["duration_ms"] + 500, "completion_tokens": 777}  # the greater stays


def _call(rng: random.Random, trace_id: str, root_id: str, begin: datetime) -> Span:
    provider, model = rng.choice(MODELS)
    wrong = rng.random() < 0.15
    kind = rng.choice(["llm", "llm", "llm", "embedding", "reranker", "tool"])
    span: Span = {
        "trace_id": trace_id,
        "span_id": f"{rng.getrandbits(64):016x}",
        "parent_span_id": root_id,
        "name": f"{kind} {model}",
        "kind": kind,
        "start_time": (begin + timedelta(milliseconds=rng.randint(0, 30_000))).isoformat(),
        "duration_ms": rng.choice([0, rng.randint(1, 500), rng.randint(500, 90_000)]),
        "status": "error" if wrong else rng.choice(["ok", "unset"]),
        "error_type": rng.choice([None, "rate_limit", "timeout"]) if wrong else None,
        "provider": provider,
        "model": model if rng.random() < 0.97 else None,
        "prompt_tokens": rng.choice([None, rng.randint(0, 9_000)]),
        "completion_tokens": rng.choice([None, rng.randint(0, 3_000)]),
        "ttft_ms": rng.choice([None, rng.randint(1, 400)]),
    }
    if rng.random() < 0.2:
        span |= {"cost_usd": round(rng.random() / 7, 12)}  # the sender's own figure wins
    if rng.random() < 0.3:
        span |= {"user_id": rng.choice(["ada", "zoe"]), "session_id": rng.choice([None, "chat-own"])}
    if rng.random() < 0.2:
        span |= {"environment": "canary"}
    if rng.random() < 0.2:
        span |= {"tags": [rng.choice(["own", "team:green"])]}
    return span
