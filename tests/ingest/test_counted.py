"""Spans are counted as they are acknowledged or refused."""

from __future__ import annotations

from datetime import UTC, datetime

from prometheus_client import REGISTRY

from tests.ingest.world import Sender


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_accepted_and_refused_spans_are_counted(acme: Sender) -> None:
    start = datetime.now(UTC).isoformat()
    good = [{"trace_id": "t", "span_id": str(number), "start_time": start, "duration_ms": 1} for number in range(3)]
    old = {**good[0], "span_id": "old", "start_time": "2001-01-01T00:00:00Z"}
    before = value("spans_ingested_total"), value("spans_rejected_total", reason="older_than_retention")
    for _ in range(2):
        assert acme.post({"spans": [*good, old]}, "/api/v1/traces").status_code == 200
    assert value("spans_ingested_total") - before[0] == 6
    assert value("spans_rejected_total", reason="older_than_retention") - before[1] == 2
