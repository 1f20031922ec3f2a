"""Pictures of the console's pages for docs/console.md, light and dark, taken of a running hub.

    python -m bench.screens http://127.0.0.1:8000 demo@example.com PASSWORD [--out docs/screens] [--only costs]

Made for the hub of `make demo`. Pages of one object are those that the first fitting link of a list leads to. Needs
Chromium on the PATH, and Playwright, which the tests install.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST_BYTES = 250_000
WIDTH, HEIGHT = 1280, 860
# The picture's name; the page, or the list and what the first link that is followed looks like; its caption.
PAGES: tuple[tuple[str, str, str, str], ...] = (
    ("overview", "/overview?range=24h", "", "The overview"),
    ("costs", "/costs?range=7d", "", "Costs over time"),
    ("costs-change", "/costs/change?range=7d", "", "What changed"),
    ("performance", "/performance?range=7d", "", "Performance"),
    ("quality", "/quality?range=7d", "", "Quality"),
    ("models", "/models?range=7d", "", "Models"),
    (
        "compare",
        "/models/compare?range=7d&models=gpt-4o&models=claude-sonnet-4-5",
        "",
        "Two models compared, with intervals",
    ),
    ("users", "/users?range=7d", "", "Users"),
    ("user", "/users?range=7d", r"^/users/[^?]", "One user: what they cost, and why"),
    ("traces", "/traces?range=24h", "", "Traces with their filters"),
    ("trace", "/traces?range=24h&sort_by=total_cost_usd", r"^/traces/[0-9a-f]{32}", "One trace, its waterfall"),
    ("conversations", "/conversations?range=7d", "", "Conversations"),
    ("conversation", "/conversations?range=7d", r"^/conversations/[^?]", "One conversation, turn by turn"),
    ("exports", "/exports", "", "Exports"),
    ("export", "/exports", r"^/exports/[0-9a-f-]{36}", "One export and its proof"),
    ("export-new", "/exports/new", "", "An export to be asked for"),
    ("ingest", "/ingest", "", "Ingest health"),
    ("start", "/start", "", "The first span"),
    ("settings", "/settings/organization", "", "Settings"),
    ("members", "/settings/members", "", "Members"),
    ("keys", "/settings/keys", "", "API keys"),
    ("prices", "/settings/prices", "", "Prices"),
    ("budgets", "/settings/budgets", "", "Budgets"),
    ("audit", "/settings/audit", "", "The audit log"),
    ("api", "/api/docs/", "", "The API's documentation"),
)


def sign_in(page: Any, base: str, email: str, password: str) -> None:
    page.goto(f"{base}/login")
    page.fill("#id_email", email)
    page.fill("#id_password", password)
    with page.expect_navigation():
        page.press("#id_password", "Enter")


def address(page: Any, base: str, path: str, follow: str) -> str | None:
    """The page itself, or where the first link of it that fits leads to."""
    if not follow:
        return base + path
    page.goto(base + path, wait_until="networkidle")
    links = [link.get_attribute("href") or "" for link in page.locator("main a[href]").all()]
    fitting = next((link for link in links if re.search(follow, link)), None)
    return None if fitting is None else base + fitting


def take(page: Any, base: str, folder: Path, scheme: str, only: str) -> Iterator[str]:
    """Take the pictures of one scheme; what could not be done."""
    for name, path, follow, _ in PAGES:
        if only not in name:
            continue
        found = address(page, base, path, follow)
        if found is None:
            yield f"{name}: nothing to follow on {path}"
            continue
        answer = page.goto(found, wait_until="networkidle")
        if name == "api":
            page.locator(".opblock").first.wait_for()
        page.wait_for_timeout(300)  # charts are drawn in a frame of their own
        if answer.status != 200:
            yield f"{name}: {answer.status}"
            continue
        file = folder / f"{name}-{scheme}.png"
        page.screenshot(path=str(file))
        if file.stat().st_size > MOST_BYTES:
            yield f"{name}: {file.stat().st_size} bytes"


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base")
    parser.add_argument("email")
    parser.add_argument("password")
    parser.add_argument("--out", type=Path, default=Path("docs/screens"))
    parser.add_argument("--only", default="", help="pictures whose names hold this")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    troubles: list[str] = []
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        state = None
        for scheme in ("light", "dark"):
            context = browser.new_context(
                color_scheme=scheme,
                viewport={"width": WIDTH, "height": HEIGHT},
                timezone_id="Europe/Berlin",
                storage_state=state,
            )
            page = context.new_page()
            if state is None:
                sign_in(page, options.base, options.email, options.password)
                state = context.storage_state()
            troubles += take(page, options.base, options.out, scheme, options.only)
        browser.close()
    sys.exit("\n".join(troubles) or None)


if __name__ == "__main__":
    main()
