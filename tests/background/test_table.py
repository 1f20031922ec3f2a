"""Every task has its queue and its limits, and the beat table names tasks that exist."""

from __future__ import annotations

import threading

import pytest
from celery import current_app
from kombu.exceptions import OperationalError as BrokerAway

from apps.common.observe.background import QUEUES
from apps.common.resilience import FIRST_SECONDS, MOST_SECONDS
from celery_worker.app import app
from celery_worker.base import HubTask, pause
from celery_worker.beat import SCHEDULE
from celery_worker.work import TASKS, VISIBILITY_SECONDS, full_name


def test_every_task_is_in_the_table() -> None:
    app.loader.import_default_modules()
    assert {name for name in app.tasks if not name.startswith("celery.")} == {full_name(name) for name in TASKS}


@pytest.mark.parametrize("name", TASKS)
def test_tasks_have_what_the_table_says(name: str) -> None:
    app.loader.import_default_modules()
    task, work = app.tasks[full_name(name)], TASKS[name]
    assert isinstance(task, HubTask), "errors that pass are tried again"
    assert work.queue in QUEUES
    assert (task.soft_time_limit, task.time_limit) == (work.seconds, work.hard_seconds)
    assert task.acks_late is work.again
    assert app.amqp.router.route({}, task.name)["queue"].name == work.queue
    # Else the broker would give a task to a second worker while the first is still at it.
    assert work.hard_seconds < VISIBILITY_SECONDS


def test_the_beat_table_names_tasks() -> None:
    assert {entry["task"] for entry in SCHEDULE.values()} <= {full_name(name) for name in TASKS}


def test_a_queue_that_does_not_exist_is_not_made() -> None:
    from celery.exceptions import QueueNotFound

    with pytest.raises(QueueNotFound):
        app.amqp.router.route({"queue": "export"}, full_name("refresh_rollups"))


def test_any_thread_of_any_process_sends_to_our_broker() -> None:
    """Django's start sets the application; nobody imported it here."""
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(current_app.main))
    thread.start()
    thread.join()
    assert seen == [app.main] == ["analytics_hub"]


def test_pauses_double_up_to_the_cap() -> None:
    for tries in range(1, 20):
        longest = min(MOST_SECONDS, FIRST_SECONDS * 2 ** (tries - 1))
        assert all(longest / 2 <= pause(tries) <= longest for _ in range(50))


def test_without_a_broker_sending_fails_at_once() -> None:
    with app.connection_for_write("redis://127.0.0.1:1/0") as away, pytest.raises(BrokerAway):
        app.send_task(full_name("refresh_rollups"), connection=away)
