"""Plans and statements without a database: sources chosen, the tenant's border, and the SQL of some questions.

The expected SQL is in tests/golden; `UPDATE_GOLDEN=1 pytest tests/unit/test_metrics_statement.py` writes it anew.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apps.metrics.catalog import CATALOGUE
from apps.metrics.planner import EXACT_SPANS, plan
from apps.metrics.rollups import ROLLUPS
from apps.metrics.spec import Filter, Having, MetricRef, QuerySpec, Sort
from apps.metrics.state import RollupState
from apps.metrics.statement import UnscopedQuery, compile_part

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
T = datetime(2026, 11, 5, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def state(**changes: Any) -> RollupState:
    """Everything built up to T, nothing dirty, a great many spans."""
    base = RollupState(
        watermarks=dict.fromkeys(ROLLUPS, T),
        dirty=(),
        attribution_dirty=None,
        raw_from=T - 90 * DAY,
        now=T + timedelta(hours=1),
        raw_estimate=10**7,
        kept_days={"rollup_1m_retention_days": 37, "rollup_1h_retention_days": 400, "cells_1h_retention_days": 90},
    )
    return replace(base, **changes)


def spec(*metrics: str, **changes: Any) -> QuerySpec:
    refs = []
    for name in metrics:
        metric, _, aggregation = name.partition(":")
        refs.append(MetricRef(metric, aggregation or CATALOGUE[metric].natural, metric + aggregation))
    base = QuerySpec(organization_id=1, project_ids=(7,), start=T - 7 * DAY, end=T, metrics=tuple(refs))
    return replace(base, **changes)


QUESTIONS: dict[str, tuple[QuerySpec, RollupState]] = {
    "cost_by_model": (
        spec("total_cost", "request_count", group_by=("model",), sort=(Sort("total_cost", True),), limit=10),
        state(),
    ),
    "hourly_with_a_dirty_minute": (
        spec("request_count", "error_rate", "throughput", interval="1hour", end=T + timedelta(minutes=5)),
        state(dirty=((T - DAY + 90 * MINUTE, T - DAY + 91 * MINUTE),)),
    ),
    "users_with_marks": (
        spec("unique_users", filters=(Filter("environment", "ne", ("production",)),), end=T + timedelta(hours=1)),
        state(dirty=((T, T + MINUTE),), attribution_dirty=()),
    ),
    "percentiles_from_histograms": (
        spec("duration:p50", "duration:p95", interval="1day", group_by=("model",), end=T + MINUTE),
        state(),
    ),
    "percentiles_of_few": (
        spec("ttft:p95", filters=(Filter("model", "not_in", ("a", "b", None)),)),
        state(raw_estimate=EXACT_SPANS),
    ),
    "months_in_a_zone": (
        spec(
            "duration",
            interval="1month",
            tz="Asia/Kolkata",
            start=T - 60 * DAY,
            having=(Having("duration", "gt", Decimal(1)),),
        ),
        state(),
    ),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_golden(name: str) -> None:
    question, known = QUESTIONS[name]
    chosen = plan(question, known)
    text = "\n;\n".join(compile_part(chosen, part).sql for part in chosen.parts) + "\n"
    path = GOLDEN / f"metrics_{name}.sql"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def sources(question: QuerySpec, known: RollupState | None = None) -> list[set[str]]:
    chosen = plan(question, known or state())
    return [{segment.source for segment in part.segments} for part in chosen.parts]


def test_the_coarsest_and_narrowest_cells_answer() -> None:
    assert sources(spec("total_cost")) == [{"usage_project_1d"}]
    assert sources(spec("total_cost", group_by=("project",), interval="1hour")) == [{"usage_project_1h"}]
    assert sources(spec("total_cost", group_by=("model",), interval="15min")) == [{"usage_15m"}]
    assert sources(spec("total_cost", group_by=("user_id",))) == [{"users_project_1d"}]
    assert sources(spec("total_cost", group_by=("user_id", "model"))) == [{"users_1d"}]
    assert sources(spec("unique_sessions")) == [{"sessions_project_1d"}]
    assert sources(spec("duration:p95", interval="6hour")) == [{"latency_project_1h"}]
    assert sources(spec("total_cost", group_by=("name",))) == [{"raw"}]
    assert sources(spec("total_cost", group_by=("user_id", "session_id"))) == [{"raw"}]
    assert sources(spec("unique_users", filters=(Filter("session_id", "eq", ("s",)),))) == [{"raw"}]


def test_components_that_user_cells_lack_are_read_raw() -> None:
    assert sources(spec("total_cost", "total_cost:stddev", group_by=("user_id",))) == [{"users_project_1d"}, {"raw"}]


def test_days_in_a_zone_take_cells_that_its_midnights_do_not_cut() -> None:
    assert sources(spec("total_cost", interval="1day", tz="Europe/Berlin", end=T - timedelta(hours=1))) == [
        {"usage_project_1h"}
    ]
    found = sources(spec("total_cost", interval="1day", tz="Asia/Kolkata"))
    assert found == [{"usage_15m"}]


def test_few_spans_are_answered_exactly() -> None:
    exact = plan(spec("duration:p95"), state(raw_estimate=EXACT_SPANS))
    assert (exact.sources, exact.percentile_error) == (("raw",), 0)
    rough = plan(spec("duration:p95"), state(raw_estimate=EXACT_SPANS + 1))
    assert (rough.sources, rough.percentile_error) == (("rollup_1d",), 0.01)


def test_attribution_matters_only_to_questions_about_it() -> None:
    late = ((T - 2 * DAY, T - 2 * DAY + MINUTE),)
    known = state(attribution_dirty=late)
    assert sources(spec("total_cost", group_by=("model",)), known) == [{"usage_1d"}]
    assert "raw" in sources(spec("total_cost", group_by=("environment",)), known)[0]
    assert "raw" in sources(spec("unique_users"), known)[0]


@pytest.mark.parametrize("hole", [{"project_ids": ()}, {"organization_id": 0}])
def test_no_statement_without_a_tenant(hole: dict[str, Any]) -> None:
    chosen = plan(spec("total_cost"), state())
    broken = replace(chosen, spec=replace(chosen.spec, **hole))
    with pytest.raises(UnscopedQuery):
        compile_part(broken, chosen.parts[0])


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_segment_names_the_projects(name: str) -> None:
    question, known = QUESTIONS[name]
    chosen = plan(question, known)
    for part in chosen.parts:
        statement = compile_part(chosen, part)
        assert statement.sql.count(".project_id = ANY(") >= len(part.segments)
        assert [7] in statement.params.values()


def test_values_are_parameters() -> None:
    nasty = "x'; DROP TABLE span; --"
    chosen = plan(spec("total_cost", filters=(Filter("model", "eq", (nasty,)),)), state())
    statement = compile_part(chosen, chosen.parts[0])
    assert "DROP" not in statement.sql
    assert nasty in statement.params.values()
