"""What else decides whether a key opens: its networks, its rotation, the organization that is named, Basic."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.http import HttpResponse
from django.test import Client, RequestFactory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.common.errors import ApiError
from apps.orgs.authentication import authenticate_request, forget_keys, secret_hash
from apps.orgs.models import ApiKey, AuditEntry, Role
from tests.support.world import World

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)
ME = "/api/v1/me"
OTEL = "/api/public/otel/v1/traces"


@pytest.fixture(autouse=True)
def traveller(monkeypatch: pytest.MonkeyPatch) -> Iterator[time_machine.Traveller]:
    monkeypatch.setattr("apps.common.cells.monotonic", time.time)
    with time_machine.travel(NOW, tick=False) as traveller:
        forget_keys()
        yield traveller
    forget_keys()


def me(key: str, *, address: str = "127.0.0.1", **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    client = Client(raise_request_exception=False)
    return client.get(ME, headers={"X-API-Key": key, **named}, REMOTE_ADDR=address)


def code(answer: Any) -> int:
    return int(answer.json()["error"]["code"])


def networked(world: World, *networks: str) -> tuple[ApiKey, str]:
    key, text = world.new_key()
    ApiKey.objects.filter(pk=key.pk).update(networks=list(networks))
    return key, text


@pytest.mark.parametrize(
    ("networks", "inside", "outside"),
    [
        (["192.0.2.0/24"], ["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.7"], ["192.0.3.0", "2001:db8::1", ""]),
        (["2001:db8::/32", "10.1.2.3"], ["2001:db8::1", "10.1.2.3"], ["10.1.2.4", "2001:db9::1"]),
        (["nonsense"], [], ["192.0.2.1", "::1"]),
    ],
)
def test_a_key_opens_from_its_networks_alone(
    world: World, networks: list[str], inside: list[str], outside: list[str]
) -> None:
    _, text = networked(world, *networks)
    for address in inside + inside:
        assert me(text, address=address).status_code == 200, address
    for address in outside:
        answer = me(text, address=address)
        assert (answer.status_code, code(answer)) == (403, 1102), address


def test_a_key_that_is_used_from_elsewhere_is_written_down(world: World) -> None:
    key, text = networked(world, "192.0.2.0/24")
    me(text, address="198.51.100.1")
    entry = AuditEntry.objects.get(action="access.denied")
    assert (entry.actor, entry.address, entry.organization_id) == (key.prefix, "198.51.100.1", world.acme.pk)
    assert entry.after is not None
    assert entry.after["code"] == 1102
    sent = Client().post("/v1/traces", "{}", content_type="application/json", headers={"X-API-Key": text})
    assert sent.status_code == 403


def test_networks_are_settled_once_in_ten_seconds(world: World, traveller: time_machine.Traveller) -> None:
    key, text = networked(world, "192.0.2.0/24")
    assert me(text, address="192.0.2.1").status_code == 200
    ApiKey.objects.filter(pk=key.pk).update(networks=["198.51.100.0/24"])
    assert me(text, address="192.0.2.1").status_code == 200
    traveller.shift(10.1)
    assert code(me(text, address="192.0.2.1")) == 1102
    assert me(text, address="198.51.100.1").status_code == 200


def test_what_is_cached_goes_to_a_keys_networks_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kept answer is given even where no token is left, and never to a key that may not be used from there."""
    from apps.common.reads import answers
    from apps.orgs import views

    _, text = networked(world, "192.0.2.0/24")

    def out_of_tokens(*_: Any, **__: Any) -> None:
        raise ApiError(1500, "No token left.")

    kept = answers.Entry('W/"x"', b"{}", b"", 0, time.time(), 0.0)
    monkeypatch.setattr(views, "admit", out_of_tokens)
    monkeypatch.setattr(views._Kept, "_found", lambda _: kept)
    monkeypatch.setattr(answers, "respond", lambda *_, **__: HttpResponse("kept"))
    client = Client(raise_request_exception=False)
    path, headers = "/api/v1/metrics?metrics=request_count", {"X-API-Key": text}
    inside = client.get(path, headers=headers, REMOTE_ADDR="192.0.2.1")
    assert (inside.status_code, inside["X-Served-From-Cache"]) == (200, "true")
    outside = client.get(path, headers=headers, REMOTE_ADDR="198.51.100.1")
    assert (outside.status_code, code(outside)) == (403, 1102)


def rotated(world: World, *, grace: timedelta, **options: Any) -> tuple[str, str]:
    """A key's old and new text."""
    key, old = world.new_key(**options)
    secret = "5" * 64
    ApiKey.objects.filter(pk=key.pk).update(
        previous_sha256=key.secret_sha256, previous_until=NOW + grace, secret_sha256=secret_hash(secret)
    )
    return old, f"{key.prefix}_{secret}"


def test_old_and_new_secret_open_until_the_grace_is_over(world: World, traveller: time_machine.Traveller) -> None:
    old, new = rotated(world, grace=timedelta(seconds=60))
    assert me(old).json()["id"] == me(new).json()["id"]
    traveller.shift(59)
    assert me(old).status_code == 200
    traveller.shift(1)  # still in the process's memory
    assert code(me(old)) == 1003
    forget_keys()
    assert code(me(old)) == 1003
    assert me(new).status_code == 200


def test_a_rotated_key_still_expires(world: World, traveller: time_machine.Traveller) -> None:
    old, new = rotated(world, grace=timedelta(seconds=60), expires_at=NOW + timedelta(seconds=30))
    assert me(old).status_code == 200
    traveller.shift(30)
    assert code(me(old)) == code(me(new)) == 1002


def test_a_key_without_an_old_secret_has_none_that_is_empty(world: World) -> None:
    key, _ = world.new_key()
    for secret in ("", "0" * 64):
        assert code(me(f"{key.prefix}_{secret}")) == 1003
    key, _ = world.new_key()
    ApiKey.objects.filter(pk=key.pk).update(previous_sha256=secret_hash("7" * 64))
    assert code(me(f"{key.prefix}_{'7' * 64}")) == 1003


@pytest.mark.parametrize("slug", ["zenith", "nowhere", "ACME", "a\tb", "é"])
def test_a_key_opens_its_own_organization_alone(world: World, slug: str) -> None:
    assert me(world.key, X_Organization="acme").status_code == 200
    assert me(world.key, X_Organization=" ").status_code == 200
    for _ in range(2):
        answer = me(world.key, X_Organization=slug)
        assert (answer.status_code, code(answer)) == (404, 1300)
        assert answer.json()["error"]["field"] == "X-Organization"


def test_a_key_with_its_own_permissions_has_those_alone(world: World) -> None:
    _, text = world.new_key(role="", permissions=["traces:write", "metrics:read"])
    shown = me(text).json()
    assert (shown["kind"], shown["role"], shown["permissions"]) == ("key", None, ["metrics:read", "traces:write"])


def test_who_am_i_for_a_key(world: World) -> None:
    key = ApiKey.objects.get(public_id=world.key[3:19])
    shown = me(world.key).json()
    assert (shown["kind"], shown["id"], shown["name"]) == ("key", key.pk, key.prefix)
    assert shown["organization"] == {"slug": "acme", "name": "acme"}
    assert shown["organizations"] == [{"slug": "acme", "name": "acme", "role": "admin"}]
    assert (shown["all_projects"], shown["projects"]) == (False, [{"slug": "default", "name": "default"}])
    assert {"bucket": "requests", "per_minute": 100_000, "burst": 120_000} in shown["rate_limits"]
    assert world.key[20:] not in str(shown)
    fewer = world.get(ME, fields="kind,organization.slug").json()
    assert {name: fewer[name] for name in fewer if name != "meta"} == {"kind": "key", "organization": {"slug": "acme"}}
    assert code(world.get(ME, fields="kin")) == 1202
    assert code(world.get(ME, field="kind")) == 1202


# -- Basic, as Langfuse's clients send it ---------------------------------------------------------------------------


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def send(headers: dict[str, str], path: str = OTEL) -> Any:
    return Client().post(path, '{"resourceSpans": []}', content_type="application/json", headers=headers)


def test_basic_opens_the_langfuse_shaped_path(world: World) -> None:
    public_id, secret = world.key[3:19], world.key[20:]
    for name in (public_id, f"ah_{public_id}"):
        for password in (secret, world.key):
            assert send(basic(name, password)).status_code == 200, (name, password)
    assert send({"Authorization": f"Bearer {world.key}"}).status_code == 200
    assert send({"X-API-Key": world.key}).status_code == 200


def test_a_wrong_basic_is_refused(world: World) -> None:
    public_id, secret = world.key[3:19], world.key[20:]
    wrong = [
        basic(public_id, "0" * 64),
        basic("0" * 16, secret),
        basic("", world.key),
        basic("0" * 16, world.key),
        basic(public_id, ""),
        {"Authorization": "Basic"},
        {"Authorization": "Basic %%%"},
        {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe").decode()},
    ]
    for headers in wrong:
        assert send(headers).status_code == 401, headers
    viewer, text = world.new_key(role=Role.VIEWER)
    assert send(basic(viewer.prefix, text)).status_code == 403


@pytest.mark.parametrize("path", ["/v1/traces", "/api/v1/traces", ME])
def test_basic_is_refused_everywhere_else(world: World, path: str) -> None:
    answer = Client().generic("GET" if path == ME else "POST", path, headers=basic(world.key[:19], world.key[20:]))
    assert answer.status_code == 401
    assert b"/api/public/" in answer.content


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    authorization=st.text(st.characters(max_codepoint=255), max_size=60)
    | st.builds("{} {}".format, st.sampled_from(["Basic", "bearer", "Bearer", "Digest"]), st.text(max_size=60))
    | st.binary(max_size=40).map(lambda raw: "Basic " + base64.b64encode(raw).decode()),
    own=st.text(max_size=40),
    named=st.text(max_size=20),
)
def test_whatever_the_headers_hold_is_refused_with_401(db: None, authorization: str, own: str, named: str) -> None:
    headers = {"HTTP_AUTHORIZATION": authorization, "HTTP_X_API_KEY": own, "HTTP_X_ORGANIZATION": named}
    with pytest.raises(ApiError) as caught:
        authenticate_request(RequestFactory().get(OTEL, **headers))  # type: ignore[arg-type]
    assert caught.value.status == 401
