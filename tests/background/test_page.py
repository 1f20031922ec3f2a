"""The page "Background work" and the figures of a scrape, with a real worker at work and a real beat."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.urls import reverse

from tests.support.workers import CeleryProcess, celery_process, running_worker, until

if TYPE_CHECKING:
    from django.test import Client

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[CeleryProcess]:
    """On the tests' own broker, since the page asks that one."""
    from apps.common.observe.background import KEY_PREFIX, LEASE, QUEUES, RAN, SENT, broker

    server = broker()
    assert server is not None
    keys = (*(f"{KEY_PREFIX}{queue}" for queue in QUEUES), f"{KEY_PREFIX}unacked", LEASE, SENT, RAN)
    server.delete(*keys)
    with (
        celery_process(("beat", "--pidfile", ""), tmp_path / "beat.log", "tests.support.worker_app", TEST_BEAT="1"),
        running_worker(tmp_path / "worker.log", "hub", "exports", app="tests.support.worker_app") as one,
    ):
        yield one
    server.delete(*keys)


@pytest.mark.django_db
def test_who_works_on_what(worker: CeleryProcess, client: Client, tmp_path: Path) -> None:
    from apps.common.observe.background import LEASE, broker, last_runs, queue_depths
    from apps.orgs.models import User
    from celery_worker.app import app

    client.force_login(User.objects.create_superuser("root@hub.example", "correct horse 17"))
    notes = tmp_path / "notes"
    app.send_task("tests.fail", (str(notes), 0), queue="hub")
    until(lambda: "fail" in last_runs(), what=lambda: worker.text)
    app.send_task("tests.work_until_stopped", (str(notes), 60.0), queue="exports")
    app.send_task("tests.work_until_stopped", (str(notes), 60.0), queue="exports")
    until(lambda: notes.exists() and "begun" in notes.read_text(encoding="utf-8"), what=lambda: worker.text)
    server = broker()
    assert server is not None
    until(lambda: server.get(LEASE) is not None)

    context: Any = client.get(reverse("admin:background")).context
    (seen,) = context["workers"]
    assert (seen.queues, seen.processes, seen.stopping) == (("exports", "hub"), 1, False)
    (running,) = seen.running
    assert (running.task, running.arguments) == ("work_until_stopped", (str(notes), "60.0"))
    assert timedelta() <= context["now"] - running.since < timedelta(minutes=1)
    queues = {queue.name: queue for queue in context["queues"]}
    assert queues["exports"].taken == 1
    assert queues["exports"].waiting == 1
    assert queues["maintenance"].workers == ()
    assert queues["hub"].workers == (seen.name,)
    assert context["holder"].seconds_left > 0
    ended = {one.task: one for one in context["periodic"]}
    assert ended["fail"].state == "success"
    assert ended["fail"].every is None
    depths = queue_depths()
    assert depths is not None
    assert depths["exports", "taken"] == 1


@pytest.mark.django_db
def test_the_age_of_the_oldest_waiting_export() -> None:
    from django.utils import timezone

    from apps.exports.models import ExportJob
    from apps.exports.waiting import oldest_waiting
    from tests.pages.test_admin_exports import job_of
    from tests.support.world import make_world

    world = make_world()
    assert oldest_waiting() == 0
    now = timezone.now()
    job_of(world.acme, created_at=now - timedelta(hours=1))
    job_of(world.acme, created_at=now - timedelta(hours=2), status=ExportJob.Status.PROCESSING)
    assert 3600 <= oldest_waiting() < 7000
