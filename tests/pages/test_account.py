"""The page of one's own account."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.orgs.authentication import forget_keys
from apps.orgs.models import Membership, Organization, Role, User
from apps.orgs.services import project_create
from tests.support.world import World


def current(page: str) -> str:
    """The organization that is marked as the current one."""
    marked = [item for item in re.findall(r"<li class=\"row.*?</li>", page, re.DOTALL) if "badge-accent" in item]
    return "".join(re.findall(r"<strong>(.*?)</strong>", "".join(marked)))


def test_the_only_organization_is_the_current_one(signed_in: Client) -> None:
    page = signed_in.get("/account").content.decode()
    assert current(page) == "acme"
    assert "ada@acme.example" in page
    assert "all projects" in page
    assert "Administration" not in page


def test_one_of_several_is_chosen(signed_in: Client, world: World) -> None:
    Membership.objects.create(user=world.ada, organization=world.zenith, role=Role.VIEWER)
    page = signed_in.get("/account").content.decode()
    assert current(page) == ""
    assert "Choose the one" in page
    answer = signed_in.post("/account/organization", {"organization": "zenith"}, follow=True)
    assert current(answer.content.decode()) == "zenith"
    assert "You are now looking at zenith." in answer.content.decode()
    assert signed_in.session["organization"] == "zenith"
    Membership.objects.filter(organization=world.zenith).delete()
    assert current(signed_in.get("/account").content.decode()) == "acme"


@pytest.mark.parametrize(("slug", "status"), [("zenith", 404), ("nowhere", 404), ("", 400), ("\0", 404)])
def test_a_foreign_organization_does_not_exist(signed_in: Client, slug: str, status: int) -> None:
    answer = signed_in.post("/account/organization", {"organization": slug}, headers={"Accept": "application/json"})
    assert answer.status_code == status
    assert "organization" not in signed_in.session


def test_chosen_projects_are_named(signed_in: Client, world: World) -> None:
    membership = Membership.objects.get(user=world.ada)
    membership.all_projects = False
    membership.save()
    membership.projects.add(world.web)
    page = signed_in.get("/account").content.decode()
    assert "web" in page
    assert "all projects" not in page


def test_names_are_text(signed_in: Client, world: World) -> None:
    Organization.objects.filter(slug="acme").update(name="<script>alert(1)</script>")
    page = signed_in.get("/account").content.decode()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_number_of_queries_does_not_grow(signed_in: Client, world: World) -> None:
    def queries() -> int:
        forget_keys()
        with CaptureQueriesContext(connection) as seen:
            assert signed_in.get("/account").status_code == 200
        return len(seen)

    signed_in.post("/account/organization", {"organization": "acme"})
    queries()  # shows the message of the choice
    before = queries()
    for number in range(5):
        more = Organization.objects.create(slug=f"more-{number}", name=f"More {number}")
        membership = Membership.objects.create(user=world.ada, organization=more, role=Role.VIEWER, all_projects=False)
        membership.projects.add(project_create(organization=more, slug="one"))
    assert queries() == before == 7


def test_staff_find_the_administration(signed_in: Client, ada: User) -> None:
    User.objects.filter(pk=ada.pk).update(is_staff=True, is_superuser=True)
    page = signed_in.get("/account").content.decode()
    assert 'href="/admin/"' in page
    assert "the installation" in page


def test_a_key_is_nobodys_account(world: World) -> None:
    answer = world.get("/account")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, 1100)
    assert world.get("/account", key="ah_x").status_code == 401
