"""The console's addresses."""

from __future__ import annotations

from django.urls import path

from apps.console.pages import (
    choices,
    compare,
    conversations,
    costs,
    export_new,
    exports,
    models,
    outlook,
    overview,
    performance,
    quality,
    start,
    trace,
    traces,
    users,
)
from apps.console.pages.settings import urls as settings

urlpatterns = [
    path("overview", overview.overview, name="overview"),
    path("performance", performance.performance, name="console-performance"),
    path("quality", quality.quality, name="console-quality"),
    path("quality/scores", quality.scores, name="console-scores"),
    path("conversations", conversations.conversations, name="console-conversations"),
    path("conversations/<path:session_id>", conversations.conversation, name="console-conversation"),
    path("conversation-turns/<str:trace_id>", conversations.turn, name="console-turn"),
    path("models", models.models, name="console-models"),
    path("models/compare", compare.compare, name="console-compare"),
    path("choices/<str:name>", choices.choices, name="console-choices"),
    path("exports", exports.exports, name="console-exports"),
    path("exports/new", export_new.new, name="console-export-new"),
    path("exports/<str:job_id>", exports.export, name="console-export"),
    path("exports/<str:job_id>/cancel", exports.cancel, name="console-export-cancel"),
    path("exports/<str:job_id>/again", exports.again, name="console-export-again"),
    path("start", start.start, name="start"),
    path("start/arrived", start.arrived, name="start-arrived"),
    path("traces", traces.traces, name="console-traces"),
    path("traces/views", traces.views, name="console-views"),
    path("traces/views/<int:number>/delete", traces.forget, name="console-view-delete"),
    path("traces/<str:trace_id>", trace.trace, name="console-trace"),
    path("traces/<str:trace_id>/delete", trace.delete, name="console-trace-delete"),
    path("traces/<str:trace_id>/text", trace.text, name="console-trace-text"),
    *settings.urlpatterns,
    path("overview/users", users.dearest, name="overview-users"),
    path("users", users.users, name="users-page"),
    path("users/<path:user_id>", users.user, name="user"),
    path("costs", costs.costs, name="console-costs"),
    path("costs/by", costs.divided, name="console-costs-by"),
    path("costs/change", costs.changed, name="console-costs-change"),
    path("costs/forecast", outlook.forecast, name="console-costs-forecast"),
    path("costs/unpriced", outlook.unpriced, name="console-costs-unpriced"),
    path("costs/budgets", outlook.budgets, name="console-costs-budgets"),
    path("costs/budgets/more", outlook.more_budgets, name="console-costs-budgets-more"),
    path("overview/budgets", outlook.budget_strip, name="overview-budgets"),
]
