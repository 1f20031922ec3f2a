"""A process that is killed at each step of its work, exactly there: nothing is offered by halves, nothing is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

if TYPE_CHECKING:
    from tests.exports.jobbing import Place

TEXT = b"trace_id,span_id\n" + b"a,b\n" * 50_000


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(function: Callable[..., Any]) -> Callable[..., Any]:
    return die


def after(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*arguments: Any, **options: Any) -> None:
        function(*arguments, **options)
        die()

    return run


STEPS = {
    "in the middle of the file": ("produce", before, 2),
    "with the file made": ("produce", after, 2),
    "with the name noted": ("reserve", after, 2),
    "before storing": ("keep", before, 2),
    "with the file stored": ("keep", after, 2),
    "before it is offered": ("complete", before, 2),
    "with the file offered": ("complete", after, 1),
    "before the last files are cleaned": ("rmtree", before, 1),
}


@pytest.mark.processes
@pytest.mark.parametrize("step", STEPS)
def test_killed(acme: Place, own_storage: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    from apps.exports import storage
    from apps.exports.jobs import endings, enqueue, folders, work
    from apps.exports.jobs.sweep import sweep
    from tests.exports.jobbing import age, content, files, say

    monkeypatch.setattr(enqueue, "run_export", lambda *_, **__: True)
    monkeypatch.setattr(work, "produce", say(TEXT))
    places = {"produce": work, "reserve": endings, "keep": storage, "complete": endings, "rmtree": folders.shutil}  # type: ignore[attr-defined]
    name, wrap, attempts = STEPS[step]
    job = acme.job()
    connection.close()
    child = os.fork()
    if child == 0:
        if step == "in the middle of the file":
            work.produce = say(TEXT, before=die)  # type: ignore[attr-defined]
        else:
            setattr(places[name], name, wrap(getattr(places[name], name)))
        work.run(job.pk)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL

    def offered() -> set[str]:
        job.refresh_from_db()
        assert (job.status == "completed") == bool(job.file), job.status
        if job.file:
            assert content(job.file) == TEXT
        return {job.file} - {""}

    assert len(offered()) == (attempts == 1)
    assert list(folders.root().glob("*")), "a killed process cleans nothing"
    if attempts == 2:
        assert work.run(job.pk) is None, "it may be alive still"
        age(job.pk, 31)
        work.run(job.pk)
    sweep()
    assert files() == offered() != set()
    assert (job.attempt, job.lost) == (attempts, attempts - 1)
    assert len(job.stored) == 1
    assert not list(folders.root().glob("*"))
