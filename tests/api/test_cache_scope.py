"""What is kept for one caller is given to another only where both may see the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from django.conf import settings
from django.test import RequestFactory
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from apps.common.reads import caching
from apps.orgs.access import KNOWN_PERMISSIONS, Principal, scope_of
from apps.orgs.views import key_of
from apps.traces.writer import write
from tests.support.cells import clear_cells
from tests.support.spans import T0, span_row

if TYPE_CHECKING:
    from tests.support.world import World

SLUGS = ("default", "web", "lab", "default,web")
PRINCIPALS = st.builds(
    lambda organization, projects, permissions, whole, name: Principal(
        organization_id=organization,
        organization_slug=f"o{organization}",
        project_ids=projects,
        permissions=permissions,
        name=name,
        all_projects=whole,
        scope=scope_of(organization, projects, permissions),
    ),
    st.integers(1, 3),
    st.dictionaries(st.sampled_from(SLUGS), st.integers(1, 3), max_size=3),
    st.frozensets(st.sampled_from(sorted(KNOWN_PERMISSIONS)), max_size=3),
    st.booleans(),
    st.sampled_from(("key:1", "key:2", "user:1")),
)


def _rights(principal: Principal) -> tuple[Any, ...]:
    return principal.organization_id, principal.project_ids, principal.permissions


@given(PRINCIPALS, PRINCIPALS)
def test_equal_keys_mean_equal_rights(one: Principal, other: Principal) -> None:
    request = RequestFactory().get("/api/v1/metrics?metrics=request_count")
    keys = [key_of("metrics", principal, request) for principal in (one, other)]
    assert (keys[0] == keys[1]) == (_rights(one) == _rights(other))
    assert keys[0].startswith(f"hub:metrics:{one.organization_id}:")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("/m?a=1&b=2", "/m?b=2&a=1", True),
        ("/m?a=1&b=2", "/m?a=1&b=3", False),
        ("/m?a=1&a=2", "/m?a=2&a=1", False),  # a list has an order
        ("/m?a=1&%61=2", "/m?%61=2&a=1", False),  # the same name, written twice
        ("/m?a=1", "/n?a=1", False),
        ("/m?a=1", "/m?a=1&fields=b", False),
    ],
)
def test_the_whole_question_is_in_the_key(one: str, other: str, same: bool) -> None:
    principal = Principal(1, "o", {}, frozenset(), "key:1", scope=scope_of(1, {}, frozenset()))
    keys = [key_of("metrics", principal, RequestFactory().get(path)) for path in (one, other)]
    assert (keys[0] == keys[1]) is same


class Callers:
    """Keys of several scopes, and how many spans each may count."""

    def __init__(self, world: World) -> None:
        write([span_row(project_id=world.default.pk) for _ in range(1)])
        write([span_row(project_id=world.web.pk) for _ in range(2)])
        write([span_row(project_id=world.zenith_project.pk) for _ in range(4)])
        self.counts = {
            world.wide_key: 3,
            world.new_key()[1]: 3,
            world.new_key(role="analyst")[1]: 3,
            world.key: 1,
            world.new_key(project=world.default)[1]: 1,
            world.new_key(project=world.web)[1]: 2,
            world.zenith_key: 4,
        }


@pytest.fixture
def callers(transactional_db: None, world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callers]:
    monkeypatch.setattr(settings.HUB, "cache_ttl_metrics", 60)
    clear_cells()
    with time_machine.travel(T0 + timedelta(hours=2), tick=False):
        yield Callers(world)
    clear_cells()


@profile(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from(("", "no-cache", "tag"))), min_size=3, max_size=12))
def test_no_caller_is_given_what_another_sees(world: World, callers: Callers, asked: list[tuple[int, str]]) -> None:
    caching.clear()
    keys = list(callers.counts)
    tags: dict[str, str] = {}
    for number, how in asked:
        key = keys[number]
        headers = {"Authorization": f"Bearer {key}"}
        if how == "no-cache":
            headers["Cache-Control"] = how
        elif how == "tag" and tags:
            headers["If-None-Match"] = ", ".join(tags.values())
        answer = world.client.get("/api/v1/metrics?metrics=request_count&interval=1day", headers=headers)
        if answer.status_code == 304:
            # Somebody's copy with that ETag counts what this caller may count.
            assert callers.counts[key] in {
                callers.counts[other] for other, tag in tags.items() if tag == answer["ETag"]
            }
        else:
            assert sum(row["request_count"] for row in answer.json()["data"]) == callers.counts[key]
            tags[key] = answer["ETag"]
