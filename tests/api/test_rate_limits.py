"""What a caller is told of its limits, on every answer, and whose figures hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.http import StreamingHttpResponse
from django.test import RequestFactory
from django.utils import timezone

from apps.common import valkey
from apps.common.edge.middleware import EdgeMiddleware
from apps.common.errors import ApiError
from apps.common.observe import telemetry
from apps.common.rates.bucket import Bucket
from apps.common.rates.local_limits import local_buckets
from apps.orgs.audit import SYSTEM
from apps.orgs.authentication import authenticate_request, forget_keys
from apps.orgs.door import admit
from apps.orgs.models import RateLimit
from apps.orgs.services.limits import limit_remove, limit_set

if TYPE_CHECKING:
    from tests.support.world import World

SERIES = "/api/v1/metrics"


def within_the_day() -> dict[str, str]:
    now = timezone.now().replace(microsecond=0)
    return {
        "metrics": "request_count",
        "start_time": (now - timedelta(hours=2)).isoformat(),
        "end_time": (now - timedelta(hours=1)).isoformat(),
    }


def own_figures(world: World, bucket: str, per_minute: int, burst: int) -> RateLimit:
    return limit_set(actor=SYSTEM, organization=world.acme, bucket=bucket, per_minute=per_minute, burst=burst)


@pytest.fixture
def few(world: World) -> Iterator[World]:
    """Acme, whose admins have 1,000 requests and one more a minute, so that what is left tells what was charged."""
    own_figures(world, "requests:admin", 1, 1_000)
    forget_keys()
    yield world
    forget_keys()


def ok(world: World) -> Any:
    return world.get(SERIES, **within_the_day())


def not_modified(world: World) -> Any:
    asked = within_the_day()
    etag = world.get(SERIES, **asked)["ETag"]
    headers = {"Authorization": f"Bearer {world.wide_key}", "If-None-Match": etag}
    return world.client.get(SERIES, asked, headers=headers)


def wrong_media_type(world: World) -> Any:
    headers = {"Authorization": f"Bearer {world.wide_key}"}
    return world.client.post("/api/v1/traces", b"<x/>", content_type="text/xml", headers=headers)


def otlp(path: str, body: bytes = b"{}", content_type: str = "application/json") -> Callable[[World], Any]:
    def send(world: World) -> Any:
        headers = {"Authorization": f"Bearer {world.wide_key}"}
        return world.client.post(path, body, content_type=content_type, headers=headers)

    return send


ANSWERS: dict[str, tuple[int, Callable[[World], Any]]] = {
    "ok": (200, ok),
    "not modified": (304, not_modified),
    "head": (200, lambda world: world.send("HEAD", f"{SERIES}/catalog")),
    "a parameter that does not exist": (400, lambda world: world.get(SERIES, nonsense="1")),
    "a body that cannot be parsed": (400, lambda world: world.send("POST", f"{SERIES}/query", b"{")),
    "a hidden thing": (404, lambda world: world.get(SERIES, project="secret", **within_the_day())),
    "a wrong method": (405, lambda world: world.send("DELETE", f"{SERIES}/query")),
    "a wrong method of spans": (405, lambda world: world.send("PUT", "/api/v1/traces", b"{}")),
    "a wrong media type": (415, wrong_media_type),
    "otlp": (200, otlp("/v1/traces")),
    "otlp protobuf": (200, otlp("/v1/traces", b"\x0a\x00", "application/x-protobuf")),
    "otlp that cannot be read": (400, otlp("/v1/traces", b"{")),
    "otlp in a wrong media type": (415, otlp("/v1/traces", b"x", "text/plain")),
    "otlp metrics": (200, otlp("/v1/metrics")),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ANSWERS)
def test_every_answer_tells_a_caller_what_is_left(few: World, kind: str) -> None:
    status, send = ANSWERS[kind]
    answer = send(few)
    assert answer.status_code == status, answer.content
    asked = 2 if kind == "not modified" else 1
    assert (answer["X-RateLimit-Limit"], answer["X-RateLimit-Remaining"]) == ("1", str(1_000 - asked))
    assert 0 < int(answer["X-RateLimit-Reset"]) - time.time() <= asked * 60 + 1
    assert "Retry-After" not in answer


@pytest.mark.django_db
def test_a_denial_tells_it_too(world: World) -> None:
    _, viewer = world.new_key()
    answer = world.send("POST", "/api/v1/traces", {}, key=viewer)
    assert (answer.status_code, answer["X-RateLimit-Limit"], answer["X-RateLimit-Remaining"]) == (403, "1000", "1199")


@pytest.mark.django_db
def test_a_stream_tells_it_too(few: World) -> None:
    def stream(request: Any) -> StreamingHttpResponse:
        admit(request, "metrics:read")
        return StreamingHttpResponse([b"a", b"b"])

    request = RequestFactory().get("/", headers={"Authorization": f"Bearer {few.wide_key}"})
    answer = EdgeMiddleware(stream)(request)
    assert answer["X-RateLimit-Remaining"] == "999"


@pytest.mark.django_db
def test_strangers_are_told_nothing(world: World) -> None:
    for answer in (world.get(SERIES, key="ah_nobody"), world.client.get("/api/v1/no/such/path")):
        assert answer.status_code in (401, 404)
        assert "X-RateLimit-Limit" not in answer


@pytest.mark.django_db
def test_a_refusal_names_the_tightest_bucket(world: World) -> None:
    own_figures(world, "requests:viewer", 2, 2)
    _, viewer = world.new_key()
    answers = [world.get(f"{SERIES}/query", key=viewer) for _ in range(3)]
    refused = answers[2]
    assert refused.status_code == 429
    assert (refused["X-RateLimit-Limit"], refused["X-RateLimit-Remaining"]) == ("2", "0")
    wait = int(refused["Retry-After"])
    assert 20 <= wait <= 30
    error = refused.json()["error"]
    assert (error["code"], error["error_code"], error["category"]) == (1500, "RATE_LIMIT_EXCEEDED", "RATE_LIMIT")
    assert error["message"] == f"At most 2 requests a minute. Try again in {wait} s."
    reset = int(refused["X-RateLimit-Reset"])
    told = {"bucket": "requests", "limit": 2, "burst": 2, "remaining": 0, "reset": reset, "retry_after": wait}
    assert error["details"] == told
    assert [answer.status_code == 429 for answer in answers] == [False, False, True]


@pytest.mark.django_db
def test_a_dear_endpoint_has_a_bucket_of_its_own(world: World) -> None:
    own_figures(world, "traces/search", 1, 2)

    def search() -> dict[str, str]:
        request = RequestFactory().get("/", headers={"Authorization": f"Bearer {world.wide_key}"})
        admit(request, "traces:read", bucket="traces/search")
        found: dict[str, str] = request.hub_headers  # type: ignore[attr-defined]
        return found

    assert [search()["X-RateLimit-Remaining"] for _ in range(2)] == ["1", "0"]
    with pytest.raises(ApiError, match=r"At most 1 requests to traces/search a minute\.") as caught:
        search()
    assert caught.value.details["bucket"] == "traces/search"
    assert ok(world).status_code == 200, "the caller's other requests go on"


@pytest.mark.django_db(transaction=True)
def test_an_organizations_own_figures_are_its_own(world: World) -> None:
    _, viewer = world.new_key()

    def limit(key: str) -> str:
        return str(world.get(f"{SERIES}/catalog", key=key)["X-RateLimit-Limit"])

    assert (limit(viewer), limit(world.wide_key), limit(world.zenith_key)) == ("1000", "100000", "100000")
    own = own_figures(world, "requests:viewer", 7, 9)
    admins = own_figures(world, "requests:admin", 50, 60)
    assert (limit(viewer), limit(world.wide_key), limit(world.zenith_key)) == ("7", "50", "100000")
    assert int(world.get(f"{SERIES}/catalog", key=viewer)["X-RateLimit-Remaining"]) <= 8
    limit_remove(actor=SYSTEM, limit=own)
    limit_remove(actor=SYSTEM, limit=admins)
    assert (limit(viewer), limit(world.wide_key)) == ("1000", "100000")


@pytest.mark.django_db
def test_callers_of_one_organization_do_not_share_their_tokens(world: World) -> None:
    own_figures(world, "requests:viewer", 1, 1)
    keys = [world.new_key()[1] for _ in range(2)]
    assert [world.get(f"{SERIES}/query", key=key).status_code == 429 for key in [*keys, *keys]] == [
        False,
        False,
        True,
        True,
    ]


@pytest.mark.django_db
def test_a_keys_list_of_permissions_has_the_smallest_tier_that_holds_them(world: World) -> None:
    wanted = {("metrics:read",): "1000", ("traces:write",): "10000", ("org:manage",): "100000"}
    for permissions, figure in wanted.items():
        _, text = world.new_key(role="", permissions=list(permissions))
        assert world.get(f"{SERIES}/catalog", key=text)["X-RateLimit-Limit"] == figure, permissions


@pytest.mark.django_db
def test_all_buckets_of_a_caller_are_on_one_node_of_a_cluster(world: World) -> None:
    request = RequestFactory().get("/", headers={"Authorization": f"Bearer {world.wide_key}"})
    buckets: list[Bucket] = list(authenticate_request(request).buckets.values())
    assert {bucket.key.partition("{")[2].partition("}")[0] for bucket in buckets} == {str(world.acme.pk)}


@pytest.mark.django_db(transaction=True)
def test_out_of_tokens_a_kept_answer_is_still_given(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings.HUB, "cache_ttl_metrics", 60)
    own_figures(world, "requests:viewer", 1, 2)
    _, viewer = world.new_key()
    asked = within_the_day()
    first, second, third = (world.get(SERIES, key=viewer, **asked) for _ in range(3))
    assert [one.status_code for one in (first, second, third)] == [200, 200, 200]
    assert (second["X-RateLimit-Remaining"], third["X-RateLimit-Remaining"]) == ("0", "0")
    assert (third["X-Served-From-Cache"], "X-Served-From-Cache" in second) == ("true", False)
    other = {**asked, "metrics": "error_count"}
    assert world.get(SERIES, key=viewer, **other).status_code == 429


@pytest.mark.django_db
def test_without_valkey_requests_are_limited_in_the_process(world: World, settings: Any) -> None:
    settings.VALKEY_URL = ""
    valkey.forget()
    local_buckets.cache_clear()
    own_figures(world, "requests:viewer", 1, 10)
    _, viewer = world.new_key()
    answers = [world.get(f"{SERIES}/query", key=viewer) for _ in range(7)]
    share = 10 // settings.HUB.web_workers
    assert [one.status_code == 429 for one in answers] == [False] * share + [True] * (7 - share)
    assert answers[0]["X-RateLimit-Remaining"] == str(share - 1)
    valkey.forget()


@pytest.mark.django_db
def test_refusals_are_counted_by_the_buckets_name(world: World) -> None:
    def counted() -> float:
        return float(telemetry.rate_limit_exceeded.labels("requests")._value.get())

    own_figures(world, "requests:viewer", 1, 1)
    _, viewer = world.new_key()
    before = counted()
    for _ in range(3):
        world.get(f"{SERIES}/query", key=viewer)
    assert counted() == before + 2
