"""Spans with the longest labels that people meet, sent through the API: they come first in every list of a page."""

from __future__ import annotations

import http.client
import json
import random
from datetime import datetime, timedelta
from typing import Any

from bench.hub import Hub

LONG = 200
SPANS, BATCH = 5_000, 1_000
_WORDS = ("gpt", "claude", "Straße", "mixtral", "評価", "fine-tuned", "checkpoint", "eu-west-1", "customer", "v2.5.1")


def long_name(kind: str, number: int) -> str:
    """A name of 200 characters, of words and without any; the same number gives the same name."""
    rng = random.Random(f"{kind}-{number}")
    joint = "" if number % 3 == 0 else "-" if number % 3 == 1 else " "
    text = f"{kind}{joint}{number}{joint}"
    while len(text) < LONG:
        text += rng.choice(_WORDS) + joint
    return text[: LONG - 1] + "x"  # no blank at the end, which ingest would strip


def _span(number: int, end: datetime, hours: float) -> dict[str, Any]:
    start = end - timedelta(seconds=hours * 3600 * (1 - (number + 0.5) / SPANS))
    trace, place = divmod(number, 5)
    failed = number % 7 == 0
    return {
        "trace_id": f"{trace:024x}1abe1000",
        "span_id": f"{number:012x}1abe",
        "parent_span_id": f"{trace * 5:012x}1abe" if place else None,
        "name": long_name("step", number % 50),
        "kind": "llm" if place else "agent",
        "start_time": start.isoformat(),
        "duration_ms": 1_000 + number % 50_000,
        "status": "error" if failed else "ok",
        "error_type": long_name("error", number % 20) if failed else None,
        "error_message": long_name("message", number) if failed else None,
        "provider": long_name("provider", trace % 5)[:64],
        "model": long_name("model", trace % 40),
        "prompt_tokens": 1_000 + number,
        "completion_tokens": 500,
        "cost_usd": 100 + number % 1_000,
        "user_id": long_name("user", trace % 300),
        "session_id": long_name("session", trace % 400),
        "environment": long_name("environment", trace % 12),
        "tags": [long_name("tag", trace % 30)[:100]],
        "input": long_name("question", number),
        "output": long_name("answer", number),
    }


def send_labels(hub: Hub, end: datetime, hours: float = 4) -> None:
    """Send them for the hours before `end`; sent again, they are the same spans.

    Raises:
        RuntimeError: some were refused.
    """
    for low in range(0, SPANS, BATCH):
        body = {"spans": [_span(number, end, hours) for number in range(low, low + BATCH)]}
        headers = {"Authorization": f"Bearer {hub.api_key}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
        connection.request("POST", "/api/v1/traces", json.dumps(body).encode(), headers)
        said = json.loads(connection.getresponse().read())
        connection.close()
        if said["rejected"]:
            raise RuntimeError(f"{len(said['rejected'])} spans refused: {said['rejected'][0]}")
