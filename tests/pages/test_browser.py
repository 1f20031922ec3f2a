"""The pages in a real browser on a real server: nothing breaks the content policy, nothing leaves the machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.pages.conftest import PASSWORD
from tests.support.axe import violations

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.processes,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH"),
]


class Hub(NamedTuple):
    """A running hub, what opens its organization zenith, and the pages of its administration."""

    address: str
    key: str
    pages: dict[str, str]


@pytest.fixture
def hub(transactional_db: None, tmp_path: Path) -> Iterator[Hub]:
    """A hub with Ada, who belongs to two organizations, and Root, who runs the installation."""
    from django.core.cache import cache
    from django.db import connection

    from apps.orgs.models import Membership, User
    from tests.clients.hub import running_hub
    from tests.pages.test_admin_query_counts import addresses, more
    from tests.support.world import make_world

    cache.clear()
    world = make_world()
    Membership.objects.create(user=world.ada, organization=world.zenith, role="viewer")
    world.ada.set_password(PASSWORD)
    world.ada.save()
    User.objects.create_superuser("root@hub.example", PASSWORD)
    more(world, 2)
    with running_hub(connection.settings_dict, tmp_path / "web.log") as address:
        yield Hub(address, world.zenith_key, addresses())


class Window:
    """A browser window that notes what went wrong in it."""

    def __init__(self, browser: Any, hub: Hub, scheme: str) -> None:
        self.hub, self.address, self.wrong = hub, hub.address, list[str]()
        self.page = browser.new_context(color_scheme=scheme, viewport={"width": 360, "height": 800}).new_page()
        self.page.set_default_timeout(30_000)
        self.page.on("console", lambda message: self.note(message.type in ("error", "warning"), message.text))
        self.page.on("pageerror", lambda error: self.note(True, str(error)))
        own = (hub.address, "data:")
        self.page.on("request", lambda request: self.note(not request.url.startswith(own), f"asks {request.url}"))

    def note(self, bad: bool, text: str) -> None:
        if bad:
            self.wrong.append(f"{self.page.url}: {text}")

    def open(self, path: str) -> None:
        self.page.goto(f"{self.address}{path}")
        spare = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        self.note(self.page.evaluate(spare) > 0, f"{path} is wider than the window")

    def look(self, *schemes: str) -> None:
        """What a person with a screen reader, or with weak eyes, would stumble over on the page, in these schemes."""
        for scheme in schemes:
            self.page.emulate_media(color_scheme=scheme)
            self.wrong += [f"{scheme} {found}" for found in violations(self.page)]

    def sign_in(self, email: str, password: str = PASSWORD) -> None:
        """By keyboard alone: the first field has the focus."""
        self.page.keyboard.type(email)
        self.page.keyboard.press("Tab")
        self.page.keyboard.type(password)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")


@pytest.fixture
def window(hub: Hub) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield lambda scheme: Window(browser, hub, scheme)
        browser.close()


def test_a_member_and_an_administrator(window: Any) -> None:
    """One test for all, since a server and a browser take seconds to start."""
    ada = window("dark")
    member(ada)
    root = window("light")
    administrator(root)
    assert [*ada.wrong, *root.wrong] == []


def member(ada: Window) -> None:
    page = ada.page
    ada.open("/account")
    ada.sign_in("ada@acme.example", "wrong")
    assert "do not match" in page.locator("[role=alert]").inner_text()
    ada.wrong.clear()  # the browser notes the 400 in its console
    page.fill("#id_email", "ada@acme.example")
    page.fill("#id_password", PASSWORD)
    page.press("#id_password", "Enter")
    page.wait_for_url("**/account")
    page.click("text=Look at this one >> nth=0")
    assert "You are now looking at acme." in page.locator("[role=status]").inner_text()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 19, 24)"
    for path in ("/account/password", "/docs/errors/"):
        ada.open(path)
    swagger(ada)
    ada.open("/account")
    page.click("summary >> text=ada")
    page.click("text=Sign out")
    page.wait_for_url("**/login")


def swagger(ada: Window) -> None:
    """Swagger UI makes a project as the person who signed in, with the page's token; then a key goes before that."""
    page = ada.page
    ada.open("/api/docs/")
    operation = page.locator(".opblock-post", has_text="Make a project")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.locator("textarea").first.fill('{"slug": "shop"}')
    with page.expect_response("**/api/v1/projects") as answer:
        operation.get_by_role("button", name="Execute").click()
    assert answer.value.status == 201, answer.value.text()
    surface = "getComputedStyle(document.querySelector('.opblock')).backgroundColor"
    assert page.evaluate(surface) == "rgb(23, 28, 35)"

    page.click("button.authorize")
    dialog = page.locator(".auth-container:visible")
    assert "session" not in " ".join(dialog.locator("h4").all_inner_texts())
    dialog.first.locator("input").fill(ada.hub.key)
    dialog.first.get_by_role("button", name="Apply credentials").click()
    page.locator(".btn-done").first.click()
    page.fill(".operation-filter-input", "account")
    operation = page.locator(".opblock-get", has=page.locator("[data-path='/api/v1/me']"))
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    with page.expect_response("**/api/v1/me") as answer:
        operation.get_by_role("button", name="Execute").click()
    assert answer.value.json()["organization"]["slug"] == "zenith"
    ada.note(
        page.evaluate("document.documentElement.scrollWidth > innerWidth"), "the API's page is wider than the window"
    )
    ada.look("dark", "light")
    page.emulate_media(color_scheme="dark")


# A page of each kind: a list, a form, an object, panels. The others are made of the same parts.
OF_EACH_KIND = ("/admin/storage", "orgs/apikey", "orgs/auditentry", "costs/priceentry/add", "costs/priceentry/one")


def administrator(root: Window) -> None:
    page = root.page
    root.open("/admin/")
    root.sign_in("root@hub.example")
    assert page.locator("#content h1").inner_text() == "Administration"
    root.look("light", "dark")
    root.open("/admin/background/")
    assert page.locator(".background-work caption").all_inner_texts() == ["Queues", "Workers", "Beat", "Tasks"]
    for number, name in enumerate(OF_EACH_KIND):
        root.open(root.hub.pages[name])
        root.look(("light", "dark")[number % 2])
    root.open("/admin/orgs/apikey/add/")
    page.click(".field-organization .select2-selection")
    page.click(".select2-results__option:has-text('acme')")
    page.fill("#id_name", "from the admin")
    page.select_option("#id_role", "viewer")
    page.click("[name=_save]")
    assert page.locator(".shown-once input").input_value().startswith("ah_")
