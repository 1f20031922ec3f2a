"""What tests of export jobs share: an organization with spans, jobs of it, and files in the storage."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, BinaryIO
from uuid import UUID

from django.db import connection
from django.db.models.functions import Now

from apps.exports import storage
from apps.exports.jobs import services
from apps.exports.models import ExportJob
from apps.exports.produce import Produced
from apps.exports.spec import ExportSpec
from apps.orgs.audit import SYSTEM
from apps.orgs.models import Organization, Project
from apps.orgs.services import project_create
from apps.traces.writer import write
from tests.support.spans import T0, span_row

Step = Callable[[], object]


@dataclass
class Place:
    """An organization with one project."""

    organization: Organization
    project: Project

    def spec(self, **changes: Any) -> ExportSpec:
        given: dict[str, Any] = {
            "kind": "traces",
            "organization_id": self.organization.pk,
            "projects": ((self.project.pk, self.project.slug),),
            "start": T0 - timedelta(hours=1),
            "end": T0 + timedelta(hours=1),
            "format": "csv",
            "compression": "none",
            "fields": ("trace_id", "span_id"),
            "question": {"match": "spans"},
        }
        return ExportSpec(**{**given, **changes})

    def job(self, **changes: Any) -> ExportJob:
        return services.create(SYSTEM, None, self.spec(**changes))

    def write(self, count: int) -> None:
        write([span_row(project_id=self.project.pk) for _ in range(count)])


def place(slug: str) -> Place:
    organization = Organization.objects.create(slug=slug, name=slug)
    return Place(organization, project_create(organization=organization, slug="default"))


def files() -> set[str]:
    """All names that the storage has."""
    return set(storage.names())


def content(name: str) -> bytes:
    return b"".join(storage.chunks(name))


def age(job_id: UUID, seconds: float) -> None:
    """As if nobody had heard of its worker for so long."""
    ExportJob.objects.filter(pk=job_id).update(heartbeat_at=Now() - timedelta(seconds=seconds))


def say(text: bytes, *, before: Step | None = None, after: Step | None = None) -> Callable[..., Produced]:
    """A `produce` that writes this text, and does something before and after the middle of it."""

    def produce(spec: ExportSpec, out: BinaryIO, *, progress: Callable[..., None], **_: Any) -> Produced:
        progress(0, len(text))
        out.write(text[: len(text) // 2])
        out.flush()
        if before is not None:
            before()
        progress(len(text) // 2, len(text))
        out.write(text[len(text) // 2 :])
        if after is not None:
            after()
        digest = hashlib.sha256(text).hexdigest()
        return Produced({"rows": 1}, 1, len(text), digest, "text/csv", f"{spec.kind}.csv")

    return produce


def on_another_connection(step: Step) -> Step:
    """The same step, as another process would do it."""

    def run() -> None:
        from threading import Thread

        caught: list[BaseException] = []

        def work() -> None:
            try:
                step()
            except BaseException as error:  # noqa: BLE001
                caught.append(error)
            finally:
                connection.close()

        thread = Thread(target=work)
        thread.start()
        thread.join()
        if caught:
            raise caught[0]

    return run
