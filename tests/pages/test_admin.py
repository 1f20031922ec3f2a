"""Django's admin: who gets in, that what it writes is the services' work, and that it does not grow slow."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.orgs import services
from apps.orgs.admin.audit import ACTIONS
from apps.orgs.audit import SYSTEM, record
from apps.orgs.models import ApiKey, AuditEntry, Invitation, Membership, Organization, Project, RateLimit, SignIn, User
from tests.pages.conftest import PASSWORD
from tests.pages.test_pages import check_page
from tests.support.world import World

MODELS = ("organization", "project", "user", "membership", "invitation", "apikey", "ratelimit", "signin", "auditentry")


@pytest.fixture
def root(world: World) -> User:
    return User.objects.create_superuser("root@hub.example", PASSWORD)


@pytest.fixture
def desk(web: Client, root: User) -> Client:
    """A browser in which a superuser has signed in."""
    web.force_login(root)
    return web


def url(name: str, *args: Any) -> str:
    return reverse(f"admin:orgs_{name}", args=args)


def saved(answer: Any) -> Any:
    """A form was taken: its errors, if it was not."""
    errors = answer.context["adminform"].form.errors if answer.status_code == 200 and answer.context else ""
    assert answer.status_code == 302, (answer.status_code, errors)
    return answer


def refused(answer: Any, field: str) -> str:
    assert answer.status_code == 200
    return " ".join(answer.context["adminform"].form.errors[field])


def audited(action: str) -> AuditEntry:
    entry = AuditEntry.objects.filter(action=action).latest("id")
    assert (entry.actor, entry.outcome) == ("root@hub.example", "done")
    return entry


# -- what is no key ------------------------------------------------------------------------------------------------

ADDED = (
    *("orgs_project", "orgs_membership", "orgs_invitation", "orgs_apikey", "orgs_ratelimit"),
    *("costs_budget", "costs_priceentry", "exports_exportlimit"),
)
LISTED = ("orgs_project", "orgs_user", "orgs_auditentry", "exports_exportjob", "ingest_deadletter", "costs_repricejob")


@pytest.mark.parametrize("name", ADDED)
@pytest.mark.parametrize("key", ["acme", "x\x00y", "[1]", "9" * 30])
def test_a_form_takes_no_harm_from_what_is_no_key(desk: Client, name: str, key: str) -> None:
    given = dict.fromkeys(("organization", "project", "projects", "user"), key)
    page = reverse(f"admin:{name}_add")
    assert desk.get(page, given).status_code == 200
    answer = desk.post(page, given)
    assert answer.status_code == 200 and answer.context["adminform"].form.errors["organization"]


@pytest.mark.parametrize("name", LISTED)
def test_an_action_takes_no_harm_from_what_is_no_key(desk: Client, name: str) -> None:
    for key in ("<b>", "x\x00y", ""):
        answer = desk.post(reverse(f"admin:{name}_changelist"), {"action": "csv", "_selected_action": key}, follow=True)
        assert "What was chosen is not in this list." in answer.content.decode()


# -- who gets in ---------------------------------------------------------------------------------------------------


def test_the_way_in_is_our_own_page(web: Client, root: User) -> None:
    answer = web.get("/admin/orgs/project/?q=a", follow=True)
    assert answer.redirect_chain[-1][0] == "/login?next=%2Fadmin%2Forgs%2Fproject%2F%3Fq%3Da"
    form = {"email": root.email, "password": PASSWORD, "next": answer.context["next"]}
    answer = web.post("/login", form, follow=True)
    assert answer.request["PATH_INFO"] == "/admin/orgs/project/"
    assert answer.status_code == 200
    assert web.get("/admin")["Location"] == "/admin/"
    assert web.get("/admin/password_change/")["Location"] == "/account/password"
    assert web.post("/admin/logout/")["Location"] == "/login"
    assert web.get("/admin/").status_code == 302


@pytest.mark.parametrize(
    "path", ["/admin/", "/admin/login/", "/admin/orgs/auditentry/", "/admin/orgs/user/1/password/"]
)
def test_a_member_is_refused(signed_in: Client, path: str) -> None:
    answer = signed_in.get(path, follow=True)
    assert answer.status_code == 403
    assert "not open to you" in check_page(answer)


def test_staff_see_what_they_are_given_and_change_nothing(web: Client, world: World) -> None:
    staff = User.objects.create_user("staff@hub.example", PASSWORD, is_staff=True)
    web.force_login(staff)
    assert web.get(url("project_changelist")).status_code == 403
    names = [f"{verb}_{model}" for verb in ("view", "add", "change", "delete") for model in MODELS]
    staff.user_permissions.set(Permission.objects.filter(codename__in=names))
    for model in MODELS:
        assert web.get(url(f"{model}_changelist")).status_code == 200, model
        assert web.get(url(f"{model}_add")).status_code == 403, model
    assert web.get(url("user_change", staff.pk)).status_code == 200
    assert web.post(url("user_change", staff.pk), {"is_superuser": "on"}).status_code == 403
    assert web.post(url("user_password", staff.pk), {}).status_code == 403
    key = ApiKey.objects.latest("pk")
    web.post(url("apikey_changelist"), {"action": "revoke", "_selected_action": [key.pk]})
    key.refresh_from_db()
    assert key.revoked_at is None
    staff.refresh_from_db()
    assert not staff.is_superuser


def test_every_page_keeps_to_the_content_policy(desk: Client, world: World) -> None:
    fill(world, 2)
    paths = ["/admin/", "/admin/search/", url("user_password", world.ada.pk)]
    for model in MODELS:
        paths.append(url(f"{model}_changelist"))
        if model not in ("signin", "auditentry"):
            paths.append(url(f"{model}_add"))
        latest = apps.get_model("orgs", model)._default_manager.latest("pk")
        paths.append(url(f"{model}_change", latest.pk))
    for path in paths:
        answer = desk.get(path)
        assert answer.status_code == 200, path
        check_page(answer)
        assert "no-store" in answer["Cache-Control"]


def test_the_checks_of_django_are_content() -> None:
    call_command("check", "--fail-level", "WARNING")


# -- what it writes ------------------------------------------------------------------------------------------------


def test_organizations(desk: Client, world: World) -> None:
    saved(desk.post(url("organization_add"), {"slug": "new", "name": "New"}))
    made = Organization.objects.get(slug="new")
    assert made.projects.get().slug == "default"
    assert audited("organization.create").object_name == "new"
    empty = {f"{name}-{part}": 0 for name in ("projects", "memberships", "rate_limits")
             for part in ("TOTAL_FORMS", "INITIAL_FORMS")}  # fmt: skip
    saved(desk.post(url("organization_change", made.pk), {"name": "Newer", "slug": "other", **empty}))
    made.refresh_from_db()
    assert (made.slug, made.name) == ("new", "Newer")
    assert audited("organization.update").after == {"name": "Newer"}
    assert desk.post(url("organization_delete", made.pk), {"post": "yes"}).status_code == 403
    said = refused(desk.post(url("organization_add"), {"slug": "Not A Slug", "name": "x"}), "slug")
    assert "1 to 64 of a-z" in said


def test_projects(desk: Client, world: World) -> None:
    form = {
        "organization": world.acme.pk,
        "slug": "shop",
        "name": "Shop",
        "redact_patterns": "",
        "redact_custom": "",
    }
    saved(desk.post(url("project_add"), form))
    shop = Project.objects.get(slug="shop")
    assert audited("project.create").organization_id == world.acme.pk
    settings = {"name": "Shop", "store_content": "on", "redact_patterns": "email\r\n\r\n", "redact_custom": ""}
    saved(desk.post(url("project_change", shop.pk), {**settings, "spans_per_minute": "7"}))
    after = audited("project.update").after
    assert after == {"store_content": True, "redact_patterns": ["email"], "spans_per_minute": 7}
    number = AuditEntry.objects.count()
    answer = desk.post(url("project_change", shop.pk), {**settings, "raw_retention_days": "99999"})
    assert "3650" in refused(answer, "raw_retention_days")
    assert AuditEntry.objects.count() == number
    shop.refresh_from_db()
    assert shop.raw_retention_days is None
    saved(desk.post(url("project_change", shop.pk), {**settings, "redact_custom": "id [0-9]+ \r\n[a-z]{9}"}))
    assert (audited("project.update").after or {})["redact_custom"] == ["id [0-9]+ ", "[a-z]{9}"]
    assert "id [0-9]+ \n[a-z]{9}" in desk.get(url("project_change", shop.pk)).text
    answer = desk.post(url("project_change", shop.pk), {**settings, "redact_patterns": "emali"})
    assert "emali" in refused(answer, "redact_patterns")


def test_memberships(desk: Client, world: World) -> None:
    cleo = User.objects.get(email="cleo@z.example")
    form = {"user": cleo.pk, "organization": world.acme.pk, "role": "viewer", "projects": [world.web.pk]}
    saved(desk.post(url("membership_add"), form))
    member = Membership.objects.get(user=cleo, organization=world.acme)
    assert list(member.projects.all()) == [world.web]
    assert audited("member.add").after == {"role": "viewer", "all_projects": False, "projects": ["web"]}
    saved(desk.post(url("membership_change", member.pk), {"role": "developer", "all_projects": "on"}))
    member.refresh_from_db()
    assert (member.role, member.all_projects, member.projects.count()) == ("developer", True, 0)
    before = audited("member.update").before
    assert before == {"role": "viewer", "all_projects": False, "projects": ["web"]}
    saved(desk.post(url("membership_delete", member.pk), {"post": "yes"}))
    assert not Membership.objects.filter(pk=member.pk).exists()
    assert audited("member.remove").object_name == cleo.email
    foreign = {**form, "projects": [world.zenith_project.pk]}
    assert "no such project" in refused(desk.post(url("membership_add"), foreign), "projects")


def test_the_last_admin_stays(desk: Client, world: World) -> None:
    last = Membership.objects.get(organization=world.zenith)
    answer = desk.post(url("membership_change", last.pk), {"role": "viewer", "all_projects": "on"})
    assert "at least one admin" in refused(answer, "role")
    answer = desk.post(url("membership_delete", last.pk), {"post": "yes"}, follow=True)
    assert "at least one admin" in answer.content.decode()
    last.refresh_from_db()
    assert last.role == "admin"
    assert "delete_selected" not in desk.get(url("membership_changelist")).content.decode()


def test_people(desk: Client, root: User, world: World) -> None:
    saved(desk.post(url("user_add"), {"email": "Bo@X.example", "name": "Bo", "is_active": "on", "password": PASSWORD}))
    bo = User.objects.get(email="bo@x.example")
    assert bo.check_password(PASSWORD)
    assert PASSWORD not in json.dumps([entry.after for entry in AuditEntry.objects.all()])
    answer = desk.post(url("user_add"), {"email": "Bo@X.example", "is_active": "on"})
    assert "already" in refused(answer, "email")
    weak = {"email": "cy@x.example", "is_active": "on", "password": "short"}
    assert "too short" in refused(desk.post(url("user_add"), weak), "password")
    inline = {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    saved(desk.post(url("user_change", bo.pk), {"email": bo.email, "name": "Bo", **inline}))
    assert audited("user.update").after == {"is_active": False}
    own = {"email": root.email, "is_active": "on", "is_staff": "on", **inline}
    assert "your own account" in refused(desk.post(url("user_change", root.pk), own), "is_superuser")


def test_setting_a_password(desk: Client, ada: User) -> None:
    browser = Client()
    browser.force_login(ada)
    family = SignIn.objects.create(user=ada, current_jti="x", expires_at=timezone.now())
    path = url("user_password", ada.pk)
    assert "differ" in desk.post(path, {"password": "new password 1", "again": "x"}).content.decode()
    assert "too short" in desk.post(path, {"password": "short", "again": "short"}).content.decode()
    assert desk.post(path, {"password": "quite a new one", "again": "quite a new one"}).status_code == 302
    ada.refresh_from_db()
    assert ada.check_password("quite a new one")
    assert audited("user.password").object_name == ada.email
    assert browser.get("/account").status_code == 302
    family.refresh_from_db()
    assert family.revoked_reason == "password"


def test_a_keys_text_is_shown_once_and_stored_nowhere(desk: Client, world: World) -> None:
    form = {"organization": world.acme.pk, "name": "ci", "permissions": ["traces:write"], "networks": "10.0.0.0/8\n"}
    answer = desk.post(url("apikey_add"), form)
    assert answer.status_code == 200
    text = re.findall(r"ah_[0-9a-f]{16}_[0-9a-f]{64}", check_page(answer))
    key = ApiKey.objects.get(name="ci")
    assert [one[: len(key.prefix)] for one in text] == [key.prefix]
    assert (key.permissions, key.networks) == (["traces:write"], ["10.0.0.0/8"])
    assert "no-store" in answer["Cache-Control"]
    assert text[0] not in json.dumps(list(desk.session.values()), default=str)
    assert text[0] not in desk.get(url("apikey_changelist")).content.decode()
    assert audited("key.create").object_name == key.prefix
    both = {**form, "role": "viewer"}
    assert "role or a list" in refused(desk.post(url("apikey_add"), both), "role")
    bad = {**form, "networks": "here"}
    assert "no network" in refused(desk.post(url("apikey_add"), bad), "networks")


def test_keys_are_changed_rotated_and_revoked(desk: Client, world: World) -> None:
    key, text = world.new_key(name="ci")
    saved(desk.post(url("apikey_change", key.pk), {"name": "ci 2", "networks": "", "role": "admin"}))
    key.refresh_from_db()
    assert (key.name, key.role) == ("ci 2", "viewer")
    assert audited("key.update").after == {"name": "ci 2"}
    page = desk.post(url("apikey_changelist"), {"action": "rotate", "_selected_action": [key.pk]}).content.decode()
    (new,) = re.findall(rf"{key.prefix}_[0-9a-f]{{64}}", page)
    assert new != text
    assert world.get("/api/v1/metrics/catalog", key=new).status_code == 200
    assert world.get("/api/v1/metrics/catalog", key=text).status_code == 200  # for another day
    audited("key.rotate")
    answer = desk.post(url("apikey_changelist"), {"action": "revoke", "_selected_action": [key.pk]}, follow=True)
    assert "Revoked" in answer.content.decode()
    audited("key.revoke")
    answer = desk.post(url("apikey_changelist"), {"action": "rotate", "_selected_action": [key.pk]}, follow=True)
    assert "The key is revoked" in answer.content.decode()


def test_invitations(desk: Client, world: World) -> None:
    form = {"organization": world.acme.pk, "email": "bo@x.example", "role": "viewer", "all_projects": "on"}
    answer = desk.post(url("invitation_add"), {**form, "expires_in_days": "3"})
    (link,) = re.findall(r"http://testserver(/invitations/[\w-]{43})", answer.content.decode())
    assert "Join acme" in Client().get(link).content.decode()
    audited("invitation.create")
    made = Invitation.objects.get()
    assert desk.get(url("invitation_change", made.pk)).status_code == 200
    desk.post(url("invitation_changelist"), {"action": "revoke", "_selected_action": [made.pk]})
    audited("invitation.revoke")
    assert "revoked" in Client(headers={"Accept": "text/html"}).get(link).content.decode()
    answer = desk.post(url("invitation_add"), {**form, "expires_in_days": "400"})
    assert "1 to 90" in refused(answer, "expires_in_days")


def test_limits(desk: Client, world: World) -> None:
    form = {"organization": world.acme.pk, "bucket": "export", "per_minute": "3", "burst": "4"}
    saved(desk.post(url("ratelimit_add"), form))
    limit = RateLimit.objects.get()
    assert audited("limit.set").after == {"per_minute": 3, "burst": 4}
    saved(desk.post(url("ratelimit_change", limit.pk), {"per_minute": "5", "burst": "4"}))
    limit.refresh_from_db()
    assert limit.per_minute == 5
    answer = desk.post(url("ratelimit_change", limit.pk), {"per_minute": "0", "burst": "4"})
    assert "greater than or equal to 1" in refused(answer, "per_minute")
    saved(desk.post(url("ratelimit_delete", limit.pk), {"post": "yes"}))
    assert not RateLimit.objects.exists()
    audited("limit.remove")


def test_sign_ins_are_ended(desk: Client, world: World) -> None:
    family = SignIn.objects.create(user=world.ada, current_jti="x", expires_at=timezone.now())
    desk.post(url("signin_changelist"), {"action": "revoke", "_selected_action": [family.pk]})
    family.refresh_from_db()
    assert family.revoked_reason == "administrator"
    audited("token.revoke")
    assert desk.post(url("signin_change", family.pk), {}).status_code == 403
    assert desk.post(url("signin_delete", family.pk), {"post": "yes"}).status_code == 403


# -- the audit log -------------------------------------------------------------------------------------------------


def test_the_audit_log_is_read_only_even_by_address(desk: Client, world: World) -> None:
    record(SYSTEM, "key.create", organization_id=world.acme.pk, object_type="key", after={"name": "<b>x</b>"})
    entry = AuditEntry.objects.latest("id")
    page = check_page(desk.get(url("auditentry_change", entry.pk)))
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert 'name="_save"' not in page
    before = list(AuditEntry.objects.order_by("id").values())
    assert desk.post(url("auditentry_change", entry.pk), {"action": "x"}).status_code == 403
    assert desk.get(url("auditentry_add")).status_code == 403
    assert desk.post(url("auditentry_add"), {"action": "x"}).status_code == 403
    assert desk.post(url("auditentry_delete", entry.pk), {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [entry.pk], "post": "yes"}
    desk.post(url("auditentry_changelist"), chosen)
    now = list(AuditEntry.objects.order_by("id").values())
    assert now[: len(before)] == before
    assert {one["action"] for one in now[len(before) :]} == {"access.denied"}  # the refusals themselves


def rows(desk: Client, **filters: str | int) -> int:
    return len(desk.get(url("auditentry_changelist"), filters).context["cl"].result_list)


def test_the_audit_log_is_filtered_and_searched(desk: Client, world: World) -> None:
    before = rows(desk)
    record(SYSTEM, "member.add", organization_id=world.acme.pk, object_type="member", object_id=77, object_name="bo@x")
    record(SYSTEM, "token.reuse", organization_id=world.zenith.pk)
    assert rows(desk) == before + 2
    assert rows(desk, q="BO@x") == rows(desk, action="token.reuse") == rows(desk, object="member:77") == 1
    assert rows(desk, organization=world.zenith.pk, action="token.reuse") == 1
    assert rows(desk, organization=world.acme.pk, action="token.reuse") == 0
    assert rows(desk, outcome__exact="denied") == 0
    assert rows(desk, at__gte="2020-01-01 00:00:00+00:00") == before + 2
    history = desk.get(url("membership_history", 77))
    assert history["Location"].endswith("?object=member:77")


def test_the_audit_log_is_not_counted(desk: Client, world: World) -> None:
    with CaptureQueriesContext(connection) as seen:
        rows(desk, organization=world.acme.pk, q="x")
    reads = [query["sql"] for query in seen if "orgs_auditentry" in query["sql"]]
    assert len(reads) == 2
    assert all("LIMIT" in sql for sql in reads), reads


def test_every_action_that_is_recorded_can_be_chosen() -> None:
    named = re.compile(r'(?:record|_tell|denied|refused)\w*\([^"]{0,80}"([a-z_]+\.[a-z_]+)"')
    sources = [path.read_text(encoding="utf-8") for path in Path(services.__file__).parents[1].rglob("*.py")]
    found = {name for text in sources for name in named.findall(text)}
    assert len(found) > 15
    assert found <= set(ACTIONS)


def test_projects_are_chosen_by_their_organizations_name(desk: Client, world: World) -> None:
    asked = {"app_label": "orgs", "model_name": "apikey", "field_name": "project", "term": "def"}
    found = desk.get("/admin/autocomplete/", asked).json()["results"]
    assert [one["text"] for one in found] == ["acme/default"]
    member = Membership.objects.get(user__email="ada@acme.example")
    member.projects.add(world.web)
    assert "acme/web" in desk.get(url("membership_change", member.pk)).content.decode()


# -- cost ----------------------------------------------------------------------------------------------------------


def fill(world: World, number: int) -> None:
    """More of everything."""
    start = Organization.objects.count()
    for index in range(start, start + number):
        organization = Organization.objects.create(slug=f"o{index}", name="x")
        project = Project.objects.create(organization=organization, slug="default", name="x")
        user = User.objects.create(email=f"u{index}@x.example")
        member = Membership.objects.create(user=user, organization=organization, role="viewer", all_projects=False)
        member.projects.add(project)
        Membership.objects.create(user=user, organization=world.acme, role="viewer")
        invitation = Invitation.objects.create(
            organization=organization, email="x@x.example", role="viewer", all_projects=False, invited_by=user,
            token_sha256=f"{index}", expires_at=timezone.now(),
        )  # fmt: skip
        invitation.projects.add(project)
        world.new_key(project=world.web, created_by=user)
        RateLimit.objects.create(organization=organization, bucket="export", per_minute=1, burst=1)
        SignIn.objects.create(user=user, current_jti="x", expires_at=timezone.now())
        record(SYSTEM, "key.create", organization_id=organization.pk)


def cost(desk: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as seen:
        assert desk.get(path).status_code == 200
    return len(seen)


def test_lists_and_pages_take_the_same_queries_however_long(desk: Client, world: World) -> None:
    fill(world, 2)
    paths = [url(f"{model}_changelist") for model in MODELS]
    paths += [url("organization_change", world.acme.pk), url("user_change", world.ada.pk)]
    for path in paths:
        cost(desk, path)  # what is looked up once a process
    few = {path: cost(desk, path) for path in paths}
    fill(world, 6)
    assert {path: cost(desk, path) for path in paths} == few
    assert max(few.values()) <= 12, few
