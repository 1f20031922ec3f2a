"""The world of ingest's tests over HTTP: an organization with a project, its key, and a client that sends spans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from django.db import connection
from django.http import HttpResponse
from django.test import Client

from apps.costs.pricebook.overrides import forget_books
from apps.orgs.authentication import forget_keys
from apps.orgs.models import Organization, Project
from apps.orgs.projects import forget_projects
from apps.orgs.services import api_key_create, project_create

PROTOBUF = "application/x-protobuf"
JSON = "application/json"


@dataclass
class Sender:
    """A key's client."""

    organization: Organization
    project: Project
    key: str

    def post(self, body: bytes | dict[str, Any], path: str = "/v1/traces", **headers: Any) -> HttpResponse:
        content_type = headers.pop("content_type", JSON)
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        sent = {"Authorization": f"Bearer {self.key}", **headers.pop("headers", {})}
        return Client().post(path, raw, content_type=content_type, headers=sent, CONTENT_TYPE=content_type, **headers)  # type: ignore[return-value]

    def change(self, **settings: Any) -> None:
        Project.objects.filter(pk=self.project.pk).update(**settings)
        forget_projects()


def acme_sender() -> Iterator[Sender]:
    """Acme with its project `default` and a key for it; what processes remember is forgotten before and after."""
    forget_keys()
    forget_projects()
    forget_books()
    organization = Organization.objects.create(slug="acme", name="Acme")
    project = project_create(organization=organization, slug="default")
    _, key = api_key_create(organization=organization, project=project, role="developer")
    yield Sender(organization, project, key)
    forget_keys()
    forget_projects()
    forget_books()


def stored(table: str = "span") -> list[dict[str, Any]]:
    """What a table holds, as dictionaries, in the order of identity."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} ORDER BY trace_id, span_id, start_time")
        names = [column.name for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    for row in rows:
        row.update({name: orjson.loads(row[name]) for name in _JSON_COLUMNS & row.keys() if row[name] is not None})
    return rows


_JSON_COLUMNS = frozenset({"attributes", "events", "labels", "usage"})
