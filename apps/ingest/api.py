"""Routes by which spans come in."""

from __future__ import annotations

from django.urls import URLPattern, path

from apps.ingest import otlp_http
from apps.ingest.json_http import JsonSpansView
from apps.ingest.scores_http import ScoresView

urlpatterns: list[URLPattern] = [
    path("v1/traces", otlp_http.traces),
    path("v1/metrics", otlp_http.metrics),
    path("v1/logs", otlp_http.logs),
    path("api/v1/traces", JsonSpansView.as_view(), name="traces"),
    path("api/v1/scores", ScoresView.as_view(), name="scores"),
    path("api/v1/private/otel/v1/traces", otlp_http.traces),
    path("api/public/otel/v1/traces", otlp_http.traces, name="langfuse-traces"),
]
OTLP_PATHS = [str(route.pattern) for route in urlpatterns if route.callback.__module__ == otlp_http.__name__]
