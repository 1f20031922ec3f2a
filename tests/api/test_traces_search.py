"""`POST /api/v1/traces/search` over HTTP: who may ask what, what is refused, pages, relevance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import time_machine

from apps.orgs.models import RateLimit
from apps.traces.search import answer
from apps.traces.search.index import index_texts
from apps.traces.writer import write
from tests.support.spans import T0, T0_US, clear_spans, span_row

if TYPE_CHECKING:
    from tests.support.world import World

pytestmark = pytest.mark.django_db
PATH = "/api/v1/traces/search"
HOUR = 3_600_000_000
Post = Callable[..., Any]


@pytest.fixture(autouse=True)
def _at_t0() -> Iterator[None]:
    clear_spans()
    with time_machine.travel(T0 + timedelta(hours=1), tick=False):
        yield


@pytest.fixture
def post(world: World) -> Post:
    def send(body: Any, *, role: str = "analyst", key: str | None = None, **query: str) -> Any:
        text = key or world.new_key(role=role)[1]
        path = PATH + ("?" + "&".join(f"{k}={v}" for k, v in query.items()) if query else "")
        return world.send("POST", path, body, key=text)

    return send


def leaf(field: str, operator: str, value: Any) -> dict[str, Any]:
    return {"field": field, "operator": operator, "value": value}


def _ids(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [row["trace_id"] for row in response.json()["data"]]


def _write(world: World, *texts: str, **more: Any) -> None:
    write(
        [
            span_row(
                **{
                    "project_id": world.default.pk,
                    "trace_id": f"t{number}",
                    "start_us": T0_US - number * 60_000_000,
                    "input": text,
                    **more,
                }
            )
            for number, text in enumerate(texts)
        ]
    )


def test_the_default_range_is_seven_days_and_newest_first(world: World, post: Post) -> None:
    for number, hours in enumerate((0, 24, 24 * 8)):
        write([span_row(project_id=world.default.pk, trace_id=f"t{number}", start_us=T0_US - hours * HOUR)])
    body = {"filter": leaf("kind", "eq", "llm")}
    assert _ids(post(body)) == ["t0", "t1"]
    wider = {**body, "start_time": (T0 - timedelta(days=9)).isoformat()}
    assert _ids(post({**wider, "sort": {"field": "start_time", "order": "asc"}})) == ["t2", "t1", "t0"]


@pytest.mark.parametrize(
    "condition",
    [
        leaf("input", "contains", "a"),
        leaf("output", "eq", None),
        leaf("error_message", "regex", "x"),
        leaf("text", "search", "a"),
        leaf("attributes.key", "eq", 1),
        {"operator": "AND", "filters": [{"operator": "NOT", "filters": [leaf("input", "eq", "a")]}]},
    ],
)
def test_content_is_asked_about_with_its_permission_alone(post: Post, condition: Any) -> None:
    refused = post({"filter": condition}, role="viewer")
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == 1100
    assert "traces:content" in refused.content.decode()
    assert post({"filter": condition}).status_code == 200


def test_nobody_finds_another_organizations_or_projects_traces(world: World, post: Post) -> None:
    write([span_row(project_id=world.web.pk, trace_id="web", input="secret")])
    write([span_row(project_id=world.zenith_project.pk, trace_id="foreign", input="secret")])
    index_texts()
    body = {"filter": leaf("text", "search", "secret")}
    assert _ids(post(body)) == ["web"]
    limited = world.new_key(role="analyst", project=world.default)[1]
    assert _ids(post(body, key=limited)) == []
    assert _ids(post({**body, "project": ["web"]})) == ["web"]
    assert _ids(post(body, project="default")) == []
    assert post({**body, "project": "nowhere"}).status_code == 404


BAD: list[tuple[Any, int, str]] = [
    ({}, 1201, "filter"),
    ({"filter": []}, 1203, "filter"),
    ({"filter": leaf("nme", "eq", "x")}, 1202, "filter.field"),
    ({"filter": leaf("name", "gt", "x")}, 1202, "filter.operator"),
    ({"filter": leaf("duration_ms", "contains", "x")}, 1202, "filter.operator"),
    ({"filter": leaf("text", "eq", "x")}, 1202, "filter.operator"),
    ({"filter": leaf("billable", "in", [True])}, 1202, "filter.operator"),
    ({"filter": leaf("name", "is", "x")}, 1202, "filter.operator"),
    ({"filter": leaf("name", "eq", 5)}, 1203, "filter.value"),
    ({"filter": leaf("name", "eq", "\0")}, 1203, "filter.value"),
    ({"filter": leaf("name", "in", "x")}, 1203, "filter.value"),
    ({"filter": leaf("name", "in", [])}, 1203, "filter.value"),
    ({"filter": leaf("duration_ms", "gt", "5")}, 1203, "filter.value"),
    ({"filter": leaf("duration_ms", "gt", None)}, 1203, "filter.value"),
    ({"filter": leaf("start_time", "gt", "yesterday")}, 1203, "filter.value"),
    ({"filter": leaf("name", "regex", "(")}, 1203, "name"),
    ({"filter": leaf("name", "regex", r"(a)\1")}, 1203, "filter.value"),
    ({"filter": leaf("name", "regex", "a" * 201)}, 1205, "filter.value"),
    ({"filter": leaf("text", "search", ' - * "')}, 1202, "filter.value"),
    ({"filter": leaf("attributes.", "eq", 1)}, 1202, "filter.field"),
    ({"filter": {"field": "name", "operator": "eq"}}, 1201, "filter.value"),
    ({"filter": {**leaf("name", "eq", "x"), "values": []}}, 1202, "filter.values"),
    ({"filter": {"operator": "NOT", "filters": [leaf("name", "eq", "x")] * 2}}, 1202, "filter.filters"),
    ({"filter": {"operator": "XOR", "filters": [leaf("name", "eq", "x")]}}, 1202, "filter.operator"),
    ({"filter": {"operator": "AND", "filters": []}}, 1203, "filter.filters"),
    ({"filter": {"operator": "OR", "filters": [leaf("name", "eq", "x")] * 101}}, 1205, "filter.filters"),
    ({"filter": leaf("name", "eq", "x"), "sort": {"field": "name"}}, 1202, "sort"),
    ({"filter": leaf("name", "eq", "x"), "sort": {"field": "relevance"}}, 1202, "sort"),
    ({"filter": leaf("name", "eq", "x"), "limit": 0}, 1202, "limit"),
    ({"filter": leaf("name", "eq", "x"), "limit": "5"}, 1203, "limit"),
    ({"filter": leaf("name", "eq", "x"), "cursor": "abc"}, 1203, "cursor"),
    ({"filter": leaf("name", "eq", "x"), "fields": ["nam"]}, 1202, "fields"),
    ({"filter": leaf("name", "eq", "x"), "filters": []}, 1202, "filters"),
    (
        {"filter": leaf("name", "eq", "x"), "start_time": "2026-11-05T00:00:00Z", "end_time": "2026-11-04T00:00:00Z"},
        1204,
        "start_time",
    ),
]


@pytest.mark.parametrize(("body", "code", "field"), BAD)
def test_what_cannot_be_asked_is_refused_by_name(post: Post, body: Any, code: int, field: str) -> None:
    error = post(body).json()["error"]
    assert (error["code"], error["field"]) == (code, field), error


def test_a_bad_operator_lists_those_that_fit(post: Post) -> None:
    error = post({"filter": leaf("billable", "gt", 1)}).json()["error"]
    assert error["details"] == {"operators": ["eq", "ne"]}


def test_filters_nest_to_a_depth_of_ten(post: Post) -> None:
    tree = leaf("name", "eq", "x")
    for _ in range(10):
        tree = {"operator": "NOT", "filters": [tree]}
    assert post({"filter": tree}).status_code == 200
    assert post({"filter": {"operator": "NOT", "filters": [tree]}}).json()["error"]["code"] == 1205


def test_wildcards_in_a_value_are_letters(world: World, post: Post) -> None:
    _write(world, "50% off_", "50x offy", "back\\slash")
    assert _ids(post({"filter": leaf("input", "contains", "0% off_")})) == ["t0"]
    assert _ids(post({"filter": leaf("input", "starts_with", "%")})) == []
    assert _ids(post({"filter": leaf("input", "contains", "\\s")})) == ["t2"]


@pytest.mark.parametrize("indexed", [True, False])
def test_words_phrases_beginnings_and_opposites(world: World, post: Post, indexed: bool) -> None:
    texts = (
        "The parcel is late.",
        "Late, the parcel!",
        '{"text":"parcels\\nare fun"}',
        "see http://a.example/parcel-7",
    )
    _write(world, *texts)
    if indexed:
        index_texts()

    def found(words: str) -> list[str]:
        return _ids(post({"filter": leaf("text", "search", words)}))

    assert found("parcel") == ["t0", "t1", "t3"]
    assert found("PARCEL*") == ["t0", "t1", "t2", "t3"]
    assert found('"parcel is late"') == ["t0"]
    assert found('"late parcel"') == []
    assert found("parcel -late") == ["t3"]
    assert found("-parcel") == ["t2"]
    assert found("fun OR 7") == ["t2", "t3"]
    assert found("parcel-7") == ["t3"]
    assert found("o'brien'); --") == []


def test_relevance_puts_the_best_first_and_pages(world: World, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(world, "parcel " + "x " * 50, "parcel parcel parcel", "nothing", "parcel y parcel")
    index_texts()
    body = {"filter": leaf("text", "search", "parcel"), "sort": {"field": "relevance"}, "limit": 2}
    first = post(body)
    second = post({**body, "cursor": first.json()["pagination"]["next_cursor"]})
    assert _ids(first) == ["t1", "t3"]
    assert _ids(second) == ["t0"]
    ranks = [row["relevance"] for page in (first, second) for row in page.json()["data"]]
    assert ranks == sorted(ranks, reverse=True)
    assert ranks[-1] > 0
    assert (first.json()["metadata"]["complete"], second.json()["pagination"]["has_more"]) == (True, False)
    monkeypatch.setattr(answer, "RANKED", 2)
    bounded = post(body).json()
    assert [row["trace_id"] for row in bounded["data"]] == ["t1", "t0"]
    assert bounded["metadata"]["complete"] is False


def test_a_cursor_belongs_to_its_search(world: World, post: Post) -> None:
    _write(world, "a", "b", "c")
    body = {"filter": leaf("kind", "eq", "llm"), "limit": 1, "fields": "trace_id"}
    page = post(body).json()
    assert page["data"] == [{"trace_id": "t0"}]
    cursor = page["pagination"]["next_cursor"]
    assert _ids(post({**body, "limit": 5, "cursor": cursor})) == ["t1", "t2"]
    other = {**body, "filter": leaf("kind", "ne", "x"), "cursor": cursor}
    assert post(other).json()["error"]["code"] == 1203


def test_scores_and_attributes_are_found(world: World, post: Post) -> None:
    write(
        [
            span_row(project_id=world.default.pk, trace_id="gold", attributes=b'{"span": {"tier": "gold", "n": 5}}'),
            span_row(project_id=world.default.pk, trace_id="web", attributes=b'{"resource": {"tier": "gold"}}'),
            span_row(project_id=world.default.pk, trace_id="none"),
        ]
    )
    index_texts()
    assert set(_ids(post({"filter": leaf("attributes.tier", "eq", "gold")}))) == {"gold", "web"}
    assert _ids(post({"filter": leaf("attributes.n", "in", [5.0, "x"])})) == ["gold"]
    assert set(_ids(post({"filter": leaf("attributes.n", "ne", 5)}))) == {"web", "none"}
    assert _ids(post({"filter": leaf("score.quality", "gte", 0.5)})) == []
    assert len(_ids(post({"filter": leaf("score.quality", "eq", None)}))) == 3


def test_the_dear_bucket_is_charged(world: World, post: Post) -> None:
    RateLimit.objects.create(organization=world.acme, bucket="traces/search", per_minute=1, burst=2)
    key = world.new_key(role="analyst")[1]
    body = {"filter": leaf("kind", "eq", "llm")}
    assert [post(body, key=key).status_code for _ in range(3)] == [200, 200, 429]


def test_the_list_searches_words_beside_its_filters(world: World, post: Post) -> None:
    _write(world, "late parcel", "parcel", "nothing", "a parcel")
    index_texts()
    _write(world, "", "", "", "", "parcels that nobody has indexed", "")
    key = world.new_key(role="analyst")[1]
    found = world.get("/api/v1/traces", key=key, search="parcel*", limit=2)
    assert _ids(found) == ["t0", "t1"]
    cursor = found.json()["pagination"]["next_cursor"]
    assert _ids(world.get("/api/v1/traces", key=key, search="parcel*", limit=2, cursor=cursor)) == ["t3", "t4"]
    assert _ids(world.get("/api/v1/traces", key=key, search="parcel", trace_id="t1,t2")) == ["t1"]
    assert _ids(world.get("/api/v1/traces", key=key, search="late", sort_by="duration_ms")) == ["t0"]
    assert world.get("/api/v1/traces", key=key, search="!").json()["error"]["code"] == 1202
    viewer = world.get("/api/v1/traces", key=world.new_key(role="viewer")[1], search="parcel")
    assert viewer.json()["error"]["code"] == 1100
