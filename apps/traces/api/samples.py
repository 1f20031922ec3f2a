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


def _span(number: int, parent: str | None, offset: int, milliseconds: int, **more: Any) -> dict[str, Any]:
    begin, end = offset / 1000, (offset + milliseconds) / 1000
    empty = ("ttft_ms", "provider", "model", "request_model", "error_type", "unpriced_reason", "price_version_id")
    counts = ("prompt", "completion", "total", "cached", "cache_write", "reasoning")
    return {
        "span_id": f"{number:016x}",
        "parent_span_id": parent,
        "depth": 0 if parent is None else 1,
        "parent_missing": False,
        "on_critical_path": True,
        "start_time": f"2026-11-05T11:59:{begin:06.3f}000Z",
        "end_time": f"2026-11-05T11:59:{end:06.3f}000Z",
        "offset_ms": float(offset),
        "duration_ms": float(milliseconds),
        **dict.fromkeys(empty),
        "status": "ok",
        "environment": "production",
        "team": None,
        "user_id": None,
        "session_id": None,
        **{f"{name}_tokens": None for name in counts},
        **{f"{name}_cost_usd": None for name in ("prompt", "completion", "total")},
        "usage": None,
        "tags": [],
        "labels": None,
        "flags": [],
        "error_message": None,
        "input": "Where is my refund?",
        "output": "It was sent on Monday.",
        "attributes": None,
        "events": None,
        **more,
    }


def _step(number: int, name: str, begin: float, end: float) -> dict[str, Any]:
    return {
        "span_id": f"{number:016x}",
        "name": name,
        "start_time": f"2026-11-05T11:59:{begin:06.3f}000Z",
        "end_time": f"2026-11-05T11:59:{end:06.3f}000Z",
        "duration_ms": round((end - begin) * 1000, 3),
    }


_SUMS = ("duration_ms", "span_count", "request_count", "error_count")
_WHOLE = _trace("0af7651916cd43dd8448eb211c80319c", 59, 0.008)
_ROOT = f"{1:016x}"
_CALL: dict[str, Any] = {
    **{"name": "chat", "kind": "llm", "billable": True, "provider": "openai", "model": "gpt-4o", "ttft_ms": 120.0},
    **{"prompt_tokens": 1000, "completion_tokens": 150, "total_tokens": 1150, "cost_source": "computed"},
    **{"prompt_cost_usd": 0.0025, "completion_cost_usd": 0.0015, "total_cost_usd": 0.004},
}
DETAIL: dict[str, Any] = {
    **{name: value for name, value in _WHOLE.items() if name not in _SUMS and not name.endswith(("_tokens", "_usd"))},
    "root_span_id": _ROOT,
    "totals": {name: value for name, value in _WHOLE.items() if name in _SUMS or name.endswith(("_tokens", "_usd"))},
    "spans": [
        _span(1, None, 0, 2400, name="answer", kind="chain", billable=False, cost_source="none"),
        _span(2, _ROOT, 200, 800, **_CALL),
        _span(3, _ROOT, 1100, 1200, **_CALL),
    ],
    "spans_truncated": False,
    "content_visible": True,
    "content_truncated": False,
    "critical_path": [
        _step(1, "answer", 0.0, 0.2),
        _step(2, "chat", 0.2, 1.0),
        _step(1, "answer", 1.0, 1.1),
        _step(3, "chat", 1.1, 2.3),
        _step(1, "answer", 2.3, 2.4),
    ],
    "scores": [],
    "scores_truncated": False,
    "meta": META,
}
DELETED: dict[str, Any] = {
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
    "complete": True,
    "deleted": {"traces": 1, "spans": 3, "scores": 1, "dead_letters": 0},
    "meta": META,
}
DELETED_USER: dict[str, Any] = {
    "user_id": "user-1",
    "complete": True,
    "deleted": {"traces": 12, "spans": 36, "scores": 4, "dead_letters": 0, "cells": 2},
    "meta": META,
}
SEARCH: dict[str, Any] = {
    "metadata": {
        "start_time": "2026-10-29T12:01:00Z",
        "end_time": "2026-11-05T12:01:00Z",
        "complete": True,
        "searched_to": None,
        "query_ms": 14.2,
    },
    **LIST,
    "data": [{**row, "relevance": None} for row in LIST["data"]],
}
