"""Three days of a small support bot, sent as plain JSON spans: what the examples of the documentation are asked of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.world import World

TRACES = 60
MODELS = (("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-5"))
TIERS = ("free", "pro")


def spans(now: datetime) -> list[dict[str, Any]]:
    """Traces of a chain with one or two calls: sessions of three turns, five users, every tenth an error."""
    made: list[dict[str, Any]] = []
    for number in range(TRACES):
        begin = now - timedelta(minutes=5 + number * 70)
        trace_id, root = f"{number + 1:032x}", f"{number * 8 + 1:016x}"
        provider, model = MODELS[number % 2]
        wrong = number % 10 == 9
        shared = {"trace_id": trace_id, "environment": "production"}
        made.append(
            {
                **shared,
                "span_id": root,
                "name": "answer",
                "kind": "chain",
                "start_time": begin.isoformat(),
                "duration_ms": 2_400 + 10 * number,
                "status": "error" if wrong else "ok",
                "user_id": f"user-{number % 5}",
                "session_id": f"session-{number // 3}",
                "tags": ["team:support", f"tier:{TIERS[number % 2]}"],
                "input": "Where is my refund?",
                "output": "It was sent on Monday.",
            }
        )
        for call in range(1 + number % 2):
            made.append(
                {
                    **shared,
                    "span_id": f"{number * 8 + 2 + call:016x}",
                    "parent_span_id": root,
                    "name": "chat",
                    "kind": "llm",
                    "start_time": (begin + timedelta(milliseconds=200 + call * 900)).isoformat(),
                    "duration_ms": 800 + 5 * number,
                    "ttft_ms": 120 + number,
                    "status": "error" if wrong else "ok",
                    "error_type": "rate_limit" if wrong else None,
                    "error_message": "Too many requests" if wrong else None,
                    "provider": provider,
                    "model": model,
                    "prompt_tokens": 1_000 + 13 * number,
                    "completion_tokens": 150 + number,
                    "input": "Answer politely: where is my refund?",
                    "output": "Your refund was sent on Monday.",
                    "attributes": {"customer.tier": TIERS[number % 2]},
                }
            )
    return made


def tell(world: World) -> None:
    """Send it to Acme's project `default`."""
    answer = world.send("POST", "/api/v1/traces", {"spans": spans(datetime.now(UTC))}, key=world.key)
    assert answer.json()["rejected"] == [], answer.content
