"""Real clients against a real server, set up by environment variables alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

PROGRAMS = Path(__file__).with_name("programs")
OPENAI_V2 = Path(__file__).resolve().parents[2] / ".venv-openai-v2" / "bin"


def has_langfuse() -> bool:
    """Whether the environment of the older clients holds Langfuse's SDK."""
    return any(OPENAI_V2.parent.glob("lib/python*/site-packages/langfuse"))


pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def hub(transactional_db: None, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A hub, a stand-in for OpenAI, and the environment that points a program at both."""
    from django.db import connection

    from apps.orgs.models import Organization
    from apps.orgs.services import api_key_create, project_create
    from tests.clients.fake_openai import fake_openai
    from tests.clients.hub import running_hub
    from tests.support.spans import clear_spans

    clear_spans()
    organization = Organization.objects.create(slug="acme", name="Acme")
    project = project_create(organization=organization, slug="default")
    _, key = api_key_create(organization=organization, project=project, role="developer")
    with running_hub(connection.settings_dict, tmp_path / "web.log") as address, fake_openai() as openai:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OPENAI_"))}
        yield {
            **clean,
            "OTEL_EXPORTER_OTLP_ENDPOINT": address,
            "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization={quote(f'Bearer {key}')}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=Staging",
            "OTEL_SERVICE_NAME": "bot",
            "OPENAI_BASE_URL": openai,
            "OPENAI_API_KEY": "sk-not-a-real-key",
            "LANGFUSE_BASE_URL": address,
            "LANGFUSE_PUBLIC_KEY": key[:19],
            "LANGFUSE_SECRET_KEY": key[20:],
        }
    clear_spans()


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, cwd=PROGRAMS, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def spans() -> list[dict[str, Any]]:
    from tests.ingest.world import stored

    return sorted(stored(), key=lambda row: row["start_time"])


# gpt-4o: 2.50, 1.25 (cached) and 10 dollars a million tokens.
CHAT_COST = 200 * 2_500_000 + 1_000 * 1_250_000 + 340 * 10_000_000
UNCACHED_CHAT_COST = 1_200 * 2_500_000 + 340 * 10_000_000
EMBEDDING_COST = 8 * 20_000


def check(row: dict[str, Any], **expected: Any) -> None:
    assert {name: row[name] for name in expected} == expected


def test_opentelemetry_sdk_by_hand(hub: dict[str, str]) -> None:
    output = run([sys.executable, "by_hand.py"], hub)
    agent, chat = spans()
    assert "Failed" not in output
    check(agent, kind="agent", billable=False, parent_span_id=None, total_cost=None)
    check(
        chat,
        kind="llm",
        billable=True,
        parent_span_id=agent["span_id"],
        provider="openai",
        model="gpt-4o-2024-08-06",
        request_model="gpt-4o",
        prompt_tokens=1_200,
        cached_tokens=1_000,
        completion_tokens=340,
        total_tokens=1_540,
        total_cost=CHAT_COST,
        ttft_us=50_000,
        session_id="session-1",
        user_id="ada",
        environment="staging",
    )


def test_openinference(hub: dict[str, str]) -> None:
    run([sys.executable, "with_openinference.py"], hub)
    chat, streamed, embedding, failed = spans()
    for row in (chat, streamed):
        check(
            row,
            kind="llm",
            billable=True,
            provider="openai",
            model="gpt-4o-2024-08-06",
            prompt_tokens=1_200,
            cached_tokens=1_000,
            completion_tokens=340,
            reasoning_tokens=40,
            total_cost=CHAT_COST,
            status="ok",
        )
    for row in (chat, streamed, embedding, failed):
        check(row, session_id="session-1", user_id="ada", team="search", environment="staging")
    assert chat["ttft_us"] is None
    assert 0 < streamed["ttft_us"] <= streamed["duration_us"]
    check(embedding, kind="embedding", billable=True, prompt_tokens=8, total_cost=EMBEDDING_COST)
    check(
        failed, kind="llm", status="error", model="gpt-4o-fails", error_type="openai.BadRequestError", total_cost=None
    )


@pytest.mark.skipif(not OPENAI_V2.is_dir(), reason="`make test` makes .venv-openai-v2")
def test_opentelemetry_openai_v2(hub: dict[str, str]) -> None:
    signals = {f"OTEL_{signal}_EXPORTER": "otlp" for signal in ("TRACES", "METRICS", "LOGS")}
    command = [str(OPENAI_V2 / "opentelemetry-instrument"), str(OPENAI_V2 / "python"), "uninstrumented.py"]
    environment = {name: value for name, value in hub.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    output = run(command, environment | signals)
    assert "Failed to export" not in output
    chat, streamed, embedding, failed = spans()
    for row in (chat, streamed):
        check(
            row,
            kind="llm",
            billable=True,
            provider="openai",
            model="gpt-4o-2024-08-06",
            request_model="gpt-4o",
            prompt_tokens=1_200,
            completion_tokens=340,
            total_cost=UNCACHED_CHAT_COST,  # this instrumentation does not say what was cached
            environment="staging",
        )
    check(embedding, kind="embedding", billable=True, prompt_tokens=8, total_cost=EMBEDDING_COST)
    check(failed, kind="llm", status="error", error_type="BadRequestError", total_cost=None)


@pytest.mark.skipif(not has_langfuse(), reason="`make test` puts langfuse into .venv-openai-v2")
def test_langfuse(hub: dict[str, str]) -> None:
    apart = ("OTEL_", "PYTHONPATH", "VIRTUAL_ENV")
    environment = {name: value for name, value in hub.items() if not name.startswith(apart)}
    output = run([str(OPENAI_V2 / "python"), "with_langfuse.py"], environment)
    assert "Failed" not in output
    agent, chat = spans()
    check(agent, kind="agent", billable=False, name="support", total_cost=None)
    check(
        chat,
        kind="llm",
        billable=True,
        model="gpt-4o",
        prompt_tokens=1_200,
        completion_tokens=340,
        total_cost=UNCACHED_CHAT_COST,
    )
