"""Repricing on TimescaleDB: spans that lie in columns already are changed and given back, and packed again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection

from apps.costs.pricebook.models import PriceEntry, PriceVersion
from apps.costs.repricing import services, work
from apps.orgs.audit import SYSTEM
from apps.orgs.models import Organization
from apps.traces import retention, storage
from apps.traces.tiers import Tier
from apps.traces.writer import write
from tests.support.spans import T0, span_row, us

pytestmark = pytest.mark.usefixtures("timescale")
DAYS = 12


@pytest.fixture(autouse=True)
def _at_t0(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(work, "SLICE", 40)
    with time_machine.travel(T0):
        yield


def query(sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def spans() -> list[Any]:
    return query("SELECT s.*, s.ingested_at FROM span s ORDER BY s.start_time, s.span_id")


def packed() -> list[Any]:
    return query(
        "SELECT chunk_name FROM timescaledb_information.chunks WHERE hypertable_name = 'span' AND is_compressed"
    )


def test_spans_in_columns_are_repriced_and_given_back() -> None:
    rows = [span_row(start_us=us(T0 - timedelta(hours=n)), cost_source="computed") for n in range(1, DAYS * 24)]
    write(rows)
    compressed = retention.compress(T0)
    assert bool(compressed) == (storage.tier() is Tier.TIMESCALE)
    organization = Organization.objects.create(slug="columns", name="Columns")
    try:
        entry = PriceEntry.objects.create(organization=organization, created_at=T0 - timedelta(days=1))
        PriceVersion.objects.create(
            entry=entry,
            organization=organization,
            number=1,
            match="exact",
            model="gpt-4o",
            prices={"input": "1", "output": "2"},
            author="",
            recorded_at=T0 - timedelta(days=1),
        )
        before = spans()
        job = services.reprice_count(
            actor=SYSTEM, organization_id=organization.pk, project_ids=[1], start=T0 - timedelta(days=DAYS), end=T0
        )
        assert spans() == before
        job = services.reprice_apply(actor=SYSTEM, job=job)
        assert job.state == "applied"
        assert query("SELECT total_cost, count(*) FROM span GROUP BY 1") == [(1_400_000_000, len(rows))]
        job = services.reprice_undo(actor=SYSTEM, job=job)
        assert (job.state, job.undone) == ("undone", {"restored": len(rows), "left": 0})
        assert spans() == before
        assert sorted(retention.compress(T0)) == sorted(compressed)
        assert retention.compress(T0) == []
        assert spans() == before
        assert len(packed()) == len(compressed)
    finally:
        organization.delete()
