"""Pages by cursor: together they are the list, whatever the limit and the values; a foreign cursor leads nowhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import RequestFactory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.common.errors import ApiError
from apps.common.reads.paging import MAX_CURSOR, Asked, Order, Page, asked, finish, paginate
from apps.orgs.models import AuditEntry, Organization

START = datetime(2026, 11, 5, tzinfo=UTC)
NEWEST_FIRST = Order("at", descending=True)


def request(path: str = "/rows", **parameters: Any) -> Any:
    return RequestFactory().get(path, parameters)


def page_of(order: Order = NEWEST_FIRST, path: str = "/rows", **parameters: Any) -> Page[AuditEntry]:
    return paginate(request(path, **parameters), AuditEntry.objects.filter(organization_id=1), order)


def fill(seconds: list[int]) -> list[AuditEntry]:
    rows = [
        AuditEntry(organization_id=1, at=START + timedelta(microseconds=second), outcome="done", action="x")
        for second in seconds
    ]
    return AuditEntry.objects.bulk_create(rows)


def refusal(**parameters: Any) -> tuple[int, str | None]:
    with pytest.raises(ApiError) as caught:
        page_of(**parameters)
    return caught.value.entry.code, caught.value.field


@pytest.mark.django_db
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    seconds=st.lists(st.integers(0, 3), max_size=12),
    limit=st.integers(1, 5),
    column=st.sampled_from(["at", "id"]),
    descending=st.booleans(),
)
def test_walking_the_pages_meets_every_row_once_in_order(
    seconds: list[int], limit: int, column: str, descending: bool
) -> None:
    number = Organization.objects.create(slug=f"o{Organization.objects.count()}", name="o").pk
    rows = fill(seconds)
    ours = AuditEntry.objects.filter(pk__in=[row.pk for row in rows])
    order = Order(column, descending)
    walked: list[AuditEntry] = []
    parameters: dict[str, Any] = {"limit": limit, "tenant": number}
    while True:
        page = paginate(request(**parameters), ours, order)
        walked += page.rows
        assert len(page.rows) == limit or not page.pagination["has_more"]
        if not page.pagination["has_more"]:
            assert page.pagination["next_cursor"] is None
            break
        parameters["cursor"] = page.pagination["next_cursor"]
    expected = sorted(rows, key=lambda row: (row.at, row.pk) if column == "at" else row.pk, reverse=descending)
    assert [row.pk for row in walked] == [row.pk for row in expected]


@pytest.mark.django_db
def test_rows_that_come_meanwhile_neither_repeat_nor_hide_others() -> None:
    fill([1, 2, 3, 4])
    first = page_of(limit=2)
    fill([9])
    second = page_of(limit=2, cursor=first.pagination["next_cursor"])
    met = [(row.at - START).microseconds for row in [*first.rows, *second.rows]]
    assert met == [4, 3, 2, 1]


@pytest.mark.django_db
def test_the_total_is_counted_when_asked_for() -> None:
    fill([1, 2, 3])
    assert page_of(limit=2).pagination.keys() == {"limit", "next_cursor", "has_more"}
    first = page_of(limit=2, include_total="true")
    assert first.pagination["total"] == 3
    # Also on later pages, and a page may ask for another limit.
    later = page_of(limit=5, include_total="TRUE", cursor=first.pagination["next_cursor"])
    assert (later.pagination["total"], len(later.rows)) == (3, 1)


@pytest.mark.parametrize(
    ("limit", "code"),
    [("0", 1202), ("1001", 1202), ("-1", 1202), ("ten", 1203), ("", 1203), ("1.0", 1203), ("٣", 1203)],
)
def test_a_limit_out_of_bounds(limit: str, code: int) -> None:
    assert refusal(limit=limit) == (code, "limit")


@pytest.mark.parametrize("total", ["1", "yes", ""])
def test_include_total_is_true_or_false(total: str) -> None:
    assert refusal(include_total=total) == (1203, "include_total")


@pytest.mark.parametrize("cursor", ["", "x", "a:b:c", "x" * (MAX_CURSOR + 1), "\0", "é"])
def test_a_cursor_that_is_none(cursor: str) -> None:
    assert refusal(cursor=cursor) == (1203, "cursor")


@pytest.mark.django_db
def test_a_cursor_belongs_to_its_list_its_filters_and_its_order() -> None:
    fill([1, 2, 3])
    cursor = page_of(limit=1, action="x").pagination["next_cursor"]
    assert len(page_of(action="x", cursor=cursor, fields="id").rows) == 2
    assert refusal(action="y", cursor=cursor) == (1203, "cursor")
    assert refusal(cursor=cursor) == (1203, "cursor")
    assert refusal(action="x", path="/others", cursor=cursor) == (1203, "cursor")
    assert refusal(action="x", order=Order("at"), cursor=cursor) == (1203, "cursor")
    assert refusal(action="x", cursor=cursor[:-1] + ("A" if cursor[-1] != "A" else "B")) == (1203, "cursor")


def test_rows_from_elsewhere_are_paged_by_the_same_words() -> None:
    page = asked(request(limit=2), Order("name"))
    assert isinstance(page, Asked)
    made = finish(page, ["a", "b", "c"], lambda text: (text, 1))
    again = asked(RequestFactory().get("/rows?" + urlencode({"cursor": made.pagination["next_cursor"]})), Order("name"))
    assert (made.rows, again.after) == (["a", "b"], ("b", 1))
