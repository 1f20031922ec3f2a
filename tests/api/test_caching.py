"""Kept answers, conditional requests and their headers, through the metrics endpoints."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import URLResolver

from apps.common import valkey
from apps.common.observe import telemetry
from apps.common.rates import limits
from apps.common.reads import answers, caching
from apps.metrics.api import series as metrics_api
from apps.metrics.refresh import refresh
from apps.metrics.runner import answer
from apps.traces.writer import write
from tests.support.cells import clear_cells
from tests.support.spans import T0, T0_US, span_row

if TYPE_CHECKING:
    from tests.support.world import World

pytestmark = pytest.mark.django_db(transaction=True)
SERIES = "/api/v1/metrics"
ASKED = {
    "metrics": "request_count,total_cost",
    "start_time": "2026-11-05T12:00:00Z",
    "end_time": "2026-11-05T14:00:00Z",
}
DAY_US = 86_400_000_000


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[time_machine.Traveller]:
    monkeypatch.setattr(settings.HUB, "cache_ttl_metrics", 60)
    clear_cells()
    with time_machine.travel(T0 + timedelta(hours=2), tick=False) as moment:
        yield moment
    clear_cells()


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The questions that were computed."""
    made: list[Any] = []

    def count(spec: Any) -> Any:
        made.append(spec)
        return answer(spec)

    monkeypatch.setattr(metrics_api, "answer", count)
    return made


def ask(world: World, *, key: str | None = None, path: str = SERIES, **headers: str) -> Any:
    sent = {"Authorization": f"Bearer {key or world.wide_key}", **{n.replace("_", "-"): v for n, v in headers.items()}}
    return world.client.get(path, ASKED if path == SERIES else {}, headers=sent)


def statements(act: Callable[[], Any]) -> tuple[Any, list[str]]:
    with CaptureQueriesContext(connection) as captured:
        result = act()
    return result, [query["sql"] for query in captured.captured_queries]


def test_the_second_answer_is_the_kept_one(world: World, computed: list[Any]) -> None:
    write([span_row(project_id=world.default.pk)])
    first = ask(world, X_Request_ID="one")
    write([span_row(project_id=world.default.pk)])
    second, asked = statements(lambda: ask(world, X_Request_ID="two"))
    assert len(computed) == 1
    assert asked == []
    one, two = first.json(), second.json()
    assert one.pop("meta") == {"request_id": "one", "cached": False, "computed_at": "2026-11-05T14:30:15.250000Z"}
    assert two.pop("meta") == {"request_id": "two", "cached": True, "computed_at": "2026-11-05T14:30:15.250000Z"}
    assert one == two
    assert first["ETag"] == second["ETag"]


def test_headers_of_a_read(world: World, clock: time_machine.Traveller) -> None:
    first = ask(world)
    assert first["Cache-Control"] == "private, max-age=60"
    assert first["Vary"] == "Authorization, Cookie, X-API-Key, X-Organization, Accept-Encoding"
    assert first["ETag"].startswith('W/"')
    assert len(first["ETag"]) == len('W/""') + 32
    assert "Age" not in first
    assert "Last-Modified" not in first  # another change could fall into the same second
    clock.shift(10)
    second = ask(world)
    assert second["Age"] == "10"
    assert second["Last-Modified"] == "Thu, 05 Nov 2026 14:30:16 GMT"  # rounded up from 15.25
    assert second["X-Request-ID"]
    assert second["X-RateLimit-Limit"]


def test_an_answer_is_never_older_than_its_time_to_live(
    world: World, computed: list[Any], clock: time_machine.Traveller
) -> None:
    ask(world)
    clock.shift(60)
    assert ask(world).json()["meta"]["cached"] is False
    assert len(computed) == 2


@pytest.mark.parametrize("header", ["no-cache", "max-age=0", "No-Cache, max-age=9", "no-store"])
def test_the_caller_can_have_it_computed_anew(world: World, computed: list[Any], header: str) -> None:
    write([span_row(project_id=world.default.pk)])
    ask(world)
    write([span_row(project_id=world.default.pk)])
    fresh = ask(world, Cache_Control=header).json()
    assert (fresh["data"][0]["request_count"], fresh["meta"]["cached"]) == (2, False)
    kept = ask(world).json()
    assert (kept["data"][0]["request_count"], kept["meta"]["cached"]) == (2, True)
    assert len(computed) == 2


def test_a_slow_answer_is_as_old_as_its_data(
    world: World, clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(spec: Any) -> Any:
        made = answer(spec)
        clock.shift(20)
        return made

    monkeypatch.setattr(metrics_api, "answer", slow)
    assert ask(world).json()["meta"]["computed_at"] == "2026-11-05T14:30:15.250000Z"
    clock.shift(25)
    assert ask(world)["Age"] == "45"
    clock.shift(15)
    assert ask(world).json()["meta"]["cached"] is False


def test_one_request_computes_an_ageing_answer_anew_and_keeps_it(
    world: World, computed: list[Any], clock: time_machine.Traveller
) -> None:
    write([span_row(project_id=world.default.pk)])
    ask(world)
    write([span_row(project_id=world.default.pk)])
    clock.shift(47)
    assert ask(world).json()["data"][0]["request_count"] == 1
    clock.shift(2)
    assert ask(world).json()["data"][0]["request_count"] == 2
    assert ask(world).json()["meta"] | {"request_id": ""} == {
        "request_id": "",
        "cached": True,
        "computed_at": "2026-11-05T14:31:04.250000Z",
    }
    assert len(computed) == 2


def test_while_an_ageing_answer_is_computed_anew_the_others_get_it(
    world: World, computed: list[Any], clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(world)
    clock.shift(50)
    inner: list[Any] = []

    def meanwhile(spec: Any) -> Any:
        inner.append(ask(world).json())
        return answer(spec)

    monkeypatch.setattr(metrics_api, "answer", meanwhile)
    assert ask(world).json()["meta"]["cached"] is False
    assert [body["meta"]["cached"] for body in inner] == [True]


def test_a_failed_early_computation_gives_the_kept_answer(
    world: World, clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(world)
    clock.shift(50)

    def fail(spec: Any) -> Any:
        raise RuntimeError("the database is away")

    monkeypatch.setattr(metrics_api, "answer", fail)
    given = ask(world)
    assert (given.status_code, given.json()["meta"]["cached"]) == (200, True)
    clock.shift(10)
    assert ask(world).status_code == 500  # older than it may be


def test_errors_are_not_kept(world: World, computed: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(metrics_api, "answer", lambda spec: 1 / 0)
        broken = ask(world)
    assert broken.status_code == 500
    assert "ETag" not in broken
    assert ask(world).status_code == 200


def test_off_means_off(world: World, computed: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings.HUB, "cache_enabled", False)
    first, second = ask(world), ask(world)
    assert len(computed) == 2
    assert second.json()["meta"]["cached"] is False
    assert first["ETag"] == second["ETag"]
    assert ask(world, If_None_Match=second["ETag"]).status_code == 304


def test_large_answers_are_not_kept(world: World, computed: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "MAX_BYTES", 100)
    ask(world)
    ask(world)
    assert len(computed) == 2


def test_304_from_a_kept_answer_asks_the_database_nothing(world: World, computed: list[Any]) -> None:
    tag = ask(world)["ETag"]
    untouched, asked = statements(lambda: ask(world, If_None_Match=tag))
    assert (untouched.status_code, untouched.content, asked) == (304, b"", [])
    assert untouched["ETag"] == tag
    assert untouched["Cache-Control"] == "private, max-age=60"
    assert untouched["Vary"] == answers.VARY
    assert "Content-Type" not in untouched
    assert "Content-Length" not in untouched
    assert len(computed) == 1


def test_304_without_a_kept_answer_looks_up_the_version_and_runs_no_question(world: World, computed: list[Any]) -> None:
    tag = ask(world)["ETag"]
    caching.clear()
    untouched, asked = statements(lambda: ask(world, If_None_Match=tag))
    assert untouched.status_code == 304
    assert len(asked) == 1
    assert "data_version" in asked[0]
    assert len(computed) == 1


@pytest.mark.parametrize("form", ["{0}", "*", '"a", {0}', '"{1}"'])
def test_forms_of_if_none_match(world: World, form: str) -> None:
    tag = ask(world)["ETag"]
    assert ask(world, If_None_Match=form.format(tag, tag[3:-1])).status_code == 304


@pytest.mark.parametrize("form", ['W/"0"', "", "nonsense", '"{1}x"'])
def test_another_etag_gets_the_answer(world: World, form: str) -> None:
    tag = ask(world)["ETag"]
    assert ask(world, If_None_Match=form.format(tag, tag[3:-1])).status_code == 200


def test_if_modified_since_counts_alone(world: World, clock: time_machine.Traveller, computed: list[Any]) -> None:
    write([span_row(project_id=world.default.pk)])
    ask(world)
    clock.shift(10)
    since = ask(world)["Last-Modified"]
    assert ask(world, If_Modified_Since=since).status_code == 304
    assert ask(world, If_Modified_Since="Thu, 05 Nov 2026 14:30:15 GMT").status_code == 200
    assert ask(world, If_Modified_Since="nonsense").status_code == 200
    assert ask(world, If_Modified_Since=since, If_None_Match='"other"').status_code == 200
    clock.shift(60)  # nothing is kept now: the version alone answers
    assert ask(world, If_Modified_Since=since).status_code == 304
    assert len(computed) == 1
    write([span_row(project_id=world.default.pk)])
    assert ask(world, If_Modified_Since=since).status_code == 200


def test_no_last_modified_is_believed_within_its_own_second(world: World, clock: time_machine.Traveller) -> None:
    ask(world)
    clock.shift(1)
    assert ask(world, If_Modified_Since="Thu, 05 Nov 2026 14:30:16 GMT").status_code == 200


def test_writes_change_the_etag_and_folding_does_not(world: World) -> None:
    def tag() -> str:
        return str(ask(world, Cache_Control="no-cache")["ETag"])

    write([span_row(project_id=world.default.pk, trace_id="a" * 32, span_id="1" * 16, duration_us=1)])
    before = tag()
    refresh()
    assert tag() == before
    write([span_row(project_id=world.default.pk, start_us=T0_US - 3 * DAY_US)])
    assert tag() == before  # another day
    write([span_row(project_id=world.zenith_project.pk)])
    assert tag() == before  # another organization
    write([span_row(project_id=world.default.pk, trace_id="a" * 32, span_id="1" * 16, duration_us=1)])
    assert tag() == before  # the same again
    write([span_row(project_id=world.default.pk, trace_id="a" * 32, span_id="1" * 16, duration_us=9)])
    assert tag() != before


def test_callers_of_another_scope_share_neither_key_nor_etag(world: World, computed: list[Any]) -> None:
    _, viewer = world.new_key()
    _, narrow = world.new_key(role="admin", project=world.default)
    tags = [ask(world, key=key)["ETag"] for key in (world.wide_key, viewer, narrow, world.zenith_key)]
    assert len(set(tags)) == 4
    assert len(computed) == 4
    _, twin = world.new_key(role="admin")
    assert ask(world, key=twin).json()["meta"]["cached"] is True


def test_gzip_is_extended_and_not_made_again(world: World) -> None:
    write([span_row(project_id=world.default.pk, model=f"model-{n:03}") for n in range(60)])
    path = f"{SERIES}?group_by=model&" + "&".join(f"{name}={value}" for name, value in ASKED.items())
    plain = ask(world, path=path)
    for request_id in ("first", "second-longer-one"):
        packed = ask(world, path=path, Accept_Encoding="br, gzip;q=0.5", X_Request_ID=request_id)
        assert packed["Content-Encoding"] == "gzip"
        assert len(packed.content) < len(plain.content) / 3
        body = json.loads(gzip.decompress(packed.content))
        assert body.pop("meta")["request_id"] == request_id
        assert body == {name: value for name, value in plain.json().items() if name != "meta"}
    assert "Content-Encoding" not in plain
    assert "Content-Encoding" not in ask(world, path=path, Accept_Encoding="gzip;q=0, identity")


def test_fields_of_a_series(world: World) -> None:
    write([span_row(project_id=world.default.pk)])
    path = f"{SERIES}?" + "&".join(f"{name}={value}" for name, value in ASKED.items())
    body = ask(world, path=f"{path}&fields=request_count").json()
    assert body["data"] == [{"request_count": 1}]
    assert {"metadata", "meta"} <= set(body)
    refused = ask(world, path=f"{path}&fields=request_cuont&model=nothing").json()["error"]
    assert (refused["code"], refused["field"]) == (1202, "fields")
    assert refused["details"]["known"] == ["request_count", "timestamp", "total_cost"]
    assert ask(world, path=f"{path}&fields=request_count")["ETag"] != ask(world, path=path)["ETag"]


@pytest.mark.parametrize(
    ("path", "names", "left"),
    [
        ("summary", "current_period.total_requests,changes", {"current_period", "changes"}),
        ("summary", "top_items.by_cost.model", {"top_items"}),
        ("catalog", "name,intervals", {"data", "intervals"}),
    ],
)
def test_fields_of_the_other_reads(world: World, path: str, names: str, left: set[str]) -> None:
    body = ask(world, path=f"{SERIES}/{path}?fields={names}").json()
    assert set(body) - {"metadata", "meta"} == left
    error = ask(world, path=f"{SERIES}/{path}?fields=nmae").json()["error"]
    assert (error["code"], error["field"]) == (1202, "fields")
    assert len(error["details"]["known"]) > 5


def test_fields_of_a_posted_question(world: World) -> None:
    write([span_row(project_id=world.default.pk)])
    sent = json.dumps({**ASKED, "metrics": [{"metric": "request_count"}, {"metric": "total_cost"}]})
    headers = {"Authorization": f"Bearer {world.wide_key}"}
    path = f"{SERIES}/query?fields=sum_total_cost"
    posted = world.client.post(path, sent, content_type="application/json", headers=headers)
    assert posted.json()["data"] == [{"sum_total_cost": 0.0045}]
    assert "ETag" not in posted


def test_out_of_tokens_a_kept_answer_is_given(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tag = ask(world)["ETag"]
    real = limits.take

    def refuse(charges: Any, *, look_up: str | None = None) -> Any:
        verdict, _ = real(charges, look_up=look_up)
        found = valkey.call(lambda client: client.get(look_up)) if look_up else None
        return limits.Verdict(False, verdict.bucket, 0, verdict.reset, 7), found

    monkeypatch.setattr("apps.orgs.door.take", refuse)
    kept = ask(world)
    assert (kept.status_code, kept["X-Served-From-Cache"], kept["Retry-After"]) == (200, "true", "7")
    assert kept.json()["meta"]["cached"] is True
    untouched = ask(world, If_None_Match=tag)
    assert (untouched.status_code, untouched["X-Served-From-Cache"]) == (304, "true")
    assert ask(world, path=f"{SERIES}/catalog").status_code == 429


def test_without_valkey_everything_is_answered(
    world: World, computed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(function: Any) -> Any:
        raise valkey.CacheDown("away")

    monkeypatch.setattr(valkey, "call", down)
    first, second = ask(world), ask(world)
    assert (first.status_code, second.status_code, len(computed)) == (200, 200, 2)
    assert second.json()["meta"]["cached"] is False
    assert "Last-Modified" not in second
    assert ask(world, If_None_Match=first["ETag"]).status_code == 304


def test_a_denied_caller_gets_no_kept_answer(world: World) -> None:
    ask(world)
    _, key = world.new_key(role="", permissions=["traces:read"])
    assert ask(world, key=key).status_code == 403


def test_head_is_told_the_same(world: World) -> None:
    tag = ask(world)["ETag"]
    headers = {"Authorization": f"Bearer {world.wide_key}"}
    told = world.client.head(SERIES, query_params=ASKED, headers=headers)
    assert (told.status_code, told["ETag"], told.content) == (200, tag, b"")
    known = world.client.head(SERIES, query_params=ASKED, headers={**headers, "If-None-Match": tag})
    assert known.status_code == 304


def test_a_principal_without_a_scope_shares_nothing(
    world: World, computed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.orgs.principals.scope_of", lambda *_: "")
    ask(world)
    ask(world)
    assert len(computed) == 2


def test_entries_survive_packing_and_nothing_else_is_taken_for_one() -> None:
    entry = answers.entry_of({"data": list(range(1000))}, computed_at=time.time()).named("0" * 32, time.time())
    assert answers.unpack(entry.pack()) == entry
    assert answers.unpack(entry.pack()[:-1]) is None
    assert answers.unpack(b"other") is None
    assert answers.unpack(None) is None


def unlike(answer: Any) -> dict[str, str]:
    """The headers but for those that differ from request to request."""
    own = ("X-Request-ID", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Age", "Content-Length")
    return {name: value for name, value in answer.items() if name not in own}


def test_the_short_way_gives_what_the_long_way_gives(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(world)
    from_browser = ask(world, Cookie=f"{settings.SESSION_COOKIE_NAME}=x")  # the long way
    world.client.cookies.clear()
    with monkeypatch.context() as patched:
        patched.setattr(URLResolver, "resolve", lambda *_: pytest.fail("the routes were walked"))
        short = ask(world)
        tag = short["ETag"]
        assert ask(world, If_None_Match=tag).status_code == 304
        refused = ask(world, key="ah_" + "0" * 16 + "_" + "0" * 64)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, 1003)
        assert refused["WWW-Authenticate"]
    assert unlike(short) == unlike(from_browser)
    assert short.json()["data"] == from_browser.json()["data"]
    assert world.client.post(SERIES, headers={"Authorization": f"Bearer {world.wide_key}"}).status_code == 405


def test_what_breaks_on_the_short_way_has_the_envelope(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(world)
    monkeypatch.setattr(answers, "unpack", lambda blob: 1 / 0)
    broken = ask(world)
    assert (broken.status_code, broken.json()["error"]["code"]) == (500, 1900)
    assert broken["X-Request-ID"]


def test_requests_of_the_short_way_are_counted_by_their_route(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(world)
    routes: list[str] = []
    monkeypatch.setattr(telemetry, "request_answered", lambda method, route, *_: routes.append(route))
    ask(world)
    assert routes == [SERIES]
