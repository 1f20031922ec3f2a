"""The hub's own counters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY

from apps.common.observe import telemetry


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.fixture(autouse=True)
def own_windows() -> Iterator[None]:
    yield
    telemetry.turn_window()
    telemetry.turn_window()


def test_spans() -> None:
    before, refused = value("spans_ingested_total"), value("spans_rejected_total", reason="test")
    telemetry.spans_ingested(7)
    telemetry.spans_ingested(0)
    telemetry.spans_rejected("test", 3)
    assert value("spans_ingested_total") - before == 7
    assert value("spans_rejected_total", reason="test") - refused == 3


def test_cache_and_limits() -> None:
    telemetry.cache_hit("test")
    telemetry.cache_hit("test")
    telemetry.cache_miss("test")
    telemetry.rate_limited("test")
    assert value("cache_hits_total", area="test") == 2
    assert value("cache_misses_total", area="test") == 1
    assert value("rate_limit_exceeded_total", bucket="test") == 1


def test_the_fewest_tokens_are_told_for_two_windows() -> None:
    for remaining in (9, 4, 6):
        telemetry.rate_remaining("test", remaining)
    assert value("rate_limit_remaining", bucket="test") == 4
    telemetry.turn_window()
    telemetry.rate_remaining("test", 5)
    assert value("rate_limit_remaining", bucket="test") == 4
    telemetry.turn_window()
    assert value("rate_limit_remaining", bucket="test") == 5
    telemetry.turn_window()
    assert value("rate_limit_remaining", bucket="test") == telemetry.NOBODY


def test_a_request() -> None:
    telemetry.request_answered("GET", "/test/<id>", 200, 0.003, None, 2_000)
    telemetry.request_answered("GET", "/test/<id>", 404, 0.3, 10, 100)
    route = {"method": "GET", "route": "/test/<id>"}
    assert value("http_requests_total", **route, status="200") == 1
    assert value("http_requests_total", **route, status="404") == 1
    assert value("http_request_duration_seconds_bucket", **route, le="0.005") == 1
    assert value("http_request_duration_seconds_count", **route) == 2
    assert value("http_request_size_bytes_count", **route) == 1
    assert value("http_response_size_bytes_sum", **route) == 2_100


def test_made_up_methods_share_a_label() -> None:
    for method in ("BREW", "PROPFIND", "get"):
        telemetry.request_answered(method, "/test/methods", 405, 0.001, 0, 10)
    assert value("http_requests_total", method="OTHER", route="/test/methods", status="405") == 3
    assert value("http_request_duration_seconds_count", method="OTHER", route="/test/methods") == 3
