"""What the hub counts about itself, for Prometheus: all counters, and the small functions that feed them.

With PROMETHEUS_MULTIPROC_DIR set, as `manage.py up` does, each process counts in a file of its own there and a scrape
adds the files up, so any process can answer it. Otherwise a process counts for itself. Labels hold names of ours alone
(routes, buckets, areas, reasons), never what a caller wrote. Figures that are asked for only when a scrape comes are
in apps.common.observe.scrape.
"""

from __future__ import annotations

import threading
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_TASK_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)
_BYTES = (256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216)
_ROUTE = ("method", "route")

http_requests = Counter("http_requests_total", "Requests answered.", (*_ROUTE, "status"))
http_duration = Histogram("http_request_duration_seconds", "Time until the answer was ready.", _ROUTE, buckets=_SECONDS)
http_request_size = Histogram("http_request_size_bytes", "Body as it came in.", _ROUTE, buckets=_BYTES)
http_response_size = Histogram("http_response_size_bytes", "Body as it went out.", _ROUTE, buckets=_BYTES)
db_duration = Histogram("db_query_duration_seconds", "Statements.", ("operation",), buckets=_SECONDS)
db_errors = Counter("db_errors_total", "Statements and connections that failed.", ("kind",))
db_pool_connections = Gauge(
    "db_pool_connections", "Pooled connections of all web processes.", ("state",), multiprocess_mode="livesum"
)
db_pool_size = Gauge("db_pool_size", "Most connections that the web processes may have.", multiprocess_mode="livesum")
db_pool_waiting = Gauge("db_pool_waiting", "Requests waiting for a pooled connection.", multiprocess_mode="livesum")
cache_hits = Counter("cache_hits_total", "Answers found in the cache.", ("area",))
cache_misses = Counter("cache_misses_total", "Answers that had to be computed.", ("area",))
rate_limit_exceeded = Counter("rate_limit_exceeded_total", "Requests refused for want of tokens.", ("bucket",))
rate_limit_remaining = Gauge(
    "rate_limit_remaining", "Fewest tokens that a caller had left lately.", ("bucket",), multiprocess_mode="livemin"
)
ingested = Counter("spans_ingested_total", "Spans accepted, those sent again included.")
rejected = Counter("spans_rejected_total", "Spans refused.", ("reason",))
tasks = Counter("celery_tasks_total", "Tasks by how they ended.", ("task", "state"))
task_duration = Histogram("celery_task_duration_seconds", "Tasks that ran.", ("task",), buckets=_TASK_SECONDS)
export_jobs = Counter("export_jobs_total", "Exports that are over, by how they ended.", ("kind", "format", "status"))


def spans_ingested(count: int) -> None:
    """Spans that were acknowledged."""
    if count:
        ingested.inc(count)


def spans_rejected(reason: str, count: int) -> None:
    """Spans that were refused; the reason is one of a fixed list."""
    if count:
        rejected.labels(reason).inc(count)


def task_ended(task: str, state: str, seconds: float | None) -> None:
    """A task is over: success, failure, retry; killed with its process; or expired or revoked before it began.

    Args:
        seconds: how long it ran, where somebody knows.
    """
    tasks.labels(task, state).inc()
    if seconds is not None:
        task_duration.labels(task).observe(seconds)


def cache_hit(area: str) -> None:
    cache_hits.labels(area).inc()


def cache_miss(area: str) -> None:
    cache_misses.labels(area).inc()


def rate_limited(bucket: str) -> None:
    """A request was refused by the bucket of this name (`requests`, `traces/search`: never a caller's key)."""
    rate_limit_exceeded.labels(bucket).inc()


NOBODY = float("inf")
_lowest: dict[str, float] = {}
_lowest_before: dict[str, float] = {}
_lock = threading.Lock()


def rate_remaining(bucket: str, remaining: int) -> None:
    """A caller was charged and has so many tokens left. Cheap: only a new lowest figure is written down."""
    if remaining < _lowest.get(bucket, NOBODY):
        with _lock:
            _lowest[bucket] = min(remaining, _lowest.get(bucket, NOBODY))
            shown = min(_lowest[bucket], _lowest_before.get(bucket, NOBODY))
        rate_limit_remaining.labels(bucket).set(shown)


def turn_window() -> None:
    """Forget the lowest figures of the window before the last; called every few seconds."""
    with _lock:
        known = {*_lowest, *_lowest_before}
        _lowest_before.clear()
        _lowest_before.update(_lowest)
        _lowest.clear()
    for bucket in known:
        rate_limit_remaining.labels(bucket).set(_lowest_before.get(bucket, NOBODY))


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_routes: dict[tuple[str, str], tuple[Any, Any, Any, dict[int, Any]]] = {}


def request_answered(
    method: str, route: str, status: int, seconds: float, received: int | None, sent: int | None
) -> None:
    """Count one request.

    Args:
        route: the pattern of the route, never the path.
        received: bytes of the body; None where nobody knows.
        sent: bytes of the answer; None for a stream.
    """
    known = _routes.get((method, route))
    if known is None:
        known = _know_route(method, route)
    duration, request_size, response_size, by_status = known
    counter = by_status.get(status)
    if counter is None:
        label = method if method in _METHODS else "OTHER"
        counter = by_status[status] = http_requests.labels(label, route, str(status))
    counter.inc()
    duration.observe(seconds)
    if received is not None:
        request_size.observe(received)
    if sent is not None:
        response_size.observe(sent)


def _know_route(method: str, route: str) -> tuple[Any, Any, Any, dict[int, Any]]:
    label = method if method in _METHODS else "OTHER"
    made: tuple[Any, Any, Any, dict[int, Any]] = (
        http_duration.labels(label, route),
        http_request_size.labels(label, route),
        http_response_size.labels(label, route),
        {},
    )
    if label == method:  # a made-up method is not remembered
        _routes[method, route] = made
    return made


def statement_done(operation: str, seconds: float) -> None:
    db_duration.labels(operation).observe(seconds)


def database_failed(kind: str) -> None:
    db_errors.labels(kind).inc()
