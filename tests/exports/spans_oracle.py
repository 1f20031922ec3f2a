"""An export of spans in plain Python, from the documentation alone."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from apps.traces.columns import Flag, SpanRow
from tests.search.oracle import Trace, about_trace, holds, leaf_of_span, leaf_of_trace

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SAME = ("trace_id", "span_id", "parent_span_id", "name", "kind", "billable", "status", "provider", "model")
MORE = ("request_model", "error_type", "cost_source", "unpriced_reason", "price_version_id", "error_message")
TOKENS = ("prompt", "completion", "total", "cached", "cache_write", "reasoning")


def grouped(rows: Iterable[SpanRow]) -> dict[tuple[int, str], Trace]:
    spans = defaultdict(list)
    for row in rows:
        spans[row.project_id, row.trace_id].append(row)
    return {key: Trace(found) for key, found in spans.items()}


def span_holds(span: SpanRow, trace: Trace, node: Mapping[str, Any]) -> bool:
    """A tree over one span; leaves about traces are about its own."""
    if "field" in node:
        return leaf_of_trace(trace, node) if about_trace(node) else leaf_of_span(span, trace, node)
    below = [span_holds(span, trace, child) for child in node["filters"]]
    return {"AND": all(below), "OR": any(below), "NOT": not below[0]}[node["operator"]]


def named(span: SpanRow, trace: Trace, name: str, wanted: Any) -> bool:
    """One filter by name on a span; whose value nobody knows fulfils none."""
    edge, _, what = name.partition("_")
    if edge in ("min", "max"):
        value = {"duration_ms": span.duration_us, "cost": span.total_cost, "tokens": span.total_tokens}[what]
        unit = {"duration_ms": 1_000, "cost": 10**12, "tokens": 1}[what]
        if value is None:
            return False
        return value >= Decimal(str(wanted)) * unit if edge == "min" else value <= Decimal(str(wanted)) * unit
    if name == "has_error":
        return (span.status == "error") is wanted
    if name == "trace_id":
        return span.trace_id in wanted
    field = "tags" if name == "tag" else name
    return leaf_of_span(span, trace, {"field": field, "operator": "in", "value": wanted})


def exported(
    rows: Sequence[SpanRow], projects: Sequence[int], edges: tuple[int, int], question: Mapping[str, Any]
) -> list[SpanRow]:
    """The spans of an export, in the order of its rows."""
    traces = grouped(row for row in rows if row.project_id in projects)
    simple = {name: value for name, value in question.items() if name not in ("match", "filter")}
    tree = question.get("filter")
    found = []
    for trace in traces.values():
        for span in trace.spans:
            if question["match"] == "traces":
                meant = edges[0] <= trace.start < edges[1] and (tree is None or holds(trace, tree))
            else:
                meant = edges[0] <= span.start_us < edges[1] and (tree is None or span_holds(span, trace, tree))
                meant = meant and all(named(span, trace, name, value) for name, value in simple.items())
            if meant:
                found.append(span)
    return sorted(found, key=lambda s: (s.project_id, s.start_us, s.trace_id.encode(), s.span_id.encode()))


def shown(span: SpanRow, trace: Trace, slugs: Mapping[int, str]) -> dict[str, Any]:
    """A span's values by column."""
    start = EPOCH + timedelta(microseconds=span.start_us)
    row: dict[str, Any] = {name: getattr(span, name) for name in (*SAME, *MORE, "input", "output")}
    row |= {"project": slugs[span.project_id], "start_time": start}
    row["end_time"] = start + timedelta(microseconds=span.duration_us)
    row["duration_ms"] = span.duration_us / 1000
    row["ttft_ms"] = None if span.ttft_us is None else span.ttft_us / 1000
    row |= {f"{kind}_tokens": getattr(span, f"{kind}_tokens") for kind in TOKENS}
    for kind in ("prompt", "completion", "total"):
        cost = getattr(span, f"{kind}_cost")
        row[f"{kind}_cost_usd"] = None if cost is None else Decimal(cost) / 10**12
    for name in ("user_id", "session_id", "team", "environment", "tags"):
        own = getattr(span, name)
        row[name] = own if own is not None else trace.inherited(name)
    row["environment"] = row["environment"] or "default"
    row["tags"] = row["tags"] or []
    row["flags"] = [str(flag.name).lower() for flag in Flag if flag & span.flags]
    for name in ("usage", "labels", "attributes", "events"):
        text = getattr(span, name)
        row[name] = None if text is None else json.loads(text)
    return row


def sums(rows: Sequence[SpanRow]) -> dict[str, int | None]:
    def total(name: str, found: Iterable[SpanRow]) -> int | None:
        known = [getattr(row, name) for row in found if getattr(row, name) is not None]
        return sum(known) if known else None

    billable = [row for row in rows if row.billable]
    return {
        "rows": len(rows),
        "requests": len(billable),
        "total_cost": total("total_cost", billable),
        "total_tokens": total("total_tokens", billable),
        "all_cost": total("total_cost", rows),
        "all_tokens": total("total_tokens", rows),
    }
