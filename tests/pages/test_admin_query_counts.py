"""How many statements each page of the administration costs, against a checked-in table; rows change nothing.

After a change that is meant: UPDATE_GOLDEN=1, and read the difference.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.orgs.models import Organization, User
from apps.traces.tiers import detect
from tests.pages.conftest import PASSWORD
from tests.pages.test_admin import fill
from tests.pages.test_admin_exports import finished
from tests.support.world import World

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "admin_query_counts.json"
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
PAGES = ("index", "search", "storage", "background")
# What is counted elsewhere, or not at all: tables that may hold millions of rows.
HOT = ("span", "span_content", "span_text", "trace", "ingest_deadletter", "orgs_auditentry", "exports_exportjob")
_BOOKKEEPING = ("SAVEPOINT", "RELEASE", "ROLLBACK", "SET LOCAL")


def more(world: World, number: int) -> None:
    """More of everything, of every model that the administration has."""
    from apps.costs.budgets.models import Budget
    from apps.costs.pricebook.models import PriceEntry, PriceVersion
    from apps.costs.repricing.models import RepriceJob
    from apps.exports.models import ExportLimit, ExportSchedule
    from apps.ingest.models import DeadLetter
    from apps.orgs.models import AuditEntry

    fill(world, number)
    of = {"organization": world.acme, "author": "ada@acme.example", "project_ids": [world.web.pk]}
    for organization in Organization.objects.filter(export_limit=None):
        ExportLimit.objects.create(organization=organization, active_jobs=1, running_jobs=1, stored_bytes=1)
    for _ in range(number):
        finished(world.acme)
        made = Organization.objects.order_by("-pk").values_list("pk", flat=True)[0] * 1000 + Budget.objects.count()
        project = world.web if made % 2 else world.default
        ExportSchedule.objects.create(name=f"s{made}", kind="costs", cron="0 2 * * *", period="previous_day",
                                      created_at=NOW, updated_at=NOW, **of)  # fmt: skip
        Budget.objects.create(organization=world.acme, name=f"b{made}", amount=1, period="day", starts_on=NOW.date())
        DeadLetter.objects.create(project=project, source="otlp", reason="malformed", message="x", payload="{}")
        AuditEntry.objects.create(organization_id=world.acme.pk, action="key.create", outcome="done", actor="x")
        entry = PriceEntry.objects.create(organization=world.acme, created_at=NOW)
        for version in (1, 2):
            PriceVersion.objects.create(
                entry=entry, organization=world.acme, number=version, match="exact", model=f"m{made}", prices={},
                author="x", recorded_at=NOW, superseded_at=NOW if version == 1 else None,
            )  # fmt: skip
        RepriceJob.objects.create(start_time=NOW, end_time=NOW + timedelta(days=1), believed_at=NOW, price_list="1",
                                  created_at=NOW, state="applied", **of)  # fmt: skip


def addresses() -> dict[str, str]:
    """Every page: of each model its list, its CSV, its form for a new one, and one object's."""
    found = {f"/admin/{name}": reverse(f"admin:{name}") for name in PAGES}
    found["/admin/search"] += "?q=a"
    for model, model_admin in admin.site._registry.items():
        page = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        name = f"{model._meta.app_label}/{model._meta.model_name}"
        found[name], found[f"{name}/csv"] = reverse(f"{page}_changelist"), reverse(f"{page}_csv")
        if "add" in getattr(model_admin, "offers", ()):
            found[f"{name}/add"] = reverse(f"{page}_add")
        found[f"{name}/one"] = reverse(f"{page}_change", args=[model._default_manager.order_by("pk")[0].pk])
    return found


def cost(desk: Client, address: str) -> list[str]:
    # A slow machine would have its statements' limit set again on the way.
    patient = mock.patch("apps.common.edge.deadline.SLACK_SECONDS", 1e9)
    with patient, CaptureQueriesContext(connection) as seen:
        answer: Any = desk.get(address)
        if answer.streaming:
            b"".join(answer)
    assert answer.status_code == 200, address
    return [one["sql"] for one in seen if not one["sql"].startswith(_BOOKKEEPING)]


@pytest.fixture
def desk(web: Client, world: World) -> Client:
    web.force_login(User.objects.create_superuser("aroot@hub.example", PASSWORD))
    return web


def test_every_page_costs_what_the_table_says_whatever_the_number_of_rows(desk: Client, world: World) -> None:
    more(world, 1)
    ContentType.objects.get_for_models(*admin.site._registry)  # which a process looks up once
    pages = addresses()
    few = {name: cost(desk, address) for name, address in pages.items()}
    more(world, 30)
    many = {name: cost(desk, address) for name, address in pages.items()}
    table = {name: len(statements) for name, statements in sorted(few.items())}
    assert {name: len(statements) for name, statements in sorted(many.items())} == table
    counting = [sql for statements in many.values() for sql in statements if "COUNT(*)" in sql and "LIMIT" not in sql]
    assert not [sql for sql in counting if any(f'FROM "{table}"' in sql for table in HOT)], "no hot table is counted"

    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    expected = json.loads(GOLDEN.read_text(encoding="utf-8"))
    if detect(connection).hypertables:
        expected["/admin/storage"] = table["/admin/storage"]  # asks TimescaleDB other questions
    assert table == expected, "run with UPDATE_GOLDEN=1 if the change is meant"
