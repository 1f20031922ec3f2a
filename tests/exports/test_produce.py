"""One produced file: in one snapshot, proven, and nothing left behind when it does not come to be."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from apps.exports.failures import Cancelled, ExportFailed, NotProven
from apps.exports.produce import export_snapshot, produce
from apps.exports.proof import prove
from apps.exports.sources import SOURCES
from apps.exports.sources.base import Cursor, Row
from apps.exports.spec import Column, ExportSpec
from apps.exports.totals import Totals

SPEC = ExportSpec(
    kind="traces",
    organization_id=1,
    projects=((1, "default"),),
    start=datetime(2026, 11, 1, tzinfo=UTC),
    end=datetime(2026, 11, 2, tzinfo=UTC),
    format="jsonl",
    compression="none",
    fields=("number",),
)
RIGHT = Totals(30, 30, 435, 30)


class Numbers:
    """Thirty rows in three batches, out of nowhere."""

    columns = (Column("number", "integer"),)
    truncated = False
    counts: Totals | str = RIGHT
    answers: Totals | str = RIGHT

    def __init__(self, spec: ExportSpec) -> None:
        self.spec, self.given = spec, list[int]()

    def counted(self, cursor: Cursor) -> Totals | str:
        return self.counts

    def batches(self, cursor: Cursor) -> Iterator[Sequence[Row]]:
        for start in (0, 10, 20):
            row = cursor.execute(
                "SELECT current_setting('transaction_isolation'), txid_current_if_assigned()"
            ).fetchone()
            assert row == ("repeatable read", None)
            self.given += range(start, start + 10)
            yield [(number,) for number in range(start, start + 10)]

    def written(self) -> Totals:
        return Totals(len(self.given), len(self.given), sum(self.given), len(self.given))

    def engine(self, cursor: Cursor) -> Totals | str:
        return self.answers


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> type[Numbers]:
    monkeypatch.setitem(SOURCES, "traces", Numbers)
    monkeypatch.setattr(Numbers, "counts", RIGHT)
    monkeypatch.setattr(Numbers, "answers", RIGHT)
    return Numbers


def nothing(done: int, total: int | None) -> None:
    """Progress that nobody looks at."""


@pytest.mark.django_db(transaction=True)
def test_a_file_is_written_and_described(source: type[Numbers]) -> None:
    out, seen = io.BytesIO(), list[tuple[int, int | None]]()
    made = produce(SPEC, out, job_id="0123456789", progress=lambda *step: seen.append(step))
    data = out.getvalue()
    assert [json.loads(line)["number"] for line in data.splitlines()] == list(range(30))
    assert seen == [(0, 30), (10, 30), (20, 30), (30, 30)]
    assert (made.rows, made.bytes, made.sha256) == (30, len(data), hashlib.sha256(data).hexdigest())
    assert made.file_name == "traces_20261101-20261102_01234567.jsonl"
    manifest = json.loads(json.dumps(made.manifest))
    assert manifest["file"] == {
        "name": made.file_name,
        "bytes": len(data),
        "sha256": made.sha256,
        "content_type": made.content_type,
    }
    assert (manifest["rows"], manifest["truncated"], manifest["cells_cut"]) == (30, False, 0)
    assert manifest["sums"]["total_cost_usd"] == "0.000000000435"
    assert manifest["proof"]["sql"] == manifest["proof"]["written"]
    assert manifest["proof"]["not_compared"] == {}
    assert manifest["fields"] == [{"name": "number", "type": "integer", "description": ""}]
    assert not connection.in_atomic_block


@pytest.mark.django_db(transaction=True)
def test_what_stops_it_goes_through_and_leaves_no_transaction(source: type[Numbers]) -> None:
    def stop(done: int, total: int | None) -> None:
        if done == 20:
            raise Cancelled

    with pytest.raises(Cancelled):
        produce(SPEC, io.BytesIO(), job_id="1", progress=stop)
    assert not connection.in_atomic_block
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_cursors")
        assert cursor.fetchone() == (0,)
        cursor.execute("CREATE TEMPORARY TABLE writes_again (a int)")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("side", ["counts", "answers"])
@pytest.mark.parametrize("change", [{"requests": 29}, {"total_cost": 436}, {"total_tokens": None}])
def test_a_difference_is_no_file(
    source: type[Numbers], monkeypatch: pytest.MonkeyPatch, side: str, change: dict[str, Any]
) -> None:
    monkeypatch.setattr(Numbers, side, replace(RIGHT, **change))
    with pytest.raises(NotProven):
        produce(SPEC, io.BytesIO(), job_id="1", progress=nothing)


@pytest.mark.django_db(transaction=True)
def test_a_snapshot_has_no_limit_in_time_and_no_writes(transactional_db: None) -> None:
    with export_snapshot() as cursor:
        row = cursor.execute("SELECT current_setting('statement_timeout'), pg_is_in_recovery()").fetchone()
        assert row == ("0", False)
        with pytest.raises(Exception, match="read-only transaction"):
            cursor.execute("CREATE TABLE never (a int)")
        connection.set_rollback(True)


def _with(whole: Totals, name: str, value: Any) -> Totals:
    return replace(whole, **{name: value})


def test_every_figure_is_compared_and_named() -> None:
    whole = Totals(5, 4, 100, 50, 120, 60)
    for name in ("rows", "requests", "total_cost", "total_tokens", "all_cost", "all_tokens"):
        for changed in (getattr(whole, name) + 1, None):
            if name == "rows" and changed is None:
                continue
            with pytest.raises(NotProven, match=f"{name}(_usd)? is"):
                prove(sql=_with(whole, name, changed), engine="", written=whole, file_rows=5)
    for name in ("requests", "total_cost", "total_tokens"):
        with pytest.raises(NotProven, match=f"{name}(_usd)? is"):
            prove(sql="", engine=_with(whole, name, 0), written=whole, file_rows=5)
    with pytest.raises(NotProven, match="the file has 4 rows"):
        prove(sql=whole, engine=whole, written=whole, file_rows=4)
    assert issubclass(NotProven, ExportFailed)


def test_what_could_not_be_compared_is_said() -> None:
    whole = Totals(5, 4, None, 50)
    shown = prove(sql="gone", engine=Totals(None, 4, None, 50), written=whole, file_rows=5).shown()
    assert (shown["sql"], shown["not_compared"]) == (None, {"sql": "gone"})
    assert shown["compared"] == {"sql": [], "engine": ["requests", "total_cost_usd", "total_tokens"]}
    shown = prove(sql=Totals(None, 4, None, 50), engine="cut", written=whole, file_rows=5).shown()
    assert shown["compared"] == {"sql": ["requests", "total_cost_usd", "total_tokens"], "engine": []}
