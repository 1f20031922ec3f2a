"""A window of Chromium that notes what goes wrong in it: errors, requests that leave, pages wider than the window."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@contextmanager
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


class Window:
    """One person's window; `wrong` is what went wrong in it."""

    def __init__(self, browser: Any, address: str, *, width: int = 1280, **options: Any) -> None:
        self.address, self.wrong = address, list[str]()
        self.context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)  # a machine that is busy elsewhere
        self.page.on("console", lambda message: self.note(message.type in ("error", "warning"), message.text))
        self.page.on("pageerror", lambda error: self.note(True, str(error)))
        own = (address, "data:", "blob:")
        self.page.on("request", lambda request: self.note(not request.url.startswith(own), f"asks {request.url}"))

    def note(self, bad: bool, text: str) -> None:
        if bad:
            self.wrong.append(f"{self.page.url}: {text}")

    def open(self, path: str) -> Any:
        """Go there; what the page loads by itself has come."""
        answer = self.page.goto(f"{self.address}{path}", wait_until="load")
        self.page.wait_for_function("() => !document.querySelector('.htmx-request')")
        self.note(self.page.evaluate(WIDER) > 0, f"{path} is wider than {self.page.viewport_size}")
        return answer

    def take(self, cookie: dict[str, str]) -> None:
        """The cookie of a person who has signed in."""
        self.context.add_cookies([{**cookie, "url": self.address}])


def session_of(user: Any) -> dict[str, str]:
    """A session of a person on the tests' database: to be made before the browser, which forbids Django's queries."""
    from django.conf import settings
    from django.test import Client

    client = Client()
    client.force_login(user)
    return {"name": settings.SESSION_COOKIE_NAME, "value": client.cookies[settings.SESSION_COOKIE_NAME].value}
