"""A hub with awkward traffic in it for all oracle tests of a file: one organization's is folded, another's is not.

The figures are recomputed without apps/; only the fixtures here use it, to make the organizations.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from pytest_django import DjangoDbBlocker

from tests.oracle import raw, traffic

DAYS = 6


@dataclass
class Asked:
    """How to ask the hub about one organization, and the range in which its traffic lies (whole days)."""

    name: str
    start: datetime
    end: datetime
    projects: dict[str, int]
    headers: dict[str, str]
    client: Client

    @property
    def range(self) -> dict[str, str]:
        return {"start_time": self.start.isoformat(), "end_time": self.end.isoformat()}

    def get(self, path: str, **parameters: Any) -> Any:
        return parsed(self.client.get(path, parameters, headers=self.headers))

    def post(self, path: str, body: Any, **headers: str) -> Any:
        content, everything = json.dumps(body), {**self.headers, **headers}
        return parsed(self.client.post(path, content, content_type="application/json", headers=everything))

    def send(self, wave: dict[str, list[traffic.Span]]) -> None:
        for slug, spans in wave.items():
            if spans:
                answer = self.post("/api/v1/traces", {"spans": spans}, **{"X-Project": slug})
                assert not answer["rejected"], answer


def parsed(answer: Any) -> Any:
    """An answer's document; numbers with a point are exact decimals."""
    assert answer.status_code == 200, answer.content[:2000]
    return json.loads(answer.content, parse_float=Decimal)


def _organization(name: str, start: datetime, end: datetime) -> Asked:
    from apps.orgs.services import api_key_create, organization_bootstrap, project_create

    made = organization_bootstrap(
        organization=name, project="default", email=f"ada@{name}.example", password="correct horse battery"
    )
    web = project_create(organization=made.organization, slug="web")
    _, key = api_key_create(organization=made.organization, role="admin")
    projects = {"default": made.project.pk, "web": web.pk}
    client = Client(raise_request_exception=False)
    return Asked(name, start, end, projects, {"Authorization": f"Bearer {key}"}, client)


def _refresh() -> None:
    call_command("refresh", once=True, stdout=StringIO())


@pytest.fixture(scope="module")
def hubs(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[dict[str, Asked]]:
    """Two organizations: what came late for the traces of `folded` is in the rollups, of `dirty` it is not."""
    from tests.support.cells import clear_cells

    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = end - timedelta(days=DAYS)
    with django_db_blocker.unblock():
        clear_cells()
        call_command("flush", interactive=False, verbosity=0)
        made = {name: _organization(name, start, end) for name in ("folded", "dirty")}
        folded, dirty = (traffic.make(seed, start, DAYS, 150).waves for seed in (1, 2))
        made["folded"].send(folded[0])
        made["dirty"].send(dirty[0])
        _refresh()
        for wave in folded[1:]:
            made["folded"].send(wave)
        _refresh()
        for wave in dirty[1:]:
            made["dirty"].send(wave)
        yield made
        clear_cells()
        call_command("flush", interactive=False, verbosity=0)


@pytest.fixture(params=["folded", "dirty"])
def hub(request: pytest.FixtureRequest, hubs: dict[str, Asked]) -> Asked:
    asked = hubs[request.param]
    raw.about(asked.projects.values())
    return asked
