"""GET /api/v1/metrics: shape, names, sources and refusals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from django.test import Client

from apps.orgs.authentication import forget_keys
from apps.orgs.models import Organization, Project
from apps.orgs.services import api_key_create
from apps.traces.writer import write
from tests.support.cells import clear_cells
from tests.support.spans import T0, span_row

pytestmark = pytest.mark.django_db(transaction=True)
RANGE = {"start_time": "2026-11-05T12:00:00Z", "end_time": "2026-11-05T14:00:00Z"}


@pytest.fixture(autouse=True)
def _at_t0() -> Iterator[None]:
    clear_cells()
    forget_keys()
    with time_machine.travel(T0, tick=False):
        yield
    clear_cells()


@pytest.fixture
def project() -> Project:
    organization = Organization.objects.create(slug="acme", name="Acme")
    return Project.objects.create(organization=organization, slug="default", name="Default")


@pytest.fixture
def ask(client: Client, project: Project) -> Any:
    _, key = api_key_create(organization=project.organization, role="viewer")

    def get(**params: str) -> Any:
        return client.get("/api/v1/metrics", {**RANGE, **params}, headers={"x-api-key": key})

    return get


def test_a_series_has_the_metrics_own_names(ask: Any, project: Project) -> None:
    write([span_row(project_id=project.pk), span_row(project_id=project.pk, status="error")])
    answer = ask(metrics="request_count,total_cost,error_rate", interval="1hour", group_by="provider,model")
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert body["data"] == [
        {
            "timestamp": "2026-11-05T12:00:00Z",
            "provider": "openai",
            "model": "gpt-4o",
            "request_count": 2,
            "total_cost": 0.009,
            "error_rate": 0.5,
        }
    ]
    metadata = body["metadata"]
    assert metadata["data_source"] == ["raw"]
    assert metadata["metrics"] == ["request_count", "total_cost", "error_rate"]
    assert (metadata["start_time"], metadata["end_time"]) == (RANGE["start_time"], RANGE["end_time"])
    assert metadata["total_points"] == 1
    assert body["meta"]["cached"] is False
