"""Spans charged to their project: by every way in over HTTP, together with the request, all or none."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from django.http import HttpResponse

from apps.common import valkey
from apps.common.rates import limits
from apps.common.rates.bucket import Bucket
from apps.orgs.models import ApiKey, Project, RateLimit
from apps.orgs.services import api_key_create, project_create
from tests.ingest.build import json_request, json_span, to_protobuf
from tests.ingest.test_otlp_http import status_of
from tests.ingest.world import JSON, PROTOBUF, Sender, stored


def otlp_spans(count: int, **resource: Any) -> dict[str, Any]:
    now = time.time_ns()
    spans = [
        json_span(spanId=f"{number + 1:016x}", startTimeUnixNano=str(now), endTimeUnixNano=str(now + 1))
        for number in range(count)
    ]
    return json_request(spans, resource)


def by_otlp_json(sender: Sender, count: int, **headers: str) -> HttpResponse:
    return sender.post(otlp_spans(count), headers=headers)


def by_otlp_protobuf(sender: Sender, count: int, **headers: str) -> HttpResponse:
    return sender.post(to_protobuf(otlp_spans(count)), content_type=PROTOBUF, headers=headers)


def by_langfuse(sender: Sender, count: int, **headers: str) -> HttpResponse:
    _, public, secret = sender.key.split("_")
    basic = "Basic " + base64.b64encode(f"ah_{public}:{secret}".encode()).decode()
    path = "/api/public/otel/v1/traces"
    headers = {"Authorization": basic, **headers}
    return sender.post(to_protobuf(otlp_spans(count)), path, content_type=PROTOBUF, headers=headers)


def by_plain_json(sender: Sender, count: int, **headers: str) -> HttpResponse:
    span = {"trace_id": "5b8efff798038103d269b633813fc60c", "name": "chat", "start_time": time.time(), "duration_ms": 1}
    spans = [{**span, "span_id": f"{number + 1:016x}"} for number in range(count)]
    return sender.post({"spans": spans}, "/api/v1/traces", headers=headers)


WAYS = [by_otlp_json, by_otlp_protobuf, by_langfuse, by_plain_json]
Way = Callable[..., HttpResponse]


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The round trips to Valkey, by their first command."""
    made: list[str] = []
    exchange = valkey.exchange

    def counting(*commands: valkey.Command) -> list[Any]:
        made.append(str(commands[0][0]))
        return exchange(*commands)

    monkeypatch.setattr(valkey, "exchange", counting)
    yield made


def own_figures(sender: Sender, per_minute: int, burst: int) -> None:
    RateLimit.objects.create(
        organization=sender.organization, bucket="requests:developer", per_minute=per_minute, burst=burst
    )


def requests_left(sender: Sender) -> int:
    """What the key's own bucket holds, of a thousand of which one comes back a minute."""
    key = ApiKey.objects.get(public_id=sender.key.split("_")[1])
    bucket = Bucket(f"hub:limit:{{{key.organization_id}}}:key:{key.pk}:requests", 1, 1_000)
    return limits.take([(bucket, 0)])[0].remaining


@pytest.mark.parametrize("way", WAYS)
def test_without_a_limit_a_request_is_one_round_trip(acme: Sender, way: Way, trips: list[str]) -> None:
    way(acme, 1)
    trips.clear()
    answer = way(acme, 200)
    assert (answer.status_code, answer["X-RateLimit-Limit"]) == (200, "10000")
    assert len(trips) == 1


@pytest.mark.parametrize("way", WAYS)
def test_spans_are_charged_with_their_request(acme: Sender, way: Way) -> None:
    own_figures(acme, 1, 1_000)
    acme.change(spans_per_minute=100)
    answer = way(acme, 60)
    assert answer.status_code == 200, answer.content
    assert (answer["X-RateLimit-Limit"], answer["X-RateLimit-Remaining"]) == ("100", "40")
    assert requests_left(acme) == 999
    refused = way(acme, 60)
    assert refused.status_code == 429
    assert refused["X-RateLimit-Limit"] == "100"
    assert 40 <= int(refused["X-RateLimit-Remaining"]) < 60
    assert 1 <= int(refused["Retry-After"]) <= 12, "20 spans come back in 12 s"
    assert requests_left(acme) == 999, "nothing is charged where one bucket refuses"
    assert len(stored()) == 60
    assert way(acme, 40).status_code == 200


def test_a_refusal_is_in_the_callers_shape(acme: Sender) -> None:
    acme.change(spans_per_minute=10)
    assert by_plain_json(acme, 10).status_code == 200
    body = orjson.loads(by_plain_json(acme, 5).content)
    error = body["error"]
    assert (error["code"], error["error_code"]) == (1500, "RATE_LIMIT_EXCEEDED")
    assert error["message"].startswith("At most 10 spans a minute. Try again in ")
    assert (error["details"]["bucket"], error["details"]["limit"]) == ("spans", 10)
    as_json = by_otlp_json(acme, 5)
    assert (as_json["Content-Type"], orjson.loads(as_json.content)["code"]) == (JSON, 8)
    as_protobuf = by_otlp_protobuf(acme, 5)
    assert as_protobuf["Content-Type"] == PROTOBUF
    code, message = status_of(as_protobuf.content)
    assert code == 8
    assert message.startswith("At most 10 spans a minute.")


@pytest.mark.parametrize("way", WAYS)
def test_a_batch_larger_than_the_bucket_is_taken_by_a_full_one_and_paid_for_later(acme: Sender, way: Way) -> None:
    acme.change(spans_per_minute=60)
    answer = way(acme, 90)
    assert (answer.status_code, answer["X-RateLimit-Remaining"]) == (200, "0")
    refused = way(acme, 1)
    assert refused.status_code == 429
    assert 20 <= int(refused["Retry-After"]) <= 31, "30 spans of debt, and the one"
    assert 70 <= int(refused["X-RateLimit-Reset"]) - time.time() <= 91


@pytest.mark.parametrize("way", WAYS)
def test_an_exhausted_project_is_refused_before_its_body_is_read(
    acme: Sender, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme.change(spans_per_minute=60)
    assert way(acme, 120).status_code == 200

    def read(*_: Any) -> bytes:
        raise AssertionError("the body was read")

    monkeypatch.setattr("apps.ingest.otlp_http.read_body", read)
    monkeypatch.setattr("apps.ingest.json_http.read_body", read)
    assert way(acme, 1).status_code == 429


@pytest.mark.parametrize("body", [b"{", b'{"spans": 1}', b'{"resourceSpans": 1}'])
@pytest.mark.parametrize("path", ["/v1/traces", "/api/v1/traces"])
def test_a_request_that_cannot_be_read_costs_its_token(acme: Sender, path: str, body: bytes) -> None:
    own_figures(acme, 1, 1_000)
    acme.change(spans_per_minute=1_000)
    answer = acme.post(body, path)
    assert answer.status_code in (200, 400)
    assert answer["X-RateLimit-Remaining"]
    assert "Retry-After" not in answer
    assert requests_left(acme) == 999


def test_media_types_that_are_not_taken_cost_a_token(acme: Sender) -> None:
    own_figures(acme, 1, 1_000)
    acme.change(spans_per_minute=1_000)
    assert acme.post(b"x", content_type="text/plain").status_code == 415
    assert requests_left(acme) == 999


def test_a_key_that_may_not_send_pays_for_asking(acme: Sender) -> None:
    acme.change(spans_per_minute=1_000)
    _, text = api_key_create(organization=acme.organization, project=acme.project, role="viewer")
    answer = Sender(acme.organization, acme.project, text).post(otlp_spans(1))
    assert (answer.status_code, answer["X-RateLimit-Remaining"]) == (403, "1199")


def wide_sender(acme: Sender) -> Sender:
    """A sender for all of Acme, whose project `web` takes 50 spans a minute and `shop` 20."""
    for slug, figure in (("web", 50), ("shop", 20)):
        project = project_create(organization=acme.organization, slug=slug)
        Project.objects.filter(pk=project.pk).update(spans_per_minute=figure)
    _, text = api_key_create(organization=acme.organization, role="developer")
    acme.change()
    return Sender(acme.organization, acme.project, text)


@pytest.mark.parametrize("way", WAYS)
def test_a_wide_key_is_charged_for_the_project_it_names(acme: Sender, way: Way) -> None:
    wide = wide_sender(acme)
    assert way(wide, 50, **{"X-Project": "web"}).status_code == 200
    assert way(wide, 50, **{"X-Project": "web"}).status_code == 429
    assert way(wide, 20, **{"X-Project": "shop"}).status_code == 200
    assert way(wide, 500).status_code == 200, "`default` has no limit"


def test_the_projects_of_one_request_are_charged_together_or_not_at_all(acme: Sender) -> None:
    wide = wide_sender(acme)

    def both(web: int, shop: int) -> HttpResponse:
        parts = [(web, "web"), (shop, "shop"), (1, "web")]
        groups = [
            group
            for count, slug in parts
            for group in otlp_spans(count, **{"openinference.project.name": slug})["resourceSpans"]
        ]
        return wide.post({"resourceSpans": groups})

    first = both(29, 10)
    assert first.status_code == 200, first.content
    assert (first["X-RateLimit-Limit"], first["X-RateLimit-Remaining"]) == ("50", "20")
    refused = both(4, 15)
    assert (refused.status_code, refused["X-RateLimit-Limit"]) == (429, "20")
    assert both(19, 10).status_code == 200, "what was refused was not charged to the other project"
    assert both(10, 10).status_code == 429


def test_parts_of_a_request_that_go_to_one_project_add_up(acme: Sender) -> None:
    wide = wide_sender(acme)
    acme.change(spans_per_minute=100)
    named = otlp_spans(40, **{"openinference.project.name": "default"})["resourceSpans"]
    answer = wide.post({"resourceSpans": [*otlp_spans(30)["resourceSpans"], *named]})
    assert (answer.status_code, answer["X-RateLimit-Remaining"]) == (200, "30")


def test_another_projects_limit_is_no_matter_of_a_projects_key(acme: Sender, trips: list[str]) -> None:
    wide_sender(acme)
    assert by_otlp_json(acme, 1).status_code == 200
    trips.clear()
    assert by_otlp_json(acme, 500).status_code == 200
    assert len(trips) == 1


def test_an_exhausted_project_does_not_keep_a_wide_key_from_the_others(acme: Sender) -> None:
    wide = wide_sender(acme)
    assert by_otlp_json(wide, 200, **{"X-Project": "web"}).status_code == 200
    assert by_otlp_json(wide, 1, **{"X-Project": "web"}).status_code == 429
    assert by_otlp_json(wide, 5, **{"X-Project": "shop"}).status_code == 200
    assert by_otlp_json(wide, 5).status_code == 200


def test_requests_can_refuse_where_spans_would_not(acme: Sender) -> None:
    acme.change(spans_per_minute=1_000)
    own_figures(acme, 1, 2)
    assert [by_otlp_json(acme, 10).status_code for _ in range(3)] == [200, 200, 429]
    refused = by_plain_json(acme, 1)
    assert orjson.loads(refused.content)["error"]["details"]["bucket"] == "requests"
    span_key = Bucket(f"hub:limit:{{{acme.organization.pk}}}:project:{acme.project.pk}:spans", 1_000, 1_000)
    assert limits.take([(span_key, 0)])[0].remaining >= 980


def test_without_valkey_spans_are_limited_in_the_process(acme: Sender, settings: Any) -> None:
    settings.VALKEY_URL = ""
    valkey.forget()
    acme.change(spans_per_minute=100)
    share = 100 // settings.HUB.web_workers
    assert by_otlp_json(acme, share).status_code == 200
    assert by_otlp_json(acme, 20).status_code == 429
    valkey.forget()
