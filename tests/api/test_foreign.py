"""Nothing of another tenant's is ever in an answer: its ids, names and texts thrown at every GET that there is.

Zenith has a mark in every text of its rows. Answers to Acme hold none of them, but for what was sent in the very
request, whatever path, filter, cursor or header names Zenith's things; and they are the same whether or not Zenith has
any data.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.http import HttpResponseBase
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.callers import Caller, Stage, ask, fill, undone
from tests.support.marked import Marked, mark, mark_zenith, send_spans
from tests.support.surface import Route, api_routes
from tests.support.table import PUBLIC

# One worker runs them all: what they begin with asks every route.
pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("foreign")]
_generator: Any = SchemaGenerator
OPERATIONS: dict[str, Any] = _generator().get_schema(request=None, public=True)["paths"]
READS = [route for route in api_routes() if route.needs("GET") is not None]
HEADERS = ("X-Organization", "X-Project", "x-project-name", "X-Request-ID", "If-None-Match", "Referer")
_START = (datetime.now(UTC) - timedelta(days=1)).replace(microsecond=0)
# What makes the answer to a question come about at all.
BASE = {
    "metrics": "request_count,total_cost,unique_users",
    "start_time": _START.isoformat(),
    "end_time": (_START + timedelta(days=2)).isoformat(),
    "interval": "1day",
    "group_by": "model,user_id",
    "limit": "100",
}
coin = st.sampled_from([True, False])
ASKING = ("admin key", "viewer key of one project", "developer user")

Ask = tuple[str, str, str]  # path, query, caller's name


def parameters_of(route: Route) -> list[dict[str, Any]]:
    """The query parameters that the document names for a GET."""
    listed = OPERATIONS.get(route.path, {}).get("get", {}).get("parameters", [])
    return [one for one in listed if one.get("in") == "query"]


def base_of(route: Route) -> dict[str, str]:
    names = {one["name"] for one in parameters_of(route)}
    return {name: value for name, value in BASE.items() if name in names}


def callers(stage: Stage) -> list[Caller]:
    return [one for one in stage.roles if one.name in ASKING]


# -- the same answer whether or not another tenant has data -----------------------------------------------------------


def asks(stage: Stage) -> Iterator[Ask]:
    """Every GET as it is, and with each of its parameters naming something of Zenith's."""
    for route in READS:
        path, base = fill(route, stage.examples), base_of(route)
        assert path is not None
        if route.needs("GET") == PUBLIC:
            continue
        for caller in callers(stage):
            yield path, urlencode(base), caller.name
        for one in parameters_of(route):
            # A filter's own mark, which finds rows where rows of Zenith's are found at all.
            yield path, urlencode({**base, one["name"]: mark(one["name"])}), "admin key"


def plain(answer: HttpResponseBase) -> Any:
    """An answer without what is of the moment: ids of the request, times, milliseconds taken."""
    headers = {name: value for name, value in answer.items() if name in ("ETag", "Content-Type", "Location", "Vary")}
    text = getattr(answer, "content", b"").decode()
    try:
        body = json.loads(text)
    except ValueError:
        return answer.status_code, headers
    if isinstance(body, dict):
        body.pop("meta", None)
        if isinstance(body.get("metadata"), dict):
            body["metadata"].pop("query_ms", None)
            if "as_of" in body["metadata"]:  # it depends on the minute, and so does its ETag
                del body["metadata"]["as_of"], headers["ETag"]
    return answer.status_code, headers, body


def answers(stage: Stage) -> dict[Ask, Any]:
    by_name = {caller.name: caller for caller in stage.roles}
    anew = {"Cache-Control": "no-cache"}
    return {
        one: plain(ask(stage.client, by_name[one[2]], "GET", f"{one[0]}?{one[1]}", headers=anew)) for one in asks(stage)
    }


@pytest.fixture(scope="module")
def before(stage: Stage) -> dict[Ask, Any]:
    """The answers while Zenith has nothing; Acme has a few spans."""
    ids = [secrets.token_hex(16) for _ in range(3)]
    send_spans(stage.world, stage.world.key, ids, {"model": "gpt-4o", "provider": "openai", "user_id": "ada"})
    for caller in callers(stage):  # the first use of a key is noted in its row
        ask(stage.client, caller, "GET", "/api/v1/metrics/catalog")
    return answers(stage)


@pytest.fixture(scope="module")
def marked(stage: Stage, before: dict[Ask, Any]) -> Marked:
    return mark_zenith(stage.world)


def test_answers_are_the_same_whether_or_not_another_tenant_has_data(
    stage: Stage, before: dict[Ask, Any], marked: Marked
) -> None:
    after = answers(stage)
    assert len(before) > len(READS) / 2
    assert {one: (before[one], after[one]) for one in before if before[one] != after[one]} == {}


# -- whatever is thrown -----------------------------------------------------------------------------------------------


def leaks(answer: HttpResponseBase, marked: Marked, thrown: str) -> list[str]:
    """Zenith's texts in an answer, but for those that were sent."""
    text = getattr(answer, "content", b"").decode("utf-8", "replace") + str(list(answer.items()))
    return [one for one in marked.texts if one in text and one not in thrown]


@settings(max_examples=200, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_nothing_of_another_tenant_is_in_any_answer(stage: Stage, marked: Marked, data: st.DataObject) -> None:
    theirs = st.sampled_from(sorted(marked.ids))
    route = data.draw(st.sampled_from(READS))
    caller = data.draw(st.sampled_from(callers(stage)))
    by_object = bool(data.draw(coin))
    if route.parameters and by_object:
        path = fill(route, stage.examples, foreign=True) or fill(route, stage.examples)
    else:
        path = route.at(**{name: quote(data.draw(theirs), safe="") for name in route.parameters})
    names = [one["name"] for one in parameters_of(route)] or ["project"]
    some = st.lists(theirs, min_size=1, max_size=2).map(",".join)
    query = {**base_of(route), **data.draw(st.dictionaries(st.sampled_from(names), some, max_size=2))}
    headers = data.draw(st.dictionaries(st.sampled_from(HEADERS), theirs, max_size=2))
    answer = ask(stage.client, caller, "GET", f"{path}?{urlencode(query)}", headers=headers)
    assert answer.status_code < 500
    assert leaks(answer, marked, f"{path} {query} {headers}") == []


@settings(max_examples=60, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_nothing_of_another_tenant_is_in_the_answer_to_a_question(
    stage: Stage, marked: Marked, data: st.DataObject
) -> None:
    theirs = st.sampled_from(sorted(marked.ids))
    groups = st.lists(st.sampled_from(["model", "user_id", "project", "session_id"]), unique=True)
    body: dict[str, Any] = {
        "metrics": [{"metric": "request_count", "alias": "n"}, {"metric": "total_cost"}],
        "group_by": data.draw(groups),
        "start_time": BASE["start_time"],
        "end_time": BASE["end_time"],
    }
    if data.draw(coin):
        operator = data.draw(st.sampled_from(["ne", "not_in", "eq", "in"]))
        several = [data.draw(theirs)] if operator.endswith("in") else data.draw(theirs)
        body["filters"] = [{"field": data.draw(st.sampled_from(["model", "project"])), "operator": operator}]
        body["filters"][0]["value"] = several
    if data.draw(coin):
        body["project"] = data.draw(theirs)
    caller = next(one for one in stage.roles if one.name == "admin key")
    with undone():
        answer = stage.client.post(
            "/api/v1/metrics/query", json.dumps(body), content_type="application/json", headers=caller.headers
        )
    assert answer.status_code < 500
    assert leaks(answer, marked, str(body)) == []
    if answer.status_code == 200:
        # Acme's twelve spans and none of Zenith's.
        assert sum(row["n"] for row in answer.json()["data"]) <= 12


def test_the_marks_are_seen_by_their_owner(stage: Stage, marked: Marked) -> None:
    """Else the tests above would look for what is nowhere."""
    owner = Caller("owner", "key", headers={"Authorization": f"Bearer {stage.world.zenith_key}"})
    query = urlencode({**BASE, "group_by": "model,user_id,provider,session_id,project"})
    answer = ask(stage.client, owner, "GET", f"/api/v1/metrics?{query}")
    found = leaks(answer, marked, "")
    assert {mark("model"), mark("user_id"), mark("provider"), mark("session_id"), mark("project")} <= set(found)
