"""The account stands in the console's frame for who looks at an organization, and alone for everybody else."""

from __future__ import annotations

from typing import Any

from apps.orgs.models import Membership
from tests.support.world import World


def test_the_account_has_the_menu_of_the_role(world: World, ada: Any, ben: Any) -> None:
    for path in ("/account", "/account/password"):
        page = ada.get(path).content.decode()
        assert 'href="/overview"' in page and 'id="menu"' in page
    places = [place.path for _, group in ben.get("/account").context["menu"] for place in group]
    assert "/overview" in places and "/settings" in places and "/costs" not in places


def test_who_chose_no_organization_has_no_menu(world: World, ada: Any, browser_of: Any) -> None:
    Membership.objects.create(user=world.ada, organization=world.zenith, role="viewer")
    web = browser_of(world.ada)
    page = web.get("/account")
    assert page.status_code == 200 and 'id="menu"' not in page.content.decode()
    chosen = web.post("/account/organization", {"organization": "zenith"}, follow=True).content.decode()
    assert 'id="menu"' in chosen and "You are now looking at zenith." in chosen
    Membership.objects.filter(user=world.ada).delete()
    assert web.get("/account").status_code == 200
