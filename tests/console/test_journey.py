"""A person's way through the whole hub, in a browser: `manage.py up` with its worker, its exports and its database.

One test, since everything that it stands on takes seconds to start. What the pages show in detail is tested elsewhere.
"""

from __future__ import annotations

import csv
import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.console.browsing import CHROMIUM, Window, browser
from tests.support.prepared import prepared_folder
from tests.support.story import spans

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH"),
    pytest.mark.timeout(280),
]
PROGRAM = Path(__file__).resolve().parents[1] / "clients" / "programs" / "by_hand.py"
SPENDER = "user-2"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from bench.hub import running_hub

    with prepared_folder() as folder:
        monkeypatch.setenv("BENCH_KEEP", str(folder))
        with running_hub(CACHE_ENABLED="false", WEB_WORKERS="1", WORKER_CONCURRENCY="1") as hub:
            yield hub


def test_from_signing_in_to_being_refused(hub: Any) -> None:
    with browser() as started:
        window = Window(started, f"http://127.0.0.1:{hub.port}", accept_downloads=True, timezone_id="Europe/Berlin")
        sign_in(window)
        first_span(window, hub.port)
        dear = send_story(hub)
        from_the_spike_to_its_trace(window, dear)
        compare(window)
        export(window)
        keys(window, hub.port)
        invited = invite(window)
        guest = Window(started, window.address)
        refused(guest, invited)
        assert window.wrong == []
        # The browser itself notes each answer of 403.
        assert [line for line in guest.wrong if "403" not in line] == []


def sign_in(window: Window) -> None:
    window.open("/overview")
    assert window.page.url.startswith(f"{window.address}/login")
    window.page.fill("#id_email", "bench@example.com")
    window.page.fill("#id_password", "bench-password-1")
    window.page.press("#id_password", "Enter")
    window.page.wait_for_url("**/overview*")
    assert window.page.get_by_text("No spans yet.").is_visible()


def first_span(window: Window, port: int) -> None:
    """A key of one's own, OpenTelemetry's SDK as it comes, and the page that notices."""
    page = window.page
    page.get_by_role("link", name="Send the first span", exact=True).click()
    page.get_by_role("button", name="Make a key").click()
    key = page.locator("#key").inner_text()
    assert key.startswith("ah_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    environment |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{key}",
    }
    done = subprocess.run([sys.executable, str(PROGRAM)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page.get_by_role("link", name="Look at the trace").click()
    page.get_by_role("heading", level=1, name="invoke_agent support").wait_for()
    assert page.get_by_text("chat gpt-4o").first.is_visible()


def send_story(hub: Any) -> str:
    """Three days of a bot, in which one call of one user was dear; its trace."""
    told = spans(datetime.now(UTC))
    dear = next(span for span in told if span.get("user_id") == SPENDER)
    call = next(span for span in told if span["trace_id"] == dear["trace_id"] and span["kind"] == "llm")
    call["prompt_tokens"] = 900_000
    assert asked(hub.port, "POST", "/api/v1/traces", hub.api_key, {"spans": told})[0] == 200
    return str(dear["trace_id"])


def asked(port: int, method: str, path: str, key: str, body: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text)


def from_the_spike_to_its_trace(window: Window, trace_id: str) -> None:
    """The overview, the user who cost most, the dearest trace, and in it the call that did it."""
    page = window.page
    window.open("/overview")
    page.get_by_role("table", name="Users by cost").get_by_role("link").first.click()
    page.get_by_role("heading", name=SPENDER).wait_for()
    page.get_by_role("table", name=re.compile("dearest traces")).get_by_role("link").first.click()
    page.wait_for_url(f"**/traces/{trace_id}*")
    page.get_by_role("heading", name="answer").first.wait_for()
    assert "$2.2" in page.locator("main").inner_text(), "900,000 tokens of gpt-4o cost 2.25 dollars"


def compare(window: Window) -> None:
    page = window.page
    window.open("/models?range=7d")
    for box in page.locator("input.tick").all()[:2]:
        box.check()
    page.get_by_role("button", name="Compare the ticked models").click()
    page.get_by_role("heading", name=re.compile("^Differences from")).wait_for()
    table = page.get_by_role("table", name=re.compile("Differences of the other models"))
    assert table.get_by_role("rowheader").count() >= 1


def export(window: Window) -> None:
    """Made by the worker, watched by the page, read as a file."""
    page = window.page
    window.open("/exports/new?kind=traces&range=7d")
    page.get_by_role("button", name="Export", exact=True).click()
    download = page.get_by_role("link", name="Download")
    download.wait_for()
    with page.expect_download() as waiting:
        download.first.click()
    with open(waiting.value.path(), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(spans(datetime.now(UTC))) + 2, "the story, and the two spans of the first trace"


def keys(window: Window, port: int) -> None:
    """Make one, use it, rotate it: the old text works on, the new one works."""
    page = window.page
    window.open("/settings/keys/new")
    page.fill("#id_name", "nightly import")
    page.select_option("#id_role", "analyst")
    page.locator("main form button.button").last.click()
    texts = [page.locator("#secret").input_value()]
    page.get_by_role("link", name="I have copied it").click()
    assert page.get_by_text(texts[0]).count() == 0
    window.open("/settings/keys")
    page.get_by_role("link", name="nightly import").click()
    page.get_by_role("link", name="Rotate").click()
    page.locator("main form button.button").last.click()
    texts.append(page.locator("#secret").input_value())
    assert texts[0] != texts[1]
    assert [asked(port, "GET", "/api/v1/metrics/catalog", text)[0] for text in texts] == [200, 200]


def invite(window: Window) -> str:
    """The link for somebody who may only look."""
    page = window.page
    window.open("/settings/invitations/new")
    page.fill("#id_email", "guest@example.com")
    page.select_option("#id_role", "viewer")
    page.check("#id_all_projects")
    page.locator("main form button.button").last.click()
    return str(page.locator("#secret").input_value())


def refused(guest: Window, link: str) -> None:
    """A viewer sees the figures, and is told what opens the members' page."""
    page = guest.page
    guest.open(link.removeprefix(guest.address))
    for field in page.locator("form input[type=password]").all():
        field.fill("a long enough password 7")
    for field in page.locator("form input[type=text]").all():
        field.fill("Guest")
    page.locator("form button.button-full").click()
    page.wait_for_load_state()
    assert guest.open("/overview").status == 200
    assert guest.open("/settings/members").status == 403
    assert "members:manage" in page.locator("main").inner_text()
    assert guest.open("/settings/keys/new").status == 403
