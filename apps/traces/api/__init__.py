"""Traces, scores, sessions and users: their routes."""

from __future__ import annotations

from django.urls import URLPattern, path

from apps.traces.api.scores import ScoreDetail
from apps.traces.api.search import SearchView
from apps.traces.api.sessions import SessionDetail, SessionsList
from apps.traces.api.traces import TraceView

urlpatterns: list[URLPattern] = [
    path("api/v1/traces/search", SearchView.as_view(), name="search-traces"),
    path("api/v1/traces/<str:trace_id>", TraceView.as_view(), name="trace"),
    path("api/v1/sessions", SessionsList.as_view(), name="sessions"),
    path("api/v1/sessions/<path:session_id>", SessionDetail.as_view(), name="session"),
    path("api/v1/scores/<str:score_id>", ScoreDetail.as_view(), name="score"),
]
