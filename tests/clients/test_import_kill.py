"""An import killed with SIGKILL goes on where it was."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPANS = 12_000

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]


def write_file(path: Path) -> None:
    now = datetime.now(UTC)
    with path.open("w") as handle:
        for number in range(SPANS):
            start = (now - timedelta(milliseconds=number)).isoformat()
            span = {"trace_id": f"t{number // 5}", "span_id": f"s{number}", "start_time": start, "duration_ms": 5}
            handle.write(json.dumps(span | {"kind": "llm", "model": "gpt-4o", "prompt_tokens": 1}) + "\n")


def test_a_killed_import_goes_on(transactional_db: None, tmp_path: Path) -> None:
    from django.db import connection

    from apps.orgs.models import Organization
    from apps.orgs.services import project_create
    from tests.clients.hub import database_url
    from tests.support.spans import clear_spans

    clear_spans()
    project_create(organization=Organization.objects.create(slug="acme", name="Acme"), slug="default")
    path = tmp_path / "spans.jsonl"
    write_file(path)
    environment = os.environ | {
        "DATABASE_URL": database_url(connection.settings_dict["NAME"]),
        "HUB_DATA_DIR": str(tmp_path / "hub"),
    }
    command = [sys.executable, "manage.py", "import_traces", str(path), "--project", "acme/default"]
    kills = 0
    for _ in range(4):
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        before = noted(tmp_path)
        deadline = time.monotonic() + 60
        while noted(tmp_path) == before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
        kills += process.wait() < 0
    assert kills, "no run was killed: nothing was tested"
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Going on after row [1-9]\d*", done.stderr), done.stderr
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT span_id), sum(prompt_tokens) FROM span")
        assert cursor.fetchone() == (SPANS, SPANS, SPANS)
    clear_spans()


def noted(folder: Path) -> int:
    """The row up to which the state file says that spans are stored."""
    for state in (folder / "hub" / "imports").glob("*.json"):
        rows: int = json.loads(state.read_bytes())["rows"]
        return rows
    return 0
