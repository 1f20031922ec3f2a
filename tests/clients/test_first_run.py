"""The programs of the page for the first run, as they are pasted, against a real server."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

# Without the packages that a program names in its first line it cannot run: those of JavaScript are not installed here.
RUN = {
    "python-otel": (sys.executable, "first.py"),
    "python-plain": (sys.executable, "first.py"),
    "python-requests": (sys.executable, "first.py"),
    "js-fetch": ("node", "first.mjs"),
    "curl": ("bash", "first.sh"),
}


def test_every_program_sends_a_priced_span(transactional_db: None, tmp_path: Path) -> None:
    from django.db import connection

    from apps.console.snippets import snippets
    from apps.orgs.models import Organization
    from apps.orgs.services import api_key_create, project_create
    from tests.clients.hub import running_hub
    from tests.ingest.world import stored
    from tests.support.spans import clear_spans

    clear_spans()
    organization = Organization.objects.create(slug="acme", name="Acme")
    project = project_create(organization=organization, slug="default")
    _, key = api_key_create(organization=organization, project=project, permissions=["traces:write"])
    with running_hub(connection.settings_dict, tmp_path / "web.log") as address:
        programs = {one.name: one.text for one in snippets(address, key)}
        ran = [name for name, (command, _) in RUN.items() if shutil.which(command)]
        for name in ran:
            command, file = RUN[name]
            (tmp_path / file).write_text(programs[name], encoding="utf-8")
            done = subprocess.run([command, file], cwd=tmp_path, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, (name, done.stdout, done.stderr)
    spans = stored()
    clear_spans()
    assert len(spans) == len(ran) >= 3
    for span in spans:
        assert (span["name"], span["kind"], span["billable"]) == ("chat", "llm", True)
        assert (span["provider"], span["model"], span["total_tokens"], span["user_id"]) == (
            *("openai", "gpt-4o-mini", 46, "ada"),
        )
        assert span["total_cost"] > 0
