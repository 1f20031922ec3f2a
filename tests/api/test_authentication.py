"""API keys: what opens the API, what does not, and what each refusal says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from apps.common.errors import ApiError
from apps.orgs.access import PERMISSIONS, Principal, require_permission, scope_projects
from apps.orgs.authentication import authenticate_request, forget_keys
from apps.orgs.models import ApiKey, Membership, Organization, Project, Role, User
from apps.orgs.projects import forget_projects, project_for_ingest
from apps.orgs.services import api_key_create, organization_bootstrap, project_create
from tests.support.world import World

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def traveller(monkeypatch: pytest.MonkeyPatch) -> Iterator[time_machine.Traveller]:
    monkeypatch.setattr("apps.common.cells.monotonic", time.time)
    with time_machine.travel(NOW, tick=False) as traveller:
        forget_keys()
        forget_projects()
        yield traveller
    forget_keys()
    forget_projects()


def carrying(**headers: str) -> HttpRequest:
    return RequestFactory().get("/", headers={name.replace("_", "-"): value for name, value in headers.items()})


def principal_of(key: str) -> Principal:
    return authenticate_request(carrying(Authorization=f"Bearer {key}"))


def refusal(**headers: str) -> ApiError:
    with pytest.raises(ApiError) as caught:
        authenticate_request(carrying(**headers))
    return caught.value


def test_a_key_opens_by_either_header(world: World) -> None:
    by_bearer = authenticate_request(carrying(Authorization=f"bearer  {world.key}"))
    assert authenticate_request(carrying(X_API_Key=world.key)) == by_bearer
    assert by_bearer.organization_slug == "acme"
    assert by_bearer.key_project_id == world.default.pk
    assert by_bearer.project_ids == {"default": world.default.pk}
    assert by_bearer.permissions == PERMISSIONS[Role.ADMIN]


def test_a_proxys_own_authorization_does_not_hide_the_key(world: World) -> None:
    assert authenticate_request(carrying(Authorization="Basic eDp5", X_API_Key=world.key)).key_project_id
    assert authenticate_request(carrying(Authorization="Bearer ey.J.h", X_API_Key=world.key)).key_project_id


def test_no_credentials(world: World) -> None:
    error = refusal()
    assert (error.entry.code, error.status) == (1000, 401)
    assert error.headers["WWW-Authenticate"] == 'Bearer realm="analytics-hub"'


@pytest.mark.parametrize("text", ["x", "ah_", "ah_1_2", "ah_" + "0" * 16 + "_" + "0" * 64, "ah_é_ü"])
def test_a_malformed_or_unknown_key(world: World, text: str) -> None:
    error = refusal(Authorization=f"Bearer {text}")
    assert (error.entry.code, error.status) == (1003, 401)
    assert 'error="invalid_token"' in error.headers["WWW-Authenticate"]


def test_a_known_id_with_another_secret_is_refused(world: World) -> None:
    assert refusal(X_API_Key=world.key[:-1] + ("0" if world.key[-1] != "0" else "1")).entry.code == 1003


def test_other_schemes_are_not_keys(world: World) -> None:
    assert refusal(Authorization="Basic eDp5").entry.code == 1003


def test_an_expired_key(world: World, traveller: time_machine.Traveller) -> None:
    _, text = world.new_key(expires_at=NOW + timedelta(seconds=5))
    assert principal_of(text).organization_slug == "acme"
    traveller.shift(5)
    assert refusal(X_API_Key=text).entry.code == 1002


def test_a_revoked_key_is_refused_within_ten_seconds(world: World, traveller: time_machine.Traveller) -> None:
    key, text = world.new_key()
    principal_of(text)
    ApiKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now())
    principal_of(text)
    traveller.shift(10.1)
    assert refusal(X_API_Key=text).entry.code == 1003


def test_a_known_key_costs_no_query(world: World, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    # The key with its organization, the note of its use, its projects, its organization's limits.
    with django_assert_num_queries(4):
        principal_of(world.wide_key)
    with django_assert_num_queries(0):
        principal_of(world.wide_key)


def test_the_last_use_is_noted_once_a_minute(world: World, traveller: time_machine.Traveller) -> None:
    key, text = world.new_key()
    seen = []
    for _ in range(14):
        principal_of(text)
        key.refresh_from_db()
        seen.append(key.last_used_at)
        traveller.shift(11)
    assert list(dict.fromkeys(seen)) == [NOW, NOW + timedelta(seconds=66), NOW + timedelta(seconds=132)]


def test_secrets_are_stored_as_hashes_only(world: World) -> None:
    key, text = world.new_key()
    secret = text.rpartition("_")[2]
    assert len(secret) == 64
    assert secret not in str(vars(key))
    assert str(key) == text[:19]


def test_a_key_may_hold_permissions_instead_of_a_role(world: World) -> None:
    _, text = world.new_key(role="", permissions=["metrics:read"])
    principal = principal_of(text)
    require_permission(principal, "metrics:read")
    with pytest.raises(ApiError) as caught:
        require_permission(principal, "metrics:query")
    assert (caught.value.entry.code, caught.value.status) == (1100, 403)
    assert "metrics:query" in caught.value.message


def test_a_key_that_could_do_nothing_is_not_made(world: World) -> None:
    with pytest.raises(ValueError, match="role or permissions"):
        api_key_create(organization=world.acme)
    with pytest.raises(ValueError, match="another organization"):
        api_key_create(organization=world.acme, project=world.zenith_project, role=Role.ADMIN)


def test_projects_in_sight(world: World) -> None:
    wide, narrow = principal_of(world.wide_key), principal_of(world.key)
    both = tuple(sorted((world.default.pk, world.web.pk)))
    assert scope_projects(wide, None) == both
    assert scope_projects(wide, ["web", "default", "web"]) == both
    assert scope_projects(narrow, None) == (world.default.pk,)


@pytest.mark.parametrize(("slug", "code"), [("web", 1101), ("secret", 1300), ("nowhere", 1300)])
def test_projects_out_of_sight(world: World, slug: str, code: int) -> None:
    with pytest.raises(ApiError) as caught:
        scope_projects(principal_of(world.key), [slug])
    assert caught.value.entry.code == code


def test_a_new_project_is_seen_at_once_by_an_organizations_key(world: World) -> None:
    principal = principal_of(world.wide_key)
    late = project_create(organization=world.acme, slug="late")
    assert scope_projects(principal, ["late"]) == (late.pk,)


@pytest.mark.parametrize(
    ("headers", "hint", "slug"),
    [
        ({}, None, "default"),
        ({"X-Project": "web"}, "default", "web"),
        ({"x-project-name": "web"}, None, "web"),
        ({}, "web", "web"),
        ({"x-mlflow-experiment-id": "web"}, None, "web"),
        ({"X-Project": " "}, None, "default"),
    ],
)
def test_an_organizations_key_is_led_to_a_project(
    world: World, headers: dict[str, str], hint: str | None, slug: str
) -> None:
    request = RequestFactory().post("/", headers=headers)
    assert project_for_ingest(principal_of(world.wide_key), request, hint).slug == slug


def test_a_projects_key_leads_there_whatever_is_named(world: World) -> None:
    request = RequestFactory().post("/", headers={"X-Project": "web"})
    found = project_for_ingest(principal_of(world.key), request, "web")
    assert (found.id, found.slug, found.organization_id) == (world.default.pk, "default", world.acme.pk)
    assert (found.raw_retention_days, found.content_retention_days) == (90, 30)


def test_no_project_is_made_by_a_span(world: World) -> None:
    request = RequestFactory().post("/", headers={"X-Project": "secret"})
    with pytest.raises(ApiError) as caught:
        project_for_ingest(principal_of(world.wide_key), request)
    assert caught.value.entry.code == 1300
    assert not Project.objects.filter(organization=world.acme, slug="secret").exists()


def test_bootstrap_is_idempotent_but_for_the_key(db: None) -> None:
    named = {"organization": "acme", "project": "default", "email": "Ada@acme.example"}
    first = organization_bootstrap(**named, password="one")
    again = organization_bootstrap(**named, password="two")
    assert first.created == ("organization", "project", "user", "membership")
    assert again.created == ()
    assert again.api_key != first.api_key
    assert (Organization.objects.count(), Project.objects.count(), Membership.objects.count()) == (1, 1, 1)
    assert User.objects.get().check_password("one")
    assert Membership.objects.get().role == Role.ADMIN


@pytest.mark.django_db(transaction=True)
def test_bootstraps_at_the_same_time_make_one_organization() -> None:
    def bootstrap(_: int) -> tuple[str, ...]:
        try:
            named = {"organization": "acme", "project": "default", "email": "ada@acme.example"}
            return organization_bootstrap(**named, password="x").created
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(bootstrap, range(4)))
    assert sorted(made, key=len) == [(), (), (), ("organization", "project", "user", "membership")]
    assert ApiKey.objects.count() == 4


def test_a_view_refuses_in_the_envelope(world: World, client: Client) -> None:
    answer = client.get("/api/v1/metrics")
    assert answer.status_code == 401
    assert answer.json()["error"]["error_code"] == "MISSING_AUTHORIZATION"
    assert answer["WWW-Authenticate"].startswith("Bearer")
    _, poor = world.new_key(role="", permissions=["costs:read"])
    assert world.get("/api/v1/metrics", key=poor).json()["error"]["code"] == 1100
