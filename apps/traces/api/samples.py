"""Examples of answers in the OpenAPI document; the figures are invented."""

from __future__ import annotations

from typing import Any

META: dict[str, Any] = {"request_id": "req_01jd", "cached": False, "computed_at": "2026-11-05T12:00:04Z"}


def _trace(trace_id: str, minute: int, cost: float | None) -> dict[str, Any]:
    return {
        "trace_id": trace_id,
        "project": "default",
        "name": "answer",
        "status": "ok",
        "start_time": f"2026-11-05T11:{minute:02}:00Z",
        "end_time": f"2026-11-05T11:{minute:02}:02.400000Z",
        "duration_ms": 2400.0,
        "user_id": "user-1",
        "session_id": "session-7",
        "environment": "production",
        "team": "support",
        "tags": ["team:support"],
        "providers": ["openai"],
        "models": ["gpt-4o"],
        "kinds": ["chain", "llm"],
        "span_count": 3,
        "request_count": 2,
        "error_count": 0,
        "has_error": False,
        "prompt_tokens": 2000,
        "completion_tokens": 300,
        "total_tokens": 2300,
        "cached_tokens": None,
        "reasoning_tokens": None,
        "prompt_cost_usd": None if cost is None else 0.005,
        "completion_cost_usd": None if cost is None else 0.003,
        "total_cost_usd": cost,
    }


LIST: dict[str, Any] = {
    "data": [
        _trace("0af7651916cd43dd8448eb211c80319c", 59, 0.008),
        _trace("4bf92f3577b34da6a3ce929d0e0e4736", 41, None),
    ],
    "pagination": {"limit": 50, "next_cursor": None, "has_more": False},
    "meta": META,
}
