"""The page "Background work": queues, workers and what they run, which beat sends, and how each task ended last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from celery import current_app
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from apps.common.observe import background
from apps.common.observe.workers import Worker, workers
from apps.orgs.adminsite import Page, add_page

AWAY: Final = (RedisError, OperationalError, OSError)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue, and which workers take from it."""

    name: str
    waiting: int
    taken: int | None
    workers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Periodic:
    """An entry of the beat table, or a task that is sent otherwise."""

    task: str
    entry: str = ""
    every: timedelta | None = None
    sent: datetime | None = None
    ran: datetime | None = None
    state: str = ""
    took: timedelta | None = None

    @property
    def late(self) -> bool:
        """Nobody has sent it for three times as long as it should take."""
        if self.every is None or self.sent is None:
            return False
        return datetime.now(UTC) - self.sent > 3 * self.every + timedelta(seconds=15)


def background_view(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """The page; it says so where the broker does not answer."""
    found: dict[str, Any] = {"away": False}
    try:
        there = workers()
        found |= {
            "workers": there,
            "queues": _queues(there),
            "holder": background.lease_holder(),
            "periodic": _periodic(),
        }
    except AWAY:
        found["away"] = True
    context = {**site.each_context(request), "title": "Background work", "now": datetime.now(UTC), **found}
    return render(request, "admin/background.html", context)


def _queues(there: list[Worker]) -> list[Queue]:
    depths = background.queue_depths() or {}
    return [
        Queue(
            name,
            int(depths.get((name, "waiting"), 0)),
            _maybe(depths.get((name, "taken")), int),
            tuple(worker.name for worker in there if name in worker.queues),
        )
        for name in background.QUEUES
    ]


def _periodic() -> list[Periodic]:
    """The beat table in its order, then the tasks that something else sends."""
    sent, ran = background.last_sent(), background.last_runs()
    table: dict[str, Any] = current_app.conf.beat_schedule
    rows = []
    for entry, line in table.items():
        task = str(line["task"]).rpartition(".")[2]
        every = timedelta(seconds=float(line["schedule"]))
        rows.append(Periodic(task, entry, every, _maybe(sent.get(entry), _moment), **_ended(ran.pop(task, None))))
    return rows + [Periodic(task, **_ended(one)) for task, one in sorted(ran.items())]


def _ended(one: background.Ran | None) -> dict[str, Any]:
    if one is None:
        return {}
    return {"ran": _moment(one.at), "state": one.state, "took": timedelta(seconds=one.seconds)}


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _maybe(value: float | None, made: Callable[[float], T]) -> T | None:
    return None if value is None else made(value)


add_page(Page("Background work", "background", background_view))
