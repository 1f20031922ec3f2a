"""`manage.py hub_export` as a person runs it: processes, signals, exit codes, and never half a file."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.hub import ROOT, database_url
from tests.support.spans import T0
from tests.support.workers import until

if TYPE_CHECKING:
    from tests.exports.jobbing import Place

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]
RANGE = ("--start", (T0 - timedelta(hours=1)).isoformat(), "--end", (T0 + timedelta(hours=1)).isoformat())


def command(*arguments: str, python: tuple[str, ...] = ("manage.py",)) -> tuple[list[str], dict[str, Any]]:
    from django.db import connection

    environment = {**os.environ, "DATABASE_URL": database_url(str(connection.settings_dict["NAME"]))}
    line = [sys.executable, *python, "hub_export", *arguments]
    return line, {"cwd": ROOT, "env": environment}


def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    line, options = command(*arguments)
    return subprocess.run(line, capture_output=True, check=False, timeout=60, **options)


def export(*arguments: str, output: Path | str) -> subprocess.CompletedProcess[bytes]:
    return run("traces", "--organization", "acme", *RANGE, "--output", str(output), *arguments)


def test_a_file_with_its_manifest_and_the_same_by_a_pipe(acme: Place, tmp_path: Path) -> None:
    from apps.orgs.models import AuditEntry

    acme.write(7)
    file = tmp_path / "out" / "spans.csv"
    file.parent.mkdir()
    done = export("--fields", "trace_id,span_id,model", "--project", "default", output=file)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
    assert len(rows) == 7
    assert list(rows[0]) == ["trace_id", "span_id", "model"]
    manifest = json.loads(file.with_name("spans.csv.manifest.json").read_text(encoding="utf-8"))
    assert manifest["rows"] == 7
    assert manifest["sums"]["total_cost_usd"] == manifest["proof"]["sql"]["total_cost_usd"] > 0
    assert manifest["file"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert sorted(path.name for path in file.parent.iterdir()) == ["spans.csv", "spans.csv.manifest.json"]
    assert b"7 rows" in done.stderr.replace(b"7.00 rows", b"7 rows")
    entry = AuditEntry.objects.get(action="export.command")
    assert (entry.organization_id, entry.actor) == (acme.organization.pk, "manage.py")

    piped = export("--fields", "trace_id,span_id,model", "--quiet", output="-")
    assert piped.returncode == 0, piped.stderr
    assert piped.stdout == file.read_bytes()


REFUSED = (
    (("--organization", "nobody"), "1300 RESOURCE_NOT_FOUND: There is no organization 'nobody'"),
    (("--project", "none"), "1300 RESOURCE_NOT_FOUND"),
    (("--fields", "trace_id,modell"), "1202 INVALID_FIELD_VALUE"),
    (("--fields", "trace_id,modell", "--limit", "0"), "Several fields"),
    (("--filter", "{"), "--filter is no JSON"),
    (("--filter", '{"modle": "gpt-4o"}'), "1202 INVALID_FIELD_VALUE"),
    (("--body", "[]"), "--body must be a JSON object"),
    (("--body", '{"modle": "x"}'), "1202 INVALID_FIELD_VALUE"),
    (("--fields", "trace_id,input"), "Give --content"),
    (("--start", "2030-01-01T00:00:00Z"), "1204 INVALID_DATE_RANGE"),
)


def test_formats_texts_and_what_cannot_be_asked(acme: Place, tmp_path: Path) -> None:
    """What is refused is refused in the catalogue's words, and with exit code 2."""
    from django.core.management import CommandError, call_command

    acme.write(3)

    def call(name: str, *arguments: str) -> dict[str, Any]:
        file = tmp_path / name
        given = ("traces", "--organization", "acme", *RANGE, "--output", str(file), "--quiet", *arguments)
        call_command("hub_export", *given, stderr=io.StringIO())
        made: dict[str, Any] = json.loads(file.with_name(f"{name}.manifest.json").read_text(encoding="utf-8"))
        return made

    for format, compression in (("parquet", "zstd"), ("xlsx", "none"), ("jsonl", "gzip")):
        assert call(format, "--format", format, "--compression", compression)["rows"] == 3
    assert call("texts", "--fields", "trace_id,input", "--content")["content"] is True
    assert call("few", "--limit", "2")["truncated"] is True
    tree = json.dumps({"field": "model", "operator": "eq", "value": "none-such"})
    assert call("filtered", "--filter", tree)["rows"] == 0
    assert call("by-name", "--filter", '{"model": "none-such"}')["rows"] == 0

    for name, more, made in (
        ("spans.jsonl.gz", (), ("jsonl", "gzip")),
        ("Spans.XLSX", (), ("xlsx", "none")),
        ("v1.parquet", (), ("parquet", "none")),
        ("spans.zst", (), ("csv", "zstd")),
        ("named.csv", ("--format", "json", "--compression", "gzip"), ("json", "gzip")),
        ("bodied.csv", ("--body", '{"format": "json"}'), ("json", "none")),
    ):
        manifest = call(name, *more)
        assert (manifest["format"], manifest["compression"]) == made, name

    before = set(tmp_path.iterdir())
    for arguments, said in REFUSED:
        with pytest.raises(CommandError) as refused:
            call("refused", *arguments)
        assert refused.value.returncode == 2
        assert said in str(refused.value)
    assert set(tmp_path.iterdir()) == before


def test_a_real_refusal_has_no_traceback(acme: Place, tmp_path: Path) -> None:
    for arguments in (("--fields", "modell"), ("--format", "doc")):
        done = export(*arguments, output=tmp_path / "file")
        assert done.returncode == 2, done.stderr
        assert b"Traceback" not in done.stderr


def test_a_failure_leaves_what_was_there_before(acme: Place, tmp_path: Path) -> None:
    """The folder of the file is not there; the database is away."""
    assert export(output=tmp_path / "none" / "file").returncode == 1
    file = tmp_path / "file"
    file.write_text("before", encoding="utf-8")
    line, options = command("traces", "--organization", "acme", "--output", str(file))
    options["env"]["DATABASE_URL"] = "postgresql://hub@127.0.0.1:1/hub"
    done = subprocess.run(line, capture_output=True, check=False, timeout=60, **options)
    assert done.returncode == 1, done.stderr
    assert b"The database failed" in done.stderr
    assert b"Traceback" not in done.stderr
    assert file.read_text(encoding="utf-8") == "before"


def test_what_is_not_proven_is_not_kept(acme: Place, tmp_path: Path) -> None:
    acme.write(2)
    done = broken(tmp_path, "apps.exports.produce.prove", "raise NotProven('The sums differ.')")
    assert done.returncode == 1, done.stderr
    assert b"The sums differ." in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_one_leaves_nothing(acme: Place, tmp_path: Path, number: signal.Signals, code: int) -> None:
    acme.write(2)
    process = started(tmp_path, "apps.exports.produce.prove", "print('writing', flush=True); time.sleep(60)")
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        until(lambda: bool(list(tmp_path.glob(".file.*.part"))))
        process.send_signal(number)
        assert process.wait(20) == code
    finally:
        process.kill()
        process.wait()
    assert list(tmp_path.iterdir()) == []


def broken(folder: Path, name: str, statement: str) -> subprocess.CompletedProcess[bytes]:
    process = started(folder, name, statement)
    out, error = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


def started(folder: Path, name: str, statement: str) -> subprocess.Popen[bytes]:
    """The command, with one function of it replaced."""
    module, _, function = name.rpartition(".")
    script = (
        "import sys, time, django\n"
        "django.setup()\n"
        f"import {module} as module\n"
        "from apps.exports.failures import NotProven\n"
        f"def replaced(**_):\n    {statement}\n"
        f"module.{function} = replaced\n"
        "from django.core.management import execute_from_command_line\n"
        "execute_from_command_line(['manage.py', *sys.argv[1:]])\n"
    )
    line, options = command(
        *("traces", "--organization", "acme", *RANGE, "--output", str(folder / "file")), python=("-c", script)
    )
    options["env"]["DJANGO_SETTINGS_MODULE"] = "analytics_hub.settings"
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
