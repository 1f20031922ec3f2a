"""After an upgrade the cells stay the ordinary tables they were: refresh, answers, reconcile and retention go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import call_command
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.metrics import retention
from apps.metrics.reconcile import examine
from apps.metrics.refresh import refresh
from apps.traces import storage, upgrade
from apps.traces.columns import SpanRow
from apps.traces.tiers import Tier
from apps.traces.writer import write
from tests.metrics.test_oracle import NOW, check_all, histograms_preferred, late_arrivals, traffic
from tests.support.cells import cells, clear_cells, marks
from tests.timescale import plain

DAY = timedelta(days=1)
GROUPS = ((), ("environment", "model"))


@pytest.fixture(autouse=True)
def _plain_tables(timescale: BaseDatabaseWrapper) -> Iterator[None]:
    clear_cells()
    aggregates = plain.plain_cells()
    plain.plain_spans()
    with time_machine.travel(NOW, tick=False):
        yield
    upgrade.upgrade(lambda _: None, force=True)
    clear_cells()
    if aggregates:
        plain.aggregates()


def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The native server has connections of other tests, which are no hub."""
    monkeypatch.setattr(upgrade, "_others", lambda _: 0)


def _right(rows: list[SpanRow]) -> set[str]:
    assert examine(NOW - 7 * DAY, NOW, now=NOW).differences == []
    with histograms_preferred():
        return check_all(rows, GROUPS, ["1hour"])


def test_cells_stay_tables_and_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = traffic(6, 100)
    write(rows)
    refresh(NOW)
    before = cells("usage_1d")
    _alone(monkeypatch)
    out = StringIO()
    call_command("storage", "upgrade", "--json", stdout=out, stderr=StringIO())
    status = json.loads(out.getvalue())
    assert (status["tier"], status["usage_cells"]) == (storage.tier(), "ordinary tables")
    assert storage.tier().hypertables
    assert (marks(), cells("usage_1d")) == (0, before)
    assert "rollup_1h" in _right(rows)
    late = late_arrivals(rows)
    write(late)
    assert {"raw"} < _right([*rows, *late])
    refresh(NOW)
    assert marks() == 0
    assert "rollup_1h" in _right([*rows, *late])
    assert retention.expire_cells(NOW + 60 * DAY)["usage_1m"] > 0
    assert len(cells("usage_1d")) >= len(before)


def test_the_status_says_what_the_cells_are() -> None:
    upgrade.upgrade(lambda _: None, force=True)
    out = StringIO()
    call_command("storage", "status", stdout=out)
    assert "usage cells: ordinary tables" in out.getvalue()
    if storage.tier() is Tier.TIMESCALE:
        plain.aggregates()
        assert upgrade.status()["usage_cells"] == "continuous aggregates"
        plain.plain_cells()


@pytest.mark.parametrize("cut", [True, False])
def test_what_was_refreshed_from_half_the_days_is_done_again(cut: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub ran in the middle of an upgrade: one that was cut short, or one that was forced."""
    rows = traffic(7, 60)
    write(rows)
    refresh(NOW)
    monkeypatch.setattr(upgrade, "_others", lambda _: 0 if cut else 1)
    late: list[SpanRow] = []

    def meddle(_: str) -> None:
        if not late:
            late.extend(late_arrivals(rows))
            write(late)
            refresh(NOW)
        if cut:
            raise KeyboardInterrupt

    if cut:
        with pytest.raises(KeyboardInterrupt):
            upgrade.upgrade(meddle)
        upgrade.upgrade(lambda _: None)
    else:
        upgrade.upgrade(meddle, force=True)
    assert marks() > 0
    refresh(NOW)
    assert examine(NOW - 7 * DAY, NOW, now=NOW).differences == []
    _right([*rows, *late])


def test_an_undisturbed_upgrade_marks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    write(traffic(8, 10))
    refresh(NOW)
    _alone(monkeypatch)
    upgrade.upgrade(lambda _: None)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM span_mark")
        assert cursor.fetchone() == (0,)
