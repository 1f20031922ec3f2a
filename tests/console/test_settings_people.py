"""Members, invitations, the organization and its projects in the settings."""

from __future__ import annotations

import re
from typing import Any

import pytest

from apps.orgs.models import AuditEntry, Invitation, Membership, Project
from tests.console.test_settings_keys import filled
from tests.support.world import World

LINK = re.compile(r'value="(http://testserver/invitations/[^"]+)"')
INVITE = "/settings/invitations/new"


def test_an_invitations_link_is_shown_once_and_opens(world: World, ada: Any, web: Any) -> None:
    sent = filled(ada, INVITE, email="eve@acme.example", role="analyst", projects=["web"], expires_in_days="3")
    answer = ada.post(INVITE, sent)
    (link,) = LINK.findall(answer.content.decode())
    assert "no-store" in answer["Cache-Control"]
    assert b"eve@acme.example" in web.get(link.removeprefix("http://testserver")).content
    token = link.rpartition("/")[2]
    again = ada.post(INVITE, sent)
    assert again.status_code == 409 and b"invite the same address again" in again.content
    page = ada.get("/settings/members").content.decode()
    assert token not in page + again.content.decode() and "eve@acme.example" in page
    assert Invitation.objects.filter(email="eve@acme.example").count() == 1


def test_an_invitation_is_refused_at_its_fields(world: World, ada: Any) -> None:
    sent = filled(ada, INVITE, email="nobody", role="analyst", all_projects="on", expires_in_days="many")
    for changes, field in (
        ({"expires_in_days": "3"}, "email"),
        ({"email": "eve@acme.example"}, "expires_in_days"),
        ({"email": "eve@acme.example", "expires_in_days": "91"}, "expires_in_days"),
        ({"email": "eve@acme.example", "expires_in_days": "3", "projects": ["web"]}, "projects"),
        ({"email": "eve@acme.example", "expires_in_days": "3", "all_projects": ""}, "projects"),
        ({"email": "eve@acme.example", "expires_in_days": "3", "role": "owner"}, "role"),
    ):
        refused = ada.post(INVITE, {**sent, **changes})
        assert refused.status_code == 400
        assert set(refused.context["form"].errors) == {field}, changes
        assert f'id="id_{field}_error"' in refused.content.decode() or field == "projects"
    assert not Invitation.objects.filter(organization=world.acme).exists()


def test_revoking_an_invitation_asks_once(world: World, ada: Any) -> None:
    ada.post(INVITE, filled(ada, INVITE, email="eve@acme.example", role="viewer", all_projects="on"))
    row = Invitation.objects.get(email="eve@acme.example")
    path = f"/settings/invitations/{row.pk}/revoke"
    assert path in ada.get("/settings/members").content.decode()
    assert ada.get(path).status_code == 200
    row.refresh_from_db()
    assert row.revoked_at is None
    assert ada.post(path).status_code == 302
    row.refresh_from_db()
    assert row.revoked_at is not None
    foreign = Invitation.objects.create(
        organization=world.zenith, email="x@z.example", role="viewer", token_sha256="0" * 64, expires_at=row.expires_at
    )
    assert ada.post(f"/settings/invitations/{foreign.pk}/revoke").status_code == 404


def test_a_members_role_and_projects_are_changed(world: World, ada: Any) -> None:
    dora = world.member_of(world.dora)
    path = f"/settings/members/{dora.pk}"
    assert ada.post(path, {"role": "analyst", "projects": ["default", "web"]}).status_code == 302
    dora.refresh_from_db()
    assert (dora.role, dora.all_projects, set(dora.projects.all())) == ("analyst", False, {world.default, world.web})
    assert ada.post(path, {"role": "analyst", "all_projects": "on"}).status_code == 302
    dora.refresh_from_db()
    assert dora.all_projects
    own = world.member_of(world.ada)
    refused = ada.post(f"/settings/members/{own.pk}", {"role": "viewer", "all_projects": "on"})
    assert refused.status_code == 400 and "role" in refused.context["form"].errors


def test_removing_a_member_asks_once_and_keeps_the_last_admin(world: World, ada: Any) -> None:
    ben, own = world.member_of(world.ben), world.member_of(world.ada)
    path = f"/settings/members/{ben.pk}/remove"
    assert b"Remove the member" in ada.get(path).content
    assert Membership.objects.filter(pk=ben.pk).exists()
    assert ada.post(path)["Location"] == "/settings/members"
    assert not Membership.objects.filter(pk=ben.pk).exists()
    refused = ada.post(f"/settings/members/{own.pk}/remove")
    assert refused.status_code == 400 and b'role="alert"' in refused.content
    assert Membership.objects.filter(pk=own.pk).exists()


def test_who_sees_a_part_stays_within_it(world: World, browser_of: Any) -> None:
    pam = browser_of(world.new_person("pam@acme.example", "admin", world.web))
    page = pam.get(INVITE)
    assert "all_projects" not in page.context["form"].fields
    assert page.context["form"].fields["projects"].choices == [("web", "web")]
    sent = filled(pam, INVITE, email="eve@acme.example", role="viewer", expires_in_days="3", all_projects="on")
    assert pam.post(INVITE, sent).context["form"].errors
    assert pam.post(INVITE, {**sent, "projects": ["default"]}).status_code == 403
    assert LINK.search(pam.post(INVITE, {**sent, "projects": ["web"]}).content.decode())
    dora = world.member_of(world.dora)
    assert pam.post(f"/settings/members/{dora.pk}", {"role": "viewer", "projects": ["web"]}).status_code == 302
    dora.refresh_from_db()
    assert (dora.role, dora.all_projects, list(dora.projects.all())) == ("viewer", False, [world.web])
    assert pam.get(f"/settings/members/{world.member_of(world.ada).pk}").status_code == 403
    assert pam.get("/settings/new-project").status_code == 200
    refused = pam.post("/settings/new-project", {"slug": "more"})
    assert refused.status_code == 403 and "__all__" in refused.context["form"].errors


@pytest.mark.parametrize("deed", ["", "/remove"])
def test_members_of_others_are_not_there(world: World, ada: Any, deed: str) -> None:
    cleo = Membership.objects.get(user=world.cleo)
    path = f"/settings/members/{cleo.pk}{deed}"
    assert (ada.get(path).status_code, ada.post(path, {"role": "viewer"}).status_code) == (404, 404)
    assert Membership.objects.filter(pk=cleo.pk, role="admin").exists()


def test_the_organization_is_renamed(world: World, ada: Any, ben: Any) -> None:
    path = "/settings/organization"
    assert ada.post(path, {"name": "Acme & Sons"}).status_code == 302
    assert (
        b"Acme &amp; Sons" in ben.get(path).content
        and b'<form method="post" class="stack"' not in ben.get(path).content
    )
    refused = ada.post(path, {"name": ""})
    assert set(refused.context["form"].errors) == {"name"}


def test_a_project_is_made_and_set(world: World, ada: Any, ben: Any) -> None:
    assert ada.post("/settings/new-project", {"slug": "chatbot", "store_content": "on"}).status_code == 302
    row = Project.objects.get(slug="chatbot", organization=world.acme)
    assert (row.name, row.store_content) == ("chatbot", True)
    refused = ada.post("/settings/new-project", {"slug": "chatbot", "store_content": "on"})
    assert refused.status_code == 409 and set(refused.context["form"].errors) == {"slug"}
    path = "/settings/projects/chatbot"
    sent = {
        **{"name": "Chat", "raw_retention_days": "30", "content_retention_days": "", "spans_per_minute": "600"},
        **{"redact_patterns": ["email", "card"], "redact_custom": "ORD-[0-9]{5}\r\n\r\nCASE-[0-9]{3}"},
    }
    assert ada.post(path, sent).status_code == 302
    row.refresh_from_db()
    assert (row.name, row.raw_retention_days, row.content_retention_days, row.spans_per_minute) == (
        "Chat",
        30,
        None,
        600,
    )
    assert (row.store_content, row.redact_patterns) == (False, ["email", "card"])
    assert row.redact_custom == ["ORD-[0-9]{5}", "CASE-[0-9]{3}"]
    changes = AuditEntry.objects.filter(action="project.update").count()
    assert ada.post(path, sent).status_code == 302
    assert AuditEntry.objects.filter(action="project.update").count() == changes
    page = ben.get(path)
    assert page.status_code == 200 and b"600" in page.content and b"Save" not in page.content


def test_a_projects_settings_are_refused_at_their_fields(world: World, ada: Any) -> None:
    sent = {"name": "web", "store_content": "on"}
    for field, value in (
        ("raw_retention_days", "0"),
        ("raw_retention_days", "a month"),
        ("content_retention_days", "3651"),
        ("spans_per_minute", "-1"),
        ("redact_custom", "(a+)+$"),
        ("redact_patterns", "passport"),
        ("name", "x" * 201),
    ):
        refused = ada.post("/settings/projects/web", {**sent, field: value})
        assert refused.status_code == 400
        assert set(refused.context["form"].errors) == {field}, value


def test_redaction_is_tried_without_being_saved(world: World, ada: Any) -> None:
    path = "/settings/projects/web"
    sent = {
        **{"deed": "try", "name": "web", "store_content": "on", "redact_patterns": ["email"]},
        **{"redact_custom": "ORD-[0-9]{5}", "sample": "<b>eve@acme.example</b> and +49 30 1234567, ORD-20817"},
    }
    answer = ada.post(path, sent)
    assert "&lt;b&gt;[email]&lt;/b&gt; and +49 30 1234567, [redacted]" in answer.content.decode()
    world.web.refresh_from_db()
    assert (world.web.redact_patterns, world.web.redact_custom) == ([], [])
    refused = ada.post(path, {**sent, "redact_custom": "(a+)+$"})
    assert refused.status_code == 400 and set(refused.context["form"].errors) == {"redact_custom"}
    assert refused.context["tried"] is None
    assert ada.post(path, {**sent, "sample": "x" * 2_001}).context["tried"] is None


def test_projects_of_others_and_hidden_ones(world: World, ada: Any, browser_of: Any) -> None:
    assert ada.get("/settings/projects/secret").status_code == 404
    assert browser_of(world.dora).get("/settings/projects/default").status_code == 403
    assert b"/settings/projects/default" not in browser_of(world.dora).get("/settings/organization").content


def test_the_tabs_are_those_that_open(world: World, ada: Any, ben: Any) -> None:
    for web in (ada, ben):
        page = web.get("/settings", follow=True)
        tabs = [place.path for place in page.context["tabs"]]
        assert {web.get(path).status_code for path in tabs} == {200}
    assert tabs == ["/settings/organization"]


def test_the_audit_log_is_filtered(world: World, ada: Any) -> None:
    ada.post("/settings/organization", {"name": "Acme & Sons"})
    page = ada.get("/settings/audit", {"action": "organization.update", "actor": "ada@acme.example"})
    text = page.content.decode()
    assert "<ins>Acme &amp; Sons</ins>" in text and "<del>acme</del>" in text
    assert [row["action"] for row in page.context["answer"].data] == ["organization.update"]
    assert "action=organization.update" in re.findall(r'href="(/api/v1/audit/export[^"]+)"', text)[0]
    nothing = ada.get("/settings/audit", {"actor": "nobody"})
    assert b"No entry fits" in nothing.content
    for field, value in (("start_time", "soon"), ("outcome", "maybe"), ("project", "secret")):
        refused = ada.get("/settings/audit", {field: value})
        assert refused.status_code in (400, 404) and set(refused.context["form"].errors) == {field}
    assert ada.get("/settings/audit?actr=x").status_code == 400


def test_the_audit_log_goes_on(world: World, ada: Any) -> None:
    from apps.orgs.audit import SYSTEM, record

    for number in range(103):
        record(
            SYSTEM, "key.create", organization_id=world.acme.pk, object_type="key", object_id=number, object_name="k"
        )
    first = ada.get("/settings/audit?action=key.create&object_type=key")
    rest = ada.get(f"/settings/audit{first.context['further']}")
    ids = [row["id"] for page in (first, rest) for row in page.context["answer"].data]
    assert len(first.context["answer"].data) == 100 and len(set(ids)) == len(ids) >= 103
    assert rest.context["further"] == ""
