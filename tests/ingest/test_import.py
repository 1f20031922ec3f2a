"""`manage.py import_traces` and `manage.py dead_letters`."""

from __future__ import annotations

import csv
import io
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.ingest import importing, service
from apps.ingest.models import DeadLetter
from apps.traces.writer import WriteUnavailable, write
from tests.ingest.build import json_request, json_span
from tests.ingest.world import Sender, stored

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "HUB", settings.HUB.model_copy(update={"hub_data_dir": tmp_path / "hub"}))
    return tmp_path


def spans(count: int) -> list[dict[str, Any]]:
    return [
        {
            "trace_id": f"trace {number // 3}",
            "span_id": f"span {number}",
            "start_time": (NOW - timedelta(seconds=number)).isoformat(),
            "duration_ms": number,
            "kind": "llm",
            "model": "gpt-4o",
            "prompt_tokens": number,
            "attributes": {"n": number},
            "tags": ["a", "b"],
        }
        for number in range(count)
    ]


def run_import(path: Path, *options: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("import_traces", str(path), "--project", "acme/default", *options, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def write_jsonl(path: Path, nodes: list[Any]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(node) + b"\n" for node in nodes))
    return path


def write_csv(path: Path, nodes: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(nodes[0]))
        writer.writeheader()
        for node in nodes:
            writer.writerow({k: v if isinstance(v, str | int) else orjson.dumps(v).decode() for k, v in node.items()})
    return path


def write_parquet(path: Path, nodes: list[dict[str, Any]]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    times = [{**node, "start_time": datetime.fromisoformat(node["start_time"])} for node in nodes]
    parquet.write_table(pyarrow.Table.from_pylist(times), path, row_group_size=7)
    return path


WRITERS = {"jsonl": write_jsonl, "csv": write_csv, "parquet": write_parquet}


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_every_format_gives_the_same_spans(acme: Sender, tmp_path: Path, kind: str) -> None:
    path = WRITERS[kind](tmp_path / f"spans.{kind}", spans(25))
    out, _ = run_import(path)
    assert "25 rows: 25 spans stored, 0 refused" in out
    rows = stored()
    assert len(rows) == 25
    assert {row["span_id"]: (row["prompt_tokens"], row["duration_us"], row["start_time"]) for row in rows} == {
        f"span {n}": (n, n * 1_000, NOW - timedelta(seconds=n)) for n in range(25)
    }
    assert all(row["tags"] == ["a", "b"] for row in rows)
    assert sorted(content["attributes"]["span"]["n"] for content in stored("span_content")) == list(range(25))


def test_otlp_lines(acme: Sender, tmp_path: Path) -> None:
    now = time.time_ns()
    line = json_request([json_span(spanId=f"{n:016x}", startTimeUnixNano=now, endTimeUnixNano=now) for n in (1, 2)])
    out, _ = run_import(write_jsonl(tmp_path / "otlp.jsonl", [line, *spans(1)]))
    assert "2 rows: 3 spans stored" in out


def test_bad_rows_are_reported_and_kept_as_dead_letters(acme: Sender, tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    good = spans(3)
    lines = [orjson.dumps(good[0]), b"not json", b"", orjson.dumps(good[1]), b"5", orjson.dumps({"name": "no time"})]
    path.write_bytes(b"\n".join(lines))
    out, err = run_import(path)
    assert "6 rows: 2 spans stored, 3 refused (2 malformed, 1 missing_timestamp" in out
    assert "row 2: malformed: the line is not JSON" in err
    assert DeadLetter.objects.filter(source="import").count() == 3
    listing = io.StringIO()
    call_command("dead_letters", "list", stdout=listing)
    assert "2 malformed" in listing.getvalue()
    again = io.StringIO()
    call_command("dead_letters", "redrive", stdout=again)
    assert "0 stored, 3 refused again." in again.getvalue()


def test_nothing_usable_fails(acme: Sender, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="Nothing in the file"):
        run_import(write_jsonl(tmp_path / "bad.jsonl", [1, 2]))


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_an_import_that_was_cut_off_goes_on(
    acme: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Killed anywhere, run again: every span is there once, and what was noted as stored is not read again."""
    monkeypatch.setattr(importing, "BATCH_SPANS", 5)
    path = WRITERS[kind](tmp_path / f"spans.{kind}", spans(23))
    calls = 0

    def die_in_third_batch(rows: Any) -> Any:
        nonlocal calls
        calls += 1
        result = write(rows)
        if calls == 3:
            raise KeyboardInterrupt  # after the rows are durable, before that is noted
        return result

    monkeypatch.setattr(service, "write", die_in_third_batch)
    with pytest.raises(KeyboardInterrupt):
        run_import(path)
    assert len(stored()) == 15
    before = calls
    out, err = run_import(path)
    assert "Going on after row 10" in err
    assert "23 rows: 23 spans stored" in out
    assert len(stored()) == 23
    assert calls - before == 3
    run_import(path)
    assert calls - before == 3


def test_a_changed_file_starts_anew_and_a_grown_one_goes_on(acme: Sender, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "spans.jsonl", spans(3))
    run_import(path)
    write_jsonl(path, spans(5))
    out, err = run_import(path)
    assert "Going on after row 3" in err
    assert "5 rows: 5 spans stored" in out
    write_jsonl(path, [{**node, "span_id": f"new {i}"} for i, node in enumerate(spans(2))])
    out, err = run_import(path)
    assert "Going on" not in err
    assert len(stored()) == 7


def test_rows_without_ids_are_stored_once_whatever_the_batches(
    acme: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = {"name": "same", "start_time": NOW.isoformat()}
    path = write_jsonl(tmp_path / "spans.jsonl", [node] * 4)
    for size in (1, 3):
        monkeypatch.setattr(importing, "BATCH_SPANS", size)
        run_import(path, "--restart")
    assert len(stored()) == 4


def test_a_database_that_is_away_is_waited_for(acme: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    failures = iter([True, True])

    def sometimes(rows: Any) -> Any:
        if next(failures, False):
            raise WriteUnavailable("away")
        return write(rows)

    monkeypatch.setattr(service, "write", sometimes)
    out, _ = run_import(write_jsonl(tmp_path / "spans.jsonl", spans(2)))
    assert "2 spans stored" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.jsonl", "--project", "acme/default"], "no such file"),
        (["x.bin", "--project", "acme/default"], "--format"),
        (["x.bin", "--project", "acme/none"], "no project"),
        (["x.bin", "--project", "acme/default", "--format", "parquet"], "not readable"),
    ],
)
def test_mistakes_are_named(
    acme: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.bin").write_bytes(b"?" * 100)
    with pytest.raises(CommandError, match=message):
        call_command("import_traces", *arguments)


def test_a_table_without_times_is_refused_before_its_rows(acme: Sender, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("name;start_time\n" + "a;2026-01-01\n" * 3, encoding="utf-8")
    with pytest.raises(CommandError, match="needs a column start_time or end_time; its columns are: name;start_time"):
        call_command("import_traces", str(file), "--project", "acme/default")
    assert not DeadLetter.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("redrive", "999999999"), "no dead letter 999999999"),
        (("list", "--project", "acme/nope"), "no project acme/nope"),
        (("list", "--limit", "-1"), "--limit"),
    ],
)
def test_mistakes_about_dead_letters_are_named(acme: Sender, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("dead_letters", *arguments)
