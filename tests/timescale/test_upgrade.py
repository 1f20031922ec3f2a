"""From native partitions to hypertables, also after a start that was cut short."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import call_command
from django.db import connection

from apps.traces import schema, storage, upgrade, writer
from apps.traces.models import Span, SpanContent
from apps.traces.tiers import Tier
from tests.support.spans import T0, span_row, us
from tests.timescale.plain import plain_spans

DAY = timedelta(days=1)


@pytest.fixture
def plain_tables(timescale: object) -> Iterator[None]:
    """The tables as they are where the extension came later."""
    with time_machine.travel(T0):
        plain_spans()
        yield
        upgrade.upgrade(lambda _: None, force=True)  # whatever a test left undone


def _indexes() -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename ~ '^span'")
        return dict(cursor.fetchall())


def test_rows_move_and_the_tables_are_as_if_made_so(timescale: object, request: pytest.FixtureRequest) -> None:
    made = _indexes()
    request.getfixturevalue("plain_tables")
    rows = [span_row(start_us=us(T0 - n * DAY), output=f"o{n}") for n in range(4)]
    assert storage.tier() is Tier.POSTGRES
    assert writer.write(rows) == (4, 0, 0)
    out = StringIO()
    call_command("storage", "upgrade", "--json", "--force", stdout=out, stderr=StringIO())
    status = json.loads(out.getvalue())
    assert status["tier"].startswith("timescale")
    assert status["upgrade_unfinished"] == []
    assert status["tables"]["span"]["partitions"] == 4
    assert Span.objects.count() == SpanContent.objects.count() == 4
    assert writer.write(rows) == (0, 0, 4)
    assert _indexes() == made
    assert upgrade.upgrade(lambda _: None, force=True) == 0


def test_an_upgrade_that_was_cut_short_goes_on(plain_tables: None, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [span_row(start_us=us(T0 - n * DAY)) for n in range(4)]
    writer.write(rows)
    lines: list[str] = []

    def stop(line: str) -> None:
        lines.append(line)
        if len(lines) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upgrade.upgrade(stop, force=True)
    assert upgrade.status()["upgrade_unfinished"] == list(schema.SPAN_TABLES)
    assert Span.objects.count() == 2
    # Sent again before it moved, once equal and once greater: the greater stays, and none is there twice.
    rows[3].duration_us += 1
    writer.write(rows[2:])
    upgrade.upgrade(lambda _: None, force=True)
    assert Span.objects.count() == 4
    assert Span.objects.get(span_id=rows[3].span_id).duration_us == rows[3].duration_us
    with connection.cursor() as cursor:
        assert schema.partition_days(cursor, "span_plain") == {}


def test_it_refuses_while_the_hub_is_connected(plain_tables: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrade, "_others", lambda _: 3)
    with pytest.raises(upgrade.UpgradeRefused, match="3 other connections"):
        upgrade.upgrade()
    assert storage.tier() is Tier.POSTGRES
